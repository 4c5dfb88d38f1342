// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/mempool.h"

#include <algorithm>

#include "chain/base/log.h"

namespace chain::ledger {

// A transfer's: of both accounts.
constexpr std::size_t kWritesMostly = 2;

Mempool::Mempool(Chain &chain) : chain_(chain) {
    by_id_.reserve(kTxsMax);
    begin_anew();
}

void Mempool::begin_anew() {
    pending_state_ = std::make_unique<Overlay>(chain_.state());
    built_on_ = chain_.tip().id;
    by_id_.clear();
    count_by_sender_.clear();
    size_bytes_ = 0;
}

Status Mempool::try_apply(const Tx &tx, std::uint64_t now_ms) {
    const TxContext context{chain_.genesis(), chain_.tip().height + 1,
                            static_cast<std::uint32_t>(txs_.size()),
                            std::max(now_ms, chain_.tip().time_ms + 1), &chain_.signatures()};
    return apply_tx(*pending_state_, tx, context);
}

Status Mempool::add(TxRef tx, std::uint64_t now_ms) {
    if (contains(tx->id))
        return make_error(ErrorCode::kConflict, "transaction ", short_hex(tx->id),
                          " is pending already");
    if (txs_.size() >= kTxsMax || size_bytes_ + tx->signed_bytes.size() > kBytesMax)
        return make_error(ErrorCode::kTooLarge, "too many transactions are pending (", txs_.size(),
                          "); try again after the next block");
    const auto sender = count_by_sender_.find(tx->sender);
    const bool is_new_sender = sender == count_by_sender_.end();
    if (!is_new_sender && sender->second >= kTxsPerSenderMax)
        return make_error(ErrorCode::kTooLarge, to_address(tx->sender), " has ", sender->second,
                          " transactions pending; try again after the next block");
    if (const Status applied = try_apply(*tx, now_ms); !applied.ok()) {
        // Its nonce is used up when it is in a block already: that is no refusal.
        CHAIN_ASSIGN(const auto place, chain_.place_of(tx->id));
        if (place)
            return make_error(ErrorCode::kConflict, "transaction ", short_hex(tx->id),
                              " is in block ", place->height, " already");
        remember_rejection(tx->id, applied.error().message);
        return applied.error();
    }
    if (is_new_sender)
        count_by_sender_.emplace(tx->sender, 1);
    else
        ++sender->second;
    size_bytes_ += tx->signed_bytes.size();
    const auto pending = txs_.insert(txs_.end(), {tx, pending_state_->newest_attempt(), {}});
    pending->writes.reserve(kWritesMostly);
    pending_state_->each_written([&](const Bytes &key, const std::optional<Bytes> &value) {
        pending->writes.emplace_back(key, value);
    });
    by_id_.emplace(tx->id, pending);
    return ok_status();
}

void Mempool::remove_first() {
    const Tx &tx = *txs_.front().tx;
    by_id_.erase(tx.id);
    size_bytes_ -= tx.signed_bytes.size();
    const auto sender = count_by_sender_.find(tx.sender);
    if (--sender->second == 0) count_by_sender_.erase(sender);
    txs_.pop_front();
}

// If the newest block holds exactly what is first in line: takes that out and keeps what the others
// make of the state, unless one of them built upon a value that came out differently in the block,
// whose time, number and reward were not known before. False: what is pending must be judged again.
bool Mempool::drop_included() {
    const Chain::Applied &block = chain_.last_applied();
    if (block.id == BlockId{} || block.id != chain_.tip().id || block.parent != built_on_ ||
        block.tx_ids.size() > txs_.size())
        return false;
    auto at = txs_.begin();
    for (const TxId &id : block.tx_ids)
        if ((at++)->tx->id != id) return false;
    std::unordered_map<std::string_view, const std::optional<Bytes> *> expected;
    for (auto head = txs_.begin(); head != at; ++head)
        for (const auto &[key, value] : head->writes) expected[key] = &value;
    const std::uint64_t first_left =
        at == txs_.end() ? pending_state_->newest_attempt() + 1 : at->attempt;
    const auto is_built_upon = [&](std::string_view key) {
        return pending_state_->last_attempt_on(key) >= first_left;
    };
    for (const auto &[key, value] : block.changes) {
        if (!is_built_upon(key)) continue;
        const auto found = expected.find(key);
        if (found == expected.end() || *found->second != value) return false;
    }
    for (const auto &[key, value] : expected)
        if (is_built_upon(key) && block.changes.find(key) == nullptr) return false;

    for (const auto &[key, value] : expected) {
        if (is_built_upon(key)) continue;
        pending_state_->forget(key);  // the chain's state has it now
    }
    while (txs_.begin() != at) remove_first();
    built_on_ = chain_.tip().id;
    return true;
}

void Mempool::rebuild(std::uint64_t now_ms) {
    if (drop_included()) return;
    ++full_rebuild_count_;
    std::list<Pending> waiting;
    waiting.swap(txs_);
    begin_anew();
    for (Pending &pending : waiting) {
        const TxId id = pending.tx->id;
        const auto place = chain_.place_of(id);
        if (place.ok() && *place) continue;
        if (const Status kept = add(std::move(pending.tx), now_ms); !kept.ok())
            log(LogLevel::kDebug, "ledger", "dropped pending transaction ", short_hex(id), ": ",
                kept.error().message);
    }
}

void Mempool::reject(const TxId &id, std::string reason, std::uint64_t now_ms) {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return;
    txs_.erase(found->second);
    remember_rejection(id, std::move(reason));
    rebuild(now_ms);
}

TxList Mempool::take(std::size_t count_max, std::size_t bytes_max) const {
    TxList taken;
    std::size_t size_bytes = 0;
    for (const Pending &pending : txs_) {
        size_bytes += pending.tx->signed_bytes.size();
        if (taken.size() == count_max || size_bytes > bytes_max) break;
        taken.push_back(pending.tx);
    }
    return taken;
}

std::vector<Bytes> Mempool::pending_bytes(std::size_t count_max) const {
    std::vector<Bytes> all;
    for (const Pending &pending : txs_) {
        if (all.size() == count_max) break;
        all.push_back(pending.tx->signed_bytes);
    }
    return all;
}

std::optional<std::string> Mempool::rejection(const TxId &id) const {
    const auto found = rejections_.find(id);
    return found == rejections_.end() ? std::nullopt : std::optional(found->second);
}

Result<std::uint64_t> Mempool::next_nonce(const PublicKey &account) const {
    CHAIN_ASSIGN(const Account pending, pending_state_->account(account));
    return pending.nonce;
}

void Mempool::remember_rejection(const TxId &id, std::string reason) {
    if (!rejections_.insert_or_assign(id, std::move(reason)).second) return;
    rejections_oldest_first_.push_back(id);
    if (rejections_oldest_first_.size() > kRejectionsMax) {
        rejections_.erase(rejections_oldest_first_.front());
        rejections_oldest_first_.pop_front();
    }
}

}  // namespace chain::ledger
