// SPDX-License-Identifier: BSD-3-Clause
//
// BlockWriter: puts executed blocks into the store, on a thread of its own, while the next ones are
// executed. What has come while one batch was written is the next batch: one durable write for many
// blocks when the disk is slow, and none waits for others when it is fast. A batch holds whole
// blocks, each with its undo record, its part of the indexes, and the tip after the last.
#pragma once

#include <condition_variable>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "chain/ledger/block.h"

namespace chain::ledger {

struct ExecutedBlock {
    const Block *block = nullptr;  // outlives the writer
    Execution execution;           // with the block's id in its tip
};

// Everything that appending `blocks`, which follow one another, changes in the store. Errors: kIo,
// kCorrupt.
Result<WriteBatch> batch_of(const KeyValueStore &store, std::span<const ExecutedBlock> blocks);

// Owner: one thread, which writes nothing else to the store meanwhile.
class BlockWriter {
public:
    explicit BlockWriter(KeyValueStore &store);
    ~BlockWriter();  // finishes
    BlockWriter(const BlockWriter &) = delete;
    BlockWriter &operator=(const BlockWriter &) = delete;

    // False: a write has failed, and nothing more will be written.
    bool add(ExecutedBlock block);
    struct Outcome {
        std::optional<Tip> tip;  // after the last block that is durable; nullopt: none is
        Status status;           // of the first write that failed
    };
    // Once. On return everything that was added is durable, or a write has failed.
    Outcome finish();

private:
    void write_all();

    KeyValueStore &store_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<ExecutedBlock> waiting_;
    bool is_last_ = false;
    Outcome outcome_{std::nullopt, ok_status()};
    std::thread thread_;
};

}  // namespace chain::ledger
