// SPDX-License-Identifier: BSD-3-Clause
//
// Who is who in the network of a lease. Member 0 is the renter's daemon, which passes packets on,
// and has a device only for ranks of its own machine; member 1 + i runs leg i and has 10.77.0.2 +
// i. Nothing else is in that network, and nothing of it is seen from outside, so that every lease
// may use the same addresses.
#pragma once

#include <cstdint>
#include <string>

namespace chain::overlay {

inline constexpr std::uint32_t kNetworkAddress = 10U << 24 | 77U << 16;  // host byte order
inline constexpr unsigned kPrefixBits = 16;
inline constexpr std::uint32_t kRenter = 0;
inline constexpr std::uint32_t kMembersMax = 4'096;
inline constexpr const char *kDeviceName = "chain0";

constexpr std::uint32_t member_of_leg(std::uint32_t leg) {
    return leg + 1;
}
constexpr std::uint32_t address_of(std::uint32_t member) {
    return kNetworkAddress + member + 1;
}
// kMembersMax or more for what is no member's.
constexpr std::uint32_t member_at(std::uint32_t address) {
    return address - kNetworkAddress - 1;
}
std::string address_text(std::uint32_t member);  // "10.77.0.2"

}  // namespace chain::overlay
