// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/round_trip.h"

#include <gtest/gtest.h>

namespace chain::test {
namespace {

TEST(RoundTrip, IsTheLeastOfTheLastAnswers) {
    RoundTrip trip;
    EXPECT_EQ(trip.us(), 0u);
    std::uint64_t now_us = 1'000;
    const auto take = [&](std::uint64_t us) {
        trip.asked(now_us);
        now_us += us;
        trip.answered(now_us);
    };
    take(700);
    EXPECT_EQ(trip.us(), 700u);
    take(300);
    take(900);
    EXPECT_EQ(trip.us(), 300u);
    // A way that became longer is believed once nothing shorter is left of the last ones.
    for (std::size_t i = 0; i + 1 < RoundTrip::kSamples; ++i) take(900);
    EXPECT_EQ(trip.us(), 900u);
    EXPECT_EQ(trip.sample_count(), RoundTrip::kSamples);
}

TEST(RoundTrip, AnswersToNothingAreNone) {
    RoundTrip trip;
    trip.answered(5);
    EXPECT_EQ(trip.us(), 0u);
    EXPECT_TRUE(trip.asked(100));
    EXPECT_FALSE(trip.asked(150)) << "the answer to the first is the one that comes";
    trip.answered(190);
    trip.answered(191);
    EXPECT_EQ(trip.us(), 90u);
    EXPECT_EQ(trip.sample_count(), 1u);
}

TEST(RoundTrip, AnAnswerThatNeverCameHoldsUpNothing) {
    RoundTrip trip;
    EXPECT_TRUE(trip.asked(100));
    EXPECT_FALSE(trip.asked(100 + RoundTrip::kLostAfterUs - 1));
    EXPECT_TRUE(trip.asked(100 + RoundTrip::kLostAfterUs));
    trip.answered(150 + RoundTrip::kLostAfterUs);
    EXPECT_EQ(trip.us(), 50u);
}

TEST(RoundTrip, KnownIsNeverZero) {
    RoundTrip trip;
    trip.asked(100);
    trip.answered(100);
    EXPECT_EQ(trip.us(), 1u);
    trip.asked(100);
    trip.answered(99);  // a clock that went back all the same
    EXPECT_EQ(trip.us(), 1u);
    RoundTrip long_trip;
    EXPECT_TRUE(long_trip.asked(1));
    long_trip.answered(UINT64_MAX);
    EXPECT_EQ(long_trip.us(), UINT32_MAX);
}

}  // namespace
}  // namespace chain::test
