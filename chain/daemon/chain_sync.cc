// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/chain_sync.h"

#include <algorithm>

#include "chain/base/clock.h"
#include "chain/base/log.h"
#include "chain/daemon/log_categories.h"

namespace chain::daemon {
namespace {

constexpr std::size_t kPendingToNewPeerMax = 1'000;
constexpr std::string_view kBlockTag = "ompi-chain/block-bytes";

// Errors that an honest peer of this version never causes.
bool breaks_protocol(const Error &error) {
    return error.code == ErrorCode::kProtocol || error.code == ErrorCode::kBadSignature ||
           error.code == ErrorCode::kTooLarge;
}

}  // namespace

ChainSync::ChainSync(Loop &loop, LedgerBackend &ledger, market::OfferBook &book,
                     p2p::Network &network)
    : loop_(loop), ledger_(ledger), book_(book), network_(network), relay_(loop, network) {
    network_.on_peer([this](const PublicKey &peer, bool up, const std::string &) {
        fetching_.erase(peer);
        relay_.on_peer_gone(peer);
        if (up) on_peer_up(peer);
    });
    network_.on_message(
        wire::Topic::kGossip,
        [this](const PublicKey &peer, std::string_view bytes) { on_gossip(peer, bytes); });
    network_.on_message(wire::Topic::kSync, [this](const PublicKey &peer, std::string_view bytes) {
        on_sync(peer, bytes);
    });
    ledger_.on_tx_accepted([this](const Bytes &tx) {
        wire::Gossip gossip;
        gossip.set_tx(tx);
        relay_.spread(gossip);
    });
    ledger_.on_vote([this](const wire::SignedVote &vote) {
        wire::Gossip gossip;
        *gossip.mutable_vote() = vote;
        relay_.spread(gossip);
    });
    ledger_.on_block([this](const Bytes &block) { on_new_block(block); });
}

// One of its own goes to everybody at once. Of a peer's, or of many that are caught up with, only
// the tip is told: who lacks it asks.
void ChainSync::on_new_block(const Bytes &block) {
    if (!blocks_heard_.contains(tagged_hash(kBlockTag, block))) {
        wire::Gossip gossip;
        gossip.set_block(block);
        network_.broadcast(wire::Topic::kGossip, gossip.SerializeAsString(), nullptr);
    } else if (!tell_tip_timer_.active()) {
        tell_tip_timer_ = loop_.after_ms(kTellTipMs, [this] {
            for (const p2p::PeerView &peer : network_.peers()) announce_tip(peer.node_key);
        });
    }
}

void ChainSync::publish_offer(const wire::SignedOffer &offer) {
    wire::Gossip gossip;
    *gossip.mutable_offer() = offer;
    relay_.spread(gossip);
}

void ChainSync::on_peer_up(const PublicKey &peer) {
    announce_tip(peer);
    wire::SyncMessage offers;
    offers.mutable_get_offers();
    send(peer, offers);
    for (Bytes &tx : ledger_.pending_txs(kPendingToNewPeerMax)) {
        wire::Gossip gossip;
        gossip.set_tx(std::move(tx));
        send_gossip(peer, gossip);
    }
}

void ChainSync::announce_tip(const PublicKey &peer) {
    wire::SyncMessage tip;
    tip.mutable_tip()->set_height(ledger_.height());
    tip.mutable_tip()->set_block_id(to_bytes(ledger_.tip().id));
    send(peer, tip);
}

void ChainSync::on_gossip(const PublicKey &peer, std::string_view payload) {
    wire::Gossip gossip;
    if (const Status parsed =
            wire::parse_strict(payload, wire::kMaxPeerFrameBytes, "gossip", gossip);
        !parsed.ok())
        return judge(peer, parsed.error());
    Status taken = ok_status();
    switch (gossip.item_case()) {
        case wire::Gossip::kBlock: {
            const std::string_view block = gossip.block();
            accept_blocks(peer, {&block, 1}, true);
            return;
        }
        case wire::Gossip::kAnnounce: taken = relay_.on_announce(peer, gossip.announce()); break;
        case wire::Gossip::kWant: taken = relay_.on_want(peer, gossip.want()); break;
        default: return on_item(peer, std::move(gossip));
    }
    if (!taken.ok()) judge(peer, taken.error());
}

// An offer that has expired on its way, a transaction that another one overtook: no fault of the
// peer's, but not asked for again at once.
void ChainSync::on_item(const PublicKey &peer, wire::Gossip gossip) {
    const auto id = relay_.on_item(peer, gossip);
    if (!id) return;
    const auto refuse = [this, peer, id = *id](const Error &error) {
        relay_.on_refused(id);
        judge(peer, error);
    };
    switch (gossip.item_case()) {
        case wire::Gossip::kTx: {
            // Others that came with it are verified together, at the loop's next turn. What is
            // taken is spread by on_tx_accepted.
            ledger_.accept_tx_soon(gossip.tx(), [refuse](const Result<bool> &taken) {
                if (!taken.ok()) refuse(taken.error());
            });
            return;
        }
        case wire::Gossip::kOffer: {
            const auto taken = book_.accept(gossip.offer());
            if (!taken.ok()) return refuse(taken.error());
            if (*taken) relay_.spread(gossip);
            return;
        }
        case wire::Gossip::kVote: {
            const auto taken = ledger_.accept_vote(gossip.vote());
            if (!taken.ok()) return refuse(taken.error());
            if (*taken) relay_.spread(gossip);
            return;
        }
        default: return;
    }
}

void ChainSync::on_sync(const PublicKey &peer, std::string_view payload) {
    wire::SyncMessage message;
    if (const Status parsed =
            wire::parse_strict(payload, wire::kMaxPeerFrameBytes, "sync message", message);
        !parsed.ok())
        return judge(peer, parsed.error());
    switch (message.what_case()) {
        case wire::SyncMessage::kTip:
            fetching_[peer].told_height = message.tip().height();
            if (ledger_.has_validators()) {
                if (message.tip().block_id() != to_bytes(ledger_.tip().id)) ask_for_blocks(peer);
            } else if (message.tip().height() > ledger_.height()) {
                ask_for_blocks(peer);
            }
            return;
        case wire::SyncMessage::kGetBlocks: return send_blocks(peer, message.get_blocks());
        case wire::SyncMessage::kBlocks: return on_blocks(peer, message.blocks());
        case wire::SyncMessage::kGetHeaders: return send_headers(peer, message.get_headers());
        case wire::SyncMessage::kHeaders: return on_headers(peer, message.headers());
        case wire::SyncMessage::kGetBlocksById:
            return send_blocks_by_id(peer, message.get_blocks_by_id());
        case wire::SyncMessage::kGetOffers: {
            const std::uint64_t now_ms = system_clock().steady_ms();
            if (now_ms < fetching_[peer].offers_until_ms) return;
            fetching_[peer].offers_until_ms = now_ms + kOffersEveryMs;
            for (const wire::SignedOffer &offer : book_.signed_offers()) {
                wire::Gossip gossip;
                *gossip.mutable_offer() = offer;
                send_gossip(peer, gossip);
            }
            return;
        }
        case wire::SyncMessage::WHAT_NOT_SET: return;
    }
}

void ChainSync::send_blocks(const PublicKey &peer, const wire::GetBlocks &wanted) {
    if (has_enough(peer)) return;
    auto blocks = ledger_.blocks_from(wanted.from_height(), wanted.count_max());
    if (!blocks.ok()) {
        log(LogLevel::kError, kSyncLog, "blocks for a peer: ", blocks.error().message);
        return;
    }
    if (blocks->empty()) return;
    wire::SyncMessage message;
    for (Bytes &block : *blocks) message.mutable_blocks()->add_blocks(std::move(block));
    send(peer, message);
}

void ChainSync::on_blocks(const PublicKey &peer, const wire::Blocks &blocks) {
    const std::vector<std::string_view> views(blocks.blocks().begin(), blocks.blocks().end());
    if (const auto fetching = fetching_.find(peer); fetching != fetching_.end())
        fetching->second.asked_until_ms = 0;
    if (!accept_blocks(peer, views)) return;
    if (blocks.blocks_size() > 0 && !ledger_.has_validators())
        ask_for_blocks(peer);  // until an answer stays out
}

void ChainSync::send_headers(const PublicKey &peer, const wire::GetHeaders &wanted) {
    if (has_enough(peer)) return;
    std::vector<ledger::BlockId> known;
    for (const Bytes &bytes : wanted.known()) {
        if (known.size() == kLocatorIdsMax) break;
        const auto id = to_bytes32(bytes, "block id");
        if (!id.ok()) return judge(peer, id.error());
        known.push_back(*id);
    }
    auto headers = ledger_.headers_after(known, LedgerBackend::kHeadersPerAnswerMax);
    if (!headers.ok() || headers->empty()) return;
    wire::SyncMessage message;
    for (wire::SignedBlock &header : *headers)
        *message.mutable_headers()->add_headers() = std::move(header);
    send(peer, message);
}

void ChainSync::on_headers(const PublicKey &peer, const wire::Headers &headers) {
    if (!ledger_.has_validators())
        return judge(peer,
                     make_error(ErrorCode::kProtocol, "headers where one key seals all blocks"));
    Fetching &fetching = fetching_[peer];
    // More than were asked for: they are looked at when they come again.
    if (fetching.headers.size() + static_cast<std::size_t>(headers.headers_size()) >
        2 * LedgerBackend::kHeadersPerAnswerMax)
        return;
    fetching.headers.insert(fetching.headers.end(), headers.headers().begin(),
                            headers.headers().end());
    fetching.is_full_answer =
        headers.headers_size() >= static_cast<int>(LedgerBackend::kHeadersPerAnswerMax);
    if (!fetching.next_headers.active()) take_headers(peer);
}

void ChainSync::take_headers(PublicKey peer) {
    Fetching &fetching = fetching_[peer];
    // One at least.
    const std::uint64_t end_ms = system_clock().steady_ms() + kHeadersSliceMs;
    while (!fetching.headers.empty() && system_clock().steady_ms() < end_ms) {
        const auto taken = ledger_.accept_headers({&fetching.headers.front(), 1});
        fetching.headers.pop_front();
        if (taken.ok()) {
            fetching.new_headers += taken->new_count;
            if (!taken->has_stopped) continue;
            // The rest once blocks have come: not asked for again and again before.
            fetching.has_stopped = true;
            fetching.headers.clear();
            break;
        }
        fetching.headers.clear();
        fetching.next_headers.cancel();
        // The peer is on a branch that leaves ours below what is final: it has to be told.
        if (taken.error().code == ErrorCode::kNotFound) announce_tip(peer);
        return judge(peer, taken.error());
    }
    if (!fetching.headers.empty()) {
        fetching.next_headers = loop_.after_ms(0, [this, peer] { take_headers(peer); });
        return;
    }
    fetching.next_headers.cancel();
    fetching.has_more_headers =
        fetching.has_stopped ? fetching.new_headers > 0 : fetching.is_full_answer;
    fetching.new_headers = 0;
    fetching.has_stopped = false;
    if (std::exchange(fetching.ask_when_done, false)) return ask_for_blocks(peer);
    ask_for_missing(peer);
}

bool ChainSync::has_enough(const PublicKey &peer) const {
    return network_.queued_bytes(peer) > kQueueEnoughBytes;
}

// Blocks of the best branch, one question at a time; when none is missing, what comes after it.
void ChainSync::ask_for_missing(const PublicKey &peer) {
    const std::vector<ledger::BlockId> missing = ledger_.missing_blocks(kBlocksPerReply);
    Fetching &fetching = fetching_[peer];
    if (missing.empty()) {
        if (std::exchange(fetching.has_more_headers, false)) ask_for_blocks(peer);
        return;
    }
    const std::uint64_t now_ms = system_clock().steady_ms();
    if (now_ms < fetching.asked_until_ms) return;
    fetching.asked_until_ms = now_ms + kAskAgainMs;
    wire::SyncMessage message;
    for (const ledger::BlockId &id : missing)
        message.mutable_get_blocks_by_id()->add_ids(to_bytes(id));
    send(peer, message);
}

void ChainSync::send_blocks_by_id(const PublicKey &peer, const wire::GetBlocksById &wanted) {
    if (wanted.ids_size() > static_cast<int>(kBlocksPerReply))
        return judge(peer, make_error(ErrorCode::kTooLarge, "asks for more than ", kBlocksPerReply,
                                      " blocks at once"));
    if (has_enough(peer)) return;
    wire::SyncMessage message;
    std::size_t size_bytes = 0;
    for (const Bytes &bytes : wanted.ids()) {
        const auto id = to_bytes32(bytes, "block id");
        if (!id.ok()) return judge(peer, id.error());
        auto block = ledger_.block_bytes(*id);
        if (!block.ok()) continue;
        size_bytes += block->size();
        if (message.blocks().blocks_size() > 0 && size_bytes > LedgerBackend::kAnswerBytesMax)
            break;
        message.mutable_blocks()->add_blocks(std::move(*block));
    }
    if (message.blocks().blocks_size() > 0) send(peer, message);
}

// Of blocks that were asked for, an honest peer may have some that it has not executed itself.
bool ChainSync::accept_blocks(const PublicKey &peer, std::span<const std::string_view> blocks,
                              bool are_told) {
    for (const std::string_view block : blocks) blocks_heard_.insert(tagged_hash(kBlockTag, block));
    const auto receipt = ledger_.accept_blocks(blocks);
    if (!receipt.ok()) {
        if (is_of_store(receipt.error()))  // the block is good, and has to be had later
            stall(receipt.error());
        else
            judge(peer, receipt.error());
        return false;
    }
    stalled_ = false;
    if (receipt->kind == BlockReceipt::Kind::kGap) {
        ask_for_blocks(peer);
        return false;
    }
    if (are_told && receipt->kind == BlockReceipt::Kind::kWrong) {
        network_.disconnect(peer, "a block that is against the rules");
        return false;
    }
    // A branch that was not worth its blocks may be by now.
    if (ledger_.has_validators()) ask_for_missing(peer);
    return true;
}

void ChainSync::stall(const Error &why) {
    if (!stalled_)
        log(LogLevel::kError, kSyncLog,
            "blocks cannot be kept, which is tried again: ", why.message);
    stalled_ = ask_again_ = true;
}

std::uint64_t ChainSync::told_height() const {
    std::vector<std::uint64_t> heights;
    for (const auto &[peer, fetching] : fetching_) heights.push_back(fetching.told_height);
    if (heights.empty()) return 0;
    const auto middle = heights.begin() + static_cast<std::ptrdiff_t>(heights.size() / 2);
    std::nth_element(heights.begin(), middle, heights.end());
    return *middle;
}

void ChainSync::log_progress() {
    const std::uint64_t now_ms = system_clock().steady_ms();
    const std::uint64_t told = told_height(), height = ledger_.height();
    if (told <= height + kFarBehindBlocks) {
        if (progress_.since_ms != 0)
            log(LogLevel::kNote, kSyncLog, "caught up: the ledger is at block ", height);
        progress_ = {};
    } else if (progress_.since_ms == 0) {
        progress_ = {now_ms, height};
        log(LogLevel::kNote, kSyncLog, "at block ", height, ", and peers are at ", told);
    } else if (now_ms >= progress_.since_ms + kLogProgressMs) {
        log(LogLevel::kNote, kSyncLog, "at block ", height, " of ", told, ", ",
            (height - std::min(height, progress_.height)) * 1'000 / (now_ms - progress_.since_ms),
            " blocks/s");
        progress_ = {now_ms, height};
    }
}

void ChainSync::try_again() {
    log_progress();
    if (ledger_.has_validators())
        for (const p2p::PeerView &peer : network_.peers()) ask_for_missing(peer.node_key);
    if (!ask_again_) return;
    ask_again_ = false;
    for (const p2p::PeerView &peer : network_.peers()) ask_for_blocks(peer.node_key);
}

void ChainSync::ask_for_blocks(const PublicKey &peer) {
    wire::SyncMessage message;
    if (ledger_.has_validators()) {
        Fetching &fetching = fetching_[peer];
        if (!fetching.headers.empty()) {
            fetching.ask_when_done = true;
            return;
        }
        for (const ledger::BlockId &id : ledger_.locator())
            message.mutable_get_headers()->add_known(to_bytes(id));
        return send(peer, message);
    }
    message.mutable_get_blocks()->set_from_height(ledger_.height() + 1);
    message.mutable_get_blocks()->set_count_max(kBlocksPerReply);
    send(peer, message);
}

void ChainSync::send(const PublicKey &peer, const wire::SyncMessage &message) {
    static_cast<void>(network_.send(peer, wire::Topic::kSync, message.SerializeAsString()));
}

void ChainSync::send_gossip(const PublicKey &peer, const wire::Gossip &gossip) {
    static_cast<void>(network_.send(peer, wire::Topic::kGossip, gossip.SerializeAsString()));
}

// Bytes that nobody honest sends end the session.
void ChainSync::judge(const PublicKey &peer, const Error &error) {
    log(LogLevel::kDebug, kSyncLog, "from ", short_hex(peer), ": ", error.message);
    if (breaks_protocol(error)) network_.disconnect(peer, error.message);
}

}  // namespace chain::daemon
