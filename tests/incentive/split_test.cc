// SPDX-License-Identifier: BSD-3-Clause
#include "incentive/split.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include "tests/incentive/property.h"

namespace incentive {
namespace {

using test::Draw;
using test::for_all;
using test::say;

constexpr Cycles kMostCycles = std::numeric_limits<Cycles>::max();

std::vector<std::int64_t> units_of(const std::vector<Amount> &parts) {
    std::vector<std::int64_t> units;
    for (const Amount part : parts) units.push_back(part.units);
    return units;
}

TEST(Split, Table) {
    const struct {
        std::int64_t total;
        std::vector<Cycles> cycles;
        std::vector<std::int64_t> parts;
    } cases[] = {
        {100, {1}, {100}},
        {100, {1, 1}, {50, 50}},
        {100, {1, 1, 1}, {34, 33, 33}},  // of equal ones, the first gets the remainder
        {100, {1, 2, 3}, {16, 33, 51}},
        {100, {0, 3, 0}, {0, 100, 0}},
        {1, {1, 1, 1}, {1, 0, 0}},
        {0, {1, 2}, {0, 0}},
        {10, {3, 3, 3, 3}, {4, 2, 2, 2}},
        {chain::kMaxAmountUnits, {1, kMostCycles - 1}, {0, chain::kMaxAmountUnits}},
        {chain::kMaxAmountUnits, {kMostCycles}, {chain::kMaxAmountUnits}},
    };
    for (const auto &c : cases) {
        const auto parts = split(Amount{c.total}, c.cycles);
        ASSERT_TRUE(parts.ok());
        EXPECT_EQ(units_of(*parts), c.parts);
    }
}

TEST(Split, NobodyAndTooManyCyclesAreErrors) {
    const std::vector<Cycles> nobody[] = {{}, {0}, {0, 0, 0}};
    for (const auto &cycles : nobody) {
        const auto parts = split(Amount{100}, cycles);
        ASSERT_FALSE(parts.ok());
        EXPECT_EQ(parts.error().code, chain::ErrorCode::kInvalidInput);
    }
    const std::vector<Cycles> over[] = {{kMostCycles, 1}, std::vector<Cycles>(9, kMostCycles)};
    for (const auto &cycles : over) {
        const auto parts = split(Amount{100}, cycles);
        ASSERT_FALSE(parts.ok());
        EXPECT_EQ(parts.error().code, chain::ErrorCode::kTooLarge);
    }
}

// 1 to 40 contributors, one of them with at least one cycle.
std::vector<Cycles> drawn_cycles(Draw &draw) {
    std::vector<Cycles> cycles(1 + draw.up_to(39));
    for (Cycles &c : cycles) c = draw.sized(kMostCycles / 64);
    cycles[draw.up_to(cycles.size() - 1)] += 1;
    return cycles;
}

std::string figures(Amount total, const std::vector<Cycles> &cycles) {
    std::string text = say("total", total.units, "cycles");
    for (const Cycles c : cycles) text += say(c);
    return text;
}

TEST(Split, AddsUpAndEachPartIsWithinAUnitOfItsShare) {
    for_all(50'000, [](Draw &draw) -> std::string {
        const Amount total{static_cast<std::int64_t>(draw.sized(chain::kMaxAmountUnits))};
        const std::vector<Cycles> cycles = drawn_cycles(draw);
        const auto parts = *split(total, cycles);
        unsigned __int128 sum_cycles = 0;
        for (const Cycles c : cycles) sum_cycles += c;
        const std::size_t largest = std::max_element(cycles.begin(), cycles.end()) - cycles.begin();
        std::int64_t sum = 0;
        for (std::size_t i = 0; i < parts.size(); ++i) {
            sum += parts[i].units;
            const auto ideal = static_cast<unsigned __int128>(total.units) * cycles[i];
            const auto got = static_cast<unsigned __int128>(parts[i].units) * sum_cycles;
            const std::size_t most_over = i == largest ? parts.size() - 1 : 0;
            if (got + sum_cycles <= ideal)
                return say("part", i, "is a unit or more short:", figures(total, cycles));
            if (got > ideal + sum_cycles * most_over)
                return say("part", i, "is too large:", figures(total, cycles));
        }
        return sum == total.units ? "" : say("adds up to", sum, figures(total, cycles));
    });
}

// Whatever the order, each gets the same, but for the remainder between equal largest ones.
TEST(Split, DoesNotDependOnTheOrder) {
    for_all(50'000, [](Draw &draw) -> std::string {
        const Amount total{static_cast<std::int64_t>(draw.sized(chain::kMaxAmountUnits))};
        const std::vector<Cycles> cycles = drawn_cycles(draw);
        std::vector<std::size_t> order(cycles.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        for (std::size_t i = order.size(); i > 1; --i)
            std::swap(order[i - 1], order[draw.up_to(i - 1)]);
        std::vector<Cycles> moved;
        for (const std::size_t i : order) moved.push_back(cycles[i]);
        const auto parts = units_of(*split(total, cycles));
        const auto moved_parts = units_of(*split(total, moved));
        const Cycles most = *std::max_element(cycles.begin(), cycles.end());
        for (std::size_t i = 0; i < order.size(); ++i)
            if (moved[i] != most && moved_parts[i] != parts[order[i]])
                return say("contributor", order[i], "moved to", i, figures(total, cycles));
        auto a = parts, b = moved_parts;
        std::sort(a.begin(), a.end());
        std::sort(b.begin(), b.end());
        return a == b ? "" : say("the parts differ:", figures(total, cycles));
    });
}

// Nobody gets a unit more by appearing as two, in whichever later place the second half stands.
TEST(Split, AppearingAsTwoGainsNothing) {
    for_all(50'000, [](Draw &draw) -> std::string {
        const Amount total{static_cast<std::int64_t>(draw.sized(chain::kMaxAmountUnits))};
        const std::vector<Cycles> cycles = drawn_cycles(draw);
        const std::size_t who = draw.up_to(cycles.size() - 1);
        const Cycles second = draw.up_to(cycles[who]);
        const std::size_t where = who + 1 + draw.up_to(cycles.size() - who - 1);
        std::vector<Cycles> cut = cycles;
        cut[who] -= second;
        cut.insert(cut.begin() + static_cast<std::ptrdiff_t>(where), second);
        const auto whole = *split(total, cycles);
        const auto halves = *split(total, cut);
        if (halves[who].units + halves[where].units <= whole[who].units) return "";
        return say(who, "gains by being cut at", second, figures(total, cycles));
    });
}

}  // namespace
}  // namespace incentive
