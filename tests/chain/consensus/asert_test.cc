// SPDX-License-Identifier: BSD-3-Clause
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "tests/chain/consensus/targets.h"

namespace chain::consensus {
namespace {

constexpr std::uint64_t kMost = ~std::uint64_t{0};
constexpr std::uint64_t kStart = 1'700'000'000'000;

// Ten seconds; half-life 30 blocks.
AsertParams usual_params() {
    return {power_of_two(240), 10'000, 300'000, power_of_two(252)};
}

// The target after 1000 blocks, so much later than planned.
Target late_by(std::int64_t ms) {
    const AsertParams params = usual_params();
    return asert(params, kStart,
                 kStart + 1'000 * params.spacing_ms + static_cast<std::uint64_t>(ms), 1'000);
}

TEST(Asert, DoublesWithEachHalfLifeWithinItsLimits) {
    const std::int64_t half_life = 300'000;
    EXPECT_EQ(asert(usual_params(), kStart, kStart, 0), power_of_two(240));
    EXPECT_EQ(late_by(0), power_of_two(240));
    EXPECT_EQ(late_by(half_life), power_of_two(241));
    EXPECT_EQ(late_by(-half_life), power_of_two(239));
    EXPECT_EQ(late_by(12 * half_life), power_of_two(252));
    EXPECT_EQ(late_by(13 * half_life), power_of_two(252));
    EXPECT_EQ(late_by(1'000'000 * half_life), power_of_two(252));
    // Blocks that all have the anchor's time: 990 spacings are 33 half-lives.
    EXPECT_EQ(asert(usual_params(), kStart, kStart, 990), power_of_two(207));
    EXPECT_EQ(asert(usual_params(), kStart, kStart, 30 * 240), kHardestTarget);
    EXPECT_EQ(asert(usual_params(), kStart, kStart, 30 * 241), kHardestTarget);
    EXPECT_EQ(asert(usual_params(), kStart, 0, 0), kHardestTarget);
}

TEST(Asert, HalfAHalfLifeIsARootOfTwo) {
    // 2^240 x 0x1.6a09e667, the root in 32 bits.
    EXPECT_EQ(to_text(late_by(150'000)), "00016a09e667" + std::string(52, '0'));
}

TEST(Asert, OneMillisecondOfAYearIsRoundedDown) {
    AsertParams params = usual_params();
    params.half_life_ms = 31'536'000'000;
    EXPECT_EQ(asert(params, kStart, kStart + 1, 0), params.anchor);
    EXPECT_LT(asert(params, kStart, kStart - 1, 0), params.anchor);
}

// |a - b|, on paper.
Big distance(const Target &a, const Target &b) {
    Big high = big(std::max(a, b).bytes);
    const Big low = big(std::min(a, b).bytes);
    std::int64_t borrow = 0;
    for (std::size_t i = 0; i < high.size(); ++i) {
        std::int64_t digit = std::int64_t{high[i]} - borrow - (i < low.size() ? low[i] : 0);
        borrow = digit < 0 ? 1 : 0;
        high[i] = static_cast<std::uint32_t>(digit + borrow * 65536);
    }
    return trimmed(high);
}

TEST(Asert, AgreesWithTheVectorsAndIsAsNearToTheExactTargetAsItSays) {
    std::ifstream file(TEST_SOURCE_DIR "/tests/chain/consensus/asert_vectors.txt");
    int count = 0;
    for (std::string line; std::getline(file, line); ++count) {
        std::istringstream words(line);
        std::string anchor, easiest, expected, exact_hex;
        AsertParams params;
        std::uint64_t anchor_time_ms = 0, parent_time_ms = 0, height = 0;
        words >> anchor >> params.spacing_ms >> params.half_life_ms >> easiest >> anchor_time_ms >>
            parent_time_ms >> height >> expected >> exact_hex;
        ASSERT_TRUE(words) << line;
        params.anchor = target_from_hex(anchor).value();
        params.easiest = target_from_hex(easiest).value();
        const Target target = asert(params, anchor_time_ms, parent_time_ms, height);
        ASSERT_EQ(to_text(target), expected) << line;

        // exact - 11 millionths of it - 1 < target <= exact
        const Target exact = target_from_hex(exact_hex).value();
        ASSERT_LE(target, exact) << line;
        ASSERT_TRUE(less(times(distance(target, exact), big(1'000'000)),
                         plus(times(big(exact.bytes), big(11)), big(1'000'001))))
            << line;
    }
    EXPECT_GE(count, 150);
}

struct Question {
    AsertParams params;
    std::uint64_t anchor_time_ms, parent_time_ms, height;
    Target answer() const { return asert(params, anchor_time_ms, parent_time_ms, height); }
};

// Half of them anything at all, half near the schedule.
Question random_question(std::mt19937_64 &random) {
    Question q{{random_target(random), random_u64(random), random_u64(random) | 1,
                std::max(random_target(random), kHardestTarget)},
               random_u64(random),
               random_u64(random),
               random_u64(random)};
    if (random() % 2 == 0) {
        q.params.spacing_ms %= 1'000'000;
        q.params.half_life_ms = q.params.half_life_ms % 10'000'000 + 1;
        q.anchor_time_ms %= kStart;
        q.height %= 1'000'000;
        q.parent_time_ms = q.anchor_time_ms + q.params.spacing_ms * q.height +
                           random() % (2 * q.params.half_life_ms);
        q.params.easiest = all_ones();
    }
    return q;
}

TEST(Asert, IsDefinedForAnyInputAndMonotone) {
    auto random = seeded_random();
    for (int turn = 0; turn < 50'000; ++turn) {
        const Question q = random_question(random);
        const Target target = q.answer();
        ASSERT_GE(target, kHardestTarget);
        ASSERT_LE(target, q.params.easiest);
        const std::uint64_t step = random_u64(random);
        Question later = q;
        later.parent_time_ms += std::min(step, kMost - q.parent_time_ms);
        ASSERT_GE(later.answer(), target) << "turn " << turn;
        Question lower = q;
        lower.height -= std::min(step, q.height);
        ASSERT_GE(lower.answer(), target) << "turn " << turn;
        Question harder = q;
        harder.params.anchor = std::min(q.params.anchor, random_target(random));
        ASSERT_LE(harder.answer(), target) << "turn " << turn;
    }
}

// Every step of one half-life in Q16, where rounding could make the table go back.
TEST(Asert, RisesWithEachOfTheSmallestSteps) {
    AsertParams params = usual_params();
    params.half_life_ms = 65'536;
    Target before = params.anchor;
    for (std::uint64_t ms = 1; ms <= 65'536; ++ms) {
        const Target target = asert(params, kStart, kStart + ms, 0);
        ASSERT_LT(before, target) << ms;
        before = target;
    }
    EXPECT_EQ(before, power_of_two(241));
}

// The schedule is what it steers to: with a steady hash rate blocks come every spacing, whatever it
// was before. Each block takes as long as its target says: no chance, so no tolerance for it.
TEST(Asert, FollowsTheHashRate) {
    const AsertParams params = usual_params();
    std::uint64_t time_ms = kStart, height = 0;
    std::uint64_t hashes_per_spacing = 65'536;  // what the anchor stands for
    for (const std::uint64_t factor : {1, 10, 1}) {
        const std::uint64_t rate = hashes_per_spacing * factor;
        std::uint64_t last_ms = 0;
        for (int block = 0; block < 600; ++block) {
            const Work work = work_of(asert(params, kStart, time_ms, height));
            last_ms = static_cast<std::uint64_t>(work.hashes * params.spacing_ms / rate);
            time_ms += last_ms;
            ++height;
        }
        EXPECT_NEAR(last_ms, params.spacing_ms, 10) << "hash rate x " << factor;
    }
}

}  // namespace
}  // namespace chain::consensus
