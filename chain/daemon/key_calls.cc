// SPDX-License-Identifier: BSD-3-Clause
//
// The call that takes a transaction signed elsewhere.
#include "chain/base/log.h"
#include "chain/daemon/daemon.h"

namespace chain::daemon {

// The ledger would refuse these as well; here it is said what to do. A transaction that waits
// already is fine: its sender waits for it again.
Status Daemon::check_nonce(const ledger::Tx &tx) const {
    const TxOutcome known = ledger_->outcome(tx.id);
    if (known.status == TxStatus::kPending) return ok_status();
    if (known.status >= TxStatus::kIncluded && known.status != TxStatus::kRejected)
        return make_error(ErrorCode::kConflict, "transaction ", short_hex(tx.id),
                          " stands in block ", known.height,
                          " already; it is not made a second time");
    CHAIN_ASSIGN(const ledger::Account sender, ledger_->account(tx.sender));
    CHAIN_ASSIGN(const std::uint64_t next, ledger_->next_nonce(tx.sender));
    const std::uint64_t nonce = tx.body.nonce();
    if (nonce < sender.nonce)
        return make_error(ErrorCode::kConflict, "nonce ", nonce, " of ", to_address(tx.sender),
                          " was used by another transaction; sign again with nonce ", next);
    if (nonce < next)
        return make_error(ErrorCode::kConflict, "nonce ", nonce, " of ", to_address(tx.sender),
                          " is taken by a transaction that waits for a block; sign again with "
                          "nonce ",
                          next);
    if (nonce > next)
        return make_error(ErrorCode::kConflict, "nonce ", nonce, " of ", to_address(tx.sender),
                          " is too high: the next one is ", next, ", and none is left out");
    return ok_status();
}

void Daemon::tx_submit(const ControlConnectionPtr &client, std::uint64_t id,
                       const wire::TxSubmitCall &call) {
    const auto submit = [&]() -> Result<ledger::TxId> {
        if (waiting_sends_.size() >= kWaitingSendsMax)
            return make_error(ErrorCode::kTooLarge, "too many transfers wait for a block");
        CHAIN_ASSIGN(const ledger::Tx tx, ledger::decode_tx(call.signed_tx(), ledger_->chain_id()));
        CHAIN_TRY(check_nonce(tx));
        const auto taken = ledger_->accept_tx(call.signed_tx());
        if (!taken.ok()) return taken.error();
        log(LogLevel::kNote, "wallet", "passes on ", short_hex(tx.id), ", in which ",
            to_address(tx.sender), " ", ledger::describe_tx(tx.body));
        return tx.id;
    };
    const auto tx = submit();
    if (!tx.ok()) return client->fail(id, tx.error());
    answer_when_included(client, id, *tx);
}

}  // namespace chain::daemon
