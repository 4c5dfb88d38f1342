// SPDX-License-Identifier: BSD-3-Clause
#include "chain/cli/calendar.h"

#include <algorithm>
#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include <libical/ical.h>

#include "chain/base/text.h"

namespace chain::cli {
namespace {

constexpr std::size_t kTextBytesMax = 1'000;
constexpr std::uint64_t kDayMs = 86'400'000;

struct FreeComponent {
    void operator()(icalcomponent *component) const { icalcomponent_free(component); }
};
using Component = std::unique_ptr<icalcomponent, FreeComponent>;

struct FreeIterator {
    void operator()(icalrecur_iterator *iterator) const { icalrecur_iterator_free(iterator); }
};
using Iterator = std::unique_ptr<icalrecur_iterator, FreeIterator>;

Error corrupt(std::string_view why) {
    return make_error(ErrorCode::kCorrupt, "the calendar ", why);
}

// ---- before anything is parsed

// Lines as they were before they were folded.
std::string unfold(std::string_view text) {
    std::string out;
    out.reserve(text.size() + 1);
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] == '\r' && at + 1 < text.size() && text[at + 1] == '\n') continue;
        const bool folds = text[at] == '\n' && at + 1 < text.size() &&
                           (text[at + 1] == ' ' || text[at + 1] == '\t');
        if (folds)
            ++at;
        else
            out += text[at];
    }
    return out;
}

bool begins_with(std::string_view line, std::string_view word) {
    if (line.size() < word.size()) return false;
    return std::equal(word.begin(), word.end(), line.begin(), [](char a, char b) {
        return a == (b >= 'a' && b <= 'z' ? static_cast<char>(b - 'a' + 'A') : b);
    });
}

Status check_shape(std::string_view text) {
    std::size_t depth = 0;
    std::size_t events = 0;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (begins_with(line, "BEGIN:")) ++depth;
        if (begins_with(line, "BEGIN:VEVENT")) ++events;
        if (begins_with(line, "END:") && depth-- == 0)
            return corrupt("ends a part that it has not begun");
        if (depth > kCalendarNestingMax) return corrupt("nests its parts too deeply");
        if (events > kCalendarEventsMax)
            return make_error(ErrorCode::kTooLarge, "the calendar has more than ",
                              kCalendarEventsMax, " events");
    }
    return ok_status();
}

// ---- time zones

std::size_t count_of(const short *by, std::size_t size) {
    return static_cast<std::size_t>(std::find(by, by + size, ICAL_RECURRENCE_ARRAY_MAX) - by);
}

// libical works out every change of a zone for centuries: one a year from each rule is fine.
bool is_once_a_year(const icalrecurrencetype &rule) {
    const std::size_t days = count_of(rule.by_day, ICAL_BY_DAY_SIZE) +
                             count_of(rule.by_month_day, ICAL_BY_MONTHDAY_SIZE);
    constexpr std::size_t kDaysOfAWeek = 7;  // BYMONTHDAY=8,…,14;BYDAY=SU is one day, too
    return rule.freq == ICAL_YEARLY_RECURRENCE &&
           count_of(rule.by_month, ICAL_BY_MONTH_SIZE) == 1 && days <= kDaysOfAWeek + 1 &&
           count_of(rule.by_hour, ICAL_BY_HOUR_SIZE) == 0 &&
           count_of(rule.by_minute, ICAL_BY_MINUTE_SIZE) == 0 &&
           count_of(rule.by_second, ICAL_BY_SECOND_SIZE) == 0 &&
           count_of(rule.by_year_day, ICAL_BY_YEARDAY_SIZE) == 0 &&
           count_of(rule.by_week_no, ICAL_BY_WEEKNO_SIZE) == 0;
}

Status check_zone(icalcomponent *zone) {
    std::size_t rules = 0;
    for (icalcomponent *part = icalcomponent_get_first_component(zone, ICAL_ANY_COMPONENT);
         part != nullptr; part = icalcomponent_get_next_component(zone, ICAL_ANY_COMPONENT)) {
        for (icalproperty *property = icalcomponent_get_first_property(part, ICAL_RRULE_PROPERTY);
             property != nullptr;
             property = icalcomponent_get_next_property(part, ICAL_RRULE_PROPERTY)) {
            if (!is_once_a_year(icalproperty_get_rrule(property)))
                return corrupt("has a time zone that changes more than once a year by one rule");
            if (++rules > kZoneRulesMax) return corrupt("has a time zone of too many rules");
        }
    }
    return ok_status();
}

// ---- times

struct When {
    icaltimetype time = icaltime_null_time();
    bool has_unknown_zone = false;
};

// A value's time in the zone that its property names.
When in_zone(icalcomponent *calendar, icalproperty *property, icaltimetype time) {
    When when{time, false};
    icalparameter *const parameter =
        icalproperty_get_first_parameter(property, ICAL_TZID_PARAMETER);
    if (parameter == nullptr || icaltime_is_utc(time) || icaltime_is_date(time)) return when;
    const char *const name = icalparameter_get_tzid(parameter);
    icaltimezone *zone = icalcomponent_get_timezone(calendar, name);
    if (zone == nullptr) zone = icaltimezone_get_builtin_timezone_from_tzid(name);
    if (zone == nullptr) zone = icaltimezone_get_builtin_timezone(name);
    when.has_unknown_zone = zone == nullptr;
    if (zone != nullptr) when.time = icaltime_set_timezone(&when.time, zone);
    return when;
}

// nullopt: no time, or one before 1970.
std::optional<std::uint64_t> to_unix_ms(const icaltimetype &time) {
    if (icaltime_is_null_time(time) || !icaltime_is_valid_time(time)) return std::nullopt;
    time_t seconds = 0;
    if (const icaltimezone *zone = icaltime_get_timezone(time); zone != nullptr) {
        seconds = icaltime_as_timet_with_zone(time, const_cast<icaltimezone *>(zone));
    } else {
        tm local{};
        local.tm_year = time.year - 1900;
        local.tm_mon = time.month - 1;
        local.tm_mday = time.day;
        if (!time.is_date) {
            local.tm_hour = time.hour;
            local.tm_min = time.minute;
            local.tm_sec = time.second;
        }
        local.tm_isdst = -1;
        seconds = mktime(&local);
    }
    if (seconds <= 0) return std::nullopt;
    return static_cast<std::uint64_t>(seconds) * 1'000;
}

// ---- one event

class EventReader {
public:
    EventReader(icalcomponent *calendar, icalcomponent *event, std::uint64_t from_ms,
                std::uint64_t until_ms)
        : calendar_(calendar), event_(event), from_ms_(from_ms), until_ms_(until_ms) {}

    CalendarEvent read(const std::set<std::uint64_t> &replaced) {
        CalendarEvent event;
        event.uid = text_of(ICAL_UID_PROPERTY);
        event.title = text_of(ICAL_SUMMARY_PROPERTY);
        event.lease = lease_text();
        event.is_cancelled = icalcomponent_get_status(event_) == ICAL_STATUS_CANCELLED;
        if (event.uid.empty()) {
            event.problem = "it has no UID";
            return event;
        }
        event.problem = read_times();
        if (!event.problem.empty()) return event;
        for (const std::uint64_t start_ms : replaced) starts_.erase(start_ms);
        for (const std::uint64_t start_ms : starts_)
            event.occurrences.push_back({start_ms, duration_ms_});
        if (event.occurrences.size() > kCalendarOccurrencesMax) {
            event.problem =
                "it takes place more than " + std::to_string(kCalendarOccurrencesMax) + " times";
            event.occurrences.clear();
        }
        return event;
    }

    // Of an event that replaces one occurrence of another: which. nullopt: it does not.
    std::optional<std::uint64_t> replaces() {
        icalproperty *const property =
            icalcomponent_get_first_property(event_, ICAL_RECURRENCEID_PROPERTY);
        if (property == nullptr) return std::nullopt;
        return to_unix_ms(
            in_zone(calendar_, property, icalproperty_get_recurrenceid(property)).time);
    }
    std::string uid() { return text_of(ICAL_UID_PROPERTY); }

private:
    std::string text_of(icalproperty_kind kind) {
        icalproperty *const property = icalcomponent_get_first_property(event_, kind);
        const char *const text =
            property == nullptr ? nullptr : icalproperty_get_value_as_string(property);
        if (text == nullptr) return {};
        // As SUMMARY:a\, b is written: libical gives its value as it stands in the file.
        icalvalue *const value = icalproperty_get_value(property);
        const char *const plain =
            icalvalue_isa(value) == ICAL_TEXT_VALUE ? icalvalue_get_text(value) : text;
        return plain_text(plain == nullptr ? "" : plain, kTextBytesMax);
    }

    std::string lease_text() {
        for (icalproperty *property = icalcomponent_get_first_property(event_, ICAL_X_PROPERTY);
             property != nullptr;
             property = icalcomponent_get_next_property(event_, ICAL_X_PROPERTY)) {
            const char *const name = icalproperty_get_x_name(property);
            const char *const value = icalproperty_get_x(property);
            if (name != nullptr && value != nullptr && std::string_view(name) == kLeaseProperty) {
                std::string text = plain_text(value, kTextBytesMax);
                std::erase(text, '\\');  // "2\,mem=1G": a comma that some programs escape
                return text;
            }
        }
        return {};
    }

    void add(const std::optional<std::uint64_t> &start_ms) {
        if (start_ms && *start_ms > from_ms_ && *start_ms <= until_ms_) starts_.insert(*start_ms);
    }

    // Why they cannot be known; empty: they are.
    std::string read_times() {
        icalproperty *const start = icalcomponent_get_first_property(event_, ICAL_DTSTART_PROPERTY);
        if (start == nullptr) return "it has no start";
        const When first = in_zone(calendar_, start, icalproperty_get_dtstart(start));
        if (first.has_unknown_zone) return "its time zone is not known";
        const auto first_ms = to_unix_ms(first.time);
        if (!first_ms) return "its start is no time";
        if (std::string problem = read_duration(first.time, *first_ms); !problem.empty())
            return problem;
        add(first_ms);
        if (std::string problem = add_rules(first.time); !problem.empty()) return problem;
        return add_dates();
    }

    std::string read_duration(const icaltimetype &start, std::uint64_t start_ms) {
        icalproperty *const end = icalcomponent_get_first_property(event_, ICAL_DTEND_PROPERTY);
        icalproperty *const duration =
            icalcomponent_get_first_property(event_, ICAL_DURATION_PROPERTY);
        if (end != nullptr) {
            const When last = in_zone(calendar_, end, icalproperty_get_dtend(end));
            if (last.has_unknown_zone) return "the time zone of its end is not known";
            const auto end_ms = to_unix_ms(last.time);
            if (!end_ms || *end_ms <= start_ms) return "it ends before it starts";
            duration_ms_ = *end_ms - start_ms;
        } else if (duration != nullptr) {
            const icaldurationtype length = icalproperty_get_duration(duration);
            const std::int64_t seconds =
                ((std::int64_t{length.weeks} * 7 + length.days) * 24 + length.hours) * 3'600 +
                std::int64_t{length.minutes} * 60 + length.seconds;
            if (icaldurationtype_is_bad_duration(length) || length.is_neg || seconds <= 0)
                return "its duration is none";
            duration_ms_ = static_cast<std::uint64_t>(seconds) * 1'000;
        } else if (start.is_date) {
            duration_ms_ = kDayMs;
        }
        return {};
    }

    std::string add_rules(const icaltimetype &first) {
        std::size_t rules = 0;
        for (icalproperty *property = icalcomponent_get_first_property(event_, ICAL_RRULE_PROPERTY);
             property != nullptr;
             property = icalcomponent_get_next_property(event_, ICAL_RRULE_PROPERTY)) {
            if (++rules > kEventRulesMax) return "it recurs by too many rules";
            const icalrecurrencetype rule = icalproperty_get_rrule(property);
            if (rule.freq == ICAL_SECONDLY_RECURRENCE || rule.freq == ICAL_MINUTELY_RECURRENCE ||
                rule.freq == ICAL_HOURLY_RECURRENCE)
                return "it recurs more often than once a day";
            const Iterator iterator(icalrecur_iterator_new(rule, first));
            if (iterator == nullptr) return "it recurs by a rule that is none";
            std::size_t seen = 0;
            for (icaltimetype next = icalrecur_iterator_next(iterator.get());
                 !icaltime_is_null_time(next); next = icalrecur_iterator_next(iterator.get())) {
                if (++seen > kRecurrencesMax) return "it recurs too often";
                const auto start_ms = to_unix_ms(next);
                if (start_ms && *start_ms > until_ms_) break;
                add(start_ms);
                if (starts_.size() > kCalendarOccurrencesMax) return {};  // read() says so
            }
        }
        if (icalcomponent_get_first_property(event_, ICAL_EXRULE_PROPERTY) != nullptr)
            return "it has an EXRULE, which RFC 5545 has no more";
        return {};
    }

    std::string add_dates() {
        std::size_t dates = 0;
        for (icalproperty *property = icalcomponent_get_first_property(event_, ICAL_RDATE_PROPERTY);
             property != nullptr;
             property = icalcomponent_get_next_property(event_, ICAL_RDATE_PROPERTY)) {
            if (++dates > kEventDatesMax) return "it has too many dates";
            const icaldatetimeperiodtype date = icalproperty_get_rdate(property);
            const bool is_period = icaltime_is_null_time(date.time);
            const When when =
                in_zone(calendar_, property, is_period ? date.period.start : date.time);
            if (when.has_unknown_zone) return "the time zone of a date is not known";
            add(to_unix_ms(when.time));
        }
        for (icalproperty *property =
                 icalcomponent_get_first_property(event_, ICAL_EXDATE_PROPERTY);
             property != nullptr;
             property = icalcomponent_get_next_property(event_, ICAL_EXDATE_PROPERTY)) {
            if (++dates > kEventDatesMax) return "it has too many dates";
            const When when = in_zone(calendar_, property, icalproperty_get_exdate(property));
            if (when.has_unknown_zone) return "the time zone of an excepted date is not known";
            if (const auto start_ms = to_unix_ms(when.time)) starts_.erase(*start_ms);
        }
        return {};
    }

    icalcomponent *const calendar_;
    icalcomponent *const event_;
    const std::uint64_t from_ms_;
    const std::uint64_t until_ms_;
    std::set<std::uint64_t> starts_;
    std::uint64_t duration_ms_ = 0;
};

}  // namespace

Result<std::vector<CalendarEvent>> parse_calendar(std::string_view text, std::uint64_t from_ms,
                                                  std::uint64_t until_ms) {
    if (text.size() > kCalendarBytesMax)
        return make_error(ErrorCode::kTooLarge, "the calendar has more than ", kCalendarBytesMax,
                          " bytes");
    if (text.find('\0') != std::string_view::npos) return corrupt("is no text");
    const std::string lines = unfold(text);
    CHAIN_TRY(check_shape(lines));
    icalerror_set_errors_are_fatal(0);
    const Component calendar(icalparser_parse_string(lines.c_str()));
    if (calendar == nullptr || icalcomponent_isa(calendar.get()) != ICAL_VCALENDAR_COMPONENT)
        return corrupt("has no VCALENDAR");
    for (icalcomponent *zone =
             icalcomponent_get_first_component(calendar.get(), ICAL_VTIMEZONE_COMPONENT);
         zone != nullptr;
         zone = icalcomponent_get_next_component(calendar.get(), ICAL_VTIMEZONE_COMPONENT))
        CHAIN_TRY(check_zone(zone));
    std::vector<icalcomponent *> found;
    for (icalcomponent *event =
             icalcomponent_get_first_component(calendar.get(), ICAL_VEVENT_COMPONENT);
         event != nullptr;
         event = icalcomponent_get_next_component(calendar.get(), ICAL_VEVENT_COMPONENT)) {
        const icalproperty_status status = icalcomponent_get_status(event);
        const bool has_status =
            icalcomponent_get_first_property(event, ICAL_STATUS_PROPERTY) != nullptr;
        if (!has_status || status == ICAL_STATUS_CONFIRMED || status == ICAL_STATUS_CANCELLED)
            found.push_back(event);
    }
    // An occurrence that was moved or cancelled alone is an event of its own.
    std::map<std::string, std::set<std::uint64_t>> replaced;
    for (icalcomponent *event : found) {
        EventReader reader(calendar.get(), event, from_ms, until_ms);
        if (const auto start_ms = reader.replaces()) replaced[reader.uid()].insert(*start_ms);
    }
    std::vector<CalendarEvent> events;
    const std::clock_t began = std::clock();
    for (icalcomponent *event : found) {
        // Some rules have no day in centuries: libical looks at all of these.
        if (std::clock() - began > kCalendarProcessorSMax * CLOCKS_PER_SEC)
            return make_error(ErrorCode::kTooLarge, "the calendar takes too long to work out");
        EventReader reader(calendar.get(), event, from_ms, until_ms);
        const bool is_one_of_many = reader.replaces().has_value();
        events.push_back(
            reader.read(is_one_of_many ? std::set<std::uint64_t>() : replaced[reader.uid()]));
    }
    return events;
}

}  // namespace chain::cli
