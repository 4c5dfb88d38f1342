// SPDX-License-Identifier: BSD-3-Clause
//
// Choices: an input of the fuzzer read from its front as a row of decisions. An exhausted input
// goes on with zeros, so every input, however short, makes a whole value.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "chain/base/bytes.h"

namespace chain::fuzz {

class Choices {
public:
    explicit Choices(std::string_view input) : left_(input) {}

    bool exhausted() const { return left_.empty(); }
    std::uint8_t byte() {
        if (left_.empty()) return 0;
        const auto first = static_cast<std::uint8_t>(left_.front());
        left_.remove_prefix(1);
        return first;
    }
    // Precondition: 0 < bound <= 256.
    std::size_t below(std::size_t bound) { return byte() % bound; }
    // True once in `many`, and when the input is exhausted never.
    bool one_in(unsigned many) { return byte() % many == many - 1; }
    std::uint64_t number(unsigned size_bytes) {
        std::uint64_t value = 0;
        for (unsigned i = 0; i < size_bytes; ++i) value = value << 8 | byte();
        return value;
    }
    Bytes bytes(std::size_t size_bytes_max) {
        const Bytes taken(left_.substr(0, size_bytes_max));
        left_.remove_prefix(taken.size());
        return taken;
    }
    std::string_view rest() const { return left_; }

private:
    std::string_view left_;
};

}  // namespace chain::fuzz
