// SPDX-License-Identifier: BSD-3-Clause
//
// Calendar: what an iCalendar file (RFC 5545) asks to reserve: for each event whose times lie ahead
// what it is called, and every time at which it takes place. The file may come from anybody: it is
// bounded before anything in it is worked out.
//
// One thread at a time (libical keeps its time zones to itself). Times without a zone are meant in
// this process' own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chain/base/result.h"

namespace chain::cli {

inline constexpr std::size_t kCalendarBytesMax = 1u << 20;
inline constexpr std::size_t kCalendarEventsMax = 1'000;
inline constexpr std::size_t kCalendarNestingMax = 8;
inline constexpr std::size_t kEventDatesMax = 1'000;     // RDATE and EXDATE of one event
inline constexpr std::size_t kEventRulesMax = 8;         // RRULE of one event
inline constexpr std::size_t kRecurrencesMax = 100'000;  // of one rule, from its first on
inline constexpr std::size_t kCalendarOccurrencesMax =
    500;                                           // of one event, within the time asked for
inline constexpr int kCalendarProcessorSMax = 20;  // to work all of it out
inline constexpr std::size_t kZoneRulesMax = 64;   // of one VTIMEZONE

// How an event says what it needs, as after mpirun's --chain-lease.
inline constexpr const char *kLeaseProperty = "X-OMPI-CHAIN-LEASE";

struct Occurrence {
    std::uint64_t start_ms = 0;     // Unix time
    std::uint64_t duration_ms = 0;  // 0: the event has no end
    friend bool operator==(const Occurrence &, const Occurrence &) = default;
};

struct CalendarEvent {
    std::string uid;
    std::string title;
    std::string lease;  // kLeaseProperty's text; empty: there is none
    bool is_cancelled = false;
    std::vector<Occurrence> occurrences;  // in their order
    std::string problem;                  // why its times are not known; empty: they are
};

// Events that are confirmed, cancelled, or say neither; those that take place later than `from_ms`
// and not after `until_ms`, in their order in the file. Errors: kTooLarge, kCorrupt; what is wrong
// with one event alone is its `problem`.
Result<std::vector<CalendarEvent>> parse_calendar(std::string_view text, std::uint64_t from_ms,
                                                  std::uint64_t until_ms);

}  // namespace chain::cli
