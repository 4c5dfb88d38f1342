// SPDX-License-Identifier: BSD-3-Clause
#include "incentive/settlement.h"

#include <limits>

namespace incentive {

using chain::ErrorCode;
using chain::make_error;

Result<Amount> payment(Amount price_per_ghz_h, Cycles cycles) {
    return chain::scale_down(price_per_ghz_h, cycles, chain::kCyclesPerGhzHour);
}

Result<Amount> escrow(Amount price_per_ghz_h, Cycles cycles_max) {
    return chain::scale_up(price_per_ghz_h, cycles_max, chain::kCyclesPerGhzHour);
}

Result<Amount> collateral(Amount escrow, const Params &params) {
    // Up: the smallest leg still has something to lose.
    return chain::scale_up(escrow, params.collateral_ppm, chain::kPpm);
}

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

Result<LegSettlement> settle_leg(Amount escrow, Amount payment, Amount collateral,
                                 const Params &params) {
    if (payment > escrow)
        return make_error(ErrorCode::kInvalidInput, "a payment of ", chain::format_tokens(payment),
                          " tokens exceeds the escrow of ", chain::format_tokens(escrow));
    LegSettlement settlement;
    // Up, at the provider's cost: no payment, however small, gives reputation for free.
    CHAIN_ASSIGN(settlement.burned, chain::scale_up(payment, params.burn_ppm, chain::kPpm));
    CHAIN_ASSIGN(settlement.to_provider, chain::subtract(payment, settlement.burned));
    CHAIN_ASSIGN(settlement.refund, chain::subtract(escrow, payment));
    settlement.collateral = collateral;
    return settlement;
}

}  // namespace incentive
