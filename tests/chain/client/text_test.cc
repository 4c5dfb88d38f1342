// SPDX-License-Identifier: BSD-3-Clause
#include "chain/client/text.h"

#include <gtest/gtest.h>

namespace chain::client {
namespace {

TEST(Text, NoControlCharacterReachesTheTerminal) {
    EXPECT_EQ(printable("plain · text…"), "plain · text…");
    EXPECT_EQ(printable("a\x1b[31mb\nc\x7f"), "a?[31mb?c?");
    EXPECT_EQ(printable("c1 \xc2\x9b end"), "c1 ? end");
}

TEST(Text, ShortensByColumnsNotBytes) {
    EXPECT_EQ(shorten("abcdef", 6), "abcdef");
    EXPECT_EQ(shorten("abcdefg", 6), "abcde…");
    EXPECT_EQ(shorten("äöüäöüä", 6), "äöüäö…");
    EXPECT_EQ(shorten("ab", 1), "…");
}

TEST(Text, SharesAreExactAtTheEnds) {
    EXPECT_EQ(format_share(0, 0), "-");
    EXPECT_EQ(format_share(0, 5), "0.0%");
    EXPECT_EQ(format_share(1, 3), "33.3%");
    EXPECT_EQ(format_share(~0ULL, ~0ULL), "100.0%");
    EXPECT_EQ(format_share(~0ULL - 1, ~0ULL), "99.9%");
}

TEST(Text, TimesSizesAndFrequencies) {
    EXPECT_EQ(format_elapsed(4230), "4.2s");
    EXPECT_EQ(format_elapsed(663'000), "11m 03s");
    EXPECT_EQ(format_elapsed(7'200'000), "2h 00m");
    EXPECT_EQ(format_ago(0, 1000), "-");
    EXPECT_EQ(format_ago(5000, 1000), "0 s ago");
    EXPECT_EQ(format_ago(1000, 181'000), "3 min ago");
    EXPECT_EQ(format_size(512), "512 B");
    EXPECT_EQ(format_size(1536), "1.5 KiB");
    EXPECT_EQ(format_size(8ULL << 30), "8 GiB");
    EXPECT_EQ(format_size(~0ULL), "16383.9 PiB");
    EXPECT_EQ(format_ghz(3'530'000'000), "3.53");
    EXPECT_EQ(format_units(-1), "?");
    EXPECT_EQ(format_units(30'000'000), "0.03");
}

TEST(Table, AlignsColumnsAndPoints) {
    Table table(
        {{"peer", Align::kLeft, 6}, {"n", Align::kRight}, {"paid", Align::kPoint}, {"why"}});
    table.add_row({"a", "1", "0.05", ""});
    table.add_row({"very-long", "1000", "12", "a\nb"});
    EXPECT_EQ(table.format(" "),
              " peer       n  paid   why\n"
              " a          1   0.05\n"
              " very-…  1000  12     a?b\n");
}

}  // namespace
}  // namespace chain::client
