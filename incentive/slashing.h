// SPDX-License-Identifier: BSD-3-Clause
//
// Slashing: which pairs of votes for checkpoints prove that a validator broke its word, and what
// becomes of its stake (Buterin and Griffith 2017, "Casper the Friendly Finality Gadget", 3).
#pragma once

#include "chain/base/bytes.h"
#include "chain/base/units.h"
#include "incentive/params.h"

namespace incentive {

using chain::Amount;
using chain::Bytes32;
using chain::Result;

// A vote for the link from a justified checkpoint to a later one. Precondition of all functions:
// source_height < target_height.
struct CheckpointVote {
    std::uint64_t source_height = 0;
    Bytes32 source{};
    std::uint64_t target_height = 0;
    Bytes32 target{};
    friend bool operator==(const CheckpointVote &, const CheckpointVote &) = default;
};

enum class Offence { kNone, kDoubleVote, kSurroundVote };

// kDoubleVote: two different votes for one target height. kSurroundVote: one link lies strictly
// within the other. The order of the two does not matter.
Offence offence_of(const CheckpointVote &a, const CheckpointVote &b);

struct Slash {
    Amount to_reporter;  // stake x slash_reporter_ppm / 10^6, rounded down
    Amount burned;       // the rest
    friend bool operator==(const Slash &, const Slash &) = default;
};

// All of the stake, bonded and unbonding. to_reporter + burned = stake.
Result<Slash> slash(Amount stake, const Params &params);

}  // namespace incentive
