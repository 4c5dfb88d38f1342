// SPDX-License-Identifier: BSD-3-Clause
//
// Rewards: how the pool that the genesis sets aside reaches those who seal blocks. A function of
// time alone: how many blocks there are, and who seals them, changes nothing about the supply.
#pragma once

#include "chain/base/units.h"
#include "incentive/params.h"

namespace incentive {

using chain::Amount;
using chain::Result;

// What of `pool` has been paid out `elapsed_ms` after the genesis:
//   after k whole periods       pool - floor(pool / 2^k)
//   within period k, evenly     + (floor(pool / 2^k) - floor(pool / 2^(k+1))) x rest / halving_ms,
// rounded down. Never falls, and reaches `pool` exactly: no unit is left over or made.
// Precondition: halving_ms > 0.
Amount emitted(Amount pool, std::uint64_t halving_ms, std::uint64_t elapsed_ms);

// The sealer's part of a block whose parent is of `parent_ms` and which is of `block_ms`, both
// counted from the genesis: emitted(block) - emitted(parent). As differences of one function the
// rewards of all blocks add up without a rounding error. 0 when the time does not advance.
Amount block_reward(const Params &params, std::uint64_t parent_ms, std::uint64_t block_ms);

}  // namespace incentive
