// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/units.h"

#include <gtest/gtest.h>

namespace chain {
namespace {

TEST(ParseTokens, TableOfGoodOnes) {
    const struct {
        const char *text;
        std::int64_t units;
    } cases[] = {{"0", 0},
                 {"0.03", 30'000'000},
                 {".5", 500'000'000},
                 {"12", 12'000'000'000},
                 {"0.000000001", 1},
                 {"4000000000", kMaxAmountUnits}};
    for (const auto &c : cases) {
        const auto amount = parse_tokens(c.text);
        ASSERT_TRUE(amount.ok()) << c.text;
        EXPECT_EQ(amount->units, c.units) << c.text;
    }
}

TEST(ParseTokens, RefusesWhatIsNoPlainDecimal) {
    for (const char *text :
         {"", "-1", "+1", "1e9", "0x10", "1.", "1,5", " 1", "1 ", ".", "nan", "0.0000000001",
          "4000000000.000000001", "1000000000000000000000000000000"}) {
        const auto amount = parse_tokens(text);
        if (std::string(text) == "1.") {
            EXPECT_TRUE(amount.ok());
            continue;
        }
        EXPECT_FALSE(amount.ok()) << text;
        if (!amount.ok()) {
            EXPECT_EQ(amount.error().code, ErrorCode::kInvalidInput);
        }
    }
}

TEST(FormatTokens, IsTheShortestExactDecimalAndParsesBack) {
    for (const std::int64_t units : {0L, 1L, 30'000'000L, 1'000'000'000L, 1'234'567'891L}) {
        const std::string text = format_tokens(Amount{units});
        EXPECT_EQ(parse_tokens(text)->units, units) << text;
    }
    EXPECT_EQ(format_tokens(Amount{30'000'000}), "0.03");
    EXPECT_EQ(format_tokens(Amount{12'000'000'000}), "12");
}

TEST(Scale, RoundsAsItsNameSays) {
    EXPECT_EQ(scale_down(Amount{10}, 1, 3)->units, 3);
    EXPECT_EQ(scale_up(Amount{10}, 1, 3)->units, 4);
    EXPECT_EQ(scale_up(Amount{9}, 1, 3)->units, 3);
    EXPECT_EQ(scale_down(Amount{kMaxAmountUnits}, kPpm, kPpm)->units, kMaxAmountUnits);
    EXPECT_FALSE(scale_down(Amount{kMaxAmountUnits}, 2, 1).ok());
}

TEST(Duration, Table) {
    EXPECT_EQ(*parse_duration_ms("90"), 90'000u);
    EXPECT_EQ(*parse_duration_ms("90s"), 90'000u);
    EXPECT_EQ(*parse_duration_ms("1h30m"), 5'400'000u);
    for (const char *text : {"", "h", "-1s", "1w", "1.5h", "99999999999999999999d"})
        EXPECT_FALSE(parse_duration_ms(text).ok()) << text;
}

TEST(Size, Table) {
    EXPECT_EQ(*parse_size_bytes("512M"), 512ULL << 20);
    EXPECT_EQ(*parse_size_bytes("2G"), 2ULL << 30);
    for (const char *text : {"", "G", "-1G", "1P", "2GB", "99999999T"})
        EXPECT_FALSE(parse_size_bytes(text).ok()) << text;
}

TEST(Permille, RoundsDownToHundredths) {
    EXPECT_EQ(format_permille(0), "0.00");
    EXPECT_EQ(format_permille(59), "0.05");
    EXPECT_EQ(format_permille(357), "0.35");
    EXPECT_EQ(format_permille(12'999), "12.99");
}

TEST(GhzHours, RoundsDown) {
    EXPECT_EQ(format_ghz_hours(kCyclesPerGhzHour), "1.000000");
    EXPECT_EQ(format_ghz_hours(kCyclesPerGhzHour / 2 - 1, 3), "0.499");
}

}  // namespace
}  // namespace chain
