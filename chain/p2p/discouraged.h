// SPDX-License-Identifier: BSD-3-Clause
//
// Discouraged: the hosts of peers that broke the protocol, for kDiscourageMs each. Of IPv6 the /64
// counts, which is what one customer has at least. In memory only: a restart forgives.
//
// Loopback is exempt unless it is asked for: all daemons of a devnet share that one host, and who
// can dial from it runs on this machine anyway.
//
// Belongs to one thread. Holds kDiscouragedMax hosts; the oldest make room.
#pragma once

#include <deque>
#include <map>

#include "chain/base/clock.h"
#include "chain/p2p/peer_address.h"

namespace chain::p2p {

class Discouraged {
public:
    Discouraged(const Clock &clock, bool loopback_too)
        : clock_(clock), loopback_too_(loopback_too) {}

    void add(const PeerAddress &address);
    bool contains(const PeerAddress &address) const;
    std::size_t size() const { return until_ms_.size(); }

private:
    const Clock &clock_;
    const bool loopback_too_;
    std::map<Bytes, std::uint64_t> until_ms_;  // steady; by host
    std::deque<Bytes> oldest_first_;           // the keys of the above
};

}  // namespace chain::p2p
