// SPDX-License-Identifier: BSD-3-Clause
//
// The rules of the ledger: what a transaction does to the state. Pure: no clock, store or log; the
// time is the block's. docs/money_rules.md says them in words.
#pragma once

#include "chain/ledger/history.h"
#include "chain/ledger/state.h"

namespace chain::ledger {

struct TxContext {
    const Genesis &genesis;
    std::uint64_t height = 0;    // of the block that the transaction is in
    std::uint32_t tx_index = 0;  // within it
    std::uint64_t time_ms = 0;   // of the block
    SignatureCache *signatures = nullptr;

    const incentive::Params &params() const { return genesis.params; }
    // Of the decay of reputation.
    std::uint64_t step() const { return decay_step(genesis, time_ms); }
    AccountTrail *trail = nullptr;  // notes the accounts that are changed
};

// Applies `tx` (already decoded, so its signatures are right). On error `state` is unchanged.
// Errors: kConflict (nonce, already settled, nothing due, voucher not higher …),
// kInsufficientFunds, kNotFound (lease), kInvalidInput (a rule of the action, named), kPermission
// (no part in the lease), kBadSignature (voucher, vote), kTooLarge, kProtocol.
Status apply_tx(Overlay &state, const Tx &tx, const TxContext &context);

// What the block itself does after its transactions: the sealer's part of the reward pool.
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
Status stake(Overlay &state, const Tx &tx);
Status unstake(Overlay &state, const Tx &tx, const TxContext &context);
Status withdraw_stake(Overlay &state, const Tx &tx, const TxContext &context);
Status vote(Overlay &state, const Tx &tx, const TxContext &context);
Status evidence(Overlay &state, const Tx &tx, const TxContext &context);

// payout_rules.cc
Status mining_payout(Overlay &state, const Tx &tx, const TxContext &context);

// Adds to what is burned outside of legs. Errors: kTooLarge.
Status burn(Overlay &state, Amount amount);

}  // namespace chain::ledger
