// SPDX-License-Identifier: BSD-3-Clause
//
// IPv4 packets for tests.
#pragma once

#include <string>
#include <string_view>

#include "chain/overlay/address.h"

namespace chain::overlay::test {

inline void put_u16(std::string &bytes, std::size_t at, std::size_t value) {
    bytes[at] = static_cast<char>(value >> 8 & 0xff);
    bytes[at + 1] = static_cast<char>(value & 0xff);
}

inline void put_address(std::string &bytes, std::size_t at, std::uint32_t address) {
    put_u16(bytes, at, address >> 16);
    put_u16(bytes, at + 2, address & 0xffff);
}

// Of `protocol`, with 20 bytes of header.
inline std::string make_packet(std::uint32_t from, std::uint32_t to, std::string_view content,
                               char protocol = 17) {
    std::string packet(20, '\0');
    packet[0] = 0x45;
    packet[8] = 64;
    packet[9] = protocol;
    put_u16(packet, 2, packet.size() + content.size());
    put_address(packet, 12, address_of(from));
    put_address(packet, 16, address_of(to));
    return packet.append(content);
}

}  // namespace chain::overlay::test
