// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/lan_discovery.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <set>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include "chain/base/log.h"
#include "chain/p2p/address.h"
#include "chain/p2p/limits.h"
#include "chain/p2p/random.h"
#include "chain/p2p/reachable.h"

namespace chain::p2p {
namespace {

constexpr char kGroup[] = "224.0.0.251";
constexpr std::uint16_t kMdnsPort = 5353;
constexpr int kMdnsTtl = 255;  // RFC 6762, 11: shows to others that no router passed it on

sockaddr_in group_address() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(kMdnsPort);
    inet_pton(AF_INET, kGroup, &address.sin_addr);
    return address;
}

std::string host_text(std::uint32_t host) {
    char text[INET_ADDRSTRLEN];
    return inet_ntop(AF_INET, &host, text, sizeof text);
}

bool has_v4(const ifaddrs &entry, Reach reach) {
    if (entry.ifa_addr == nullptr || entry.ifa_netmask == nullptr) return false;
    return entry.ifa_addr->sa_family == AF_INET && reach_of(*peer_address(entry.ifa_addr)) == reach;
}

template <class Value>
bool set_option(int fd, int level, int option, const Value &value) {
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

// Beside others of this port (avahi), and for this interface only.
Result<FileDescriptor> open_socket(unsigned index, std::uint32_t host) {
    FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.valid()) return errno_error(errno, "make a socket");
    const int fd = socket.get();
    ip_mreqn membership{};
    const sockaddr_in group = group_address();
    membership.imr_multiaddr = group.sin_addr;
    membership.imr_address.s_addr = host;
    membership.imr_ifindex = static_cast<int>(index);
    const bool ready = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
                       set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) &&
                       set_option(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0) &&
                       set_option(fd, IPPROTO_IP, IP_MULTICAST_IF, membership) &&
                       set_option(fd, IPPROTO_IP, IP_MULTICAST_TTL, kMdnsTtl) &&
                       bind(fd, reinterpret_cast<const sockaddr *>(&group), sizeof group) == 0 &&
                       set_option(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, membership);
    if (!ready) return errno_error(errno, "listen to " + std::string(kGroup));
    return socket;
}

}  // namespace

LanDiscovery::LanDiscovery(Loop &loop, const Clock &clock, const Bytes32 &chain_id,
                           const std::string &listening, Found found)
    : loop_(loop),
      clock_(clock),
      listening_(listening),
      found_(std::move(found)),
      packets_(kLanPacketsPerSecond, kLanPacketsBurst, clock.steady_ms()) {
    Bytes32 name;
    fill_random(name.data(), name.size());
    self_.instance = "peer-" + short_hex(name);
    self_.chain = chain_mark(chain_id);
    if (const auto own = parse_peer_address(listening)) self_.port = own->port;
    look_around();
    timer_ = loop_.every_ms(kLanQueryMs, [this] { look_around(); });
}

// Interfaces come and go; so do those who are there.
void LanDiscovery::look_around() {
    found_count_ = 0;
    ifaddrs *all = nullptr;
    if (getifaddrs(&all) != 0) return;
    const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(all, freeifaddrs);
    std::set<std::string> publics;
    std::set<std::string> present;
    for (const ifaddrs *entry = all; entry != nullptr; entry = entry->ifa_next)
        if (has_v4(*entry, Reach::kPublic)) publics.insert(entry->ifa_name);
    for (const ifaddrs *entry = all; entry != nullptr; entry = entry->ifa_next) {
        constexpr unsigned kNeeded = IFF_UP | IFF_MULTICAST;
        if (!has_v4(*entry, Reach::kPrivate)) continue;
        if ((entry->ifa_flags & kNeeded) != kNeeded || (entry->ifa_flags & IFF_LOOPBACK) != 0)
            continue;
        if (publics.contains(entry->ifa_name) || present.size() >= kLanInterfacesMax) continue;
        Interface found;
        found.name = entry->ifa_name;
        found.index = if_nametoindex(entry->ifa_name);
        found.host = reinterpret_cast<const sockaddr_in *>(entry->ifa_addr)->sin_addr.s_addr;
        found.mask = reinterpret_cast<const sockaddr_in *>(entry->ifa_netmask)->sin_addr.s_addr;
        const std::string key = found.name + " " + host_text(found.host);
        present.insert(key);
        if (!interfaces_.contains(key)) open(std::move(found));
    }
    std::erase_if(interfaces_, [&](const auto &entry) { return !present.contains(entry.first); });
    for (auto &[key, interface] : interfaces_) send(interface, format_lan_query());
    if (interfaces_.empty() && !std::exchange(warned_, true))
        log(LogLevel::kWarning, "p2p", "the local network is not searched for peers: ",
            publics.empty() ? "no interface has a private IPv4 address"
                            : *publics.begin() + " has a public address");
}

void LanDiscovery::open(Interface &&found) {
    const std::string key = found.name + " " + host_text(found.host);
    auto socket = open_socket(found.index, found.host);
    if (!socket.ok()) {
        if (!std::exchange(warned_, true))
            log(LogLevel::kWarning, "p2p", found.name, ": ", socket.error().message);
        return;
    }
    found.socket = std::move(*socket);
    Interface &interface = interfaces_.emplace(key, std::move(found)).first->second;
    interface.readable =
        loop_.on_readable(interface.socket.get(), [this, &interface] { read_packets(interface); });
    log(LogLevel::kNote, "p2p", "looks for peers of this chain on ", key);
    schedule_answer(interface);  // tells that we are there now
}

void LanDiscovery::read_packets(Interface &interface) {
    char buffer[kMaxLanPacketBytes + 1];
    // In a flood others of the loop have their turn too.
    for (std::uint64_t i = 0; i < kLanPacketsBurst; ++i) {
        sockaddr_in from{};
        socklen_t from_bytes = sizeof from;
        const ssize_t got = recvfrom(interface.socket.get(), buffer, sizeof buffer, 0,
                                     reinterpret_cast<sockaddr *>(&from), &from_bytes);
        if (got < 0) return;
        // Above the rate packets are lost, as the network itself may lose them.
        if (packets_.take(0, clock_.steady_ms()) > 0) continue;
        packets_.take(1, clock_.steady_ms());
        // Of this network, or it has no business here (RFC 6762, 11).
        if (((from.sin_addr.s_addr ^ interface.host) & interface.mask) != 0) continue;
        const auto address = peer_address(reinterpret_cast<const sockaddr *>(&from));
        if (address) take_packet(interface, {buffer, static_cast<std::size_t>(got)}, *address);
    }
}

void LanDiscovery::take_packet(Interface &interface, std::string_view packet,
                               const PeerAddress &from) {
    const auto message = parse_lan_packet(packet);
    if (!message.ok()) return;
    if (message->asks) schedule_answer(interface);
    for (const LanPresence &presence : message->present) {
        if (presence.instance == self_.instance || presence.chain != self_.chain) continue;
        if (found_count_ >= kLanFoundPerMinute) return;
        ++found_count_;
        PeerAddress address = from;
        address.port = presence.port;
        found_(address);
    }
}

bool LanDiscovery::is_reached_at(const Interface &interface) const {
    return self_.port != 0 &&
           (is_any_address(listening_) || listening_.starts_with(host_text(interface.host) + ":"));
}

void LanDiscovery::schedule_answer(Interface &interface) {
    if (!is_reached_at(interface) || interface.answer.active()) return;
    // RFC 6762, 6: a short pause drawn by chance, and the same record once a second at most.
    std::uint64_t pause_ms = 20 + random_below(100);
    const std::uint64_t now_ms = clock_.steady_ms();
    if (interface.answered_at_ms + kLanAnswerEveryMs > now_ms + pause_ms)
        pause_ms = interface.answered_at_ms + kLanAnswerEveryMs - now_ms;
    interface.answer = loop_.after_ms(pause_ms, [this, &interface] {
        interface.answer.cancel();
        interface.answered_at_ms = clock_.steady_ms();
        send(interface, format_lan_answer(self_, host_text(interface.host)));
    });
}

void LanDiscovery::send(Interface &interface, const Bytes &packet) {
    const sockaddr_in group = group_address();
    if (sendto(interface.socket.get(), packet.data(), packet.size(), 0,
               reinterpret_cast<const sockaddr *>(&group), sizeof group) < 0)
        log(LogLevel::kDebug, "p2p", interface.name, ": ", std::strerror(errno));
}

}  // namespace chain::p2p
