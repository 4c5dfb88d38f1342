// SPDX-License-Identifier: BSD-3-Clause
//
// Units: money, F x T and time, as integers. No floating point decides who gets what.
//
// F x T (HPIPS white paper, section 6) is counted in processor cycles: 1 GHz·h = 10^9/s x 3600 s.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "chain/base/result.h"

namespace chain {

using Cycles = std::uint64_t;
inline constexpr Cycles kCyclesPerGhzHour = 3'600'000'000'000ULL;

inline constexpr std::int64_t kUnitsPerToken = 1'000'000'000;
inline constexpr std::int64_t kMaxAmountUnits = 4'000'000'000'000'000'000;  // 4e9 tokens
inline constexpr std::uint32_t kPpm = 1'000'000;

// Money in base units, 0 <= units <= kMaxAmountUnits. An Amount is never negative: a difference
// that would be is an error of `subtract`.
struct Amount {
    std::int64_t units = 0;
    friend constexpr auto operator<=>(Amount, Amount) = default;
};

// kInvalidInput when outside 0..kMaxAmountUnits: for numbers that come from outside.
Result<Amount> amount_from_units(std::int64_t units);
// Errors: kTooLarge when the sum leaves the range.
Result<Amount> add(Amount a, Amount b);
// Errors: kInsufficientFunds when b > a.
Result<Amount> subtract(Amount a, Amount b);

// amount x numerator / denominator in 128 bits; the name says where the remainder goes.
// Errors: kTooLarge when the result leaves the range. Precondition: denominator > 0.
Result<Amount> scale_down(Amount amount, std::uint64_t numerator, std::uint64_t denominator);
Result<Amount> scale_up(Amount amount, std::uint64_t numerator, std::uint64_t denominator);

// "0.03" -> 30'000'000 units. Plain decimals only, at most nine places; no sign, exponent or space.
// Errors: kInvalidInput, with the text quoted and the rule that it breaks.
Result<Amount> parse_tokens(std::string_view text);
// Shortest exact decimal: "0.03", "12", "0.000000001".
std::string format_tokens(Amount amount);

// "0.0123" GHz·h, rounded down to `decimals` places (display only).
std::string format_ghz_hours(Cycles cycles, int decimals = 6);

// "0.35" of 357, rounded down (display only).
std::string format_permille(std::uint32_t permille);

// "90", "90s", "15m", "1h", "1h30m" -> milliseconds. Errors: kInvalidInput (empty, sign, > 366 d).
Result<std::uint64_t> parse_duration_ms(std::string_view text);
// "512", "512K", "2G" (powers of 1024) -> bytes. Errors: kInvalidInput.
Result<std::uint64_t> parse_size_bytes(std::string_view text);
// "2.5" GHz -> 2'500'000'000 Hz; at most nine places. Errors: kInvalidInput (0, > 1000 GHz).
Result<std::uint64_t> parse_ghz_as_hz(std::string_view text);
// Decimal digits only, within [minimum, maximum]; `what` names it in the error.
Result<std::uint64_t> parse_integer(std::string_view text, std::uint64_t minimum,
                                    std::uint64_t maximum, std::string_view what);

}  // namespace chain
