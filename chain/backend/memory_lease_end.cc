// SPDX-License-Identifier: BSD-3-Clause
//
// MemoryModel: how the legs of a lease come to their end.
#include <algorithm>

#include "chain/backend/memory_model.h"

namespace chain {
namespace {

using ledger::Lease;
using ledger::Leg;
using ledger::LegEnd;
using ledger::LegState;

Error conflict(std::string_view why) {
    return make_error(ErrorCode::kConflict, why);
}

Error no_part() {
    return make_error(ErrorCode::kPermission, "the sender has no part in this lease");
}

bool has_leg(const Lease &lease, const PublicKey &who) {
    return std::any_of(lease.legs.begin(), lease.legs.end(),
                       [&](const Leg &leg) { return leg.provider == who; });
}

bool is_open(const Leg &leg) {
    return leg.state == LegState::kOpen;
}

bool is_settled(const Leg &leg) {
    return leg.state == LegState::kSettled;
}

// Nobody has shown that it ever ran: no report of its provider's, no voucher of the renter's.
bool was_never_seen(const Leg &leg) {
    return !leg.started && !leg.has_voucher();
}

// 1: its provider closes.
LegEnd end_by_provider(const Leg &leg, bool disputed) {
    // Who was never seen has done nothing that could have been signed for.
    if (disputed && !was_never_seen(leg)) return LegEnd::kDisputed;
    const bool contested = leg.accused || is_open(leg);
    if (leg.has_final_voucher) return LegEnd::kCompleted;
    if (leg.reclaimed_at_ms > 0) return LegEnd::kReclaimed;
    if (contested && was_never_seen(leg)) return LegEnd::kNotStarted;
    if (leg.voided) return leg.has_voucher() ? LegEnd::kCompleted : LegEnd::kVoided;
    return contested ? LegEnd::kLeft : LegEnd::kCompleted;
}

// 5: the challenge window has passed.
LegEnd end_by_silence(const Leg &leg) {
    if (leg.has_final_voucher) return LegEnd::kCompleted;
    if (leg.reclaimed_at_ms > 0) return LegEnd::kReclaimed;
    if (leg.accused) return was_never_seen(leg) ? LegEnd::kNeverSeen : LegEnd::kLost;
    if (leg.voided && !leg.has_voucher()) return LegEnd::kVoided;
    return LegEnd::kCompleted;
}

// 6: the lease has expired, and nobody closed the leg.
LegEnd end_by_expiry(const Leg &leg) {
    if (leg.has_final_voucher) return LegEnd::kCompleted;
    return leg.reclaimed_at_ms > 0 ? LegEnd::kReclaimed : LegEnd::kExpired;
}

}  // namespace

void MemoryModel::start_closing(Leg &leg) const {
    leg.state = LegState::kClosing;
    leg.closes_at_ms = now_ms_ + params().challenge_window_ms;
}

void MemoryModel::void_gang(Lease &lease) const {
    for (Leg &leg : lease.legs) {
        if (!is_open(leg)) continue;
        start_closing(leg);
        leg.voided = true;
    }
}

// The table of the deposit: whose it is, and what the end is called then.
incentive::DueDeposit MemoryModel::due_deposit(const Lease &lease, const Leg &leg, Amount deposit,
                                               LegEnd &end) const {
    using To = incentive::DueDeposit::To;
    const incentive::DueDeposit none, paid{deposit, To::kProvider}, burned{deposit, To::kBurned};
    if (end == LegEnd::kCancelled)
        return now_ms_ + params().reservation_notice_ms <= lease.starts_at_ms ? none : paid;
    if (leg.voided || leg.reclaimed_at_ms > 0 || was_never_seen(leg)) return none;
    // The provider closes while the renter might still come.
    const bool is_early = is_open(leg) && !leg.has_voucher() &&
                          now_ms_ < lease.starts_at_ms + params().start_window_ms;
    switch (end) {
        case LegEnd::kCompleted: {
            const bool on_its_word = leg.has_final_voucher || leg.released;
            if (!leg.has_voucher()) end = on_its_word ? LegEnd::kCancelled : LegEnd::kNoShow;
            return on_its_word ? paid : burned;
        }
        case LegEnd::kDisputed: return is_early ? none : burned;
        case LegEnd::kLeft:
            if (leg.has_voucher()) return leg.accused ? burned : none;
            if (is_early) return none;
            end = LegEnd::kNoShow;
            return burned;
        case LegEnd::kExpired:
            if (leg.has_voucher()) return none;
            end = LegEnd::kNoShow;
            return burned;
        default: return none;
    }
}

Status MemoryModel::settle(Lease &lease, Leg &leg, LegEnd end) {
    CHAIN_CHECK(!is_settled(leg));
    incentive::DueDeposit due;
    if (lease.is_reserved()) {
        CHAIN_ASSIGN(const Amount deposit, incentive::deposit(leg.escrow, params()));
        due = due_deposit(lease, leg, deposit, end);
    }
    const Amount price = leg.free ? Amount{} : lease.price_per_ghz_h;
    CHAIN_ASSIGN(const Amount unsigned_work,
                 incentive::unsigned_work({price, leg.slot_count, leg.hz_max, leg.cycles_max},
                                          leg.cycles, params()));
    CHAIN_ASSIGN(const incentive::LegSettlement parts,
                 incentive::settle_leg(leg.escrow, leg.payment, leg.collateral, end, params(),
                                       unsigned_work, due));
    ledger::Account &renter = accounts_[lease.renter];
    CHAIN_TRY(move_out(renter.escrow, leg.escrow));
    CHAIN_TRY(move_in(renter.balance, parts.refund));
    ledger::Account &provider = accounts_[leg.provider];
    CHAIN_TRY(move_out(provider.collateral, leg.collateral));
    CHAIN_TRY(move_in(provider.balance, parts.to_provider));
    CHAIN_TRY(move_in(provider.balance, parts.collateral));
    leg.state = LegState::kSettled;
    leg.end = end;
    CHAIN_ASSIGN(leg.payment, add(parts.to_provider, parts.burned));
    leg.burned = parts.burned;
    leg.forfeit = parts.forfeit;
    leg.penalty = parts.penalty;
    leg.settled_at_ms = now_ms_;
    if (lease.settled()) lease.ended_at_ms = now_ms_;

    if (leg.free) return ok_status();
    CHAIN_ASSIGN(const Amount at_stake, incentive::fee_at_stake(leg.escrow, params()));
    incentive::Reputation of_provider = reputation(leg.provider, now_ms_);
    incentive::note_leg_as_provider(of_provider, end, leg.burned, at_stake);
    reputations_[leg.provider] = of_provider;
    incentive::Reputation of_renter = reputation(lease.renter, now_ms_);
    incentive::note_leg_as_renter(of_renter, leg.burned);
    reputations_[lease.renter] = of_renter;
    return ok_status();
}

Status MemoryModel::report_start(const PublicKey &sender, const wire::ReportStart &action) {
    CHAIN_ASSIGN(Lease * lease, find_lease(action.lease_id()));
    if (!has_leg(*lease, sender)) return no_part();
    if (action.started() && now_ms_ < lease->begins_at_ms())
        return conflict("it has not begun, so nothing has started");
    bool changed = false;
    bool incomplete = false;
    for (Leg &leg : lease->legs) {
        if (leg.provider != sender || is_settled(leg)) continue;
        if (action.started()) {
            if (leg.started && !leg.accused) continue;
            leg.started = true;
            leg.accused = false;
            changed = true;
        } else if (is_open(leg) && was_never_seen(leg)) {
            CHAIN_TRY(settle(*lease, leg, LegEnd::kNotStarted));
            changed = true;
            incomplete = incomplete || !leg.free;
        }
    }
    if (!changed) return conflict("this report changes nothing");
    if (incomplete) void_gang(*lease);
    return ok_status();
}

Status MemoryModel::reclaim_notice(const PublicKey &sender, const wire::ReclaimNotice &action) {
    CHAIN_ASSIGN(Lease * lease, find_lease(action.lease_id()));
    if (!has_leg(*lease, sender)) return no_part();
    bool changed = false;
    for (Leg &leg : lease->legs) {
        if (leg.provider != sender || !is_open(leg) || leg.reclaimed_at_ms > 0) continue;
        if (was_never_seen(leg)) return conflict("a leg has not started");
        leg.reclaimed_at_ms = now_ms_;
        changed = true;
    }
    if (!changed) return conflict("no leg is open and without a notice");
    return ok_status();
}

Status MemoryModel::close_lease(const PublicKey &sender, const wire::CloseLease &action) {
    CHAIN_ASSIGN(Lease * lease, find_lease(action.lease_id()));
    const bool is_renter = sender == lease->renter;
    if (!is_renter && !has_leg(*lease, sender)) return no_part();
    if (is_renter ? action.disputed() : action.lost_legs_size() > 0)
        return make_error(ErrorCode::kInvalidInput, "that is the other side's to say");
    if (static_cast<std::size_t>(action.vouchers_size()) > lease->legs.size())
        return make_error(ErrorCode::kTooLarge, "more vouchers than legs");
    for (const wire::SignedVoucher &signed_voucher : action.vouchers()) {
        CHAIN_ASSIGN(const ledger::Voucher voucher,
                     ledger::decode_voucher(signed_voucher, lease->renter, signatures_));
        CHAIN_TRY(check_voucher(voucher, *lease));
        (void)record_if_higher(voucher, *lease);
    }
    if (lease->is_reserved()) (void)accuse_late_starters(*lease);
    return is_renter ? close_by_renter(action, *lease)
                     : close_by_provider(sender, *lease, action.disputed());
}

Status MemoryModel::close_by_provider(const PublicKey &sender, Lease &lease, bool disputed) {
    bool changed = false;
    bool incomplete = false;
    for (Leg &leg : lease.legs) {
        if (leg.provider != sender || is_settled(leg)) continue;
        const LegEnd end = end_by_provider(leg, disputed);
        CHAIN_TRY(settle(lease, leg, end));
        incomplete = incomplete || (end == LegEnd::kNotStarted && !leg.free);
        changed = true;
    }
    if (!changed) return conflict("all legs of the sender are settled");
    if (incomplete) void_gang(lease);
    return ok_status();
}

Status MemoryModel::close_by_renter(const wire::CloseLease &action, Lease &lease) {
    if (lease.settled()) return conflict("all is settled");
    if (now_ms_ < lease.begins_at_ms()) {
        if (action.lost_legs_size() > 0)
            return make_error(ErrorCode::kInvalidInput, "lost before it begins");
        for (Leg &leg : lease.legs)
            if (is_open(leg)) CHAIN_TRY(settle(lease, leg, LegEnd::kCancelled));
        return ok_status();
    }
    for (int i = 0; i < action.lost_legs_size(); ++i) {
        const bool rises = i == 0 || action.lost_legs(i) > action.lost_legs(i - 1);
        if (!rises || action.lost_legs(i) >= lease.legs.size())
            return make_error(ErrorCode::kInvalidInput, "not rising numbers of legs");
    }
    for (std::size_t i = 0; i < lease.legs.size(); ++i) {
        Leg &leg = lease.legs[i];
        if (!is_open(leg)) continue;
        start_closing(leg);
        const bool is_named = std::find(action.lost_legs().begin(), action.lost_legs().end(), i) !=
                              action.lost_legs().end();
        leg.accused = is_named && leg.reclaimed_at_ms == 0;
        leg.released = !is_named && lease.is_reserved();
        if (leg.provider == lease.renter) CHAIN_TRY(settle(lease, leg, end_by_silence(leg)));
    }
    return ok_status();
}

bool MemoryModel::accuse_late_starters(Lease &lease) const {
    if (now_ms_ < lease.begins_at_ms() + params().start_window_ms) return false;
    bool incomplete = false;
    for (Leg &leg : lease.legs) {
        if (!is_open(leg) || !was_never_seen(leg) || leg.free) continue;
        leg.accused = true;
        incomplete = true;
    }
    if (incomplete) void_gang(lease);
    return incomplete;
}

Status MemoryModel::expire_lease(const wire::ExpireLease &action) {
    CHAIN_ASSIGN(Lease * lease, find_lease(action.lease_id()));
    bool changed = accuse_late_starters(*lease);
    for (Leg &leg : lease->legs) {
        if (leg.state == LegState::kClosing && now_ms_ >= leg.closes_at_ms) {
            CHAIN_TRY(settle(*lease, leg, end_by_silence(leg)));
        } else if (is_open(leg) && now_ms_ >= lease->expires_at_ms) {
            CHAIN_TRY(settle(*lease, leg, end_by_expiry(leg)));
        } else {
            continue;
        }
        changed = true;
    }
    if (!changed) return conflict("nothing is due");
    return ok_status();
}

Status MemoryModel::rate(const PublicKey &sender, const wire::Rate &action) {
    CHAIN_ASSIGN(Lease * lease, find_lease(action.lease_id()));
    if (sender != lease->renter) return no_part();
    if (action.leg() >= lease->legs.size())
        return make_error(ErrorCode::kInvalidInput, "there is no such leg");
    Leg &leg = lease->legs[action.leg()];
    if (!is_settled(leg)) return conflict("the leg is not settled");
    if (leg.burned == Amount{} || leg.end == LegEnd::kCancelled)
        return make_error(ErrorCode::kPermission, "a word about what was not paid, or not served");
    if (leg.rated) return conflict("the leg is rated");
    if (now_ms_ > leg.settled_at_ms + params().rate_window_ms) return conflict("it is too late");
    incentive::Rating rating;
    rating.left_early = action.left_early();
    switch (action.satisfaction()) {
        case wire::SATISFACTION_UNSPECIFIED: break;
        case wire::SATISFACTION_SATISFIED:
            rating.satisfaction = incentive::Satisfaction::kSatisfied;
            break;
        case wire::SATISFACTION_DISSATISFIED:
            rating.satisfaction = incentive::Satisfaction::kDissatisfied;
            break;
        default: return make_error(ErrorCode::kInvalidInput, "an unknown satisfaction");
    }
    switch (action.audit()) {
        case wire::AUDIT_RESULT_UNSPECIFIED: break;
        case wire::AUDIT_RESULT_PASSED: rating.audit = incentive::Audit::kPassed; break;
        case wire::AUDIT_RESULT_FAULT: rating.audit = incentive::Audit::kFault; break;
        default: return make_error(ErrorCode::kInvalidInput, "an unknown result of an audit");
    }
    if (rating.satisfaction == incentive::Satisfaction::kNone &&
        rating.audit == incentive::Audit::kNone && !rating.left_early)
        return make_error(ErrorCode::kInvalidInput, "the rating says nothing");
    leg.rated = true;
    incentive::Reputation of_provider = reputation(leg.provider, now_ms_);
    incentive::note_rating(of_provider, rating, leg.end, leg.burned, params());
    reputations_[leg.provider] = of_provider;
    return ok_status();
}

}  // namespace chain
