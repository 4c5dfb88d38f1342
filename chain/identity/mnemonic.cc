// SPDX-License-Identifier: BSD-3-Clause
#include "chain/identity/mnemonic.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

namespace chain::mnemonic {
namespace {

constexpr std::size_t kWordBits = 11;
constexpr std::size_t kChecksumBits = 8;
static_assert(kPhraseWords * kWordBits == sizeof(Bytes32) * 8 + kChecksumBits);

// The secret and its checksum: what the words spell.
using Coded = std::array<std::uint8_t, sizeof(Bytes32) + 1>;

std::uint8_t checksum_of(const Bytes32 &secret) {
    Sha256 hash;
    hash.update({reinterpret_cast<const char *>(secret.data()), secret.size()});
    return hash.finish()[0];
}

bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_number(std::string_view word) {
    if (word.back() == '.' || word.back() == ')') word.remove_suffix(1);
    return !word.empty() && word.find_first_not_of("0123456789") == std::string_view::npos;
}

// Into at most kPhraseWords + 1: one more says enough.
std::vector<std::string_view> split(std::string_view text) {
    std::vector<std::string_view> words;
    std::size_t at = 0;
    while (words.size() <= kPhraseWords) {
        while (at < text.size() && is_space(text[at])) ++at;
        const std::size_t begin = at;
        while (at < text.size() && !is_space(text[at])) ++at;
        if (at == begin) break;
        const std::string_view word = text.substr(begin, at - begin);
        if (!is_number(word)) words.push_back(word);
    }
    return words;
}

// The word itself, or the one that it begins unmistakably.
std::optional<std::size_t> find_word(std::string_view word) {
    const auto found = std::lower_bound(kWords.begin(), kWords.end(), word);
    if (found == kWords.end()) return std::nullopt;
    if (*found != word && (word.size() < kTellingLetters || !found->starts_with(word)))
        return std::nullopt;
    return static_cast<std::size_t>(found - kWords.begin());
}

// How many letters have to be put in, taken out, changed, or swapped with their neighbour.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before_last, last(b.size() + 1), row(b.size() + 1);
    std::iota(last.begin(), last.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before_last[j - 2] + 1);
        }
        before_last = std::exchange(last, row);
    }
    return last[b.size()];
}

std::string_view nearest_word(std::string_view word) {
    return *std::min_element(kWords.begin(), kWords.end(), [&](auto left, auto right) {
        return distance(word, left) < distance(word, right);
    });
}

Error unknown_word(std::size_t place, std::string_view word) {
    constexpr std::size_t kShownBytes = 20;
    std::string shown(word.substr(0, kShownBytes));
    for (char &c : shown)
        if (c < 0x20 || c > 0x7e) c = '?';
    return make_error(ErrorCode::kInvalidInput, "word ", place, ", \"", shown,
                      "\", is not in the list of seed words; is it \"", nearest_word(shown), "\"?");
}

}  // namespace

Phrase to_words(const Bytes32 &secret) {
    Phrase phrase;
    std::uint32_t bits = 0;
    std::size_t bit_count = 0, next = 0;
    for (std::size_t i = 0; i <= secret.size(); ++i) {
        bits = bits << 8 | (i < secret.size() ? secret[i] : checksum_of(secret));
        bit_count += 8;
        if (bit_count < kWordBits) continue;
        bit_count -= kWordBits;
        phrase[next++] = kWords[bits >> bit_count & (kListWords - 1)];
    }
    CHAIN_CHECK(next == kPhraseWords && bit_count == 0);
    wipe(&bits, sizeof bits);
    return phrase;
}

std::size_t count_words(std::string_view text) {
    return split(text).size();
}

Result<Bytes32> from_words(std::string_view text) {
    if (text.size() > kMaxPhraseBytes)
        return make_error(ErrorCode::kTooLarge, "more than ", kMaxPhraseBytes,
                          " bytes are no 24 words");
    const std::vector<std::string_view> words = split(text);
    Coded coded{};
    std::size_t bit = 0;
    for (std::size_t i = 0; i < std::min(words.size(), kPhraseWords); ++i) {
        std::string word(words[i]);
        std::transform(word.begin(), word.end(), word.begin(), lower);
        const auto place = find_word(word);
        if (!place) {
            wipe(coded.data(), coded.size());
            return unknown_word(i + 1, word);
        }
        wipe(word);
        for (std::size_t k = kWordBits; k-- > 0; ++bit)
            coded[bit / 8] =
                static_cast<std::uint8_t>(coded[bit / 8] | (*place >> k & 1) << (7 - bit % 8));
    }
    Bytes32 secret;
    std::copy_n(coded.begin(), secret.size(), secret.begin());
    const bool fits = coded.back() == checksum_of(secret);
    wipe(coded.data(), coded.size());
    if (words.size() == kPhraseWords && fits) return secret;
    wipe(secret.data(), secret.size());
    if (words.size() > kPhraseWords)
        return make_error(ErrorCode::kInvalidInput, "more than ", kPhraseWords, " words");
    if (words.size() < kPhraseWords)
        return make_error(ErrorCode::kInvalidInput, words.size(), " words; ", kPhraseWords,
                          " are needed");
    return make_error(ErrorCode::kInvalidInput,
                      "the words are all in the list, but do not belong together: one of them is "
                      "another word, or two stand in the wrong order");
}

}  // namespace chain::mnemonic
