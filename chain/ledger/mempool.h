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
    // Of the records that pending transactions write: a short one can write a long record.
    static constexpr std::size_t kRecordBytesMax = 32u << 20;
    static constexpr std::size_t kTxsPerSenderMax = 1'000;
    static constexpr std::size_t kRejectionsMax = 4'096;  // remembered, oldest forgotten first

    explicit Mempool(Chain &chain);

    // Keeps `tx` as pending. Errors: kConflict (known already, nonce), kNoRoom (the pool, or this
    // sender's part of it, is full), the transition's. Refusals are remembered.
    Status add(TxRef tx, std::uint64_t now_ms);
    Status add(Tx tx, std::uint64_t now_ms) {
        return add(std::make_shared<const Tx>(std::move(tx)), now_ms);
    }
    // After the chain's tip moved: drops what is included or no longer applies. Costs what the
    // block holds, not what is pending, if the block is what was first in line here, and did to
    // the state what it was expected to do. Errors: of the store (is_of_store()), when nothing can
    // be judged: then all stay as they are.
    // `first`: what comes before all that is pending, from blocks that were taken back; refusals of
    // these are passed over.
    Status rebuild(std::uint64_t now_ms, const TxList &first = {});
    // As often as rebuild() had to judge everything pending again.
    std::size_t full_rebuild_count() const { return full_rebuild_count_; }

    // In order, at most `count_max` and `bytes_max` of signed bytes.
    TxList take(std::size_t count_max, std::size_t bytes_max) const;
    bool contains(const TxId &id) const { return line_.by_id.contains(id); }
    // nullptr: it is not pending.
    TxRef find(const TxId &id) const;
    std::size_t count() const { return line_.txs.size(); }
    std::size_t size_bytes() const { return line_.size_bytes; }
    std::size_t record_bytes() const { return line_.record_bytes; }
    std::optional<std::string> rejection(const TxId &id) const;
    // Counting what is pending.
    Result<std::uint64_t> next_nonce(const PublicKey &account) const;
    // The exact bytes of what is pending, oldest first, at most `count_max`.
    std::vector<Bytes> pending_bytes(std::size_t count_max) const;

private:
    struct Pending {
        TxRef tx;
        std::uint64_t attempt;  // on the line's state: later ones have higher numbers
        std::vector<std::pair<Bytes, std::optional<Bytes>>> writes;
        std::size_t record_bytes = 0;  // of the writes
    };
    // What is pending, in order, and the state after it.
    struct Line {
        std::unique_ptr<Overlay> state;
        BlockId built_on{};
        std::list<Pending> txs;
        std::unordered_map<TxId, std::list<Pending>::iterator, Bytes32Hash> by_id;
        std::unordered_map<PublicKey, std::size_t, Bytes32Hash> count_by_sender;
        std::size_t size_bytes = 0;    // signed
        std::size_t record_bytes = 0;  // written
    };
    Status try_apply(const Tx &tx, std::uint64_t now_ms);
    bool drop_included();
    void remove_first();
    Line new_line() const;
    void remember_rejection(const TxId &id, std::string reason);

    Chain &chain_;
    Line line_;
    std::size_t full_rebuild_count_ = 0;
    std::unordered_map<TxId, std::string, Bytes32Hash> rejections_;
    std::deque<TxId> rejections_oldest_first_;
};

}  // namespace chain::ledger
