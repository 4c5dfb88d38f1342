// SPDX-License-Identifier: BSD-3-Clause
#include "chain/market/timetable.h"

#include <random>

#include <gtest/gtest.h>

namespace chain::market {
namespace {

TEST(Timetable, AnEmptyOneHoldsNothing) {
    const Timetable timetable;
    EXPECT_EQ(timetable.peak({0, 100}), (Load{0, 0}));
    EXPECT_FALSE(timetable.first_conflict({0, 100}, {4, 100}, {4, 100}).has_value());
    EXPECT_EQ(timetable.first_conflict({7, 100}, {5, 100}, {4, 100}), 7u);
    EXPECT_EQ(timetable.first_conflict({7, 100}, {4, 101}, {4, 100}), 7u);
}

TEST(Timetable, APeriodEndsBeforeTheNextOneBegins) {
    Timetable timetable;
    timetable.add({100, 200}, {2, 20});
    EXPECT_EQ(timetable.peak({0, 100}).slots, 0u);
    EXPECT_EQ(timetable.peak({200, 300}).slots, 0u);
    EXPECT_EQ(timetable.peak({0, 101}).slots, 2u);
    EXPECT_EQ(timetable.peak({199, 200}).slots, 2u);
    EXPECT_FALSE(timetable.first_conflict({0, 100}, {2, 0}, {2, 100}).has_value());
    EXPECT_FALSE(timetable.first_conflict({200, 300}, {2, 0}, {2, 100}).has_value());
    EXPECT_EQ(timetable.first_conflict({0, 101}, {1, 0}, {2, 100}), 100u);
}

TEST(Timetable, NothingIsInAnEmptyPeriod) {
    Timetable timetable;
    timetable.add({100, 200}, {2, 20});
    timetable.add({150, 150}, {2, 20});
    EXPECT_EQ(timetable.peak({150, 150}), (Load{0, 0}));
    EXPECT_EQ(timetable.peak({150, 151}), (Load{2, 20}));
    EXPECT_FALSE((Period{5, 5}.overlaps({0, 10})));
    EXPECT_FALSE((Period{0, 10}.overlaps({5, 5})));
    EXPECT_TRUE((Period{0, 10}.overlaps({9, 20})));
    EXPECT_FALSE((Period{0, 10}.overlaps({10, 20})));
}

TEST(Timetable, SumsDoNotWrap) {
    Timetable timetable;
    timetable.add({0, 10}, {UINT64_MAX, UINT64_MAX});
    timetable.add({0, 10}, {5, 5});
    EXPECT_EQ(timetable.peak({0, 10}), (Load{UINT64_MAX, UINT64_MAX}));
    EXPECT_EQ(timetable.first_conflict({3, 4}, {1, 1}, {100, 100}), 3u);
}

// The same, moment by moment.
class Model {
public:
    static constexpr std::uint64_t kEndMs = 64;
    void add(const Period &period, const Load &load) {
        for (std::uint64_t ms = period.from_ms; ms < period.until_ms && ms < kEndMs; ++ms) {
            at_[ms].slots += load.slots;
            at_[ms].memory_bytes += load.memory_bytes;
        }
    }
    Load peak(const Period &period) const {
        Load peak;
        for (std::uint64_t ms = period.from_ms; ms < period.until_ms; ++ms) {
            peak.slots = std::max(peak.slots, at_[ms].slots);
            peak.memory_bytes = std::max(peak.memory_bytes, at_[ms].memory_bytes);
        }
        return peak;
    }
    std::optional<std::uint64_t> first_conflict(const Period &period, const Load &load,
                                                const Load &capacity) const {
        for (std::uint64_t ms = period.from_ms; ms < period.until_ms; ++ms)
            if (at_[ms].slots + load.slots > capacity.slots ||
                at_[ms].memory_bytes + load.memory_bytes > capacity.memory_bytes)
                return ms;
        return std::nullopt;
    }

private:
    Load at_[kEndMs];
};

TEST(Timetable, IsWhatAModelOfEveryMomentSays) {
    const auto seed = std::random_device{}();
    RecordProperty("seed", std::to_string(seed));
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto below = [&](std::uint64_t n) { return random() % n; };
    for (int round = 0; round < 2'000; ++round) {
        Timetable timetable;
        Model model;
        const Load capacity{1 + below(8), 1 + below(80)};
        const auto pick = [&] {
            const std::uint64_t from_ms = below(Model::kEndMs);
            return Period{from_ms, from_ms + below(Model::kEndMs - from_ms + 1)};
        };
        for (std::uint64_t entry = below(12); entry > 0; --entry) {
            const Period period = pick();
            const Load load{below(4), below(30)};
            // As a provider does it: nothing that does not fit is ever promised.
            const bool fits = !model.first_conflict(period, load, capacity).has_value();
            ASSERT_EQ(!timetable.first_conflict(period, load, capacity).has_value(), fits);
            if (!fits && below(2) == 0) continue;
            timetable.add(period, load);
            model.add(period, load);
        }
        for (int question = 0; question < 8; ++question) {
            const Period period = pick();
            const Load load{below(4), below(30)};
            ASSERT_EQ(timetable.peak(period), model.peak(period));
            ASSERT_EQ(timetable.first_conflict(period, load, capacity),
                      model.first_conflict(period, load, capacity));
        }
    }
}

// What was taken in as long as it fitted is never more than there is, at any moment.
TEST(Timetable, NothingIsPromisedTwice) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    for (int round = 0; round < 500; ++round) {
        Timetable timetable;
        const Load capacity{4, 100};
        for (int entry = 0; entry < 30; ++entry) {
            const std::uint64_t from_ms = random() % 1'000;
            const Period period{from_ms, from_ms + 1 + random() % 200};
            const Load load{1 + random() % 4, random() % 60};
            if (!timetable.first_conflict(period, load, capacity)) timetable.add(period, load);
        }
        const Load peak = timetable.peak({0, 2'000});
        ASSERT_LE(peak.slots, capacity.slots);
        ASSERT_LE(peak.memory_bytes, capacity.memory_bytes);
    }
}

}  // namespace
}  // namespace chain::market
