// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/reserving.h"

#include <utility>

#include "chain/base/log.h"
#include "chain/daemon/log_categories.h"
#include "chain/daemon/renter_lease.h"
#include "incentive/settlement.h"

namespace chain::daemon {
Reserving::Reserving(Node &node, Order order, market::Demand demand,
                     std::function<void(const std::string &)> on_progress,
                     std::function<void(Result<ledger::LeaseId>)> on_done)
    : node_(node),
      order_(std::move(order)),
      demand_(std::move(demand)),
      on_progress_(std::move(on_progress)),
      on_done_(std::move(on_done)) {}

void Reserving::clear_market() {
    std::vector<market::Offer> offers = node_.offers(true);
    std::erase_if(offers,
                  [&](const market::Offer &offer) { return refused_offers_.contains(offer.id); });
    auto clearing = market::clear(demand_, std::move(offers), node_.backend.params());
    if (!clearing.ok()) return finish(clearing.error());
    if (!clearing->cleared()) {
        std::string why = clearing->failure;
        if (!last_refusal_.empty()) why += "; who matched has refused: " + last_refusal_;
        return finish(Error{clearing->failure_code, why});
    }
    clearing_ = std::move(*clearing);
    agree();
}

void Reserving::agree() {
    if (++rounds_ > node_.backend.params().legs_max + kAgreeRoundsMax)
        return finish(make_error(ErrorCode::kNothingMatched, "the peers that match refused; the ",
                                 "last was ", last_refusal_));
    if (const Status covered = check_escrow(node_, demand_, clearing_); !covered.ok())
        return finish(covered.error());
    const auto body = lease_body(node_, demand_, clearing_, order_.spec.starts_at_ms());
    if (!body.ok()) return finish(body.error());
    std::vector<AgreementRound::Party> parties;
    for (const market::Award &award : clearing_.awards) {
        AgreementRound::Party &party = parties.emplace_back();
        party.offer = award.offer;
        party.propose.set_gpu_count(award.gpu_count);
    }
    round_ = std::make_unique<AgreementRound>(
        node_, body->SerializeAsString(), std::move(parties),
        AgreementRound::Events{
            [this](const wire::SignedTx &tx) { fund(tx); },
            [this](std::uint32_t leg, const std::string &why) { refuse(leg, why); },
            [this](const Error &error) { finish(error); }});
    on_progress_(std::to_string(clearing_.awards.size()) + " peers at " +
                 format_tokens(clearing_.price_per_ghz_h) + " per GHz·h");
    round_->start();
}

// The market is cleared again without this offer.
void Reserving::refuse(std::uint32_t leg, const std::string &why) {
    const market::Offer &offer = clearing_.awards[leg].offer;
    last_refusal_ = name_peer(offer.host, offer.provider) + ": " + why;
    log(LogLevel::kNote, kRenterLog, "not reserved: ", last_refusal_);
    on_progress_("refused: " + last_refusal_);
    refused_offers_.insert(offer.id);
    round_->cancel("another peer refused");
    clear_again();
}

// In a moment: what was just cancelled is free again then.
void Reserving::clear_again() {
    timer_ = node_.loop.after_ms(kReofferPollMs, [this] { clear_market(); });
}

void Reserving::on_peer_lost(const PublicKey &peer, const std::string &why) {
    if (round_ == nullptr || submitted_) return;
    for (std::uint32_t leg = 0; leg < clearing_.awards.size(); ++leg)
        if (clearing_.awards[leg].offer.node_key == peer) round_->refuse(leg, why);
}

Status Reserving::write_down() const {
    wire::RenterRecord record;
    std::vector<std::string> hosts;
    for (const market::Award &award : clearing_.awards) hosts.push_back(award.offer.host);
    wire::Bill &bill = *record.mutable_bill();
    bill = first_bill(round_->lease(), clearing_, hosts);
    bill.set_state("reserved");
    bill.set_starts_at_ms(order_.spec.starts_at_ms());
    bill.set_title(order_.title);
    bill.set_event_uid(order_.event_uid);
    *bill.mutable_spec() = order_.spec;
    const incentive::Params &params = node_.backend.params();
    Amount deposit{0};
    for (const market::Award &award : clearing_.awards) {
        CHAIN_ASSIGN(const Amount part, incentive::deposit(award.escrow, params));
        CHAIN_ASSIGN(deposit, add(deposit, part));
    }
    bill.set_deposit(deposit.units);
    bill.set_cancel_by_ms(order_.spec.starts_at_ms() > params.reservation_notice_ms
                              ? order_.spec.starts_at_ms() - params.reservation_notice_ms
                              : 0);
    record.set_bound(order_.bound);
    return node_.journal.put_renter(round_->lease(), record);
}

void Reserving::fund(const wire::SignedTx &tx) {
    if (const Status written = write_down(); !written.ok()) {
        round_->cancel("not funded");
        return finish(written.error());
    }
    const auto submitted = node_.backend.submit(tx);
    if (!submitted.ok()) {
        round_->cancel("not funded");
        // Another transaction of this account took the nonce: the same peers, asked again.
        if (submitted.error().code == ErrorCode::kConflict) return clear_again();
        return finish(submitted.error());
    }
    submitted_ = true;
    log(LogLevel::kNote, kRenterLog, "reservation ", short_hex(round_->lease()), ": ",
        format_tokens(clearing_.escrow), " tokens to be locked for ", demand_.slot_count,
        " slots on ", clearing_.awards.size(), " peers, from ",
        format_utc(order_.spec.starts_at_ms()), " on");
    on_progress_("locking " + format_tokens(clearing_.escrow) + " tokens");
    timer_ = node_.loop.after_ms(kFundWaitMs + node_.backend.inclusion_wait_ms(), [this] {
        finish(make_error(ErrorCode::kTimeout, "reservation ", short_hex(id()),
                          " is in no block yet; `ompi-chain lease list` shows whether it comes"));
    });
    on_new_block();
}

void Reserving::on_new_block() {
    if (!submitted_ || done_) return;
    if (node_.backend.lease(id()).ok()) return finish(id());
    const TxOutcome outcome = node_.backend.outcome(id());
    if (outcome.status == TxStatus::kRejected)
        finish(make_error(ErrorCode::kConflict, "the ledger refused it: ", outcome.reason));
}

void Reserving::cancel(const std::string &why) {
    if (!submitted_ && round_ != nullptr) round_->cancel(why);
    finish(make_error(ErrorCode::kCancelled, why));
}

void Reserving::finish(Result<ledger::LeaseId> result) {
    if (std::exchange(done_, true)) return;
    timer_.cancel();
    node_.loop.post([fn = on_done_, result = std::move(result), alive = alive_] {
        if (*alive) fn(result);
    });
}

}  // namespace chain::daemon
