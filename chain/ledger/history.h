// SPDX-License-Identifier: BSD-3-Clause
//
// Two indexes beside the state, for people: what each account's record was after each transaction
// that wrote it, and at which prices compute was traded, hour by hour. Neither is in the digest and
// no rule reads them. They are written in the batch of the block that they describe, and taken back
// with it, byte for byte.
//
// Keys: 'a' account BE64(~height): its steps in that block. 'p' BE64(hour): the trade of an hour.
// 'i' BE64(height): what undoing the block's part of the index needs. "mhistory": the block up to
// which the index is whole; when that is not the tip, the index is made anew (history_rebuild.cc).
//
// Owner: the chain's thread.
#pragma once

#include <vector>

#include "chain/ledger/overlay.h"

namespace chain::ledger {

// In the place of a transaction's index: what a block does to accounts by itself. Noted last.
inline constexpr std::uint32_t kBlockRewardIndex = 0xffff'ffff;
// Limits of one question.
inline constexpr std::size_t kHistoryEntriesMax = 1'000;
inline constexpr std::size_t kHistoryReadBytesMax = 64u << 20;  // of blocks, to tell what happened
inline constexpr std::size_t kPriceHoursMax = 366 * 24;
inline constexpr std::uint64_t kMsPerHour = 3'600'000;

struct TxPlace {
    std::uint64_t height = 0;
    std::uint32_t index = 0;
};

struct AccountStep {
    std::uint32_t tx_index = 0;
    PublicKey account{};
    Bytes record;  // an AccountRecord as it is stored; empty: the account has none
};

// The account records that each transaction of a block wrote, in the order of the transactions.
class AccountTrail {
public:
    // What the newest attempt on `state`, which has succeeded, has put there.
    void note(std::uint32_t tx_index, const Overlay &state);
    const std::vector<AccountStep> &steps() const { return steps_; }

private:
    std::vector<AccountStep> steps_;
};

// ---- writing: part of the batch that appends the block, or takes it back

struct IndexedBlock {
    std::uint64_t height = 0;
    Bytes32 id{};  // zeros at height 0
    std::uint64_t time_ms = 0;
    const AccountTrail &trail;
    const Changes &changes;                               // of the whole block
    const std::vector<std::optional<Bytes>> &old_values;  // of its keys
};

// What the next block must see of the index goes to `prices`, which shows it up to the parent; the
// rest to the batch. Errors: kCorrupt, kIo.
Status index_block(const IndexedBlock &block, Overlay &prices, WriteBatch &batch);
// The same without the mark: while the index is made anew.
Status add_block(const IndexedBlock &block, Overlay &prices, WriteBatch &batch);
// Errors: kCorrupt (the block was never indexed), kIo.
Status unindex_block(const KeyValueStore &store, std::uint64_t height, const Bytes32 &parent_id,
                     WriteBatch &batch);

// Says that the index is whole up to block `id`.
void mark_indexed(const Bytes32 &id, WriteBatch &batch);
// Errors: kIo, kCorrupt.
Result<bool> is_indexed(const KeyValueStore &store, const Bytes32 &id);
// Everything that this header's functions ever wrote, a bounded batch at a time. Errors: kIo.
Status drop_index(KeyValueStore &store);
// Every key with `prefix`, a bounded batch at a time. Errors: kDiskFull, kIo.
Status remove_all(KeyValueStore &store, std::string_view prefix);

// ---- reading

struct AccountState {
    TxPlace place;  // height 0: the genesis file's allocation
    Account after;
};
// Newest first; `before`: only what is older than that place. Errors: kCorrupt, kIo.
Result<std::vector<AccountState>> account_states(const KeyValueStore &store,
                                                 const PublicKey &account,
                                                 std::optional<TxPlace> before,
                                                 std::size_t count_max);

// What happened to an account, and what it had then.
struct HistoryEntry {
    TxPlace place;
    std::uint64_t time_ms = 0;  // of the block
    std::string kind;           // tx_kind's; "genesis", "block-reward"
    std::string text;           // describe_tx's, as seen from the sender
    TxId tx_id{};               // zeros: no transaction
    PublicKey sender{};         // zeros: no transaction
    std::int64_t delta = 0;     // of the balance, in base units
    Account after;
};

struct HistoryPage {
    std::vector<HistoryEntry> entries;  // newest first
    bool more = false;                  // there are older ones
};

// Legs that were settled in one hour with cycles on their meter; free ones are no trade.
struct PriceHour {
    std::uint64_t hour = 0;  // hours since 1970-01-01 00:00 UTC, by the time of the block
    std::uint64_t leg_count = 0;
    Cycles cycles = 0;  // sum; stops at 2^64 - 1
    Amount paid;        // sum, the burned part included; stops at kMaxAmountUnits
    Amount price_min;   // per GHz·h
    Amount price_max;
    // sum(price x cycles) / sum(cycles), rounded to the nearest unit, halves up.
    Amount price;
};
// Hours with trade within [from_hour, to_hour], oldest first. Errors: kCorrupt, kIo.
Result<std::vector<PriceHour>> price_hours(const KeyValueStore &store, std::uint64_t from_hour,
                                           std::uint64_t to_hour, std::size_t count_max);

}  // namespace chain::ledger
