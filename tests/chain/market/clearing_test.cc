// SPDX-License-Identifier: BSD-3-Clause
#include "chain/market/clearing.h"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "incentive/settlement.h"

namespace chain::market {
namespace {

constexpr std::uint64_t kHz = 2'000'000'000;

Offer make_offer(std::uint8_t number, std::uint32_t slots, std::int64_t ask_units) {
    Offer offer;
    offer.provider.fill(number);
    offer.id.fill(number);
    offer.host = "host-" + std::to_string(number);
    offer.slot_count = slots;
    offer.hz = kHz;
    offer.memory_bytes = 8ULL << 30;
    offer.ask_per_ghz_h = Amount{ask_units};
    offer.region = "eu";
    offer.lease_network = true;
    return offer;
}

Demand make_demand(std::uint32_t slots) {
    Demand demand;
    demand.renter.fill(0xee);
    demand.slot_count = slots;
    demand.duration_ms = 3'600'000;
    return demand;
}

std::uint32_t slots_awarded(const Clearing &clearing) {
    std::uint32_t slots = 0;
    for (const Award &award : clearing.awards) slots += award.slot_count;
    return slots;
}

TEST(Clearing, TakesTheCheapestAtOneUniformPrice) {
    const auto clearing =
        clear(make_demand(5), {make_offer(1, 4, 30), make_offer(2, 4, 10), make_offer(3, 4, 20)},
              incentive::Params{});
    ASSERT_TRUE(clearing.ok() && clearing->cleared());
    ASSERT_EQ(clearing->awards.size(), 2u);
    EXPECT_EQ(clearing->awards[0].offer.host, "host-2");
    EXPECT_EQ(clearing->awards[0].slot_count, 4u);
    EXPECT_EQ(clearing->awards[1].offer.host, "host-3");
    EXPECT_EQ(clearing->awards[1].slot_count, 1u);
    EXPECT_EQ(clearing->price_per_ghz_h.units, 20);
    ASSERT_EQ(clearing->standbys.size(), 1u);
    EXPECT_EQ(clearing->standbys[0].host, "host-1");
}

TEST(Clearing, EqualAsksShareTheSlots) {
    const auto clearing =
        clear(make_demand(4), {make_offer(1, 8, 10), make_offer(2, 8, 10), make_offer(3, 1, 10)},
              incentive::Params{});
    ASSERT_TRUE(clearing.ok() && clearing->cleared());
    ASSERT_EQ(clearing->awards.size(), 3u);
    EXPECT_EQ(clearing->awards[0].slot_count, 2u);
    EXPECT_EQ(clearing->awards[1].slot_count, 1u);
    EXPECT_EQ(clearing->awards[2].slot_count, 1u);
}

// Machines of one's own come first, cost nothing, and say nothing about the price of the others.
TEST(Clearing, OwnMachinesAreFreeAndComeFirst) {
    const Demand demand = make_demand(5);
    Offer own = make_offer(9, 2, 50);
    own.free_for = {PublicKey{}, demand.renter};
    const auto clearing =
        clear(demand, {make_offer(1, 2, 10), make_offer(2, 4, 20), own}, incentive::Params{});
    ASSERT_TRUE(clearing.ok() && clearing->cleared());
    ASSERT_EQ(clearing->awards.size(), 3u);
    EXPECT_EQ(clearing->awards[0].offer.host, "host-9");
    EXPECT_TRUE(clearing->awards[0].is_free);
    EXPECT_EQ(clearing->awards[0].slot_count, 2u);
    EXPECT_EQ(clearing->awards[0].escrow.units, 0);
    EXPECT_FALSE(clearing->awards[1].is_free);
    EXPECT_EQ(clearing->price_per_ghz_h.units, 20);
    EXPECT_EQ(clearing->escrow.units,
              clearing->awards[1].escrow.units + clearing->awards[2].escrow.units);
    // For others it has its price.
    Demand other = demand;
    other.renter.fill(0xdd);
    const auto bought =
        clear(other, {make_offer(1, 2, 10), make_offer(2, 4, 20), own}, incentive::Params{});
    ASSERT_TRUE(bought.ok() && bought->cleared());
    EXPECT_EQ(bought->standbys.size(), 1u);
    EXPECT_EQ(bought->standbys[0].host, "host-9");
}

TEST(Clearing, OwnMachinesAloneCostNothing) {
    Demand demand = make_demand(2);
    demand.max_price_per_ghz_h = Amount{1};
    demand.budget = Amount{1};
    Offer own = make_offer(9, 2, 50);
    own.free_for = {demand.renter};
    const auto clearing = clear(demand, {make_offer(1, 2, 10), own}, incentive::Params{});
    ASSERT_TRUE(clearing.ok() && clearing->cleared()) << clearing->failure;
    EXPECT_EQ(clearing->price_per_ghz_h.units, 0);
    EXPECT_EQ(clearing->escrow.units, 0);
    EXPECT_EQ(clearing->awards[0].cycles_max, 2 * kHz * 3600) << "no budget cuts what is free";
}

TEST(Clearing, ABudgetCutsOnlyWhatIsPaid) {
    Demand demand = make_demand(4);
    demand.budget = Amount{1'000'000'000};
    Offer own = make_offer(9, 2, 50);
    own.free_for = {demand.renter};
    const auto clearing =
        clear(demand, {make_offer(1, 2, 1'000'000'000), own}, incentive::Params{});
    ASSERT_TRUE(clearing.ok() && clearing->cleared()) << clearing->failure;
    EXPECT_EQ(clearing->awards[0].cycles_max, 2 * kHz * 3600);
    EXPECT_LT(clearing->awards[1].cycles_max, 2 * kHz * 3600);
    EXPECT_LE(clearing->escrow, demand.budget);
}

TEST(Clearing, OfEqualAsksTheNearerOnesComeFirst) {
    Offer far = make_offer(1, 2, 10), near = make_offer(2, 2, 10), unknown = make_offer(3, 2, 10);
    Offer cheap = make_offer(4, 1, 5);
    far.round_trip_us = 90'000;
    near.round_trip_us = 300;
    cheap.round_trip_us = 900'000;
    const auto clearing = clear(make_demand(3), {far, unknown, near, cheap}, incentive::Params{});
    ASSERT_TRUE(clearing.ok() && clearing->cleared());
    ASSERT_EQ(clearing->awards.size(), 3u);
    EXPECT_EQ(clearing->awards[0].offer.host, "host-4") << "the price comes before the distance";
    EXPECT_EQ(clearing->awards[1].offer.host, "host-2");
    EXPECT_EQ(clearing->awards[2].offer.host, "host-1");
    // What differs by less than a factor of two is noise.
    Offer same = make_offer(5, 2, 10);
    same.round_trip_us = 350;
    near.round_trip_us = 400;
    const auto even = clear(make_demand(1), {same, near}, incentive::Params{});
    ASSERT_TRUE(even.ok() && even->cleared());
    EXPECT_EQ(even->awards[0].offer.host, "host-2");
}

TEST(Clearing, SaysWhyAnOfferDoesNotMatch) {
    Demand demand = make_demand(1);
    demand.hz_min = kHz + 1;
    demand.region = "us";
    demand.max_price_per_ghz_h = Amount{5};
    demand.memory_bytes_per_slot = 16ULL << 30;
    demand.providers = {"host-9"};
    const auto clearing = clear(demand, {make_offer(1, 4, 10)}, incentive::Params{});
    ASSERT_TRUE(clearing.ok());
    EXPECT_FALSE(clearing->cleared());
    EXPECT_EQ(clearing->failure_code, ErrorCode::kNothingMatched);
    ASSERT_EQ(clearing->verdicts.size(), 1u);
    EXPECT_EQ(clearing->verdicts[0].reasons.size(), 5u);
    EXPECT_EQ(clearing->failure,
              "none of the 1 offers meets the conditions of the lease (host-1: not among the "
              "providers asked for)");
}

TEST(Clearing, NobodyOffers) {
    const auto clearing = clear(make_demand(1), {}, incentive::Params{});
    ASSERT_TRUE(clearing.ok());
    EXPECT_EQ(clearing->failure, "nobody offers a slot right now");
}

TEST(Clearing, NeverLeasesFromTheRenterItself) {
    Offer own = make_offer(1, 4, 1);
    own.provider.fill(0xee);
    const auto clearing = clear(make_demand(1), {own}, incentive::Params{});
    ASSERT_TRUE(clearing.ok());
    EXPECT_FALSE(clearing->cleared());
}

TEST(Clearing, MemoryLimitsTheSlotsOfAPeer) {
    Demand demand = make_demand(4);
    demand.memory_bytes_per_slot = 4ULL << 30;  // two slots fit into 8 GiB
    const auto clearing =
        clear(demand, {make_offer(1, 4, 10), make_offer(2, 4, 20)}, incentive::Params{});
    ASSERT_TRUE(clearing.ok() && clearing->cleared());
    EXPECT_EQ(clearing->awards[0].slot_count, 2u);
    EXPECT_EQ(clearing->awards[1].slot_count, 2u);
}

TEST(Clearing, ABudgetIsAHardStop) {
    Demand demand = make_demand(2);
    const std::int64_t price = 1'000'000'000;  // one token per GHz·h: 4 tokens for the hour
    demand.budget = Amount{1'000'000'000};
    const auto clearing = clear(demand, {make_offer(1, 2, price)}, incentive::Params{});
    ASSERT_TRUE(clearing.ok() && clearing->cleared()) << clearing->failure;
    EXPECT_LE(clearing->escrow, demand.budget);
    EXPECT_GE(clearing->escrow.units, demand.budget.units - 2);
    EXPECT_LT(clearing->awards[0].cycles_max, 2 * kHz * 3600);
}

TEST(Clearing, ABudgetForLessThanAMinuteIsTooSmall) {
    Demand demand = make_demand(2);
    demand.budget = Amount{1'000};
    const auto clearing = clear(demand, {make_offer(1, 2, 1'000'000'000)}, incentive::Params{});
    ASSERT_TRUE(clearing.ok());
    EXPECT_EQ(clearing->failure_code, ErrorCode::kBudgetTooSmall);
    EXPECT_NE(clearing->failure.find("0.0666"), std::string::npos) << clearing->failure;
}

TEST(Clearing, ABudgetOfOneUnitPerLegStillBuysAMinute) {
    Demand demand = make_demand(2);
    demand.budget = Amount{2};
    const auto clearing =
        clear(demand, {make_offer(1, 1, 3), make_offer(2, 1, 3)}, incentive::Params{});
    ASSERT_TRUE(clearing.ok() && clearing->cleared()) << clearing->failure;
    EXPECT_EQ(clearing->escrow, demand.budget);
    for (const Award &award : clearing->awards) EXPECT_EQ(award.cycles_max, kHz * 60);
}

// Whatever the book: awards never exceed an offer, sum up to the demand, cost one price that no
// awarded ask exceeds, leave no cheaper slot unused, and do not depend on the order of the book.
TEST(Clearing, HoldsItsPromisesOnRandomBooks) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    for (int round = 0; round < 3'000; ++round) {
        std::vector<Offer> offers;
        for (std::uint32_t i = below(12); i > 0; --i) {
            Offer offer = make_offer(static_cast<std::uint8_t>(i), 1 + below(6), 1 + below(5));
            offer.hz = kHz - below(3);
            offers.push_back(offer);
        }
        Demand demand = make_demand(1 + below(30));
        demand.max_price_per_ghz_h = Amount{static_cast<std::int64_t>(below(6))};
        if (below(3) == 0) demand.budget = Amount{static_cast<std::int64_t>(below(200))};
        const auto clearing = clear(demand, offers, incentive::Params{});
        ASSERT_TRUE(clearing.ok());
        std::shuffle(offers.begin(), offers.end(), random);
        const auto again = clear(demand, offers, incentive::Params{});
        ASSERT_TRUE(again.ok());
        ASSERT_EQ(again->failure, clearing->failure);
        ASSERT_EQ(again->escrow, clearing->escrow);
        if (!clearing->cleared()) continue;
        ASSERT_EQ(slots_awarded(*clearing), demand.slot_count);
        Amount sum{0};
        for (std::size_t i = 0; i < clearing->awards.size(); ++i) {
            const Award &award = clearing->awards[i];
            ASSERT_EQ(award.offer.id, again->awards[i].offer.id);
            ASSERT_EQ(award.slot_count, again->awards[i].slot_count);
            ASSERT_LE(award.slot_count, award.offer.slot_count);
            ASSERT_LE(award.offer.ask_per_ghz_h, clearing->price_per_ghz_h);
            ASSERT_EQ(award.escrow,
                      *incentive::escrow(clearing->price_per_ghz_h, award.cycles_max));
            ASSERT_GE(award.cycles_max, incentive::cycles_bound(award.slot_count, award.offer.hz,
                                                                kBudgetCoversAtLeastMs));
            sum = *add(sum, award.escrow);
        }
        ASSERT_EQ(sum, clearing->escrow);
        if (demand.budget.units > 0) {
            ASSERT_LE(clearing->escrow, demand.budget);
        }
        for (const Verdict &verdict : clearing->verdicts) {
            if (!verdict.reasons.empty() ||
                verdict.offer.ask_per_ghz_h >= clearing->price_per_ghz_h)
                continue;
            ASSERT_EQ(verdict.slots_taken, verdict.offer.slot_count) << "a cheaper slot was left";
        }
    }
}

TEST(Gpus, EqualTheSlotsThatDoAsMuchRoundedUp) {
    const auto slots = [](std::uint32_t units, std::uint64_t hz) {
        const Gpu gpu{"any", 0, units, hz};
        return gpu_slots({&gpu, 1}, kHz);
    };
    EXPECT_EQ(slots(1, 1), 1u);
    EXPECT_EQ(slots(1, kHz), 1u);
    EXPECT_EQ(slots(1, kHz + 1), 2u);
    EXPECT_EQ(slots(132, 1'980'000'000), 131u);
    EXPECT_EQ(slots(kGpuUnitsMax, UINT64_MAX), UINT32_MAX);
    const Gpu two[] = {{"a", 0, 3, kHz / 2}, {"b", 0, 1, 1}};
    EXPECT_EQ(gpu_slots(two, kHz), 3u);
    EXPECT_EQ(gpu_slots({}, kHz), 0u);
}

TEST(Gpus, AreAwardedWithTheirSlotsAndPaidLikeThem) {
    Offer with = make_offer(1, 8, 10);
    with.gpus = {{"one", 1 << 30, 10, kHz}, {"two", 1 << 30, 20, kHz}, {"three", 1 << 30, 5, kHz}};
    Offer without = make_offer(2, 8, 5);
    Demand demand = make_demand(1);
    demand.gpus_per_slot = 2;
    const incentive::Params params;
    const auto clearing = clear(demand, {with, without}, params);
    ASSERT_TRUE(clearing.ok() && clearing->cleared());
    ASSERT_EQ(clearing->awards.size(), 1u);
    const Award &award = clearing->awards[0];
    EXPECT_EQ(award.offer.host, with.host);
    EXPECT_EQ(award.slot_count, 1u);
    EXPECT_EQ(award.gpu_count, 2u);
    EXPECT_EQ(award.billed_slots(), 31u);
    EXPECT_EQ(award.cycles_max, incentive::cycles_bound(31, kHz, demand.duration_ms));
    demand.slot_count = 2;
    const auto too_many = clear(demand, {with, without}, params);
    ASSERT_TRUE(too_many.ok());
    EXPECT_FALSE(too_many->cleared());
}

TEST(Networks, AreWhatBothSidesWant) {
    Offer offer = make_offer(1, 4, 10);
    Demand demand = make_demand(1);
    const incentive::Params params;
    for (const bool plain_wanted : {false, true})
        for (const bool lease : {false, true})
            for (const bool plain : {false, true}) {
                offer.lease_network = lease;
                offer.plain_network = plain;
                demand.plain_network = plain_wanted;
                const auto clearing = clear(demand, {offer}, params);
                ASSERT_TRUE(clearing.ok());
                EXPECT_EQ(clearing->cleared(), plain_wanted ? plain : lease);
            }
}

}  // namespace
}  // namespace chain::market
