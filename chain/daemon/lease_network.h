// SPDX-License-Identifier: BSD-3-Clause
//
// LeaseNetwork: this daemon's part in the network of one lease: which other members it must reach,
// the channels to them, and the engine that passes packets between them and the lease's device.
//
// Of two members the one with the higher number dials, and the other one after kOtherDialsMs, in
// case the first cannot: behind a NAT only one of them can be reached. What breaks is dialled
// again; who cannot be dialled is met (chain/p2p/meeting.h). Whom neither reaches in time is
// reported: the renter then offers itself as the way.
//
// Owner: the loop's thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "chain/daemon/node.h"
#include "chain/overlay/engine.h"

namespace chain::daemon {

inline constexpr std::uint64_t kOtherDialsMs = 500;
inline constexpr std::uint64_t kDialAgainMs = 200;
inline constexpr std::uint64_t kUnreachableMs = 1'500;
// To make channels between all of many members takes its time, if they are on one machine: so much
// longer for each pair. And who made all of its own at once would have none of them in time.
inline constexpr std::uint64_t kOtherDialsMsPerPair = 2;
inline constexpr std::uint64_t kUnreachableMsPerPair = 8;
inline constexpr std::uint64_t kUnreachableMsMax = 20'000;  // the renter waits longer
inline constexpr std::size_t kDialsAtOnce = 8;

struct NetworkMember {
    PublicKey node_key{};
    std::string address;  // host:port; empty: nobody can dial it
    std::string host;     // of legs
};

// Which channel of which lease: what LeaseNetwork puts into its label.
struct ChannelLabel {
    ledger::LeaseId lease{};
    std::uint32_t from = 0;  // members; `from` dials
    std::uint32_t to = 0;
    Bytes format() const;
    // Errors: kProtocol.
    static Result<ChannelLabel> parse(std::string_view label);
};

// What parse_members reads. Precondition: there is a renter.
wire::LeaseNetwork format_members(const std::vector<NetworkMember> &members);
// Members in their order, the renter first. Errors: kProtocol (a name, a key or a number of members
// that cannot be).
Result<std::vector<NetworkMember>> parse_members(const wire::LeaseNetwork &network,
                                                 std::uint32_t leg_count);

class LeaseNetwork {
public:
    // `on_change`: of a member that is wanted. Called with up == false when in time there was no
    // way to it, with what was the last reason.
    using ChangeHandler =
        std::function<void(std::uint32_t member, bool up, const std::string &why)>;
    LeaseNetwork(Node &node, const ledger::LeaseId &lease, std::uint32_t own,
                 std::vector<NetworkMember> members, ChangeHandler on_change);
    ~LeaseNetwork();

    // From now on there is to be a channel with that member.
    void want(std::uint32_t member);
    // From the network; closed unless it is that member's.
    void take_channel(const PublicKey &peer, std::uint32_t from, p2p::Channel channel);
    // The member's packets go by way of the renter, while there is no better one.
    void pass_through_renter(std::uint32_t member);
    // Of the sandbox (overlay::enter_lease_network).
    void attach(FileDescriptor device) { engine_.attach(std::move(device)); }

    const std::vector<NetworkMember> &members() const { return members_; }
    // Every member that is wanted, if by way of the renter.
    bool reaches_all() const;
    // Of those to which there is a way of its own.
    std::vector<wire::MemberDistance> distances() const;
    overlay::Engine::Counters counters() const { return engine_.counters(); }

private:
    struct Way {
        bool wanted = false;
        bool up = false;
        bool dialling = false;
        bool waits_to_dial = false;
        bool reported = false;  // as unreachable
        bool through_renter = false;
        std::string last_error;
        LoopHandle dial_timer;
        LoopHandle report_timer;
    };
    void seek(std::uint32_t member);
    bool dials_first(std::uint32_t member) const;
    void dial_after(std::uint32_t member, std::uint64_t ms);
    std::uint64_t pair_count() const { return members_.size() * (members_.size() - 1) / 2; }
    void dial_next();
    bool may_relay(std::uint32_t member) const;
    void dial(std::uint32_t member);
    void on_engine(std::uint32_t member, bool up, const std::string &why);

    Node &node_;
    const ledger::LeaseId lease_;
    const std::uint32_t own_;
    const std::vector<NetworkMember> members_;
    ChangeHandler on_change_;
    std::vector<Way> ways_;
    std::deque<std::uint32_t> waiting_;  // to be dialled
    std::size_t dialling_count_ = 0;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    overlay::Engine engine_;
};

}  // namespace chain::daemon
