// SPDX-License-Identifier: BSD-3-Clause
//
// Nodes for benches: each has its ledger, sessions and sync on a thread of its own, as a daemon
// has; and links that take as long as one wants, since loopback takes no time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "chain/daemon/chain_sync.h"
#include "tests/bench/figures.h"

namespace chain::bench {

inline constexpr std::uint64_t kStartUnits = 1'000'000'000'000;
inline constexpr std::int64_t kStakeUnits = 1'000'000'000'000;

// Validators are numbered_key(0), (1), …; each has kStartUnits besides its stake.
ledger::Genesis validators_genesis(std::uint32_t count, std::uint64_t time_ms,
                                   std::uint64_t spacing_ms);

// When each block became part of a node's chain.
class Arrivals {
public:
    void note(std::size_t node, const Bytes &block);
    // Of blocks that all `nodes` have: from the first that had it to each other one, in ms.
    std::vector<double> delays_ms(std::size_t nodes) const;

private:
    mutable std::mutex mutex_;
    std::map<Bytes32, std::map<std::size_t, double>> seen_s_;  // by hash of the block's bytes
};

class BenchNode {
public:
    struct Setup {
        ledger::Genesis genesis;
        std::optional<std::uint32_t> key;  // seals
        std::string folder;                // of its ledger
        std::size_t number = 0;
        Arrivals *arrivals = nullptr;
    };
    explicit BenchNode(Setup setup);
    ~BenchNode();

    // On the node's thread, and waits for it.
    void call(const std::function<void()> &fn);
    std::string address() const { return address_; }
    void connect(const std::string &address);
    bool wait_for(const std::function<bool()> &condition, double limit_s);

    // On the node's thread only.
    LedgerBackend &ledger() { return *ledger_; }
    daemon::ChainSync &sync() { return *sync_; }
    market::OfferBook &book() { return *book_; }
    p2p::Network &network() { return *network_; }

private:
    void open();

    const Setup setup_;
    std::unique_ptr<Loop> loop_;
    std::optional<KeyPair> node_key_;
    std::unique_ptr<LedgerBackend> ledger_;
    std::unique_ptr<market::OfferBook> book_;
    std::unique_ptr<p2p::Network> network_;
    std::unique_ptr<daemon::ChainSync> sync_;
    std::string address_;
    std::thread thread_;
};

// Passes connections to its own port on to another one; each byte takes `delay_ms` in each
// direction.
class DelayedLink {
public:
    DelayedLink(std::string to_address, std::uint64_t delay_ms);
    ~DelayedLink();
    std::string address() const;

private:
    struct Pipe;
    void run();

    const std::string to_address_;
    const std::uint64_t delay_ms_;
    int listener_ = -1;
    int stop_[2] = {-1, -1};
    std::thread thread_;
};

// Of a byte there and back through such a link.
double round_trip_ms(std::uint64_t delay_ms);

}  // namespace chain::bench
