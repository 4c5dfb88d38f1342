// SPDX-License-Identifier: BSD-3-Clause
//
// Reputation: what an account has shown so far, and the resource coefficient made of it (EUB talk:
// PoR; seven inputs). Everything that counts was paid for with burned fees, or proved by work;
// nothing is claimed. Integers only: shares of one in Q16 (65536 = 1), products in 128 bits, every
// division rounded down, so a miner and whoever checks its block compute the same number.
//
// Each factor never falls with a good input and never rises with a bad one, and an identity that is
// cut in two, work and failures alike, has no more weight than before (docs/adr/0010): the ratios
// start from nothing, not from a half.
#pragma once

#include "chain/base/units.h"
#include "incentive/params.h"
#include "incentive/settlement.h"

namespace incentive {

inline constexpr std::uint32_t kQ16 = 1u << 16;

// Sums that fade: halved after 16 steps of Params::decay_step_ms. Fees are in base units of token.
struct Reputation {
    std::uint64_t shares = 0;        // proof-of-work shares: the benchmark, proved (input 1)
    Amount burned_as_provider;       // of payments received: tasks completed (3)
    Amount burned_as_renter;         // of payments made: tasks requested (4)
    Amount done, failed;             // fees of legs that were served, or lost or never started (5)
    Amount on_time, late;            // fees of legs that ran as long as agreed, or did not (5)
    std::uint64_t audit_score = 0;   // in thousandths: a passed audit 1000 (6)
    Amount satisfied, dissatisfied;  // fees of legs by what the renter said (7)
    std::uint64_t step = 0;          // up to which all this has faded
    friend bool operator==(const Reputation &, const Reputation &) = default;
};
// Input 2, tokens held, is the account's stake.

inline constexpr std::uint64_t kAuditScoreMax = 1'000'000'000;  // a million passed audits
inline constexpr std::uint64_t kAuditPoints = 1'000;

// x / 2^(steps / 16), from a table in Q32 for the sixteenths, then a shift; rounded down.
std::uint64_t faded(std::uint64_t value, std::uint64_t steps);
// Everything in it as of `step`. A step that is past already changes nothing.
Reputation faded_to(const Reputation &reputation, std::uint64_t step);

// ---- what happened; all sums saturate at kMaxAmountUnits. Precondition: faded to now.

// A leg of this provider was settled. What went well weighs the fee that it burned; what failed,
// the fee that its whole escrow would have burned (fee_at_stake): one that is lost early has burned
// next to nothing, and would weigh next to nothing.
//   kCompleted                        done, on_time and volume, by `burned`
//   kLeft, kDisputed, kReclaimed, kExpired   volume only, by `burned`: no credit, no blame
//   kCancelled                        the same, of the fee that a paid deposit burned: it costs
//   what
//                                     any volume costs, and nothing was done or kept in time
//   kLost, kNotStarted, kNeverSeen    failed and late, by `at_stake`
//   kVoided, kNoShow                  nothing
// Precondition: end is not kRunning.
void note_leg_as_provider(Reputation &provider, LegEnd end, Amount burned, Amount at_stake);
void note_leg_as_renter(Reputation &renter, Amount burned);
// The fee that the whole escrow would burn, rounded up. Errors: kTooLarge.
Result<Amount> fee_at_stake(Amount escrow, const Params &params);

enum class Satisfaction { kNone, kSatisfied, kDissatisfied };
enum class Audit { kNone, kPassed, kFault };
struct Rating {
    Satisfaction satisfaction = Satisfaction::kNone;
    Audit audit = Audit::kNone;  // what the renter's own verification of results found
    bool left_early = false;     // counts on a leg that its provider left without notice
};
// The renter's word on a settled leg that burned `burned`: weighs as much as it cost. An audit
// counts if burned >= audit_fee_min_units, for and against, so that no verdict is for free: passed,
// it adds kAuditPoints; a fault takes a third of the score, rounded so that the score falls.
void note_rating(Reputation &provider, const Rating &rating, LegEnd end, Amount burned,
                 const Params &params);

// ---- the coefficient

struct Coefficient {
    std::uint32_t volume = 0;        // vol, Q16
    std::uint32_t completion = 0;    // C
    std::uint32_t run_time = 0;      // T
    std::uint32_t verification = 0;  // X, from 2/3 up
    std::uint32_t satisfaction = 0;  // f, 0.9 .. 1.1
    std::uint32_t quality = 0;       // q = min(1, vol C T X f)
    std::uint32_t stake = 0;         // sigma
    std::uint32_t recovery = 0;      // rec
    std::uint32_t multiplier = 0;    // m, kQ16 .. boost_max x kQ16
    friend bool operator==(const Coefficient &, const Coefficient &) = default;
};

// sat(x, half) = x Q / (x + half)
// trust(good, bad, prior) = good Q / (good + bad + prior)
// vol = (40 sat(shares) + 40 sat(burned_as_provider) + 20 sat(burned_as_renter)) / 100
// C = trust(done, failed)      T = trust(on_time, late)
// X = Q - Q / max(score / 3, 3)
// f = 0.9 Q + trust(satisfied, dissatisfied, 4 prior) / 5
// q = min(Q, vol C T X f)
// sigma = min(stake, stake_full) Q / stake_full
// rec = min(1, blocks since the account's own last block / recovery_blocks)
// m = Q + (boost_max - 1) sigma q rec
// Precondition: `reputation` is faded to the step that is asked about.
Coefficient coefficient(const Reputation &reputation, Amount stake, std::uint64_t blocks_since_own,
                        const Params &params);

// m of an account whose q is known.
std::uint32_t multiplier_q16(std::uint32_t quality_q16, Amount stake,
                             std::uint64_t blocks_since_own, const Params &params);

// q alone: what collateral() takes.
std::uint32_t quality_q16(const Reputation &reputation, const Params &params);

}  // namespace incentive
