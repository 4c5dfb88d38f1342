// SPDX-License-Identifier: BSD-3-Clause
//
// From running ranks to the bill. What came before is in renter_lease.cc.
#include <algorithm>
#include <utility>

#include "chain/base/log.h"
#include "chain/base/text.h"
#include "chain/client/client.h"
#include "chain/client/text.h"
#include "chain/daemon/bill.h"
#include "chain/daemon/log_categories.h"
#include "chain/daemon/reading_check.h"
#include "chain/daemon/renter_lease.h"
#include "incentive/settlement.h"

namespace chain::daemon {
namespace {

constexpr std::uint64_t kLastWordsWaitMs = 2'000;
constexpr std::uint64_t kResultsProgressMs = 2'000;
// After a LEASE_ENDING event mpirun ends its ranks and closes the lease; if not, this does.
constexpr std::uint64_t kEndingWaitMs = 5'000;

}  // namespace

void RenterLease::on_reading(std::uint32_t leg, const wire::Reading &reading) {
    if (phase_ != Phase::kRunning && phase_ != Phase::kEnding) return;
    LegState &state = legs_[leg];
    if (state.lost) return;  // back too late: what was signed for until then is what it gets
    const market::Offer &offer = state.award.offer;
    const ReadingBounds bounds{.slot_count = state.award.billed_slots(),
                               .hz = offer.hz,
                               .cycles_max = state.award.cycles_max,
                               .cycles_before = state.cycles,
                               .sequence_before = state.sequence,
                               .launched_at_ms = launched_at_ms_,
                               .now_ms = node_.clock.steady_ms(),
                               .ended_at_ms = ended_at_ms_};
    if (const Status plausible = check_reading(bounds, reading); !plausible.ok()) {
        notice("a reading of " + name_peer(offer.host, offer.provider) +
               " was not signed: " + plausible.error().message);
        return;
    }
    state.cycles = reading.cycles();
    state.sequence = reading.sequence();
    // The renter's word that the leg came to its end, and was not left by its provider.
    const bool ended_by_us = state.dismissed || (phase_ == Phase::kEnding && !state.failed);
    const bool final = reading.last() && ended_by_us;
    sign_voucher(leg, reading, final);
    if (reading.cycles() >= state.award.cycles_max && phase_ == Phase::kRunning)
        end_soon(demand_.budget.units > 0 ? "the budget is used up" : "the escrow is used up",
                 true);
}

void RenterLease::end_soon(const std::string &reason, bool over_limit) {
    if (!record_.bill().reason().empty()) return;  // said already
    record_.mutable_bill()->set_reason(reason);
    event(wire::LeaseEvent::LEASE_ENDING, 0, reason, over_limit);
    set_deadline(kEndingWaitMs, [this, reason] { end("renter", reason); });
}

void RenterLease::sign_voucher(std::uint32_t leg, const wire::Reading &reading, bool final) {
    const auto key = node_.wallet.key();
    if (!key.ok()) return;  // locked while running: the provider stops after its grace
    const auto amount =
        incentive::payment(legs_[leg].award.price_of(clearing_.price_per_ghz_h), reading.cycles());
    CHAIN_CHECK(amount.ok());
    wire::VoucherBody body;
    body.set_lease_id(to_bytes(id_));
    body.set_leg(leg);
    body.set_sequence(reading.sequence());
    body.set_cycles(reading.cycles());
    body.set_waited_cycles(reading.waited_cycles());
    body.set_amount(amount->units);
    body.set_meter_class(reading.meter_class());
    body.set_final(final);
    const int index = static_cast<int>(leg);
    *record_.mutable_vouchers(index) = ledger::sign_voucher(body, **key);
    wire::BillLeg &entry = *record_.mutable_bill()->mutable_legs(index);
    entry.set_cycles(reading.cycles());
    entry.set_waited_cycles(reading.waited_cycles());
    entry.set_gpu_cycles(reading.gpu_cycles());
    entry.set_paid(amount->units);
    record_.mutable_bill()->set_meter_class(std::string(meter_class_name(reading.meter_class())));
    entry.clear_ranks();
    for (const auto &rank : reading.ranks()) {
        wire::BillRank &line = *entry.add_ranks();
        line.set_rank(rank.rank());
        line.set_cycles(rank.cycles());
        line.set_waited_cycles(rank.waited_cycles());
    }
    remember();  // on disk before it leaves
    wire::TradeMessage message = trade_message(leg_key(leg));
    *message.mutable_voucher() = record_.vouchers(index);
    static_cast<void>(node_.send_trade(legs_[leg].award.offer.node_key, message));
}

// A leg that was never launched ends in agreement: nothing is paid, and its provider is not blamed.
void RenterLease::agree_to_nothing(std::uint32_t leg, wire::TradeMessage &message) {
    const auto key = node_.wallet.key();
    if (!key.ok() || legs_[leg].failed) return;
    wire::VoucherBody body;
    body.set_lease_id(to_bytes(id_));
    body.set_leg(leg);
    body.set_sequence(1);
    body.set_meter_class(wire::METER_CLASS_CALIBRATED);
    body.set_final(true);
    *message.mutable_end_leg()->mutable_final_voucher() = ledger::sign_voucher(body, **key);
}

void RenterLease::leg_lost(std::uint32_t leg, const std::string &reason, bool peer_gone,
                           bool over_limit) {
    LegState &state = legs_[leg];
    if (state.lost || phase_ == Phase::kEnded) return;
    if (is_reserved() && !state.funded && phase_ < Phase::kReady) {  // asked again, for a while
        state.asked_at_ms = 0;
        state.refusal = reason;
        return;
    }
    state.lost = peer_gone;
    const bool was_failed = std::exchange(state.failed, true);
    const market::Offer &offer = state.award.offer;
    const std::string who = name_peer(offer.host, offer.provider);
    if (phase_ == Phase::kEnding) return check_ended();
    if (phase_ == Phase::kAgreeing) return refuse(leg, reason);
    if (phase_ == Phase::kFunding || phase_ == Phase::kStaging)
        return fail_leg(leg, make_error(ErrorCode::kPeerLost, who, " was lost: ", reason));
    // Its time or money is used up: the provider ends its leg for the same reason, and is no loss.
    if (!record_.bill().reason().empty()) return;
    const bool goes_on = call_.spec().tolerate_loss();
    if (goes_on && was_failed) return;  // mpirun knows already
    log(LogLevel::kWarning, kRenterLog, "lease ", short_hex(id_), ": ", who, ": ", reason);
    event(wire::LeaseEvent::LEG_LOST, leg, reason, over_limit);
    if (goes_on) {  // with the other legs, unless mpirun ends the job
        node_.loop.post([this, leg, alive = alive_] {
            if (*alive) legs_[leg].stream.reset();  // not while it may be sending
        });
        return;
    }
    if (lost_reason_.empty()) {
        lost_reason_ = who + ": " + reason;
        lost_by_ = over_limit ? "renter" : "provider";
    }
    set_deadline(kEndingWaitMs, [this] { end(lost_by_, lost_reason_); });
}

void RenterLease::leg_ended(std::uint32_t leg, const wire::LegEnded &ended) {
    if (ended.killed()) return leg_lost(leg, ended.reason(), false, ended.over_limit());
    // orted left without a signal: mostly the end of a job, of which mpirun knows the reason.
    if (phase_ == Phase::kRunning) event(wire::LeaseEvent::LEG_LOST, leg, ended.reason());
}

void RenterLease::on_peer_lost(const PublicKey &peer, const std::string &why) {
    for (std::uint32_t leg = 0; leg < legs_.size(); ++leg) {
        if (legs_[leg].award.offer.node_key != peer) continue;
        if (phase_ == Phase::kEnded) return;
        ResultsTaker *const results = legs_[leg].results.get();
        if (results != nullptr && (phase_ == Phase::kEnding || results->has_begun()))
            results->on_peer_lost(why);
        leg_lost(leg, why, true);
        return;
    }
}

void RenterLease::close(std::uint64_t request_id, const wire::LeaseCloseCall &call) {
    if (phase_ < Phase::kReady)
        return client_->fail(request_id,
                             make_error(ErrorCode::kConflict, "the lease was never ready"));
    close_request_ = request_id;
    results_timer_ = node_.loop.every_ms(kResultsProgressMs, [this] { say_what_comes(); });
    if (phase_ == Phase::kEnding) return check_ended();
    note_losses(call);
    std::string ended_by = call.ended_by();
    std::string reason = call.reason();
    if (!lost_reason_.empty()) {
        ended_by = lost_by_;
        reason = lost_reason_;
    } else if (reason.empty()) {
        reason = record_.bill().reason();
    }
    if (ended_by.empty()) ended_by = "renter";
    if (reason.empty() && call.exit_status() == 0) reason = client::kJobEnded;
    if (reason.empty())
        reason = "the job ended with exit status " + std::to_string(call.exit_status());
    end(ended_by, reason);
}

// A bill of a job that did not need all of its peers says so.
void RenterLease::note_losses(const wire::LeaseCloseCall &call) {
    constexpr std::size_t kReasonBytesMax = 300;
    for (const wire::ToleratedLoss &loss : call.losses()) {
        if (loss.leg() >= legs_.size()) continue;
        const market::Offer &offer = legs_[loss.leg()].award.offer;
        notice(name_peer(offer.host, offer.provider) +
               " was lost, and the job went on without it: " +
               plain_text(loss.reason(), kReasonBytesMax));
    }
}

void RenterLease::on_client_gone() {
    if (phase_ < Phase::kReady) return fail(make_error(ErrorCode::kCancelled, "mpirun is gone"));
    if (phase_ < Phase::kEnding) end("renter", "mpirun is gone");
}

void RenterLease::on_daemon_stops() {
    constexpr const char *kReason = "the renter's daemon was stopped";
    if (phase_ < Phase::kReady) return fail(make_error(ErrorCode::kCancelled, kReason));
    if (phase_ >= Phase::kEnding) return;
    event(wire::LeaseEvent::LEASE_ENDING, 0, kReason);
    end("renter", kReason);
}

void RenterLease::end(const std::string &ended_by, const std::string &reason) {
    if (phase_ >= Phase::kEnding) return;
    phase_ = Phase::kEnding;
    ended_at_ms_ = node_.clock.steady_ms();
    log(LogLevel::kNote, kRenterLog, "lease ", short_hex(id_), " ends: ", reason);
    wire::Bill &bill = *record_.mutable_bill();
    bill.set_state("closing");
    bill.set_ended_by(ended_by);
    bill.set_reason(reason);
    bill.set_ended_at_ms(node_.clock.unix_ms());
    remember();
    for (std::uint32_t leg = 0; leg < legs_.size(); ++leg) {
        if (legs_[leg].lost) continue;
        wire::TradeMessage message = trade_message(leg_key(leg));
        message.mutable_end_leg()->set_reason(reason);
        *message.mutable_end_leg()->mutable_stage_out() = call_.stage_out();
        if (launched_at_ms_ == 0) agree_to_nothing(leg, message);
        static_cast<void>(node_.send_trade(legs_[leg].award.offer.node_key, message));
    }
    set_deadline(kResultsWaitMs, [this] {
        for (LegState &leg : legs_) {
            leg.lost = true;
            if (leg.results != nullptr) leg.results->give_up("it took too long");
        }
        check_ended();
    });
    check_ended();
}

void RenterLease::on_new_block() {
    check_ended();
}

bool RenterLease::takes_results(std::size_t leg) const {
    const ResultsTaker *const results = legs_[leg].results.get();
    return results != nullptr && results->has_begun() && !results->has_ended();
}

// mpirun waits as long as it hears of them.
void RenterLease::say_what_comes() {
    std::uint64_t bytes = 0;
    bool any = false;
    for (std::size_t leg = 0; leg < legs_.size(); ++leg) {
        if (!takes_results(leg)) continue;
        any = true;
        bytes += legs_[leg].results->received_bytes();
    }
    if (!any || !close_request_.has_value()) return;
    wire::ControlReply reply;
    reply.mutable_lease_progress()->set_stage("results");
    reply.mutable_lease_progress()->set_detail(client::format_size(bytes) + " are here");
    client_->reply(*close_request_, std::move(reply));
}

void RenterLease::check_ended() {
    if (phase_ != Phase::kEnding) return;
    const auto lease = node_.backend.lease(id_);
    bool any_lost = false;
    bool all_settled = true;
    for (std::size_t i = 0; i < legs_.size(); ++i) {
        const bool settled = lease.ok() && i < lease->legs.size() &&
                             lease->legs[i].state == ledger::LegState::kSettled;
        // The block may be faster than the peer's last words, and its results come before these.
        if (settled && !legs_[i].lost && !legs_[i].close_sent && !words_waited_for_) {
            if (!words_timer_.active())
                words_timer_ = node_.loop.after_ms(kLastWordsWaitMs, [this] {
                    words_waited_for_ = true;
                    check_ended();
                });
            return;
        }
        const bool done = settled || legs_[i].lost || legs_[i].close_sent;
        if (!done || takes_results(i)) return;  // the last voucher or results are on their way
        any_lost = any_lost || (!settled && legs_[i].lost);
        all_settled = all_settled && (settled || legs_[i].lost);
    }
    if (!all_settled) {
        if (!awaits_blocks_)
            set_deadline(kSettleWaitMs + node_.backend.inclusion_wait_ms() / 2,
                         [this] { give_up_settlement(); });
        awaits_blocks_ = true;
        return;
    }
    if (any_lost) close_one_sided();
    finish();
}

// No block includes what the peers have sent: the sealer is away. Nobody needs to wait for that;
// RenterAgent sees to it that the lease is closed.
void RenterLease::give_up_settlement() {
    notice("the settlement is in no block yet; see `ompi-chain lease show " + short_hex(id_) + "`");
    finish();
}

// The peers that were lost get what the last voucher says, after their time to bring a higher one.
void RenterLease::close_one_sided() {
    wire::TxBody body;
    body.mutable_close_lease()->set_lease_id(to_bytes(id_));
    for (int i = 0; i < record_.vouchers_size(); ++i)
        if (legs_[static_cast<std::size_t>(i)].lost) {
            body.mutable_close_lease()->add_lost_legs(static_cast<std::uint32_t>(i));
            if (!record_.vouchers(i).body().empty())
                *body.mutable_close_lease()->add_vouchers() = record_.vouchers(i);
        }
    if (const auto tx = node_.submit(std::move(body)); !tx.ok())
        log(LogLevel::kWarning, kRenterLog, "one-sided close of ", short_hex(id_), ": ",
            tx.error().message);
}

void RenterLease::refresh_bill() {
    wire::Bill &bill = *record_.mutable_bill();
    const auto lease = node_.backend.lease(id_);
    if (lease.ok()) {
        bring_bill_up_to(*lease, bill);
        return;
    }
    sum_bill(bill);
}

void RenterLease::finish() {
    phase_ = Phase::kEnded;
    deadline_.cancel();
    for (LegState &leg : legs_)
        if (leg.results != nullptr && !leg.results->has_begun()) leg.results->say_none_came();
    refresh_bill();
    remember();
    const wire::Bill &bill = record_.bill();
    log(LogLevel::kNote, kRenterLog, "lease ", short_hex(id_), " ", bill.state(), ": paid ",
        format_tokens(Amount{bill.paid()}), ", burned ", format_tokens(Amount{bill.burned()}),
        ", refunded ", format_tokens(Amount{bill.refunded()}));
    if (close_request_.has_value()) {
        wire::ControlReply reply;
        *reply.mutable_bill() = bill;
        client_->reply(*close_request_, std::move(reply));
    }
    on_end_();
}

// The gang is all or nothing: another one is asked, as a lease of its own.
void RenterLease::fail_leg(std::uint32_t leg, const Error &error) {
    if (phase_ == Phase::kEnded) return;
    if (!submitted_ || is_reserved() || before_.count + 1 >= kGangsMax) return fail(error);
    progress("replacing", error.message);
    undo(error);
    ask_others_({before_.count + 1, legs_[leg].award.offer.provider, error, std::move(files_)});
    on_end_();
}

void RenterLease::fail(const Error &error) {
    if (phase_ == Phase::kEnded) return;
    if (is_reserved()) return back_out(error);
    undo(error);
    client_->fail(request_id_, error);
    on_end_();
}

void RenterLease::undo(const Error &error) {
    log(LogLevel::kNote, kRenterLog, "a lease came to nothing: ", error.message);
    if (submitted_) {
        record_.mutable_bill()->set_state("failed");
        record_.mutable_bill()->set_ended_by("renter");
        record_.mutable_bill()->set_reason(error.message);
        record_.mutable_bill()->set_ended_at_ms(node_.clock.unix_ms());
        remember();
    }
    for (std::uint32_t leg = 0; leg < legs_.size(); ++leg) {
        wire::TradeMessage message = trade_message(leg_key(leg));
        if (submitted_) {
            message.mutable_end_leg()->set_reason(error.message);
            agree_to_nothing(leg, message);
        } else {
            message.mutable_cancel()->set_reason(error.message);
        }
        static_cast<void>(node_.send_trade(legs_[leg].award.offer.node_key, message));
    }
    phase_ = Phase::kEnded;
    deadline_.cancel();
    wait_timer_.cancel();
}

// mpirun ends non-zero then, also if every rank did well.
void RenterLease::lose_results(std::uint32_t leg, const std::string &text) {
    wire::Bill &bill = *record_.mutable_bill();
    bill.set_results_lost(true);
    if (legs_[leg].results->is_peer_gone())
        bill.mutable_legs(static_cast<int>(leg))->set_results_lost(true);
    notice(text);
}

void RenterLease::notice(const std::string &whole) {
    const std::string text = plain_text(whole, 1'000);
    log(LogLevel::kNote, kRenterLog, "lease ", short_hex(id_), ": ", text);
    constexpr int kNoticesMax = 100;
    if (record_.bill().notices_size() < kNoticesMax) record_.mutable_bill()->add_notices(text);
    event(wire::LeaseEvent::NOTICE, static_cast<std::uint32_t>(legs_.size()), text);
}

}  // namespace chain::daemon
