// SPDX-License-Identifier: BSD-3-Clause
//
// Properties: what must hold for any figures. A property draws its figures from a Draw and returns
// what is wrong, or nothing. The draws of a failing case are made smaller for as long as it still
// fails, so that what is printed is a case that a person can follow. One thread.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace incentive::test {

class Draw {
public:
    explicit Draw(std::uint64_t seed) : state_(seed), replayed_(false) {}
    // The same case again: these draws in their order, then zeros.
    explicit Draw(std::vector<std::uint64_t> draws) : draws_(std::move(draws)), replayed_(true) {}

    // 0 .. most, evenly.
    std::uint64_t up_to(std::uint64_t most) {
        if (replayed_) return at_ < draws_.size() ? std::min(draws_[at_++], most) : 0;
        const std::uint64_t drawn = most == UINT64_MAX ? next() : next() % (most + 1);
        draws_.push_back(drawn);
        return drawn;
    }
    // 0 .. most, small and large magnitudes alike.
    std::uint64_t sized(std::uint64_t most) {
        const auto bits = up_to(static_cast<std::uint64_t>(std::bit_width(most)));
        return std::min(most, up_to(bits == 64 ? UINT64_MAX : (std::uint64_t{1} << bits) - 1));
    }
    bool coin() { return up_to(1) == 1; }

    const std::vector<std::uint64_t> &draws() const { return draws_; }
    void restart(std::uint64_t seed) {
        state_ = seed;
        draws_.clear();
    }

private:
    // SplitMix64 (Steele, Lea and Flood 2014): a new seed for each case costs nothing.
    std::uint64_t next() {
        std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }

    std::uint64_t state_ = 0;
    std::vector<std::uint64_t> draws_;
    std::size_t at_ = 0;
    bool replayed_;
};

// What is wrong with the case, or "" when the property holds.
using Property = std::function<std::string(Draw &)>;

// Draws that still fail, none of which can be left out, zeroed, halved or lowered by one alone.
inline std::vector<std::uint64_t> shrunk(std::vector<std::uint64_t> draws,
                                         const Property &property) {
    constexpr int kTriesMost = 20'000;
    int tries = 0;
    const auto still_fails = [&](const std::vector<std::uint64_t> &smaller) {
        Draw draw(smaller);
        return ++tries <= kTriesMost && !property(draw).empty();
    };
    for (bool progress = true; progress && tries < kTriesMost;) {
        progress = false;
        for (std::size_t i = 0; i < draws.size(); ++i) {
            std::vector<std::uint64_t> smaller = draws;
            smaller.erase(smaller.begin() + static_cast<std::ptrdiff_t>(i));
            if (still_fails(smaller)) {
                draws = smaller;
                progress = true;
                continue;
            }
            for (const std::uint64_t value : {std::uint64_t{0}, draws[i] / 2, draws[i] - 1}) {
                smaller = draws;
                smaller[i] = value;
                if (draws[i] == 0 || !still_fails(smaller)) continue;
                draws = smaller;
                progress = true;
                break;
            }
        }
    }
    return draws;
}

// Another seed each time; PROPERTY_SEED=... runs a failed one again.
inline void for_all(int cases, const Property &property) {
    const char *fixed = std::getenv("PROPERTY_SEED");
    const std::uint64_t seed =
        fixed != nullptr ? std::strtoull(fixed, nullptr, 10) : std::random_device{}();
    std::mt19937_64 seeds(seed);
    Draw draw(seed);
    for (int i = 0; i < cases; ++i) {
        draw.restart(seeds());
        if (property(draw).empty()) continue;
        Draw smallest(shrunk(draw.draws(), property));
        const std::string wrong = property(smallest);
        ADD_FAILURE() << "PROPERTY_SEED=" << seed << ", case " << i << ", made smaller: " << wrong;
        return;
    }
}

// "a=1 b=2": how a property says which figures it drew.
template <class... Parts>
std::string say(const Parts &...parts) {
    std::ostringstream out;
    ((out << parts << ' '), ...);
    return out.str();
}

}  // namespace incentive::test
