// SPDX-License-Identifier: BSD-3-Clause
//
// PeerAddress: where a daemon is reached, as numbers: what daemons tell each other and keep. Host
// names are for people and stay with them: a name would have to be looked up by everybody who hears
// it, wherever its owner wants.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include <sys/socket.h>

#include "chain/base/bytes.h"
#include "chain/p2p/address.h"

namespace chain::wire {
class NetAddress;
}

namespace chain::p2p {

struct PeerAddress {
    std::array<std::uint8_t, 16> host{};  // IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2)
    std::uint16_t port = 0;
    bool is_v4() const;
    friend auto operator<=>(const PeerAddress &, const PeerAddress &) = default;
};

// How far an address is worth anything. kNowhere: nobody can be dialled there (multicast,
// unspecified, reserved, link-local IPv6 without its interface, documentation).
enum class Reach { kNowhere, kLoopback, kPrivate, kPublic };
Reach reach_of(const PeerAddress &address);

// True if `address` means the same machine to `other` as to whoever is here: a private address is
// for those who are on a private network themselves, a loopback address for this machine.
bool may_be_told(const PeerAddress &address, const PeerAddress &other);

// What one owner can easily have many addresses in: the /16 of IPv4, the /32 of IPv6. Private
// addresses stand for themselves, and all of loopback is one.
Bytes network_group(const PeerAddress &address);

std::optional<PeerAddress> peer_address(const sockaddr *address);
// "192.0.2.7:7660", "[2001:db8::1]:7660"; nothing for host names and what is no address.
std::optional<PeerAddress> parse_peer_address(const std::string &text);
std::string to_text(const PeerAddress &address);
SocketAddress socket_address(const PeerAddress &address);

void write_address(const PeerAddress &address, wire::NetAddress &out);
// Errors: kProtocol (not 4 or 16 bytes, IPv4 in the long form, port 0 or above 65535).
Result<PeerAddress> read_address(const wire::NetAddress &message);

}  // namespace chain::p2p
