// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/text.h"

#include <cstdint>

namespace chain {
namespace {

constexpr std::string_view kEllipsis = "\u2026";

// Bytes of the character that `text` begins with; 0: it begins with none, or with a control one.
std::size_t character_bytes(std::string_view text) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    if (byte(0) < 0x80) return byte(0) >= 0x20 && byte(0) != 0x7f ? 1 : 0;
    const std::size_t size = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : byte(0) >= 0xc0 ? 2 : 0;
    if (size == 0 || size > text.size()) return 0;
    std::uint32_t code = byte(0) & (0xffu >> (size + 1));
    for (std::size_t i = 1; i < size; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return 0;
        code = code << 6 | (byte(i) & 0x3fu);
    }
    constexpr std::uint32_t kLeast[] = {0, 0, 0xa0, 0x800, 0x10000};  // 0x80 to 0x9f are controls
    const bool is_character =
        code >= kLeast[size] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    return is_character ? size : 0;
}

}  // namespace

std::string plain_text(std::string_view text, std::size_t bytes_max) {
    std::string plain;
    std::size_t fits = 0;  // of `plain`, with the ellipsis behind it
    while (!text.empty()) {
        const std::size_t size = character_bytes(text);
        if (plain.size() + kEllipsis.size() <= bytes_max) fits = plain.size();
        if (size == 0)
            plain += '?';
        else
            plain += text.substr(0, size);
        if (plain.size() > bytes_max) {
            plain.resize(fits);
            if (fits + kEllipsis.size() <= bytes_max) plain += kEllipsis;
            return plain;
        }
        text.remove_prefix(size == 0 ? 1 : size);
    }
    return plain;
}

}  // namespace chain
