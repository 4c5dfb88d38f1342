// SPDX-License-Identifier: BSD-3-Clause
//
// ChainSync: keeps this node's ledger and offer book level with its peers': announces the tip,
// fetches missing blocks, spreads transactions, votes, blocks and offers. What breaks a rule of the
// ledger or the market ends the session with whoever sent it.
//
// Owner: the loop's thread.
#pragma once

#include <deque>
#include <map>

#include "chain/backend/ledger_backend.h"
#include "chain/daemon/gossip_relay.h"
#include "chain/market/offer_book.h"
#include "chain/p2p/network.h"
#include "chain/wire/peer.pb.h"

namespace chain::daemon {

inline constexpr std::uint32_t kBlocksPerReply = 64;
inline constexpr std::size_t kLocatorIdsMax = 64;
inline constexpr std::uint64_t kAskAgainMs = 2'000;
// A peer's block is told on after so long: most peers will have it from its sealer by then.
inline constexpr std::uint64_t kTellTipMs = 20;
inline constexpr std::uint64_t kFarBehindBlocks = 100;  // progress is logged
inline constexpr std::uint64_t kLogProgressMs = 10'000;
inline constexpr std::size_t kBlocksHeardMax = 1'024;
inline constexpr std::uint64_t kOffersEveryMs = 10'000;  // all of them, to one peer
inline constexpr std::size_t kQueueEnoughBytes = 8u
                                                 << 20;  // a peer that does not read gets no more
// Headers are looked at for so long at a time, as each may take a hash that is made to be slow.
inline constexpr std::uint64_t kHeadersSliceMs = 50;

class ChainSync {
public:
    ChainSync(Loop &loop, LedgerBackend &ledger, market::OfferBook &book, p2p::Network &network);

    // Of this node's own: goes to every peer.
    void publish_offer(const wire::SignedOffer &offer);
    // Asks for what could not be kept when it came. To be called about once a second.
    void try_again();
    // The height that half of the peers say they have; 0: nobody has said.
    std::uint64_t told_height() const;

private:
    void on_peer_up(const PublicKey &peer);
    void on_gossip(const PublicKey &peer, std::string_view payload);
    void on_sync(const PublicKey &peer, std::string_view payload);
    void on_blocks(const PublicKey &peer, const wire::Blocks &blocks);
    void on_item(const PublicKey &peer, wire::Gossip gossip);
    void on_new_block(const Bytes &block);
    void on_headers(const PublicKey &peer, const wire::Headers &headers);
    void take_headers(PublicKey peer);
    bool has_enough(const PublicKey &peer) const;  // to read
    void send_headers(const PublicKey &peer, const wire::GetHeaders &wanted);
    void send_blocks_by_id(const PublicKey &peer, const wire::GetBlocksById &wanted);
    void ask_for_missing(const PublicKey &peer);
    void announce_tip(const PublicKey &peer);
    void send_blocks(const PublicKey &peer, const wire::GetBlocks &wanted);
    // `are_told`: the peer has executed what it tells, before it told us.
    bool accept_blocks(const PublicKey &peer, std::span<const std::string_view> blocks,
                       bool are_told = false);
    void stall(const Error &why);
    void log_progress();
    void ask_for_blocks(const PublicKey &peer);
    void send(const PublicKey &peer, const wire::SyncMessage &message);
    void send_gossip(const PublicKey &peer, const wire::Gossip &gossip);
    void judge(const PublicKey &peer, const Error &error);

    Loop &loop_;
    LedgerBackend &ledger_;
    market::OfferBook &book_;
    p2p::Network &network_;
    struct Fetching {
        bool has_more_headers = false;
        std::uint64_t asked_until_ms = 0;  // steady: for blocks; no other question before
        std::uint64_t told_height = 0;
        std::uint64_t offers_until_ms = 0;  // steady: asked for all of them, and not again before
        std::deque<wire::SignedBlock> headers;  // that are still to be looked at
        bool is_full_answer = false;
        bool has_stopped = false;
        std::size_t new_headers = 0;
        bool ask_when_done = false;
        LoopHandle next_headers;
    };
    std::map<PublicKey, Fetching> fetching_;
    GossipRelay relay_;
    RecentSet<Bytes32, Bytes32Hash> blocks_heard_{kBlocksHeardMax};  // their bytes' hashes
    LoopHandle tell_tip_timer_;
    struct Progress {
        std::uint64_t since_ms = 0;  // steady; 0: this node is not far behind
        std::uint64_t height = 0;
    };
    Progress progress_;       // when it was last said
    bool stalled_ = false;    // the last block could not be kept
    bool ask_again_ = false;  // and nobody was asked since
};

}  // namespace chain::daemon
