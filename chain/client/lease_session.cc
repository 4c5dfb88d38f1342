// SPDX-License-Identifier: BSD-3-Clause
#include "chain/client/lease_session.h"

#include <cerrno>
#include <set>

#include <unistd.h>

#include "chain/base/clock.h"
#include "chain/base/descriptors.h"
#include "chain/wire/frame.h"

namespace chain::client {
namespace {

constexpr int kSendTimeoutMs = 10'000;
constexpr std::size_t kLeaseNodesMax = 4096;

std::unique_ptr<LeaseSession> the_session;

// trade.md 4: from here on escrow is locked.
bool is_funded_stage(const std::string &stage) {
    return stage == "funded" || stage == "starting" || stage == "running" || stage == "closing";
}

// What the daemon says about nodes ends in host lists and on terminals.
Status check_ready(const wire::LeaseReady &ready) {
    if (ready.nodes_size() == 0 || ready.nodes_size() > static_cast<int>(kLeaseNodesMax))
        return make_error(ErrorCode::kProtocol, "the daemon's lease has ", ready.nodes_size(),
                          " nodes.");
    std::set<std::string> hosts;
    for (const wire::LeaseNode &node : ready.nodes()) {
        if (!wire::is_valid_host_name(node.host()))
            return make_error(ErrorCode::kProtocol,
                              "the daemon's lease has a node without a "
                              "usable host name.");
        if (node.slot_count() == 0 || node.slot_count() > kLeaseSlotsMax)
            return make_error(ErrorCode::kProtocol, "the leased node ", node.host(), " has ",
                              node.slot_count(), " slots.");
        if (!hosts.insert(node.host()).second)
            return make_error(ErrorCode::kConflict, "two leased peers are both named ", node.host(),
                              "; one of their owners must choose another name "
                              "(ompi-chain offer set).");
    }
    return ok_status();
}

// With one byte. False: errno.
bool send_descriptor(int socket, int descriptor) {
    const char byte = 0;
    for (int waited_ms = 0; waited_ms < kSendTimeoutMs;) {
        if (send_descriptors(socket, &byte, sizeof byte, std::span(&descriptor, 1))) return true;
        if (errno != EINTR && errno != EAGAIN) return false;
        if (errno == EINTR) continue;
        usleep(1'000);
        ++waited_ms;
    }
    errno = ETIMEDOUT;
    return false;
}

}  // namespace

LeaseSession *LeaseSession::current() {
    return the_session.get();
}

void LeaseSession::drop() {
    the_session.reset();
}

Result<LeaseSession *> LeaseSession::open(const std::string &socket_path,
                                          const wire::LeaseOpenCall &call) {
    CHAIN_CHECK(the_session == nullptr);
    CHAIN_ASSIGN(Client client, Client::connect(socket_path));
    wire::ControlRequest request;
    *request.mutable_lease_open() = call;
    CHAIN_ASSIGN(const std::uint64_t id, client.start(std::move(request), kSendTimeoutMs));
    the_session.reset(new LeaseSession(std::move(client), socket_path, call));
    the_session->open_id_ = id;
    return the_session.get();
}

std::optional<SessionNews> LeaseSession::next_news() {
    while (!lost_) {
        auto reply = client_.poll(0);
        if (!reply.ok()) {
            lost_ = true;
            return SessionNews{SessionNews::Kind::kConnectionLost, {}, reply.error(), {}, {}};
        }
        if (!*reply) return std::nullopt;
        if (auto news = understand(**reply)) return news;
    }
    return std::nullopt;
}

std::optional<SessionNews> LeaseSession::understand(const wire::ControlReply &reply) {
    SessionNews news{};
    if (reply.has_lease_event()) {
        news.kind = SessionNews::Kind::kLeaseEvent;
        news.event = reply.lease_event();
        return news;
    }
    if (reply.id() == open_id_ && !is_ready()) return understand_open(reply);
    if (reply.id() == launch_id_ && launch_id_ != 0) {
        launch_id_ = 0;
        news.kind = SessionNews::Kind::kLaunched;
        if (reply.has_error()) {
            news.kind = SessionNews::Kind::kLaunchFailed;
            news.error = Error{error_code_from_name(reply.error().code()), reply.error().message()};
        }
        return news;
    }
    return std::nullopt;
}

SessionNews LeaseSession::understand_open(const wire::ControlReply &reply) {
    SessionNews news{};
    news.kind = SessionNews::Kind::kOpenFailed;
    if (reply.has_lease_progress()) {
        news.kind = SessionNews::Kind::kProgress;
        funded_ = funded_ || is_funded_stage(reply.lease_progress().stage());
        news.text = reply.lease_progress().stage();
        if (!reply.lease_progress().detail().empty())
            news.text += ": " + reply.lease_progress().detail();
    } else if (reply.has_bill()) {
        news.kind = SessionNews::Kind::kReserved;
        news.bill = reply.bill();
        funded_ = call_.reservation().empty();  // else it stays reserved, whatever happens here
    } else if (reply.has_error()) {
        news.error = Error{error_code_from_name(reply.error().code()), reply.error().message()};
        funded_ = false;  // what was reserved is none of this connection's any more
    } else if (!reply.has_lease_ready()) {
        news.error = make_error(ErrorCode::kProtocol, "the daemon's answer is no lease.");
    } else if (const Status usable = check_ready(reply.lease_ready()); !usable.ok()) {
        funded_ = true;
        news.error = usable.error();
    } else {
        funded_ = true;
        ready_ = reply.lease_ready();
        news.kind = SessionNews::Kind::kReady;
    }
    return news;
}

const wire::LeaseNode *LeaseSession::node_by_host(const std::string &host) const {
    if (ready_)
        for (const wire::LeaseNode &node : ready_->nodes())
            if (node.host() == host) return &node;
    return nullptr;
}

const wire::LeaseNode *LeaseSession::node_by_leg(std::uint32_t leg) const {
    if (ready_)
        for (const wire::LeaseNode &node : ready_->nodes())
            if (node.leg() == leg) return &node;
    return nullptr;
}

Status LeaseSession::attach(const std::vector<std::uint32_t> &legs,
                            const std::vector<FileDescriptor> &sockets,
                            const FileDescriptor &device) {
    CHAIN_CHECK(is_ready() && legs.size() == sockets.size());
    CHAIN_ASSIGN(Client client, Client::connect(socket_path_));
    wire::ControlRequest request;
    request.mutable_lease_attach()->set_lease_id(ready_->lease_id());
    for (const std::uint32_t leg : legs) request.mutable_lease_attach()->add_legs(leg);
    request.mutable_lease_attach()->set_device(device.valid());
    CHAIN_ASSIGN([[maybe_unused]] const auto ready,
                 client.call(std::move(request), kSendTimeoutMs));
    if (device.valid() && !send_descriptor(client.fd(), device.get()))
        return errno_error(errno, "hand the network's device to the daemon");
    for (const FileDescriptor &socket : sockets)
        if (!send_descriptor(client.fd(), socket.get()))
            return errno_error(errno, "hand a connection to the daemon");
    return ok_status();
}

Status LeaseSession::launch(const std::vector<wire::NodeLaunch> &nodes) {
    CHAIN_CHECK(is_ready());
    wire::ControlRequest request;
    for (const wire::NodeLaunch &node : nodes) *request.mutable_lease_launch()->add_nodes() = node;
    was_launched_ = true;
    CHAIN_ASSIGN(launch_id_, client_.start(std::move(request), kSendTimeoutMs));
    return ok_status();
}

void LeaseSession::note_end(const std::string &ended_by, const std::string &reason) {
    if (!ended_by_.empty()) return;
    ended_by_ = ended_by;
    reason_ = reason;
}

void LeaseSession::note_loss(std::uint32_t leg, const std::string &reason) {
    wire::ToleratedLoss &loss = losses_.emplace_back();
    loss.set_leg(leg);
    loss.set_reason(reason);
}

wire::Bill LeaseSession::close(int exit_status, int timeout_ms) {
    if (lost_)
        return known_bill(
            make_error(ErrorCode::kDaemonNotRunning, "the daemon of this machine went away"));
    wire::ControlRequest request;
    wire::LeaseCloseCall &call = *request.mutable_lease_close();
    call.set_exit_status(exit_status);
    call.set_ended_by(ended_by_.empty() ? "renter" : ended_by_);
    call.set_reason(reason_);
    for (const wire::ToleratedLoss &loss : losses_) *call.add_losses() = loss;
    auto id = client_.start(std::move(request), kSendTimeoutMs);
    if (!id.ok()) return known_bill(id.error());
    const auto patience_ms = static_cast<std::uint64_t>(timeout_ms);
    std::uint64_t give_up_ms = system_clock().steady_ms() + patience_ms;
    for (;;) {
        const std::uint64_t now_ms = system_clock().steady_ms();
        if (now_ms >= give_up_ms)
            return known_bill(make_error(ErrorCode::kTimeout, "the daemon had no bill within ",
                                         timeout_ms, " ms; it is made all the same"));
        auto reply = client_.poll(static_cast<int>(give_up_ms - now_ms));
        if (!reply.ok()) return known_bill(reply.error());
        if (!*reply || (*reply)->id() != *id) continue;
        if ((*reply)->has_lease_progress())  // results are coming
            give_up_ms = system_clock().steady_ms() + patience_ms;
        if ((*reply)->has_bill()) return (*reply)->bill();
        if ((*reply)->has_error())
            return known_bill(
                Error{error_code_from_name((*reply)->error().code()), (*reply)->error().message()});
    }
}

wire::Bill LeaseSession::known_bill(const Error &why) const {
    wire::Bill bill;
    bill.set_state("unknown");
    bill.set_ended_by(ended_by_);
    bill.set_reason(reason_);
    bill.set_role("renter");
    bill.set_command(call_.command());
    if (ready_) {
        bill.set_lease_id(ready_->lease_id());
        bill.set_price_per_ghz_h(ready_->price_per_ghz_h());
        for (const wire::LeaseNode &node : ready_->nodes()) {
            wire::BillLeg &leg = *bill.add_legs();
            leg.set_provider(node.provider());
            leg.set_host(node.host());
            leg.set_slots(node.slot_count());
        }
    }
    bill.add_notices("No bill: " + why.message + ". `ompi-chain lease show" +
                     (ready_ ? " " + ready_->lease_id() : std::string()) +
                     "` has it when the daemon is there again.");
    if (was_launched_) {
        bill.set_results_lost(true);
        bill.add_notices("Results may be missing: `ompi-chain lease fetch " + ready_->lease_id() +
                         "` gets those that did not come back.");
    }
    return bill;
}

}  // namespace chain::client
