// SPDX-License-Identifier: BSD-3-Clause
#include "chain/identity/mnemonic.h"

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "chain/identity/keys.h"

namespace chain {
namespace {

std::string text_of(const mnemonic::Phrase &phrase, std::string_view between = " ") {
    std::string text;
    for (const std::string_view word : phrase)
        text += (text.empty() ? "" : std::string(between)) + std::string(word);
    return text;
}

std::string text_of(const std::vector<std::string> &words) {
    std::string text;
    for (const std::string &word : words) text += (text.empty() ? "" : " ") + word;
    return text;
}

std::vector<std::string> strings(const mnemonic::Phrase &phrase) {
    return {phrase.begin(), phrase.end()};
}

Bytes32 secret_of(std::mt19937_64 &random) {
    Bytes32 secret;
    for (std::uint8_t &byte : secret) byte = static_cast<std::uint8_t>(random());
    return secret;
}

std::mt19937_64 seeded() {
    const auto seed = std::random_device{}();
    std::printf("seed %u\n", seed);
    return std::mt19937_64(seed);
}

// From the published vectors of BIP 39, those of 256 bits.
constexpr struct {
    const char *entropy, *words;
} kVectors[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000",
     "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon "
     "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon "
     "abandon art"},
    {"7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
     "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth "
     "useful legal winner thank year wave sausage worth title"},
    {"8080808080808080808080808080808080808080808080808080808080808080",
     "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount "
     "doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless"},
    {"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
     "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo "
     "vote"},
    {"68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c",
     "hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy "
     "gospel tennis maple dilemma loan word shrug inflict delay length"},
    {"9f6a2878b2520799a44ef18bc7df394e7061a224d2c33cd015b157d746869863",
     "panda eyebrow bullet gorilla call smoke muffin taste mesh discover soft ostrich alcohol "
     "speed "
     "nation flash devote level hobby quick inner drive ghost inside"},
    {"066dca1a2bb7e8a1db2832148ce9933eea0f3ac9548d793112d9a95c9407efad",
     "all hour make first leader extend hole alien behind guard gospel lava path output census "
     "museum junior mass reopen famous sing advance salt reform"},
    {"f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f",
     "void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing "
     "screen patrol group space point ten exist slush involve unfold"},
};

TEST(Mnemonic, PublishedVectors) {
    for (const auto &vector : kVectors) {
        const Bytes32 secret = *bytes32_from_hex(vector.entropy, "vector");
        EXPECT_EQ(text_of(mnemonic::to_words(secret)), vector.words);
        const auto back = mnemonic::from_words(vector.words);
        ASSERT_TRUE(back.ok()) << back.error().message;
        EXPECT_EQ(*back, secret);
    }
}

// What from_words relies on.
TEST(Mnemonic, TheListIsSortedAndFourLettersTellItsWordsApart) {
    std::set<std::string_view> beginnings;
    for (std::size_t i = 0; i < mnemonic::kListWords; ++i) {
        const std::string_view word = mnemonic::kWords[i];
        if (i > 0) {
            EXPECT_LT(mnemonic::kWords[i - 1], word);
        }
        EXPECT_LE(word.size(), mnemonic::kMaxWordLetters);
        EXPECT_TRUE(
            std::all_of(word.begin(), word.end(), [](char c) { return 'a' <= c && c <= 'z'; }));
        EXPECT_TRUE(beginnings.insert(word.substr(0, mnemonic::kTellingLetters)).second) << word;
    }
}

TEST(Mnemonic, EveryKeyComesBack) {
    std::mt19937_64 random = seeded();
    for (int i = 0; i < 1000; ++i) {
        const Bytes32 secret = secret_of(random);
        const mnemonic::Phrase phrase = mnemonic::to_words(secret);
        ASSERT_EQ(*mnemonic::from_words(text_of(phrase)), secret) << to_hex(secret);
    }
    const KeyPair key = KeyPair::generate();
    const auto again =
        KeyPair::from_secret(*mnemonic::from_words(text_of(mnemonic::to_words(key.secret()))));
    EXPECT_EQ(again->public_key(), key.public_key());
}

TEST(Mnemonic, CaseWhiteSpaceAndTheEndsOfWordsAreForgiven) {
    std::mt19937_64 random = seeded();
    const Bytes32 secret = secret_of(random);
    const mnemonic::Phrase phrase = mnemonic::to_words(secret);
    std::string upper = text_of(phrase), short_text, cut_text, numbered;
    std::transform(upper.begin(), upper.end(), upper.begin(),
                   [](char c) { return std::toupper(c); });
    int number = 0;
    for (const std::string_view word : phrase) {
        ++number;
        numbered += std::to_string(number) + (number % 2 == 0 ? ". " : " ") + std::string(word);
        numbered += number % 4 == 0 ? "\n" : "  ";
        short_text += std::string(word.substr(0, mnemonic::kTellingLetters)) + "\n";
        cut_text += std::string(word.substr(0, std::max<std::size_t>(4, word.size() - 1))) + "\t ";
    }
    for (const std::string &text :
         {upper, "  " + text_of(phrase, " \t\r\n ") + "\n", short_text, cut_text, numbered})
        EXPECT_EQ(*mnemonic::from_words(text), secret) << to_hex(secret) << "\n" << text;
}

// Of one wrong word: refused, or the right words of another key. Never the same key, never a phrase
// that does not come back as it was typed.
TEST(Mnemonic, NoWrongWordGoesUnnoticed) {
    std::mt19937_64 random = seeded();
    const Bytes32 secret = secret_of(random);
    const std::vector<std::string> right = strings(mnemonic::to_words(secret));
    for (std::size_t place = 0; place < right.size(); ++place) {
        for (std::size_t i = random() % 16; i < mnemonic::kListWords; i += 16) {
            std::vector<std::string> wrong = right;
            wrong[place] = mnemonic::kWords[i];
            if (wrong == right) continue;
            const auto secret_found = mnemonic::from_words(text_of(wrong));
            if (secret_found.ok()) {
                ASSERT_NE(*secret_found, secret) << to_hex(secret) << " " << place << " " << i;
                ASSERT_EQ(strings(mnemonic::to_words(*secret_found)), wrong);
            } else {
                ASSERT_EQ(secret_found.error().code, ErrorCode::kInvalidInput);
                ASSERT_NE(secret_found.error().message.find("do not belong together"),
                          std::string::npos);
            }
        }
    }
    // The last word holds three bits of the key and the checksum: one in 256 is right.
    std::size_t accepted = 0;
    for (const std::string_view word : mnemonic::kWords) {
        std::vector<std::string> other = right;
        other.back() = word;
        accepted += mnemonic::from_words(text_of(other)).ok();
    }
    EXPECT_EQ(accepted, mnemonic::kListWords / 256);
}

TEST(Mnemonic, RefusalsSayWhatIsWrong) {
    std::vector<std::string> words = strings(mnemonic::to_words(Bytes32{}));
    const auto refusal = [](const std::string &text) {
        const auto found = mnemonic::from_words(text);
        EXPECT_FALSE(found.ok()) << text;
        return found.ok() ? Error{} : found.error();
    };
    const auto with = [&](std::size_t place, const std::string &word) {
        std::vector<std::string> changed = words;
        changed[place] = word;
        return text_of(changed);
    };
    EXPECT_EQ(refusal(with(0, "abandno")).message,
              "word 1, \"abandno\", is not in the list of seed words; is it \"abandon\"?");
    EXPECT_EQ(refusal(with(23, "Arrt")).message,
              "word 24, \"arrt\", is not in the list of seed words; is it \"art\"?");
    EXPECT_EQ(refusal(with(6, "aba")).message,
              "word 7, \"aba\", is not in the list of seed words; is it \"able\"?");
    EXPECT_EQ(refusal(with(6, "zoo\x1b")).message,
              "word 7, \"zoo?\", is not in the list of seed words; is it \"zoo\"?");
    EXPECT_EQ(refusal(with(6, "abandons")).message,
              "word 7, \"abandons\", is not in the list of seed words; is it \"abandon\"?");
    EXPECT_NE(refusal(with(6, "ability")).message.find("do not belong together"),
              std::string::npos);
    EXPECT_EQ(refusal("").message, "0 words; 24 are needed");
    EXPECT_EQ(refusal("abandon Ability").message, "2 words; 24 are needed");
    EXPECT_EQ(refusal(text_of(words) + " art").message, "more than 24 words");
    EXPECT_EQ(refusal(std::string(2000, ' ')).code, ErrorCode::kTooLarge);
    std::swap(words[22], words[23]);
    EXPECT_NE(refusal(text_of(words)).message.find("wrong order"), std::string::npos);
}

}  // namespace
}  // namespace chain
