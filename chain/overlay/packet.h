// SPDX-License-Identifier: BSD-3-Clause
//
// What must be known of an IPv4 packet to pass it on (RFC 791). Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace chain::overlay {

inline constexpr std::size_t kPacketBytesMax = 65'535;

struct Packet {
    std::uint32_t source = 0;  // host byte order, as the other
    std::uint32_t destination = 0;
    std::uint8_t protocol = 0;
    std::size_t header_bytes = 0;
    bool is_fragment = false;
};

// Ports at which ranks wait for each other; mpirun's components see to that.
inline constexpr std::uint16_t kRankPortFirst = 20'000;
inline constexpr std::uint16_t kRankPortCount = 10'000;

// Whether a packet from a peer may reach the renter's own machine, where mpirun waits at a port,
// too, and believes whoever speaks: between ranks, over TCP, and nothing that begins elsewhere.
bool is_between_ranks(const Packet &packet, std::string_view bytes);

// Nothing for what is no whole IPv4 packet.
std::optional<Packet> parse_packet(std::string_view bytes);

// The kernel's struct virtio_net_hdr, whose header C++ cannot read (Virtual I/O Device 1.1, 5.1.6).
struct OffloadHeader {
    std::uint8_t flags = 0;  // kNeedsSum
    std::uint8_t gso_type = 0;
    std::uint16_t header_bytes = 0;
    std::uint16_t gso_bytes = 0;
    std::uint16_t sum_start = 0;   // what is summed up begins here,
    std::uint16_t sum_offset = 0;  // and its sum goes here
};
static_assert(sizeof(OffloadHeader) == 10);
inline constexpr std::uint8_t kNeedsSum = 1;

// What a TUN device wants before `bytes`: that whoever takes it out need not check the sum of TCP
// or UDP, which its sender may not even have made; what brought it here lets nobody change it.
OffloadHeader offload_header(const Packet &packet, std::string_view bytes);

}  // namespace chain::overlay
