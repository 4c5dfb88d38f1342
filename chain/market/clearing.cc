// SPDX-License-Identifier: BSD-3-Clause
#include "chain/market/clearing.h"

#include <algorithm>
#include <tuple>

#include "chain/market/placement.h"
#include "incentive/settlement.h"

namespace chain::market {
namespace {

std::string format_ghz(std::uint64_t hz) {
    return format_tokens(Amount{static_cast<std::int64_t>(hz)});  // nine places, like tokens
}

bool is_named(const Offer &offer, const std::vector<std::string> &providers) {
    return std::any_of(providers.begin(), providers.end(), [&](const std::string &name) {
        return name == offer.host || name == to_address(offer.provider);
    });
}

Amount ask_of(const Demand &demand, const Offer &offer) {
    return offer.is_free_for(demand.renter) ? Amount{0} : offer.ask_per_ghz_h;
}

std::vector<std::string> failed_conditions(const Demand &demand, const Offer &offer) {
    std::vector<std::string> reasons;
    if (offer.provider == demand.renter) reasons.push_back("it is your own");
    if (!demand.providers.empty() && !is_named(offer, demand.providers))
        reasons.push_back("not among the providers asked for");
    if (std::find(demand.avoid.begin(), demand.avoid.end(), to_address(offer.provider)) !=
        demand.avoid.end())
        reasons.push_back("was lost in an earlier try of this job");
    if (!demand.region.empty() && offer.region != demand.region)
        reasons.push_back("region \"" + offer.region + "\" is not \"" + demand.region + "\"");
    if (demand.plain_network && !offer.plain_network)
        reasons.push_back("its owner lets no lease into its network (--chain-net plain)");
    if (!demand.plain_network && !offer.lease_network)
        reasons.push_back("can make no network for a lease (--chain-net plain would do without)");
    if (offer.hz < demand.hz_min)
        reasons.push_back(format_ghz(offer.hz) + " GHz is less than " + format_ghz(demand.hz_min));
    if (offer.reclaim_window_ms < demand.notice_ms_min)
        reasons.push_back("leaves " + std::to_string(offer.reclaim_window_ms / 1000) +
                          " s after its owner is back, sooner than " +
                          std::to_string(demand.notice_ms_min / 1000) + " s");
    if (demand.gpus_per_slot > offer.gpus.size())
        reasons.push_back(offer.gpus.empty() ? "lends no GPU" : "has too few free GPUs");
    if (demand.memory_bytes_per_slot > offer.memory_bytes)
        reasons.push_back("not enough memory for one slot");
    if (demand.max_price_per_ghz_h.units > 0 && ask_of(demand, offer) > demand.max_price_per_ghz_h)
        reasons.push_back("asks " + format_tokens(offer.ask_per_ghz_h) + ", more than " +
                          format_tokens(demand.max_price_per_ghz_h));
    return reasons;
}

std::uint32_t usable_slots(const Demand &demand, const Offer &offer,
                           const incentive::Params &params) {
    std::uint64_t slots = std::min(offer.slot_count, params.slots_per_leg_max);
    if (demand.memory_bytes_per_slot > 0)
        slots = std::min(slots, offer.memory_bytes / demand.memory_bytes_per_slot);
    if (demand.gpus_per_slot > 0) slots = std::min(slots, offer.gpus.size() / demand.gpus_per_slot);
    return static_cast<std::uint32_t>(slots);
}

// Fills `wanted` slots from verdicts[first, last), which ask the same: one each in turn.
std::uint32_t share_evenly(std::vector<Verdict> &verdicts, std::size_t first, std::size_t last,
                           const std::vector<std::uint32_t> &usable, std::uint32_t wanted) {
    while (wanted > 0) {
        bool any = false;
        for (std::size_t i = first; i < last && wanted > 0; ++i) {
            if (!verdicts[i].reasons.empty() || verdicts[i].slots_taken >= usable[i]) continue;
            ++verdicts[i].slots_taken;
            --wanted;
            any = true;
        }
        if (!any) break;
    }
    return wanted;
}

// What is locked for `cycles` of it.
Result<Amount> escrow_of(const Award &award, Cycles cycles, Amount price_per_ghz_h) {
    return incentive::escrow(award.price_of(price_per_ghz_h), cycles);
}

Status price_award(Award &award, Cycles cycles_max, Amount price_per_ghz_h) {
    award.cycles_max = cycles_max;
    CHAIN_ASSIGN(award.escrow, escrow_of(award, cycles_max, price_per_ghz_h));
    return ok_status();
}

Status sum_escrow(Clearing &clearing) {
    clearing.escrow = Amount{0};
    for (const Award &award : clearing.awards) {
        CHAIN_ASSIGN(clearing.escrow, add(clearing.escrow, award.escrow));
    }
    return ok_status();
}

Cycles budget_covers_at_least(const Award &award) {
    return incentive::cycles_bound(award.billed_slots(), award.offer.hz, kBudgetCoversAtLeastMs);
}

// Every paid leg's cycles in proportion to `budget`; the least, where that would be less than the
// least.
std::vector<Cycles> cut_cycles(const Clearing &clearing, Amount budget) {
    // Each leg's escrow rounds up by less than one unit: one unit less per leg keeps the sum
    // within.
    const auto legs = static_cast<std::int64_t>(clearing.awards.size());
    const auto spendable =
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, budget.units - legs));
    const auto full = static_cast<std::uint64_t>(clearing.escrow.units);
    std::vector<Cycles> cut;
    std::vector<Cycles> least;
    bool too_little = false;
    for (const Award &award : clearing.awards) {
        const auto part = static_cast<unsigned __int128>(award.cycles_max) * spendable / full;
        cut.push_back(award.is_free ? award.cycles_max : static_cast<Cycles>(part));
        least.push_back(award.is_free ? award.cycles_max : budget_covers_at_least(award));
        too_little = too_little || cut.back() < least.back();
    }
    return too_little ? least : cut;
}

// Cuts the cycles of every leg, so that the escrow fits into the budget.
Status fit_budget(Clearing &clearing, const Demand &demand) {
    if (demand.budget.units == 0 || clearing.escrow <= demand.budget) return ok_status();
    Amount least{0};
    for (const Award &award : clearing.awards) {
        CHAIN_ASSIGN(const Amount part,
                     escrow_of(award, budget_covers_at_least(award), clearing.price_per_ghz_h));
        CHAIN_ASSIGN(least, add(least, part));
    }
    if (demand.budget < least) {
        clearing.failure = "a budget of " + format_tokens(demand.budget) +
                           " tokens is too small: " + std::to_string(demand.slot_count) +
                           " slots at " + format_tokens(clearing.price_per_ghz_h) +
                           " tokens per GHz·h need at least " + format_tokens(least) +
                           " (one minute of all of them)";
        clearing.failure_code = ErrorCode::kBudgetTooSmall;
        return ok_status();
    }
    const std::vector<Cycles> cut = cut_cycles(clearing, demand.budget);
    for (std::size_t i = 0; i < clearing.awards.size(); ++i)
        CHAIN_TRY(price_award(clearing.awards[i], cut[i], clearing.price_per_ghz_h));
    CHAIN_TRY(sum_escrow(clearing));
    CHAIN_CHECK(clearing.escrow <= demand.budget);
    return ok_status();
}

std::string why_nothing(const Demand &demand, const std::vector<Verdict> &verdicts,
                        std::uint32_t missing, std::size_t matching) {
    if (verdicts.empty()) return "nobody offers a slot right now";
    const std::string wanted = std::to_string(demand.slot_count);
    if (matching == 0) {
        constexpr std::size_t kNamedMax = 3;
        std::string text = "none of the " + std::to_string(verdicts.size()) +
                           " offers meets the conditions of the lease";
        for (std::size_t i = 0; i < std::min(verdicts.size(), kNamedMax); ++i)
            text += (i == 0 ? " (" : "; ") + verdicts[i].offer.host + ": " +
                    verdicts[i].reasons.front();
        return text + (verdicts.size() > kNamedMax ? "; …)" : ")");
    }
    return wanted + " slots were asked for and " + std::to_string(demand.slot_count - missing) +
           " match on " + std::to_string(matching) + " peers";
}

}  // namespace

Result<Clearing> clear(const Demand &demand, std::vector<Offer> offers,
                       const incentive::Params &params) {
    const auto place = [&](const Offer &offer) {
        return std::tuple(ask_of(demand, offer), distance_class(offer.round_trip_us),
                          offer.provider);
    };
    std::sort(offers.begin(), offers.end(),
              [&](const Offer &a, const Offer &b) { return place(a) < place(b); });
    Clearing clearing;
    std::vector<std::uint32_t> usable;
    std::size_t matching = 0;
    for (Offer &offer : offers) {
        std::vector<std::string> reasons = failed_conditions(demand, offer);
        matching += reasons.empty();
        usable.push_back(usable_slots(demand, offer, params));
        clearing.verdicts.push_back({std::move(offer), 0, std::move(reasons)});
    }
    std::vector<Verdict> &verdicts = clearing.verdicts;
    std::uint32_t missing = demand.slot_count;
    for (std::size_t first = 0; first < verdicts.size() && missing > 0;) {
        std::size_t last = first;
        while (last < verdicts.size() &&
               ask_of(demand, verdicts[last].offer) == ask_of(demand, verdicts[first].offer))
            ++last;
        missing = share_evenly(verdicts, first, last, usable, missing);
        first = last;
    }
    if (missing > 0) {
        clearing.failure = why_nothing(demand, verdicts, missing, matching);
        return clearing;
    }
    for (const Verdict &verdict : verdicts) {
        if (verdict.slots_taken > 0) {
            clearing.price_per_ghz_h =
                ask_of(demand, verdict.offer);  // cheapest first: ends highest
            clearing.awards.push_back({verdict.offer,
                                       verdict.slots_taken,
                                       0,
                                       {},
                                       verdict.slots_taken * demand.gpus_per_slot,
                                       verdict.offer.is_free_for(demand.renter)});
        } else if (verdict.reasons.empty()) {
            clearing.standbys.push_back(verdict.offer);
        }
    }
    if (clearing.awards.size() > params.legs_max) {
        clearing.failure =
            "the slots are spread over more than " + std::to_string(params.legs_max) + " peers";
        return clearing;
    }
    for (Award &award : clearing.awards) {
        const Cycles all =
            incentive::cycles_bound(award.billed_slots(), award.offer.hz, demand.duration_ms);
        CHAIN_TRY(price_award(award, all, clearing.price_per_ghz_h));
    }
    CHAIN_TRY(sum_escrow(clearing));
    CHAIN_TRY(fit_budget(clearing, demand));
    return clearing;
}

Result<Demand> demand_from_spec(const PublicKey &renter, std::uint32_t slot_count,
                                std::uint64_t memory_bytes_per_slot, std::uint64_t hz_min,
                                std::int64_t max_price_per_ghz_h, std::int64_t budget,
                                std::uint64_t duration_ms, const incentive::Params &params) {
    const std::uint64_t slots_max =
        static_cast<std::uint64_t>(params.legs_max) * params.slots_per_leg_max;
    if (slot_count == 0 || slot_count > slots_max)
        return make_error(ErrorCode::kInvalidInput, "a lease has 1 to ", slots_max, " slots, not ",
                          slot_count);
    if (duration_ms < 1000 || duration_ms > params.lease_duration_max_ms)
        return make_error(ErrorCode::kInvalidInput, "a lease lasts from 1 second to ",
                          params.lease_duration_max_ms / 3'600'000, " hours on this network");
    Demand demand;
    demand.renter = renter;
    demand.slot_count = slot_count;
    demand.memory_bytes_per_slot = memory_bytes_per_slot;
    demand.hz_min = hz_min;
    CHAIN_ASSIGN(demand.max_price_per_ghz_h, amount_from_units(max_price_per_ghz_h));
    CHAIN_ASSIGN(demand.budget, amount_from_units(budget));
    demand.duration_ms = duration_ms;
    return demand;
}

}  // namespace chain::market
