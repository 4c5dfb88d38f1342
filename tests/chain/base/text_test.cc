// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/text.h"

#include <random>

#include <gtest/gtest.h>

namespace chain {
namespace {

TEST(PlainText, KeepsWhatPeopleRead) {
    for (const std::string text :
         {"", "a b", "caf\u00e9 \u4f60\u597d \U0001f600", "\u00a0\ud7ff\ue000\U0010ffff"})
        EXPECT_EQ(plain_text(text, 100), text);
}

TEST(PlainText, ReplacesWhatIsNone) {
    const std::pair<std::string, std::string> cases[] = {
        {"a\nb\tc\x7f", "a?b?c?"},
        {"\x1b[31m", "?[31m"},
        {"caf\xe9.txt", "caf?.txt"},
        {"\xc2\x85", "??"},  // a C1 control
        {"\xc0\xaf", "??"},  // overlong
        {"\xe0\x80\xaf", "???"},
        {"\xed\xa0\x80", "???"},       // half of a pair
        {"\xf4\x90\x80\x80", "????"},  // beyond the last
        {"\xff\xfe", "??"},
        {"x\xe4\xbd", "x??"},  // cut off
        {std::string("a\0b", 3), "a?b"},
    };
    for (const auto &[text, plain] : cases) EXPECT_EQ(plain_text(text, 100), plain);
}

TEST(PlainText, CutsBetweenCharacters) {
    EXPECT_EQ(plain_text("abcdef", 6), "abcdef");
    EXPECT_EQ(plain_text("abcdefg", 6), "abc\u2026");
    EXPECT_EQ(plain_text("\u4f60\u597d\u4f60", 8), "\u4f60\u2026");
    EXPECT_EQ(plain_text("abc", 2), "");
}

TEST(PlainText, PropertyIsStableAndBounded) {
    std::mt19937 random(7);
    for (int i = 0; i < 20'000; ++i) {
        std::string text(random() % 40, '\0');
        for (char &c : text)
            c = static_cast<char>(random() % 4 == 0 ? random() : 0x80 + random() % 0x50);
        const std::size_t bytes_max = random() % 30;
        const std::string plain = plain_text(text, bytes_max);
        ASSERT_LE(plain.size(), bytes_max);
        ASSERT_EQ(plain_text(plain, bytes_max), plain);
    }
}

}  // namespace
}  // namespace chain
