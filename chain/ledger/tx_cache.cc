// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/tx_cache.h"

namespace chain::ledger {
namespace {

constexpr std::string_view kTxBytesTag = "ompi-chain/tx-bytes";
// A signature takes tens of microseconds, a known transaction less than one.
constexpr std::size_t kTxsPerPiece = 4;

}  // namespace

Bytes32 tx_bytes_hash(std::string_view signed_tx_bytes) {
    return tagged_hash(kTxBytesTag, signed_tx_bytes);
}

TxRef TxCache::find(const Bytes32 &bytes_hash, std::string_view signed_bytes) const {
    TxRef found;
    {
        const std::lock_guard lock(mutex_);
        const auto at = known_.find(bytes_hash);
        if (at == known_.end()) return nullptr;
        found = at->second;
    }
    if (found->signed_bytes != signed_bytes) return nullptr;
    ++hit_count_;
    return found;
}

void TxCache::insert(const Bytes32 &bytes_hash, TxRef tx) {
    const std::size_t size_bytes = tx->signed_bytes.size();
    std::vector<TxRef> forgotten;  // freed after the lock
    const std::lock_guard lock(mutex_);
    if (!known_.try_emplace(bytes_hash, std::move(tx)).second) return;
    oldest_first_.push_back(bytes_hash);
    size_bytes_ += size_bytes;
    while (known_.size() > txs_max_ || size_bytes_ > bytes_max_) {
        const auto oldest = known_.find(oldest_first_.front());
        oldest_first_.pop_front();
        size_bytes_ -= oldest->second->signed_bytes.size();
        forgotten.push_back(std::move(oldest->second));
        known_.erase(oldest);
    }
}

std::size_t TxCache::size() const {
    const std::lock_guard lock(mutex_);
    return known_.size();
}

std::size_t TxCache::size_bytes() const {
    const std::lock_guard lock(mutex_);
    return size_bytes_;
}

Result<TxRef> decode_tx_cached(std::string_view signed_tx_bytes, const Bytes32 &bytes_hash,
                               const Bytes32 &chain_id, TxCache &cache) {
    if (TxRef known = cache.find(bytes_hash, signed_tx_bytes)) return known;
    CHAIN_ASSIGN(Tx decoded, decode_tx(signed_tx_bytes, chain_id, &cache.points()));
    TxRef tx = std::make_shared<const Tx>(std::move(decoded));
    cache.insert(bytes_hash, tx);
    return tx;
}

DecodeBatch::DecodeBatch(std::vector<std::string_view> signed_txs, std::vector<Bytes32> hashes,
                         const Bytes32 &chain_id, TxCache *cache, Parallel &pool)
    : signed_txs_(std::move(signed_txs)),
      hashes_(std::move(hashes)),
      chain_id_(chain_id),
      cache_(cache),
      pool_(pool),
      results_(signed_txs_.size(), Result<TxRef>(TxRef())) {
    CHAIN_CHECK(hashes_.empty() || hashes_.size() == signed_txs_.size());
    work_ = pool_.start(signed_txs_.size(), kTxsPerPiece,
                        [this](std::size_t i) { results_[i] = decode(i); });
}

DecodeBatch::~DecodeBatch() {
    if (work_ != nullptr) pool_.finish(work_);
}

Result<TxRef> DecodeBatch::decode(std::size_t i) const {
    const std::string_view bytes = signed_txs_[i];
    if (cache_ == nullptr) {
        CHAIN_ASSIGN(Tx tx, decode_tx(bytes, chain_id_));
        return TxRef(std::make_shared<const Tx>(std::move(tx)));
    }
    return decode_tx_cached(bytes, hashes_.empty() ? tx_bytes_hash(bytes) : hashes_[i], chain_id_,
                            *cache_);
}

const Result<TxRef> &DecodeBatch::at(std::size_t i) {
    CHAIN_CHECK(work_ != nullptr);
    pool_.finish_one(work_, i);
    return results_[i];
}

std::vector<Result<TxRef>> DecodeBatch::finish() {
    CHAIN_CHECK(work_ != nullptr);
    pool_.finish(work_);
    work_.reset();
    return std::move(results_);
}

std::vector<Result<TxRef>> decode_txs(std::span<const std::string_view> signed_txs,
                                      const Bytes32 &chain_id, TxCache *cache, Parallel &pool) {
    return DecodeBatch({signed_txs.begin(), signed_txs.end()}, {}, chain_id, cache, pool).finish();
}

}  // namespace chain::ledger
