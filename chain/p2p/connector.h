// SPDX-License-Identifier: BSD-3-Clause
//
// Connector: keeps sessions up that this node has chosen itself, `target` of them, from addresses
// found on the local network, the address book, and the seeds when there is nothing else. At most
// one per network group, so that whoever owns one network cannot be all that this node sees;
// private and loopback addresses are exempt. What the operator or a lease has connected does not
// count: others chose it.
//
// Owner: the loop's thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "chain/base/loop.h"
#include "chain/p2p/address_book.h"
#include "chain/p2p/limits.h"

namespace chain::p2p {

// What a Connector needs of its network.
class Dialler {
public:
    virtual ~Dialler() = default;
    // `done` comes from the loop, never from inside.
    virtual void dial(const std::string &host_port,
                      std::function<void(Result<PublicKey>)> done) = 0;
    virtual bool connected(const PublicKey &peer) const = 0;
    virtual std::set<PeerAddress> connected_addresses() const = 0;
    // Where the session with `peer` was dialled; nothing if it is not up, or inbound.
    virtual std::optional<PeerAddress> dialled_address(const PublicKey &peer) const = 0;
    virtual bool is_discouraged(const PeerAddress &address) const = 0;
    virtual bool is_own(const PeerAddress &address) const = 0;
};

class Connector {
public:
    // `book` may be null. `target` 0: dials nobody.
    Connector(Loop &loop, const Clock &clock, Dialler &dialler, AddressBook *book,
              const std::vector<std::string> &seeds, std::size_t target,
              std::uint64_t pause_ms = kDialPauseMs);

    void peer_left(const PublicKey &peer) {
        if (chosen_.erase(peer) > 0) rest_until_ms_ = 0;
    }
    // There are new addresses in the book: no rest now.
    void addresses_came() { rest_until_ms_ = 0; }
    // Dialled before those of the book.
    void found_nearby(const PeerAddress &address);
    std::size_t chosen_count() const { return chosen_.size(); }

private:
    struct Seed {
        std::string address;
        std::uint64_t pause_ms = 0;
        std::uint64_t next_at_ms = 0;  // steady
        bool dialling = false;
        std::optional<PublicKey> peer;  // who answered last
    };

    void tick();
    bool dial_next();
    bool dial_nearby();
    bool dial_from_book();
    bool dial_seed();
    void dial_address(const PeerAddress &address);
    void address_answered(const PeerAddress &address, const Result<PublicKey> &outcome);
    void seed_answered(Seed &seed, const Result<PublicKey> &outcome);
    void note_chosen(const PublicKey &peer);
    bool group_is_taken(const PeerAddress &address) const;

    const Clock &clock_;
    Dialler &dialler_;
    AddressBook *const book_;
    const std::size_t target_;
    std::vector<Seed> seeds_;
    std::deque<PeerAddress> nearby_;
    std::map<PublicKey, PeerAddress> chosen_;
    std::set<PeerAddress> dialling_;
    std::size_t seeds_dialling_ = 0;
    std::size_t miss_count_ = 0;  // dials without a session since the last one with
    std::uint64_t rest_until_ms_ = 0;
    LoopHandle timer_;
};

}  // namespace chain::p2p
