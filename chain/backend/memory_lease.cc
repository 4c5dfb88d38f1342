// SPDX-License-Identifier: BSD-3-Clause
//
// MemoryModel: opening a lease, and its vouchers.
#include <algorithm>

#include "chain/backend/memory_model.h"
#include "chain/wire/frame.h"

namespace chain {
namespace {

using ledger::Lease;
using ledger::Leg;
using ledger::LegState;
using ledger::Voucher;

Error invalid_lease(std::string_view why) {
    return make_error(ErrorCode::kInvalidInput, why);
}

// The most that the renter ever signed is what pays.
bool is_higher(const Voucher &voucher, const Leg &leg) {
    if (!leg.has_voucher()) return true;
    if (voucher.body.cycles() != leg.cycles) return voucher.body.cycles() > leg.cycles;
    return voucher.body.sequence() > leg.voucher_sequence;
}

}  // namespace

Result<Lease *> MemoryModel::find_lease(std::string_view id_bytes) {
    CHAIN_ASSIGN(const ledger::LeaseId id, to_bytes32(id_bytes, "lease id"));
    const auto found = leases_.find(id);
    if (found == leases_.end()) return make_error(ErrorCode::kNotFound, "there is no such lease");
    return &found->second.lease;
}

// Everything about a leg but for whether its parties can pay.
Result<Leg> MemoryModel::checked_leg(const wire::LeaseLeg &asked, const Lease &lease) const {
    Leg leg;
    CHAIN_ASSIGN(leg.provider, to_bytes32(asked.provider(), "a leg's provider"));
    leg.slot_count = asked.slot_count();
    leg.hz_max = asked.hz_max();
    leg.cycles_max = asked.cycles_max();
    leg.free = asked.free();
    if (leg.provider == lease.renter && !leg.free) return invalid_lease("a lease with oneself");
    if (leg.slot_count == 0 || leg.slot_count > params().slots_per_leg_max)
        return invalid_lease("no slots, or too many");
    if (leg.hz_max == 0 || leg.hz_max > ledger::kHzMax)
        return invalid_lease("no hertz, or too many");
    if (leg.cycles_max == 0 ||
        leg.cycles_max > incentive::cycles_bound(leg.slot_count, leg.hz_max, lease.duration_ms))
        return invalid_lease("no cycles, or more than the slots can use in the duration");
    if (!asked.offer_id().empty()) CHAIN_TRY(to_bytes32(asked.offer_id(), "offer id"));
    if (leg.free) {
        if (asked.escrow() != 0 || asked.collateral() != 0)
            return invalid_lease("a free leg locks money");
        return leg;
    }
    CHAIN_ASSIGN(leg.escrow, incentive::escrow(lease.price_per_ghz_h, leg.cycles_max));
    if (asked.escrow() != leg.escrow.units) return invalid_lease("the escrow is not the formula's");
    const incentive::LegTerms terms{lease.price_per_ghz_h, leg.slot_count, leg.hz_max,
                                    leg.cycles_max};
    const std::uint32_t quality =
        incentive::quality_q16(reputation(leg.provider, now_ms_), params());
    CHAIN_ASSIGN(const Amount least, incentive::collateral(terms, quality, params()));
    CHAIN_ASSIGN(leg.collateral, amount_from_units(asked.collateral()));
    if (leg.collateral < least) return invalid_lease("the collateral is too low");
    return leg;
}

Status MemoryModel::open_lease(const ledger::Tx &tx) {
    const wire::OpenLease &action = tx.body.open_lease();
    if (action.legs().empty()) return invalid_lease("a lease without legs");
    if (static_cast<std::uint32_t>(action.legs_size()) > params().legs_max)
        return make_error(ErrorCode::kTooLarge, "too many legs");
    Lease lease;
    lease.id = tx.id;
    lease.renter = tx.sender;
    lease.opened_at_ms = now_ms_;
    lease.starts_at_ms = action.starts_at_ms();
    lease.duration_ms = action.duration_ms();
    lease.expires_at_ms = action.expires_at_ms();
    if (lease.duration_ms == 0 || lease.duration_ms > params().lease_duration_max_ms)
        return invalid_lease("it takes no time, or too much");
    if (lease.is_reserved() && (lease.starts_at_ms <= now_ms_ ||
                                lease.starts_at_ms - now_ms_ > params().reservation_ahead_max_ms))
        return invalid_lease("it does not start later, or too late");
    const std::uint64_t start_ms = lease.begins_at_ms();
    const std::uint64_t latest =
        start_ms + params().lease_duration_max_ms + params().settle_grace_ms;
    if (lease.expires_at_ms < start_ms + lease.duration_ms || lease.expires_at_ms > latest)
        return invalid_lease("it expires too early or too late");
    if (!action.manifest_hash().empty())
        CHAIN_TRY(to_bytes32(action.manifest_hash(), "manifest hash"));
    CHAIN_ASSIGN(lease.price_per_ghz_h, amount_from_units(action.price_per_ghz_h()));
    for (const wire::LeaseLeg &asked : action.legs()) {
        CHAIN_ASSIGN(const Leg leg, checked_leg(asked, lease));
        if (std::find(tx.signers.begin(), tx.signers.end(), leg.provider) == tx.signers.end())
            return make_error(ErrorCode::kBadSignature, "a provider has not signed");
        lease.legs.push_back(leg);
        ledger::Account &renter = accounts_[lease.renter];
        CHAIN_TRY(move_out(renter.balance, leg.escrow));
        CHAIN_TRY(move_in(renter.escrow, leg.escrow));
        ledger::Account &provider = accounts_[leg.provider];
        CHAIN_TRY(move_out(provider.balance, leg.collateral));
        CHAIN_TRY(move_in(provider.collateral, leg.collateral));
    }
    leases_[lease.id] = {lease, height_};
    return ok_status();
}

// Everything about a voucher but for whether it is higher. Its signature was verified.
Status MemoryModel::check_voucher(const Voucher &voucher, const Lease &lease) const {
    const wire::VoucherBody &body = voucher.body;
    if (voucher.lease_id != lease.id) return invalid_lease("another lease's voucher");
    if (body.leg() >= lease.legs.size()) return invalid_lease("a voucher for no leg");
    const Leg &leg = lease.legs[body.leg()];
    if (body.sequence() == 0) return invalid_lease("vouchers are numbered from 1");
    if (body.cycles() > leg.cycles_max) return invalid_lease("more cycles than agreed");
    if (now_ms_ < lease.begins_at_ms()) return invalid_lease("a voucher before the start");
    const std::uint64_t elapsed_ms = now_ms_ - lease.begins_at_ms();
    if (body.cycles() > incentive::cycles_bound(leg.slot_count, leg.hz_max, elapsed_ms))
        return invalid_lease("more cycles than the slots can have used");
    if (body.waited_cycles() > body.cycles()) return invalid_lease("waited longer than it ran");
    if (body.meter_class() != wire::METER_CLASS_HW &&
        body.meter_class() != wire::METER_CLASS_SAMPLED &&
        body.meter_class() != wire::METER_CLASS_CALIBRATED)
        return invalid_lease("an unknown class of meter");
    const Amount price = leg.free ? Amount{} : lease.price_per_ghz_h;
    CHAIN_ASSIGN(const Amount due, incentive::payment(price, body.cycles()));
    if (body.amount() != due.units) return invalid_lease("the amount is not that of the cycles");
    return ok_status();
}

bool MemoryModel::record_if_higher(const Voucher &voucher, Lease &lease) {
    Leg &leg = lease.legs[voucher.body.leg()];
    if (leg.state == LegState::kSettled || !is_higher(voucher, leg)) return false;
    leg.voucher_sequence = voucher.body.sequence();
    leg.has_final_voucher = leg.has_final_voucher || voucher.body.final();
    leg.cycles = voucher.body.cycles();
    leg.waited_cycles = voucher.body.waited_cycles();
    leg.meter_class = voucher.body.meter_class();
    leg.payment = Amount{voucher.body.amount()};
    return true;
}

Status MemoryModel::claim_voucher(const PublicKey &sender, const wire::ClaimVoucher &action) {
    // The voucher names the lease, and the lease who must have signed the voucher.
    wire::VoucherBody body;
    if (!body.ParseFromString(action.voucher().body()))
        return make_error(ErrorCode::kProtocol, "not a voucher");
    CHAIN_ASSIGN(Lease * lease, find_lease(body.lease_id()));
    CHAIN_ASSIGN(const Voucher voucher,
                 ledger::decode_voucher(action.voucher(), lease->renter, signatures_));
    if (voucher.body.leg() >= lease->legs.size()) return invalid_lease("a voucher for no leg");
    Leg &leg = lease->legs[voucher.body.leg()];
    if (leg.state == LegState::kSettled)
        return make_error(ErrorCode::kConflict, "the leg is settled");
    CHAIN_TRY(check_voucher(voucher, *lease));
    if (!record_if_higher(voucher, *lease))
        return make_error(ErrorCode::kConflict, "the leg's voucher is higher");
    // Who works cannot be gone.
    if (sender == leg.provider) leg.accused = false;
    return ok_status();
}

}  // namespace chain
