// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/mempool.h"

#include <algorithm>

#include "chain/base/log.h"

namespace chain::ledger {

Mempool::Mempool(Chain &chain)
    : chain_(chain), pending_state_(std::make_unique<Overlay>(chain.state())) {}

Status Mempool::try_apply(const Tx &tx, std::uint64_t now_ms) {
    const TxContext context{chain_.genesis(), chain_.tip().height + 1,
                            static_cast<std::uint32_t>(txs_.size()),
                            std::max(now_ms, chain_.tip().time_ms + 1), &chain_.signatures()};
    return apply_tx(*pending_state_, tx, context);
}

Status Mempool::add(Tx tx, std::uint64_t now_ms) {
    if (contains(tx.id))
        return make_error(ErrorCode::kConflict, "transaction ", short_hex(tx.id),
                          " is pending already");
    if (txs_.size() >= kTxsMax || size_bytes_ + tx.signed_bytes.size() > kBytesMax)
        return make_error(ErrorCode::kTooLarge, "too many transactions are pending (", txs_.size(),
                          "); try again after the next block");
    const auto sender = count_by_sender_.find(tx.sender);
    if (sender != count_by_sender_.end() && sender->second >= kTxsPerSenderMax)
        return make_error(ErrorCode::kTooLarge, to_address(tx.sender), " has ", sender->second,
                          " transactions pending; try again after the next block");
    if (const Status applied = try_apply(tx, now_ms); !applied.ok()) {
        remember_rejection(tx.id, applied.error().message);
        return applied.error();
    }
    const TxId id = tx.id;
    ++count_by_sender_[tx.sender];
    size_bytes_ += tx.signed_bytes.size();
    by_id_[id] = txs_.insert(txs_.end(), std::move(tx));
    return ok_status();
}

void Mempool::rebuild(std::uint64_t now_ms) {
    std::list<Tx> waiting;
    waiting.swap(txs_);
    by_id_.clear();
    count_by_sender_.clear();
    size_bytes_ = 0;
    pending_state_ = std::make_unique<Overlay>(chain_.state());
    for (Tx &tx : waiting) {
        const auto place = chain_.place_of(tx.id);
        if (place.ok() && *place) continue;
        const TxId id = tx.id;
        if (const Status kept = add(std::move(tx), now_ms); !kept.ok())
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

std::vector<Tx> Mempool::take(std::size_t count_max, std::size_t bytes_max) const {
    std::vector<Tx> taken;
    std::size_t size_bytes = 0;
    for (const Tx &tx : txs_) {
        size_bytes += tx.signed_bytes.size();
        if (taken.size() == count_max || size_bytes > bytes_max) break;
        taken.push_back(tx);
    }
    return taken;
}

std::vector<Bytes> Mempool::pending_bytes(std::size_t count_max) const {
    std::vector<Bytes> all;
    for (const Tx &tx : txs_) {
        if (all.size() == count_max) break;
        all.push_back(tx.signed_bytes);
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
