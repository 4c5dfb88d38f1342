// SPDX-License-Identifier: BSD-3-Clause
#include "incentive/mining.h"

namespace incentive {

using chain::ErrorCode;
using chain::make_error;

// Units of coin x 10^9 units of token per token / (units of coin per token) = units of token, down.
Result<Amount> tokens_bought(std::uint64_t income_units, std::uint64_t coin_price) {
    if (coin_price == 0)
        return make_error(ErrorCode::kInvalidInput, "a token cannot cost 0 units of a coin");
    constexpr auto kPerToken = static_cast<unsigned __int128>(chain::kUnitsPerToken);
    const unsigned __int128 bought = income_units * kPerToken / coin_price;  // < 2^94
    if (bought > static_cast<unsigned __int128>(chain::kMaxAmountUnits))
        return make_error(ErrorCode::kTooLarge, "an amount of money exceeds the ledger's range");
    return Amount{static_cast<std::int64_t>(bought)};
}

// mined x 3.6e12 / cycles, units of token per GHz·h, up; that x (10^6 + margin) / 10^6, up.
// Both roundings at the renter's cost: an ask rounded down could be worse than mining.
Result<Amount> ask_floor_per_ghz_h(Amount mined, Cycles cycles, std::uint32_t margin_ppm) {
    if (cycles == 0)
        return make_error(ErrorCode::kInvalidInput,
                          "no cycles were mined with, so there is no price of mining");
    CHAIN_ASSIGN(const Amount per_ghz_h, chain::scale_up(mined, chain::kCyclesPerGhzHour, cycles));
    return chain::scale_up(per_ghz_h, std::uint64_t{chain::kPpm} + margin_ppm, chain::kPpm);
}

}  // namespace incentive
