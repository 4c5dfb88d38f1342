// SPDX-License-Identifier: BSD-3-Clause
#include "chain/cli/calendar.h"

#include <cstdlib>
#include <ctime>

#include <gtest/gtest.h>

#include "chain/base/clock.h"

namespace chain::cli {
namespace {

constexpr std::uint64_t kNowMs = 1'795'770'000'000;  // 2026-11-27T09:00:00Z, a Friday
constexpr std::uint64_t kDayMs = 86'400'000;

constexpr const char *kBerlin =
    "BEGIN:VTIMEZONE\r\nTZID:Home\r\n"
    "BEGIN:STANDARD\r\nDTSTART:19961027T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\n"
    "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nEND:STANDARD\r\n"
    "BEGIN:DAYLIGHT\r\nDTSTART:19810329T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\n"
    "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nEND:DAYLIGHT\r\nEND:VTIMEZONE\r\n";

std::string calendar_of(const std::string &parts) {
    return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//\r\n" + parts + "END:VCALENDAR\r\n";
}

std::string event_of(const std::string &lines, const std::string &uid = "one") {
    return "BEGIN:VEVENT\r\nUID:" + uid + "\r\nSUMMARY:Render\r\n" + lines + "END:VEVENT\r\n";
}

class CalendarTest : public testing::Test {
protected:
    void SetUp() override {
        setenv("TZ", "Europe/Berlin", 1);
        tzset();
    }
    void TearDown() override {
        unsetenv("TZ");
        tzset();
    }

    static Result<std::vector<CalendarEvent>> parse(const std::string &text,
                                                    std::uint64_t days = 30) {
        return parse_calendar(text, kNowMs, kNowMs + days * kDayMs);
    }

    // "2026-12-01T07:00:00Z/3600 …" of the first event, or its problem.
    static std::string times(const std::string &lines, std::uint64_t days = 30) {
        const auto events = parse(calendar_of(kBerlin + event_of(lines)), days);
        if (!events.ok()) return events.error().message;
        if (events->size() != 1) return std::to_string(events->size()) + " events";
        return times_of(events->front());
    }

    static std::string times_of(const CalendarEvent &event) {
        if (!event.problem.empty()) return event.problem;
        std::string text;
        for (const Occurrence &one : event.occurrences)
            text += (text.empty() ? "" : " ") + format_utc(one.start_ms) + "/" +
                    std::to_string(one.duration_ms / 1'000);
        return text;
    }
};

TEST_F(CalendarTest, TimesOfOneEvent) {
    const struct {
        const char *lines;
        const char *times;
    } table[] = {
        {"DTSTART:20261201T070000Z\r\nDTEND:20261201T080000Z\r\n", "2026-12-01T07:00:00Z/3600"},
        {"DTSTART:20261201T080000\r\nDURATION:PT1H30M\r\n", "2026-12-01T07:00:00Z/5400"},
        {"DTSTART;TZID=Home:20261201T080000\r\nDTEND;TZID=Home:20261201T090000\r\n",
         "2026-12-01T07:00:00Z/3600"},
        {"DTSTART;TZID=America/New_York:20261201T080000\r\nDURATION:P1DT1H\r\n",
         "2026-12-01T13:00:00Z/90000"},
        {"DTSTART;VALUE=DATE:20261201\r\n", "2026-11-30T23:00:00Z/86400"},
        {"DTSTART;VALUE=DATE:20261201\r\nDTEND;VALUE=DATE:20261203\r\n",
         "2026-11-30T23:00:00Z/172800"},
        {"DTSTART:20261201T070000Z\r\n", "2026-12-01T07:00:00Z/0"},
        // Passed, now, and too far ahead: nothing to reserve.
        {"DTSTART:20261101T070000Z\r\nDURATION:PT1H\r\n", ""},
        {"DTSTART:20261127T090000Z\r\nDURATION:PT1H\r\n", ""},
        {"DTSTART:20270101T070000Z\r\nDURATION:PT1H\r\n", ""},
    };
    for (const auto &row : table) EXPECT_EQ(times(row.lines), row.times) << row.lines;
}

TEST_F(CalendarTest, TimesOfOneThatRecurs) {
    const struct {
        const char *lines;
        const char *times;
    } table[] = {
        {"DTSTART:20261201T070000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=WEEKLY;COUNT=3\r\n",
         "2026-12-01T07:00:00Z/3600 2026-12-08T07:00:00Z/3600 2026-12-15T07:00:00Z/3600"},
        // What has passed is counted, and not reserved.
        {"DTSTART:20261113T070000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=WEEKLY;COUNT=4\r\n",
         "2026-12-04T07:00:00Z/3600"},
        {"DTSTART:20200103T070000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=WEEKLY;INTERVAL=2\r\n",
         "2026-12-11T07:00:00Z/3600 2026-12-25T07:00:00Z/3600"},
        {"DTSTART:20261201T070000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY;UNTIL=20261203T070000Z\r\n",
         "2026-12-01T07:00:00Z/3600 2026-12-02T07:00:00Z/3600 2026-12-03T07:00:00Z/3600"},
        {"DTSTART:20261201T070000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=WEEKLY;COUNT=3\r\n"
         "EXDATE:20261208T070000Z\r\n",
         "2026-12-01T07:00:00Z/3600 2026-12-15T07:00:00Z/3600"},
        {"DTSTART;TZID=Home:20261201T080000\r\nDURATION:PT1H\r\n"
         "RDATE;TZID=Home:20261205T100000,20261206T100000\r\nEXDATE;TZID=Home:20261201T080000\r\n",
         "2026-12-05T09:00:00Z/3600 2026-12-06T09:00:00Z/3600"},
    };
    for (const auto &row : table) EXPECT_EQ(times(row.lines), row.times) << row.lines;
    // At eight in the morning, summer and winter.
    EXPECT_EQ(times("DTSTART;TZID=Home:20260301T080000\r\nDURATION:PT1H\r\n"
                    "RRULE:FREQ=MONTHLY;BYMONTHDAY=1\r\n",
                    200),
              "2026-12-01T07:00:00Z/3600 2027-01-01T07:00:00Z/3600 2027-02-01T07:00:00Z/3600 "
              "2027-03-01T07:00:00Z/3600 2027-04-01T06:00:00Z/3600 2027-05-01T06:00:00Z/3600 "
              "2027-06-01T06:00:00Z/3600");
}

TEST_F(CalendarTest, SaysWhatIsWrongWithAnEvent) {
    const struct {
        const char *lines;
        const char *problem;
    } table[] = {
        {"", "it has no start"},
        {"DTSTART;TZID=Nowhere/At_All:20261201T080000\r\nDURATION:PT1H\r\n",
         "its time zone is not known"},
        {"DTSTART:20261201T070000Z\r\nDTEND:20261201T060000Z\r\n", "it ends before it starts"},
        {"DTSTART:20261201T070000Z\r\nDURATION:-PT1H\r\n", "its duration is none"},
        {"DTSTART:20261201T070000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=SECONDLY\r\n",
         "it recurs more often than once a day"},
        {"DTSTART:20261201T070000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=MINUTELY;BYMONTH=2\r\n",
         "it recurs more often than once a day"},
        {"DTSTART:20261201T070000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=HOURLY\r\n",
         "it recurs more often than once a day"},
        {"DTSTART:20261201T070000Z\r\nDURATION:PT1H\r\n"
         "RRULE:FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11;BYMINUTE=0,10,20,30,40,50\r\n",
         "it takes place more than 500 times"},
    };
    for (const auto &row : table) EXPECT_EQ(times(row.lines), row.problem) << row.lines;
}

TEST_F(CalendarTest, AnEventHasANameConditionsAndAState) {
    const std::string when = "DTSTART:20261201T070000Z\r\nDURATION:PT1H\r\n";
    const auto events = parse(calendar_of(
        event_of(when + "X-OMPI-CHAIN-LEASE:16,mem=2G\r\n", "a") +
        event_of(when + "STATUS:CONFIRMED\r\nX-OMPI-CHAIN-LEASE:2\\,mem=1G\r\n", "b") +
        event_of(when + "STATUS:CANCELLED\r\n", "c") +
        event_of(when + "STATUS:TENTATIVE\r\n", "d") +
        "BEGIN:VEVENT\r\nUID:e\r\nSUMMARY:One\\, two\\;\r\n  three\r\n" + when + "END:VEVENT\r\n" +
        "BEGIN:VTODO\r\nUID:f\r\nEND:VTODO\r\n" + "BEGIN:VEVENT\r\n" + when + "END:VEVENT\r\n"));
    ASSERT_TRUE(events.ok()) << events.error().message;
    ASSERT_EQ(events->size(), 5u);
    EXPECT_EQ((*events)[0].lease, "16,mem=2G");
    EXPECT_EQ((*events)[0].title, "Render");
    EXPECT_EQ((*events)[1].lease, "2,mem=1G");
    EXPECT_FALSE((*events)[1].is_cancelled);
    EXPECT_TRUE((*events)[2].is_cancelled);
    EXPECT_EQ((*events)[2].occurrences.size(), 1u);
    EXPECT_EQ((*events)[3].uid, "e");
    EXPECT_EQ((*events)[3].title, "One, two; three");
    EXPECT_EQ((*events)[4].problem, "it has no UID");
}

TEST_F(CalendarTest, OneOccurrenceCanBeMovedOrCancelled) {
    const auto events = parse(calendar_of(
        event_of("DTSTART:20261201T070000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=WEEKLY;COUNT=3\r\n") +
        event_of("RECURRENCE-ID:20261208T070000Z\r\nDTSTART:20261209T100000Z\r\n"
                 "DURATION:PT2H\r\n") +
        event_of("RECURRENCE-ID:20261215T070000Z\r\nDTSTART:20261215T070000Z\r\n"
                 "DURATION:PT1H\r\nSTATUS:CANCELLED\r\n")));
    ASSERT_TRUE(events.ok()) << events.error().message;
    ASSERT_EQ(events->size(), 3u);
    EXPECT_EQ(times_of((*events)[0]), "2026-12-01T07:00:00Z/3600");
    EXPECT_EQ(times_of((*events)[1]), "2026-12-09T10:00:00Z/7200");
    EXPECT_EQ(times_of((*events)[2]), "2026-12-15T07:00:00Z/3600");
    EXPECT_TRUE((*events)[2].is_cancelled);
}

TEST_F(CalendarTest, RefusesWhatIsNoCalendar) {
    const struct {
        std::string text;
        ErrorCode code;
    } table[] = {
        {"", ErrorCode::kCorrupt},
        {"hello", ErrorCode::kCorrupt},
        {"END:VCALENDAR\r\n", ErrorCode::kCorrupt},
        {event_of("DTSTART:20261201T070000Z\r\n"), ErrorCode::kCorrupt},
        {std::string("BEGIN:VCALENDAR\r\n\0END:VCALENDAR\r\n", 33), ErrorCode::kCorrupt},
        {std::string(kCalendarBytesMax + 1, 'x'), ErrorCode::kTooLarge},
    };
    for (const auto &row : table) {
        const auto events = parse(row.text);
        ASSERT_FALSE(events.ok()) << row.text.substr(0, 40);
        EXPECT_EQ(events.error().code, row.code) << row.text.substr(0, 40);
    }
    std::string deep;
    for (int i = 0; i < 10'000; ++i) deep += "BEGIN:VEVENT\r\n";
    EXPECT_FALSE(parse(deep).ok());
    std::string many;
    for (std::size_t i = 0; i <= kCalendarEventsMax; ++i) many += event_of("");
    EXPECT_EQ(parse(calendar_of(many)).error().code, ErrorCode::kTooLarge);
}

// What asks for more work than anybody's calendar does: refused, or over in a moment.
TEST_F(CalendarTest, BombsDoNotGoOff) {
    const std::string zone_bomb =
        "BEGIN:VTIMEZONE\r\nTZID:Bomb\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n"
        "TZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nRRULE:FREQ=SECONDLY\r\nEND:STANDARD\r\n"
        "END:VTIMEZONE\r\n" +
        event_of("DTSTART;TZID=Bomb:20261201T080000\r\nDURATION:PT1H\r\n");
    EXPECT_FALSE(parse(calendar_of(zone_bomb)).ok());
    const std::clock_t began = std::clock();
    for (const char *rule :
         {"FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
          "FREQ=WEEKLY;BYMONTH=2;BYDAY=MO;BYSETPOS=7", "FREQ=MONTHLY;BYMONTHDAY=31;BYMONTH=4",
          "FREQ=DAILY;INTERVAL=32767;BYDAY=SU;BYMONTHDAY=1;BYMONTH=1",
          "FREQ=DAILY;COUNT=2147483647",
          "FREQ=YEARLY;BYYEARDAY=366;BYWEEKNO=53;BYDAY=MO,TU,WE,TH,FR,SA,SU"})
        static_cast<void>(times(std::string("DTSTART:19700102T070000Z\r\nDURATION:PT1H\r\nRRULE:") +
                                rule + "\r\n"));
    EXPECT_LT(std::clock() - began, 10 * CLOCKS_PER_SEC);  // of processor time
    std::string dates = "DTSTART:20261201T070000Z\r\nDURATION:PT1H\r\n";
    for (std::size_t i = 0; i <= kEventDatesMax; ++i) dates += "RDATE:20261202T070000Z\r\n";
    EXPECT_EQ(times(dates), "it has too many dates");
}

}  // namespace
}  // namespace chain::cli
