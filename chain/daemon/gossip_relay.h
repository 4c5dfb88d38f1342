// SPDX-License-Identifier: BSD-3-Clause
//
// GossipRelay: spreads transactions, votes and offers so that each is sent whole about once to each
// node. Who makes one sends it to all its peers; who has it from a peer announces its id to those
// that are not known to have it, and they ask for what they lack.
//
// Owner: the loop's thread. Limits: what is kept to be asked for, what is known of each peer, and
// what is asked of peers, all named below.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <unordered_map>

#include "chain/base/clock.h"
#include "chain/base/recent_set.h"
#include "chain/p2p/network.h"
#include "chain/wire/peer.pb.h"

namespace chain::daemon {

class GossipRelay {
public:
    using ItemId = Bytes32;  // of the serialised Gossip message

    static constexpr std::size_t kKeptMax = 50'000;
    static constexpr std::size_t kKeptBytesMax = 32u << 20;
    static constexpr std::size_t kKnownPerPeerMax = 10'000;  // a megabyte
    static constexpr int kIdsPerMessageMax = 1'000;
    static constexpr std::size_t kWantedMax = 20'000;
    static constexpr std::size_t kAnnouncersMax = 4;        // of one item, who are asked in turn
    static constexpr std::uint64_t kAskNextMs = 2'000;      // after so long without an answer
    static constexpr std::uint64_t kForgetMs = 30'000;      // an item that none of them has sent
    static constexpr std::uint64_t kFlushMs = 5;            // announcements wait for company
    static constexpr std::uint64_t kRefusedForMs = 30'000;  // not asked for again so soon

    GossipRelay(Loop &loop, p2p::Network &network) : loop_(loop), network_(network) {}

    // What this node has taken for right: new, its own or a peer's; or said once more, which
    // announces it to everybody, as a peer may have dropped it.
    void spread(const wire::Gossip &item);
    // An item has come from a peer, before it is judged: its id, if this node lacks it.
    std::optional<ItemId> on_item(const PublicKey &peer, const wire::Gossip &item);
    // It was refused: it is not asked for again for a while.
    void on_refused(const ItemId &id);

    // Errors: kProtocol (an id of another length, or twice), kTooLarge (too many at once).
    Status on_announce(const PublicKey &peer, const wire::GossipIds &ids);
    Status on_want(const PublicKey &peer, const wire::GossipIds &ids);
    void on_peer_gone(const PublicKey &peer) { peers_.erase(peer); }

private:
    using Ids = RecentSet<ItemId, Bytes32Hash>;
    struct Peer {
        Ids known{kKnownPerPeerMax};
        std::vector<ItemId> to_announce;
    };

    // Announced and not here. Whoever announces first and keeps the item shall not keep it from us.
    struct Wanted {
        std::uint64_t until_ms = 0;  // steady: when it is forgotten, or may be asked for again
        std::uint64_t ask_next_at_ms = 0;
        bool is_refused = false;
        std::vector<PublicKey> asked;
        std::vector<PublicKey> announcers;  // who were not asked yet
    };

    Peer &peer_of(const PublicKey &peer) { return peers_[peer]; }
    void keep(const ItemId &id, Bytes payload);
    void flush();
    void ask_next();
    Wanted &wanted(const ItemId &id, std::uint64_t now_ms);
    void send_ids(const PublicKey &peer, const std::vector<ItemId> &ids, bool wanted);

    Loop &loop_;
    p2p::Network &network_;
    std::map<PublicKey, Peer> peers_;
    std::unordered_map<ItemId, Bytes, Bytes32Hash> kept_;
    std::deque<ItemId> kept_oldest_first_;
    std::size_t kept_bytes_ = 0;
    Ids heard_{kKeptMax};  // from peers
    std::unordered_map<ItemId, Wanted, Bytes32Hash> wanted_;
    LoopHandle flush_timer_;
    LoopHandle ask_timer_;
};

}  // namespace chain::daemon
