// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/connector.h"

#include <algorithm>

#include "chain/base/log.h"
#include "chain/p2p/random.h"

namespace chain::p2p {

Connector::Connector(Loop &loop, const Clock &clock, Dialler &dialler, AddressBook *book,
                     const std::vector<std::string> &seeds, std::size_t target,
                     std::uint64_t pause_ms)
    : clock_(clock), dialler_(dialler), book_(book), target_(target) {
    for (const std::string &address : seeds) seeds_.push_back({address});
    if (target_ > 0) timer_ = loop.every_ms(pause_ms, [this] { tick(); });
}

void Connector::tick() {
    const std::size_t under_way = dialling_.size() + seeds_dialling_;
    if (chosen_.size() + under_way >= target_ || under_way >= kDialsAtOnce) return;
    if (clock_.steady_ms() < rest_until_ms_) return;
    if (!dial_next()) rest_until_ms_ = clock_.steady_ms() + jittered_ms(kDialRestMs);
}

bool Connector::dial_next() {
    if (dial_nearby()) return true;
    if (miss_count_ >= kMissesBeforeSeed && dial_seed()) {
        miss_count_ = 0;
        return true;
    }
    return dial_from_book() || dial_seed();
}

bool Connector::group_is_taken(const PeerAddress &address) const {
    if (dialling_.contains(address)) return true;
    if (reach_of(address) != Reach::kPublic) return false;
    const Bytes group = network_group(address);
    const auto same = [&](const PeerAddress &other) { return network_group(other) == group; };
    return std::any_of(dialling_.begin(), dialling_.end(), same) ||
           std::any_of(chosen_.begin(), chosen_.end(),
                       [&](const auto &entry) { return same(entry.second); });
}

// ---- addresses

void Connector::found_nearby(const PeerAddress &address) {
    const bool waits = std::find(nearby_.begin(), nearby_.end(), address) != nearby_.end();
    if (waits || nearby_.size() >= kFoundMax) return;
    nearby_.push_back(address);
    rest_until_ms_ = 0;
}

bool Connector::dial_nearby() {
    while (!nearby_.empty()) {
        const PeerAddress address = nearby_.front();
        nearby_.pop_front();
        if (group_is_taken(address) || dialler_.is_own(address) ||
            dialler_.is_discouraged(address) || dialler_.connected_addresses().contains(address))
            continue;
        dial_address(address);
        return true;
    }
    return false;
}

bool Connector::dial_from_book() {
    if (book_ == nullptr) return false;
    const std::set<PeerAddress> connected = dialler_.connected_addresses();
    const auto skip = [&](const AddressEntry &entry) {
        return connected.contains(entry.address) || group_is_taken(entry.address) ||
               (entry.node_key && dialler_.connected(*entry.node_key)) ||
               dialler_.is_discouraged(entry.address);
    };
    const auto address = book_->select(skip);
    if (!address) return false;
    if (dialler_.is_own(*address))
        book_->forget(*address);
    else
        dial_address(*address);
    return true;
}

void Connector::dial_address(const PeerAddress &address) {
    dialling_.insert(address);
    if (book_ != nullptr) book_->attempted(address);
    dialler_.dial(to_text(address), [this, address](const Result<PublicKey> &outcome) {
        address_answered(address, outcome);
    });
}

void Connector::address_answered(const PeerAddress &address, const Result<PublicKey> &outcome) {
    dialling_.erase(address);
    if (outcome.ok()) {
        // Also when the session is another one of this peer: it is where it said.
        if (book_ != nullptr) book_->succeeded(address, *outcome);
        note_chosen(*outcome);
        return;
    }
    ++miss_count_;
    log(LogLevel::kDebug, "p2p", to_text(address), ": ", outcome.error().message);
    if (book_ == nullptr) return;
    const ErrorCode code = outcome.error().code;
    if (code == ErrorCode::kProtocol || code == ErrorCode::kBadSignature)
        book_->forget(address);
    else
        book_->failed(address, !dialler_.connected_addresses().empty());
}

void Connector::note_chosen(const PublicKey &peer) {
    miss_count_ = 0;
    const auto address = dialler_.dialled_address(peer);
    if (address) chosen_.emplace(peer, *address);
}

// ---- seeds

bool Connector::dial_seed() {
    const std::uint64_t now_ms = clock_.steady_ms();
    for (Seed &seed : seeds_) {
        const bool here = seed.peer && dialler_.connected(*seed.peer);
        if (seed.dialling || here || now_ms < seed.next_at_ms) continue;
        seed.dialling = true;
        ++seeds_dialling_;
        dialler_.dial(seed.address, [this, &seed](const Result<PublicKey> &outcome) {
            seed_answered(seed, outcome);
        });
        return true;
    }
    return false;
}

void Connector::seed_answered(Seed &seed, const Result<PublicKey> &outcome) {
    seed.dialling = false;
    --seeds_dialling_;
    seed.pause_ms =
        seed.pause_ms == 0 ? kSeedPauseFirstMs : std::min(seed.pause_ms * 2, kSeedPauseLastMs);
    seed.next_at_ms = clock_.steady_ms() + jittered_ms(seed.pause_ms);
    if (!outcome.ok()) {
        ++miss_count_;
        log(LogLevel::kDebug, "p2p", "seed ", seed.address, ": ", outcome.error().message);
        return;
    }
    seed.peer = *outcome;
    seed.pause_ms = 0;
    note_chosen(*outcome);
}

}  // namespace chain::p2p
