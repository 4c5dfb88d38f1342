// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "chain/client/client.h"
#include "chain/client/text.h"

namespace chain::client {
namespace {

constexpr std::uint64_t kStartedMs = 1'795'000'000'000;

wire::Bill sample_bill() {
    wire::Bill bill;
    bill.set_lease_id("3f9a1c2e77d05b11aa3f9a1c2e77d05b11aa3f9a1c2e77d05b11aa3f9a1c2e77");
    bill.set_state("settled");
    bill.set_command("./filter in.png out.png");
    bill.set_role("renter");
    bill.set_started_at_ms(kStartedMs);
    bill.set_ended_at_ms(kStartedMs + 663'000);
    bill.set_price_per_ghz_h(30'000'000);
    bill.set_escrow(500'000'000);
    bill.set_paid(228'450'120);
    bill.set_burned(11'422'507);
    bill.set_refunded(271'549'880);
    bill.set_meter_class("calibrated");
    const char *hosts[] = {"provider-1", "provider-2"};
    for (int i = 0; i < 2; ++i) {
        auto &leg = *bill.add_legs();
        leg.set_host(hosts[i]);
        leg.set_provider("ompc1provider" + std::to_string(i));
        leg.set_slots(8);
        leg.set_cycles(13'800'000'000'000 - static_cast<std::uint64_t>(i) * 186'000'000'000);
        leg.set_waited_cycles(580'000'000'000);
        leg.set_paid(i == 0 ? 115'000'000 : 113'450'120);
        leg.set_burned(5'700'000);
        leg.set_state("settled");
        for (std::uint32_t rank = 0; rank < 2; ++rank) {
            auto &each = *leg.add_ranks();
            each.set_rank(static_cast<std::uint32_t>(i) + 2 * rank);
            each.set_cycles(1'700'000'000'000);
            each.set_waited_cycles(rank * 100'000'000'000);
        }
    }
    return bill;
}

TEST(BillText, ReadsAsATable) {
    EXPECT_EQ(format_bill_text(sample_bill(), false),
              "Lease 3f9a1c2e settled: ./filter in.png out.png\n"
              "  peer        slots     GHz·h  waiting        paid\n"
              "  provider-1      8  3.833333     4.2%  0.11500000\n"
              "  provider-2      8  3.781666     4.2%  0.11345012\n"
              "  total          16  7.615000     4.2%  0.22845012\n"
              "\n"
              "  price      0.03        tokens per GHz·h\n"
              "  escrow     0.5\n"
              "  paid       0.22845012  0.011422507 of it burned\n"
              "  refunded   0.27154988\n"
              "  wall time  11m 03s, from 2026-11-18T11:06:40Z\n"
              "  meter      calibrated: CPU time x calibrated frequency\n");
}

TEST(BillText, SaysWhoEndedItEarlyAndWhy) {
    wire::Bill bill = sample_bill();
    bill.set_ended_by("provider");
    bill.set_reason("the owner of provider-2 is back");
    const std::string text = format_bill_text(bill, false);
    EXPECT_NE(text.find("\nEnded by the provider: the owner of provider-2 is back\n"),
              std::string::npos)
        << text;
}

TEST(BillText, ListsRanksInOrderWhenAsked) {
    const std::string text = format_bill_text(sample_bill(), true);
    EXPECT_NE(text.find("  rank  peer           GHz·h  waiting\n"
                        "     0  provider-1  0.472222     0.0%\n"
                        "     1  provider-2  0.472222     0.0%\n"
                        "     2  provider-1  0.472222     5.8%\n"
                        "     3  provider-2  0.472222     5.8%\n"),
              std::string::npos)
        << text;
}

TEST(BillText, OtherPeoplesStringsAreHarmlessAndLinesFit) {
    wire::Bill bill = sample_bill();
    bill.set_reason("x\x1b[2Jy");
    bill.set_ended_by("provider");
    bill.set_command(std::string(500, 'c'));
    bill.mutable_legs(0)->set_host(std::string(63, 'h'));
    bill.add_notices("out.png came back as out.png.from-provider-2\x07");
    const std::string text = format_bill_text(bill, true);
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_EQ(text.find('\x07'), std::string::npos);
    EXPECT_NE(text.find("Note: out.png came back as out.png.from-provider-2?\n"),
              std::string::npos);
    std::size_t begin = 0;
    for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
        EXPECT_LE(display_width(text.substr(begin, end - begin)), 80u)
            << text.substr(begin, end - begin);
}

TEST(BillText, ABillOfNothingHasNoDivisionByZero) {
    EXPECT_EQ(format_bill_text(wire::Bill(), true),
              "Lease  \n\n"
              "  price      0  tokens per GHz·h\n"
              "  escrow     0\n"
              "  paid       0\n"
              "  refunded   0  once it is settled\n");
}

TEST(BillJson, HasExactAmountsAndTimes) {
    const std::string text = format_bill_json(sample_bill());
    EXPECT_EQ(text.find("{\n  \"lease\": \"3f9a1c2e"), 0u) << text;
    const auto json = nlohmann::json::parse(text);
    EXPECT_EQ(json["price_per_ghz_h"], nlohmann::json({{"units", 30'000'000}, {"tokens", "0.03"}}));
    EXPECT_EQ(json["paid"]["tokens"], "0.22845012");
    EXPECT_EQ(json["refunded"]["units"], 271'549'880);
    EXPECT_EQ(json["started_at"], "2026-11-18T11:06:40Z");
    EXPECT_EQ(json["slots"], 16);
    EXPECT_EQ(json["ghz_h"], "7.615000");
    ASSERT_EQ(json["legs"].size(), 2u);
    EXPECT_EQ(json["legs"][1]["cycles"], 13'614'000'000'000);
    EXPECT_EQ(json["legs"][0]["ranks"][1]["waited_cycles"], 100'000'000'000);
    EXPECT_EQ(json["notices"], nlohmann::json::array());
}

TEST(BillJson, AnOpenLeaseHasNoEnd) {
    wire::Bill bill = sample_bill();
    bill.set_ended_at_ms(0);
    EXPECT_TRUE(nlohmann::json::parse(format_bill_json(bill))["ended_at"].is_null());
}

}  // namespace
}  // namespace chain::client
