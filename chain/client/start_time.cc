// SPDX-License-Identifier: BSD-3-Clause
#include "chain/client/start_time.h"

#include <ctime>
#include <optional>

#include "chain/base/units.h"

namespace chain::client {
namespace {

constexpr std::uint64_t kMinuteMs = 60'000;
constexpr std::uint64_t kOffsetMinutesMax = 14 * 60;  // the largest that any place has

Error bad(std::string_view text, std::string_view why) {
    return make_error(ErrorCode::kInvalidInput, "\"", text, "\" ", why, "\n", kStartTimeForm);
}

// What is left to read of a text.
class Reader {
public:
    explicit Reader(std::string_view text) : left_(text) {}
    bool empty() const { return left_.empty(); }
    bool take(char c) {
        if (left_.empty() || left_.front() != c) return false;
        left_.remove_prefix(1);
        return true;
    }
    // Exactly `digits` of them.
    std::optional<int> number(std::size_t digits) {
        if (left_.size() < digits) return std::nullopt;
        int value = 0;
        for (const char c : left_.substr(0, digits)) {
            if (c < '0' || c > '9') return std::nullopt;
            value = value * 10 + (c - '0');
        }
        left_.remove_prefix(digits);
        return value;
    }

private:
    std::string_view left_;
};

// "08:00" or "08:00:30".
bool read_clock(Reader &reader, tm &at) {
    const auto hour = reader.number(2);
    if (!hour || !reader.take(':')) return false;
    const auto minute = reader.number(2);
    if (!minute) return false;
    at.tm_hour = *hour;
    at.tm_min = *minute;
    if (!reader.take(':')) return true;
    const auto second = reader.number(2);
    if (second) at.tm_sec = *second;
    return second.has_value();
}

bool read_day(Reader &reader, tm &at) {
    const auto year = reader.number(4);
    if (!year || !reader.take('-')) return false;
    const auto month = reader.number(2);
    if (!month || !reader.take('-')) return false;
    const auto day = reader.number(2);
    if (!day) return false;
    at.tm_year = *year - 1900;
    at.tm_mon = *month - 1;
    at.tm_mday = *day;
    return true;
}

// "+01:00", "-0530": minutes east. nullopt: it is none.
std::optional<std::int64_t> read_offset(Reader &reader) {
    const bool is_west = reader.take('-');
    if (!is_west && !reader.take('+')) return std::nullopt;
    const auto hours = reader.number(2);
    if (!hours) return std::nullopt;
    static_cast<void>(reader.take(':'));
    const auto minutes = reader.number(2);
    if (!minutes || *minutes > 59) return std::nullopt;
    const std::int64_t east = *hours * 60 + *minutes;
    if (static_cast<std::uint64_t>(east) > kOffsetMinutesMax) return std::nullopt;
    return is_west ? -east : east;
}

bool is_same_moment(const tm &a, const tm &b) {
    return a.tm_year == b.tm_year && a.tm_mon == b.tm_mon && a.tm_mday == b.tm_mday &&
           a.tm_hour == b.tm_hour && a.tm_min == b.tm_min && a.tm_sec == b.tm_sec;
}

// nullopt: there is no such moment; the C library would take another one.
std::optional<std::uint64_t> to_unix_ms(tm at, bool is_utc) {
    const tm wanted = at;
    if (wanted.tm_hour > 23 || wanted.tm_min > 59 || wanted.tm_sec > 59) return std::nullopt;
    at.tm_isdst = -1;
    time_t seconds = is_utc ? timegm(&at) : mktime(&at);
    if (!is_same_moment(at, wanted)) return std::nullopt;
    if (!is_utc) {  // of one that comes twice, the first
        const time_t earlier = seconds - 3'600;
        tm other{};
        localtime_r(&earlier, &other);
        if (is_same_moment(other, wanted)) seconds = earlier;
    }
    if (seconds < 0) return std::nullopt;
    return static_cast<std::uint64_t>(seconds) * 1'000;
}

Result<std::uint64_t> parse_next(std::string_view text, const tm &clock, std::uint64_t now_ms) {
    const auto now = static_cast<time_t>(now_ms / 1'000);
    tm today{};
    localtime_r(&now, &today);
    // A day on which clocks go forward may lack it: then it is the day after.
    for (int day = 0; day < 3; ++day) {
        tm noon = today;
        noon.tm_mday += day;
        noon.tm_hour = 12;
        noon.tm_min = noon.tm_sec = 0;
        noon.tm_isdst = -1;
        static_cast<void>(mktime(&noon));  // the day's own date, over the end of a month
        tm at = noon;
        at.tm_hour = clock.tm_hour;
        at.tm_min = clock.tm_min;
        at.tm_sec = clock.tm_sec;
        if (const auto ms = to_unix_ms(at, false); ms && *ms > now_ms) return *ms;
    }
    return bad(text, "is no time of a day");
}

}  // namespace

Result<std::uint64_t> parse_start_time(std::string_view text, std::uint64_t now_ms) {
    if (text.empty()) return bad(text, "is no time");
    if (text.front() == '+') {
        const auto wait_ms = parse_duration_ms(text.substr(1));
        if (!wait_ms.ok()) return bad(text, "is no time: " + wait_ms.error().message);
        if (*wait_ms == 0) return bad(text, "is now; leave the start out");
        return now_ms + *wait_ms;
    }
    tm at{};
    Reader clock(text);
    if (text.size() <= 8 && read_clock(clock, at) && clock.empty())
        return parse_next(text, at, now_ms);
    at = {};
    Reader reader(text);
    if (!read_day(reader, at) || !(reader.take('T') || reader.take(' ')) || !read_clock(reader, at))
        return bad(text, "is no time");
    const bool is_local = reader.empty();
    std::int64_t minutes_east = 0;
    if (!is_local && !reader.take('Z')) {
        const auto offset = read_offset(reader);
        if (!offset) return bad(text, "is no time");
        minutes_east = *offset;
    }
    if (!reader.empty()) return bad(text, "is no time");
    const auto ms = to_unix_ms(at, !is_local);
    if (!ms) return bad(text, "does not exist");
    const std::int64_t start_ms =
        static_cast<std::int64_t>(*ms) - minutes_east * static_cast<std::int64_t>(kMinuteMs);
    if (start_ms <= static_cast<std::int64_t>(now_ms)) return bad(text, "has passed");
    return static_cast<std::uint64_t>(start_ms);
}

std::string format_local(std::uint64_t unix_ms) {
    const auto seconds = static_cast<time_t>(unix_ms / 1'000);
    tm local{};
    localtime_r(&seconds, &local);
    char text[64];
    const char *const form = local.tm_sec == 0 ? "%a %Y-%m-%d %H:%M %Z" : "%a %Y-%m-%d %H:%M:%S %Z";
    return std::string(text, strftime(text, sizeof text, form, &local));
}

}  // namespace chain::client
