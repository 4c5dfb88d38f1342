// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/address.h"

#include <cstring>
#include <memory>

#include <netdb.h>

#include "chain/base/units.h"

namespace chain::p2p {

Result<HostPort> parse_host_port(const std::string &text) {
    constexpr std::size_t kMaxHostBytes = 253;  // of a DNS name
    const std::size_t colon = text.rfind(':');
    if (colon == std::string::npos || colon == 0)
        return make_error(ErrorCode::kInvalidInput, "'", text, "' is not host:port");
    HostPort parsed{text.substr(0, colon), 0};
    if (parsed.host.front() == '[' && parsed.host.back() == ']')
        parsed.host = parsed.host.substr(1, parsed.host.size() - 2);
    else if (parsed.host.find(':') != std::string::npos)
        return make_error(ErrorCode::kInvalidInput, "'", text,
                          "': an IPv6 address is written [address]:port");
    if (parsed.host.empty() || parsed.host.size() > kMaxHostBytes)
        return make_error(ErrorCode::kInvalidInput, "'", text, "' names no host");
    CHAIN_ASSIGN(const std::uint64_t port,
                 parse_integer(text.substr(colon + 1), 1, 65535, "the port of a peer"));
    parsed.port = static_cast<std::uint16_t>(port);
    return parsed;
}

Result<SocketAddress> resolve(const HostPort &host_port, bool numeric_only) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | (numeric_only ? AI_NUMERICHOST : AI_ADDRCONFIG);
    addrinfo *found = nullptr;
    const int failed =
        getaddrinfo(host_port.host.c_str(), std::to_string(host_port.port).c_str(), &hints, &found);
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
    if (failed != 0 || found == nullptr)
        return make_error(numeric_only ? ErrorCode::kInvalidInput : ErrorCode::kNotFound,
                          "no address for host '", host_port.host, "': ", gai_strerror(failed));
    SocketAddress address;
    std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
    address.size_bytes = found->ai_addrlen;
    return address;
}

std::string format_address(const sockaddr *address, socklen_t size_bytes) {
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (getnameinfo(address, size_bytes, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return "unknown";
    const bool v6 = address->sa_family == AF_INET6;
    return (v6 ? "[" : "") + std::string(host) + (v6 ? "]:" : ":") + port;
}

}  // namespace chain::p2p
