// SPDX-License-Identifier: BSD-3-Clause
//
// How the ledger's cost depends on how much is on it. Transactions are put together without
// signatures: what signatures cost does not depend on the state.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <random>

#include <malloc.h>

#include "chain/base/file.h"
#include "incentive/settlement.h"
#include "tests/bench/ledger_bench.h"

namespace chain::bench {
namespace {

constexpr std::size_t kTxsPerBlock = 1'000;
constexpr std::size_t kTxsPerFillingBlock = 4'000;
constexpr std::size_t kBlocksPerRound = 8;
constexpr std::size_t kLeases = 2'000;
constexpr std::int64_t kSeedUnits = 1'000'000;
// Flat enough: a state a hundred times as large has LevelDB look through two more levels.
constexpr double kFlatTolerance = 1.5;

// Accounts of numbers: none of these has a secret key, and none has to sign.
PublicKey numbered_account(std::uint64_t number) {
    Bytes bytes;
    append_u64_le(bytes, number);
    return tagged_hash("ompi-chain/bench-account", bytes);
}

double folder_bytes(const std::string &folder) {
    std::uintmax_t sum = 0;
    for (const auto &entry : std::filesystem::directory_iterator(folder))
        if (entry.is_regular_file()) sum += entry.file_size();
    return static_cast<double>(sum);
}

// Allocated and not freed: what the process holds of the system jumps with what malloc keeps back.
double heap_bytes() {
    const struct mallinfo2 info = mallinfo2();
    return static_cast<double>(info.uordblks + info.hblkhd);
}

// A ledger on disk whose accounts grow in number.
class Grown {
public:
    explicit Grown(std::string folder)
        : folder_(std::move(folder)),
          genesis_(made_genesis()),
          chain_(open_chain(folder_, genesis_)) {}

    // Blocks of transfers from one rich account to new ones.
    void grow_to(std::size_t account_count) {
        while (accounts_ < account_count) {
            ledger::TxList txs;
            for (std::size_t i = 0; i < kTxsPerFillingBlock && accounts_ < account_count; ++i)
                txs.push_back(unsigned_tx(transfer(genesis_, rich(), rich_nonce_++,
                                                   numbered_account(accounts_++), kSeedUnits),
                                          {rich()}));
            append(*chain_, txs);
        }
        nonces_.resize(accounts_, 0);
    }

    // Seconds of each of `count` blocks of transfers between accounts picked at random.
    std::vector<double> time_blocks(std::size_t count) {
        std::vector<double> seconds;
        for (std::size_t block = 0; block < count; ++block) {
            ledger::TxList txs;
            for (std::size_t i = 0; i < kTxsPerBlock; ++i) {
                const std::size_t from = random_() % accounts_, to = random_() % accounts_;
                txs.push_back(unsigned_tx(transfer(genesis_, numbered_account(from),
                                                   nonces_[from]++, numbered_account(to), 1),
                                          {numbered_account(from)}));
            }
            const double start = now_s();
            append(*chain_, txs);
            seconds.push_back(now_s() - start);
        }
        return seconds;
    }

    void open_leases(std::size_t count) {
        ledger::TxList txs;
        for (std::size_t i = 0; i < count; ++i) {
            const PublicKey provider = numbered_account(i % accounts_);
            wire::TxBody body =
                open_lease(genesis_, provider, chain_->tip().time_ms, Amount{3'000});
            body.set_sender(to_bytes(rich()));
            body.set_nonce(rich_nonce_++);
            txs.push_back(unsigned_tx(body, {rich(), provider}));
            if (txs.size() < kTxsPerBlock && i + 1 < count) continue;
            append(*chain_, txs);
            txs = {};
        }
    }

    // Keys and values: of the state alone, or of everything. The folder itself also holds what
    // LevelDB has not compacted yet, so its size jumps.
    double state_bytes() { return stored_bytes(ledger::kStatePrefix); }
    double stored_bytes(std::string_view prefix = "") {
        chain_.reset();
        double sum = 0;
        const auto store = must(open_leveldb_store(folder_));
        must(store->scan(prefix, [&](std::string_view key, std::string_view value) {
            sum += static_cast<double>(key.size() + value.size());
            return true;
        }));
        return sum;
    }
    double disk_bytes() const { return folder_bytes(folder_); }
    void open_again() { chain_ = open_chain(folder_, genesis_); }

private:
    static ledger::Genesis made_genesis() {
        std::vector<KeyPair> keys;
        keys.push_back(numbered_key(0));
        return genesis_of(keys, 4'000'000'000'000'000);
    }
    PublicKey rich() const { return genesis_.allocations[0].first; }

    const std::string folder_;
    const ledger::Genesis genesis_;
    std::unique_ptr<ledger::Chain> chain_;
    std::size_t accounts_ = 0;
    std::uint64_t rich_nonce_ = 0;
    std::vector<std::uint64_t> nonces_;
    std::mt19937_64 random_{20'261'122};  // the same accounts in each run
};

std::string short_number(std::size_t number) {
    return number >= 1'000'000 ? std::to_string(number / 1'000'000) + "m"
                               : std::to_string(number / 1'000) + "k";
}

}  // namespace

void bench_size(const std::string &folder, int rounds, std::size_t accounts_max) {
    Grown ledger(folder + "/grown");
    const std::size_t block_count = kBlocksPerRound * static_cast<std::size_t>(rounds);
    std::vector<double> block_ms, transfer_bytes;
    std::vector<std::size_t> sizes;
    double state_before = 0, accounts_before = 0;
    for (std::size_t accounts = 10'000; accounts <= accounts_max; accounts *= 10) {
        const double heap_before = heap_bytes();
        ledger.grow_to(accounts);
        const double heap = heap_bytes() - heap_before;
        const double state = ledger.state_bytes();
        ledger.open_again();
        const double grown = static_cast<double>(accounts) - accounts_before;
        const std::string name = "_at_" + short_number(accounts) + "_accounts";
        figure("ledger_disk" + name, ledger.disk_bytes() / 1e6, "MB");
        figure("ledger_account_state" + name, (state - state_before) / grown, "bytes");
        figure("ledger_account_memory" + name, std::max(heap, 0.0) / grown, "bytes");
        const double disk_before = ledger.stored_bytes();
        ledger.open_again();
        ledger.time_blocks(2);  // warms caches
        block_ms.push_back(median(ledger.time_blocks(block_count)) * 1e3);
        transfer_bytes.push_back((ledger.stored_bytes() - disk_before) /
                                 static_cast<double>((block_count + 2) * kTxsPerBlock));
        figure("ledger_block_of_1k_transfers" + name, block_ms.back(), "ms");
        figure("ledger_stored_per_transfer" + name, transfer_bytes.back(), "bytes");
        state_before = ledger.state_bytes();
        ledger.open_again();
        accounts_before = static_cast<double>(accounts);
        sizes.push_back(accounts);
    }
    if (sizes.size() > 1) {
        const std::string name = "_" + short_number(sizes.back()) + "_to_10k_accounts";
        figure_at_most("ledger_block" + name, block_ms.back() / block_ms.front(), "times",
                       kFlatTolerance);
        figure_at_most("ledger_stored_per_transfer" + name,
                       transfer_bytes.back() / transfer_bytes.front(), "times", kFlatTolerance);
    }
    const double leases_state = ledger.state_bytes();
    ledger.open_again();
    const double heap_before = heap_bytes();
    ledger.open_leases(kLeases);
    figure("ledger_open_lease_memory", std::max(heap_bytes() - heap_before, 0.0) / kLeases,
           "bytes");
    figure("ledger_open_lease_state", (ledger.state_bytes() - leases_state) / kLeases, "bytes");
}

}  // namespace chain::bench
