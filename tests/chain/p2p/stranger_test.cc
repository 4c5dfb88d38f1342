// SPDX-License-Identifier: BSD-3-Clause
//
// What strangers try: raw sockets and raw TLS against a Network.
#include <atomic>
#include <random>

#include "chain/p2p/limits.h"
#include "chain/wire/peer.pb.h"
#include "tests/chain/p2p/net_fixture.h"
#include "tests/chain/p2p/raw_peer.h"

namespace chain::p2p::test {
namespace {

// Runs `stranger` on its own thread while the loop turns.
void with_stranger(Loop &loop, const std::function<void()> &stranger) {
    std::atomic<bool> finished = false;
    std::thread thread([&] {
        stranger();
        finished = true;
    });
    EXPECT_TRUE(run_until(
        loop, [&] { return finished.load(); }, 2 * kGenerousMs));
    thread.join();
}

// Says a right Hello with `key` as the client.
bool greet(RawPeer &raw, const KeyPair &key, const Bytes32 &chain_id) {
    return raw.tls_as(Role::kClient) &&
           raw.write(frame_of(wire::Topic::kHello,
                              make_hello(Role::kClient, raw.secret(), chain_id, key, 0, "raw/1")));
}

struct Attack {
    std::string name;
    // Said after TLS, in place of or after a Hello.
    std::function<std::string(const RawPeer &, const KeyPair &, const Bytes32 &)> words;
    std::string answer;  // in the Bye that comes back
};

std::string altered_hello(const RawPeer &raw, const KeyPair &key, const Bytes32 &chain_id,
                          const std::function<void(wire::Hello &)> &alter) {
    wire::Hello hello;
    hello.ParseFromString(make_hello(Role::kClient, raw.secret(), chain_id, key, 0, "raw/1"));
    alter(hello);
    return frame_of(wire::Topic::kHello, hello.SerializeAsString());
}

std::vector<Attack> attacks() {
    using R = const RawPeer &;
    using K = const KeyPair &;
    using C = const Bytes32 &;
    const auto good = [](R raw, K key, C chain) {
        return altered_hello(raw, key, chain, [](wire::Hello &) {});
    };
    const auto altered = [](std::function<void(wire::Hello &)> alter) {
        return [alter](R raw, K key, C chain) { return altered_hello(raw, key, chain, alter); };
    };
    const auto after = [good](std::string words) {
        return [good, words](R raw, K key, C chain) { return good(raw, key, chain) + words; };
    };
    Bytes huge;
    append_u32_le(huge, 0xffffffffu);
    Bytes over;
    append_u32_le(over, static_cast<std::uint32_t>(wire::kMaxPeerFrameBytes + 1));
    return {
        {"Gossip before Hello", [](R, K, C) { return frame_of(wire::Topic::kGossip, "x"); },
         "not a Hello"},
        {"Ping before Hello", [](R, K, C) { return frame_of(wire::Topic::kPing, "x"); },
         "not a Hello"},
        {"4 GiB before Hello", [huge](R, K, C) { return huge; }, "exceeds the limit of 512"},
        {"513 bytes before Hello",
         [](R, K, C) { return frame_of(wire::Topic::kHello, std::string(512, 'x')); },
         "exceeds the limit of 512"},
        {"empty frame", [](R, K, C) { return std::string(4, '\0'); }, "without a topic"},
        {"garbage as Hello",
         [](R, K, C) { return frame_of(wire::Topic::kHello, "\xff\xff\xff\xff"); }, "malformed"},
        {"empty Hello", [](R, K, C) { return frame_of(wire::Topic::kHello, ""); },
         "protocol version 0"},
        {"later version",
         altered([](wire::Hello &h) { h.set_protocol_version(kProtocolVersion + 1); }),
         "protocol version " + std::to_string(kProtocolVersion + 1)},
        {"other chain", altered([](wire::Hello &h) { h.set_chain_id(std::string(32, 'z')); }),
         "another network"},
        {"short key", altered([](wire::Hello &h) { h.set_node_key("short"); }), "node_key"},
        {"short signature", altered([](wire::Hello &h) { h.set_signature("short"); }), "signature"},
        {"wrong signature", altered([](wire::Hello &h) { (*h.mutable_signature())[7] ^= 1; }),
         "does not hold key"},
        {"altered port", altered([](wire::Hello &h) { h.set_listen_port(99); }),
         "does not hold key"},
        {"altered software", altered([](wire::Hello &h) { h.set_software("other"); }),
         "does not hold key"},
        {"somebody else's key", altered([](wire::Hello &h) {
             h.set_node_key(to_bytes(KeyPair::generate().public_key()));
         }),
         "does not hold key"},
        {"no point of the curve",
         altered([](wire::Hello &h) { h.set_node_key(std::string(32, '\xff')); }),
         "does not hold key"},
        {"role turned round",
         [](R raw, K key, C chain) {
             return frame_of(wire::Topic::kHello,
                             make_hello(Role::kServer, raw.secret(), chain, key, 0, "raw/1"));
         },
         "does not hold key"},
        {"second Hello",
         after(frame_of(wire::Topic::kPing, "") + frame_of(wire::Topic::kHello, "again")),
         "second Hello"},
        {"unknown topic", after(frame_of(99, "x")), "unknown topic 99"},
        {"frame over the limit", after(over), "exceeds the limit of 2097152"},
        {"4 GiB frame", after(huge), "exceeds the limit of 2097152"},
        {"long Ping", after(frame_of(wire::Topic::kPing, std::string(17, 'x'))),
         "a Ping of 17 bytes"},
    };
}

TEST(Stranger, EveryViolationEndsTheSessionWithItsReason) {
    Loop loop;
    Options options = options_of();
    Node node(loop, options);
    for (const Attack &attack : attacks()) {
        const KeyPair key = KeyPair::generate();
        std::string answer;
        with_stranger(loop, [&] {
            RawPeer raw(node.address());
            if (!raw.tls_as(Role::kClient)) return;
            raw.write(attack.words(raw, key, options.chain_id));
            answer = raw.read_to_end();
        });
        EXPECT_NE(answer.find(attack.answer), std::string::npos)
            << attack.name << ": " << printable(answer, 400);
        EXPECT_TRUE(node->peers().empty()) << attack.name;
    }
    EXPECT_TRUE(node.messages.empty());
}

TEST(Stranger, AHelloInSingleBytesIsUnderstood) {
    Loop loop;
    Options options = options_of();
    Node node(loop, options);
    const KeyPair key = KeyPair::generate();
    with_stranger(loop, [&] {
        RawPeer raw(node.address());
        ASSERT_TRUE(raw.tls_as(Role::kClient));
        const std::string words =
            frame_of(wire::Topic::kHello,
                     make_hello(Role::kClient, raw.secret(), options.chain_id, key, 0, "raw/1")) +
            frame_of(wire::Topic::kPing, "12345678") + frame_of(wire::Topic::kGossip, "in pieces");
        for (const char byte : words) ASSERT_TRUE(raw.write(std::string(1, byte)));
        std::string heard;
        while (heard.find(frame_of(wire::Topic::kPong, "12345678")) == std::string::npos) {
            const std::string piece = raw.read_some();
            ASSERT_FALSE(piece.empty());
            heard += piece;
        }
    });
    ASSERT_TRUE(run_until(loop, [&] { return node.messages.size() == 1; }));
    EXPECT_EQ(node.messages[0], "in pieces");
}

TEST(Stranger, GarbageBeforeTlsIsClosed) {
    Loop loop;
    Node node(loop, options_of());
    const unsigned seed = std::random_device{}();
    std::printf("seed %u\n", seed);
    std::mt19937 random(seed);
    for (int i = 0; i < 20; ++i) {
        // From 200 bytes on a TLS record's head is surely complete.
        std::string garbage(200 + random() % 2000, '\0');
        for (char &byte : garbage) byte = static_cast<char>(random());
        // Never the beginning of a real record that waits for more.
        garbage[0] = i % 2 == 0 ? 'G' : '\x17';
        with_stranger(loop, [&] {
            RawPeer raw(node.address());
            ASSERT_TRUE(raw.connected());
            raw.write_plain(garbage);
            EXPECT_TRUE(raw.plain_closed());
        });
    }
    EXPECT_TRUE(node->peers().empty());
}

TEST(Stranger, GarbageAfterTlsNeverGetsIn) {
    Loop loop;
    Options options = options_of();
    options.handshake_timeout_ms = 300;
    Node node(loop, options);
    const unsigned seed = std::random_device{}();
    std::printf("seed %u\n", seed);
    std::mt19937 random(seed);
    for (int i = 0; i < 20; ++i) {
        std::string garbage(1 + random() % 1000, '\0');
        for (char &byte : garbage) byte = static_cast<char>(random());
        with_stranger(loop, [&] {
            RawPeer raw(node.address());
            ASSERT_TRUE(raw.tls_as(Role::kClient));
            raw.write(garbage);
            raw.read_to_end();
        });
    }
    // Broken records inside a session that stood.
    const KeyPair key = KeyPair::generate();
    with_stranger(loop, [&] {
        RawPeer raw(node.address());
        ASSERT_TRUE(greet(raw, key, options.chain_id));
        raw.write(frame_of(wire::Topic::kPing, ""));
        raw.read_some();
        raw.write_plain(std::string(300, 'G'));
        EXPECT_TRUE(raw.plain_closed());
    });
    ASSERT_TRUE(run_until(loop, [&] { return node->peers().empty(); }));
    EXPECT_TRUE(node.messages.empty());
}

TEST(Stranger, TheSlowAreClosedInTime) {
    Loop loop;
    Options options = options_of();
    options.handshake_timeout_ms = 300;
    Node node(loop, options);
    for (const bool with_tls : {false, true}) {
        const std::uint64_t began_ms = system_clock().steady_ms();
        with_stranger(loop, [&] {
            RawPeer raw(node.address());
            if (!with_tls) {
                EXPECT_TRUE(raw.plain_closed());
                return;
            }
            ASSERT_TRUE(raw.tls_as(Role::kClient));
            EXPECT_NE(raw.read_to_end().find("after 300 ms"), std::string::npos);
        });
        const std::uint64_t took_ms = system_clock().steady_ms() - began_ms;
        EXPECT_GE(took_ms, 250u);
        EXPECT_LT(took_ms, 5000u);
    }
}

TEST(Stranger, WhoDialsASilentListenerTimesOut) {
    Loop loop;
    Options options = options_of();
    options.handshake_timeout_ms = 200;
    Node node(loop, options);
    const FileDescriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    SocketAddress bound = resolve({"127.0.0.1", 0}, true).value();
    ASSERT_EQ(bind(listener.get(), bound.get(), bound.size_bytes), 0);
    ASSERT_EQ(listen(listener.get(), 4), 0);
    ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr *>(&bound.storage),
                          &bound.size_bytes),
              0);
    const auto got = connect_now(loop, *node, format_address(bound.get(), bound.size_bytes));
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.error().code, ErrorCode::kTimeout) << got.error().message;
}

TEST(Stranger, ManyHalfOpenConnectionsAreBounded) {
    Loop loop;
    Options options = options_of();
    Node node(loop, options);
    Node friendly(loop, options_of());
    ASSERT_TRUE(connect_now(loop, *node, friendly.address()).ok());
    with_stranger(loop, [&] {
        std::vector<std::unique_ptr<RawPeer>> crowd;
        for (std::size_t i = 0; i < kHandshakesMax + 1; ++i)
            crowd.push_back(std::make_unique<RawPeer>(node.address()));
        EXPECT_TRUE(crowd.back()->plain_closed());
    });
    EXPECT_TRUE(node->connected(friendly.key()));
}

// Stands between: accepts the victim's TLS, opens its own to the real server, passes on what is
// said in both directions.
TEST(Stranger, ManInTheMiddleFailsOnTheChannelBinding) {
    Loop loop;
    Node client(loop, options_of());
    Node server(loop, options_of());
    const FileDescriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    SocketAddress bound = resolve({"127.0.0.1", 0}, true).value();
    ASSERT_EQ(bind(listener.get(), bound.get(), bound.size_bytes), 0);
    ASSERT_EQ(listen(listener.get(), 4), 0);
    getsockname(listener.get(), reinterpret_cast<sockaddr *>(&bound.storage), &bound.size_bytes);

    std::optional<Result<PublicKey>> outcome;
    client->connect(format_address(bound.get(), bound.size_bytes), &server.key(),
                    [&](Result<PublicKey> got) { outcome.emplace(std::move(got)); });
    std::string from_client;
    std::string from_server;
    with_stranger(loop, [&] {
        RawPeer to_client(accept(listener.get(), nullptr, nullptr));
        ASSERT_TRUE(to_client.tls_as(Role::kServer));
        RawPeer to_server(server.address());
        ASSERT_TRUE(to_server.tls_as(Role::kClient));
        EXPECT_NE(to_client.secret(), to_server.secret());
        from_client = to_client.read_some();
        to_server.write(from_client);
        from_server = to_server.read_some();
        to_client.write(from_server);
        from_server += to_server.read_to_end();
        to_client.read_to_end();
    });
    ASSERT_TRUE(run_until(loop, [&] { return outcome.has_value(); }));
    ASSERT_FALSE(outcome->ok());
    EXPECT_EQ(outcome->error().code, ErrorCode::kBadSignature) << outcome->error().message;
    EXPECT_NE(from_server.find("somebody stands between"), std::string::npos);
    EXPECT_TRUE(client->peers().empty());
    EXPECT_TRUE(server->peers().empty());
}

TEST(Stranger, ItsOwnHelloSentBackIsRefused) {
    Loop loop;
    Options options = options_of();
    Node node(loop, options);
    std::string answer;
    with_stranger(loop, [&] {
        RawPeer raw(node.address());
        ASSERT_TRUE(raw.tls_as(Role::kClient));
        const std::string hello = raw.read_some();
        raw.write(hello);
        answer = raw.read_to_end();
    });
    EXPECT_NE(answer.find("this daemon itself"), std::string::npos) << printable(answer, 400);
}

}  // namespace
}  // namespace chain::p2p::test
