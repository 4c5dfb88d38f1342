// SPDX-License-Identifier: BSD-3-Clause
//
// TxCache: transactions that were decoded and whose signatures were found right, by their exact
// signed bytes, so that what was verified when it was admitted is neither parsed nor verified again
// when its block arrives. Only right ones are kept. DecodeBatch: many transactions decoded on all
// cores.
#pragma once

#include <deque>
#include <mutex>
#include <span>
#include <unordered_map>

#include "chain/base/parallel.h"
#include "chain/ledger/tx_list.h"

namespace chain::ledger {

// Thread-safe.
class TxCache {
public:
    // More than the pending pool holds, which shares its transactions with the cache. A decoded
    // transfer takes about 1 KiB.
    static constexpr std::size_t kTxsMax = 1 << 15;
    static constexpr std::size_t kBytesMax = 48u << 20;  // of signed bytes

    explicit TxCache(std::size_t txs_max = kTxsMax, std::size_t bytes_max = kBytesMax)
        : txs_max_(txs_max), bytes_max_(bytes_max) {}

    // `bytes_hash` finds the place; that the bytes are the same is compared, so a hit proves as
    // much as decoding, whoever computed the hash. nullptr: not known.
    TxRef find(const Bytes32 &bytes_hash, std::string_view signed_bytes) const;
    // Forgets the oldest ones when it is full.
    void insert(const Bytes32 &bytes_hash, TxRef tx);
    std::size_t hit_count() const { return hit_count_; }
    PointCache &points() { return points_; }
    std::size_t size() const;
    std::size_t size_bytes() const;

private:
    const std::size_t txs_max_;
    const std::size_t bytes_max_;
    mutable std::mutex mutex_;
    mutable std::atomic<std::size_t> hit_count_{0};
    PointCache points_;  // of who sent and got them
    std::size_t size_bytes_ = 0;
    std::unordered_map<Bytes32, TxRef, Bytes32Hash> known_;
    std::deque<Bytes32> oldest_first_;
};

// The hash of a SignedTx's exact bytes: a leaf of a block's tx_root.
Bytes32 tx_bytes_hash(std::string_view signed_tx_bytes);

// One transaction, from the cache if it is there. Errors: those of decode_tx.
Result<TxRef> decode_tx_cached(std::string_view signed_tx_bytes, const Bytes32 &bytes_hash,
                               const Bytes32 &chain_id, TxCache &cache);

// Begins to decode when it is made, on the pool's other threads; finish() takes part. What comes
// out is the same for any number of threads. The bytes, the cache and the pool outlive it.
class DecodeBatch {
public:
    // `hashes`: those of the transactions where they are known already, otherwise empty.
    // With `cache`, known transactions are taken from it and new ones are put into it.
    DecodeBatch(std::vector<std::string_view> signed_txs, std::vector<Bytes32> hashes,
                const Bytes32 &chain_id, TxCache *cache, Parallel &pool = Parallel::all_cores());
    ~DecodeBatch();
    DecodeBatch(const DecodeBatch &) = delete;
    DecodeBatch &operator=(const DecodeBatch &) = delete;

    // Waits for it, taking part. Errors: those of decode_tx.
    const Result<TxRef> &at(std::size_t i);
    // All, in order. Once.
    std::vector<Result<TxRef>> finish();

private:
    Result<TxRef> decode(std::size_t i) const;

    const std::vector<std::string_view> signed_txs_;
    const std::vector<Bytes32> hashes_;
    const Bytes32 chain_id_;
    TxCache *const cache_;
    Parallel &pool_;
    std::vector<Result<TxRef>> results_;
    Parallel::Handle work_;
};

std::vector<Result<TxRef>> decode_txs(std::span<const std::string_view> signed_txs,
                                      const Bytes32 &chain_id, TxCache *cache,
                                      Parallel &pool = Parallel::all_cores());

}  // namespace chain::ledger
