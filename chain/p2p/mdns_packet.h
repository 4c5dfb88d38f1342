// SPDX-License-Identifier: BSD-3-Clause
//
// Packets of multicast DNS (RFC 6762) that find daemons of a chain on the local network, as DNS-SD
// (RFC 6763) has it: service "_ompi-chain._tcp.local", its port in SRV, the beginning of the chain
// id in TXT. Made and read by libldns. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chain/base/bytes.h"

namespace chain::p2p {

// A daemon that says that it is there. It is reached at the address from which the packet came:
// what address records say is not used, or one packet could send us anywhere.
struct LanPresence {
    std::string instance;  // a name of its own for each process: letters, digits, dashes
    std::string chain;     // chain_mark()
    std::uint16_t port = 0;
    friend bool operator==(const LanPresence &, const LanPresence &) = default;
};

struct LanMessage {
    bool asks = false;  // who is there?
    std::vector<LanPresence> present;
};

// First 16 hex digits.
std::string chain_mark(const Bytes32 &chain_id);

Bytes format_lan_query();
// `host`: the sender's address, as text, for tools of the system that list services.
Bytes format_lan_answer(const LanPresence &presence, const std::string &host);

// What is about other services is left out. Errors: kTooLarge (more than kMaxLanPacketBytes or
// kMaxLanRecords), kProtocol (malformed).
Result<LanMessage> parse_lan_packet(std::string_view packet);

}  // namespace chain::p2p
