// SPDX-License-Identifier: BSD-3-Clause
//
// Plots for a terminal, in block characters, or in ASCII where those cannot be shown.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace chain::cli {

// One hour's value, and what it weighs when several share a column.
struct PlotHour {
    std::int64_t value = 0;
    std::uint64_t weight = 0;  // above zero
};

struct PlotStyle {
    std::size_t columns = 80;  // of the terminal
    std::size_t rows = 6;
    bool utf8 = true;
};

// Bars from the lowest value (one step high) to the highest; an hour without a value is a gap. The
// axis is labelled with both, as tokens, and with `first` and `last` below. Where hours outnumber
// the columns, several share one: the mean by weight. Empty when no hour has a value.
std::string format_plot(const std::vector<std::optional<PlotHour>> &hours, const std::string &first,
                        const std::string &last, const PlotStyle &style);

// $COLUMNS, else those of the terminal at standard output, else 80; within 40 and 400.
std::size_t terminal_columns();
// By the locale's name in the environment: LC_ALL, LC_CTYPE, LANG.
bool terminal_is_utf8();

}  // namespace chain::cli
