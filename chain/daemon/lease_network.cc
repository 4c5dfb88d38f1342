// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/lease_network.h"

#include <algorithm>

#include "chain/base/log.h"
#include "chain/daemon/log_categories.h"
#include "chain/wire/frame.h"

namespace chain::daemon {
namespace {

constexpr std::size_t kNumberBytes = 4;
constexpr std::size_t kAddressBytesMax = 300;

Result<NetworkMember> parse_member(const wire::NetworkMember &member, bool has_host) {
    NetworkMember parsed;
    CHAIN_ASSIGN(parsed.node_key, to_bytes32(member.node_key(), "a member's node key"));
    if (member.address().size() > kAddressBytesMax)
        return make_error(ErrorCode::kProtocol, "a member's address is too long");
    if (has_host && !wire::is_valid_host_name(member.host()))
        return make_error(ErrorCode::kProtocol, "a member's host has an odd name");
    parsed.address = member.address();
    parsed.host = member.host();
    return parsed;
}

void format_member(const NetworkMember &member, wire::NetworkMember &out) {
    out.set_node_key(to_bytes(member.node_key));
    out.set_address(member.address);
    out.set_host(member.host);
}

}  // namespace

Bytes ChannelLabel::format() const {
    Bytes label = to_bytes(lease);
    append_u32_le(label, from);
    append_u32_le(label, to);
    return label;
}

Result<ChannelLabel> ChannelLabel::parse(std::string_view label) {
    ChannelLabel parsed;
    if (label.size() != parsed.lease.size() + 2 * kNumberBytes)
        return make_error(ErrorCode::kProtocol, "a channel for nothing that is known here");
    CHAIN_ASSIGN(parsed.lease, to_bytes32(label.substr(0, parsed.lease.size()), "lease id"));
    label.remove_prefix(parsed.lease.size());
    parsed.from = read_u32_le(label);
    parsed.to = read_u32_le(label.substr(kNumberBytes));
    return parsed;
}

wire::LeaseNetwork format_members(const std::vector<NetworkMember> &members) {
    wire::LeaseNetwork network;
    format_member(members.front(), *network.mutable_renter());
    for (std::size_t i = overlay::member_of_leg(0); i < members.size(); ++i)
        format_member(members[i], *network.add_legs());
    return network;
}

Result<std::vector<NetworkMember>> parse_members(const wire::LeaseNetwork &network,
                                                 std::uint32_t leg_count) {
    if (static_cast<std::uint32_t>(network.legs_size()) != leg_count ||
        leg_count >= overlay::kMembersMax)
        return make_error(ErrorCode::kProtocol, "the network of the lease has not its legs");
    std::vector<NetworkMember> members;
    CHAIN_ASSIGN(NetworkMember renter, parse_member(network.renter(), false));
    members.push_back(std::move(renter));
    for (const wire::NetworkMember &leg : network.legs()) {
        CHAIN_ASSIGN(NetworkMember member, parse_member(leg, true));
        members.push_back(std::move(member));
    }
    return members;
}

LeaseNetwork::LeaseNetwork(Node &node, const ledger::LeaseId &lease, std::uint32_t own,
                           std::vector<NetworkMember> members, ChangeHandler on_change)
    : node_(node),
      lease_(lease),
      own_(own),
      members_(std::move(members)),
      on_change_(std::move(on_change)),
      ways_(members_.size()),
      engine_(node.loop, own, static_cast<std::uint32_t>(members_.size()),
              [this](std::uint32_t member, bool up, const std::string &why) {
                  on_engine(member, up, why);
              }) {}

LeaseNetwork::~LeaseNetwork() {
    *alive_ = false;
    const auto passed = engine_.counters();
    log(LogLevel::kDebug, kNetworkLog, "lease ", short_hex(lease_), " member ", own_, ": sent ",
        passed.sent_bytes, " bytes, received ", passed.received_bytes, ", passed on ",
        passed.passed_packets, " packets, dropped ", passed.dropped_packets);
}

bool LeaseNetwork::reaches_all() const {
    const bool renter_up = ways_[overlay::kRenter].up;
    return std::all_of(ways_.begin(), ways_.end(), [renter_up](const Way &way) {
        return way.up || !way.wanted || (way.through_renter && renter_up);
    });
}

std::vector<wire::MemberDistance> LeaseNetwork::distances() const {
    std::vector<wire::MemberDistance> distances;
    for (std::uint32_t member = 0; member < ways_.size(); ++member) {
        if (!ways_[member].up) continue;
        wire::MemberDistance &distance = distances.emplace_back();
        distance.set_member(member);
        distance.set_round_trip_us(engine_.round_trip_us(member));
    }
    return distances;
}

void LeaseNetwork::want(std::uint32_t member) {
    Way &way = ways_[member];
    if (member == own_ || way.wanted) return;
    way.wanted = true;
    if (!way.up) seek(member);
}

bool LeaseNetwork::dials_first(std::uint32_t member) const {
    return own_ > member ? !members_[member].address.empty() : members_[own_].address.empty();
}

// Both ways of getting there are open, and the time runs.
void LeaseNetwork::seek(std::uint32_t member) {
    Way &way = ways_[member];
    const std::uint64_t patience_ms =
        std::min(kUnreachableMs + kUnreachableMsPerPair * pair_count(), kUnreachableMsMax);
    way.report_timer = node_.loop.after_ms(patience_ms, [this, member] {
        Way &late = ways_[member];
        late.report_timer.cancel();
        if (late.up || std::exchange(late.reported, true)) return;
        on_change_(member, false,
                   late.last_error.empty() ? "nobody answers" : std::string(late.last_error));
    });
    dial_after(member,
               dials_first(member) ? 0 : kOtherDialsMs + kOtherDialsMsPerPair * pair_count());
}

void LeaseNetwork::dial_after(std::uint32_t member, std::uint64_t ms) {
    ways_[member].dial_timer = node_.loop.after_ms(ms, [this, member] { dial(member); });
}

// The renter is a way, too, and costs less: a relay is for where that itself is reached by one.
bool LeaseNetwork::may_relay(std::uint32_t member) const {
    const PublicKey &key = members_[own_ == overlay::kRenter ? member : overlay::kRenter].node_key;
    const std::vector<p2p::PeerView> peers = node_.network.peers();
    return std::any_of(peers.begin(), peers.end(), [&](const p2p::PeerView &peer) {
        return peer.node_key == key && peer.relay;
    });
}

void LeaseNetwork::dial(std::uint32_t member) {
    Way &way = ways_[member];
    way.dial_timer.cancel();
    if (way.up || way.dialling || way.waits_to_dial) return;
    if (dialling_count_ >= kDialsAtOnce) {
        way.waits_to_dial = true;
        return waiting_.push_back(member);
    }
    way.dialling = true;
    ++dialling_count_;
    node_.network.open_channel(members_[member].address, members_[member].node_key,
                               ChannelLabel{lease_, own_, member}.format(), may_relay(member),
                               [this, member, alive = alive_](Result<p2p::Channel> channel) {
                                   if (!*alive) return;
                                   Way &dialled = ways_[member];
                                   dialled.dialling = false;
                                   --dialling_count_;
                                   dial_next();
                                   if (channel.ok()) {
                                       engine_.add_channel(member, true, std::move(*channel));
                                       return;
                                   }
                                   dialled.last_error = channel.error().message;
                                   dial_after(member, kDialAgainMs);
                               });
}

void LeaseNetwork::dial_next() {
    while (!waiting_.empty() && dialling_count_ < kDialsAtOnce) {
        const std::uint32_t member = waiting_.front();
        waiting_.pop_front();
        ways_[member].waits_to_dial = false;
        dial(member);
    }
}

void LeaseNetwork::take_channel(const PublicKey &peer, std::uint32_t from, p2p::Channel channel) {
    if (from >= members_.size() || from == own_ || members_[from].node_key != peer) {
        log(LogLevel::kDebug, kNetworkLog, "lease ", short_hex(lease_),
            ": no member of it has key ", short_hex(peer));
        return;
    }
    engine_.add_channel(from, false, std::move(channel));
}

void LeaseNetwork::pass_through_renter(std::uint32_t member) {
    engine_.pass_through_renter(member);
    ways_[member].through_renter = true;
    want(overlay::kRenter);
}

void LeaseNetwork::on_engine(std::uint32_t member, bool up, const std::string &why) {
    Way &way = ways_[member];
    log(LogLevel::kDebug, kNetworkLog, "lease ", short_hex(lease_), ": member ", member,
        up ? " is there" : " is gone: " + why);
    if (!up) way.last_error = why;
    const bool was_up = std::exchange(way.up, up);
    if (!way.wanted) return;
    if (up) {
        way.report_timer.cancel();
        way.dial_timer.cancel();
        way.reported = false;
        on_change_(member, true, {});
    } else if (was_up) {
        seek(member);
    } else {
        dial_after(member, kDialAgainMs);  // it did not take the channel, not yet
    }
}

}  // namespace chain::daemon
