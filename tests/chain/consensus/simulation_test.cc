// SPDX-License-Identifier: BSD-3-Clause
//
// Safety and liveness of finality in random schedules (simulator.h). A failing one is made shorter.
//
// Usage: simulation_test [SCHEDULES]
#include <cstdlib>
#include <iostream>

#include <gtest/gtest.h>

#include "chain/base/log.h"
#include "tests/chain/consensus/simulator.h"

namespace chain::consensus::simulator {
namespace {

std::size_t schedule_count = 1'500;
constexpr std::size_t kSteps = 250;
constexpr std::size_t kBlocksUntilFinalMax = 24;

Options options_of(std::uint64_t seed) {
    Options options;
    options.params.kind = ledger::ConsensusKind::kPoa;
    options.params.epoch_blocks = 1 + seed % 4;
    options.params.vote_depth = seed / 4 % options.params.epoch_blocks;
    switch (seed / 16 % 4) {
        case 0: options.nodes = 4, options.byzantine = 1; break;
        case 1: options.nodes = 7, options.byzantine = 2; break;
        case 2: options.nodes = 5, options.byzantine = 1, options.sets_change = true; break;
        case 3: options.nodes = 4, options.byzantine = 0; break;
    }
    return options;
}

std::string play_all(const Options &options, const std::vector<Step> &steps) {
    World world(options);
    for (const Step &step : steps)
        if (std::string wrong = world.play(step); !wrong.empty()) return wrong;
    return {};
}

std::vector<Step> shortened(const Options &options, std::vector<Step> steps) {
    for (std::size_t size = steps.size() / 2; size > 0; size /= 2) {
        for (std::size_t at = 0; at + size <= steps.size();) {
            std::vector<Step> fewer = steps;
            const auto from = fewer.begin() + static_cast<std::ptrdiff_t>(at);
            fewer.erase(from, from + static_cast<std::ptrdiff_t>(size));
            if (play_all(options, fewer).empty())
                at += size;
            else
                steps = std::move(fewer);
        }
    }
    return steps;
}

std::vector<Step> random_steps(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<Step> steps(kSteps);
    for (Step &step : steps) step = random_step(random);
    return steps;
}

TEST(Finality, NoTwoFinalBlocksExcludeEachOther) {
    const char *const given = std::getenv("SIMULATION_SEED");
    const std::uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
    std::size_t worst = 0, with_final = 0, evidence = 0;
    std::uint64_t highest = 0;
    for (std::uint64_t seed = first; seed < first + schedule_count; ++seed) {
        const Options options = options_of(seed);
        const std::vector<Step> steps = random_steps(seed);
        World world(options);
        std::string wrong;
        for (const Step &step : steps) {
            wrong = world.play(step);
            if (!wrong.empty()) break;
        }
        if (!wrong.empty()) {
            const auto fewer = shortened(options, steps);
            for (const Step &step : fewer)
                std::cerr << "  {" << step.kind << ", " << step.a << "u, " << step.b << "u},\n";
            FAIL() << "seed " << seed << " (" << fewer.size() << " steps): " << wrong;
        }
        with_final += world.final_height() > 0;
        highest = std::max(highest, world.final_height());
        const auto blocks = world.blocks_until_final(kBlocksUntilFinalMax +
                                                     4 * std::size_t{options.params.epoch_blocks});
        ASSERT_TRUE(blocks) << "seed " << seed << ": nothing becomes final any more\n"
                            << world.describe();
        ASSERT_EQ(world.check_agreement(), "") << "seed " << seed;
        worst = std::max(worst, *blocks);
        evidence += world.evidence_count();
    }
    std::cout << schedule_count << " schedules from seed " << first << ": 0 conflicts; "
              << with_final << " made something final while they ran, up to height " << highest
              << "; afterwards at most " << worst << " blocks until something new was final; "
              << evidence << " times evidence\n";
    EXPECT_GT(with_final, schedule_count / 4) << "the schedules test nothing";
    if (first == 1) EXPECT_GT(evidence, 0u);
}

// Where the promise ends: a third of the weight that votes for two branches at once, between honest
// halves that do not hear each other, makes both final. A validator less, and at most one is.
TEST(Finality, HoldsBelowAThirdAndNotAbove) {
    const std::tuple<std::size_t, std::size_t, bool> rows[] = {
        {4, 1, true}, {7, 2, true}, {10, 3, true}, {4, 2, false}, {7, 3, false}, {10, 4, false}};
    for (const auto &[nodes, byzantine, holds] : rows) {
        for (const std::uint32_t epoch_blocks : {1u, 4u}) {
            Options options;
            options.nodes = nodes;
            options.byzantine = byzantine;
            options.params.kind = ledger::ConsensusKind::kPoa;
            options.params.epoch_blocks = epoch_blocks;
            options.params.vote_depth = 0;
            World world(options);
            const std::string wrong = world.split_honest(6 * epoch_blocks);
            EXPECT_EQ(wrong.empty(), holds)
                << nodes << " nodes, " << byzantine << " lie: " << wrong;
            std::cout << byzantine << " of " << nodes << " validators vote for both halves: "
                      << (wrong.empty() ? "at most one half makes anything final" : wrong) << "\n";
            if (!holds) continue;
            EXPECT_TRUE(world.blocks_until_final(kBlocksUntilFinalMax)) << world.describe();
        }
    }
}

}  // namespace
}  // namespace chain::consensus::simulator

int main(int argc, char **argv) {
    testing::InitGoogleTest(&argc, argv);
    chain::set_log_level(chain::LogLevel::kError);  // wrong blocks are what it is about
    if (argc > 1) chain::consensus::simulator::schedule_count = std::strtoull(argv[1], nullptr, 10);
    return RUN_ALL_TESTS();
}
