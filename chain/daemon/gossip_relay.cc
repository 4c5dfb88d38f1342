// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/gossip_relay.h"

#include <algorithm>
#include <set>

namespace chain::daemon {
namespace {

GossipRelay::ItemId id_of(std::string_view payload) {
    return tagged_hash("ompi-chain/gossip", payload);
}

Result<std::vector<GossipRelay::ItemId>> read_ids(const wire::GossipIds &message) {
    if (message.ids_size() > GossipRelay::kIdsPerMessageMax)
        return make_error(ErrorCode::kTooLarge, "more than ", GossipRelay::kIdsPerMessageMax,
                          " ids at once");
    std::set<GossipRelay::ItemId> ids;
    for (const Bytes &bytes : message.ids()) {
        CHAIN_ASSIGN(const GossipRelay::ItemId id, to_bytes32(bytes, "id of gossip"));
        if (!ids.insert(id).second)
            return make_error(ErrorCode::kProtocol, "an id stands twice in one message");
    }
    return std::vector<GossipRelay::ItemId>(ids.begin(), ids.end());
}

}  // namespace

void GossipRelay::spread(const wire::Gossip &item) {
    Bytes payload = item.SerializeAsString();
    const ItemId id = id_of(payload);
    const bool is_again = kept_.contains(id), is_own = !heard_.contains(id);
    for (const p2p::PeerView &view : network_.peers()) {
        Peer &peer = peer_of(view.node_key);
        if (!is_again && peer.known.contains(id)) continue;
        // A peer whose queue is full hears of it when it is said again.
        if (!is_again && is_own && network_.send(view.node_key, wire::Topic::kGossip, payload).ok())
            peer.known.insert(id);
        else
            peer.to_announce.push_back(id);
    }
    if (!is_again) keep(id, std::move(payload));
    if (!flush_timer_.active()) flush_timer_ = loop_.after_ms(kFlushMs, [this] { flush(); });
}

void GossipRelay::keep(const ItemId &id, Bytes payload) {
    wanted_.erase(id);
    kept_bytes_ += payload.size();
    kept_.emplace(id, std::move(payload));
    kept_oldest_first_.push_back(id);
    while (kept_oldest_first_.size() > kKeptMax || kept_bytes_ > kKeptBytesMax) {
        const auto oldest = kept_.find(kept_oldest_first_.front());
        kept_bytes_ -= oldest->second.size();
        kept_.erase(oldest);
        kept_oldest_first_.pop_front();
    }
}

void GossipRelay::flush() {
    flush_timer_.cancel();
    for (auto &[key, peer] : peers_) {
        if (peer.to_announce.empty()) continue;
        std::vector<ItemId> ids = std::exchange(peer.to_announce, {});
        std::sort(ids.begin(), ids.end());
        ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
        send_ids(key, ids, false);
    }
}

void GossipRelay::send_ids(const PublicKey &peer, const std::vector<ItemId> &ids, bool wanted) {
    for (std::size_t from = 0; from < ids.size(); from += kIdsPerMessageMax) {
        wire::Gossip message;
        wire::GossipIds &list = wanted ? *message.mutable_want() : *message.mutable_announce();
        const std::size_t to = std::min(ids.size(), from + kIdsPerMessageMax);
        for (std::size_t i = from; i < to; ++i) list.add_ids(to_bytes(ids[i]));
        static_cast<void>(network_.send(peer, wire::Topic::kGossip, message.SerializeAsString()));
    }
}

std::optional<GossipRelay::ItemId> GossipRelay::on_item(const PublicKey &peer,
                                                        const wire::Gossip &item) {
    const ItemId id = id_of(item.SerializeAsString());
    peer_of(peer).known.insert(id);
    heard_.insert(id);
    if (kept_.contains(id)) return std::nullopt;
    return id;
}

GossipRelay::Wanted &GossipRelay::wanted(const ItemId &id, std::uint64_t now_ms) {
    if (wanted_.size() >= kWantedMax) wanted_.clear();
    Wanted &item = wanted_[id];
    if (item.until_ms <= now_ms) item = {.until_ms = now_ms + kForgetMs};
    return item;
}

void GossipRelay::on_refused(const ItemId &id) {
    const std::uint64_t now_ms = system_clock().steady_ms();
    Wanted &item = wanted(id, now_ms);
    item = {.until_ms = now_ms + kRefusedForMs, .is_refused = true};
}

Status GossipRelay::on_announce(const PublicKey &peer, const wire::GossipIds &message) {
    CHAIN_ASSIGN(const std::vector<ItemId> ids, read_ids(message));
    const std::uint64_t now_ms = system_clock().steady_ms();
    std::vector<ItemId> lacking;
    for (const ItemId &id : ids) {
        peer_of(peer).known.insert(id);
        if (kept_.contains(id)) continue;
        Wanted &item = wanted(id, now_ms);
        const auto is_in = [&](const std::vector<PublicKey> &peers) {
            return std::find(peers.begin(), peers.end(), peer) != peers.end();
        };
        if (item.is_refused || is_in(item.announcers)) continue;
        // Whoever was asked may have been too busy to answer: others first.
        const bool is_again = is_in(item.asked);
        if (now_ms < item.ask_next_at_ms || (is_again && !item.announcers.empty())) {
            if (!is_again && item.announcers.size() < kAnnouncersMax)
                item.announcers.push_back(peer);
            continue;
        }
        item.ask_next_at_ms = now_ms + kAskNextMs;
        if (!is_again) item.asked.push_back(peer);
        lacking.push_back(id);
    }
    if (!lacking.empty()) {
        send_ids(peer, lacking, true);
        if (!ask_timer_.active())
            ask_timer_ = loop_.every_ms(kAskNextMs / 4, [this] { ask_next(); });
    }
    return ok_status();
}

// Those whose first announcer is silent.
void GossipRelay::ask_next() {
    const std::uint64_t now_ms = system_clock().steady_ms();
    std::map<PublicKey, std::vector<ItemId>> lacking;
    std::erase_if(wanted_, [&](const auto &entry) { return entry.second.until_ms <= now_ms; });
    for (auto &[id, item] : wanted_) {
        if (item.is_refused || item.announcers.empty() || now_ms < item.ask_next_at_ms) continue;
        item.ask_next_at_ms = now_ms + kAskNextMs;
        item.asked.push_back(item.announcers.front());
        item.announcers.erase(item.announcers.begin());
        lacking[item.asked.back()].push_back(id);
    }
    for (const auto &[peer, ids] : lacking) send_ids(peer, ids, true);
    if (wanted_.empty()) ask_timer_.cancel();
}

Status GossipRelay::on_want(const PublicKey &peer, const wire::GossipIds &message) {
    CHAIN_ASSIGN(const std::vector<ItemId> ids, read_ids(message));
    for (const ItemId &id : ids) {
        const auto kept = kept_.find(id);
        if (kept == kept_.end()) continue;  // forgotten: another one has it
        if (!network_.send(peer, wire::Topic::kGossip, kept->second).ok()) break;
        peer_of(peer).known.insert(id);
    }
    return ok_status();
}

}  // namespace chain::daemon
