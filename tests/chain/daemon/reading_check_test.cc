// SPDX-License-Identifier: BSD-3-Clause
//
// What a renter signs of a provider's meter, and what it refuses.
#include "chain/daemon/reading_check.h"

#include <gtest/gtest.h>

namespace chain::daemon {
namespace {

constexpr std::uint64_t kHz = 1'000'000'000;

// Launched at 50 s, two slots of 1 GHz, 10 s later: 20e9 cycles and the slack's 4e9.
ReadingBounds running() {
    return {.slot_count = 2,
            .hz = kHz,
            .cycles_max = 1'000 * kHz,
            .cycles_before = 4 * kHz,
            .sequence_before = 7,
            .launched_at_ms = 50'000,
            .now_ms = 60'000,
            .ended_at_ms = 0};
}

wire::Reading reading(Cycles cycles, std::uint64_t sequence = 8) {
    wire::Reading reading;
    reading.set_sequence(sequence);
    reading.set_cycles(cycles);
    reading.set_meter_class(wire::METER_CLASS_CALIBRATED);
    return reading;
}

TEST(ReadingCheck, WorkWithinSlotsTimesFrequencyTimesTime) {
    EXPECT_TRUE(check_reading(running(), reading(4 * kHz)).ok());
    EXPECT_TRUE(check_reading(running(), reading(24 * kHz)).ok());
    EXPECT_FALSE(check_reading(running(), reading(24 * kHz + 1)).ok());
}

TEST(ReadingCheck, NeverMoreThanWasLocked) {
    ReadingBounds bounds = running();
    bounds.cycles_max = 5 * kHz;
    EXPECT_TRUE(check_reading(bounds, reading(5 * kHz)).ok());
    EXPECT_FALSE(check_reading(bounds, reading(5 * kHz + 1)).ok());
}

TEST(ReadingCheck, AMeterNeverGoesBack) {
    EXPECT_FALSE(check_reading(running(), reading(4 * kHz - 1)).ok());
    EXPECT_FALSE(check_reading(running(), reading(5 * kHz, 7)).ok());
}

TEST(ReadingCheck, NothingIsOwedBeforeTheLaunch) {
    ReadingBounds bounds = running();
    bounds.launched_at_ms = 0;
    bounds.cycles_before = bounds.sequence_before = 0;
    EXPECT_FALSE(check_reading(bounds, reading(0)).ok());
    EXPECT_FALSE(check_reading(bounds, reading(1)).ok());
}

TEST(ReadingCheck, NothingMoreIsOwedAfterTheEnd) {
    ReadingBounds bounds = running();
    bounds.ended_at_ms = 60'000;
    bounds.now_ms = 30 * 60'000;  // a provider that packs for half an hour
    EXPECT_TRUE(check_reading(bounds, reading(24 * kHz)).ok());
    EXPECT_FALSE(check_reading(bounds, reading(24 * kHz + 1)).ok());
}

TEST(ReadingCheck, WaitingIsPartOfTheWork) {
    wire::Reading all_waiting = reading(5 * kHz);
    all_waiting.set_waited_cycles(5 * kHz);
    EXPECT_TRUE(check_reading(running(), all_waiting).ok());
    all_waiting.set_waited_cycles(5 * kHz + 1);
    EXPECT_FALSE(check_reading(running(), all_waiting).ok());
}

TEST(ReadingCheck, SaysHowItWasMetered) {
    wire::Reading unnamed = reading(5 * kHz);
    unnamed.set_meter_class(wire::METER_CLASS_UNSPECIFIED);
    EXPECT_FALSE(check_reading(running(), unnamed).ok());
    unnamed.set_meter_class(static_cast<wire::MeterClass>(99));
    EXPECT_FALSE(check_reading(running(), unnamed).ok());
}

TEST(ReadingCheck, RanksAreBounded) {
    wire::Reading crowded = reading(5 * kHz);
    for (std::uint32_t rank = 0; rank < 2 * kRanksPerSlotMax; ++rank)
        crowded.add_ranks()->set_rank(rank);
    EXPECT_TRUE(check_reading(running(), crowded).ok());
    crowded.add_ranks();
    EXPECT_FALSE(check_reading(running(), crowded).ok());
}

}  // namespace
}  // namespace chain::daemon
