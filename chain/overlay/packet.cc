// SPDX-License-Identifier: BSD-3-Clause
#include "chain/overlay/packet.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "chain/overlay/address.h"

namespace chain::overlay {
namespace {

std::uint16_t u16_at(std::string_view bytes, std::size_t at) {
    return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[at]) << 8 |
                                      static_cast<unsigned char>(bytes[at + 1]));
}

std::uint32_t u32_at(std::string_view bytes, std::size_t at) {
    return static_cast<std::uint32_t>(u16_at(bytes, at)) << 16 | u16_at(bytes, at + 2);
}

}  // namespace

std::optional<Packet> parse_packet(std::string_view bytes) {
    constexpr std::size_t kHeaderBytesMin = 20;
    if (bytes.size() < kHeaderBytesMin || bytes.size() > kPacketBytesMax) return std::nullopt;
    const auto first = static_cast<unsigned char>(bytes[0]);
    Packet packet;
    packet.header_bytes = std::size_t{first & 0x0fU} * 4;
    if (first >> 4 != 4 || packet.header_bytes < kHeaderBytesMin ||
        packet.header_bytes > bytes.size() || u16_at(bytes, 2) != bytes.size())
        return std::nullopt;
    packet.is_fragment = (u16_at(bytes, 6) & 0x3fffU) != 0;  // more follow, or an offset
    packet.protocol = static_cast<std::uint8_t>(bytes[9]);
    packet.source = u32_at(bytes, 12);
    packet.destination = u32_at(bytes, 16);
    return packet;
}

bool is_between_ranks(const Packet &packet, std::string_view bytes) {
    constexpr std::size_t kTcpHeaderBytesMin = 20;
    constexpr std::size_t kFlagsAt = 13;
    constexpr unsigned kSyn = 0x02;
    constexpr unsigned kAck = 0x10;
    if (packet.protocol != IPPROTO_TCP || packet.is_fragment ||
        packet.header_bytes + kTcpHeaderBytesMin > bytes.size())
        return false;
    const auto is_rank_port = [](std::uint16_t port) {
        return port >= kRankPortFirst && port - kRankPortFirst < kRankPortCount;
    };
    const std::string_view tcp = bytes.substr(packet.header_bytes);
    if (is_rank_port(u16_at(tcp, 2))) return true;
    const auto flags = static_cast<unsigned char>(tcp[kFlagsAt]);
    return is_rank_port(u16_at(tcp, 0)) && (flags & (kSyn | kAck)) != kSyn;
}

OffloadHeader offload_header(const Packet &packet, std::string_view bytes) {
    OffloadHeader header;
    std::size_t sum_at = 0;  // in the header of the transport protocol
    std::size_t least = 0;
    if (packet.protocol == IPPROTO_TCP) {
        sum_at = 16;
        least = 20;
    } else if (packet.protocol == IPPROTO_UDP) {
        sum_at = 6;
        least = 8;
    }
    if (sum_at == 0 || packet.is_fragment || packet.header_bytes + least > bytes.size())
        return header;
    header.flags = kNeedsSum;
    header.sum_start = static_cast<std::uint16_t>(packet.header_bytes);
    header.sum_offset = static_cast<std::uint16_t>(sum_at);
    return header;
}

std::string address_text(std::uint32_t member) {
    const in_addr address{htonl(address_of(member))};
    char text[INET_ADDRSTRLEN] = {};
    inet_ntop(AF_INET, &address, text, sizeof text);
    return text;
}

}  // namespace chain::overlay
