// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/orte_messages.h"

#include <algorithm>
#include <string>

#include "chain/daemon/orte_protocol.h"
#include "chain/daemon/orte_reader.h"

namespace chain::daemon {
namespace {

constexpr std::uint32_t kContactsMax = 8;
constexpr std::uint32_t kKeysMax = 1024;  // published or looked up at once

// A job that this mpirun started for its user, and not its own daemons.
bool is_job(const OrteLeg &leg, std::uint32_t jobid) {
    return orte::family_of(jobid) == orte::family_of(leg.jobid) && orte::local_job_of(jobid) > 0;
}

// Of one, or of all.
bool is_rank_number(std::uint32_t vpid) {
    return vpid < kOrteRanksMax || vpid == orte::kVpidWildcard;
}

bool is_short_word(std::string_view text) {
    return !text.empty() && text.size() <= kOrteNameBytesMax &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

// Where it listens, it and its PMIx: "JOBID.VPID;tcp://...".
bool is_contact(const OrteLeg &leg, const OpalValue &value) {
    const std::string begin = std::to_string(leg.jobid) + "." + std::to_string(leg.vpid) + ";";
    return (value.key == "opal.puri" || value.key == "pmix.srvr.uri" ||
            value.key == "pmix.mysrvr.uri") &&
           value.text && is_short_word(*value.text) && value.text->starts_with(begin);
}

// The machine as hwloc's XML, and what can be bound there.
void read_topology(OrteReader &reader) {
    if (reader.raw_u32() != 1) reader.fail();
    if (reader.some_text().size() > kOrteTopologyBytesMax) reader.fail();
    for (int kind = 0; kind < 3; ++kind) reader.bytes();
}

// mpirun makes room for what it is told to, and reads what is in it without a look at its end.
void read_packed(OrteReader &reader) {
    const std::uint64_t packed_bytes = reader.size();
    const std::uint64_t whole_bytes = reader.size();
    if (reader.bytes().size() != packed_bytes || packed_bytes == 0 || whole_bytes == 0 ||
        whole_bytes > kOrteTopologyBytesMax)
        reader.fail();
}

bool is_known_state(std::uint32_t state) {
    if (state <= orte::kStateTerminated) return true;
    return state >= orte::kStateFirstError && state <= orte::kStateLastError &&
           state != orte::kStateHeartbeatFailed && state != orte::kStateMigrating;
}

void read_keys(OrteReader &reader) {
    const std::uint32_t count = reader.u32();
    if (count == 0 || count > kKeysMax) reader.fail();
    for (std::uint32_t i = 0; reader.ok() && i < count; ++i) reader.some_text();
}

void read_values(OrteReader &reader) {
    for (std::uint32_t i = 0; reader.has_more(); ++i) {
        if (i == kKeysMax) reader.fail();
        reader.value();
    }
}

}  // namespace

bool is_rank(const OrteLeg &leg, const OrteName &name) {
    return is_job(leg, name.jobid) && name.vpid < kOrteRanksMax;
}

bool is_report(const OrteLeg &leg, std::string_view payload) {
    OrteReader reader(payload);
    if (reader.name() != OrteName{leg.jobid, leg.vpid}) return false;
    const std::uint32_t contacts = reader.u32();
    if (contacts > kContactsMax) return false;
    for (std::uint32_t i = 0; i < contacts; ++i)
        if (!is_contact(leg, reader.value())) return false;
    if (!is_short_word(reader.some_text())) return false;
    const std::string_view kind = reader.some_text();
    // mpirun looks for the colon before the order of bytes, and goes on from there.
    if (!is_short_word(kind) || kind.find(':') == std::string_view::npos) return false;
    if (leg.vpid == 1) reader.u8() != 0 ? read_packed(reader) : read_topology(reader);
    return reader.is_done();
}

bool is_topology_report(std::string_view payload) {
    OrteReader reader(payload);
    if (reader.u8() != 0) {
        read_packed(reader);
        return reader.is_done();
    }
    if (!is_short_word(reader.some_text())) return false;
    read_topology(reader);
    // Coprocessors: none, or mpirun's tables are changed by name.
    if (reader.text() || reader.text()) return false;
    return reader.is_done();
}

std::uint8_t plm_command(std::string_view payload) {
    return OrteReader(payload).u8();
}

// Of ranks of any job; of the daemons only of itself, when it gives up.
bool is_state_update(const OrteLeg &leg, std::string_view payload) {
    OrteReader reader(payload);
    reader.u8();
    while (reader.has_more()) {
        const std::uint32_t jobid = reader.u32();
        if (jobid != leg.jobid && !is_job(leg, jobid)) return false;
        while (reader.has_more()) {  // one rank alone has no end mark
            const std::uint32_t vpid = reader.u32();
            if (vpid == orte::kVpidInvalid) break;
            const std::uint32_t pid = reader.pid();
            const std::uint32_t state = reader.u32();
            reader.u32();  // exit code
            if (static_cast<std::int32_t>(pid) < 0 || !is_known_state(state)) return false;
            const bool own = vpid == leg.vpid && state == orte::kStateCalledAbort;
            if (jobid == leg.jobid ? !own : vpid >= kOrteRanksMax) return false;
        }
    }
    return reader.is_done();
}

bool is_registration(const OrteLeg &leg, std::string_view payload) {
    OrteReader reader(payload);
    reader.u8();
    const std::uint32_t jobid = reader.u32();
    while (reader.has_more())
        if (reader.u32() >= kOrteRanksMax) return false;
    return is_job(leg, jobid) && reader.is_done();
}

bool is_output(const OrteLeg &leg, std::string_view payload, OrteName &writer) {
    OrteReader reader(payload);
    const std::uint16_t stream = reader.u16();
    if (stream == orte::kIofOn || stream == orte::kIofOff) return reader.is_done();
    if (stream != orte::kIofStdout && stream != orte::kIofStderr && stream != orte::kIofDiagnostics)
        return false;
    writer = reader.name();
    reader.bytes();
    return is_rank(leg, writer) && reader.is_done();
}

bool is_help(std::string_view payload) {
    OrteReader reader(payload);
    reader.some_text();  // the file and the topic that it comes from: mpirun only compares them
    reader.some_text();
    if (reader.u8() != 0) reader.some_text();
    return reader.is_done();
}

bool is_gathered(const OrteLeg &leg, std::string_view payload) {
    OrteReader reader(payload);
    if (reader.raw_u32() != 1) return false;
    const std::uint64_t count = reader.size();
    if (count == 0 || count > kOrteRanksMax || reader.raw_u32() != count) return false;
    bool right = true;  // names in an array: first all their jobs
    for (std::uint64_t i = 0; reader.ok() && i < count; ++i)
        right = is_job(leg, reader.raw_u32()) && right;
    for (std::uint64_t i = 0; reader.ok() && i < count; ++i)
        right = is_rank_number(reader.raw_u32()) && right;
    return right && reader.ok();  // what follows is PMIx's
}

bool is_data_request(const OrteLeg &leg, std::string_view payload) {
    OrteReader reader(payload);
    reader.integer();  // the number of the request there, which comes back
    switch (reader.u8()) {
        case orte::kDataPublish:
            if (!is_rank(leg, reader.name())) return false;
            reader.u8();       // for whom
            reader.integer();  // for how long
            read_values(reader);
            break;
        case orte::kDataLookUp:
            if (!is_job(leg, reader.u32())) return false;
            reader.u8();
            read_keys(reader);
            read_values(reader);
            break;
        case orte::kDataUnpublish:
            if (!is_rank(leg, reader.name())) return false;
            reader.integer();
            read_keys(reader);
            read_values(reader);
            break;
        case orte::kDataPurge:
            if (const OrteName of = reader.name();
                !is_job(leg, of.jobid) || !is_rank_number(of.vpid))
                return false;
            break;
        default: return false;
    }
    return reader.is_done();
}

bool is_modex_request(std::string_view payload) {
    OrteReader reader(payload);
    reader.name();
    reader.integer();
    return reader.is_done();
}

bool is_modex_response(std::string_view payload) {
    OrteReader reader(payload);
    reader.integer();
    reader.name();
    reader.integer();
    return reader.ok();
}

}  // namespace chain::daemon
