// SPDX-License-Identifier: BSD-3-Clause
//
// Split: one amount among those who provided compute, in proportion, to the last unit.
#pragma once

#include <span>
#include <vector>

#include "chain/base/units.h"

namespace incentive {

using chain::Amount;
using chain::Cycles;
using chain::Result;

// parts[i] = total x cycles[i] / sum(cycles), rounded down; what is left over, fewer units than
// there are parts, goes to the largest contributor (the first of equal ones). The parts add up to
// `total`. Nobody gains a unit by appearing as two: parts rounded down add up to no more, and the
// largest does not become larger.
// Errors: kInvalidInput when nobody contributed (no part, or all zero), kTooLarge when the cycles
// add up to 2^64 or more.
// Source: HPIPS white paper, section 7: income of one node = compute it provided / compute consumed
// in all x tokens.
Result<std::vector<Amount>> split(Amount total, std::span<const Cycles> cycles);

}  // namespace incentive
