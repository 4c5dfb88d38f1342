// SPDX-License-Identifier: BSD-3-Clause
//
// Settlement: who gets what of a lease. Pure functions: no clock, socket, file or log.
#pragma once

#include "chain/base/units.h"
#include "incentive/params.h"

namespace incentive {

using chain::Amount;
using chain::Cycles;
using chain::Result;

// What running `cycles` costs at `price_per_ghz_h`: price x cycles / 3.6e12, rounded down: the
// renter is never charged a unit more than was used. Errors: kTooLarge.
// Source: HPIPS white paper, section 7: tokens consumed = bid value x compute consumed.
Result<Amount> payment(Amount price_per_ghz_h, Cycles cycles);

// What must be locked for at most `cycles_max`: the same, rounded up, so that every payment within
// cycles_max fits. Errors: kTooLarge.
Result<Amount> escrow(Amount price_per_ghz_h, Cycles cycles_max);

// slots x hz x elapsed: no leg can have used more. Rounded down; saturates at 2^64 - 1.
Cycles cycles_bound(std::uint32_t slot_count, std::uint64_t hz, std::uint64_t elapsed_ms);

// Of one leg, for collateral().
struct LegTerms {
    Amount price_per_ghz_h;
    std::uint32_t slot_count = 0;
    std::uint64_t hz_max = 0;  // per slot
    Cycles cycles_max = 0;
};

// The least collateral of a leg whose provider has quality `quality_q16` (0 newcomer .. 65536, from
// reputation.h): the larger of
//   escrow x g(q), g falling evenly from collateral_max_ppm to collateral_min_ppm;
//   what the leg earns in collateral_at_risk_ms, or in all if it is shorter.
// Both rounded up: the smallest leg still has something to lose. Never falls with less reputation.
// A quality above 65536 counts as 65536. Precondition: collateral_min_ppm <= collateral_max_ppm.
// Errors: kTooLarge. Source: EUB talk, "gas": a task's collateral rises as PoR falls, and exceeds
// what cheating earns.
Result<Amount> collateral(const LegTerms &leg, std::uint32_t quality_q16, const Params &params);

// How a leg came to its end, and so who keeps what. On the ledger's disk: append only.
enum class LegEnd : std::uint32_t {
    kRunning = 0,     // not settled
    kCompleted = 1,   // the renter agreed: by a final voucher, or by closing
    kLeft = 2,        // its provider closed it without the renter's word
    kReclaimed = 3,   // its provider gave notice: the owner needs the machine
    kLost = 4,        // the renter said so, and the provider did not contradict
    kExpired = 5,     // neither side closed it in time
    kNotStarted = 6,  // its provider said that it does not start
    kNeverSeen = 7,   // it did not report its start in time
    kVoided = 8,      // another leg of its gang did not start
    kDisputed = 9,    // its provider closed it and said that work was not signed for
    // Of reservations only:
    kCancelled = 10,  // its renter gave it up before any work was signed for, and said so
    kNoShow = 11,     // its provider was there, no work was signed for, and its renter did not say
};
inline constexpr std::uint32_t kLegEndCount = 12;

// The most that the renter of a leg may owe without having signed for it, after `cycles` that it
// did sign for: price x min(cycles_max - cycles, slots x hz x unsigned_work_ms) / 3.6e12, rounded
// up, so that what could be saved is never more. Errors: kTooLarge. Precondition: cycles <=
// cycles_max.
Result<Amount> unsigned_work(const LegTerms &leg, Cycles cycles, const Params &params);

// The least that a reserved leg costs a renter who does not come: escrow x deposit_ppm / 10^6,
// rounded up at the renter's cost, so that no reservation is for nothing; never above the escrow.
// Errors: kTooLarge. Precondition: deposit_ppm <= 10^6.
Result<Amount> deposit(Amount escrow, const Params &params);

// A deposit that is due, and whose the part of it is that the payment does not reach. On the
// renter's own word it is the provider's; while the two contradict each other it burns, so that
// neither gains by it.
struct DueDeposit {
    enum class To { kProvider, kBurned };
    Amount amount;
    To to = To::kProvider;
};

struct LegSettlement {
    Amount to_provider;  // payment - burned
    Amount burned;       // payment x burn_ppm / 10^6, rounded up
    Amount refund;       // to the renter: escrow - payment - penalty
    Amount penalty;      // of the renter's, burned: of a dispute, or of a deposit
    Amount collateral;   // back to the provider
    Amount forfeit;      // the rest of the collateral: burned, never the renter's
    friend bool operator==(const LegSettlement &, const LegSettlement &) = default;
};

// Splits a leg's escrow and collateral, to the unit:
//   to_provider + burned + refund + penalty = escrow,  collateral + forfeit = what was put up.
// A leg of a gang that did not start is paid nothing, whatever `payment` and `due` say. The forfeit
// is rounded up, at the provider's cost; it goes to nobody, so nobody gains by making a leg fail.
// Errors: kInvalidInput when payment or deposit > escrow. Precondition: end is not kRunning.
// `unsigned_work` is the penalty if `end` is kDisputed, as far as the escrow has it. The payment is
// at least a due deposit that is the provider's; payment and penalty are at least one that burns.
Result<LegSettlement> settle_leg(Amount escrow, Amount payment, Amount collateral, LegEnd end,
                                 const Params &params, Amount unsigned_work = {},
                                 const DueDeposit &due = {});

}  // namespace incentive
