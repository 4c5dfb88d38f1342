// SPDX-License-Identifier: BSD-3-Clause
//
// How leases start, stop and are settled. One principle decides between two who contradict each
// other: an accusation (lost, never started) opens a window, and who answers in it is not guilty.
#include <algorithm>

#include "chain/ledger/transition.h"
#include "incentive/settlement.h"

namespace chain::ledger {
namespace {

// Neither reported, nor ever paid for.
bool has_not_started(const Leg &leg) {
    return !leg.started && !leg.has_voucher();
}

// ---- reservations: what a leg's end is called, and whether its deposit is due

using DepositTo = incentive::DueDeposit::To;

struct Ending {
    LegEnd end = LegEnd::kRunning;
    std::optional<DepositTo> deposit;  // nullopt: not due
};

// Only for legs that were there for their renter. Its own word gives the deposit to the provider;
// where the two contradict each other, or the renter is silent, it burns: a provider that only says
// that it started earns nothing, and a renter that only stays away saves nothing.
Ending with_deposit(const Lease &lease, const Leg &leg, LegEnd end, const TxContext &context) {
    if (leg.voided || leg.reclaimed_at_ms != 0 || has_not_started(leg)) return {end, {}};
    const bool in_vain = !leg.has_voucher();
    if (end == LegEnd::kCompleted) {
        if (leg.has_final_voucher || leg.released)
            return {in_vain ? LegEnd::kCancelled : end, DepositTo::kProvider};
        return {in_vain ? LegEnd::kNoShow : end, DepositTo::kBurned};
    }
    // For its coming a renter has as long as a provider has for its start.
    const bool may_still_come =
        in_vain && leg.state == LegState::kOpen && end != LegEnd::kExpired &&
        context.time_ms < lease.begins_at_ms() + context.params().start_window_ms;
    if (may_still_come) return {end, {}};
    if (end == LegEnd::kDisputed) return {end, DepositTo::kBurned};
    if (end != LegEnd::kLeft && end != LegEnd::kExpired) return {end, {}};
    if (in_vain) return {LegEnd::kNoShow, DepositTo::kBurned};
    if (leg.accused) return {end, DepositTo::kBurned};
    return {end, {}};
}

Ending ending_of(const Lease &lease, const Leg &leg, LegEnd end, const TxContext &context) {
    if (!lease.is_reserved()) return {end, {}};
    if (end != LegEnd::kCancelled) return with_deposit(lease, leg, end, context);
    const bool in_time =
        context.time_ms + context.params().reservation_notice_ms <= lease.starts_at_ms;
    if (in_time) return {end, {}};
    return {end, DepositTo::kProvider};
}

// ---- settling one leg

// A free leg cost nothing, so it says nothing about anybody.
Status note_reputation(Overlay &state, const Lease &lease, const Leg &leg,
                       const TxContext &context) {
    if (leg.free) return ok_status();
    CHAIN_ASSIGN(const Amount at_stake, incentive::fee_at_stake(leg.escrow, context.params()));
    CHAIN_ASSIGN(incentive::Reputation provider, state.reputation(leg.provider, context.step()));
    incentive::note_leg_as_provider(provider, leg.end, leg.burned, at_stake);
    state.put_reputation(leg.provider, provider);
    CHAIN_ASSIGN(incentive::Reputation renter, state.reputation(lease.renter, context.step()));
    incentive::note_leg_as_renter(renter, leg.burned);
    state.put_reputation(lease.renter, renter);
    return ok_status();
}

Status settle(Overlay &state, Lease &lease, Leg &leg, LegEnd end, const TxContext &context) {
    CHAIN_CHECK(leg.state != LegState::kSettled);
    const Ending ending = ending_of(lease, leg, end, context);
    incentive::DueDeposit due;
    if (ending.deposit) {
        due.to = *ending.deposit;
        CHAIN_ASSIGN(due.amount, incentive::deposit(leg.escrow, context.params()));
    }
    CHAIN_ASSIGN(
        const Amount unsigned_work,
        incentive::unsigned_work({lease.price_of(leg), leg.slot_count, leg.hz_max, leg.cycles_max},
                                 leg.cycles, context.params()));
    CHAIN_ASSIGN(const incentive::LegSettlement parts,
                 incentive::settle_leg(leg.escrow, leg.payment, leg.collateral, ending.end,
                                       context.params(), unsigned_work, due));
    CHAIN_ASSIGN(Account renter, state.account(lease.renter));
    CHAIN_ASSIGN(renter.escrow, subtract(renter.escrow, leg.escrow));
    CHAIN_ASSIGN(renter.balance, add(renter.balance, parts.refund));
    state.put_account(lease.renter, renter);
    CHAIN_ASSIGN(Account provider, state.account(leg.provider));
    CHAIN_ASSIGN(provider.collateral, subtract(provider.collateral, leg.collateral));
    CHAIN_ASSIGN(provider.balance, add(provider.balance, parts.to_provider));
    CHAIN_ASSIGN(provider.balance, add(provider.balance, parts.collateral));
    state.put_account(leg.provider, provider);
    CHAIN_ASSIGN(leg.payment, add(parts.to_provider, parts.burned));
    leg.burned = parts.burned;
    leg.forfeit = parts.forfeit;
    leg.penalty = parts.penalty;
    leg.state = LegState::kSettled;
    leg.end = ending.end;
    leg.settled_at_ms = context.time_ms;
    if (lease.settled()) {
        lease.ended_at_ms = context.time_ms;
        state.remove_raw(expiry_index_key(lease));
    }
    return note_reputation(state, lease, leg, context);
}

void open_window(Leg &leg, const TxContext &context) {
    CHAIN_CHECK(leg.state == LegState::kOpen);
    leg.state = LegState::kClosing;
    leg.closes_at_ms = context.time_ms + context.params().challenge_window_ms;
}

// A gang of which one leg does not start is charged nothing. The others get the window to show
// vouchers: what the renter signed in spite of it, it pays. A free leg does not void it: who has
// nothing to lose by not starting could have all others go unpaid.
void void_gang(Lease &lease, const TxContext &context) {
    for (Leg &leg : lease.legs) {
        if (leg.state != LegState::kOpen) continue;
        leg.voided = true;
        open_window(leg, context);
    }
}

// ---- how a leg ended

// Its provider closes it, now.
LegEnd end_by_provider(const Leg &leg, bool disputed) {
    // Who did not start has done nothing that could have been signed for.
    if (disputed && !has_not_started(leg)) return LegEnd::kDisputed;
    if (leg.has_final_voucher) return LegEnd::kCompleted;
    if (leg.reclaimed_at_ms != 0) return LegEnd::kReclaimed;
    const bool blamed = leg.accused || leg.state == LegState::kOpen;
    if (blamed && has_not_started(leg)) return LegEnd::kNotStarted;
    if (leg.voided) return leg.has_voucher() ? LegEnd::kCompleted : LegEnd::kVoided;
    return blamed ? LegEnd::kLeft : LegEnd::kCompleted;
}

// Its window has passed.
LegEnd end_by_window(const Leg &leg) {
    if (leg.has_final_voucher) return LegEnd::kCompleted;
    if (leg.reclaimed_at_ms != 0) return LegEnd::kReclaimed;
    if (leg.accused) return has_not_started(leg) ? LegEnd::kNeverSeen : LegEnd::kLost;
    if (leg.voided && !leg.has_voucher()) return LegEnd::kVoided;
    return LegEnd::kCompleted;
}

// Nobody has closed it by the lease's expiry.
LegEnd end_by_expiry(const Leg &leg) {
    if (leg.has_final_voucher) return LegEnd::kCompleted;
    return leg.reclaimed_at_ms != 0 ? LegEnd::kReclaimed : LegEnd::kExpired;
}

// ---- closing

Status close_as_provider(Overlay &state, Lease &lease, const PublicKey &provider, bool disputed,
                         const TxContext &context) {
    bool settled_any = false;
    bool one_did_not_start = false;
    for (Leg &leg : lease.legs) {
        if (leg.provider != provider || leg.state == LegState::kSettled) continue;
        const LegEnd end = end_by_provider(leg, disputed);
        CHAIN_TRY(settle(state, lease, leg, end, context));
        settled_any = true;
        one_did_not_start |= end == LegEnd::kNotStarted && !leg.free;
    }
    if (!settled_any)
        return make_error(ErrorCode::kConflict, "your legs of lease ", short_hex(lease.id),
                          " are settled already");
    if (one_did_not_start) void_gang(lease, context);
    return ok_status();
}

// A reservation that is given up before its start. There is nothing to challenge.
Status cancel(Overlay &state, const wire::CloseLease &action, Lease &lease,
              const TxContext &context) {
    if (action.lost_legs_size() > 0) return refused("nobody is lost before the lease begins");
    for (Leg &leg : lease.legs)
        if (leg.state == LegState::kOpen)
            CHAIN_TRY(settle(state, lease, leg, LegEnd::kCancelled, context));
    return ok_status();
}

Status close_as_renter(Overlay &state, const wire::CloseLease &action, Lease &lease,
                       const TxContext &context) {
    if (lease.settled())
        return make_error(ErrorCode::kConflict, "lease ", short_hex(lease.id),
                          " is settled already");
    if (context.time_ms < lease.begins_at_ms()) return cancel(state, action, lease, context);
    int next_lost = 0;
    for (std::size_t i = 0; i < lease.legs.size(); ++i) {
        Leg &leg = lease.legs[i];
        const bool lost = next_lost < action.lost_legs_size() && action.lost_legs(next_lost) == i;
        if (lost) ++next_lost;
        if (leg.state != LegState::kOpen) continue;  // a second close prolongs nothing
        open_window(leg, context);
        leg.accused = lost && leg.reclaimed_at_ms == 0;
        leg.released = lease.is_reserved() && !lost;
        // Nobody else could answer.
        if (leg.provider == lease.renter)
            CHAIN_TRY(settle(state, lease, leg, end_by_window(leg), context));
    }
    if (next_lost != action.lost_legs_size())
        return refused("the lost legs must be legs of the lease, in rising order");
    return ok_status();
}

// ---- what has become due

bool accuse_late_starters(Lease &lease, const TxContext &context) {
    const std::uint64_t window_ms = context.params().start_window_ms;
    if (context.time_ms < lease.begins_at_ms() + window_ms) return false;
    bool any = false;
    for (Leg &leg : lease.legs) {
        if (leg.state != LegState::kOpen || !has_not_started(leg) || leg.free) continue;
        leg.accused = any = true;
    }
    if (any) void_gang(lease, context);
    return any;
}

// The lease, which the sender must be a provider of.
Result<Lease> lease_of_provider(const Overlay &state, const Tx &tx, std::string_view lease_id) {
    CHAIN_ASSIGN(const LeaseId id, to_bytes32(lease_id, "lease id"));
    CHAIN_ASSIGN(Lease lease, state.lease(id));
    const bool has_part = std::any_of(lease.legs.begin(), lease.legs.end(),
                                      [&](const Leg &leg) { return leg.provider == tx.sender; });
    if (!has_part)
        return make_error(ErrorCode::kPermission, to_address(tx.sender),
                          " is no provider of lease ", short_hex(id));
    return lease;
}

}  // namespace

Status report_start(Overlay &state, const Tx &tx, const TxContext &context) {
    const wire::ReportStart &action = tx.body.report_start();
    CHAIN_ASSIGN(Lease lease, lease_of_provider(state, tx, action.lease_id()));
    if (action.started() && context.time_ms < lease.begins_at_ms())
        return make_error(ErrorCode::kConflict, "lease ", short_hex(lease.id), " begins at ",
                          lease.begins_at_ms(), ": no leg of it has started");
    bool changed = false;
    bool voids = false;
    for (Leg &leg : lease.legs) {
        if (leg.provider != tx.sender || leg.state == LegState::kSettled) continue;
        if (action.started()) {
            changed |= !leg.started || leg.accused;
            leg.started = true;
            leg.accused = false;
        } else if (leg.state == LegState::kOpen && has_not_started(leg)) {
            CHAIN_TRY(settle(state, lease, leg, LegEnd::kNotStarted, context));
            changed = true;
            voids |= !leg.free;
        }
    }
    if (!changed)
        return make_error(ErrorCode::kConflict, "your legs of lease ", short_hex(lease.id),
                          action.started() ? " are reported already, or settled"
                                           : " have started, or are closing or settled");
    if (voids) void_gang(lease, context);
    state.put_lease(lease);
    return ok_status();
}

Status reclaim_notice(Overlay &state, const Tx &tx, const TxContext &context) {
    CHAIN_ASSIGN(Lease lease, lease_of_provider(state, tx, tx.body.reclaim_notice().lease_id()));
    bool changed = false;
    for (Leg &leg : lease.legs) {
        if (leg.provider != tx.sender || leg.state != LegState::kOpen || leg.reclaimed_at_ms != 0)
            continue;
        if (has_not_started(leg))
            return make_error(ErrorCode::kConflict, "your leg of lease ", short_hex(lease.id),
                              " has not started: report that it does not, instead");
        leg.reclaimed_at_ms = context.time_ms;
        changed = true;
    }
    if (!changed)
        return make_error(ErrorCode::kConflict, "no leg of yours in lease ", short_hex(lease.id),
                          " is open without a notice");
    state.put_lease(lease);
    return ok_status();
}

Status close_lease(Overlay &state, const Tx &tx, const TxContext &context) {
    const wire::CloseLease &action = tx.body.close_lease();
    CHAIN_ASSIGN(const LeaseId id, to_bytes32(action.lease_id(), "lease id"));
    CHAIN_ASSIGN(Lease lease, state.lease(id));
    const bool is_renter = tx.sender == lease.renter;
    const bool is_provider = std::any_of(lease.legs.begin(), lease.legs.end(),
                                         [&](const Leg &leg) { return leg.provider == tx.sender; });
    if (!is_renter && !is_provider)
        return make_error(ErrorCode::kPermission, to_address(tx.sender), " has no part in lease ",
                          short_hex(id));
    if (!is_renter && action.lost_legs_size() > 0)
        return refused("only the renter says which legs are lost");
    if (is_renter && action.disputed()) return refused("only a provider disputes what was signed");
    CHAIN_TRY(record_vouchers(action, lease, context));
    // Who closes before somebody sends ExpireLease must not make a gang whole that was not.
    if (lease.is_reserved()) (void)accuse_late_starters(lease, context);
    if (is_renter)
        CHAIN_TRY(close_as_renter(state, action, lease, context));
    else
        CHAIN_TRY(close_as_provider(state, lease, tx.sender, action.disputed(), context));
    state.put_lease(lease);
    return ok_status();
}

Status expire_lease(Overlay &state, const Tx &tx, const TxContext &context) {
    CHAIN_ASSIGN(const LeaseId id, to_bytes32(tx.body.expire_lease().lease_id(), "lease id"));
    CHAIN_ASSIGN(Lease lease, state.lease(id));
    bool changed = accuse_late_starters(lease, context);
    for (Leg &leg : lease.legs) {
        if (leg.state == LegState::kClosing && context.time_ms >= leg.closes_at_ms)
            CHAIN_TRY(settle(state, lease, leg, end_by_window(leg), context));
        else if (leg.state == LegState::kOpen && context.time_ms >= lease.expires_at_ms)
            CHAIN_TRY(settle(state, lease, leg, end_by_expiry(leg), context));
        else
            continue;
        changed = true;
    }
    if (!changed)
        return make_error(ErrorCode::kConflict, "no leg of lease ", short_hex(id),
                          " is due to be settled");
    state.put_lease(lease);
    return ok_status();
}

namespace {

Result<incentive::Rating> read_rating(const wire::Rate &action) {
    incentive::Rating rating;
    switch (action.satisfaction()) {
        case wire::SATISFACTION_UNSPECIFIED: break;
        case wire::SATISFACTION_SATISFIED:
            rating.satisfaction = incentive::Satisfaction::kSatisfied;
            break;
        case wire::SATISFACTION_DISSATISFIED:
            rating.satisfaction = incentive::Satisfaction::kDissatisfied;
            break;
        default: return refused("the rating names no known satisfaction");
    }
    switch (action.audit()) {
        case wire::AUDIT_RESULT_UNSPECIFIED: break;
        case wire::AUDIT_RESULT_PASSED: rating.audit = incentive::Audit::kPassed; break;
        case wire::AUDIT_RESULT_FAULT: rating.audit = incentive::Audit::kFault; break;
        default: return refused("the rating names no known result of an audit");
    }
    rating.left_early = action.left_early();
    if (rating.satisfaction == incentive::Satisfaction::kNone &&
        rating.audit == incentive::Audit::kNone && !rating.left_early)
        return refused("the rating says nothing");
    return rating;
}

}  // namespace

Status rate(Overlay &state, const Tx &tx, const TxContext &context) {
    const wire::Rate &action = tx.body.rate();
    CHAIN_ASSIGN(const LeaseId id, to_bytes32(action.lease_id(), "lease id"));
    CHAIN_ASSIGN(Lease lease, state.lease(id));
    if (tx.sender != lease.renter)
        return make_error(ErrorCode::kPermission, "only the renter rates a lease");
    if (action.leg() >= lease.legs.size()) return refused("the lease has no such leg");
    Leg &leg = lease.legs[action.leg()];
    if (leg.state != LegState::kSettled)
        return make_error(ErrorCode::kConflict, "a leg is rated once it is settled");
    if (leg.rated) return make_error(ErrorCode::kConflict, "the leg is rated already");
    if (leg.burned.units == 0 || leg.end == LegEnd::kCancelled)
        return make_error(ErrorCode::kPermission,
                          "the leg was not paid, or cancelled, so its renter has no say");
    if (context.time_ms > leg.settled_at_ms + context.params().rate_window_ms)
        return make_error(ErrorCode::kConflict, "the time to rate the leg has passed");
    CHAIN_ASSIGN(const incentive::Rating rating, read_rating(action));
    CHAIN_ASSIGN(incentive::Reputation provider, state.reputation(leg.provider, context.step()));
    incentive::note_rating(provider, rating, leg.end, leg.burned, context.params());
    state.put_reputation(leg.provider, provider);
    leg.rated = true;
    state.put_lease(lease);
    return ok_status();
}

}  // namespace chain::ledger
