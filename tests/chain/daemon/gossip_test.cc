// SPDX-License-Identifier: BSD-3-Clause
//
// Gossip between relays on real sessions: each item reaches everybody, whole about once; what a
// peer dropped is had again; a stranger's ids have limits.
#include <random>
#include <set>

#include "chain/daemon/gossip_relay.h"
#include "tests/chain/p2p/net_fixture.h"

namespace chain::daemon {
namespace {

using p2p::test::connect_now;
using p2p::test::options_of;
using p2p::test::run_for;
using p2p::test::run_until;

// A relay, and what it makes of items: all are right, unless told otherwise.
class Member {
public:
    explicit Member(Loop &loop) : node(loop, options_of()), relay(loop, *node) {
        node->on_message(
            wire::Topic::kGossip, [this](const PublicKey &peer, std::string_view bytes) {
                wire::Gossip gossip;
                ASSERT_TRUE(gossip.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
                on_gossip(peer, gossip);
            });
    }

    void on_gossip(const PublicKey &peer, const wire::Gossip &gossip) {
        if (gossip.has_announce()) {
            ids_heard += gossip.announce().ids_size();
            ASSERT_TRUE(relay.on_announce(peer, gossip.announce()).ok());
        } else if (gossip.has_want()) {
            ASSERT_TRUE(relay.on_want(peer, gossip.want()).ok());
        } else {
            ++received;
            const auto id = relay.on_item(peer, gossip);
            if (!id) return;
            if (refuses) return relay.on_refused(*id);
            if (drops) return;
            if (items.insert(gossip.tx()).second) relay.spread(gossip);
        }
    }
    void make(const std::string &text) {
        wire::Gossip gossip;
        gossip.set_tx(text);
        items.insert(text);
        relay.spread(gossip);
    }

    p2p::test::Node node;
    GossipRelay relay;
    std::set<std::string> items;
    int received = 0;  // whole
    int ids_heard = 0;
    bool refuses = false;
    bool drops = false;
};

class GossipTest : public testing::Test {
protected:
    void make_members(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) members_.push_back(std::make_unique<Member>(loop_));
    }
    void connect(std::size_t a, std::size_t b) {
        ASSERT_TRUE(connect_now(loop_, *members_[a]->node, members_[b]->node.address()).ok());
        ASSERT_TRUE(run_until(
            loop_, [&] { return members_[b]->node->connected(members_[a]->node.key()); }));
    }
    bool all_have(std::size_t count) {
        return run_until(loop_, [&] {
            return std::all_of(members_.begin(), members_.end(),
                               [&](const auto &member) { return member->items.size() == count; });
        });
    }

    Loop loop_;
    std::vector<std::unique_ptr<Member>> members_;
};

TEST_F(GossipTest, AMeshGetsEachItemWholeOnce) {
    constexpr int kItems = 300;
    make_members(5);
    for (std::size_t a = 0; a < 5; ++a)
        for (std::size_t b = 0; b < a; ++b) connect(a, b);
    for (int i = 0; i < kItems; ++i) members_[i % 5]->make("item " + std::to_string(i));
    ASSERT_TRUE(all_have(kItems));
    run_for(loop_, 300);
    for (const auto &member : members_) {
        // Those that the others made; an announcement may overtake what its maker has sent.
        EXPECT_GE(member->received, kItems * 4 / 5);
        EXPECT_LE(member->received, kItems * 4 / 5 * 11 / 10);
    }
}

TEST_F(GossipTest, ALineAndARandomGraphAreReachedToTheEnd) {
    constexpr int kItems = 50;
    make_members(8);
    for (std::size_t i = 1; i < 8; ++i) connect(i, i - 1);
    std::mt19937_64 random(3);
    for (int i = 0; i < kItems; ++i) members_[random() % 8]->make("item " + std::to_string(i));
    ASSERT_TRUE(all_have(kItems));
    for (int more = 0; more < 6; ++more) {
        const std::size_t a = random() % 8, b = random() % 8;
        if (a != b) connect(a, b);
    }
    for (int i = 0; i < kItems; ++i) members_[random() % 8]->make("more " + std::to_string(i));
    ASSERT_TRUE(all_have(2 * kItems));
}

TEST_F(GossipTest, WhatWasDroppedIsHadWhenItIsSaidAgain) {
    make_members(2);
    connect(0, 1);
    members_[1]->drops = true;
    members_[0]->make("a");
    ASSERT_TRUE(run_until(loop_, [&] { return members_[1]->received == 1; }));
    members_[1]->drops = false;
    run_for(loop_, GossipRelay::kAskNextMs / 4);
    EXPECT_TRUE(members_[1]->items.empty());
    members_[0]->make("a");
    ASSERT_TRUE(all_have(1));
    // What is there already is not sent again.
    members_[0]->make("a");
    run_for(loop_, 100);
    EXPECT_EQ(members_[1]->received, 2);
    EXPECT_GE(members_[1]->ids_heard, 2);
}

TEST_F(GossipTest, WhatWasRefusedIsNotAskedForAtOnce) {
    make_members(3);
    connect(0, 1);
    connect(1, 2);
    connect(0, 2);
    members_[2]->refuses = true;
    members_[0]->make("bad");
    ASSERT_TRUE(run_until(loop_, [&] { return members_[2]->received > 0; }));
    run_for(loop_, 100);
    const int received = members_[2]->received;
    for (int i = 0; i < 5; ++i) {
        members_[0]->make("bad");
        run_for(loop_, 50);
    }
    EXPECT_EQ(members_[2]->received, received);
}

TEST_F(GossipTest, IdsOfAStrangerHaveLimits) {
    make_members(1);
    GossipRelay &relay = members_[0]->relay;
    const PublicKey stranger = KeyPair::generate().public_key();
    wire::GossipIds ids;
    ids.add_ids("short");
    EXPECT_EQ(relay.on_announce(stranger, ids).error().code, ErrorCode::kProtocol);
    EXPECT_EQ(relay.on_want(stranger, ids).error().code, ErrorCode::kProtocol);
    ids.clear_ids();
    for (int i = 0; i < 2; ++i) ids.add_ids(Bytes(32, 'x'));
    EXPECT_EQ(relay.on_want(stranger, ids).error().code, ErrorCode::kProtocol) << "twice";
    for (int i = 0; i < GossipRelay::kIdsPerMessageMax; ++i) ids.add_ids(Bytes(32, 'x'));
    EXPECT_EQ(relay.on_announce(stranger, ids).error().code, ErrorCode::kTooLarge);
    // More than are remembered: nothing but time is lost.
    for (std::size_t round = 0; round < 3 * GossipRelay::kWantedMax / 1'000; ++round) {
        wire::GossipIds more;
        for (std::uint32_t i = 0; i < 1'000; ++i) {
            Bytes id(24, 'x');
            append_u64_le(id, 1'000 * round + i);
            more.add_ids(id);
        }
        ASSERT_TRUE(relay.on_announce(stranger, more).ok());
    }
}

}  // namespace
}  // namespace chain::daemon
