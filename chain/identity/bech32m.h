// SPDX-License-Identifier: BSD-3-Clause
//
// Bech32m (BIP 350): text with a checksum that finds up to four wrong characters.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chain/base/bytes.h"

namespace chain::bech32m {

inline constexpr std::size_t kMaxTextBytes = 90;  // BIP 173

struct Decoded {
    std::string prefix;                // lower case
    std::vector<std::uint8_t> groups;  // of five bits, without the checksum
};

// Precondition: `prefix` is lower case, every group < 32, the result within kMaxTextBytes.
std::string encode(std::string_view prefix, const std::vector<std::uint8_t> &groups);
// Errors: kInvalidInput: length, character, mixed case, separator or checksum, said in words.
Result<Decoded> decode(std::string_view text);

// Eight-bit to five-bit groups, filled up with zero bits.
std::vector<std::uint8_t> to_groups(std::string_view bytes);
// Errors: kInvalidInput when the filling is not zero, or a whole group.
Result<Bytes> from_groups(const std::vector<std::uint8_t> &groups);

}  // namespace chain::bech32m
