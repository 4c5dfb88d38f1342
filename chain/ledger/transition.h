// SPDX-License-Identifier: BSD-3-Clause
//
// The rules of the ledger: what a transaction does to the state. Pure: no clock, store or log; the
// time is the block's. docs/money_rules.md says them in words.
#pragma once

#include "chain/ledger/history.h"
#include "chain/ledger/state.h"

namespace chain::ledger {

struct TxContext {
    const incentive::Params &params;
    std::uint64_t height = 0;    // of the block that the transaction is in
    std::uint32_t tx_index = 0;  // within it
    std::uint64_t time_ms = 0;   // of the block
    SignatureCache *signatures = nullptr;
    AccountTrail *trail = nullptr;  // notes the accounts that are changed
};

// Applies `tx` (already decoded, so its signatures are right). On error `state` is unchanged.
// Errors: kConflict (nonce, already settled, nothing due, voucher not higher), kInsufficientFunds,
// kNotFound (lease), kInvalidInput (a rule of the action, named), kPermission (no part in the
// lease), kBadSignature (voucher), kTooLarge, kProtocol.
Status apply_tx(Overlay &state, const Tx &tx, const TxContext &context);

// The rules for leases: chain/ledger/lease_rules.cc.
Status open_lease(Overlay &state, const Tx &tx, const TxContext &context);
Status claim_voucher(Overlay &state, const Tx &tx, const TxContext &context);
Status close_lease(Overlay &state, const Tx &tx, const TxContext &context);
Status expire_lease(Overlay &state, const Tx &tx, const TxContext &context);

}  // namespace chain::ledger
