// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/block_writer.h"

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "chain/ledger/chain_records.h"
#include "chain/ledger/state.pb.h"

namespace chain::ledger {
namespace {

// An undo record holds what was under the keys that the block changed. Records that are
// serialised one after another are one record with the entries of all.
Bytes encode_undo(const Execution &execution) {
    CHAIN_CHECK(execution.old_values.size() == execution.changes.size());
    Bytes bytes;
    record::UndoRecord one;
    auto *entry = one.add_entries();
    auto old_value = execution.old_values.begin();
    for (const auto &[key, value] : execution.changes) {
        entry->set_key(key);
        entry->set_existed(old_value->has_value());
        if (*old_value)
            entry->set_value(**old_value);
        else
            entry->clear_value();
        CHAIN_CHECK(one.AppendToString(&bytes));
        ++old_value;
    }
    return bytes;
}

void put_places(const Execution &execution, WriteBatch &batch) {
    const std::vector<TxId> &ids = execution.tx_ids;
    std::vector<std::uint32_t> by_id(ids.size());
    std::iota(by_id.begin(), by_id.end(), 0u);
    // The store takes sorted keys faster.
    std::sort(by_id.begin(), by_id.end(), [&](auto a, auto b) { return ids[a] < ids[b]; });
    record::TxPlaceRecord place;
    place.set_height(execution.tip.height);
    for (const std::uint32_t i : by_id) {
        place.set_index(i);
        batch.put(tx_key(ids[i]), place.SerializeAsString());
    }
}

// Everything of a block but the state that it changes and the tip.
Status put_block(const ExecutedBlock &executed, Overlay &prices, WriteBatch &batch) {
    const auto &[block, execution] = executed;
    const std::uint64_t height = execution.tip.height;
    CHAIN_TRY(index_block(to_index(execution), prices, batch));
    batch.put(undo_key(height), encode_undo(execution));
    batch.put(block_key(height), block->signed_bytes);
    batch.put(header_key(height), only_header(block->signed_block).SerializeAsString());
    batch.put(block_id_key(block->id), encode_height(height));
    put_places(execution, batch);
    return ok_status();
}

// The last value of each key.
void put_state(std::span<const ExecutedBlock> blocks, WriteBatch &batch) {
    if (blocks.size() == 1) return put_changes(blocks[0].execution.changes, batch);
    std::unordered_set<std::string_view, StateKeyHash> seen;
    for (std::size_t i = blocks.size(); i-- > 0;) {
        for (const auto &[key, value] : blocks[i].execution.changes)
            if (seen.insert(key).second) batch.set(key, value);
    }
}

}  // namespace

Result<WriteBatch> batch_of(const KeyValueStore &store, std::span<const ExecutedBlock> blocks) {
    WriteBatch batch;
    const StoreReader indexes(store);
    Overlay prices(indexes);
    for (const ExecutedBlock &block : blocks) CHAIN_TRY(put_block(block, prices, batch));
    put_changes(prices.take_changes(), batch);
    put_state(blocks, batch);
    batch.put(kTipKey, encode_tip(blocks.back().execution.tip));
    return batch;
}

BlockWriter::BlockWriter(KeyValueStore &store) : store_(store), thread_([this] { write_all(); }) {}

BlockWriter::~BlockWriter() {
    if (thread_.joinable()) finish();
}

bool BlockWriter::add(ExecutedBlock block) {
    const std::lock_guard lock(mutex_);
    if (!outcome_.status.ok()) return false;
    waiting_.push_back(std::move(block));
    changed_.notify_one();
    return true;
}

BlockWriter::Outcome BlockWriter::finish() {
    {
        const std::lock_guard lock(mutex_);
        is_last_ = true;
        changed_.notify_one();
    }
    thread_.join();
    return std::move(outcome_);
}

void BlockWriter::write_all() {
    for (;;) {
        std::vector<ExecutedBlock> blocks;
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return is_last_ || !waiting_.empty(); });
            if (waiting_.empty()) return;
            blocks.swap(waiting_);
        }
        const auto batch = batch_of(store_, blocks);
        const Status written = batch.ok() ? store_.write(*batch, true) : Status(batch.error());
        const std::lock_guard lock(mutex_);
        if (!written.ok()) {
            outcome_.status = written;
            return;
        }
        outcome_.tip = std::move(blocks.back().execution.tip);
    }
}

}  // namespace chain::ledger
