// SPDX-License-Identifier: BSD-3-Clause
//
// ProviderLeg: the network of the lease: the way to the other legs, and from orted to mpirun.
#include <algorithm>
#include <utility>

#include <sys/socket.h>

#include "chain/base/log.h"
#include "chain/base/text.h"
#include "chain/daemon/log_categories.h"
#include "chain/daemon/provider_leg.h"
#include "chain/stage/staged_file.h"

namespace chain::daemon {
// The renter says who is where, and must not be able to send this daemon to whatever address it
// likes: what no offer names is not dialled. The others may dial, and the renter is a way, too.
std::vector<NetworkMember> ProviderLeg::members_to_dial() const {
    std::vector<NetworkMember> members = terms_.members;
    const std::vector<p2p::PeerView> peers = node_.network.peers();
    const bool renter_is_there =
        std::any_of(peers.begin(), peers.end(), [&](const p2p::PeerView &peer) {
            return peer.node_key == peer_ && peer.address == members.front().address;
        });
    if (!renter_is_there) members.front().address.clear();
    for (std::size_t i = overlay::member_of_leg(0); i < members.size(); ++i)
        if (i != own_member() && !node_.book.has_address(members[i].node_key, members[i].address))
            members[i].address.clear();
    return members;
}

// Once the lease is funded, or another leg says so by its channel: its ledger may be ahead.
void ProviderLeg::begin_network() {
    if (network_ != nullptr || terms_.members.empty() || phase_ >= Phase::kPacking) return;
    stream_ = std::make_unique<ControlStream>(node_, key_, peer_, ControlStream::End::kOrted);
    network_ = std::make_unique<LeaseNetwork>(
        node_, key_.lease, own_member(), members_to_dial(),
        [this](std::uint32_t member, bool up, const std::string &why) {
            on_member(member, up, why);
        });
    if (terms_.renter_has_ranks) network_->want(overlay::kRenter);
    for (std::uint32_t member = overlay::member_of_leg(0); member < terms_.members.size(); ++member)
        network_->want(member);
    if (network_->reaches_all()) on_member(own_member(), true, {});  // alone
}

void ProviderLeg::take_channel(const PublicKey &peer, std::uint32_t from, p2p::Channel channel) {
    if (from >= terms_.members.size() || terms_.members[from].node_key != peer) return;
    begin_network();
    if (network_ != nullptr) network_->take_channel(peer, from, std::move(channel));
}

void ProviderLeg::on_member(std::uint32_t member, bool up, const std::string &why) {
    wire::NetworkReport report;
    if (network_->reaches_all()) {
        report.set_up(true);
        for (wire::MemberDistance &distance : network_->distances())
            *report.add_distances() = std::move(distance);
    } else if (!up && member != overlay::kRenter) {
        report.set_leg(member - overlay::member_of_leg(0));
        // Not more: what answers at an address of this machine's network is not the renter's to
        // know.
        report.set_reason("no connection in time");
        log(LogLevel::kNote, kProviderLog, "lease ", short_hex(key_.lease), " leg ", key_.leg,
            " does not reach leg ", report.leg(), ": ", why);
    } else {
        return;  // others are still on their way; and what it is to the renter, that one sees
                 // itself
    }
    report_network(report);
}

void ProviderLeg::report_network(const wire::NetworkReport &report) {
    wire::TradeMessage message = trade_message(key_);
    *message.mutable_network_report() = report;
    if (renter_here_) static_cast<void>(node_.send_trade(peer_, message));
}

void ProviderLeg::relay_network(std::uint32_t leg) {
    const std::size_t member = std::size_t{leg} + overlay::member_of_leg(0);
    if (network_ == nullptr || member >= terms_.members.size() || member == own_member()) return;
    network_->pass_through_renter(static_cast<std::uint32_t>(member));
}

// orted connects once; whoever else does so is a rank that means harm to its own job only.
void ProviderLeg::attach_network(provider::Sandbox::NetworkEnds ends) {
    if (network_ == nullptr) return;  // the leg has ended meanwhile
    network_->attach(std::move(ends.device));
    listener_ = std::move(ends.listener);
    listener_watch_ = node_.loop.on_readable(listener_.get(), [this] {
        FileDescriptor socket(
            accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (socket.valid() && stream_ != nullptr) stream_->attach(std::move(socket));
    });
}

void ProviderLeg::on_drained() {
    if (stream_ != nullptr) stream_->on_drained();
}

}  // namespace chain::daemon
