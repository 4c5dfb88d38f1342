// SPDX-License-Identifier: BSD-3-Clause
//
// Target: how small a header's hash must be, the work that this stands for, and the next target
// after some blocks. Consensus: integers only, defined for every input; nothing here can overflow.
#pragma once

#include <compare>

#include "chain/base/bytes.h"

namespace chain::consensus {

// An unsigned 256-bit number: a hash, read as one, must be smaller. The smaller, the harder; 0 is
// met by no hash.
struct Target {
    Bytes32 bytes{};  // big-endian, so that their order is the order of the numbers
    friend auto operator<=>(const Target &, const Target &) = default;
};

inline constexpr Target kHardestTarget{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};  // 1

// 64 hexadecimal digits, as in a genesis file. Errors: kInvalidInput, kProtocol.
Result<Target> target_from_hex(std::string_view hex);
std::string to_text(const Target &target);
// 2^(256 - bits) - 1: met by hashes with so many leading zero bits. Precondition: bits <= 255.
Target target_of_bits(std::uint32_t bits);

// True if hash < base x multiplier_q16 / 2^16, without rounding: hash x 2^16 (272 bits) and
// base x multiplier_q16 (288 bits) are compared in 320 bits. The hash is read as big-endian.
bool hash_meets(const Bytes32 &hash, const Target &base, std::uint32_t multiplier_q16);

// A number of hashes. 128 bits hold ten billion years of 10^21 hashes a second (all of Bitcoin's in
// 2025), so work that was done never reaches the end; and a sum that would pass it stays there, so
// that no chain gets lighter by a block.
struct Work {
    unsigned __int128 hashes = 0;
    friend auto operator<=>(const Work &, const Work &) = default;
};
inline constexpr Work kMaxWork{~static_cast<unsigned __int128>(0)};

Work add(Work a, Work b);  // at most kMaxWork
// floor(2^256 / (target + 1)), at most kMaxWork, which is what targets below 2^128 get.
Work work_of(const Target &target);
// For people: how many hashes a miner with this multiplier needs on average. kMaxWork for 0.
Work expected_hashes(const Target &base, std::uint32_t multiplier_q16);
std::string to_text(Work work);  // decimal

struct AsertParams {
    Target anchor;                   // of blocks that come exactly in time
    std::uint64_t spacing_ms = 0;    // from block to block
    std::uint64_t half_life_ms = 0;  // so much behind the schedule, blocks are twice as easy
    Target easiest;                  // no target is above it; at least 1
};

// The target of the block after `parent`: the absolutely scheduled exponential rule (ASERT; M. B.
// Lundeberg, "Static difficulty adjustments, with absolutely scheduled exponentially rising
// targets", 2020):
//   x = (parent_time - anchor_time - spacing x parent_height) / half_life
//   target = anchor x 2^x, within [1, easiest]
// It depends on the parent's time and height alone, not on the blocks between.
//   x is rounded down to 1/65536, 2^(fraction of x) is a product of 16 table entries in Q32, and
//   the target is rounded down. Together: never above the exact target, and below it by less than
//   11 millionths plus 1.
// A later parent never gives a harder target, nor does a lower one.
// `parent_height` is counted from the block whose time is `anchor_time_ms` (height 0).
// Precondition: half_life_ms > 0, easiest > 0.
Target asert(const AsertParams &params, std::uint64_t anchor_time_ms, std::uint64_t parent_time_ms,
             std::uint64_t parent_height);

}  // namespace chain::consensus
