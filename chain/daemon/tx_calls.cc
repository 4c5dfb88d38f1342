// SPDX-License-Identifier: BSD-3-Clause
//
// Calls that put a transaction on the ledger: signed with this daemon's wallet, or elsewhere. Each
// is answered when a block includes it, or refuses it.
#include "chain/base/log.h"
#include "chain/daemon/daemon.h"

namespace chain::daemon {
namespace {

constexpr std::uint64_t kSendWaitMs = 30'000;

Result<Amount> positive(std::int64_t units) {
    if (units <= 0) return make_error(ErrorCode::kInvalidInput, "the amount must be above zero");
    return amount_from_units(units);
}

Result<wire::TxBody> transfer_body(const wire::WalletSendCall &call) {
    wire::TxBody body;
    CHAIN_ASSIGN(const PublicKey to, parse_address(call.to_address()));
    CHAIN_ASSIGN(const Amount amount, positive(call.amount()));
    body.mutable_transfer()->set_to(to_bytes(to));
    body.mutable_transfer()->set_amount(amount.units);
    return body;
}

Result<wire::TxBody> stake_body(const wire::WalletStakeCall &call) {
    wire::TxBody body;
    switch (call.what_case()) {
        case wire::WalletStakeCall::kBond: {
            CHAIN_ASSIGN(const Amount amount, positive(call.bond()));
            body.mutable_stake()->set_amount(amount.units);
            return body;
        }
        case wire::WalletStakeCall::kUnbond: {
            CHAIN_ASSIGN(const Amount amount, positive(call.unbond()));
            body.mutable_unstake()->set_amount(amount.units);
            return body;
        }
        case wire::WalletStakeCall::kWithdraw: body.mutable_withdraw_stake(); return body;
        default: return make_error(ErrorCode::kInvalidInput, "stake how much?");
    }
}

// Why the ledger would not take the renter's word on it now; empty: it would.
std::string no_say(const ledger::Leg &leg) {
    if (leg.state != ledger::LegState::kSettled) return "it is not settled yet";
    if (leg.rated) return "it is rated already";
    if (leg.burned.units == 0) return "nothing was paid for it";
    return {};
}

wire::TxBody rate_body(const ledger::LeaseId &lease, std::uint32_t leg,
                       const wire::LeaseRateCall &call) {
    wire::TxBody body;
    wire::Rate &rate = *body.mutable_rate();
    rate.set_lease_id(to_bytes(lease));
    rate.set_leg(leg);
    rate.set_satisfaction(call.satisfied() ? wire::SATISFACTION_SATISFIED
                                           : wire::SATISFACTION_DISSATISFIED);
    rate.set_left_early(call.left_early());
    return body;
}

}  // namespace

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
            return make_error(ErrorCode::kTooLarge, "too many transactions wait for a block");
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
    answer_when(TxStatus::kIncluded, client, id, *tx);
}

void Daemon::send_tx(const ControlConnectionPtr &client, std::uint64_t id,
                     Result<wire::TxBody> body, TxStatus wanted) {
    const auto send = [&]() -> Result<ledger::TxId> {
        if (!body.ok()) return body.error();
        if (waiting_sends_.size() >= kWaitingSendsMax)
            return make_error(ErrorCode::kTooLarge, "too many transactions wait for a block");
        return node_->submit(*body);
    };
    const auto tx = send();
    if (!tx.ok()) return client->fail(id, tx.error());
    log(LogLevel::kNote, "wallet", ledger::describe_tx(*body), " in ", short_hex(*tx));
    answer_when(wanted, client, id, *tx);
}

void Daemon::wallet_send(const ControlConnectionPtr &client, std::uint64_t id,
                         const wire::WalletSendCall &call) {
    send_tx(client, id, transfer_body(call),
            call.wait_final() ? TxStatus::kFinal : TxStatus::kIncluded);
}

void Daemon::wallet_stake(const ControlConnectionPtr &client, std::uint64_t id,
                          const wire::WalletStakeCall &call) {
    send_tx(client, id, stake_body(call));
}

void Daemon::lease_fetch(const ControlConnectionPtr &client, std::uint64_t id,
                         const wire::LeaseFetchCall &call) {
    const auto account = wallet_->account();
    if (!account.ok()) return client->fail(id, account.error());
    const auto lease = find_lease(*account, call.lease_id());
    if (!lease.ok()) return client->fail(id, lease.error());
    renter_->fetch(client, id, lease->id, call);
}

void Daemon::lease_rate(const ControlConnectionPtr &client, std::uint64_t id,
                        const wire::LeaseRateCall &call) {
    const auto bodies = [&]() -> Result<std::vector<wire::TxBody>> {
        CHAIN_ASSIGN(const PublicKey account, wallet_->account());
        CHAIN_ASSIGN(const ledger::Lease lease, find_lease(account, call.lease_id()));
        std::vector<wire::TxBody> all;
        for (const std::uint32_t leg : call.legs()) {
            if (leg >= lease.legs.size())
                return make_error(ErrorCode::kInvalidInput, "the lease has legs 0 to ",
                                  lease.legs.size() - 1, ", and no leg ", leg);
            if (const std::string why = no_say(lease.legs[leg]); !why.empty())
                return make_error(ErrorCode::kConflict, "leg ", leg, " cannot be rated: ", why);
            all.push_back(rate_body(lease.id, leg, call));
        }
        if (!all.empty()) return all;
        std::string why;
        for (std::uint32_t leg = 0; leg < lease.legs.size(); ++leg) {
            why = no_say(lease.legs[leg]);
            if (why.empty()) all.push_back(rate_body(lease.id, leg, call));
        }
        if (all.empty())
            return make_error(ErrorCode::kConflict, "no leg of lease ", short_hex(lease.id),
                              " can be rated: ", why);
        return all;
    }();
    if (!bodies.ok()) return client->fail(id, bodies.error());
    for (std::size_t i = 0; i + 1 < bodies->size(); ++i)
        if (const auto sent = node_->submit((*bodies)[i]); !sent.ok())
            return client->fail(id, sent.error());
    send_tx(client, id, bodies->back());
}

void Daemon::answer_when(TxStatus wanted, const ControlConnectionPtr &client, std::uint64_t id,
                         const ledger::TxId &tx) {
    std::uint64_t wait_ms = kSendWaitMs + ledger_->inclusion_wait_ms();
    if (wanted == TxStatus::kFinal) wait_ms += ledger_->finality_wait_ms();
    waiting_sends_.push_back({client, id, tx, system_clock().steady_ms() + wait_ms, wanted});
    answer_waiting_sends();
}

void Daemon::answer_waiting_sends() {
    std::erase_if(waiting_sends_, [this](const WaitingSend &waiting) {
        const TxOutcome outcome = ledger_->outcome(waiting.tx);
        if (outcome.status == TxStatus::kRejected) {
            waiting.client->fail(
                waiting.request_id,
                make_error(ErrorCode::kRefused, "the ledger refused it: ", outcome.reason));
            return true;
        }
        if (is_at_least(outcome.status, waiting.wanted)) {
            wire::ControlReply reply;
            reply.mutable_tx()->set_tx_id(to_hex(waiting.tx));
            reply.mutable_tx()->set_height(outcome.height);
            reply.mutable_tx()->set_is_final(outcome.status == TxStatus::kFinal);
            waiting.client->reply(waiting.request_id, std::move(reply));
            return true;
        }
        if (system_clock().steady_ms() < waiting.give_up_at_ms) return false;
        if (is_at_least(outcome.status, TxStatus::kIncluded)) {
            waiting.client->fail(
                waiting.request_id,
                make_error(ErrorCode::kTimeout, "transaction ", to_hex(waiting.tx),
                           " stands in block ", outcome.height,
                           ", which is not final yet: `ompi-chain node status` says what is "
                           "missing; do not send it again"));
            return true;
        }
        waiting.client->fail(
            waiting.request_id,
            make_error(ErrorCode::kTimeout, "transaction ", to_hex(waiting.tx),
                       " is in no block yet and may still come: do not send it again while "
                       "`ompi-chain wallet show` says that it waits"));
        return true;
    });
}

}  // namespace chain::daemon
