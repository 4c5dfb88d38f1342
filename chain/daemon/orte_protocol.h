// SPDX-License-Identifier: BSD-3-Clause
//
// Names for the numbers of ORTE's protocol in Open MPI 4.1, as far as OrteGuard needs them, with
// the header that each comes from. tests/mca/orte_numbers_test.cc compares them with Open MPI's
// own.
#pragma once

#include <cstdint>
#include <string_view>

namespace chain::daemon::orte {

// orte/mca/oob/tcp/oob_tcp_hdr.h: origin and destination as job and number, tag, sequence number,
// size, type, name of a router; three bytes of padding.
inline constexpr std::uint8_t kTypeIdent = 1;
inline constexpr std::uint8_t kTypeUser = 4;
inline constexpr std::size_t kDestinationAt = 8;
inline constexpr std::size_t kTagAt = 16;
inline constexpr std::size_t kRouterAt = 29;
inline constexpr std::size_t kRouterBytes = 32;

// orte/mca/oob/tcp/oob_tcp_connection.c: after "I agree", both sides' version of the handshake.
inline constexpr std::string_view kGreeting(
    "\0\1"
    "4.0.0\0",
    8);

// orte/mca/rml/rml_types.h
enum Tag : std::uint32_t {
    kTagDaemon = 1,
    kTagIofHnp = 2,
    kTagPlm = 5,
    kTagOrtedCallback = 10,
    kTagXcast = 15,
    kTagDataServer = 27,
    kTagAllgatherDirect = 33,
    kTagShowHelp = 36,
    kTagDirectModex = 50,
    kTagDirectModexResponse = 51,
    kTagTopologyReport = 62,
};

// orte/mca/plm/plm_types.h
enum PlmCommand : std::uint8_t {
    kPlmLaunchJob = 1,
    kPlmUpdateProcState = 2,
    kPlmRegistered = 3,
};
inline constexpr std::uint32_t kStateTerminated = 20;
inline constexpr std::uint32_t kStateFirstError = 51;
inline constexpr std::uint32_t kStateCommFailed = 56;
inline constexpr std::uint32_t kStateCalledAbort = 58;
inline constexpr std::uint32_t kStateHeartbeatFailed = 59;
inline constexpr std::uint32_t kStateMigrating = 60;
inline constexpr std::uint32_t kStateLastError = 68;

// orte/mca/iof/iof_types.h
inline constexpr std::uint16_t kIofStdout = 0x0002;
inline constexpr std::uint16_t kIofStderr = 0x0004;
inline constexpr std::uint16_t kIofDiagnostics = 0x0008;
inline constexpr std::uint16_t kIofOn = 0x1000;
inline constexpr std::uint16_t kIofOff = 0x2000;

// orte/runtime/orte_data_server.h: what a rank publishes and looks up
enum DataCommand : std::uint8_t {
    kDataPublish = 1,
    kDataLookUp = 2,
    kDataUnpublish = 3,
    kDataPurge = 4,
};

// orte/util/attr.h, of a job that is to be spawned
inline constexpr std::uint16_t kJobFlagForwardOutput = 0x0020;
inline constexpr std::uint16_t kJobFlagRecoverable = 0x0100;
enum AppAttribute : std::uint16_t {
    kAppHostfile = 1,
    kAppAddHostfile = 2,
    kAppHosts = 3,
    kAppAddHosts = 4,
    kAppUserFolder = 5,
    kAppPreloadProgram = 7,
    kAppPreloadFiles = 8,
};
enum JobAttribute : std::uint16_t {
    kJobNoMpi = 222,
    kJobRoomNumber = 239,
    kJobLaunchProxy = 240,
    kJobOutputToFile = 245,
    kJobMergeOutput = 246,
    kJobTagOutput = 247,
    kJobTimestampOutput = 248,
};
inline constexpr std::uint32_t kNoBookmark = 0xffff'ffff;  // orte_dt_packing_fns.c

// orte/include/orte/types.h
inline constexpr std::uint32_t kJobidInvalid = 0xffff'ffff;
inline constexpr std::uint32_t kVpidInvalid = 0xffff'ffff;
inline constexpr std::uint32_t kVpidWildcard = 0xffff'fffe;

// orte/util/name_fns.h: the upper half of a jobid is mpirun's, the lower half counts its jobs, and
// its daemons are job 0 of it.
constexpr std::uint32_t family_of(std::uint32_t jobid) {
    return jobid >> 16;
}
constexpr std::uint32_t local_job_of(std::uint32_t jobid) {
    return jobid & 0xffff;
}

}  // namespace chain::daemon::orte
