// SPDX-License-Identifier: BSD-3-Clause
//
// The two other processes of kill_test.cc: the writer, which is killed, and the checker, which says
// what a store holds. Both begin with exec: threads (LevelDB's, the cores' of Parallel) do not
// survive a fork, and a lock that one of them held would never be free again.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "tests/chain/ledger/ledger_fixture.h"

namespace chain::ledger {

inline constexpr int kExitDiskFull = 10;

enum class Phase : int {
    kStarting,   // the process, before its store
    kOpening,    // the store and the chain: recovery, counting anew
    kBetween,    // nothing is being written
    kExecuting,  // inside Chain::apply, apply_all or undo_tip, and nothing is being written
    kWriting,    // inside the write of a batch
    kWritten,    // the last of them has returned, and nobody was told yet
};
inline constexpr int kPhases = 6;

// What the writer says of itself, in memory that outlives it: a file that both map.
struct Progress {
    std::atomic<int> phase;
    std::atomic<bool> is_open;
    std::atomic<std::uint64_t> committed;  // height that apply has reported as durable
    std::atomic<std::uint64_t> target;     // height that the call under way leads to
    std::atomic<std::uint64_t> written;    // height after the last write that returned
    std::atomic<std::uint64_t> writing;    // height that the newest write leads to
    std::atomic<std::uint64_t> refused;    // height that the last refused write led to
    std::atomic<std::uint64_t> writes;     // begun
    std::atomic<std::uint64_t> disk_full_hits;
};
Progress &map_progress(const std::string &path);
void unmap_progress(Progress &progress);

// All blocks of a run, made once: writers take them from a file, as a node that catches up does.
void save_blocks(const std::string &path, const std::vector<Bytes> &blocks);
std::vector<Bytes> load_blocks(const std::string &path);

// A sum over everything in a store, state, blocks, undo records and indexes alike: the same for
// equal stores, whatever the order of writing.
class ContentSum {
public:
    void put(std::string_view key, std::string_view value) { sum_ += entry(key, value); }
    void remove(std::string_view key, std::string_view value) { sum_ -= entry(key, value); }
    std::uint64_t sum() const { return sum_; }

private:
    static std::uint64_t entry(std::string_view key, std::string_view value);
    std::uint64_t sum_ = 0;
};

// Tip, totals and digest as text that can be compared.
std::string text_of(const Tip &tip);

// ---- what main() of the exec'd process calls

// Appends blocks, single and in groups, and takes some back, until it is killed.
[[noreturn]] void run_writer(const std::string &store_path, const std::string &blocks_path,
                             const std::string &progress_path, std::uint64_t seed);
// Prints one line for each fact. `how`: "state"; "all" also replays everything; "forget" also takes
// the mark of the index away in the end, so that the next start makes the index anew.
[[noreturn]] void run_checker(const std::string &store_path, const std::string &how);

}  // namespace chain::ledger
