// SPDX-License-Identifier: BSD-3-Clause
//
// A chain under proof of resource that grows by chance. Hashes are drawn instead of computed; who
// may seal, with which multiplier, against which base target and for how much work is what a node's
// rule says of a state in which these members are the validators.
#pragma once

#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "chain/consensus/rule.h"
#include "chain/ledger/state.h"

namespace chain::consensus {

struct PorMember {
    double hash_power = 0;  // in proportion to the others'
    std::uint32_t quality_q16 = 0;
    Amount stake;
    std::size_t group = 0;  // whose blocks are counted together
};

// A mean, and its standard error.
struct Measured {
    double value = 0;
    double error = 0;
};

struct Growth {
    Measured work_per_hash;             // 1 where nobody has a boost
    std::vector<Measured> block_share;  // of each group
};

struct PorOptions {
    std::uint64_t recovery_blocks = 200;
    // The rule gives 1 / recovery_blocks of the boost back for the very next block. True: nothing
    // yet, by a state that says of each block that it came one height later.
    bool starts_from_nothing = false;
};

class PorChain {
public:
    PorChain(const PorOptions &options, std::vector<PorMember> members, std::uint64_t seed);

    // Blocks on the tip, after as many others as it takes to forget the beginning.
    Growth grow(std::size_t blocks);

private:
    class State final : public ledger::StateReader {
    public:
        Result<std::optional<Bytes>> get(std::string_view key) const override;
        void set(Bytes key, Bytes value) { records_[std::move(key)] = std::move(value); }

    private:
        std::unordered_map<Bytes, Bytes> records_;
    };
    struct Mined {
        std::size_t member = 0;
        std::uint64_t hashes = 0;
        Work work;
    };
    Mined mine();
    Turn turn_of(std::size_t member) const;

    const PorOptions options_;
    const std::vector<PorMember> members_;
    std::size_t group_count_ = 1;
    std::shared_ptr<const Rule> rule_;
    std::uint32_t weight_max_ = 0;
    State state_;
    ledger::Tip tip_;
    std::mt19937_64 random_;
    std::discrete_distribution<std::size_t> whose_hash_;
};

// What theory says of work_per_hash where each of the members has the same hash power: the mean of
// their multipliers, each with its age since its last block as of a renewal process, among many
// others. `boosts`: m - 1 of each when it has recovered.
double expected_work_per_hash(const std::vector<double> &boosts, const PorOptions &options);

}  // namespace chain::consensus
