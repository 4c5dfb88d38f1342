// SPDX-License-Identifier: BSD-3-Clause
//
// RenterLease: the network of the lease: who is in it, the way for legs that do not reach each
// other, and from mpirun to the orteds.
#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/socket.h>

#include "chain/base/descriptors.h"
#include "chain/base/log.h"
#include "chain/base/text.h"
#include "chain/daemon/log_categories.h"
#include "chain/daemon/renter_lease.h"

namespace chain::daemon {
std::vector<NetworkMember> RenterLease::members() const {
    std::vector<NetworkMember> members;
    members.push_back({node_.node_key.public_key(), node_.network.reachable_address(), {}});
    for (const LegState &leg : legs_)
        members.push_back({leg.award.offer.node_key, leg.award.offer.address, leg.host});
    return members;
}

wire::LeaseNetwork RenterLease::describe_network() const {
    wire::LeaseNetwork network = format_members(members());
    network.set_renter_has_ranks(has_home());
    return network;
}

void RenterLease::on_network(std::uint32_t leg, const wire::NetworkReport &report) {
    if (phase_ < Phase::kFunding || phase_ >= Phase::kEnding || is_plain()) return;
    if (!report.up()) return relay(leg, report.leg(), report.reason());
    legs_[leg].connected = true;
    for (const wire::MemberDistance &distance : report.distances())
        distances_.measured(overlay::member_of_leg(leg), distance.member(),
                            distance.round_trip_us());
    become_ready_if_all_are();
}

// In which their ranks are numbered; those of this machine come first.
std::vector<std::uint32_t> RenterLease::leg_order() const {
    market::Distances distances = distances_;
    if (network_ != nullptr)
        for (const wire::MemberDistance &distance : network_->distances())
            distances.measured(overlay::kRenter, distance.member(), distance.round_trip_us());
    std::vector<std::uint32_t> order;
    for (const std::uint32_t member : market::neighbour_order(
             distances, has_home() ? overlay::kRenter : overlay::member_of_leg(0)))
        if (member != overlay::kRenter) order.push_back(member - overlay::member_of_leg(0));
    return order;
}

void RenterLease::become_ready_if_all_are() {
    if (phase_ != Phase::kStaging) return;
    const bool staged =
        std::all_of(legs_.begin(), legs_.end(), [](const LegState &leg) { return leg.staged; });
    if (!staged) return;
    const auto missing = std::find_if(legs_.begin(), legs_.end(),
                                      [](const LegState &leg) { return !leg.connected; });
    if (is_plain() || (missing == legs_.end() && reaches_all_legs())) return become_ready();
    set_deadline(kNetworkWaitMs + kNetworkWaitMsPerLeg * legs_.size(), [this] {
        for (std::uint32_t leg = 0; leg < legs_.size(); ++leg) {
            const market::Offer &offer = legs_[leg].award.offer;
            if (legs_[leg].connected) continue;
            return fail_leg(leg,
                            make_error(ErrorCode::kPeerLost, name_peer(offer.host, offer.provider),
                                       " did not reach the other peers in time"));
        }
        fail(make_error(ErrorCode::kPeerLost,
                        "the ranks of this machine did not reach those of the peers in time"));
    });
}

// With ranks of this machine as a member like others, else only to pass packets on.
void RenterLease::join_network() {
    if (network_ != nullptr) return;
    network_ = std::make_unique<LeaseNetwork>(
        node_, id_, overlay::kRenter, members(),
        [this](std::uint32_t member, bool up, const std::string &why) {
            on_member(member, up, why);
        });
    if (!joins_network()) return;
    for (std::uint32_t leg = 0; leg < legs_.size(); ++leg)
        network_->want(overlay::member_of_leg(leg));
}

void RenterLease::on_member(std::uint32_t member, bool up, const std::string &why) {
    if (!up) return on_member_lost(member, why);
    become_ready_if_all_are();
}

// Two legs of which neither reaches the other: what they say to each other goes through here.
void RenterLease::relay(std::uint32_t leg, std::uint32_t other, const std::string &why) {
    if (other >= legs_.size() || other == leg) return;
    if (legs_[leg].failed || legs_[other].failed) return;  // nobody looks for it any more
    if (!legs_[leg].relayed.insert(other).second) return;
    legs_[other].relayed.insert(leg);
    const std::string pair = legs_[leg].host + " and " + legs_[other].host;
    log(LogLevel::kNote, kRenterLog, "lease ", short_hex(id_), ": ", pair,
        " do not reach each other (", plain_text(why, stage::kTextBytesMax),
        "): their packets go through this machine");
    join_network();
    for (const auto &[here, there] : {std::pair(leg, other), std::pair(other, leg)}) {
        network_->want(overlay::member_of_leg(here));
        wire::TradeMessage message = trade_message(leg_key(here));
        message.mutable_network_relay()->set_leg(there);
        static_cast<void>(node_.send_trade(legs_[here].award.offer.node_key, message));
    }
}

// Nobody's fault that could be proved: the job ends, or goes on without it, and both are paid for
// what they did.
void RenterLease::on_member_lost(std::uint32_t member, const std::string &why) {
    const std::uint32_t index = member - overlay::member_of_leg(0);
    LegState &leg = legs_[index];
    if (leg.failed) return;
    const std::string text =
        leg.host +
        (joins_network() ? " does not reach this machine: "
                         : " does not reach the other peers, nor through this machine: ") +
        why;
    if (phase_ < Phase::kReady) return fail_leg(index, make_error(ErrorCode::kPeerLost, text));
    if (phase_ >= Phase::kEnding) return;
    if (!call_.spec().tolerate_loss()) return end_soon(text);
    leg_lost(index, text, false);
    leg.dismissed = true;
    wire::TradeMessage message = trade_message(leg_key(index));
    message.mutable_end_leg()->set_reason(text);
    *message.mutable_end_leg()->mutable_stage_out() = call_.stage_out();
    static_cast<void>(node_.send_trade(leg.award.offer.node_key, message));
}

void RenterLease::take_channel(const PublicKey &peer, std::uint32_t from, p2p::Channel channel) {
    if (network_ != nullptr) network_->take_channel(peer, from, std::move(channel));
}

// ---- mpirun's own connections

void RenterLease::attach(const ControlConnectionPtr &client, std::uint64_t request_id,
                         const wire::LeaseAttachCall &call) {
    if (phase_ != Phase::kReady || is_plain() || is_attached_)
        return client->fail(request_id,
                            make_error(ErrorCode::kConflict, "nothing can be attached to it now"));
    for (const std::uint32_t leg : call.legs())
        if (leg >= legs_.size())
            return client->fail(request_id, make_error(ErrorCode::kInvalidInput, "no leg ", leg));
    if (call.device() != joins_network())
        return client->fail(request_id, make_error(ErrorCode::kInvalidInput,
                                                   "a device comes with ranks of this machine, "
                                                   "and only then"));
    auto socket = client->take_over();
    if (!socket.ok()) return client->fail(request_id, socket.error());
    is_attached_ = true;
    attach_client_ = client;
    attach_socket_ = std::move(*socket);
    device_comes_ = call.device();
    attach_legs_.assign(call.legs().rbegin(), call.legs().rend());  // the next one is the last
    // At once: an orted may have its say before the connection is here.
    for (const std::uint32_t leg : call.legs())
        legs_[leg].stream = std::make_unique<ControlStream>(
            node_, leg_key(leg), legs_[leg].award.offer.node_key, ControlStream::End::kMpirun);
    attach_watch_ = node_.loop.on_readable(attach_socket_.get(), [this] { take_sockets(); });
    client->done(request_id);
}

void RenterLease::take_sockets() {
    while (device_comes_ || !attach_legs_.empty()) {
        char byte = 0;
        int fd = -1;
        const ssize_t got = receive_descriptors(attach_socket_.get(), &byte, sizeof byte,
                                                std::span(&fd, 1), MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) return;
        FileDescriptor socket(fd);
        // mpirun is gone, or broken: the connection of the lease says so, too
        if (got != 1 || !socket.valid()) break;
        if (std::exchange(device_comes_, false)) {
            network_->attach(std::move(socket));
            continue;
        }
        const std::uint32_t leg = attach_legs_.back();
        attach_legs_.pop_back();
        if (legs_[leg].stream != nullptr) legs_[leg].stream->attach(std::move(socket));
    }
    end_attaching();
}

void RenterLease::end_attaching() {
    attach_watch_.cancel();
    attach_socket_.reset();
    if (attach_client_ != nullptr) std::exchange(attach_client_, nullptr)->give_back();
}

void RenterLease::on_stream(std::uint32_t leg, const wire::Stream &stream) {
    if (legs_[leg].stream == nullptr) return;  // over already
    const Status taken = legs_[leg].stream->on_message(stream);
    if (taken.ok()) return;
    legs_[leg].stream.reset();  // not a byte more
    const market::Offer &offer = legs_[leg].award.offer;
    log(LogLevel::kWarning, kRenterLog, "lease ", short_hex(id_), ": ",
        name_peer(offer.host, offer.provider), ": ", taken.error().message);
    if (taken.error().code != ErrorCode::kRefused)
        return node_.network.disconnect(offer.node_key, taken.error().message);
    // It may be the program that asked for it, which is the renter's: nobody is blamed.
    if (phase_ < Phase::kEnding) end_soon(legs_[leg].host + ": " + taken.error().message);
}

}  // namespace chain::daemon
