// SPDX-License-Identifier: BSD-3-Clause
//
// Packets of the local network: those that we make, those of others, and noise.
#include <random>

#include <gtest/gtest.h>

#include "chain/base/clock.h"
#include "chain/p2p/limits.h"
#include "chain/p2p/mdns_packet.h"

namespace chain::p2p {
namespace {

const LanPresence kPresence{"peer-1a2b", "0123456789abcdef", 7660};

TEST(LanPacket, WhatIsMadeIsUnderstood) {
    const Bytes query = format_lan_query();
    EXPECT_EQ(query, std::string("\0\0\0\0\0\1\0\0\0\0\0\0"
                                 "\x0b_ompi-chain\x04_tcp\x05local\0\0\x0c\0\1",
                                 12 + 12 + 5 + 6 + 1 + 4));
    const auto asked = parse_lan_packet(query);
    ASSERT_TRUE(asked.ok()) << asked.error().message;
    EXPECT_TRUE(asked->asks);
    EXPECT_TRUE(asked->present.empty());
    const Bytes answer = format_lan_answer(kPresence, "10.0.0.1");
    EXPECT_LT(answer.size(), 512u);
    const auto told = parse_lan_packet(answer);
    ASSERT_TRUE(told.ok()) << told.error().message;
    EXPECT_FALSE(told->asks);
    ASSERT_EQ(told->present.size(), 1u);
    EXPECT_EQ(told->present[0], kPresence);
    Bytes32 chain_id{};
    chain_id[0] = 0xab;
    EXPECT_EQ(chain_mark(chain_id), "ab00000000000000");
}

TEST(LanPacket, OtherServicesAreNotOurs) {
    // A question for _http._tcp.local, and for our service in capital letters.
    const std::string head("\0\0\0\0\0\1\0\0\0\0\0\0", 12);
    const auto http =
        parse_lan_packet(head + std::string("\x05_http\x04_tcp\x05local\0\0\x0c\0\1", 22));
    ASSERT_TRUE(http.ok());
    EXPECT_FALSE(http->asks);
    const auto ours =
        parse_lan_packet(head + std::string("\x0b_OMPI-Chain\x04_TCP\x05local\0\0\x0c\0\1", 28));
    ASSERT_TRUE(ours.ok());
    EXPECT_TRUE(ours->asks);
    // A presence that is not whole: without its TXT.
    LanPresence nowhere = kPresence;
    nowhere.chain = "short";
    const auto partial = parse_lan_packet(format_lan_answer(nowhere, "10.0.0.1"));
    ASSERT_TRUE(partial.ok());
    EXPECT_TRUE(partial->present.empty());
    nowhere = kPresence;
    nowhere.port = 0;
    EXPECT_TRUE(parse_lan_packet(format_lan_answer(nowhere, "10.0.0.1"))->present.empty());
}

TEST(LanPacket, NoiseIsRefusedOrHarmless) {
    const unsigned seed = std::random_device{}();
    std::printf("seed %u\n", seed);
    std::mt19937 random(seed);
    const Bytes made[] = {format_lan_query(), format_lan_answer(kPresence, "10.0.0.1")};
    std::size_t understood = 0;
    for (int round = 0; round < 30'000; ++round) {
        Bytes packet = made[round % 2];
        if (round % 5 == 0) {
            packet.resize(random() % (kMaxLanPacketBytes + 50));
            for (char &byte : packet) byte = static_cast<char>(random());
            // A head that is nearly right.
            for (std::size_t i = 4; i < 12 && i < packet.size(); ++i)
                packet[i] = static_cast<char>(i % 2 == 0 ? 0 : random() % 10);
        } else {
            for (unsigned changes = 1 + random() % 6; changes > 0; --changes)
                packet[random() % packet.size()] = static_cast<char>(random());
            if (round % 7 == 0) packet.resize(random() % packet.size());
        }
        const auto parsed = parse_lan_packet(packet);
        if (!parsed.ok()) {
            ASSERT_TRUE(parsed.error().code == ErrorCode::kProtocol ||
                        parsed.error().code == ErrorCode::kTooLarge);
            continue;
        }
        ++understood;
        ASSERT_LE(parsed->present.size(), kMaxLanRecords);
        for (const LanPresence &presence : parsed->present) {
            ASSERT_EQ(presence.chain.size(), kPresence.chain.size());
            ASSERT_NE(presence.port, 0);
            ASSERT_LE(presence.instance.size(), 63u);
        }
    }
    EXPECT_GT(understood, 1000u);
    EXPECT_FALSE(parse_lan_packet("").ok());
    EXPECT_FALSE(parse_lan_packet(Bytes(kMaxLanPacketBytes + 1, '\0')).ok());
}

TEST(LanPacket, NamesThatLeadInCirclesCostLittle) {
    // As many records as are read, each with a name that is a pointer to the next one, all round.
    Bytes packet("\0\0\x84\0\0\0\0\x20\0\0\0\0", 12);
    while (packet.size() + 2 <= kMaxLanPacketBytes - 12) {
        const std::size_t next =
            packet.size() + 2 + 2 <= kMaxLanPacketBytes - 12 ? packet.size() + 2 : std::size_t{12};
        packet.push_back(static_cast<char>(0xc0 | next >> 8));
        packet.push_back(static_cast<char>(next));
    }
    const std::uint64_t began_ms = system_clock().steady_ms();
    for (std::uint64_t i = 0; i < kLanPacketsPerSecond; ++i)
        EXPECT_FALSE(parse_lan_packet(packet).ok());
    const std::uint64_t took_ms = system_clock().steady_ms() - began_ms;
    std::printf("a second's worth of the worst packets: %llu ms\n",
                static_cast<unsigned long long>(took_ms));
    EXPECT_LT(took_ms, 500u);
}

}  // namespace
}  // namespace chain::p2p
