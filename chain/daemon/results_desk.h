// SPDX-License-Identifier: BSD-3-Clause
//
// ResultsDesk: what jobs made on this machine, until their renters have it. From the end of a job
// its folder is the desk's: it sends the results, keeps them when the renter is lost, sends what is
// missing when that comes back, and removes the folder when all has arrived or kResultsKeptMs are
// over. A daemon that is killed finds them again: their list is beside the folder.
//
// Owner: the loop's thread; held by ProviderAgent. Limit: kResultsKeptMax jobs whose renter is
// gone.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "chain/daemon/node.h"
#include "chain/daemon/stage_pump.h"

namespace chain::daemon {

inline constexpr std::uint64_t kResultsKeptMs = 24 * 3'600'000;
inline constexpr std::size_t kResultsKeptMax = 16;
inline constexpr std::size_t kResultsEntriesMax = 256;          // with those that are being sent
inline constexpr std::uint64_t kSendAgainMs = 1'000;            // between two FetchResults of a leg
inline constexpr std::uint64_t kResultsTransferMs = 3'600'000;  // of one transfer
inline constexpr std::uint64_t kResultsBytesMax = 64ULL << 30;  // of one leg

// Removing may take the disk a while. A failure is logged; what is left then, the daemon's next
// start looks for.
void remove_on_worker(Node &node, const std::string &lease_folder);

class ResultsDesk {
public:
    struct Job {
        LegKey key;
        PublicKey peer{};  // the renter's node
        std::string lease_folder;
        std::vector<std::string> globs;  // which results; empty: all
        std::vector<stage::StagedFile> staged;
        bool renter_is_here = true;
    };

    // `stores`: where a renter may have its results put.
    ResultsDesk(Node &node, stage::WebRules stores) : node_(node), stores_(std::move(stores)) {}
    ~ResultsDesk();

    // What an earlier daemon kept below `scratch_folder`. Before provider::reap_leftovers.
    void recover(const std::string &scratch_folder);
    // `on_end`: once; the renter has all results, or is gone, or they cannot be sent (it was told).
    void take_over(Job job, std::function<void()> on_end);

    bool has(const PublicKey &peer, const LegKey &key) const;
    // StageNeed and StageDone of a transfer; and FetchResults, also of what is not here.
    void on_trade(const PublicKey &peer, const LegKey &key, const wire::TradeMessage &message);
    void on_drained(const PublicKey &peer);
    void on_peer_lost(const PublicKey &peer);

    // Removes what was kept longest. False: nothing is kept.
    bool make_room();
    std::size_t kept_count() const;
    bool is_full() const { return entries_.size() >= kResultsEntriesMax; }

private:
    struct Entry {
        LegKey key;
        PublicKey peer{};
        std::string lease_folder;
        std::uint64_t until_ms = 0;                                   // Unix time
        std::shared_ptr<const std::vector<stage::StagedFile>> files;  // once collected
        std::uint64_t sent_at_ms = 0;  // steady: when the last transfer began; 0: none did
        bool is_collected = false;
        bool renter_waits = false;
        std::unique_ptr<StagePump> pump;  // a transfer is under way
        LoopHandle again_timer;           // one is asked for, soon after the last
        std::function<void()> on_end;

        // False also before it is collected, and where that failed.
        bool has_files() const { return files != nullptr && !files->empty(); }
    };

    void collect(Entry &entry, std::vector<std::string> globs,
                 std::vector<stage::StagedFile> staged);
    void on_collected(const LegKey &key, Result<std::vector<stage::StagedFile>> files);
    void send(Entry &entry);
    void rest(Entry &entry);
    void fail(const LegKey &key, const std::string &why);
    void end(Entry &entry);
    void remove(const LegKey &key);
    void remove_old();
    std::size_t count_of(const PublicKey &peer) const;
    bool goes_before(const Entry &a, const Entry &b) const;

    Node &node_;
    const stage::WebRules stores_;
    std::map<LegKey, Entry> entries_;
    LoopHandle janitor_timer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace chain::daemon
