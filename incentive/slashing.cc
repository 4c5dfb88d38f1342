// SPDX-License-Identifier: BSD-3-Clause
#include "incentive/slashing.h"

namespace incentive {
namespace {

bool within(const CheckpointVote &inner, const CheckpointVote &outer) {
    return outer.source_height < inner.source_height && inner.target_height < outer.target_height;
}

}  // namespace

Offence offence_of(const CheckpointVote &a, const CheckpointVote &b) {
    if (a == b) return Offence::kNone;  // the same vote, said twice
    if (a.target_height == b.target_height) return Offence::kDoubleVote;
    if (within(a, b) || within(b, a)) return Offence::kSurroundVote;
    return Offence::kNone;
}

// stake x slash_reporter_ppm / 10^6, units of token, down; the remainder burns with the rest.
Result<Slash> slash(Amount stake, const Params &params) {
    Slash parts;
    CHAIN_ASSIGN(parts.to_reporter,
                 chain::scale_down(stake, params.slash_reporter_ppm, chain::kPpm));
    CHAIN_ASSIGN(parts.burned, chain::subtract(stake, parts.to_reporter));
    return parts;
}

}  // namespace incentive
