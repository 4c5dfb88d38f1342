// SPDX-License-Identifier: BSD-3-Clause
#include "incentive/reputation.h"

#include <algorithm>
#include <array>

namespace incentive {
namespace {

using Wide = unsigned __int128;

// 2^(-i / 16) in Q32, rounded down: the largest t with t^16 <= 2^(512 - i), which is the square
// root, four times over and rounded down each time, of 2^(512 - i).
constexpr std::array<std::uint64_t, 16> kSixteenths = {
    0x100000000, 0xf5257d15, 0xeac0c6e7, 0xe0ccdeec, 0xd744fcca, 0xce248c15,
    0xc5672a11,  0xbd08a39f, 0xb504f333, 0xad583eea, 0xa5fed6a9, 0x9ef53260,
    0x9837f051,  0x91c3d373, 0x8b95c1e3, 0x85aac367};

Amount faded(Amount value, std::uint64_t steps) {
    return Amount{static_cast<std::int64_t>(
        incentive::faded(static_cast<std::uint64_t>(value.units), steps))};
}

// Saturates: whoever is at the top of the range has all the reputation that there is.
void add_to(Amount &sum, Amount more) {
    sum.units = more.units > chain::kMaxAmountUnits - sum.units ? chain::kMaxAmountUnits
                                                                : sum.units + more.units;
}

std::uint64_t units(Amount amount) {
    return static_cast<std::uint64_t>(amount.units);
}

// part x Q / whole, down; nothing of nothing is 0. Precondition: part <= whole.
std::uint32_t share_q16(Wide part, Wide whole) {
    return whole == 0 ? 0 : static_cast<std::uint32_t>(part * kQ16 / whole);
}

std::uint32_t sat(std::uint64_t x, std::uint64_t half) {
    return share_q16(x, static_cast<Wide>(x) + half);
}

std::uint32_t trust(Amount good, Amount bad, Wide prior) {
    return share_q16(units(good), prior + units(good) + units(bad));
}

// vol, C, T, X and f, and q of them: all that does not depend on stake and time.
Coefficient of_record(const Reputation &r, const Params &params) {
    Coefficient c;
    c.volume = (40 * sat(r.shares, params.shares_half) +
                40 * sat(units(r.burned_as_provider), params.volume_half_units) +
                20 * sat(units(r.burned_as_renter), params.volume_half_units)) /
               100;
    c.completion = trust(r.done, r.failed, params.prior_units);
    c.run_time = trust(r.on_time, r.late, params.prior_units);
    // The score is in thousandths, so score / 3 is score / 3000, and 3 is 9000 / 3000.
    c.verification =
        kQ16 - static_cast<std::uint32_t>(std::uint64_t{kQ16} * 3 * kAuditPoints /
                                          std::max<std::uint64_t>(r.audit_score, 9 * kAuditPoints));
    const Wide prior = static_cast<Wide>(params.prior_units) * 4;
    c.satisfaction = kQ16 * 9 / 10 + trust(r.satisfied, r.dissatisfied, prior) / 5;
    // Five shares in Q16 are a product in Q80, below 2^81; one division, by 2^64.
    const Wide product =
        static_cast<Wide>(c.volume) * c.completion * c.run_time * c.verification * c.satisfaction;
    c.quality = static_cast<std::uint32_t>(std::min<Wide>(product >> 64, kQ16));
    return c;
}

}  // namespace

// value x 2^(-steps % 16 / 16) in Q32, then / 2^32 and / 2^(steps / 16) as one shift, down: the
// fraction of a unit fades too. 64-bit x 33-bit fits 128.
std::uint64_t faded(std::uint64_t value, std::uint64_t steps) {
    const std::uint64_t halvings = steps / 16;
    if (halvings >= 64) return 0;
    return static_cast<std::uint64_t>(static_cast<Wide>(value) * kSixteenths[steps % 16] >>
                                      (32 + halvings));
}

Reputation faded_to(const Reputation &reputation, std::uint64_t step) {
    if (step <= reputation.step) return reputation;
    const std::uint64_t steps = step - reputation.step;
    Reputation r = reputation;
    r.shares = faded(r.shares, steps);
    r.audit_score = faded(r.audit_score, steps);
    for (Amount *sum : {&r.burned_as_provider, &r.burned_as_renter, &r.done, &r.failed, &r.on_time,
                        &r.late, &r.satisfied, &r.dissatisfied})
        *sum = faded(*sum, steps);
    r.step = step;
    return r;
}

void note_leg_as_provider(Reputation &provider, LegEnd end, Amount burned, Amount at_stake) {
    switch (end) {
        case LegEnd::kCompleted:
            add_to(provider.done, burned);
            add_to(provider.on_time, burned);
            add_to(provider.burned_as_provider, burned);
            return;
        case LegEnd::kLeft:
        case LegEnd::kDisputed:
        case LegEnd::kReclaimed:
        case LegEnd::kExpired:
        case LegEnd::kCancelled: add_to(provider.burned_as_provider, burned); return;
        case LegEnd::kLost:
        case LegEnd::kNotStarted:
        case LegEnd::kNeverSeen:
            add_to(provider.failed, at_stake);
            add_to(provider.late, at_stake);
            return;
        case LegEnd::kNoShow:
        case LegEnd::kVoided: return;
        case LegEnd::kRunning: break;
    }
    CHAIN_CHECK(false && "a leg counts only once it has ended");
}

void note_leg_as_renter(Reputation &renter, Amount burned) {
    add_to(renter.burned_as_renter, burned);
}

// escrow x burn_ppm / 10^6, units of token, up: at the provider's cost, as the burned part is.
Result<Amount> fee_at_stake(Amount escrow, const Params &params) {
    return chain::scale_up(escrow, params.burn_ppm, chain::kPpm);
}

void note_rating(Reputation &provider, const Rating &rating, LegEnd end, Amount burned,
                 const Params &params) {
    switch (rating.satisfaction) {
        case Satisfaction::kNone: break;
        case Satisfaction::kSatisfied: add_to(provider.satisfied, burned); break;
        case Satisfaction::kDissatisfied: add_to(provider.dissatisfied, burned); break;
    }
    if (rating.left_early && end == LegEnd::kLeft) add_to(provider.late, burned);

    if (units(burned) < params.audit_fee_min_units) return;
    std::uint64_t &score = provider.audit_score;  // thousandths
    switch (rating.audit) {
        case Audit::kNone: break;
        case Audit::kPassed: score = std::min(score + kAuditPoints, kAuditScoreMax); break;
        case Audit::kFault: score -= (score + 2) / 3; break;  // a third, up: 1 becomes 0
    }
}

// sigma = min(stake, full) Q / full; rec = min(Q, blocks Q / recovery_blocks); each down.
// m = Q + (boost_max - 1) sigma q rec: a product in Q48, divided by 2^32 at once, down.
static void boost(Coefficient &c, Amount stake, std::uint64_t blocks_since_own,
                  const Params &params) {
    CHAIN_CHECK(params.stake_full_units > 0 && params.boost_max > 0);
    const std::uint64_t counted = std::min(units(stake), params.stake_full_units);
    c.stake = share_q16(counted, params.stake_full_units);
    c.recovery = blocks_since_own >= params.recovery_blocks
                     ? kQ16
                     : share_q16(blocks_since_own, params.recovery_blocks);
    const Wide boost = static_cast<Wide>(params.boost_max - 1) * c.stake * c.quality * c.recovery;
    c.multiplier = kQ16 + static_cast<std::uint32_t>(boost >> 32);
}

Coefficient coefficient(const Reputation &reputation, Amount stake, std::uint64_t blocks_since_own,
                        const Params &params) {
    Coefficient c = of_record(reputation, params);
    boost(c, stake, blocks_since_own, params);
    return c;
}

std::uint32_t multiplier_q16(std::uint32_t quality_q16, Amount stake,
                             std::uint64_t blocks_since_own, const Params &params) {
    Coefficient c;
    c.quality = quality_q16;
    boost(c, stake, blocks_since_own, params);
    return c.multiplier;
}

std::uint32_t quality_q16(const Reputation &reputation, const Params &params) {
    return of_record(reputation, params).quality;
}

}  // namespace incentive
