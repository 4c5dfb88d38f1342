// SPDX-License-Identifier: BSD-3-Clause
//
// Packets that anybody on the local network can send.
#include "chain/p2p/mdns_packet.h"

#include <algorithm>

#include "chain/p2p/limits.h"
#include "tests/fuzz/target.h"

namespace chain::fuzz {

CHAIN_FUZZ_TARGET(mdns) {
    const auto message = p2p::parse_lan_packet(input);
    if (!message.ok()) {
        CHAIN_CHECK(is_one_of(message.error(), {ErrorCode::kTooLarge, ErrorCode::kProtocol}));
        return;
    }
    CHAIN_CHECK(input.size() <= p2p::kMaxLanPacketBytes);
    CHAIN_CHECK(message->present.size() <= p2p::kMaxLanRecords);
    CHAIN_CHECK(!message->asks || message->present.empty());
    for (const p2p::LanPresence &presence : message->present) {
        const auto is_plain = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
        };
        CHAIN_CHECK(!presence.instance.empty() && presence.instance.size() <= 63 &&
                    std::all_of(presence.instance.begin(), presence.instance.end(), is_plain));
        CHAIN_CHECK(presence.port != 0 && presence.chain.size() == 16);
    }
}

}  // namespace chain::fuzz
