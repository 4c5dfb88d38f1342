// SPDX-License-Identifier: BSD-3-Clause
//
// host:port, as people write it and as the operating system wants it.
#pragma once

#include <cstddef>
#include <string>

#include <sys/socket.h>

#include "chain/base/result.h"

namespace chain::p2p {

struct HostPort {
    std::string host;
    std::uint16_t port = 0;
};

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size_bytes = 0;
    const sockaddr *get() const { return reinterpret_cast<const sockaddr *>(&storage); }
};

// "127.0.0.1:7411", "peer.example:7411", "[::1]:7411". Errors: kInvalidInput.
Result<HostPort> parse_host_port(const std::string &text);

// Asks the resolver unless `numeric_only`: may block. Errors: kInvalidInput (numeric_only and not
// a number), kNotFound.
Result<SocketAddress> resolve(const HostPort &host_port, bool numeric_only);

std::string format_address(const sockaddr *address, socklen_t size_bytes);

}  // namespace chain::p2p
