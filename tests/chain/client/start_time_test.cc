// SPDX-License-Identifier: BSD-3-Clause
#include "chain/client/start_time.h"

#include <cstdlib>
#include <ctime>

#include <gtest/gtest.h>

#include "chain/base/clock.h"

namespace chain::client {
namespace {

// A process has one time zone: the tests set it, and put it back.
class StartTime : public testing::Test {
protected:
    void SetUp() override { set_zone("Europe/Berlin"); }
    void TearDown() override {
        unsetenv("TZ");
        tzset();
    }
    static void set_zone(const char *zone) {
        setenv("TZ", zone, 1);
        tzset();
    }
    // 2026-11-27 10:00:00 in Berlin
    static constexpr std::uint64_t kNowMs = 1'795'770'000'000;

    static std::string utc(const char *text, std::uint64_t now_ms = kNowMs) {
        const auto parsed = parse_start_time(text, now_ms);
        return parsed.ok() ? format_utc(*parsed) : parsed.error().message;
    }
};

TEST_F(StartTime, IsLocalUnlessItSaysOtherwise) {
    ASSERT_EQ(format_utc(kNowMs), "2026-11-27T09:00:00Z");
    EXPECT_EQ(utc("2026-12-01T08:00"), "2026-12-01T07:00:00Z");
    EXPECT_EQ(utc("2026-12-01 08:00"), "2026-12-01T07:00:00Z");
    EXPECT_EQ(utc("2026-12-01T08:00:30"), "2026-12-01T07:00:30Z");
    EXPECT_EQ(utc("2026-12-01T08:00Z"), "2026-12-01T08:00:00Z");
    EXPECT_EQ(utc("2026-12-01T08:00+05:30"), "2026-12-01T02:30:00Z");
    EXPECT_EQ(utc("2026-12-01T08:00-0800"), "2026-12-01T16:00:00Z");
    EXPECT_EQ(utc("2028-02-29T12:00"), "2028-02-29T11:00:00Z");
    EXPECT_EQ(utc("2027-07-01T12:00"), "2027-07-01T10:00:00Z");
}

TEST_F(StartTime, OfADayIsTheNextOne) {
    EXPECT_EQ(utc("18:30"), "2026-11-27T17:30:00Z");
    EXPECT_EQ(utc("10:00:01"), "2026-11-27T09:00:01Z");
    EXPECT_EQ(utc("10:00"), "2026-11-28T09:00:00Z");  // now is not later than now
    EXPECT_EQ(utc("09:59"), "2026-11-28T08:59:00Z");
    EXPECT_EQ(utc("00:00"), "2026-11-27T23:00:00Z");
    // over the end of a month and a year
    EXPECT_EQ(utc("08:00", 1'798'750'800'000), "2027-01-01T07:00:00Z");
}

TEST_F(StartTime, IsSoMuchLater) {
    EXPECT_EQ(utc("+2h"), "2026-11-27T11:00:00Z");
    EXPECT_EQ(utc("+1h30m"), "2026-11-27T10:30:00Z");
    EXPECT_EQ(utc("+90"), "2026-11-27T09:01:30Z");
}

TEST_F(StartTime, KnowsWhenClocksChange) {
    // 2027-03-28: from 02:00 to 03:00. 2027-10-31: 02:00 to 03:00 comes twice.
    EXPECT_NE(utc("2027-03-28T02:30").find("does not exist"), std::string::npos);
    EXPECT_EQ(utc("2027-03-28T01:59"), "2027-03-28T00:59:00Z");
    EXPECT_EQ(utc("2027-03-28T03:00"), "2027-03-28T01:00:00Z");
    EXPECT_EQ(utc("2027-10-31T02:30"), "2027-10-31T00:30:00Z");
    EXPECT_EQ(utc("2027-10-31T03:00"), "2027-10-31T02:00:00Z");
    // Of a day without it, the day after.
    EXPECT_EQ(utc("02:30", 1'806'192'000'000), "2027-03-29T00:30:00Z");
}

TEST_F(StartTime, FollowsTheZoneOfTheProcess) {
    set_zone("America/New_York");
    EXPECT_EQ(utc("2026-12-01T08:00"), "2026-12-01T13:00:00Z");
    set_zone("UTC");
    EXPECT_EQ(utc("2026-12-01T08:00"), "2026-12-01T08:00:00Z");
    EXPECT_EQ(format_local(kNowMs), "Fri 2026-11-27 09:00 UTC");
    EXPECT_EQ(format_local(kNowMs + 5'000), "Fri 2026-11-27 09:00:05 UTC");
}

TEST_F(StartTime, ThatIsNoneSaysWhatItShouldLookLike) {
    const struct {
        const char *text;
        const char *why;
    } table[] = {
        {"", "is no time"},
        {"soon", "is no time"},
        {"8:00", "is no time"},
        {"08:60", "is no time of a day"},
        {"24:00", "is no time of a day"},
        {"08:00Z", "is no time"},
        {"2026-12-01", "is no time"},
        {"2026-12-01T", "is no time"},
        {"2026-12-01T8:00", "is no time"},
        {"2026-12-01T08:00 ", "is no time"},
        {"2026-12-01T08:00Zz", "is no time"},
        {"2026-12-01T08:00+25:00", "is no time"},
        {"2026-12-01T08:00+01:99", "is no time"},
        {"2026-02-29T08:00", "does not exist"},
        {"2026-13-01T08:00", "does not exist"},
        {"2026-00-10T08:00", "does not exist"},
        {"2026-12-32T08:00", "does not exist"},
        {"2026-12-01T24:00", "does not exist"},
        {"1950-12-01T08:00", "does not exist"},
        {"2026-11-27T10:00", "has passed"},
        {"2026-11-27T09:00Z", "has passed"},
        {"2020-01-01T00:00", "has passed"},
        {"+", "is no time"},
        {"+0", "is now"},
        {"+2x", "is no time"},
        {"-2h", "is no time"},
        {"+99999d", "is no time"},
    };
    for (const auto &row : table) {
        const auto parsed = parse_start_time(row.text, kNowMs);
        ASSERT_FALSE(parsed.ok()) << row.text << ": " << format_utc(*parsed);
        EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidInput) << row.text;
        EXPECT_NE(parsed.error().message.find(row.why), std::string::npos)
            << row.text << ": " << parsed.error().message;
        EXPECT_NE(parsed.error().message.find("18:30 (the next one)"), std::string::npos);
    }
}

}  // namespace
}  // namespace chain::client
