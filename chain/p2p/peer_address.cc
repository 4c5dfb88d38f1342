// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/peer_address.h"

#include <algorithm>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "chain/p2p/address.h"
#include "chain/wire/peer.pb.h"

namespace chain::p2p {
namespace {

constexpr std::size_t kV4At = 12;  // where IPv4 begins in the long form
constexpr std::size_t kV4Bytes = 4;
constexpr std::array<std::uint8_t, kV4At> kV4Prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct Block {
    std::array<std::uint8_t, 16> prefix;
    unsigned bits;
    Reach reach;
};

// The IANA registries of special-purpose addresses (RFC 6890): what is not globally reachable.
constexpr Block kV4Networks[] = {
    {{0}, 8, Reach::kNowhere},
    {{127}, 8, Reach::kLoopback},
    {{10}, 8, Reach::kPrivate},
    {{172, 16}, 12, Reach::kPrivate},
    {{192, 168}, 16, Reach::kPrivate},
    {{100, 64}, 10, Reach::kPrivate},   // shared by the customers of a carrier
    {{169, 254}, 16, Reach::kPrivate},  // link-local
    {{192, 0, 0}, 24, Reach::kNowhere},
    {{192, 0, 2}, 24, Reach::kNowhere},
    {{198, 51, 100}, 24, Reach::kNowhere},
    {{203, 0, 113}, 24, Reach::kNowhere},
    {{198, 18}, 15, Reach::kNowhere},
    {{224}, 3, Reach::kNowhere},
};
constexpr Block kV6Networks[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, Reach::kLoopback},
    {{0}, 8, Reach::kNowhere},
    {{0xfc}, 7, Reach::kPrivate},
    {{0xfe, 0x80}, 10, Reach::kNowhere},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, Reach::kNowhere},
    {{0xff}, 8, Reach::kNowhere},
};

bool is_within(const std::uint8_t *host, const Block &block) {
    const std::size_t whole = block.bits / 8;
    if (!std::equal(host, host + whole, block.prefix.begin())) return false;
    const unsigned rest = block.bits % 8;
    return rest == 0 || ((host[whole] ^ block.prefix[whole]) >> (8 - rest)) == 0;
}

template <std::size_t Count>
Reach look_up(const std::uint8_t *host, const Block (&blocks)[Count]) {
    for (const Block &block : blocks)
        if (is_within(host, block)) return block.reach;
    return Reach::kPublic;
}

}  // namespace

bool PeerAddress::is_v4() const {
    return std::equal(kV4Prefix.begin(), kV4Prefix.end(), host.begin());
}

Reach reach_of(const PeerAddress &address) {
    return address.is_v4() ? look_up(address.host.data() + kV4At, kV4Networks)
                           : look_up(address.host.data(), kV6Networks);
}

bool may_be_told(const PeerAddress &address, const PeerAddress &other) {
    const Reach theirs = reach_of(other);
    switch (reach_of(address)) {
        case Reach::kNowhere: return false;
        case Reach::kLoopback: return theirs == Reach::kLoopback;
        case Reach::kPrivate: return theirs == Reach::kPrivate || theirs == Reach::kLoopback;
        case Reach::kPublic: return true;
    }
    return false;
}

Bytes network_group(const PeerAddress &address) {
    constexpr std::size_t kV4GroupBytes = 2;
    constexpr std::size_t kV6GroupBytes = 4;
    const auto *host = reinterpret_cast<const char *>(address.host.data());
    const Reach reach = reach_of(address);
    if (reach == Reach::kLoopback) return "loopback";
    if (reach == Reach::kPrivate) return Bytes(host, address.host.size());
    return address.is_v4() ? Bytes(host + kV4At, kV4GroupBytes) : Bytes(host, kV6GroupBytes);
}

std::optional<PeerAddress> peer_address(const sockaddr *address) {
    PeerAddress found;
    if (address->sa_family == AF_INET) {
        const auto *v4 = reinterpret_cast<const sockaddr_in *>(address);
        std::copy(kV4Prefix.begin(), kV4Prefix.end(), found.host.begin());
        std::memcpy(found.host.data() + kV4At, &v4->sin_addr, kV4Bytes);
        found.port = ntohs(v4->sin_port);
        return found;
    }
    if (address->sa_family != AF_INET6) return std::nullopt;
    const auto *v6 = reinterpret_cast<const sockaddr_in6 *>(address);
    std::memcpy(found.host.data(), &v6->sin6_addr, found.host.size());
    found.port = ntohs(v6->sin6_port);
    return found;
}

std::optional<PeerAddress> parse_peer_address(const std::string &text) {
    const auto parsed = parse_host_port(text);
    if (!parsed.ok()) return std::nullopt;
    const auto resolved = resolve(*parsed, true);
    if (!resolved.ok()) return std::nullopt;
    return peer_address(resolved->get());
}

std::string to_text(const PeerAddress &address) {
    char host[INET6_ADDRSTRLEN];
    const bool v4 = address.is_v4();
    inet_ntop(v4 ? AF_INET : AF_INET6, address.host.data() + (v4 ? kV4At : 0), host, sizeof host);
    return (v4 ? "" : "[") + std::string(host) + (v4 ? ":" : "]:") + std::to_string(address.port);
}

SocketAddress socket_address(const PeerAddress &address) {
    return resolve(parse_host_port(to_text(address)).value(), true).value();
}

void write_address(const PeerAddress &address, wire::NetAddress &out) {
    const std::size_t from = address.is_v4() ? kV4At : 0;
    out.set_host(address.host.data() + from, address.host.size() - from);
    out.set_port(address.port);
}

Result<PeerAddress> read_address(const wire::NetAddress &message) {
    PeerAddress address;
    if (message.port() == 0 || message.port() > 65535)
        return make_error(ErrorCode::kProtocol, "an address with port ", message.port());
    address.port = static_cast<std::uint16_t>(message.port());
    const std::string &host = message.host();
    if (host.size() == kV4Bytes) {
        std::copy(kV4Prefix.begin(), kV4Prefix.end(), address.host.begin());
        std::copy(host.begin(), host.end(), address.host.begin() + kV4At);
        return address;
    }
    if (host.size() != address.host.size())
        return make_error(ErrorCode::kProtocol, "an address of ", host.size(), " bytes");
    std::copy(host.begin(), host.end(), address.host.begin());
    if (address.is_v4()) return make_error(ErrorCode::kProtocol, "IPv4 written as IPv6");
    return address;
}

}  // namespace chain::p2p
