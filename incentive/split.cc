// SPDX-License-Identifier: BSD-3-Clause
#include "incentive/split.h"

#include <limits>

namespace incentive {

// parts[i] = total x cycles[i] / sum, in 128 bits, down; units of token x cycles / cycles.
// The remainder, total - sum of parts, is less than one unit for each part. It goes to the largest
// contributor: whoever cuts itself in two becomes no larger, so it cannot win it by that.
Result<std::vector<Amount>> split(Amount total, std::span<const Cycles> cycles) {
    unsigned __int128 sum = 0;
    std::size_t largest = 0;
    for (std::size_t i = 0; i < cycles.size(); ++i) {
        sum += cycles[i];
        if (cycles[i] > cycles[largest]) largest = i;
    }
    if (sum == 0)
        return chain::make_error(chain::ErrorCode::kInvalidInput,
                                 "nobody contributed any cycles to split ",
                                 chain::format_tokens(total), " tokens among");
    if (sum > std::numeric_limits<Cycles>::max())
        return chain::make_error(chain::ErrorCode::kTooLarge,
                                 "the cycles to split by add up to more than 2^64");
    std::vector<Amount> parts;
    parts.reserve(cycles.size());
    Amount rest = total;
    for (const Cycles part : cycles) {
        CHAIN_ASSIGN(const Amount share, chain::scale_down(total, part, static_cast<Cycles>(sum)));
        CHAIN_ASSIGN(rest, chain::subtract(rest, share));
        parts.push_back(share);
    }
    CHAIN_ASSIGN(parts[largest], chain::add(parts[largest], rest));
    return parts;
}

}  // namespace incentive
