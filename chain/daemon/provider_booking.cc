// SPDX-License-Identifier: BSD-3-Clause
//
// ProviderAgent: leases for a time to come: what of this machine is free when, and how a reserved
// leg begins (docs/reservations.md).
#include <algorithm>

#include "chain/base/log.h"
#include "chain/daemon/provider_agent.h"
#include "incentive/settlement.h"

namespace chain::daemon {
namespace {

constexpr Cycles kBookingCoversShare = 10;

}  // namespace

market::Timetable ProviderAgent::promised() const {
    market::Timetable timetable;
    const std::uint64_t now_ms = node_.clock.unix_ms();
    for (const auto &[key, leg] : legs_) {
        if (!leg->holds_slots()) continue;
        const LegTerms &terms = leg->terms();
        const std::uint64_t until_ms =
            terms.ends_at_ms > 0 ? terms.ends_at_ms : terms.expires_at_ms;
        timetable.add({0, std::max(until_ms, now_ms + 1)}, {terms.slot_count, terms.memory_bytes});
    }
    bookings_.add_to(timetable);
    return timetable;
}

std::uint32_t ProviderAgent::free_slots() const {
    const std::uint64_t now_ms = node_.clock.unix_ms();
    const std::uint64_t taken = promised().peak({now_ms, now_ms + kOfferedAheadMs}).slots;
    return taken < options_.slot_count ? options_.slot_count - static_cast<std::uint32_t>(taken)
                                       : 0;
}

// Slots, memory and GPUs for all of `period`.
Status ProviderAgent::check_room(const market::Period &period, const LegTerms &terms) const {
    const market::Load capacity{options_.slot_count, options_.memory_bytes};
    const auto conflict =
        promised().first_conflict(period, {terms.slot_count, terms.memory_bytes}, capacity);
    if (conflict)
        return make_error(ErrorCode::kRefused, "too few slots are free for all of that time: what ",
                          "is left is reserved from ", format_utc(*conflict), " on");
    for (const std::size_t index : terms.gpus)
        if (bookings_.has_gpu(gpus_->all()[index].uuid, period))
            return make_error(ErrorCode::kRefused, "a GPU is reserved in that time");
    return ok_status();
}

// The owner may sit there now: the rules of the owner's are looked at when the time has come.
Result<LegTerms> ProviderAgent::check_booking(const LegKey &key, const Proposal &proposal,
                                              const wire::Propose &propose) const {
    const wire::OpenLease &open = proposal.open;
    const incentive::Params &params = node_.backend.params();
    if (options_.slot_count == 0 || hz_ == 0 || !policy_)
        return make_error(ErrorCode::kRefused, "this machine lends nothing");
    const std::uint64_t now_ms = node_.backend.chain_time_ms();
    if (open.starts_at_ms() <= now_ms ||
        open.starts_at_ms() > now_ms + params.reservation_ahead_max_ms)
        return make_error(ErrorCode::kRefused,
                          "that start is not a time for which one can reserve");
    if (open.duration_ms() == 0 || open.duration_ms() > params.lease_duration_max_ms)
        return make_error(ErrorCode::kRefused, "no lease lasts so long");
    CHAIN_TRY(bookings_.check_limits(proposal.renter));
    LegTerms terms;
    CHAIN_TRY(take_gpus(propose.gpu_count(), proposal.leg.slot_count(), terms));
    if (terms.slot_count == 0 || terms.slot_count > options_.slot_count)
        return make_error(ErrorCode::kRefused, "only ", options_.slot_count, " slots are lent");
    for (const auto &[other, leg] : legs_)
        if (other.lease == key.lease) return make_error(ErrorCode::kConflict, "it runs already");
    CHAIN_TRY(agree_on_money(proposal, terms));
    // The deposit follows from what the lease may cost: for next to nothing nobody may keep others
    // from this machine.
    const Cycles whole =
        incentive::cycles_bound(terms.billed_slots, terms.hz_max, open.duration_ms());
    if (!proposal.leg.free() && terms.cycles_max < whole / kBookingCoversShare)
        return make_error(ErrorCode::kRefused, "a reservation has to pay for a ",
                          kBookingCoversShare,
                          "th of what its slots can do at least: take a larger budget, or a "
                          "shorter time");
    CHAIN_TRY(check_room({open.starts_at_ms(), open.starts_at_ms() + open.duration_ms()}, terms));
    return terms;
}

wire::BookingRecord ProviderAgent::make_booking(const PublicKey &peer, const Proposal &proposal,
                                                const LegTerms &terms) const {
    wire::BookingRecord record;
    record.set_starts_at_ms(proposal.open.starts_at_ms());
    record.set_duration_ms(proposal.open.duration_ms());
    record.set_slot_count(terms.slot_count);
    record.set_billed_slots(terms.billed_slots);
    record.set_memory_bytes(terms.memory_bytes);
    for (const std::size_t index : terms.gpus) record.add_gpus(gpus_->all()[index].uuid);
    record.set_renter(to_bytes(proposal.renter));
    record.set_renter_node(to_bytes(peer));
    record.set_agreed_at_ms(node_.clock.unix_ms());
    return record;
}

// Those that were reserved, wherever they are in the machine now.
Status ProviderAgent::find_gpus(const wire::BookingRecord &booking, LegTerms &terms) const {
    const std::vector<std::size_t> free = free_gpus();
    for (const std::string &uuid : booking.gpus()) {
        const auto found = std::find_if(free.begin(), free.end(), [&](std::size_t index) {
            return gpus_->all()[index].uuid == uuid;
        });
        if (found == free.end())
            return make_error(ErrorCode::kConflict, "a GPU that was reserved is still in use");
        terms.gpus.push_back(*found);
    }
    return ok_status();
}

// kRefused: it will not begin here. kConflict: not now, but the renter may ask again.
Result<LegTerms> ProviderAgent::check_begin(const PublicKey &peer, const LegKey &key,
                                            const wire::Propose &propose) const {
    const wire::BookingRecord *const booking = bookings_.find(key);
    if (booking == nullptr)
        return make_error(ErrorCode::kRefused, "nothing is reserved here under that number");
    if (booking->begun()) return make_error(ErrorCode::kRefused, "it has begun already");
    const auto lease = node_.backend.lease(key.lease);
    if (!lease.ok() || !booking->funded())
        return make_error(ErrorCode::kConflict, "the reservation is not on the ledger here yet");
    const ledger::Leg &leg = lease->legs[key.leg];
    if (leg.state != ledger::LegState::kOpen)
        return make_error(ErrorCode::kRefused, "the reservation is over");
    CHAIN_ASSIGN(const SignatureBytes signature,
                 to_bytes64(propose.renter_signature(), "renter's signature"));
    if (!verify(sign_tag::kBegin, begin_bytes(key, peer, propose.manifest_hash()), lease->renter,
                signature))
        return make_error(ErrorCode::kBadSignature, "that is not the renter who reserved it");
    const std::uint64_t now_ms = node_.backend.chain_time_ms();
    const std::uint64_t ends_at_ms = lease->starts_at_ms + lease->duration_ms;
    if (now_ms < lease->starts_at_ms)
        return make_error(ErrorCode::kConflict, "its time has not come");
    if (now_ms >= ends_at_ms) return make_error(ErrorCode::kRefused, "its time is over");
    if (hz_ == 0) return make_error(ErrorCode::kConflict, "this machine has just started");
    if (slots_leased() + booking->slot_count() > options_.slot_count && slots_leased() > 0)
        return make_error(ErrorCode::kConflict, "the lease before it has not ended yet");
    if (booking->slot_count() > options_.slot_count)
        return make_error(ErrorCode::kRefused, "this machine lends fewer slots now");
    CHAIN_TRY(check_place());
    LegTerms terms;
    CHAIN_TRY(find_gpus(*booking, terms));
    terms.renter = lease->renter;
    terms.price_per_ghz_h = lease->price_of(leg);
    terms.slot_count = booking->slot_count();
    terms.billed_slots = booking->billed_slots();
    terms.hz_max = leg.hz_max;
    terms.cycles_max = leg.cycles_max;
    terms.duration_ms = lease->duration_ms;
    terms.expires_at_ms = lease->expires_at_ms;
    terms.ends_at_ms = ends_at_ms;
    terms.memory_bytes = booking->memory_bytes();
    terms.host = options_.host;
    terms.begins_at = options_.begins_at;
    CHAIN_TRY(join_network(key, propose, lease->legs.size(), terms));
    CHAIN_ASSIGN(terms.manifest_hash, to_bytes32(propose.manifest_hash(), "manifest hash"));
    return terms;
}

Status ProviderAgent::begin_booking(const PublicKey &peer, const LegKey &key,
                                    const wire::Propose &propose) {
    auto terms = check_begin(peer, key, propose);
    if (!terms.ok()) {
        // Its owner comes first: to say so costs less than silence, and the renter need not wait.
        const bool cannot = !is_open() || (bookings_.find(key) != nullptr &&
                                           bookings_.find(key)->slot_count() > options_.slot_count);
        if (terms.error().code == ErrorCode::kRefused && cannot && bookings_.awaits_renter(key))
            bookings_.give_up(key);
        return terms.error();
    }
    CHAIN_TRY(bookings_.begin(key));
    log(LogLevel::kNote, "provider", "reservation ", short_hex(key.lease),
        " begins: ", terms->slot_count, " slots");
    add_leg(peer, key, std::move(*terms)).on_new_block();
    return ok_status();
}

}  // namespace chain::daemon
