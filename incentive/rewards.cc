// SPDX-License-Identifier: BSD-3-Clause
#include "incentive/rewards.h"

namespace incentive {

// k = elapsed / halving (down), rest = elapsed - k halving, both in ms.
// pool - pool / 2^k (down) is out after k periods; of the next pool / 2^k - pool / 2^(k+1), an
// integer, rest / halving is out, rounded down: the fraction of a unit comes with a later block.
// After 62 periods pool / 2^k is 0 (kMaxAmountUnits < 2^62): the last unit is out.
Amount emitted(Amount pool, std::uint64_t halving_ms, std::uint64_t elapsed_ms) {
    CHAIN_CHECK(halving_ms > 0 && pool.units >= 0);
    static_assert(chain::kMaxAmountUnits < (std::int64_t{1} << 62));
    const std::uint64_t periods = elapsed_ms / halving_ms;
    if (periods >= 62) return pool;
    const std::int64_t left = pool.units >> periods;
    const std::int64_t left_after = pool.units >> (periods + 1);
    const auto of_this_period = static_cast<unsigned __int128>(left - left_after);
    const auto out = of_this_period * (elapsed_ms % halving_ms) / halving_ms;
    return Amount{pool.units - left + static_cast<std::int64_t>(out)};
}

Amount block_reward(const Params &params, std::uint64_t parent_ms, std::uint64_t block_ms) {
    CHAIN_CHECK(params.reward_pool_units <= static_cast<std::uint64_t>(chain::kMaxAmountUnits));
    if (block_ms <= parent_ms) return Amount{};
    const Amount pool{static_cast<std::int64_t>(params.reward_pool_units)};
    return Amount{emitted(pool, params.reward_halving_ms, block_ms).units -
                  emitted(pool, params.reward_halving_ms, parent_ms).units};
}

}  // namespace incentive
