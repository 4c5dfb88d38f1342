// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "chain/ledger/transition.h"
#include "incentive/settlement.h"

namespace chain::ledger {
namespace {

// ---- opening

// A reservation is for a time to come, and locks its money no longer than is allowed.
Status check_start(const wire::OpenLease &action, const TxContext &context) {
    if (action.starts_at_ms() == 0) return ok_status();
    // Block times are below 2^62 and this is below 2^35: the sum fits.
    const std::uint64_t latest = context.time_ms + context.params().reservation_ahead_max_ms;
    if (action.starts_at_ms() > context.time_ms && action.starts_at_ms() <= latest)
        return ok_status();
    return make_error(ErrorCode::kInvalidInput, "a reservation starts after ", context.time_ms,
                      " and by ", latest, ", not at ", action.starts_at_ms());
}

Status check_terms(const wire::OpenLease &action, const TxContext &context) {
    const incentive::Params &params = context.params();
    if (action.legs_size() == 0) return refused("a lease needs at least one leg");
    if (static_cast<std::uint32_t>(action.legs_size()) > params.legs_max)
        return make_error(ErrorCode::kTooLarge, "a lease has at most ", params.legs_max,
                          " legs, not ", action.legs_size());
    if (action.duration_ms() == 0 || action.duration_ms() > params.lease_duration_max_ms)
        return make_error(ErrorCode::kInvalidInput, "a lease runs 1 to ",
                          params.lease_duration_max_ms, " ms, not ", action.duration_ms());
    CHAIN_TRY(check_start(action, context));
    // Times in a genesis file and in blocks are below 2^63, so the sums fit.
    const std::uint64_t begins_at_ms =
        action.starts_at_ms() > 0 ? action.starts_at_ms() : context.time_ms;
    const std::uint64_t earliest = begins_at_ms + action.duration_ms();
    const std::uint64_t latest =
        begins_at_ms + params.lease_duration_max_ms + params.settle_grace_ms;
    if (action.expires_at_ms() < earliest || action.expires_at_ms() > latest)
        return make_error(ErrorCode::kInvalidInput, "the lease's expiry ", action.expires_at_ms(),
                          " is outside ", earliest, "..", latest);
    if (!action.manifest_hash().empty())
        CHAIN_TRY(to_bytes32(action.manifest_hash(), "manifest hash"));
    return ok_status();
}

// The provider signed how much it puts up; its reputation may have changed since, so more is well.
Status check_money(const StateReader &state, const wire::LeaseLeg &in, Amount price, Leg &leg,
                   const TxContext &context) {
    if (leg.free) {
        if (in.escrow() == 0 && in.collateral() == 0) return ok_status();
        return refused("a free leg locks nothing: its escrow and its collateral are 0");
    }
    CHAIN_ASSIGN(leg.escrow, incentive::escrow(price, leg.cycles_max));
    if (in.escrow() != leg.escrow.units)
        return make_error(ErrorCode::kInvalidInput, "the leg's escrow must be ", leg.escrow.units,
                          " units, not ", in.escrow());
    CHAIN_ASSIGN(const incentive::Reputation reputation,
                 state.reputation(leg.provider, context.step()));
    CHAIN_ASSIGN(const Amount least,
                 incentive::collateral({price, leg.slot_count, leg.hz_max, leg.cycles_max},
                                       incentive::quality_q16(reputation, context.params()),
                                       context.params()));
    CHAIN_ASSIGN(leg.collateral, amount_from_units(in.collateral()));
    if (leg.collateral < least)
        return make_error(ErrorCode::kInvalidInput, "the leg's collateral must be at least ",
                          least.units, " units, not ", in.collateral());
    return ok_status();
}

Result<Leg> check_leg(const StateReader &state, const wire::LeaseLeg &in, const Lease &lease,
                      const TxContext &context) {
    const incentive::Params &params = context.params();
    const std::uint64_t duration_ms = lease.duration_ms;
    Leg leg;
    CHAIN_ASSIGN(leg.provider, to_bytes32(in.provider(), "a leg's provider"));
    leg.free = in.free();
    // A lease with oneself would buy volume at the price of the burned part alone, in one record.
    // A free one moves nothing: it is the renter's own machine beside those that it leases.
    if (leg.provider == lease.renter && !leg.free)
        return refused("nobody leases from themselves, but for a free leg");
    leg.slot_count = in.slot_count();
    if (leg.slot_count == 0 || leg.slot_count > params.slots_per_leg_max)
        return make_error(ErrorCode::kInvalidInput, "a leg has 1 to ", params.slots_per_leg_max,
                          " slots, not ", leg.slot_count);
    leg.hz_max = in.hz_max();
    if (leg.hz_max == 0 || leg.hz_max > kHzMax)
        return make_error(ErrorCode::kInvalidInput, "a slot runs at 1 to ", kHzMax, " Hz, not ",
                          leg.hz_max);
    leg.cycles_max = in.cycles_max();
    const Cycles bound = incentive::cycles_bound(leg.slot_count, leg.hz_max, duration_ms);
    if (leg.cycles_max == 0 || leg.cycles_max > bound)
        return make_error(ErrorCode::kInvalidInput, "a leg of ", leg.slot_count, " slots at ",
                          leg.hz_max, " Hz has 1 to ", bound, " cycles in ", duration_ms,
                          " ms, not ", leg.cycles_max);
    if (!in.offer_id().empty()) CHAIN_TRY(to_bytes32(in.offer_id(), "offer id"));
    CHAIN_TRY(check_money(state, in, lease.price_per_ghz_h, leg, context));
    return leg;
}

// Moves `amount` from the balance to what is locked.
Status lock(Overlay &state, const PublicKey &who, Amount amount, Amount Account::*locked) {
    CHAIN_ASSIGN(Account account, state.account(who));
    const auto left = subtract(account.balance, amount);
    if (!left.ok())
        return make_error(ErrorCode::kInsufficientFunds, to_address(who), " has ",
                          format_tokens(account.balance), " tokens and the lease locks ",
                          format_tokens(amount));
    account.balance = *left;
    CHAIN_ASSIGN(account.*locked, add(account.*locked, amount));
    state.put_account(who, account);
    return ok_status();
}

// ---- vouchers

// More cycles are higher: whatever numbers the renter wrote on its vouchers, the one that pays most
// is a promise that it signed, and no later and lower one takes that back.
bool is_higher(const wire::VoucherBody &voucher, const Leg &leg) {
    if (!leg.has_voucher() || voucher.cycles() > leg.cycles) return true;
    return voucher.cycles() == leg.cycles && voucher.sequence() > leg.voucher_sequence;
}

// Everything but its place in the order.
Status check_voucher(const wire::VoucherBody &voucher, const Lease &lease, const Leg &leg,
                     const TxContext &context) {
    if (voucher.sequence() == 0) return refused("vouchers are numbered from 1");
    if (voucher.cycles() > leg.cycles_max)
        return make_error(ErrorCode::kInvalidInput, "the voucher's ", voucher.cycles(),
                          " cycles exceed the leg's ", leg.cycles_max);
    if (context.time_ms < lease.begins_at_ms())
        return make_error(ErrorCode::kInvalidInput, "a voucher of a lease that begins at ",
                          lease.begins_at_ms(), " only");
    // A bound that nobody can talk away, even if the two sides agree.
    const Cycles possible =
        incentive::cycles_bound(leg.slot_count, leg.hz_max, context.time_ms - lease.begins_at_ms());
    if (voucher.cycles() > possible)
        return make_error(ErrorCode::kInvalidInput, "the voucher's ", voucher.cycles(),
                          " cycles exceed what ", leg.slot_count, " slots can have done by now, ",
                          possible);
    if (voucher.waited_cycles() > voucher.cycles())
        return refused("the voucher's waited cycles exceed its cycles");
    if (voucher.meter_class() == wire::METER_CLASS_UNSPECIFIED ||
        !wire::MeterClass_IsValid(voucher.meter_class()))
        return refused("the voucher names no known class of meter");
    CHAIN_ASSIGN(const Amount due, incentive::payment(lease.price_of(leg), voucher.cycles()));
    if (voucher.amount() != due.units)
        return make_error(ErrorCode::kInvalidInput, "the voucher's amount must be ", due.units,
                          " units, not ", voucher.amount());
    CHAIN_CHECK(due <= leg.escrow);  // follows from cycles <= cycles_max
    return ok_status();
}

void record_voucher(const wire::VoucherBody &voucher, Leg &leg) {
    leg.voucher_sequence = voucher.sequence();
    leg.cycles = voucher.cycles();
    leg.waited_cycles = voucher.waited_cycles();
    leg.meter_class = voucher.meter_class();
    leg.has_final_voucher |= voucher.final();
    leg.payment = Amount{voucher.amount()};
}

Result<Leg *> leg_of(Lease &lease, std::uint32_t number) {
    if (number >= lease.legs.size())
        return make_error(ErrorCode::kInvalidInput, "lease ", short_hex(lease.id), " has ",
                          lease.legs.size(), " legs; there is no leg ", number);
    return &lease.legs[number];
}

}  // namespace

Status record_vouchers(const wire::CloseLease &action, Lease &lease, const TxContext &context) {
    if (static_cast<std::size_t>(action.vouchers_size()) > lease.legs.size())
        return make_error(ErrorCode::kTooLarge, "closing takes at most one voucher per leg");
    for (const auto &signed_voucher : action.vouchers()) {
        CHAIN_ASSIGN(const Voucher voucher,
                     decode_voucher(signed_voucher, lease.renter, context.signatures));
        if (voucher.lease_id != lease.id) return refused("a voucher is for another lease");
        CHAIN_ASSIGN(Leg *const leg, leg_of(lease, voucher.body.leg()));
        CHAIN_TRY(check_voucher(voucher.body, lease, *leg, context));
        if (leg->state == LegState::kSettled) continue;
        if (is_higher(voucher.body, *leg)) record_voucher(voucher.body, *leg);
    }
    return ok_status();
}

Status open_lease(Overlay &state, const Tx &tx, const TxContext &context) {
    const wire::OpenLease &action = tx.body.open_lease();
    CHAIN_TRY(check_terms(action, context));
    Lease lease;
    lease.id = tx.id;
    lease.renter = tx.sender;
    CHAIN_ASSIGN(lease.price_per_ghz_h, amount_from_units(action.price_per_ghz_h()));
    lease.opened_at_ms = context.time_ms;
    lease.starts_at_ms = action.starts_at_ms();
    lease.duration_ms = action.duration_ms();
    lease.expires_at_ms = action.expires_at_ms();
    for (const wire::LeaseLeg &in : action.legs()) {
        CHAIN_ASSIGN(const Leg leg, check_leg(state, in, lease, context));
        if (std::find(tx.signers.begin(), tx.signers.end(), leg.provider) == tx.signers.end())
            return make_error(ErrorCode::kBadSignature, "provider ", to_address(leg.provider),
                              " has not signed the lease");
        CHAIN_TRY(lock(state, lease.renter, leg.escrow, &Account::escrow));
        CHAIN_TRY(lock(state, leg.provider, leg.collateral, &Account::collateral));
        state.put_raw(lease_index_key(leg.provider, context.height, context.tx_index),
                      to_bytes(lease.id));
        lease.legs.push_back(leg);
    }
    state.put_raw(lease_index_key(lease.renter, context.height, context.tx_index),
                  to_bytes(lease.id));
    state.put_raw(expiry_index_key(lease), to_bytes(lease.id));
    state.put_lease(lease);
    return ok_status();
}

Status claim_voucher(Overlay &state, const Tx &tx, const TxContext &context) {
    const wire::SignedVoucher &signed_voucher = tx.body.claim_voucher().voucher();
    wire::VoucherBody peek;  // only to learn which lease, and so whose signature to ask for
    if (!peek.ParseFromString(signed_voucher.body()))
        return make_error(ErrorCode::kProtocol, "the voucher is malformed");
    CHAIN_ASSIGN(const LeaseId id, to_bytes32(peek.lease_id(), "a voucher's lease id"));
    CHAIN_ASSIGN(Lease lease, state.lease(id));
    CHAIN_ASSIGN(const Voucher voucher,
                 decode_voucher(signed_voucher, lease.renter, context.signatures));
    CHAIN_ASSIGN(Leg *const leg, leg_of(lease, voucher.body.leg()));
    if (leg->state == LegState::kSettled)
        return make_error(ErrorCode::kConflict, "leg ", voucher.body.leg(), " of lease ",
                          short_hex(id), " is settled already");
    CHAIN_TRY(check_voucher(voucher.body, lease, *leg, context));
    if (!is_higher(voucher.body, *leg))
        return make_error(ErrorCode::kConflict, "voucher ", leg->voucher_sequence, " of ",
                          leg->cycles, " cycles is recorded already; voucher ",
                          voucher.body.sequence(), " of ", voucher.body.cycles(), " is not higher");
    record_voucher(voucher.body, *leg);
    if (tx.sender == leg->provider) leg->accused = false;  // who answers is not lost
    state.put_lease(lease);
    return ok_status();
}

}  // namespace chain::ledger
