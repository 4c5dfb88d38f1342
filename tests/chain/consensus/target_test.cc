// SPDX-License-Identifier: BSD-3-Clause
#include "chain/consensus/target.h"

#include <gtest/gtest.h>

#include "tests/chain/consensus/targets.h"

namespace chain::consensus {
namespace {

constexpr std::uint32_t kOne = 1u << 16;  // a multiplier of 1
constexpr std::uint32_t kHighest = ~0u;

TEST(Target, IsComparedAndPrintedAsANumber) {
    EXPECT_LT(Target{}, kHardestTarget);
    EXPECT_LT(kHardestTarget, power_of_two(8));
    EXPECT_LT(power_of_two(8), power_of_two(255));
    EXPECT_LT(power_of_two(255), all_ones());
    EXPECT_EQ(to_text(kHardestTarget), std::string(63, '0') + "1");
    EXPECT_EQ(target_from_hex("8" + std::string(63, '0')).value(), power_of_two(255));
    EXPECT_EQ(target_from_hex("12").error().code, ErrorCode::kProtocol);
    EXPECT_EQ(target_from_hex(std::string(64, 'x')).error().code, ErrorCode::kInvalidInput);
}

TEST(HashMeets, TheHashMustBeBelowTheMultipliedBase) {
    const struct {
        Target hash, base;
        std::uint32_t multiplier;
        bool meets;
    } cases[] = {
        {Target{}, Target{}, kHighest, false},
        {Target{}, kHardestTarget, 1, true},  // 0 < 1 / 65536
        {Target{}, kHardestTarget, 0, false},
        {kHardestTarget, kHardestTarget, kOne, false},
        {kHardestTarget, kHardestTarget, kOne + 1, true},
        {power_of_two(100), power_of_two(98), 4 * kOne, false},
        {power_of_two(100), power_of_two(98), 4 * kOne + 1, true},
        {all_ones(), all_ones(), kOne, false},
        {all_ones(), all_ones(), kOne + 1, true},
        {all_ones(), all_ones(), kHighest, true},
        {all_ones(), power_of_two(255), 2 * kOne - 1, false},
        {all_ones(), power_of_two(255), 2 * kOne, true},  // 2^256, which no hash reaches
        {all_ones(), power_of_two(240), kHighest, false},
        {power_of_two(255), power_of_two(255), 1, false},
    };
    for (const auto &c : cases)
        EXPECT_EQ(hash_meets(c.hash.bytes, c.base, c.multiplier), c.meets)
            << to_text(c.hash) << " " << to_text(c.base) << " " << c.multiplier;
}

// Random ones, and those just around the border: the product's upper part, and one more.
TEST(HashMeets, AgreesWithArithmeticOnPaper) {
    auto random = seeded_random();
    int met = 0;
    for (int turn = 0; turn < 20'000; ++turn) {
        const Target base = random_target(random);
        const auto multiplier = static_cast<std::uint32_t>(random_u64(random));
        const Big product = times(big(base.bytes), big(multiplier));
        Target hash = random_target(random);
        if (turn % 2 == 0) {
            Big border = product;
            border.resize(std::max<std::size_t>(border.size(), 17));
            for (std::size_t i = 0; i < 16; ++i) {  // digit i + 1, as 2^16 is one digit
                hash.bytes[31 - 2 * i] = static_cast<std::uint8_t>(border[i + 1]);
                hash.bytes[30 - 2 * i] = static_cast<std::uint8_t>(border[i + 1] >> 8);
            }
            hash.bytes[31] += static_cast<std::uint8_t>(random() % 3) - 1;
        }
        const bool expected = less(times(big(hash.bytes), big(kOne)), product);
        ASSERT_EQ(hash_meets(hash.bytes, base, multiplier), expected)
            << to_text(hash) << " " << to_text(base) << " " << multiplier;
        met += expected;
    }
    EXPECT_GT(met, 2'000);
    EXPECT_LT(met, 18'000);
}

TEST(Work, OfTargetsThatCanBeCheckedByHand) {
    EXPECT_EQ(work_of(all_ones()), Work{1});
    EXPECT_EQ(work_of(power_of_two(255)), Work{1});
    Target half = all_ones();
    half.bytes[0] = 0x7f;
    EXPECT_EQ(work_of(half), Work{2});
    EXPECT_EQ(to_text(work_of(power_of_two(224))), "4294967295");
    EXPECT_EQ(work_of(power_of_two(128)).hashes, kMaxWork.hashes);  // 2^128 - 1, as it is
    EXPECT_EQ(work_of(kHardestTarget), kMaxWork);
    EXPECT_EQ(work_of(Target{}), kMaxWork);
    EXPECT_EQ(to_text(Work{}), "0");
    EXPECT_EQ(to_text(kMaxWork), "340282366920938463463374607431768211455");
}

TEST(Work, IsTheQuotientAndNeverLessForAHarderTarget) {
    auto random = seeded_random();
    const Big all = big_power_of_two(256);
    for (int turn = 0; turn < 5'000; ++turn) {
        const Target target = random_target(random);
        const Work work = work_of(target);
        const Big divisor = plus(big(target.bytes), big(1));
        ASSERT_FALSE(less(all, times(big(work.hashes), divisor))) << to_text(target);
        if (work != kMaxWork)
            ASSERT_TRUE(less(all, times(plus(big(work.hashes), big(1)), divisor)))
                << to_text(target);
        else
            ASSERT_LE(target, power_of_two(128));
        const Target other = random_target(random);
        ASSERT_EQ(work_of(std::min(target, other)), std::max(work, work_of(other)));
    }
}

TEST(Work, SumsStayAtTheEndOfTheRange) {
    EXPECT_EQ(add(Work{3}, Work{4}), Work{7});
    EXPECT_EQ(add(kMaxWork, Work{}), kMaxWork);
    EXPECT_EQ(add(Work{1}, kMaxWork), kMaxWork);
    EXPECT_EQ(add(kMaxWork, kMaxWork), kMaxWork);
    EXPECT_EQ(add(Work{kMaxWork.hashes - 1}, Work{1}), kMaxWork);
}

TEST(ExpectedHashes, FallWithTheMultiplier) {
    const Target base = power_of_two(224);  // 2^32 - 1 hashes
    EXPECT_EQ(expected_hashes(base, kOne), work_of(base));
    EXPECT_EQ(expected_hashes(base, 4 * kOne), Work{1'073'741'823});
    EXPECT_EQ(expected_hashes(base, 1), Work{std::uint64_t{4'294'967'295} << 16});
    EXPECT_EQ(expected_hashes(base, 0), kMaxWork);
    EXPECT_EQ(expected_hashes(Target{}, kHighest), kMaxWork);
    EXPECT_EQ(expected_hashes(power_of_two(130), 1), kMaxWork);
    auto random = seeded_random();
    for (int turn = 0; turn < 1'000; ++turn) {
        const Target target = random_target(random);
        const auto multiplier = static_cast<std::uint32_t>(random_u64(random) % (kHighest - 1) + 1);
        ASSERT_GE(expected_hashes(target, multiplier), expected_hashes(target, multiplier + 1));
    }
}

}  // namespace
}  // namespace chain::consensus
