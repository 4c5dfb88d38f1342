// SPDX-License-Identifier: BSD-3-Clause
//
// Mining: what idle compute earns by mining for an outside pool (white paper, section 7, A8), and
// the price below which lending is worse than mining (A7).
#pragma once

#include <span>
#include <vector>

#include "chain/base/units.h"
#include "incentive/split.h"

namespace incentive {

// Tokens that a mining income buys on the market: income x 10^9 / coin_price, rounded down to a
// unit of token; what is too small to buy a unit stays with who holds the income.
//   income_units    in the coin's own smallest unit (satoshi, wei / 10^9, …)
//   coin_price      units of that coin for one whole token (10^9 units of token); not 0
// Errors: kInvalidInput (price 0), kTooLarge.
// Source: white paper, section 7: HPIPS reward = number of tokens that the mining income buys.
Result<Amount> tokens_bought(std::uint64_t income_units, std::uint64_t coin_price);

// The lowest ask that is not worse than mining: what a GHz·h of mining brought in, rounded up, with
// a margin of `margin_ppm` on top, rounded up. `mined` tokens were bought with the income of
// `cycles` of mining. The burned part of a payment is the provider's cost and is not in the floor
// by itself: the margin has to cover it, 10^6 burn_ppm / (10^6 - burn_ppm) at least (52,632 ppm
// for 5 %). Errors: kInvalidInput (no cycles), kTooLarge.
// Source: white paper, section 7: a bid must be above the price of PoW mining.
Result<Amount> ask_floor_per_ghz_h(Amount mined, Cycles cycles, std::uint32_t margin_ppm);

}  // namespace incentive
