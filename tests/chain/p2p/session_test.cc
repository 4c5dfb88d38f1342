// SPDX-License-Identifier: BSD-3-Clause
//
// Sessions between Networks: who gets one, who does not and why, and what goes through.
#include <random>

#include "tests/chain/p2p/net_fixture.h"

namespace chain::p2p::test {
namespace {

TEST(Handshake, GivesBothSidesTheOthersKey) {
    Loop loop;
    Node a(loop, options_of());
    Node b(loop, options_of());
    const auto got = connect_now(loop, *a, b.address(), &b.key());
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_EQ(got.value(), b.key());
    ASSERT_TRUE(run_until(loop, [&] { return b->connected(a.key()); }));
    ASSERT_EQ(b->peers().size(), 1u);
    const PeerView view = b->peers()[0];
    EXPECT_EQ(view.address, a.address());
    EXPECT_TRUE(view.inbound);
    EXPECT_EQ(view.software, "test/1");
    EXPECT_GT(view.received_bytes, 100u);
    EXPECT_FALSE(a->peers()[0].inbound);

    ASSERT_TRUE(a->send(b.key(), wire::Topic::kGossip, "hello").ok());
    b->broadcast(wire::Topic::kGossip, "", nullptr);
    ASSERT_TRUE(run_until(loop, [&] { return b.messages.size() + a.messages.size() == 2; }));
    EXPECT_EQ(b.messages[0], "hello");
    EXPECT_EQ(a.messages[0], "");
    const auto again = connect_now(loop, *a, b.address(), &b.key());
    EXPECT_TRUE(again.ok());
    EXPECT_EQ(a.events.size(), 1u);
}

TEST(Handshake, RefusalsSayWhy) {
    Loop loop;
    Node a(loop, options_of(1));
    Node other_network(loop, options_of(2));
    Node b(loop, options_of(1));
    struct Case {
        std::string name;
        std::string address;
        const PublicKey *expected;
        ErrorCode code;
        std::string says;
    };
    const Case cases[] = {
        {"other network", other_network.address(), nullptr, ErrorCode::kProtocol,
         "another network"},
        {"unexpected key", b.address(), &a.key(), ErrorCode::kProtocol, "expected was"},
        {"itself", a.address(), nullptr, ErrorCode::kProtocol, "this daemon itself"},
        {"nobody there", "127.0.0.1:1", nullptr, ErrorCode::kPeerLost, "refused"},
        {"no port", "127.0.0.1", nullptr, ErrorCode::kInvalidInput, "host:port"},
        {"no such host", "no-such-host.invalid:7411", nullptr, ErrorCode::kNotFound, "no-such"},
    };
    for (const Case &c : cases) {
        const auto got = connect_now(loop, *a, c.address, c.expected);
        ASSERT_FALSE(got.ok()) << c.name;
        EXPECT_EQ(got.error().code, c.code) << c.name << ": " << got.error().message;
        EXPECT_NE(got.error().message.find(c.says), std::string::npos)
            << c.name << ": " << got.error().message;
    }
    EXPECT_TRUE(other_network.events.empty());
    EXPECT_EQ(a->peers().size(), 0u);
}

TEST(Handshake, ResolvesNames) {
    Loop loop;
    Node a(loop, options_of());
    Node b(loop, options_of());
    const std::string port = b.address().substr(b.address().rfind(':'));
    const auto got = connect_now(loop, *a, "localhost" + port, &b.key());
    EXPECT_TRUE(got.ok()) << got.error().message;
}

TEST(Listening, FailsWithTheReason) {
    Loop loop;
    Node a(loop, options_of());
    const KeyPair key = KeyPair::generate();
    Options options = options_of();
    options.listen_port =
        static_cast<std::uint16_t>(std::stoi(a.address().substr(a.address().rfind(':') + 1)));
    auto taken = Network::start(loop, key, options);
    ASSERT_FALSE(taken.ok());
    EXPECT_EQ(taken.error().code, ErrorCode::kConflict);
    options.listen_address = "203.0.113.7";
    auto foreign = Network::start(loop, key, options);
    ASSERT_FALSE(foreign.ok());
    EXPECT_EQ(foreign.error().code, ErrorCode::kInvalidInput);
    options.listen_address = "nonsense";
    EXPECT_EQ(Network::start(loop, key, options).error().code, ErrorCode::kInvalidInput);
    options.listen = false;
    auto silent = Network::start(loop, key, options);
    ASSERT_TRUE(silent.ok());
    EXPECT_EQ((*silent)->listen_address(), "");
}

TEST(Duplicates, SimultaneousDialsLeaveOneSession) {
    for (int round = 0; round < 12; ++round) {
        Loop loop;
        Node a(loop, options_of());
        Node b(loop, options_of());
        int done_count = 0;
        const auto done = [&](const PublicKey &wanted) {
            return [&done_count, wanted](const Result<PublicKey> &got) {
                EXPECT_TRUE(got.ok()) << got.error().message;
                if (got.ok()) {
                    EXPECT_EQ(got.value(), wanted);
                }
                ++done_count;
            };
        };
        for (int i = 0; i < 1 + round % 3; ++i) {
            a->connect(b.address(), nullptr, done(b.key()));
            b->connect(a.address(), nullptr, done(a.key()));
        }
        const int dial_count = 2 * (1 + round % 3);
        // What is sent at once must arrive, whichever session wins.
        for (Node *node : {&a, &b})
            (*node)->on_peer([node](const PublicKey &peer, bool up, const std::string &) {
                if (up) {
                    EXPECT_TRUE((*node)->send(peer, wire::Topic::kGossip, "first").ok());
                }
            });
        ASSERT_TRUE(run_until(loop, [&] {
            return done_count == dial_count && a.messages.size() == 1 && b.messages.size() == 1;
        }));
        run_for(loop, 50);
        EXPECT_EQ(a.events.size(), 1u);
        EXPECT_EQ(b.events.size(), 1u);
        EXPECT_NE(a->peers()[0].inbound, b->peers()[0].inbound);
    }
}

TEST(Limits, PeersMax) {
    Loop loop;
    Options options = options_of();
    options.peers_max = 2;
    Node hub(loop, options);
    std::vector<std::unique_ptr<Node>> spokes;
    for (int i = 0; i < 2; ++i) {
        spokes.push_back(std::make_unique<Node>(loop, options_of()));
        ASSERT_TRUE(connect_now(loop, **spokes.back(), hub.address()).ok());
    }
    ASSERT_TRUE(run_until(loop, [&] { return hub->peers().size() == 2; }));
    // Both deciders: the hub's key is sometimes the smaller one, sometimes not.
    for (int i = 0; i < 6; ++i) {
        Node late(loop, options_of());
        const auto got = connect_now(loop, *late, hub.address());
        if (!got.ok()) {
            EXPECT_NE(got.error().message.find("no room: 2"), std::string::npos)
                << got.error().message;
        } else {
            ASSERT_TRUE(run_until(loop, [&] { return late->peers().empty(); }));
        }
        EXPECT_EQ(hub->peers().size(), 2u);
    }
}

TEST(Transfer, SixtyFourMebibytesInOrderWithBackPressure) {
    Loop loop;
    Options options = options_of();
    options.queue_max_bytes = 2u << 20;
    Node a(loop, options);
    Node b(loop, options);
    ASSERT_TRUE(connect_now(loop, *a, b.address()).ok());
    const std::size_t total_bytes = 64u << 20;
    const std::string chunk(wire::kStageChunkBytes, '\x5a');
    std::size_t sent_bytes = 0;
    std::size_t got_bytes = 0;
    std::uint64_t next = 0;
    int refused_count = 0;
    int drained_count = 0;
    bool in_order = true;
    b->on_message(wire::Topic::kTrade, [&](const PublicKey &, std::string_view payload) {
        Bytes number;
        append_u64_le(number, next++);
        in_order = in_order && payload.substr(0, 8) == number &&
                   payload.find_first_not_of('\x5a', 8) == std::string_view::npos;
        got_bytes += payload.size();
    });
    const auto fill = [&] {
        std::string payload = chunk;
        while (sent_bytes < total_bytes) {
            Bytes number;
            append_u64_le(number, sent_bytes / chunk.size());
            payload.replace(0, 8, number);
            const Status sent = a->send(b.key(), wire::Topic::kTrade, payload);
            EXPECT_LE(a->queued_bytes(b.key()), options.queue_max_bytes);
            if (!sent.ok()) {
                EXPECT_EQ(sent.error().code, ErrorCode::kTooLarge);
                ++refused_count;
                return;
            }
            sent_bytes += payload.size();
        }
    };
    a->on_drained([&](const PublicKey &peer) {
        EXPECT_EQ(peer, b.key());
        ++drained_count;
        fill();
    });
    const std::uint64_t began_ms = system_clock().steady_ms();
    fill();
    ASSERT_TRUE(run_until(
        loop, [&] { return got_bytes >= total_bytes; }, 2 * kGenerousMs));
    const std::uint64_t took_ms = system_clock().steady_ms() - began_ms;
    EXPECT_TRUE(in_order);
    EXPECT_GE(refused_count, 8);
    EXPECT_GE(drained_count, 8);
    std::printf("64 MiB in %llu ms: %llu MB/s, both ends on one thread\n",
                static_cast<unsigned long long>(took_ms),
                static_cast<unsigned long long>(total_bytes / 1000 / (took_ms + 1)));
}

TEST(Transfer, FramesOfAllSizesUpToTheLimit) {
    Loop loop;
    const unsigned seed = std::random_device{}();
    std::printf("seed %u\n", seed);
    std::mt19937 random(seed);
    Node a(loop, options_of());
    Node b(loop, options_of());
    ASSERT_TRUE(connect_now(loop, *a, b.address()).ok());
    std::vector<std::string> sent;
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{16383}, std::size_t{16384},
          std::size_t{16385}, wire::kMaxPeerFrameBytes - 1, std::size_t{random() % 100'000}}) {
        std::string payload(size, '\0');
        for (char &byte : payload) byte = static_cast<char>(random());
        ASSERT_TRUE(a->send(b.key(), wire::Topic::kGossip, payload).ok());
        sent.push_back(std::move(payload));
    }
    const Status too_large =
        a->send(b.key(), wire::Topic::kGossip, std::string(wire::kMaxPeerFrameBytes, 'x'));
    ASSERT_FALSE(too_large.ok());
    EXPECT_EQ(too_large.error().code, ErrorCode::kInvalidInput);
    ASSERT_TRUE(run_until(loop, [&] { return b.messages.size() == sent.size(); }));
    EXPECT_TRUE(b.messages == sent);
    const PublicKey stranger{};
    EXPECT_EQ(a->send(stranger, wire::Topic::kGossip, "x").error().code, ErrorCode::kPeerLost);
}

TEST(Transfer, ManySmallFramesArePacedNotLost) {
    Loop loop;
    Options options = options_of();
    Node a(loop, options);
    Node b(loop, options);
    ASSERT_TRUE(connect_now(loop, *a, b.address()).ok());
    constexpr std::size_t kCount = 60'000;  // beyond the burst of 40 000
    const std::uint64_t began_ms = system_clock().steady_ms();
    for (std::size_t i = 0; i < kCount; ++i)
        ASSERT_TRUE(a->send(b.key(), wire::Topic::kGossip, std::to_string(i)).ok());
    ASSERT_TRUE(run_until(loop, [&] { return b.messages.size() == kCount; }));
    const std::uint64_t took_ms = system_clock().steady_ms() - began_ms;
    for (std::size_t i = 0; i < kCount; ++i) ASSERT_EQ(b.messages[i], std::to_string(i));
    EXPECT_GE(took_ms, 500u);
    EXPECT_TRUE(a->connected(b.key()));
}

TEST(Reentrancy, HandlersMayEndSessionsAndSend) {
    Loop loop;
    Node a(loop, options_of());
    Node b(loop, options_of());
    int frames_after = 0;
    b->on_message(wire::Topic::kSync, [&](const PublicKey &peer, std::string_view payload) {
        const std::string before(payload);
        if (!b->connected(peer)) ++frames_after;
        EXPECT_TRUE(b->send(peer, wire::Topic::kSync, "answer").ok());
        b->disconnect(peer, "enough of this");
        EXPECT_EQ(before, payload);  // still there
        EXPECT_FALSE(b->connected(peer));
        EXPECT_FALSE(b->send(peer, wire::Topic::kSync, "late").ok());
        EXPECT_EQ(b.count(false), 0u) << "told from inside disconnect()";
    });
    ASSERT_TRUE(connect_now(loop, *a, b.address()).ok());
    for (int i = 0; i < 3; ++i)
        ASSERT_TRUE(a->send(b.key(), wire::Topic::kSync, std::string(100'000, 'x')).ok());
    ASSERT_TRUE(run_until(loop, [&] { return a.count(false) == 1 && b.count(false) == 1; }));
    EXPECT_EQ(frames_after, 0);
    EXPECT_EQ(a.events.back().why, "the peer ended the session: enough of this");
    EXPECT_EQ(b.events.back().why, "enough of this");

    // A session that is ended from its own up event never shows a message.
    Node c(loop, options_of());
    c->on_peer([&](const PublicKey &peer, bool up, const std::string &) {
        if (up) c->disconnect(peer, "not wanted");
    });
    std::optional<Result<PublicKey>> outcome;
    c->connect(a.address(), nullptr, [&](Result<PublicKey> got) { outcome.emplace(got); });
    ASSERT_TRUE(run_until(loop, [&] { return c.count(false) == 1 && outcome.has_value(); }));
    ASSERT_EQ(c.events.size(), 2u);
    EXPECT_TRUE(c.events[0].up);
    EXPECT_EQ(c.events[1].why, "not wanted");
}

TEST(KeepConnected, ComesBackAfterTheEndOfTheSessionAndOfThePeer) {
    Loop loop;
    Node a(loop, options_of());
    auto b = std::make_unique<Node>(loop, options_of());
    const std::string address = b->address();
    const PublicKey b_key = b->key();
    a->keep_connected(address);
    a->keep_connected(address);
    ASSERT_TRUE(run_until(loop, [&] { return a->connected(b_key); }));
    run_for(loop, 20);
    (*b)->disconnect(a.key(), "test");
    ASSERT_TRUE(run_until(loop, [&] { return a.count(false) == 1; }));
    ASSERT_TRUE(run_until(loop, [&] { return a->connected(b_key); }));

    Options options = options_of();
    options.listen_port =
        static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    KeyPair key = std::move(b->pair());
    b->stop();
    ASSERT_TRUE(run_until(loop, [&] { return !a->connected(b_key); }));
    run_for(loop, 400);
    b = std::make_unique<Node>(loop, options, std::move(key));
    ASSERT_TRUE(run_until(loop, [&] { return a->connected(b_key) && b->count(true) == 1; }));
}

// A daemon that gets another node key while sessions, handshakes and dials are under way: both who
// keeps it connected and whom it keeps connected find it again, and only under the new key.
TEST(KeepConnected, FindsANodeAgainUnderItsNewKey) {
    Loop loop;
    Node changing(loop, options_of()), keeper(loop, options_of()), kept(loop, options_of());
    const PublicKey old_key = changing.key();
    keeper->keep_connected(changing.address());
    changing->keep_connected(kept.address());
    for (int round = 0; round < 3; ++round) {
        ASSERT_TRUE(run_until(loop, [&] {
            return keeper->connected(changing.key()) && kept->connected(changing.key());
        })) << round;
        std::size_t dials_ended = 0;
        changing->connect(keeper.address(), nullptr,
                          [&](const Result<PublicKey> &) { ++dials_ended; });
        Node dialling(loop, options_of());
        dialling->connect(changing.address(), nullptr,
                          [&](const Result<PublicKey> &) { ++dials_ended; });
        run_for(loop, static_cast<std::uint64_t>(round));
        changing.pair() = KeyPair::generate();
        changing->greet_anew("another key");
        EXPECT_TRUE(changing->peers().empty());
        ASSERT_TRUE(run_until(loop, [&] { return dials_ended == 2; }));
    }
    ASSERT_TRUE(run_until(loop, [&] {
        return keeper->connected(changing.key()) && kept->connected(changing.key()) &&
               changing->peers().size() == 2;
    }));
    EXPECT_FALSE(keeper->connected(old_key));
    EXPECT_FALSE(kept->connected(old_key));
}

TEST(Churn, ManyConnectsAndDisconnects) {
    Loop loop;
    Node a(loop, options_of());
    Node b(loop, options_of());
    for (int round = 0; round < 200; ++round) {
        Node &from = round % 2 == 0 ? a : b;
        Node &to = round % 2 == 0 ? b : a;
        const auto got = connect_now(loop, *from, to.address());
        ASSERT_TRUE(got.ok()) << round << ": " << got.error().message;
        ASSERT_TRUE(run_until(loop, [&] { return to->connected(from.key()); }));
        (round % 3 == 0 ? a : b)->disconnect(round % 3 == 0 ? b.key() : a.key(), "next");
        ASSERT_TRUE(run_until(loop, [&] { return a->peers().empty() && b->peers().empty(); }));
    }
    EXPECT_EQ(a.count(true), 200u);
    ASSERT_TRUE(run_until(loop, [&] { return a.count(false) == 200 && b.count(false) == 200; }));
}

}  // namespace
}  // namespace chain::p2p::test
