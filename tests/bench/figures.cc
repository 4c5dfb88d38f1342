// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/figures.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace chain::bench {

double now_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

double median(std::vector<double> values) {
    CHAIN_CHECK(!values.empty());
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

double percentile(std::vector<double> values, std::size_t ppm) {
    CHAIN_CHECK(!values.empty());
    std::sort(values.begin(), values.end());
    return values[std::min(values.size() - 1, values.size() * ppm / 1'000'000)];
}

void figure(const std::string &name, double value, const std::string &unit) {
    std::printf("%s = %.2f %s\n", name.c_str(), value, unit.c_str());
    std::fflush(stdout);
}

static void figure_with_goal(const std::string &name, double value, const std::string &unit,
                             const char *order, double goal, bool is_met) {
    std::printf("%s = %.2f %s (goal %s %g) %s\n", name.c_str(), value, unit.c_str(), order, goal,
                is_met ? "ok" : "short");
    std::fflush(stdout);
}

void figure_at_least(const std::string &name, double value, const std::string &unit, double goal) {
    figure_with_goal(name, value, unit, ">=", goal, value >= goal);
}

void figure_at_most(const std::string &name, double value, const std::string &unit, double goal) {
    figure_with_goal(name, value, unit, "<=", goal, value <= goal);
}

KeyPair numbered_key(std::uint32_t number) {
    Bytes32 secret{};
    secret[0] = 1;
    for (int i = 0; i < 4; ++i)
        secret[28 + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(number >> 8 * i);
    return must(KeyPair::from_secret(secret));
}

}  // namespace chain::bench
