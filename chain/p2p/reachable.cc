// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/reachable.h"

#include <algorithm>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "chain/base/file.h"
#include "chain/p2p/address.h"

namespace chain::p2p {
namespace {

constexpr char kLoopback[] = "127.0.0.1";
// Reserved for documentation (RFC 5737): routed as any other, and nobody's.
constexpr char kSomewhere[] = "198.51.100.1";
constexpr std::uint16_t kDiscardPort = 9;

std::string host_of(const std::string &host_port) {
    return host_port.substr(0, host_port.rfind(':'));
}

bool is_loopback(const std::string &host) {
    return host.starts_with("127.") || host == "[::1]" || host.starts_with("[::ffff:127.");
}

}  // namespace

bool is_any_address(const std::string &host_port) {
    const std::string host = host_of(host_port);
    return host == "0.0.0.0" || host == "[::]";
}

std::string reachable_address(const std::string &listening, const std::vector<PeerView> &peers,
                              const std::string &route_host) {
    if (listening.empty() || !is_any_address(listening)) return listening;
    const PeerView *oldest = nullptr;
    for (const PeerView &peer : peers) {
        if (peer.local_host.empty() || is_loopback(peer.local_host)) continue;
        if (oldest == nullptr || peer.connected_at_ms < oldest->connected_at_ms) oldest = &peer;
    }
    const std::string host = oldest != nullptr ? oldest->local_host : route_host;
    return host + listening.substr(listening.rfind(':'));
}

std::string default_route_host() {
    const FileDescriptor probe(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(kDiscardPort);
    inet_pton(AF_INET, kSomewhere, &to.sin_addr);
    // For a datagram socket this chooses a route, and no more.
    if (!probe.valid() || connect(probe.get(), reinterpret_cast<sockaddr *>(&to), sizeof to) != 0)
        return kLoopback;
    SocketAddress own;
    own.size_bytes = sizeof own.storage;
    if (getsockname(probe.get(), reinterpret_cast<sockaddr *>(&own.storage), &own.size_bytes) != 0)
        return kLoopback;
    return host_of(format_address(own.get(), own.size_bytes));
}

}  // namespace chain::p2p
