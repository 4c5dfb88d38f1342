// SPDX-License-Identifier: BSD-3-Clause
//
// Text for terminals: aligned tables, amounts with their points one below the other, and strings
// of strangers made harmless.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chain/base/units.h"

namespace chain::client {

// `text` with each control character (escape sequences, line ends, C1) replaced by '?': host
// names, reasons and commands come from other people's machines.
std::string printable(std::string_view text);

// Columns that `text` takes on a terminal: UTF-8 characters, each one wide.
std::size_t display_width(std::string_view text);
// Cut to `width_max` columns, the last one "…" when something was cut.
std::string shorten(std::string_view text, std::size_t width_max);
// First eight digits of a hex identifier.
std::string short_id(std::string_view hex);

// "4.2%" of `part` in `whole`, rounded down to a tenth; "-" of nothing.
std::string format_share(std::uint64_t part, std::uint64_t whole);
// "11m 03s", "2h 00m", "4.2s".
std::string format_elapsed(std::uint64_t ms);
// "3 min ago": what `then_ms` is seen from `now_ms`; "-" for 0.
// "0.4": milliseconds of microseconds; "-": not known.
std::string format_round_trip(std::uint32_t round_trip_us);
std::string format_ago(std::uint64_t then_ms, std::uint64_t now_ms);
// "512 MiB", "1.5 GiB".
std::string format_size(std::uint64_t size_bytes);
// "3.53" GHz of a frequency in Hz.
std::string format_ghz(std::uint64_t hz);
// Tokens of base units as they came over the wire; "?" for a number that is no amount.
std::string format_units(std::int64_t units);

enum class Align { kLeft, kRight, kPoint };  // kPoint: decimal points one below the other

// A table: a header line and rows, columns two spaces apart, no trailing blanks.
class Table {
public:
    struct Column {
        std::string title;
        Align align = Align::kLeft;
        std::size_t width_max = 60;  // longer cells are shortened
    };
    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
    // One cell per column. Cells are made printable.
    void add_row(std::vector<std::string> cells);
    bool empty() const { return rows_.empty(); }
    // Every line starts with `indent` and ends with a line feed. Without titles if all are empty.
    std::string format(std::string_view indent = "") const;

private:
    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

}  // namespace chain::client
