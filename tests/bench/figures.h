// SPDX-License-Identifier: BSD-3-Clause
//
// What the benches share: a clock, figures as they are printed, and keys.
#pragma once

#include <string>
#include <vector>

#include "chain/base/result.h"
#include "chain/identity/keys.h"

namespace chain::bench {

// Floating point is for printing alone.
double now_s();
double median(std::vector<double> values);
// `ppm` parts in a million of the values are at or below it.
double percentile(std::vector<double> values, std::size_t ppm);
// NAME = VALUE UNIT, and how it compares with a goal: "(goal >= X) ok|short".
void figure(const std::string &name, double value, const std::string &unit);
void figure_at_least(const std::string &name, double value, const std::string &unit, double goal);
void figure_at_most(const std::string &name, double value, const std::string &unit, double goal);

// Value or an end with the reason: a bench has nobody to hand errors to.
template <class T>
T must(Result<T> result) {
    if (!result.ok()) check_failed("bench", 0, result.error().message.c_str());
    return std::move(result).value();
}
inline void must(const Status &status) {
    if (!status.ok()) check_failed("bench", 0, status.error().message.c_str());
}

KeyPair numbered_key(std::uint32_t number);

}  // namespace chain::bench
