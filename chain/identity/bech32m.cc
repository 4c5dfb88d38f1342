// SPDX-License-Identifier: BSD-3-Clause
#include "chain/identity/bech32m.h"

namespace chain::bech32m {
namespace {

constexpr std::string_view kAlphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
constexpr std::uint32_t kFinalConstant = 0x2bc830a3;  // BIP 350; BIP 173 had 1
constexpr std::size_t kChecksumGroups = 6;

// The remainder of the groups, as a polynomial over GF(32), by BIP 173's generator.
std::uint32_t remainder(const std::vector<std::uint8_t> &groups) {
    static constexpr std::uint32_t kGenerator[] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd,
                                                   0x2a1462b3};
    std::uint32_t value = 1;
    for (const std::uint8_t group : groups) {
        const std::uint32_t top = value >> 25;
        value = (value & 0x1ffffff) << 5 ^ group;
        for (int bit = 0; bit < 5; ++bit)
            if ((top >> bit & 1) != 0) value ^= kGenerator[bit];
    }
    return value;
}

std::vector<std::uint8_t> expand_prefix(std::string_view prefix) {
    std::vector<std::uint8_t> expanded;
    for (const char c : prefix) expanded.push_back(static_cast<std::uint8_t>(c) >> 5);
    expanded.push_back(0);
    for (const char c : prefix) expanded.push_back(static_cast<std::uint8_t>(c) & 31);
    return expanded;
}

Error bad(std::string_view why) {
    return make_error(ErrorCode::kInvalidInput, "the text ", why);
}

// Lower case of `text`, which must be printable ASCII of one case.
Result<std::string> to_one_case(std::string_view text) {
    bool has_lower = false, has_upper = false;
    std::string lower;
    for (const char c : text) {
        if (c < 33 || c > 126)
            return bad(
                "holds a character that is not printable ASCII; one that ends with … is "
                "shortened, and --json shows it whole");
        has_lower |= c >= 'a' && c <= 'z';
        has_upper |= c >= 'A' && c <= 'Z';
        lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    if (has_lower && has_upper) return bad("mixes capital and small letters");
    return lower;
}

}  // namespace

std::string encode(std::string_view prefix, const std::vector<std::uint8_t> &groups) {
    CHAIN_CHECK(!prefix.empty() &&
                prefix.size() + 1 + groups.size() + kChecksumGroups <= kMaxTextBytes);
    std::vector<std::uint8_t> all = expand_prefix(prefix);
    all.insert(all.end(), groups.begin(), groups.end());
    all.resize(all.size() + kChecksumGroups);
    const std::uint32_t checksum = remainder(all) ^ kFinalConstant;
    std::string text(prefix);
    text += '1';
    for (const std::uint8_t group : groups) {
        CHAIN_CHECK(group < 32);
        text += kAlphabet[group];
    }
    for (int shift = 25; shift >= 0; shift -= 5) text += kAlphabet[checksum >> shift & 31];
    return text;
}

Result<Decoded> decode(std::string_view text) {
    if (text.size() > kMaxTextBytes) return bad("is longer than 90 characters");
    CHAIN_ASSIGN(const std::string lower, to_one_case(text));
    const std::size_t separator = lower.rfind('1');
    if (separator == std::string::npos) return bad("has no separator \"1\"");
    if (separator == 0) return bad("has no prefix before \"1\"");
    if (lower.size() - separator - 1 < kChecksumGroups) return bad("is too short");
    Decoded decoded;
    decoded.prefix = lower.substr(0, separator);
    for (const char c : lower.substr(separator + 1)) {
        const std::size_t group = kAlphabet.find(c);
        if (group == std::string_view::npos)
            return bad(std::string("holds \"") + c + "\", which no address has");
        decoded.groups.push_back(static_cast<std::uint8_t>(group));
    }
    std::vector<std::uint8_t> all = expand_prefix(decoded.prefix);
    all.insert(all.end(), decoded.groups.begin(), decoded.groups.end());
    if (remainder(all) != kFinalConstant)
        return bad("has a wrong checksum: at least one character was mistyped");
    decoded.groups.resize(decoded.groups.size() - kChecksumGroups);
    return decoded;
}

std::vector<std::uint8_t> to_groups(std::string_view bytes) {
    std::vector<std::uint8_t> groups;
    std::uint32_t waiting = 0;
    int waiting_bits = 0;
    for (const char byte : bytes) {
        waiting = (waiting << 8 | static_cast<unsigned char>(byte)) & 0xfff;
        for (waiting_bits += 8; waiting_bits >= 5; waiting_bits -= 5)
            groups.push_back(waiting >> (waiting_bits - 5) & 31);
    }
    if (waiting_bits > 0) groups.push_back(waiting << (5 - waiting_bits) & 31);
    return groups;
}

Result<Bytes> from_groups(const std::vector<std::uint8_t> &groups) {
    Bytes bytes;
    std::uint32_t waiting = 0;
    int waiting_bits = 0;
    for (const std::uint8_t group : groups) {
        waiting = (waiting << 5 | group) & 0xfff;
        waiting_bits += 5;
        if (waiting_bits >= 8) {
            waiting_bits -= 8;
            bytes += static_cast<char>(waiting >> waiting_bits);
        }
    }
    if (waiting_bits >= 5 || (waiting & ((1U << waiting_bits) - 1)) != 0)
        return bad("does not end on a whole byte");
    return bytes;
}

}  // namespace chain::bech32m
