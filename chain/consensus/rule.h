// SPDX-License-Identifier: BSD-3-Clause
//
// Rules of sealing where there are validators: PoA (named keys take turns) and PoR (proof of work,
// easier for who has lent resources and staked; docs/consensus.md). One function each says when an
// account may seal; the sealer asks it before, and everybody else after.
#pragma once

#include "chain/consensus/block_tree.h"
#include "chain/consensus/pow.h"
#include "chain/ledger/chain.h"

namespace chain::consensus {

// When and how an account may seal on a tip.
struct Turn {
    std::uint64_t not_before_ms = 0;  // the block's time at least
    std::uint32_t weight = 0;         // of its header
    bool needs_work = false;          // then by work_target, and base x weight / 2^16 is met
    Target base;
};

class Rule : public ledger::SealRule {
public:
    // Errors: kNotFound, kInvalidInput (no such proof of work).
    static Result<std::shared_ptr<const Rule>> make(const ledger::Genesis &genesis);

    // The turns that `account` has on `parent`, the better one first; none: it may not seal.
    virtual Result<std::vector<Turn>> turns(const PublicKey &account, const ledger::Tip &parent,
                                            const ledger::StateReader &state) const = 0;
    // The work that a header says it took. Of proof of work it is checked, but that its weight is
    // the sealer's right one is known only with the state. Errors: kInvalidInput.
    virtual Result<Work> work_of(const ledger::Block &block,
                                 std::uint64_t parent_time_ms) const = 0;

    // Whoever may seal it needs no more than a signature for it.
    virtual bool is_free(const ledger::Block &block) const = 0;

    // nullptr: blocks take no work.
    virtual const PowFunction *work_function() const { return nullptr; }
    Result<Bytes32> work_of_header(std::string_view header_bytes) const final;

    Status check(const ledger::Block &block, const ledger::Tip &parent,
                 const ledger::StateReader &state) const final;

protected:
    explicit Rule(const ledger::Genesis &genesis)
        : consensus_(genesis.consensus),
          params_(genesis.params),
          genesis_time_ms_(genesis.time_ms) {}

    // The set of validators that takes turns on `parent`: two final checkpoints back, so that
    // nobody is a member by a block that may yet be taken back.
    Result<ledger::ValidatorSet> sealers(const ledger::Tip &parent,
                                         const ledger::StateReader &state) const {
        return state.validator_set(parent.finality.previous_final_height);
    }
    // How many others come before the account at this height. Precondition: a member.
    static std::uint32_t rank_of(const PublicKey &account, const ledger::ValidatorSet &set,
                                 std::uint64_t height);

    const ledger::ConsensusParams consensus_;
    const incentive::Params params_;
    const std::uint64_t genesis_time_ms_;
};

// PoR: after so many times the spacing without a block, validators seal without work.
inline constexpr std::uint64_t kRotationAfterSpacings = 10;

std::shared_ptr<const Rule> make_poa_rule(const ledger::Genesis &genesis);
Result<std::shared_ptr<const Rule>> make_por_rule(const ledger::Genesis &genesis);

// A block on the tip by `turn`, of time max(now, not before). Complete but for the signature, and
// the nonce where the turn needs work. Errors: of Chain::draft_header.
struct DraftedBlock {
    ledger::BlockDraft draft;
    wire::BlockHeader header;
};
Result<DraftedBlock> draft_block(ledger::Chain &chain, const PublicKey &account, const Turn &turn,
                                 ledger::TxList txs, std::vector<wire::SignedVote> votes,
                                 std::uint64_t now_ms);

BlockSummary summary_of(const ledger::Block &block, Work work);

}  // namespace chain::consensus
