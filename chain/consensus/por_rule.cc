// SPDX-License-Identifier: BSD-3-Clause
//
// Proof of resource. A block is sealed by work: the hash of its header is below base x m, where
// base follows from the time by ASERT, and m, 1 to boost_max, is what the sealer's resources make
// of it (incentive::coefficient), as they were two final checkpoints back. m starts at 1 again with
// every block that the account seals. A branch's work counts base alone: m buys frequency, not
// weight.
//
// So that a network whose machines are all leased does not stand still, validators may seal without
// work when nobody has for 10 x spacing: in turns, and for one unit of work.
#include <mutex>

#include "chain/base/recent_set.h"
#include "chain/consensus/rule.h"

namespace chain::consensus {
namespace {

constexpr std::uint32_t kRotationWeight = 0;
constexpr std::size_t kKnownMax = 4'096;

class PorRule final : public Rule {
public:
    PorRule(const ledger::Genesis &genesis, std::unique_ptr<PowFunction> function)
        : Rule(genesis),
          pow_(std::move(function)),
          asert_{target_of_bits(genesis.consensus.first_target_bits), genesis.consensus.spacing_ms,
                 genesis.consensus.half_life_ms, target_of_bits(0)} {}

    const PowFunction *work_function() const override { return pow_.get(); }

    Target base(std::uint64_t parent_time_ms, std::uint64_t parent_height) const {
        return asert(asert_, genesis_time_ms_, parent_time_ms, parent_height);
    }

    Result<std::vector<Turn>> turns(const PublicKey &account, const ledger::Tip &parent,
                                    const ledger::StateReader &state) const override {
        CHAIN_ASSIGN(const ledger::ValidatorSet set, sealers(parent, state));
        const ledger::ValidatorEntry *const member = set.find(account);
        std::vector<Turn> turns(1);
        Turn &by_work = turns[0];
        by_work.not_before_ms = parent.time_ms + 1;
        by_work.needs_work = true;
        by_work.base = base(parent.time_ms, parent.height);
        by_work.weight = incentive::kQ16;
        if (member == nullptr) return turns;
        CHAIN_ASSIGN(const auto sealed, state.sealed_height(account));
        const std::uint64_t blocks_since = parent.height + 1 - sealed.value_or(0);
        by_work.weight =
            incentive::multiplier_q16(member->quality_q16, member->stake, blocks_since, params_);
        Turn rotation;
        rotation.not_before_ms = parent.time_ms + kRotationAfterSpacings * consensus_.spacing_ms +
                                 rank_of(account, set, parent.height + 1) * consensus_.turn_ms;
        rotation.weight = kRotationWeight;
        turns.push_back(rotation);
        return turns;
    }

    Result<Work> work_of(const ledger::Block &block, std::uint64_t parent_time_ms) const override {
        const wire::BlockHeader &header = block.header;
        const auto wrong = [&](std::string_view why) {
            return make_error(ErrorCode::kInvalidInput, "block ", header.height(), " ", why);
        };
        if (header.weight() == kRotationWeight) {
            // Else its sealer could choose among ids, and so among draws of shares, for nothing.
            if (header.nonce() != 0) return wrong("has no work, and a nonce");
            if (header.time_ms() < parent_time_ms + kRotationAfterSpacings * consensus_.spacing_ms)
                return wrong("has no work, and others had the time to do some");
            return Work{1};
        }
        if (header.weight() < incentive::kQ16 ||
            header.weight() > params_.boost_max * incentive::kQ16)
            return wrong("says a multiplier that there is not");
        const Target base_target = base(parent_time_ms, header.height() - 1);
        if (!is_known(block.id)) {
            CHAIN_ASSIGN(const Bytes32 hash, pow_->hash(block.signed_block.header()));
            // Whoever passes it on has not looked, and makes others do the work of looking.
            if (!hash_meets(hash, base_target, header.weight()))
                return make_error(ErrorCode::kProtocol, "block ", header.height(),
                                  " has not enough work");
            note_known(block.id);
        }
        return consensus::work_of(base_target);
    }

    bool is_free(const ledger::Block &block) const override {
        return block.header.weight() == kRotationWeight;
    }

private:
    // Each header is looked at when it comes and when its block is executed, perhaps on another
    // thread; a hash of RandomX takes 40 ms. A block's id is its header's, and so is its parent.
    bool is_known(const ledger::BlockId &id) const {
        const std::lock_guard lock(mutex_);
        return known_.contains(id);
    }
    void note_known(const ledger::BlockId &id) const {
        const std::lock_guard lock(mutex_);
        known_.insert(id);
    }

    const std::unique_ptr<PowFunction> pow_;
    const AsertParams asert_;
    mutable std::mutex mutex_;
    mutable RecentSet<ledger::BlockId, Bytes32Hash> known_{kKnownMax};  // with enough work
};

}  // namespace

Result<std::shared_ptr<const Rule>> make_por_rule(const ledger::Genesis &genesis) {
    CHAIN_ASSIGN(auto function, make_pow(genesis.consensus.proof_of_work, genesis.chain_id));
    return std::shared_ptr<const Rule>(std::make_shared<PorRule>(genesis, std::move(function)));
}

}  // namespace chain::consensus
