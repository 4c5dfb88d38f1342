// SPDX-License-Identifier: BSD-3-Clause
#include "chain/consensus/target.h"

#include <algorithm>
#include <bit>

namespace chain::consensus {
namespace {

using Wide = unsigned __int128;
using Signed = __int128;

// 320 bits, least significant limb first: room for a target times a 33-bit factor.
using Limbs = std::array<std::uint64_t, 5>;

Limbs limbs_of(const Bytes32 &big_endian) {
    Limbs limbs{};
    for (std::size_t i = 0; i < 4; ++i)
        limbs[i] = read_u64_be(view_of(big_endian).substr(24 - 8 * i));
    return limbs;
}

// Precondition: below 2^256.
Target target_of(const Limbs &limbs) {
    Target target;
    for (std::size_t i = 0; i < target.bytes.size(); ++i)
        target.bytes[31 - i] = static_cast<std::uint8_t>(limbs[i / 8] >> (i % 8 * 8));
    return target;
}

bool less(const Limbs &a, const Limbs &b) {
    return std::lexicographical_compare(a.rbegin(), a.rend(), b.rbegin(), b.rend());
}

// Precondition: the product is below 2^320.
Limbs times(const Limbs &a, std::uint64_t factor) {
    Limbs product{};
    Wide carry = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        carry += static_cast<Wide>(a[i]) * factor;
        product[i] = static_cast<std::uint64_t>(carry);
        carry >>= 64;
    }
    return product;
}

// Precondition: b <= a.
Limbs minus(const Limbs &a, const Limbs &b) {
    Limbs difference{};
    std::uint64_t borrow = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        difference[i] = a[i] - b[i] - borrow;
        borrow = a[i] < b[i] || (a[i] == b[i] && borrow == 1) ? 1 : 0;
    }
    return difference;
}

int bit_length(const Limbs &limbs) {
    for (int i = 4; i >= 0; --i)
        if (limbs[i] != 0) return i * 64 + std::bit_width(limbs[i]);
    return 0;
}

// limbs x 2^bits, rounded down. Precondition: the result is below 2^320, and bits > -320.
Limbs shifted(const Limbs &limbs, int bits) {
    const int whole = bits >> 6;  // limbs, rounded down; then 0 .. 63 bits up
    const int rest = bits & 63;
    const auto at = [&](int i) { return i >= 0 && i < 5 ? limbs[i] : 0; };
    Limbs result{};
    for (int i = 0; i < 5; ++i) {
        const Wide pair = static_cast<Wide>(at(i - whole)) << 64 | at(i - whole - 1);
        result[i] = static_cast<std::uint64_t>(pair >> (64 - rest));
    }
    return result;
}

// 2^(2^-(i + 1)) in Q32, rounded down: the largest t with t^n <= 2^(32 n + 1), n = 2^(i + 1).
constexpr std::array<std::uint64_t, 16> kRoots = {
    0x16a09e667, 0x1306fe0a3, 0x1172b83c7, 0x10b5586cf, 0x1059b0d31, 0x102c9a3e7,
    0x10163da9f, 0x100b1afa5, 0x10058c86d, 0x1002c605e, 0x100162f39, 0x1000b175e,
    0x100058ba0, 0x10002c5cc, 0x1000162e5, 0x10000b172};

// 2^(fraction / 65536) in Q32: the roots of the bits that are set, from the highest, each product
// rounded down. 16 roots and 16 products, each short by less than 2^-32 of it: in all below 2^-27,
// while neighbours are 2^-16.5 apart, so the result rises with the fraction; and it is below 2.
std::uint64_t exp2_q32(std::uint32_t fraction) {
    Wide product = Wide{1} << 32;
    for (std::size_t i = 0; i < kRoots.size(); ++i)
        if ((fraction >> (15 - i) & 1) != 0) product = product * kRoots[i] >> 32;
    return static_cast<std::uint64_t>(product);
}

// a / b, rounded down. Precondition: b > 0.
Signed divide_down(Signed a, Signed b) {
    return a / b - (a % b < 0 ? 1 : 0);
}

}  // namespace

Result<Target> target_from_hex(std::string_view hex) {
    CHAIN_ASSIGN(const Bytes32 bytes, bytes32_from_hex(hex, "the target"));
    return Target{bytes};
}

Target target_of_bits(std::uint32_t bits) {
    CHAIN_CHECK(bits <= 255);
    Target target;
    target.bytes.fill(0xff);
    for (std::uint32_t bit = 0; bit < bits; ++bit)
        target.bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80u >> bit % 8));
    return target;
}

std::string to_text(const Target &target) {
    return to_hex(target.bytes);
}

bool hash_meets(const Bytes32 &hash, const Target &base, std::uint32_t multiplier_q16) {
    return less(times(limbs_of(hash), 1u << 16), times(limbs_of(base.bytes), multiplier_q16));
}

Work add(Work a, Work b) {
    return b.hashes > kMaxWork.hashes - a.hashes ? kMaxWork : Work{a.hashes + b.hashes};
}

// Long division of 2^256 by target + 1, bit by bit. The quotient's upper half is 0, as the divisor
// is above 2^128; so the remainder after it is 2^128.
Work work_of(const Target &target) {
    Limbs divisor = limbs_of(target.bytes);
    for (std::uint64_t &limb : divisor)
        if (++limb != 0) break;
    const Limbs half{0, 0, 1};  // 2^128
    if (!less(half, divisor)) return kMaxWork;
    Limbs remainder = half;
    Work quotient;
    for (int bit = 0; bit < 128; ++bit) {
        remainder = shifted(remainder, 1);
        quotient.hashes <<= 1;
        if (less(remainder, divisor)) continue;
        remainder = minus(remainder, divisor);
        quotient.hashes |= 1;
    }
    return quotient;
}

// work x 2^16 / multiplier, rounded down: the quotient's part and the remainder's.
Work expected_hashes(const Target &base, std::uint32_t multiplier_q16) {
    const Work work = work_of(base);
    if (multiplier_q16 == 0) return kMaxWork;
    const Wide quotient = work.hashes / multiplier_q16;
    const Wide remainder = work.hashes % multiplier_q16;
    if (work == kMaxWork || quotient > kMaxWork.hashes >> 16) return kMaxWork;
    return add(Work{quotient << 16}, Work{(remainder << 16) / multiplier_q16});
}

std::string to_text(Work work) {
    std::string digits;
    do {
        digits += static_cast<char>('0' + static_cast<int>(work.hashes % 10));
        work.hashes /= 10;
    } while (work.hashes != 0);
    return {digits.rbegin(), digits.rend()};
}

Target asert(const AsertParams &params, std::uint64_t anchor_time_ms, std::uint64_t parent_time_ms,
             std::uint64_t parent_height) {
    CHAIN_CHECK(params.half_life_ms > 0 && params.easiest >= kHardestTarget);
    // Room for 16 more bits. At the limit x is about -2^32: every target is 1 long before.
    constexpr Wide kScheduleMax = Wide{1} << 96;
    const Wide schedule_ms =
        std::min(static_cast<Wide>(params.spacing_ms) * parent_height, kScheduleMax);
    const Signed late_ms = static_cast<Signed>(parent_time_ms) -
                           static_cast<Signed>(anchor_time_ms) - static_cast<Signed>(schedule_ms);
    const Signed x_q16 = divide_down(late_ms * 65536, params.half_life_ms);
    const std::uint64_t factor_q32 = exp2_q32(static_cast<std::uint32_t>(x_q16 & 0xffff));
    // Beyond 2^512 and 2^-512 any target has reached its limit.
    const int halvings = static_cast<int>(std::clamp<Signed>(x_q16 >> 16, -512, 512));

    const Limbs product = times(limbs_of(params.anchor.bytes), factor_q32);
    const int shift = halvings - 32;
    const int length = bit_length(product);
    if (length + shift <= 0) return kHardestTarget;
    if (length + shift > 256) return params.easiest;
    return std::clamp(target_of(shifted(product, shift)), kHardestTarget, params.easiest);
}

}  // namespace chain::consensus
