// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/orte_guard.h"

#include <cstring>
#include <utility>

#include "chain/daemon/orte_messages.h"
#include "chain/daemon/orte_protocol.h"
#include "chain/daemon/orte_reader.h"
#include "chain/daemon/orte_spawn.h"

namespace chain::daemon {
namespace {

Error refused(const std::string &what) {
    return make_error(ErrorCode::kProtocol, "its orted said to mpirun what none may say: ", what);
}

Error broken(std::uint32_t tag) {
    return refused("a broken message of kind " + std::to_string(tag));
}

// What orteds pass on for their ranks, which are the renter's.
Error asked_too_much(const std::string &what) {
    return make_error(ErrorCode::kRefused,
                      "a rank, or its orted, asked mpirun for too much: ", what);
}

// As it is in memory: Open MPI is built for machines of one kind, and leaves names in their order
// of bytes, which is mpirun's, and so ours.
OrteName name_in_header(std::string_view bytes) {
    OrteName name;
    std::memcpy(&name.jobid, bytes.data(), sizeof name.jobid);
    std::memcpy(&name.vpid, bytes.data() + sizeof name.jobid, sizeof name.vpid);
    return name;
}

}  // namespace

struct OrteGuard::Header {
    explicit Header(std::string_view bytes)
        : origin(name_in_header(bytes)),
          destination(name_in_header(bytes.substr(orte::kDestinationAt))),
          router(bytes.substr(orte::kRouterAt, orte::kRouterBytes)) {
        OrteReader reader(bytes.substr(orte::kTagAt));
        tag = reader.raw_u32();
        reader.raw_u32();  // a sequence number, at which nobody looks
        size_bytes = reader.raw_u32();
        type = reader.raw_u8();
    }
    OrteName origin;
    OrteName destination;
    std::uint32_t tag = 0;
    std::uint32_t size_bytes = 0;
    std::uint8_t type = 0;
    std::string_view router;
};

Status OrteGuard::take(std::string_view bytes, Bytes &passed) {
    while (!bytes.empty()) {
        const std::size_t wanted = due_bytes_ != 0 ? due_bytes_ : kOrteHeaderBytes;
        const std::string_view piece = bytes.substr(0, wanted - held_.size());
        held_ += piece;
        bytes.remove_prefix(piece.size());
        if (held_.size() < wanted) break;
        if (due_bytes_ == 0) {
            CHAIN_TRY(check_header());
            if (held_.size() < due_bytes_) continue;
        }
        CHAIN_TRY(check_whole());
        passed += held_;
        held_.clear();
        due_bytes_ = 0;
    }
    return ok_status();
}

// What can be known before the rest is here, so that little is held for those who have no say.
Status OrteGuard::check_header() {
    const Header header(held_);
    if (header.origin != OrteName{leg_.jobid, leg_.vpid})
        return refused("a message in another's name");
    if (header.type != (greeted_ ? orte::kTypeUser : orte::kTypeIdent))
        return refused("a message of type " + std::to_string(header.type));
    if (header.destination.jobid != leg_.jobid || header.destination.vpid >= leg_.daemon_count ||
        header.destination.vpid == leg_.vpid)
        return refused("a message for somebody who is not of this lease");
    if (header.router.find('\0') == std::string_view::npos)
        return refused("a header that does not end");
    if (header.size_bytes == 0) return refused("an empty message");
    if (header.size_bytes > kOrteMessageBytesMax)
        return asked_too_much("a message of " + std::to_string(header.size_bytes) + " bytes");
    due_bytes_ = kOrteHeaderBytes + header.size_bytes;
    return ok_status();
}

Status OrteGuard::check_whole() {
    const Header header(held_);
    const std::string_view payload = std::string_view(held_).substr(kOrteHeaderBytes);
    if (!greeted_) return check_greeting(header, payload);
    if (header.destination.vpid != 0) return check_relayed(header, payload);
    return check_for_mpirun(header.tag, payload);
}

Status OrteGuard::check_greeting(const Header &header, std::string_view payload) {
    if (header.destination.vpid != 0 || header.tag != 0 || payload != orte::kGreeting)
        return refused("a greeting of another Open MPI");
    greeted_ = true;
    return ok_status();
}

// Orteds know no way to each other: mpirun passes on what they ask of each other's ranks, and
// nothing else, as an orted obeys everybody, too.
Status OrteGuard::check_relayed(const Header &header, std::string_view payload) {
    const bool fits = (header.tag == orte::kTagDirectModex && is_modex_request(payload)) ||
                      (header.tag == orte::kTagDirectModexResponse && is_modex_response(payload));
    if (!fits)
        return refused("a message of kind " + std::to_string(header.tag) + " for another orted");
    return ok_status();
}

Status OrteGuard::count_kept(std::size_t size_bytes) {
    kept_bytes_ += size_bytes;
    kept_count_ += 1;
    if (kept_bytes_ > kOrteKeptBytesMax || kept_count_ > kOrteKeptMessagesMax)
        return asked_too_much("more than it should remember");
    return ok_status();
}

Status OrteGuard::check_plm(std::string_view payload) {
    switch (plm_command(payload)) {
        case orte::kPlmLaunchJob:
            CHAIN_TRY(count_kept(payload.size()));
            return check_spawn(leg_, payload);
        case orte::kPlmUpdateProcState:
            return is_state_update(leg_, payload) ? ok_status() : Status(broken(orte::kTagPlm));
        case orte::kPlmRegistered:
            return is_registration(leg_, payload) ? ok_status() : Status(broken(orte::kTagPlm));
        default: return broken(orte::kTagPlm);
    }
}

// mpirun remembers everybody who ever wrote.
Status OrteGuard::check_output(std::string_view payload) {
    OrteName writer;
    if (!is_output(leg_, payload, writer)) return broken(orte::kTagIofHnp);
    if (writer != OrteName()) writers_.insert(std::uint64_t{writer.jobid} << 32 | writer.vpid);
    if (writers_.size() > kOrteWritersMax)
        return asked_too_much("more ranks that write than it should remember");
    return ok_status();
}

Status OrteGuard::check_for_mpirun(std::uint32_t tag, std::string_view payload) {
    const auto fits = [tag](bool right) { return right ? ok_status() : Status(broken(tag)); };
    const auto keep = [this, tag, payload](bool right) -> Status {
        CHAIN_TRY(count_kept(payload.size()));
        if (right) return ok_status();
        return asked_too_much("a broken message of kind " + std::to_string(tag));
    };
    switch (tag) {
        case orte::kTagOrtedCallback:
            if (std::exchange(reported_, true)) return refused("twice that it is there");
            return fits(is_report(leg_, payload));
        case orte::kTagTopologyReport:
            if (std::exchange(has_topology_, true)) return refused("twice what its machine is");
            return fits(is_topology_report(payload));
        case orte::kTagPlm: return check_plm(payload);
        case orte::kTagIofHnp: return check_output(payload);
        case orte::kTagShowHelp: return keep(is_help(payload));
        case orte::kTagAllgatherDirect: return keep(is_gathered(leg_, payload));
        case orte::kTagDataServer: return keep(is_data_request(leg_, payload));
        case orte::kTagXcast: return asked_too_much("a command for all daemons");
        case orte::kTagDaemon: return refused("a command for the daemon in mpirun");
        default: return refused("a message of kind " + std::to_string(tag));
    }
}

}  // namespace chain::daemon
