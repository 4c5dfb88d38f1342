// SPDX-License-Identifier: BSD-3-Clause
//
// Random targets for property tests, and numbers of any length as one computes with them on paper.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <random>
#include <vector>

#include "chain/consensus/target.h"

namespace chain::consensus {

// A generator whose seed is in the test's output.
inline std::mt19937_64 seeded_random() {
    const std::uint64_t seed = std::random_device{}();
    std::cout << "seed " << seed << std::endl;
    return std::mt19937_64(seed);
}

// Of any length, so that small ones come as often as large ones.
inline std::uint64_t random_u64(std::mt19937_64 &random) {
    return random() >> random() % 64;
}

inline Target random_target(std::mt19937_64 &random) {
    Target target;
    const std::size_t zeros = random() % 32;
    for (std::size_t i = zeros; i < 32; ++i) target.bytes[i] = static_cast<std::uint8_t>(random());
    if (random() % 8 == 0) std::fill(target.bytes.begin() + zeros, target.bytes.end(), 0xff);
    return target;
}

inline Target power_of_two(unsigned bit) {
    Target target;
    target.bytes[31 - bit / 8] = static_cast<std::uint8_t>(1u << bit % 8);
    return target;
}

inline Target all_ones() {
    Target target;
    target.bytes.fill(0xff);
    return target;
}

// Digits in base 65536, the lowest first, without zeros at the top.
using Big = std::vector<std::uint32_t>;

inline Big trimmed(Big number) {
    while (!number.empty() && number.back() == 0) number.pop_back();
    return number;
}

inline Big big(unsigned __int128 value) {
    Big number;
    for (; value != 0; value >>= 16) number.push_back(static_cast<std::uint32_t>(value & 0xffff));
    return number;
}

inline Big big(const Bytes32 &bytes) {
    Big number;
    for (int i = 31; i > 0; i -= 2)
        number.push_back(static_cast<std::uint32_t>(bytes[i - 1] << 8 | bytes[i]));
    return trimmed(number);
}

inline Big big_power_of_two(unsigned bit) {
    Big number(bit / 16 + 1, 0);
    number.back() = 1u << bit % 16;
    return number;
}

inline Big plus(const Big &a, const Big &b) {
    Big sum(std::max(a.size(), b.size()) + 1, 0);
    for (std::size_t i = 0; i + 1 < sum.size(); ++i) {
        sum[i] += (i < a.size() ? a[i] : 0) + (i < b.size() ? b[i] : 0);
        sum[i + 1] = sum[i] >> 16;
        sum[i] &= 0xffff;
    }
    return trimmed(sum);
}

inline Big times(const Big &a, const Big &b) {
    Big product(a.size() + b.size() + 1, 0);
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::uint64_t carry = 0;
        for (std::size_t j = 0; i + j < product.size(); ++j) {
            carry += product[i + j] + std::uint64_t{a[i]} * (j < b.size() ? b[j] : 0);
            product[i + j] = static_cast<std::uint32_t>(carry & 0xffff);
            carry >>= 16;
        }
    }
    return trimmed(product);
}

inline bool less(const Big &a, const Big &b) {
    if (a.size() != b.size()) return a.size() < b.size();
    return std::lexicographical_compare(a.rbegin(), a.rend(), b.rbegin(), b.rend());
}

}  // namespace chain::consensus
