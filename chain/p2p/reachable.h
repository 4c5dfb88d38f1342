// SPDX-License-Identifier: BSD-3-Clause
//
// Under which address others reach a daemon that listens on every address of its machine.
#pragma once

#include <string>
#include <vector>

#include "chain/p2p/network.h"

namespace chain::p2p {

// "0.0.0.0:7660", "[::]:7660".
bool is_any_address(const std::string &host_port);

// `listening` as it is, unless that is any address. Then the machine's own end of a session with
// another machine, the oldest first; without one `route_host`; the port is that of `listening`.
std::string reachable_address(const std::string &listening, const std::vector<PeerView> &peers,
                              const std::string &route_host);

// The machine's address on its default route; "127.0.0.1" without one. Sends nothing.
std::string default_route_host();

}  // namespace chain::p2p
