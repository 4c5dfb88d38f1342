// SPDX-License-Identifier: BSD-3-Clause
#include "tests/incentive/property.h"

#include <gtest/gtest-spi.h>

namespace incentive::test {
namespace {

TEST(Property, AFailingCaseIsMadeAsSmallAsItGoes) {
    const Property below_a_thousand = [](Draw &draw) -> std::string {
        draw.coin();  // does not matter
        const std::uint64_t a = draw.up_to(1'000'000);
        return a < 1'000 ? "" : say(a);
    };
    Draw draw(7);
    while (below_a_thousand(draw).empty()) draw.restart(draw.draws().back());
    const auto smallest = shrunk(draw.draws(), below_a_thousand);
    EXPECT_EQ(smallest.back(), 1'000u);
    Draw again(smallest);
    EXPECT_EQ(below_a_thousand(again), "1000 ");
}

TEST(Property, AFailureNamesItsSeed) {
    EXPECT_NONFATAL_FAILURE(for_all(10, [](Draw &) -> std::string { return "wrong"; }),
                            "PROPERTY_SEED=");
}

TEST(Property, DrawsCoverTheirRange) {
    bool zero = false, most = false, middle = false;
    for_all(2'000, [&](Draw &draw) -> std::string {
        const std::uint64_t x = draw.sized(1'000);
        zero = zero || x == 0;
        most = most || x == 1'000;
        middle = middle || (x > 100 && x < 900);
        return x <= 1'000 && draw.up_to(0) == 0 ? "" : say(x);
    });
    EXPECT_TRUE(zero && most && middle);
}

}  // namespace
}  // namespace incentive::test
