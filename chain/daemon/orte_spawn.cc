// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/orte_spawn.h"

#include <string>

#include "chain/daemon/orte_messages.h"
#include "chain/daemon/orte_protocol.h"
#include "chain/daemon/orte_reader.h"

namespace chain::daemon {
namespace {

Error cannot_spawn(const std::string &what) {
    return make_error(ErrorCode::kRefused, "MPI_Comm_spawn in a lease cannot ", what);
}

Error broken() {
    return cannot_spawn("be asked for like this");
}

OpalValue read_attribute(OrteReader &reader, std::uint16_t &key) {
    OpalValue value;
    key = reader.raw_u16();
    value.type = static_cast<OpalType>(reader.raw_u8());
    reader.raw_field(value);
    return value;
}

// Of one program: where it is, mpirun decides by itself, and it is there already.
Status check_app_attribute(std::uint16_t key) {
    switch (key) {
        case orte::kAppUserFolder: return ok_status();
        case orte::kAppHostfile:
        case orte::kAppHosts: return cannot_spawn("choose machines");
        case orte::kAppAddHostfile:
        case orte::kAppAddHosts: return cannot_spawn("add a machine");
        case orte::kAppPreloadProgram:
        case orte::kAppPreloadFiles: return cannot_spawn("send files from the renter's machine");
        default: return cannot_spawn("set attribute " + std::to_string(key) + " of a program");
    }
}

Status check_job_attribute(const OrteLeg &leg, std::uint16_t key, const OpalValue &value) {
    switch (key) {
        case orte::kJobLaunchProxy:
            if (value.type != OpalType::kName || !is_rank(leg, value.name)) return broken();
            return ok_status();
        case orte::kJobRoomNumber:
            if (value.type != OpalType::kInt) return broken();
            return ok_status();
        case orte::kJobNoMpi:
        case orte::kJobMergeOutput:
        case orte::kJobTagOutput:
        case orte::kJobTimestampOutput:
            if (value.type != OpalType::kBool) return broken();
            return ok_status();
        case orte::kJobOutputToFile: return cannot_spawn("write files on the renter's machine");
        default: return cannot_spawn("set attribute " + std::to_string(key) + " of a job");
    }
}

void read_words(OrteReader &reader) {
    const std::uint32_t count = reader.raw_u32();
    if (count > kSpawnWordsMax) reader.fail();
    for (std::uint32_t i = 0; reader.ok() && i < count; ++i)
        if (!reader.raw_text()) reader.fail();
}

Status check_app(OrteReader &reader) {
    reader.raw_u32();                       // its number
    if (!reader.raw_text()) reader.fail();  // the program
    if (reader.raw_u32() > kOrteRanksMax) reader.fail();
    reader.raw_u32();  // its first rank
    read_words(reader);
    read_words(reader);
    reader.raw_text();  // its folder
    const std::uint32_t count = reader.raw_u32();
    for (std::uint32_t i = 0; reader.ok() && i < count; ++i) {
        std::uint16_t key = 0;
        read_attribute(reader, key);
        if (reader.ok()) CHAIN_TRY(check_app_attribute(key));
    }
    return ok_status();
}

// How to place its ranks. Names of mappers are names of components, some of which read files.
Status check_map(OrteReader &reader) {
    const std::uint32_t maps = reader.raw_u32();
    if (maps > 1) reader.fail();
    if (maps != 1 || !reader.ok()) return ok_status();
    const auto mapper = reader.raw_text();
    const auto last_mapper = reader.raw_text();
    const std::uint16_t mapping = reader.raw_u16();
    reader.raw_u16();  // ranking
    reader.raw_u16();  // binding
    const auto per_resource = reader.raw_text();
    reader.raw_u16();   // processors for each rank
    reader.raw_bool();  // whether mpirun shows it
    reader.raw_u32();   // machines of it
    if (!reader.ok()) return ok_status();
    if (mapper || last_mapper || per_resource || mapping != 0)
        return cannot_spawn("say how ranks are mapped");
    return ok_status();
}

Status check_job(const OrteLeg &leg, OrteReader &reader) {
    if (reader.raw_u32() != orte::kJobidInvalid) reader.fail();  // mpirun gives it one
    const std::uint16_t flags = reader.raw_u16();
    if (reader.ok() && (flags & ~(orte::kJobFlagForwardOutput | orte::kJobFlagRecoverable)) != 0)
        return cannot_spawn("be anything but ranks");
    std::uint32_t count = reader.raw_u32();
    for (std::uint32_t i = 0; reader.ok() && i < count; ++i) {
        std::uint16_t key = 0;
        const OpalValue value = read_attribute(reader, key);
        if (reader.ok()) CHAIN_TRY(check_job_attribute(leg, key, value));
    }
    if (reader.raw_u32() != 0 && reader.ok())
        return cannot_spawn("pass on all that is in its MPI_Info");
    read_words(reader);  // kinds of programs: "ompi"
    count = reader.raw_u32();
    if (count == 0 || count > kSpawnAppsMax) reader.fail();
    for (std::uint32_t i = 0; reader.ok() && i < count; ++i) CHAIN_TRY(check_app(reader));
    reader.raw_u32();  // its ranks, so far none
    reader.raw_u32();
    reader.raw_u32();  // who reads standard input
    reader.raw_u32();
    CHAIN_TRY(check_map(reader));
    if (reader.raw_u32() != orte::kNoBookmark) reader.fail();  // a machine to begin with
    reader.raw_u32();                                          // its state
    return ok_status();
}

}  // namespace

Status check_spawn(const OrteLeg &leg, std::string_view payload) {
    OrteReader reader(payload);
    reader.u8();  // the command
    if (reader.raw_u32() != 1) return broken();
    CHAIN_TRY(check_job(leg, reader));
    return reader.is_done() ? ok_status() : Status(broken());
}

}  // namespace chain::daemon
