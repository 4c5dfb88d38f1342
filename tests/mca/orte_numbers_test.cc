// SPDX-License-Identifier: BSD-3-Clause
//
// The numbers of ORTE's protocol that OrteGuard knows are those of the Open MPI that is here. What
// has no header that is installed (the handshake) the system tests see.
#include <gtest/gtest.h>

#include "chain/daemon/orte_protocol.h"
#include "chain/daemon/orte_reader.h"

extern "C" {
#include "orte_config.h"

#include "opal/dss/dss_types.h"
#include "orte/mca/iof/iof_types.h"
#include "orte/mca/plm/plm_types.h"
#include "orte/mca/rml/rml_types.h"
#include "orte/runtime/orte_data_server.h"
#include "orte/types.h"
#include "orte/util/attr.h"
#include "orte/util/name_fns.h"
}

namespace chain::daemon {
namespace {

TEST(OrteNumbers, Tags) {
    EXPECT_EQ(orte::kTagDaemon, ORTE_RML_TAG_DAEMON);
    EXPECT_EQ(orte::kTagIofHnp, ORTE_RML_TAG_IOF_HNP);
    EXPECT_EQ(orte::kTagPlm, ORTE_RML_TAG_PLM);
    EXPECT_EQ(orte::kTagOrtedCallback, ORTE_RML_TAG_ORTED_CALLBACK);
    EXPECT_EQ(orte::kTagXcast, ORTE_RML_TAG_XCAST);
    EXPECT_EQ(orte::kTagDataServer, ORTE_RML_TAG_DATA_SERVER);
    EXPECT_EQ(orte::kTagAllgatherDirect, ORTE_RML_TAG_ALLGATHER_DIRECT);
    EXPECT_EQ(orte::kTagShowHelp, ORTE_RML_TAG_SHOW_HELP);
    EXPECT_EQ(orte::kTagDirectModex, ORTE_RML_TAG_DIRECT_MODEX);
    EXPECT_EQ(orte::kTagDirectModexResponse, ORTE_RML_TAG_DIRECT_MODEX_RESP);
    EXPECT_EQ(orte::kTagTopologyReport, ORTE_RML_TAG_TOPOLOGY_REPORT);
}

TEST(OrteNumbers, ProcessesAndTheirStates) {
    EXPECT_EQ(orte::kPlmLaunchJob, ORTE_PLM_LAUNCH_JOB_CMD);
    EXPECT_EQ(orte::kPlmUpdateProcState, ORTE_PLM_UPDATE_PROC_STATE);
    EXPECT_EQ(orte::kPlmRegistered, ORTE_PLM_REGISTERED_CMD);
    EXPECT_EQ(orte::kStateTerminated, ORTE_PROC_STATE_TERMINATED);
    EXPECT_EQ(orte::kStateFirstError, ORTE_PROC_STATE_KILLED_BY_CMD);
    EXPECT_EQ(orte::kStateCommFailed, ORTE_PROC_STATE_COMM_FAILED);
    EXPECT_EQ(orte::kStateCalledAbort, ORTE_PROC_STATE_CALLED_ABORT);
    EXPECT_EQ(orte::kStateHeartbeatFailed, ORTE_PROC_STATE_HEARTBEAT_FAILED);
    EXPECT_EQ(orte::kStateMigrating, ORTE_PROC_STATE_MIGRATING);
    EXPECT_EQ(orte::kStateLastError, ORTE_PROC_STATE_PEER_UNKNOWN);
}

TEST(OrteNumbers, WhatIsPublished) {
    EXPECT_EQ(orte::kDataPublish, ORTE_PMIX_PUBLISH_CMD);
    EXPECT_EQ(orte::kDataLookUp, ORTE_PMIX_LOOKUP_CMD);
    EXPECT_EQ(orte::kDataUnpublish, ORTE_PMIX_UNPUBLISH_CMD);
    EXPECT_EQ(orte::kDataPurge, ORTE_PMIX_PURGE_PROC_CMD);
}

TEST(OrteNumbers, Output) {
    EXPECT_EQ(orte::kIofStdout, ORTE_IOF_STDOUT);
    EXPECT_EQ(orte::kIofStderr, ORTE_IOF_STDERR);
    EXPECT_EQ(orte::kIofDiagnostics, ORTE_IOF_STDDIAG);
    EXPECT_EQ(orte::kIofOn, ORTE_IOF_XON);
    EXPECT_EQ(orte::kIofOff, ORTE_IOF_XOFF);
}

TEST(OrteNumbers, AttributesOfJobs) {
    EXPECT_EQ(orte::kJobFlagForwardOutput, ORTE_JOB_FLAG_FORWARD_OUTPUT);
    EXPECT_EQ(orte::kJobFlagRecoverable, ORTE_JOB_FLAG_RECOVERABLE);
    EXPECT_EQ(orte::kAppHostfile, ORTE_APP_HOSTFILE);
    EXPECT_EQ(orte::kAppAddHostfile, ORTE_APP_ADD_HOSTFILE);
    EXPECT_EQ(orte::kAppHosts, ORTE_APP_DASH_HOST);
    EXPECT_EQ(orte::kAppAddHosts, ORTE_APP_ADD_HOST);
    EXPECT_EQ(orte::kAppUserFolder, ORTE_APP_USER_CWD);
    EXPECT_EQ(orte::kAppPreloadProgram, ORTE_APP_PRELOAD_BIN);
    EXPECT_EQ(orte::kAppPreloadFiles, ORTE_APP_PRELOAD_FILES);
    EXPECT_EQ(orte::kJobNoMpi, ORTE_JOB_NON_ORTE_JOB);
    EXPECT_EQ(orte::kJobRoomNumber, ORTE_JOB_ROOM_NUM);
    EXPECT_EQ(orte::kJobLaunchProxy, ORTE_JOB_LAUNCH_PROXY);
    EXPECT_EQ(orte::kJobOutputToFile, ORTE_JOB_OUTPUT_TO_FILE);
    EXPECT_EQ(orte::kJobMergeOutput, ORTE_JOB_MERGE_STDERR_STDOUT);
    EXPECT_EQ(orte::kJobTagOutput, ORTE_JOB_TAG_OUTPUT);
    EXPECT_EQ(orte::kJobTimestampOutput, ORTE_JOB_TIMESTAMP_OUTPUT);
}

TEST(OrteNumbers, NamesAndTypes) {
    EXPECT_EQ(orte::kJobidInvalid, ORTE_JOBID_INVALID);
    EXPECT_EQ(orte::kVpidInvalid, ORTE_VPID_INVALID);
    EXPECT_EQ(orte::kVpidWildcard, ORTE_VPID_WILDCARD);
    EXPECT_EQ(orte::family_of(0x12345678), unsigned{ORTE_JOB_FAMILY(0x12345678)});
    EXPECT_EQ(orte::local_job_of(0x12345678), unsigned{ORTE_LOCAL_JOBID(0x12345678)});
    const auto number = [](OpalType type) { return static_cast<opal_data_type_t>(type); };
    EXPECT_EQ(number(OpalType::kByte), OPAL_BYTE);
    EXPECT_EQ(number(OpalType::kBool), OPAL_BOOL);
    EXPECT_EQ(number(OpalType::kString), OPAL_STRING);
    EXPECT_EQ(number(OpalType::kSize), OPAL_SIZE);
    EXPECT_EQ(number(OpalType::kPid), OPAL_PID);
    EXPECT_EQ(number(OpalType::kInt), OPAL_INT);
    EXPECT_EQ(number(OpalType::kInt8), OPAL_INT8);
    EXPECT_EQ(number(OpalType::kInt32), OPAL_INT32);
    EXPECT_EQ(number(OpalType::kUint), OPAL_UINT);
    EXPECT_EQ(number(OpalType::kUint64), OPAL_UINT64);
    EXPECT_EQ(number(OpalType::kTimeval), OPAL_TIMEVAL);
    EXPECT_EQ(number(OpalType::kByteObject), OPAL_BYTE_OBJECT);
    EXPECT_EQ(number(OpalType::kName), OPAL_NAME);
    EXPECT_EQ(number(OpalType::kStatus), OPAL_STATUS);
    EXPECT_EQ(number(OpalType::kEnvar), OPAL_ENVAR);
}

}  // namespace
}  // namespace chain::daemon
