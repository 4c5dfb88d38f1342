// SPDX-License-Identifier: BSD-3-Clause
//
// Seed words (BIP 39, English): a wallet's secret key as 24 words that a person can write down.
//
// The secret is the entropy itself: 256 bits and the first 8 bits of their SHA-256 are cut into 24
// numbers of 11 bits, each the place of a word in the list (docs/adr/0008). Thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "chain/base/bytes.h"

namespace chain::mnemonic {

inline constexpr std::size_t kListWords = 2048;
inline constexpr std::size_t kPhraseWords = 24;
inline constexpr std::size_t kMaxWordLetters = 8;  // of the list
// No two words of the list have the same first four letters.
inline constexpr std::size_t kTellingLetters = 4;
inline constexpr std::size_t kMaxPhraseBytes = 1024;  // with any white space between the words

// The list, in its order, which is the alphabet's. Made at build time from the official one.
extern const std::array<std::string_view, kListWords> kWords;

// One word of the list for each 11 bits. The caller wipes what it makes of them: the views
// themselves tell the secret.
using Phrase = std::array<std::string_view, kPhraseWords>;
Phrase to_words(const Bytes32 &secret);

// Words in `text`, which white space separates. Numbers between them ("12", "12.") do not count: so
// what `wallet backup` prints can be read again.
std::size_t count_words(std::string_view text);

// The secret of 24 words, in any case; the first four letters of a word suffice. Errors:
// kInvalidInput: not 24 words, a word that is not in the list (its place, and the nearest one that
// is), a checksum that does not fit; kTooLarge (over kMaxPhraseBytes). None repeats more of the
// phrase than the one word that is wrong.
Result<Bytes32> from_words(std::string_view text);

}  // namespace chain::mnemonic
