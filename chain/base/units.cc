// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/units.h"

namespace chain {
namespace {

using Wide = unsigned __int128;

Result<Amount> scale(Amount amount, std::uint64_t numerator, std::uint64_t denominator,
                     bool round_up) {
    CHAIN_CHECK(denominator > 0 && amount.units >= 0);
    const Wide product = static_cast<Wide>(amount.units) * numerator;
    Wide quotient = product / denominator;
    if (round_up && product % denominator != 0) ++quotient;
    if (quotient > static_cast<Wide>(kMaxAmountUnits))
        return make_error(ErrorCode::kTooLarge, "an amount of money exceeds the ledger's range");
    return Amount{static_cast<std::int64_t>(quotient)};
}

// A plain decimal as an integer count of 10^-9: "0.03" -> 30'000'000.
Result<std::uint64_t> parse_nano_decimal(std::string_view text, std::uint64_t maximum,
                                         std::string_view what) {
    const auto bad = [&](std::string_view why) {
        return make_error(ErrorCode::kInvalidInput, what, " \"", text, "\": ", why);
    };
    if (text.empty()) return bad("is empty; write a number such as 0.03");
    if (text[0] == '-') return bad("must not be negative");
    constexpr int kPlaces = 9;
    Wide whole = 0;
    std::size_t at = 0;
    bool any = false;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, any = true) {
        whole = whole * 10 + static_cast<unsigned>(text[at] - '0');
        if (whole * 1'000'000'000 > maximum) return bad("is too large");
    }
    Wide fraction = 0;
    int places = 0;
    if (at < text.size() && text[at] == '.') {
        for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, any = true) {
            if (++places > kPlaces) return bad("has more than nine decimal places");
            fraction = fraction * 10 + static_cast<unsigned>(text[at] - '0');
        }
    }
    if (!any || at != text.size()) return bad("is not a plain decimal number such as 0.03");
    for (; places < kPlaces; ++places) fraction *= 10;
    const Wide total = whole * 1'000'000'000 + fraction;
    if (total > maximum) return bad("is too large");
    return static_cast<std::uint64_t>(total);
}

std::string trim_decimal(std::string text) {
    while (text.back() == '0') text.pop_back();
    if (text.back() == '.') text.pop_back();
    return text;
}

std::string zero_padded(std::uint64_t number, int width) {
    std::string digits = std::to_string(number);
    return std::string(width > static_cast<int>(digits.size()) ? width - digits.size() : 0, '0') +
           digits;
}

}  // namespace

Result<Amount> amount_from_units(std::int64_t units) {
    if (units < 0 || units > kMaxAmountUnits)
        return make_error(ErrorCode::kInvalidInput, "amount of ", units,
                          " base units is outside 0..", kMaxAmountUnits);
    return Amount{units};
}

Result<Amount> add(Amount a, Amount b) {
    if (a.units > kMaxAmountUnits - b.units)
        return make_error(ErrorCode::kTooLarge, "an amount of money exceeds the ledger's range");
    return Amount{a.units + b.units};
}

Result<Amount> subtract(Amount a, Amount b) {
    if (b > a)
        return make_error(ErrorCode::kInsufficientFunds, format_tokens(b),
                          " tokens are needed and ", format_tokens(a), " are there");
    return Amount{a.units - b.units};
}

Result<Amount> scale_down(Amount amount, std::uint64_t numerator, std::uint64_t denominator) {
    return scale(amount, numerator, denominator, false);
}

Result<Amount> scale_up(Amount amount, std::uint64_t numerator, std::uint64_t denominator) {
    return scale(amount, numerator, denominator, true);
}

Result<Amount> parse_tokens(std::string_view text) {
    CHAIN_ASSIGN(
        const std::uint64_t units,
        parse_nano_decimal(text, static_cast<std::uint64_t>(kMaxAmountUnits), "amount of tokens"));
    return Amount{static_cast<std::int64_t>(units)};
}

std::string format_tokens(Amount amount) {
    return trim_decimal(std::to_string(amount.units / kUnitsPerToken) + "." +
                        zero_padded(static_cast<std::uint64_t>(amount.units % kUnitsPerToken), 9));
}

std::string format_permille(std::uint32_t permille) {
    const std::uint32_t hundredths = permille / 10;
    return std::to_string(hundredths / 100) + "." + std::to_string(hundredths / 10 % 10) +
           std::to_string(hundredths % 10);
}

std::string format_ghz_hours(Cycles cycles, int decimals) {
    std::uint64_t scale = 1;
    for (int i = 0; i < decimals; ++i) scale *= 10;
    const Wide scaled = static_cast<Wide>(cycles) * scale / kCyclesPerGhzHour;
    const std::string whole = std::to_string(static_cast<std::uint64_t>(scaled / scale));
    if (decimals == 0) return whole;
    return whole + "." + zero_padded(static_cast<std::uint64_t>(scaled % scale), decimals);
}

Result<std::uint64_t> parse_integer(std::string_view text, std::uint64_t minimum,
                                    std::uint64_t maximum, std::string_view what) {
    const auto bad = [&] {
        return make_error(ErrorCode::kInvalidInput, what, " \"", text,
                          "\" is not a whole number from ", minimum, " to ", maximum);
    };
    if (text.empty()) return bad();
    Wide number = 0;
    for (const char digit : text) {
        if (digit < '0' || digit > '9') return bad();
        number = number * 10 + static_cast<unsigned>(digit - '0');
        if (number > maximum) return bad();
    }
    if (number < minimum) return bad();
    return static_cast<std::uint64_t>(number);
}

Result<std::uint64_t> parse_duration_ms(std::string_view text) {
    constexpr std::uint64_t kMaxMs = 366ULL * 24 * 3600 * 1000;
    const auto bad = [&] {
        return make_error(ErrorCode::kInvalidInput, "duration \"", text,
                          "\" is not of the form 90s, 15m, 1h or 1h30m (at most 366 days)");
    };
    Wide total_ms = 0;
    std::size_t at = 0;
    if (text.empty()) return bad();
    while (at < text.size()) {
        Wide number = 0;
        const std::size_t start = at;
        for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
            number = number * 10 + static_cast<unsigned>(text[at] - '0');
            if (number > kMaxMs) return bad();
        }
        if (at == start) return bad();
        std::uint64_t unit_ms = 1000;
        if (at < text.size()) {
            switch (text[at++]) {
                case 's': break;
                case 'm': unit_ms = 60'000; break;
                case 'h': unit_ms = 3'600'000; break;
                case 'd': unit_ms = 86'400'000; break;
                default: return bad();
            }
        }
        total_ms += number * unit_ms;
        if (total_ms > kMaxMs) return bad();
    }
    return static_cast<std::uint64_t>(total_ms);
}

Result<std::uint64_t> parse_size_bytes(std::string_view text) {
    const auto bad = [&] {
        return make_error(ErrorCode::kInvalidInput, "size \"", text,
                          "\" is not of the form 512M or 2G (at most 1024T)");
    };
    if (text.empty()) return bad();
    int shift = 0;
    std::string_view digits = text;
    switch (text.back()) {
        case 'K': shift = 10; break;
        case 'M': shift = 20; break;
        case 'G': shift = 30; break;
        case 'T': shift = 40; break;
        default: break;
    }
    if (shift != 0) digits.remove_suffix(1);
    const auto number = parse_integer(digits, 0, (1ULL << 50) >> shift, "size");
    if (!number.ok()) return bad();
    return *number << shift;
}

Result<std::uint64_t> parse_ghz_as_hz(std::string_view text) {
    CHAIN_ASSIGN(const std::uint64_t hz,
                 parse_nano_decimal(text, 1'000'000'000'000ULL, "frequency in GHz"));
    if (hz == 0)
        return make_error(ErrorCode::kInvalidInput, "frequency in GHz \"", text,
                          "\" must be greater than zero");
    return hz;
}

}  // namespace chain
