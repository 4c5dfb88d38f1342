// SPDX-License-Identifier: BSD-3-Clause
//
// The parts of chain/p2p that need no socket: frames, token bucket, Hello, addresses.
#include <random>

#include <event2/buffer.h>
#include <gtest/gtest.h>

#include "chain/p2p/address.h"
#include "chain/p2p/frames.h"
#include "chain/p2p/hello.h"
#include "chain/p2p/limits.h"
#include "chain/p2p/reachable.h"
#include "chain/p2p/token_bucket.h"

namespace chain::p2p {
namespace {

using Buffer = std::unique_ptr<evbuffer, decltype(&evbuffer_free)>;
Buffer new_buffer() {
    return {evbuffer_new(), evbuffer_free};
}

TEST(Frames, WorkedBytes) {
    const Buffer buffer = new_buffer();
    append_frame(buffer.get(), wire::Topic::kGossip, "abc");
    char bytes[16];
    const auto size = evbuffer_copyout(buffer.get(), bytes, sizeof bytes);
    EXPECT_EQ(std::string(bytes, static_cast<std::size_t>(size)), std::string("\x04\x00\x00\x00\x04"
                                                                              "abc",
                                                                              8));
}

TEST(Frames, RandomFramesInRandomPiecesComeOutAsTheyWentIn) {
    const unsigned seed = std::random_device{}();
    std::printf("seed %u\n", seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 300; ++round) {
        std::vector<std::string> sent;
        const Buffer wire_bytes = new_buffer();
        for (std::size_t i = 0, count = random() % 20; i < count; ++i) {
            sent.emplace_back(random() % (i % 5 == 0 ? 9000 : 40), static_cast<char>('a' + i));
            append_frame(wire_bytes.get(), wire::Topic::kTrade, sent.back());
        }
        const Buffer input = new_buffer();
        std::vector<std::string> got;
        while (evbuffer_get_length(wire_bytes.get()) > 0) {
            evbuffer_remove_buffer(wire_bytes.get(), input.get(), 1 + random() % 3000);
            for (;;) {
                const auto frame = front_frame(input.get(), wire::kMaxPeerFrameBytes);
                ASSERT_TRUE(frame.ok());
                if (!frame.value()) break;
                got.emplace_back((*frame)->payload);
                evbuffer_drain(input.get(), (*frame)->size_bytes());
            }
        }
        ASSERT_EQ(got, sent);
        ASSERT_EQ(evbuffer_get_length(input.get()), 0u);
    }
}

TEST(Frames, GarbageNeverGivesMoreThanWasThereNorPassesALimit) {
    const unsigned seed = std::random_device{}();
    std::printf("seed %u\n", seed);
    std::mt19937 random(seed);
    std::size_t frame_count = 0;
    std::size_t error_count = 0;
    for (int round = 0; round < 50'000; ++round) {
        const Buffer input = new_buffer();
        std::string bytes(random() % 64, '\0');
        for (char &byte : bytes) byte = static_cast<char>(random());
        // Half of them nearly right: a small length and a small topic.
        if (round % 2 == 0 && bytes.size() >= kFrameHeadBytes) {
            bytes[0] = static_cast<char>(random() % 64);
            bytes[1] = bytes[2] = bytes[3] = 0;
            bytes[4] = static_cast<char>(random() % 10);
        }
        evbuffer_add(input.get(), bytes.data(), bytes.size());
        const std::size_t limit_bytes = 1 + random() % 80;
        for (;;) {
            const std::size_t before = evbuffer_get_length(input.get());
            const auto frame = front_frame(input.get(), limit_bytes);
            ASSERT_EQ(evbuffer_get_length(input.get()), before);
            if (!frame.ok()) {
                ++error_count;
                break;
            }
            if (!frame.value()) break;
            ASSERT_LE((*frame)->size_bytes(), before);
            ASSERT_LE((*frame)->payload.size() + 1, limit_bytes);
            evbuffer_drain(input.get(), (*frame)->size_bytes());
            ++frame_count;
        }
    }
    EXPECT_GT(frame_count, 1000u);
    EXPECT_GT(error_count, 1000u);
}

TEST(TokenBucket, GivesTheBurstAtOnceAndTheRateInTheLongRun) {
    const unsigned seed = std::random_device{}();
    std::printf("seed %u\n", seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 50; ++round) {
        const std::uint64_t per_second = 1 + random() % 100'000;
        const std::uint64_t burst = 1 + random() % 100'000;
        std::uint64_t now_ms = random();
        const std::uint64_t began_ms = now_ms;
        TokenBucket bucket(per_second, burst, now_ms);
        EXPECT_EQ(bucket.take(burst, now_ms), 0u);
        std::uint64_t taken = burst;
        for (int i = 0; i < 1000; ++i) {
            const std::uint64_t count = random() % 50;
            const std::uint64_t wait_ms = bucket.take(count, now_ms);
            taken += count;
            now_ms += wait_ms;
            // Waiting as told never takes more than burst + rate x time, but for one step's debt.
            ASSERT_LE(taken, burst + per_second * (now_ms - began_ms) / 1000 + 50);
        }
    }
    TokenBucket bucket(1000, 10, 0);
    EXPECT_EQ(bucket.take(10, 0), 0u);
    EXPECT_EQ(bucket.take(1, 0), 2u);
    EXPECT_EQ(bucket.take(0, 1'000'000'000), 0u);
    EXPECT_EQ(bucket.take(11, 1'000'000'000), 2u);
}

TEST(Hello, HoldsForOneChannelOneRoleOneChainAndNoAlteredBit) {
    const unsigned seed = std::random_device{}();
    std::printf("seed %u\n", seed);
    std::mt19937 random(seed);
    const KeyPair key = KeyPair::generate();
    const PublicKey own = KeyPair::generate().public_key();
    Bytes32 secret{};
    secret.fill(3);
    Bytes32 chain_id{};
    chain_id.fill(4);
    const Bytes hello = make_hello(Role::kClient, secret, chain_id, key, 7411,
                                   "name\nwith\x01" + std::string(100, 'x'));
    EXPECT_LT(hello.size() + 1, kMaxHelloFrameBytes);
    const auto good = check_hello(hello, Role::kClient, secret, chain_id, own, key.public_key());
    ASSERT_TRUE(good.ok()) << good.error().message;
    EXPECT_EQ(good->listen_port, 7411);
    EXPECT_EQ(good->software.size(), kMaxSoftwareBytes);
    EXPECT_EQ(good->software.substr(0, 10), "name?with?");
    EXPECT_FALSE(check_hello(hello, Role::kServer, secret, chain_id, own, {}).ok());
    EXPECT_FALSE(check_hello(hello, Role::kClient, chain_id, chain_id, own, {}).ok());
    EXPECT_FALSE(check_hello(hello, Role::kClient, secret, secret, own, {}).ok());
    EXPECT_FALSE(check_hello(hello, Role::kClient, secret, chain_id, own, own).ok());
    EXPECT_FALSE(check_hello(hello, Role::kClient, secret, chain_id, key.public_key(), {}).ok());
    for (int i = 0; i < 2000; ++i) {
        Bytes altered = hello;
        altered[random() % altered.size()] ^= static_cast<char>(1u << random() % 8);
        EXPECT_FALSE(check_hello(altered, Role::kClient, secret, chain_id, own, {}).ok());
    }
}

TEST(Address, Table) {
    struct Case {
        const char *text;
        const char *host;  // null: refused
        int port;
    };
    const Case cases[] = {
        {"127.0.0.1:7411", "127.0.0.1", 7411},
        {"[::1]:1", "::1", 1},
        {"peer.example:65535", "peer.example", 65535},
        {"", nullptr, 0},
        {":1", nullptr, 0},
        {"a", nullptr, 0},
        {"a:", nullptr, 0},
        {"a:0", nullptr, 0},
        {"a:65536", nullptr, 0},
        {"a:1x", nullptr, 0},
        {"::1:80", nullptr, 0},
        {"[]:80", nullptr, 0},
    };
    for (const Case &c : cases) {
        const auto parsed = parse_host_port(c.text);
        ASSERT_EQ(parsed.ok(), c.host != nullptr) << c.text;
        if (!parsed.ok()) continue;
        EXPECT_EQ(parsed->host, c.host);
        EXPECT_EQ(parsed->port, c.port);
    }
    const auto v6 = resolve({"::1", 7411}, true);
    ASSERT_TRUE(v6.ok());
    EXPECT_EQ(format_address(v6->get(), v6->size_bytes), "[::1]:7411");
}

TEST(Reachable, AnyAddressBecomesOneThatOthersCanDial) {
    const auto peer = [](const char *local_host, std::uint64_t connected_at_ms) {
        PeerView view;
        view.local_host = local_host;
        view.connected_at_ms = connected_at_ms;
        return view;
    };
    const std::string route = "192.0.2.7";
    EXPECT_EQ(reachable_address("", {}, route), "");
    EXPECT_EQ(reachable_address("127.0.0.1:7660", {peer("10.0.0.3", 1)}, route), "127.0.0.1:7660");
    EXPECT_EQ(reachable_address("0.0.0.0:7660", {}, route), "192.0.2.7:7660");
    EXPECT_EQ(reachable_address("0.0.0.0:7660", {peer("127.0.0.1", 1)}, route), "192.0.2.7:7660");
    EXPECT_EQ(reachable_address("[::]:7660", {peer("[::1]", 1), peer("[fd00::2]", 2)}, route),
              "[fd00::2]:7660");
    EXPECT_EQ(
        reachable_address("0.0.0.0:7660",
                          {peer("10.0.0.3", 9), peer("10.1.0.3", 4), peer("127.0.0.1", 1)}, route),
        "10.1.0.3:7660");
    EXPECT_FALSE(is_any_address(default_route_host() + ":1"));
}

}  // namespace
}  // namespace chain::p2p
