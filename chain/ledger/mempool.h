// SPDX-License-Identifier: BSD-3-Clause
//
// Mempool: transactions that wait for a block, in an order in which all of them apply. It keeps the
// state as it would be after them, so the next one is judged by what is pending too, and a
// transaction that could not be included is refused at once, with the reason.
//
// Owner: one thread. The chain outlives it.
#pragma once

#include <deque>
#include <list>
#include <unordered_map>

#include "chain/ledger/chain.h"

namespace chain::ledger {

class Mempool {
public:
    static constexpr std::size_t kTxsMax = 20'000;
    static constexpr std::size_t kBytesMax = 32u << 20;
    static constexpr std::size_t kTxsPerSenderMax = 1'000;
    static constexpr std::size_t kRejectionsMax = 4'096;  // remembered, oldest forgotten first

    explicit Mempool(Chain &chain);

    // Keeps `tx` as pending. Errors: kConflict (known already, nonce), kTooLarge (the pool, or this
    // sender's part of it, is full), the transition's. Refusals are remembered.
    Status add(TxRef tx, std::uint64_t now_ms);
    Status add(Tx tx, std::uint64_t now_ms) {
        return add(std::make_shared<const Tx>(std::move(tx)), now_ms);
    }
    // After the chain's tip moved: drops what is included or no longer applies. Costs what the
    // block holds, not what is pending, if the block is what was first in line here, and did to
    // the state what it was expected to do.
    void rebuild(std::uint64_t now_ms);
    // As often as rebuild() had to judge everything pending again.
    std::size_t full_rebuild_count() const { return full_rebuild_count_; }
    // Forgets a transaction and all that no longer applies without it.
    void reject(const TxId &id, std::string reason, std::uint64_t now_ms);

    // In order, at most `count_max` and `bytes_max` of signed bytes.
    TxList take(std::size_t count_max, std::size_t bytes_max) const;
    bool contains(const TxId &id) const { return by_id_.contains(id); }
    std::size_t count() const { return txs_.size(); }
    std::size_t size_bytes() const { return size_bytes_; }
    std::optional<std::string> rejection(const TxId &id) const;
    // Counting what is pending.
    Result<std::uint64_t> next_nonce(const PublicKey &account) const;
    // The exact bytes of what is pending, oldest first, at most `count_max`.
    std::vector<Bytes> pending_bytes(std::size_t count_max) const;

private:
    struct Pending {
        TxRef tx;
        std::uint64_t attempt;  // on pending_state_: later ones have higher numbers
        std::vector<std::pair<Bytes, std::optional<Bytes>>> writes;
    };
    Status try_apply(const Tx &tx, std::uint64_t now_ms);
    bool drop_included();
    void remove_first();
    void begin_anew();
    void remember_rejection(const TxId &id, std::string reason);

    Chain &chain_;
    std::unique_ptr<Overlay> pending_state_;
    BlockId built_on_{};
    std::list<Pending> txs_;
    std::unordered_map<TxId, std::list<Pending>::iterator, Bytes32Hash> by_id_;
    std::unordered_map<PublicKey, std::size_t, Bytes32Hash> count_by_sender_;
    std::size_t size_bytes_ = 0;
    std::size_t full_rebuild_count_ = 0;
    std::unordered_map<TxId, std::string, Bytes32Hash> rejections_;
    std::deque<TxId> rejections_oldest_first_;
};

}  // namespace chain::ledger
