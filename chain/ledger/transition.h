// SPDX-License-Identifier: BSD-3-Clause
//
// The rules of the ledger: what a transaction does to the state. Pure: no clock, store or log; the
// time is the block's. docs/money_rules.md says them in words.
#pragma once

#include "chain/ledger/history.h"
#include "chain/ledger/state.h"
#include "chain/ledger/tip.h"

namespace chain::ledger {

class SealRule;

// What a rule says no to.
inline Error refused(std::string_view why) {
    return make_error(ErrorCode::kInvalidInput, why);
}

// What executing a block needs to know of it beside its transactions.
struct NextBlock {
    std::uint64_t time_ms = 0;
    PublicKey sealer{};
    Finality finality;  // after the votes that it carries
};

struct TxContext {
    const Genesis &genesis;
    std::uint64_t height = 0;    // of the block that the transaction is in
    std::uint32_t tx_index = 0;  // within it
    std::uint64_t time_ms = 0;   // of the block
    SignatureCache *signatures = nullptr;

    const incentive::Params &params() const { return genesis.params; }
    // Of the decay of reputation.
    std::uint64_t step() const { return decay_step(genesis, time_ms); }
    AccountTrail *trail = nullptr;   // notes the accounts that are changed
    std::uint64_t final_height = 0;  // that the block's parent proves
    const SealRule *rule = nullptr;  // null where one key seals
};

// Applies `tx` (already decoded, so its signatures are right). On error `state` is unchanged.
// Errors: kConflict (nonce, already settled, nothing due, voucher not higher …),
// kInsufficientFunds, kNotFound (lease), kInvalidInput (a rule of the action, named), kPermission
// (no part in the lease), kBadSignature (voucher, vote), kTooLarge, kProtocol (also a false
// accusation), kNotYet (the chain has been without finality for too long).
Status apply_tx(Overlay &state, const Tx &tx, const TxContext &context);

// The sealer's part of the reward pool.
Status apply_block_reward(Overlay &state, const Genesis &genesis, const PublicKey &sealer,
                          std::uint64_t parent_time_ms, std::uint64_t time_ms);

// ---- by kind of action. Each may leave `state` changed on error: apply_tx drops it.

// lease_rules.cc
Status open_lease(Overlay &state, const Tx &tx, const TxContext &context);
Status claim_voucher(Overlay &state, const Tx &tx, const TxContext &context);
// Records the vouchers that are higher than what is there; one for a settled leg, or lower, changes
// nothing: who closes cannot know what came to the ledger a moment before.
Status record_vouchers(const wire::CloseLease &action, Lease &lease, const TxContext &context);

// lease_end_rules.cc
Status report_start(Overlay &state, const Tx &tx, const TxContext &context);
Status reclaim_notice(Overlay &state, const Tx &tx, const TxContext &context);
Status close_lease(Overlay &state, const Tx &tx, const TxContext &context);
Status expire_lease(Overlay &state, const Tx &tx, const TxContext &context);
Status rate(Overlay &state, const Tx &tx, const TxContext &context);

// stake_rules.cc
Status stake(Overlay &state, const Tx &tx, const TxContext &context);
Status unstake(Overlay &state, const Tx &tx, const TxContext &context);
Status withdraw_stake(Overlay &state, const Tx &tx, const TxContext &context);
Status vote(Overlay &state, const Tx &tx, const TxContext &context);
Status evidence(Overlay &state, const Tx &tx, const TxContext &context);
// All stake of `offending`, bonded and unbonding: a part to `reporting`, the rest burns. Errors:
// kConflict (there is none).
Status slash_stake(Overlay &state, const PublicKey &offending, const PublicKey &reporting,
                   const TxContext &context);

// share_rules.cc
Status commit_shares(Overlay &state, const Tx &tx, const TxContext &context);
Status open_shares(Overlay &state, const Tx &tx, const TxContext &context);
Status share_fault(Overlay &state, const Tx &tx, const TxContext &context);

// validator_rules.cc

// The account's stake has become `staked`: it may become a candidate, in place of the weakest one
// where there are too many, or cease to be one. Nothing where one key seals.
Status note_stake(Overlay &state, const PublicKey &account, Amount staked,
                  const ConsensusParams &params);
// Writes down the set of validators as of a checkpoint.
Status note_validators(Overlay &state, std::uint64_t height, std::uint64_t time_ms,
                       const Genesis &genesis);
// What the block itself does after its transactions: reward, and at checkpoints the validators.
Status end_block(Overlay &state, const Tip &parent, const NextBlock &block, const Genesis &genesis);
// Errors: kNotYet (too long without finality for this kind of transaction).
Status check_lag(const Tx &tx, const TxContext &context);

// payout_rules.cc
Status mining_payout(Overlay &state, const Tx &tx, const TxContext &context);

// Adds to what is burned outside of legs. Errors: kTooLarge.
Status burn(Overlay &state, Amount amount);

}  // namespace chain::ledger
