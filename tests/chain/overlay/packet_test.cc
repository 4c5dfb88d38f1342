// SPDX-License-Identifier: BSD-3-Clause
#include "chain/overlay/packet.h"

#include <random>

#include <gtest/gtest.h>

#include "tests/chain/overlay/packets.h"

namespace chain::overlay::test {
namespace {

TEST(Address, MembersAndAddressesAreOneToOne) {
    EXPECT_EQ(address_text(kRenter), "10.77.0.1");
    EXPECT_EQ(address_text(member_of_leg(0)), "10.77.0.2");
    EXPECT_EQ(address_text(300), "10.77.1.45");
    for (std::uint32_t member = 0; member < kMembersMax; ++member)
        ASSERT_EQ(member_at(address_of(member)), member);
    EXPECT_GE(member_at(kNetworkAddress), kMembersMax);
    EXPECT_GE(member_at(0), kMembersMax);
    EXPECT_GE(member_at(0x7f000001), kMembersMax);
    EXPECT_GE(member_at(0xffffffff), kMembersMax);
}

TEST(Packet, SaysWhereItGoes) {
    const auto packet = parse_packet(make_packet(1, 2, "content!"));
    ASSERT_TRUE(packet.has_value());
    EXPECT_EQ(packet->source, address_of(1));
    EXPECT_EQ(packet->destination, address_of(2));
    EXPECT_EQ(packet->protocol, 17);
    EXPECT_EQ(packet->header_bytes, 20u);
    EXPECT_FALSE(packet->is_fragment);
}

TEST(Packet, WhatIsNoneIsRefused) {
    const std::string good = make_packet(1, 2, std::string(60, 'x'));
    EXPECT_FALSE(parse_packet("").has_value());
    for (std::size_t size = 0; size < good.size(); ++size)
        ASSERT_FALSE(parse_packet(good.substr(0, size)).has_value()) << size;
    EXPECT_FALSE(parse_packet(good + "x").has_value());
    std::string ipv6 = good;
    ipv6[0] = 0x65;
    EXPECT_FALSE(parse_packet(ipv6).has_value());
    std::string short_header = good;
    short_header[0] = 0x44;
    EXPECT_FALSE(parse_packet(short_header).has_value());
    std::string long_header = make_packet(1, 2, "");
    long_header[0] = 0x4f;
    EXPECT_FALSE(parse_packet(long_header).has_value());
    EXPECT_TRUE(parse_packet(make_packet(1, 2, std::string(kPacketBytesMax - 20, 'x'))));
}

// mpirun is on that machine, too, and believes whoever reaches its port.
TEST(Packet, OnlyWhatIsBetweenRanksReachesTheRentersMachine) {
    constexpr char kTcp = 6;
    constexpr char kSyn = 0x02;
    constexpr char kAck = 0x10;
    constexpr std::uint16_t kRank = kRankPortFirst + 17;
    constexpr std::uint16_t kLast = kRankPortFirst + kRankPortCount - 1;
    constexpr std::uint16_t kMpirun = 43'210;
    const auto tcp = [](std::uint16_t from, std::uint16_t to, char flags) {
        std::string header(20, '\0');
        put_u16(header, 0, from);
        put_u16(header, 2, to);
        header[13] = flags;
        return header;
    };
    struct Case {
        const char *name;
        std::string packet;
        bool passes;
    };
    std::string fragment = make_packet(1, 0, tcp(kRank, kRank, kAck), kTcp);
    put_u16(fragment, 6, 0x2000);
    const Case cases[] = {
        {"dials a rank", make_packet(1, 0, tcp(43'000, kRank, kSyn), kTcp), true},
        {"the last port", make_packet(1, 0, tcp(43'000, kLast, kSyn), kTcp), true},
        {"the next one", make_packet(1, 0, tcp(43'000, kLast + 1, kSyn), kTcp), false},
        {"the one before", make_packet(1, 0, tcp(43'000, kRankPortFirst - 1, kSyn), kTcp), false},
        {"answers a rank", make_packet(1, 0, tcp(kRank, 43'000, kSyn | kAck), kTcp), true},
        {"goes on", make_packet(1, 0, tcp(kRank, 43'000, kAck), kTcp), true},
        {"dials mpirun", make_packet(1, 0, tcp(43'000, kMpirun, kSyn), kTcp), false},
        {"dials mpirun from a rank's port", make_packet(1, 0, tcp(kRank, kMpirun, kSyn), kTcp),
         false},
        {"UDP", make_packet(1, 0, tcp(kRank, kRank, 0), 17), false},
        {"ICMP", make_packet(1, 0, tcp(kRank, kRank, 0), 1), false},
        {"a fragment", fragment, false},
        {"half a header", make_packet(1, 0, tcp(kRank, kRank, kAck).substr(0, 19), kTcp), false},
    };
    for (const Case &one : cases) {
        const auto packet = parse_packet(one.packet);
        ASSERT_TRUE(packet.has_value()) << one.name;
        EXPECT_EQ(is_between_ranks(*packet, one.packet), one.passes) << one.name;
    }
}

TEST(Packet, TheKernelIsToldToSumOnlyWhatHasASum) {
    struct Case {
        const char *name;
        char protocol;
        std::size_t content_bytes;
        std::size_t fragment;  // the field
        bool sums;
        std::uint16_t offset;
    };
    const Case cases[] = {
        {"tcp", 6, 20, 0, true, 16},       {"short tcp", 6, 19, 0, false, 0},
        {"udp", 17, 8, 0, true, 6},        {"short udp", 17, 7, 0, false, 0},
        {"icmp", 1, 40, 0, false, 0},      {"first fragment", 17, 40, 0x2000, false, 0},
        {"fragment", 17, 40, 9, false, 0}, {"not to be cut", 6, 40, 0x4000, true, 16},
    };
    for (const Case &c : cases) {
        SCOPED_TRACE(c.name);
        std::string bytes = make_packet(1, 2, std::string(c.content_bytes, 'x'), c.protocol);
        put_u16(bytes, 6, c.fragment);
        const auto packet = parse_packet(bytes);
        ASSERT_TRUE(packet.has_value());
        const OffloadHeader header = offload_header(*packet, bytes);
        EXPECT_EQ(header.flags, c.sums ? kNeedsSum : 0);
        EXPECT_EQ(header.gso_type, 0);
        if (!c.sums) continue;
        EXPECT_EQ(header.sum_start, 20);
        EXPECT_EQ(header.sum_offset, c.offset);
    }
}

TEST(Packet, RandomBytesAreReadWithinThem) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    for (int i = 0; i < 200'000; ++i) {
        std::string bytes(random() % 80, '\0');
        for (char &byte : bytes) byte = static_cast<char>(random());
        if (bytes.size() >= 4 && random() % 2 == 0) {
            bytes[0] = static_cast<char>(0x40 | random() % 16);
            put_u16(bytes, 2, bytes.size());
        }
        const auto packet = parse_packet(bytes);
        if (!packet) continue;
        ASSERT_LE(packet->header_bytes, bytes.size());
        const OffloadHeader header = offload_header(*packet, bytes);
        if (header.flags != 0) {
            ASSERT_LE(std::size_t{header.sum_start} + header.sum_offset + 2, bytes.size());
        }
    }
}

}  // namespace
}  // namespace chain::overlay::test
