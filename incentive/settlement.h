// SPDX-License-Identifier: BSD-3-Clause
//
// Settlement: who gets what of a lease. Pure functions: no clock, socket, file or log.
#pragma once

#include "chain/base/units.h"
#include "incentive/params.h"

namespace incentive {

using chain::Amount;
using chain::Cycles;
using chain::Result;

// What running `cycles` costs at `price_per_ghz_h`: price x cycles / 3.6e12, rounded down: the
// renter is never charged a unit more than was used. Errors: kTooLarge.
// Source: HPIPS white paper, section 7: tokens consumed = bid value x compute consumed.
Result<Amount> payment(Amount price_per_ghz_h, Cycles cycles);

// What must be locked for at most `cycles_max`: the same, rounded up, so that every payment within
// cycles_max fits. Errors: kTooLarge.
Result<Amount> escrow(Amount price_per_ghz_h, Cycles cycles_max);

// The provider's collateral for a leg: escrow x collateral_ppm / 10^6, rounded up.
Result<Amount> collateral(Amount escrow, const Params &params);

// slots x hz x elapsed: no leg can have used more. Saturates at 2^64 - 1.
Cycles cycles_bound(std::uint32_t slot_count, std::uint64_t hz, std::uint64_t elapsed_ms);

struct LegSettlement {
    Amount to_provider;  // payment - burned
    Amount burned;       // payment x burn_ppm / 10^6, rounded up
    Amount refund;       // to the renter: escrow - payment
    Amount collateral;   // back to the provider
    friend bool operator==(const LegSettlement &, const LegSettlement &) = default;
};

// Splits a leg's escrow: to_provider + burned + refund = escrow, to the unit.
// Errors: kInvalidInput when payment > escrow.
Result<LegSettlement> settle_leg(Amount escrow, Amount payment, Amount collateral,
                                 const Params &params);

}  // namespace incentive
