// SPDX-License-Identifier: BSD-3-Clause
#include "tests/chain/consensus/por_simulation.h"

#include <cmath>

namespace chain::consensus {
namespace {

constexpr std::uint64_t kHashMs = 250;  // of all together: about 60 hashes for a block
constexpr std::size_t kBatches = 20;    // for the error: nearly independent of each other

ledger::Genesis genesis_of(const PorOptions &options) {
    ledger::Genesis genesis;
    genesis.time_ms = 1'700'000'000'000;
    genesis.consensus.kind = ledger::ConsensusKind::kPor;
    genesis.consensus.first_target_bits = 7;
    genesis.params.recovery_blocks = options.recovery_blocks;
    return genesis;
}

PublicKey account_of(std::size_t member) {
    PublicKey account{};
    account[0] = static_cast<std::uint8_t>(member >> 8);
    account[1] = static_cast<std::uint8_t>(member);
    return account;
}

Measured mean_of(const std::vector<double> &samples) {
    const auto count = static_cast<double>(samples.size());
    Measured mean;
    for (const double sample : samples) mean.value += sample / count;
    double squares = 0;
    for (const double sample : samples) squares += std::pow(sample - mean.value, 2);
    mean.error = std::sqrt(squares / (count - 1) / count);
    return mean;
}

// The mean number of blocks from one of a member's own to the next, when it finds the next block
// with the chance multiplier / total.
double blocks_between(double boost, double total, const PorOptions &options) {
    const auto whole = static_cast<double>(options.recovery_blocks);
    double mean = 0, none_yet = 1;
    for (std::uint64_t blocks = 1; blocks <= options.recovery_blocks; ++blocks) {
        const std::uint64_t counted = options.starts_from_nothing ? blocks - 1 : blocks;
        mean += none_yet;
        none_yet *= 1 - std::min(1.0, (1 + boost * static_cast<double>(counted) / whole) / total);
    }
    return mean + none_yet * std::max(1.0, total / (1 + boost));
}

}  // namespace

Result<std::optional<Bytes>> PorChain::State::get(std::string_view key) const {
    const auto found = records_.find(Bytes(key));
    if (found == records_.end()) return std::optional<Bytes>();
    return std::optional<Bytes>(found->second);
}

PorChain::PorChain(const PorOptions &options, std::vector<PorMember> members, std::uint64_t seed)
    : options_(options), members_(std::move(members)), random_(seed) {
    const ledger::Genesis genesis = genesis_of(options);
    rule_ = Rule::make(genesis).value();
    weight_max_ = genesis.params.boost_max * incentive::kQ16;
    tip_.time_ms = genesis.time_ms;
    std::vector<ledger::ValidatorEntry> entries;
    std::vector<double> powers;
    for (std::size_t i = 0; i < members_.size(); ++i) {
        entries.push_back({account_of(i), members_[i].stake, members_[i].quality_q16});
        powers.push_back(members_[i].hash_power);
        group_count_ = std::max(group_count_, members_[i].group + 1);
    }
    // No checkpoint becomes final: the set of the genesis is what the rule asks for.
    state_.set(ledger::validator_set_key(0),
               ledger::encode_validator_set(ledger::ValidatorSet(std::move(entries))));
    whose_hash_ = {powers.begin(), powers.end()};
}

// By work. (The other one, in rotation, is for networks without any; where blocks take 60 hashes on
// average, one in 20,000 would be late enough.)
Turn PorChain::turn_of(std::size_t member) const {
    const Turn turn = rule_->turns(account_of(member), tip_, state_).value().front();
    CHAIN_CHECK(turn.needs_work);
    return turn;
}

PorChain::Mined PorChain::mine() {
    const Target base = turn_of(0).base;  // the same for all
    Mined mined;
    for (Bytes32 hash{};;) {
        ++mined.hashes;
        for (std::size_t i = 0; i < hash.size(); i += 8) {
            const std::uint64_t bits = random_();
            for (std::size_t j = 0; j < 8; ++j)
                hash[i + j] = static_cast<std::uint8_t>(bits >> 8 * j);
        }
        if (!hash_meets(hash, base, weight_max_)) continue;  // too large, whoever's it is
        mined.member = whose_hash_(random_);
        const Turn turn = turn_of(mined.member);
        if (!hash_meets(hash, turn.base, turn.weight)) continue;
        tip_.time_ms = std::max(tip_.time_ms + mined.hashes * kHashMs, turn.not_before_ms);
        mined.work = work_of(turn.base);
        break;
    }
    ++tip_.height;
    state_.set(ledger::sealed_key(account_of(mined.member)),
               ledger::encode_sealed(tip_.height + (options_.starts_from_nothing ? 1 : 0)));
    return mined;
}

Growth PorChain::grow(std::size_t blocks) {
    const std::size_t forgotten = 200 + 2 * options_.recovery_blocks;
    for (std::size_t i = 0; i < forgotten; ++i) mine();
    std::vector<double> work_per_hash;
    std::vector<std::vector<double>> shares(group_count_);
    const std::size_t batch_blocks = blocks / kBatches;
    for (std::size_t batch = 0; batch < kBatches; ++batch) {
        Work work;
        std::uint64_t hashes = 0;
        std::vector<std::size_t> counts(group_count_);
        for (std::size_t i = 0; i < batch_blocks; ++i) {
            const Mined mined = mine();
            work = add(work, mined.work);
            hashes += mined.hashes;
            ++counts[members_[mined.member].group];
        }
        work_per_hash.push_back(static_cast<double>(work.hashes) / static_cast<double>(hashes));
        for (std::size_t group = 0; group < group_count_; ++group)
            shares[group].push_back(static_cast<double>(counts[group]) /
                                    static_cast<double>(batch_blocks));
    }
    Growth growth{mean_of(work_per_hash), {}};
    for (const auto &of_group : shares) growth.block_share.push_back(mean_of(of_group));
    return growth;
}

// Of N members each finds one block in blocks_between(); together they find one in one. The total
// of the multipliers for which this is so, by bisection, is N times their mean.
double expected_work_per_hash(const std::vector<double> &boosts, const PorOptions &options) {
    const auto count = static_cast<double>(boosts.size());
    double low = count, high = count;
    for (const double boost : boosts) high += boost;
    for (int i = 0; i < 60; ++i) {
        const double total = (low + high) / 2;
        double blocks = 0;
        for (const double boost : boosts) blocks += 1 / blocks_between(boost, total, options);
        (blocks < 1 - 1e-12 ? high : low) = total;  // a member alone: 1 however small the total
    }
    return low / count;
}

}  // namespace chain::consensus
