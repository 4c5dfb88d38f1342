// SPDX-License-Identifier: BSD-3-Clause
#include "chain/cli/plot.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

#include "chain/base/units.h"
#include "chain/client/text.h"

namespace chain::cli {
namespace {

constexpr std::size_t kColumnsMin = 40, kColumnsMax = 400;
constexpr std::size_t kColumnsPerHourMax = 3;
// Steps of one character.
constexpr std::array<const char *, 9> kBlocks = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array<const char *, 2> kAscii = {" ", "#"};

using Columns = std::vector<std::optional<std::int64_t>>;

// The mean of hours [from, to) by weight, rounded down: this is for the eye.
std::optional<std::int64_t> mean(const std::vector<std::optional<PlotHour>> &hours,
                                 std::size_t from, std::size_t to) {
    unsigned __int128 sum = 0, weight = 0;
    for (std::size_t i = from; i < std::min(to, hours.size()); ++i) {
        if (!hours[i]) continue;
        sum += static_cast<unsigned __int128>(hours[i]->value) * hours[i]->weight;
        weight += hours[i]->weight;
    }
    if (weight == 0) return std::nullopt;
    return static_cast<std::int64_t>(sum / weight);
}

// Hours to columns: several columns an hour, or several hours a column.
Columns columns_of(const std::vector<std::optional<PlotHour>> &hours, std::size_t count_max) {
    const std::size_t hours_per_column = (hours.size() + count_max - 1) / count_max;
    const std::size_t columns_per_hour =
        std::clamp<std::size_t>(count_max / hours.size(), 1, kColumnsPerHourMax);
    Columns columns;
    for (std::size_t at = 0; at < hours.size(); at += hours_per_column)
        columns.insert(columns.end(), columns_per_hour, mean(hours, at, at + hours_per_column));
    return columns;
}

struct Range {
    std::int64_t low = 0, high = 0;
};

std::optional<Range> range_of(const Columns &columns) {
    std::optional<Range> range;
    for (const auto &value : columns) {
        if (!value) continue;
        if (!range) range = {*value, *value};
        range = {std::min(range->low, *value), std::max(range->high, *value)};
    }
    return range;
}

// Steps from 1 to `step_count`; all of them when there is only one value.
std::size_t steps_of(std::int64_t value, const Range &range, std::size_t step_count) {
    if (range.high == range.low) return step_count;
    const auto above = static_cast<unsigned __int128>(value - range.low);
    const auto whole = static_cast<unsigned __int128>(range.high - range.low);
    return 1 + static_cast<std::size_t>(above * (step_count - 1) / whole);
}

// Below the ends of an axis of `width` that begins at `indent`; further left where it is too
// narrow.
std::string times_line(const std::string &first, const std::string &last, std::size_t indent,
                       std::size_t width, std::size_t columns) {
    const std::size_t both = first.size() + last.size() + 1;
    const std::size_t begin = std::min(indent, columns > both ? columns - both : 0);
    return std::string(begin, ' ') + first + std::string(width > both ? width - both + 1 : 1, ' ') +
           last;
}

template <std::size_t kSteps>
std::string draw(const Columns &columns, const Range &range, std::size_t row_count,
                 const std::array<const char *, kSteps> &marks, std::size_t label_width,
                 std::string_view axis) {
    constexpr std::size_t kPerRow = kSteps - 1;
    std::string out;
    for (std::size_t row = row_count; row-- > 0;) {
        std::string label;
        if (row == row_count - 1) label = client::format_units(range.high);
        if (row == 0) label = client::format_units(range.low);
        std::string line(label_width - label.size(), ' ');
        line += label + " " + std::string(axis);
        for (const auto &value : columns) {
            const std::size_t steps =
                value ? steps_of(*value, range, row_count * kPerRow) : std::size_t{0};
            const std::size_t below = row * kPerRow;
            line += marks[steps > below ? std::min(steps - below, kPerRow) : 0];
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    }
    return out;
}

}  // namespace

std::string format_plot(const std::vector<std::optional<PlotHour>> &hours, const std::string &first,
                        const std::string &last, const PlotStyle &style) {
    if (hours.empty()) return {};
    // The labels' width depends on the columns' values and these on the width: a first guess with
    // the widest label that the hours can give is never too wide.
    std::size_t label_width = 0;
    for (const auto &hour : hours)
        if (hour) label_width = std::max(label_width, client::format_units(hour->value).size());
    if (label_width == 0) return {};
    constexpr std::size_t kAxisWidth = 2;
    const std::size_t taken = std::min(label_width + kAxisWidth, style.columns - 1);
    const Columns columns = columns_of(hours, std::max<std::size_t>(style.columns - taken, 1));
    const Range range = *range_of(columns);
    label_width =
        std::max(client::format_units(range.low).size(), client::format_units(range.high).size());
    const std::size_t row_count =
        range.low == range.high ? 1 : std::max<std::size_t>(style.rows, 2);
    std::string out = style.utf8 ? draw(columns, range, row_count, kBlocks, label_width, "│")
                                 : draw(columns, range, row_count, kAscii, label_width, "|");
    const std::string margin(label_width + 1, ' ');
    out += margin + (style.utf8 ? "└" : "+");
    for (std::size_t i = 0; i < columns.size(); ++i) out += style.utf8 ? "─" : "-";
    return out + "\n" +
           times_line(first, last, label_width + kAxisWidth, columns.size(), style.columns) + "\n";
}

std::size_t terminal_columns() {
    std::uint64_t columns = 80;
    const char *given = std::getenv("COLUMNS");
    const auto parsed = given == nullptr ? parse_integer("", 1, 1, "COLUMNS")
                                         : parse_integer(given, 1, 100'000, "COLUMNS");
    winsize size{};
    if (parsed.ok())
        columns = *parsed;
    else if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        columns = size.ws_col;
    return std::clamp<std::size_t>(columns, kColumnsMin, kColumnsMax);
}

bool terminal_is_utf8() {
    for (const char *name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
        const char *value = std::getenv(name);
        if (value == nullptr || *value == '\0') continue;
        std::string locale(value);
        std::transform(locale.begin(), locale.end(), locale.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        return locale.find("utf-8") != std::string::npos ||
               locale.find("utf8") != std::string::npos;
    }
    return false;
}

}  // namespace chain::cli
