// SPDX-License-Identifier: BSD-3-Clause
#include "incentive/settlement.h"

#include <algorithm>
#include <limits>

namespace incentive {

using chain::ErrorCode;
using chain::make_error;

// Units of token per 3.6e12 cycles, times cycles: down; the renter keeps the fraction of a unit.
Result<Amount> payment(Amount price_per_ghz_h, Cycles cycles) {
    return chain::scale_down(price_per_ghz_h, cycles, chain::kCyclesPerGhzHour);
}

// The same, up; what it is too much by comes back to the renter as the refund.
Result<Amount> escrow(Amount price_per_ghz_h, Cycles cycles_max) {
    return chain::scale_up(price_per_ghz_h, cycles_max, chain::kCyclesPerGhzHour);
}

// The larger of two sums, each rounded up at the provider's cost (it gets all of it back):
//   escrow x g(q),  g = max - (max - min) q / 2^16,  in ppm
//   price x min(cycles_max, slots x hz x at_risk) / 3.6e12
// The first is one division: g itself is not rounded.
Result<Amount> collateral(const LegTerms &leg, std::uint32_t quality_q16, const Params &params) {
    CHAIN_CHECK(params.collateral_min_ppm <= params.collateral_max_ppm);
    constexpr std::uint64_t kOne = 1U << 16;
    const std::uint64_t quality = std::min<std::uint64_t>(quality_q16, kOne);
    const std::uint64_t fall_ppm = params.collateral_max_ppm - params.collateral_min_ppm;
    // ppm x 2^16: at most 2^48.
    const std::uint64_t g = params.collateral_max_ppm * kOne - fall_ppm * quality;
    CHAIN_ASSIGN(const Amount whole,
                 escrow(leg.price_per_ghz_h, leg.cycles_max));  // units of token
    CHAIN_ASSIGN(const Amount by_quality, chain::scale_up(whole, g, chain::kPpm * kOne));

    const Cycles at_risk = std::min(
        leg.cycles_max, cycles_bound(leg.slot_count, leg.hz_max, params.collateral_at_risk_ms));
    CHAIN_ASSIGN(const Amount floor, escrow(leg.price_per_ghz_h, at_risk));
    return std::max(by_quality, floor);
}

// Up, so that nobody saves by not signing. payment(cycles) and this fit the leg's escrow together:
// floor(a) + ceil(b) <= ceil(a + b).
Result<Amount> unsigned_work(const LegTerms &leg, Cycles cycles, const Params &params) {
    CHAIN_CHECK(cycles <= leg.cycles_max);
    const Cycles most = cycles_bound(leg.slot_count, leg.hz_max, params.unsigned_work_ms);
    return escrow(leg.price_per_ghz_h, std::min(leg.cycles_max - cycles, most));
}

// escrow x deposit_ppm / 10^6, units of token: up; deposit_ppm <= 10^6, so at most the escrow.
Result<Amount> deposit(Amount escrow, const Params &params) {
    CHAIN_CHECK(params.deposit_ppm <= chain::kPpm);
    return chain::scale_up(escrow, params.deposit_ppm, chain::kPpm);
}

// slots x cycles/s x ms / 1000: down.
Cycles cycles_bound(std::uint32_t slot_count, std::uint64_t hz, std::uint64_t elapsed_ms) {
    using Wide = unsigned __int128;
    constexpr Cycles kMost = std::numeric_limits<Cycles>::max();
    const Wide per_second = static_cast<Wide>(slot_count) * hz;  // < 2^96
    const Wide whole = per_second / 1000;
    const Wide rest = per_second % 1000;
    // In two parts, so that 2^96 x 2^64 never has to be held: whole ms-cycles, then the remainder.
    if (elapsed_ms != 0 && whole > kMost / elapsed_ms) return kMost;
    const Wide bound = whole * elapsed_ms + rest * elapsed_ms / 1000;
    return bound > kMost ? kMost : static_cast<Cycles>(bound);
}

namespace {

// What a leg that ended so loses of its collateral, in ppm.
std::uint32_t forfeit_ppm(LegEnd end, const Params &params) {
    switch (end) {
        case LegEnd::kNotStarted: return params.start_forfeit_ppm;
        case LegEnd::kNeverSeen:
        case LegEnd::kLost: return params.lost_forfeit_ppm;
        case LegEnd::kCompleted:
        case LegEnd::kLeft:
        case LegEnd::kReclaimed:
        case LegEnd::kExpired:
        case LegEnd::kVoided:
        case LegEnd::kDisputed:
        case LegEnd::kCancelled:
        case LegEnd::kNoShow: return 0;
        case LegEnd::kRunning: break;
    }
    CHAIN_CHECK(false && "a leg is settled only once it has ended");
    return 0;
}

bool never_ran(LegEnd end) {
    return end == LegEnd::kNotStarted || end == LegEnd::kNeverSeen || end == LegEnd::kVoided;
}

}  // namespace

// paid = max(payment, deposit that is the provider's)
// burned = paid x burn_ppm / 10^6, up; to_provider = paid - burned
// penalty = max(unsigned work, deposit that burns - paid), at most escrow - paid
// refund = escrow - paid - penalty
// forfeit = collateral x ppm of the end / 10^6, up; collateral back = the rest
// Only the two products are rounded, both at the provider's cost; the rest is subtraction, so both
// sums are exact.
Result<LegSettlement> settle_leg(Amount escrow, Amount payment, Amount collateral, LegEnd end,
                                 const Params &params, Amount unsigned_work,
                                 const DueDeposit &due) {
    for (const Amount owed : {payment, due.amount})
        if (owed > escrow)
            return make_error(ErrorCode::kInvalidInput, "a payment of ", chain::format_tokens(owed),
                              " tokens exceeds the escrow of ", chain::format_tokens(escrow));
    const Amount least = never_ran(end) ? Amount{} : due.amount;
    Amount paid = never_ran(end) ? Amount{} : payment;
    if (due.to == DueDeposit::To::kProvider) paid = std::max(paid, least);
    LegSettlement parts;
    // Up, at the provider's cost: no payment, however small, gives reputation for free.
    CHAIN_ASSIGN(parts.burned, chain::scale_up(paid, params.burn_ppm, chain::kPpm));
    CHAIN_ASSIGN(parts.to_provider, chain::subtract(paid, parts.burned));
    CHAIN_ASSIGN(const Amount unused, chain::subtract(escrow, paid));
    if (end == LegEnd::kDisputed) parts.penalty = std::min(unsigned_work, unused);
    // Within the escrow, as the deposit is.
    if (least > paid) {
        CHAIN_ASSIGN(const Amount missing, chain::subtract(least, paid));
        parts.penalty = std::max(parts.penalty, missing);
    }
    CHAIN_ASSIGN(parts.refund, chain::subtract(unused, parts.penalty));
    CHAIN_ASSIGN(parts.forfeit, chain::scale_up(collateral, forfeit_ppm(end, params), chain::kPpm));
    CHAIN_ASSIGN(parts.collateral, chain::subtract(collateral, parts.forfeit));
    return parts;
}

}  // namespace incentive
