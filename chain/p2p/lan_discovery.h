// SPDX-License-Identifier: BSD-3-Clause
//
// LanDiscovery: finds daemons of the same chain on the local network by multicast DNS, and lets
// itself be found. On every interface with a private IPv4 address, never on one with a public IPv4
// address: there the "local network" is the provider's, with everybody else in it. (A public IPv6
// address is what each machine of a home has.)
//
// Owner: the loop's thread. Bounds: packets of kMaxLanPacketBytes, kLanPacketsPerSecond read,
// kLanFoundPerMinute addresses found, one answer a second per interface.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "chain/base/clock.h"
#include "chain/base/file.h"
#include "chain/base/loop.h"
#include "chain/p2p/mdns_packet.h"
#include "chain/p2p/peer_address.h"
#include "chain/p2p/token_bucket.h"

namespace chain::p2p {

class LanDiscovery {
public:
    using Found = std::function<void(const PeerAddress &)>;
    // `listening`: host:port where peers are accepted; empty: none, it only looks for others.
    LanDiscovery(Loop &loop, const Clock &clock, const Bytes32 &chain_id,
                 const std::string &listening, Found found);

private:
    struct Interface {
        std::string name;
        unsigned index = 0;
        std::uint32_t host = 0;  // network byte order, as the mask
        std::uint32_t mask = 0;
        FileDescriptor socket;
        LoopHandle readable;
        LoopHandle answer;  // due after a short pause, for all who ask meanwhile
        std::uint64_t answered_at_ms = 0;
    };

    void look_around();
    void open(Interface &&found);
    void read_packets(Interface &interface);
    void take_packet(Interface &interface, std::string_view packet, const PeerAddress &from);
    void schedule_answer(Interface &interface);
    void send(Interface &interface, const Bytes &packet);
    bool is_reached_at(const Interface &interface) const;

    Loop &loop_;
    const Clock &clock_;
    LanPresence self_;
    const std::string listening_;
    const Found found_;
    std::map<std::string, Interface> interfaces_;  // by name and address
    TokenBucket packets_;
    std::size_t found_count_ = 0;  // since the last look round
    bool warned_ = false;
    LoopHandle timer_;
};

}  // namespace chain::p2p
