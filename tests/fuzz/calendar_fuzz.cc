// SPDX-License-Identifier: BSD-3-Clause
//
// A calendar file, by which leases are reserved: it comes from whoever shares a calendar.
#include "chain/cli/calendar.h"

#include <algorithm>

#include "tests/fuzz/target.h"

namespace chain::fuzz {
namespace {

constexpr std::uint64_t kFromMs = 1'795'770'000'000;
constexpr std::uint64_t kUntilMs = kFromMs + 30ULL * 86'400'000;

void check_event(const cli::CalendarEvent &event) {
    CHAIN_CHECK(event.problem.empty() || event.occurrences.empty());
    CHAIN_CHECK(event.problem.empty() ? !event.uid.empty() : true);
    CHAIN_CHECK(event.occurrences.size() <= cli::kCalendarOccurrencesMax);
    CHAIN_CHECK(event.title.find('\n') == std::string::npos &&
                event.lease.find('\n') == std::string::npos);
    for (const cli::Occurrence &one : event.occurrences)
        CHAIN_CHECK(one.start_ms > kFromMs && one.start_ms <= kUntilMs);
    CHAIN_CHECK(
        std::is_sorted(event.occurrences.begin(), event.occurrences.end(),
                       [](const auto &a, const auto &b) { return a.start_ms < b.start_ms; }));
}

}  // namespace

CHAIN_FUZZ_TARGET(calendar) {
    const auto events = cli::parse_calendar(input, kFromMs, kUntilMs);
    if (!events.ok()) {
        CHAIN_CHECK(is_one_of(events.error(), {ErrorCode::kCorrupt, ErrorCode::kTooLarge}));
        return;
    }
    CHAIN_CHECK(events->size() <= cli::kCalendarEventsMax);
    for (const cli::CalendarEvent &event : *events) check_event(event);
}

}  // namespace chain::fuzz
