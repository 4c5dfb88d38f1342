// SPDX-License-Identifier: BSD-3-Clause
#include "chain/client/text.h"

#include <algorithm>

namespace chain::client {
namespace {

bool is_continuation(char c) {
    return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

// Where the fraction of a decimal begins: its point, or its end.
std::size_t whole_width(std::string_view cell) {
    return display_width(cell.substr(0, cell.find('.')));
}

std::string two_digits(std::uint64_t value) {
    std::string text = std::to_string(value);
    return text.size() < 2 ? "0" + text : text;
}

void trim_right(std::string &line) {
    while (!line.empty() && line.back() == ' ') line.pop_back();
}

// `whole`.`tenth` of value/unit.
std::string with_tenth(std::uint64_t value, std::uint64_t unit) {
    const std::uint64_t tenths =
        static_cast<std::uint64_t>(static_cast<unsigned __int128>(value) * 10 / unit);
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10);
}

}  // namespace

std::string printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        // C1 controls are U+0080..U+009F: 0xc2 0x80..0x9f in UTF-8.
        const bool c1 = byte == 0xc2 && i + 1 < text.size() &&
                        static_cast<unsigned char>(text[i + 1]) >= 0x80 &&
                        static_cast<unsigned char>(text[i + 1]) <= 0x9f;
        if (c1) ++i;
        out += c1 || byte < 0x20 || byte == 0x7f ? '?' : text[i];
    }
    return out;
}

std::size_t display_width(std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); }));
}

std::string shorten(std::string_view text, std::size_t width_max) {
    if (width_max == 0 || display_width(text) <= width_max) return std::string(text);
    std::size_t end = 0;
    for (std::size_t width = 0; end < text.size(); ++end) {
        if (is_continuation(text[end])) continue;
        if (++width == width_max) break;
    }
    return std::string(text.substr(0, end)) + "…";
}

std::string short_id(std::string_view hex) {
    return std::string(hex.substr(0, 8));
}

std::string format_share(std::uint64_t part, std::uint64_t whole) {
    if (whole == 0) return "-";
    const auto tenths = static_cast<std::uint64_t>(static_cast<unsigned __int128>(part) * 1000 /
                                                   static_cast<unsigned __int128>(whole));
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + "%";
}

std::string format_elapsed(std::uint64_t ms) {
    const std::uint64_t seconds = ms / 1000;
    if (seconds < 60) return with_tenth(ms, 1000) + "s";
    if (seconds < 3600) return std::to_string(seconds / 60) + "m " + two_digits(seconds % 60) + "s";
    return std::to_string(seconds / 3600) + "h " + two_digits(seconds % 3600 / 60) + "m";
}

std::string format_ago(std::uint64_t then_ms, std::uint64_t now_ms) {
    if (then_ms == 0) return "-";
    const std::uint64_t seconds = now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0;
    if (seconds < 60) return std::to_string(seconds) + " s ago";
    if (seconds < 3600) return std::to_string(seconds / 60) + " min ago";
    if (seconds < 48 * 3600) return std::to_string(seconds / 3600) + " h ago";
    return std::to_string(seconds / (24 * 3600)) + " d ago";
}

std::string format_round_trip(std::uint32_t round_trip_us) {
    return round_trip_us == 0 ? "-" : with_tenth(round_trip_us, 1000);
}

std::string format_size(std::uint64_t size_bytes) {
    constexpr std::string_view kNames[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    std::size_t name = 0;
    std::uint64_t unit = 1;
    while (size_bytes / unit >= 1024 && name + 1 < std::size(kNames)) {
        unit *= 1024;
        ++name;
    }
    std::string number =
        size_bytes % unit == 0 ? std::to_string(size_bytes / unit) : with_tenth(size_bytes, unit);
    return number + " " + std::string(kNames[name]);
}

std::string format_ghz(std::uint64_t hz) {
    const std::uint64_t hundredths = hz / 10'000'000;
    return std::to_string(hundredths / 100) + "." + two_digits(hundredths % 100);
}

std::string format_units(std::int64_t units) {
    const Result<Amount> amount = amount_from_units(units);
    return amount.ok() ? format_tokens(*amount) : "?";
}

void Table::add_row(std::vector<std::string> cells) {
    CHAIN_CHECK(cells.size() == columns_.size());
    for (std::size_t i = 0; i < cells.size(); ++i)
        cells[i] = shorten(printable(cells[i]), columns_[i].width_max);
    rows_.push_back(std::move(cells));
}

std::string Table::format(std::string_view indent) const {
    std::vector<std::string> lines(rows_.size() + 1, std::string(indent));
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        const Column &column = columns_[i];
        std::size_t whole = 0;
        if (column.align == Align::kPoint)
            for (const auto &row : rows_) whole = std::max(whole, whole_width(row[i]));
        std::vector<std::string> cells{column.title};
        for (const auto &row : rows_) {
            const std::size_t pad = column.align == Align::kPoint ? whole - whole_width(row[i]) : 0;
            cells.push_back(std::string(pad, ' ') + row[i]);
        }
        std::size_t width = 0;
        for (const std::string &cell : cells) width = std::max(width, display_width(cell));
        // A heading stands over the numbers' left end when they are aligned by their points.
        const bool right = column.align == Align::kRight;
        for (std::size_t line = 0; line < cells.size(); ++line) {
            const std::string blanks(width - display_width(cells[line]), ' ');
            if (i > 0) lines[line] += "  ";
            lines[line] += right ? blanks + cells[line] : cells[line] + blanks;
        }
    }
    const bool titled = std::any_of(columns_.begin(), columns_.end(),
                                    [](const Column &column) { return !column.title.empty(); });
    std::string out;
    for (std::size_t line = titled ? 0 : 1; line < lines.size(); ++line) {
        trim_right(lines[line]);
        out += lines[line] + "\n";
    }
    return out;
}

}  // namespace chain::client
