// SPDX-License-Identifier: BSD-3-Clause
//
// wallet history and market price: what is asked of the daemon, and what a person sees.
#include <cstdlib>
#include <sstream>

#include <gtest/gtest.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "chain/cli/cli.h"
#include "chain/cli/plot.h"
#include "chain/client/text.h"
#include "tests/chain/cli/ask.h"

namespace chain::cli {
namespace {

constexpr std::uint64_t kHourMs = 3'600'000;
constexpr std::uint64_t kTimeMs = 1'763'805'600'000;  // 2025-11-22 10:00 UTC
const std::string kMine = "ompc1" + std::string(54, 'm') + "0000";
const std::string kOther = "ompc1" + std::string(54, 'q') + "wxyz";

// What the terminal is said to be, for one test.
class Environment {
public:
    Environment(const char *locale, const char *columns) {
        setenv("LC_ALL", locale, 1);
        setenv("COLUMNS", columns, 1);
    }
    ~Environment() {
        unsetenv("LC_ALL");
        unsetenv("COLUMNS");
    }
};

class MarketTest : public AskTest {
protected:
    static wire::HistoryLine &add_line(wire::WalletHistory &history, std::uint64_t height,
                                       const std::string &sender, const std::string &text,
                                       std::int64_t delta, std::int64_t balance) {
        wire::HistoryLine &line = *history.add_lines();
        line.set_height(height);
        line.set_tx_index(3);
        line.set_time_ms(kTimeMs + height * 60'000);
        line.set_kind("transfer");
        line.set_text(text);
        line.set_tx_id(sender.empty() ? "" : "abcd");
        line.set_sender(sender);
        line.set_delta(delta);
        line.set_balance(balance);
        return line;
    }

    static wire::ControlReply history() {
        wire::ControlReply reply;
        wire::WalletHistory &history = *reply.mutable_wallet_history();
        history.set_address(kMine);
        add_line(history, 9, kMine, "leases 4 slots in 2 legs at 0.01 per GHz·h", -240'000'000,
                 7'760'000'000)
            .set_locked_escrow(240'000'000);
        add_line(history, 7, kOther, "sends 0.5 to " + kMine, 500'000'000, 8'000'000'000);
        add_line(history, 5, kMine, "sends 2.5 to " + kOther, -2'500'000'000, 7'500'000'000);
        add_line(history, 0, "", "allocated by the genesis file", 10'000'000'000, 10'000'000'000);
        return reply;
    }

    static void add_hour(wire::PriceTable &table, std::uint64_t hour, std::int64_t price,
                         std::uint64_t cycles) {
        wire::PriceHourView &view = *table.add_hours();
        view.set_begins_ms(kTimeMs + hour * kHourMs);
        view.set_legs(2);
        view.set_cycles(cycles);
        view.set_paid(30'000);
        view.set_price(price);
        view.set_price_low(price - 1'000'000);
        view.set_price_high(price + 1'000'000);
    }

    static wire::ControlReply prices(std::uint64_t hours) {
        wire::ControlReply reply;
        reply.mutable_prices()->set_from_ms(kTimeMs);
        reply.mutable_prices()->set_to_ms(kTimeMs + hours * kHourMs);
        return reply;
    }
};

TEST_F(MarketTest, AHistoryIsAStatement) {
    const Environment terminal("C.UTF-8", "120");
    const Outcome outcome = ask({"wallet", "history"}, history());
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    EXPECT_EQ(
        outcome.out,
        "time (UTC)        what                                        amount  balance  locked  "
        "block\n"
        "2025-11-22 10:00  allocated by the genesis file               +10     10       0       "
        "    0\n"
        "2025-11-22 10:05  sends 2.5 to ompc1qqqq…wxyz                  -2.5    7.5     0       "
        "    5\n"
        "2025-11-22 10:07  ompc1qqqq…wxyz sends 0.5 to you              +0.5    8       0       "
        "    7\n"
        "2025-11-22 10:09  leases 4 slots in 2 legs at 0.01 per GHz·h   -0.24   7.76    0.24    "
        "    9\n");
    ASSERT_EQ(seen_.size(), 1u);
    setenv("COLUMNS", "100", 1);
    wire::ControlReply reply = history();
    reply.mutable_wallet_history()->mutable_lines(1)->set_kind("close-lease");
    reply.mutable_wallet_history()->mutable_lines(1)->set_text(
        "closes lease ab12cd34 with 1 vouchers");
    const Outcome narrow = ask({"wallet", "history"}, reply);
    EXPECT_EQ(narrow.out.find("locked"), std::string::npos);
    EXPECT_NE(narrow.out.find("ompc1qqqq…wxyz closes lease ab12cd34    "), std::string::npos);
    EXPECT_EQ(seen_[0].wallet_history().count(), 20u);
    EXPECT_FALSE(seen_[0].wallet_history().has_before());
}

TEST_F(MarketTest, ThePageBeforeIsNamed) {
    wire::ControlReply reply = history();
    reply.mutable_wallet_history()->set_more(true);
    const Outcome outcome = ask({"wallet", "history", kMine, "--count", "4"}, reply);
    EXPECT_NE(outcome.err.find("wallet history " + kMine + " --before 0:3"), std::string::npos);
    EXPECT_NE(outcome.out.find("sends 0.5 to ompc1mmmm…0000"), std::string::npos)
        << "somebody's account is not `you`";
    EXPECT_EQ(seen_[0].wallet_history().address(), kMine);
    EXPECT_EQ(seen_[0].wallet_history().count(), 4u);
    EXPECT_EQ(ask({"wallet", "history", "--before", "12:3"}, reply).exit_code, 0);
    EXPECT_EQ(seen_[0].wallet_history().before().height(), 12u);
    EXPECT_EQ(seen_[0].wallet_history().before().tx_index(), 3u);
    for (const char *before : {"", "x", "1:", "1:x", ":1", "-1", "1:4294967296"})
        EXPECT_EQ(ask({"wallet", "history", "--before", before}, reply).exit_code, 1) << before;
    for (const char *count : {"0", "1001", "x"})
        EXPECT_EQ(ask({"wallet", "history", "--count", count}, reply).exit_code, 1) << count;
}

TEST_F(MarketTest, HistoryAsJson) {
    const Outcome outcome = ask({"wallet", "history", "--json"}, history());
    const auto json = nlohmann::json::parse(outcome.out);
    EXPECT_EQ(json["more"], false);
    ASSERT_EQ(json["history"].size(), 4u);
    const auto &newest = json["history"][3];
    EXPECT_EQ(newest["amount"]["units"], -240'000'000);
    EXPECT_EQ(newest["amount"]["tokens"], "-0.24");
    EXPECT_EQ(newest["balance"]["tokens"], "7.76");
    EXPECT_EQ(newest["locked_escrow"]["tokens"], "0.24");
    EXPECT_EQ(newest["sender"], kMine);
    EXPECT_TRUE(json["history"][0]["tx"].is_null());
    wire::ControlReply empty;
    empty.mutable_wallet_history()->set_address(kMine);
    EXPECT_EQ(nlohmann::json::parse(ask({"wallet", "history", "--json"}, empty).out)["history"],
              nlohmann::json::array());
    const Outcome nothing = ask({"wallet", "history"}, empty);
    EXPECT_EQ(nothing.out, "");
    EXPECT_NE(nothing.err.find("Nothing"), std::string::npos);
}

TEST_F(MarketTest, PricesAsTableAndPlot) {
    wire::ControlReply reply = prices(6);
    add_hour(*reply.mutable_prices(), 0, 10'000'000, 3'600'000'000'000);
    add_hour(*reply.mutable_prices(), 2, 20'000'000, 1'800'000'000'000);
    add_hour(*reply.mutable_prices(), 5, 15'000'000, 36'000'000'000);
    {
        const Environment terminal("C.UTF-8", "60");
        const Outcome outcome = ask({"market", "price", "--hours", "6"}, reply);
        EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
        EXPECT_EQ(outcome.out,
                  "hour (UTC)        price/GHz·h  low    high   GHz·h     paid     legs\n"
                  "2025-11-22 10:00  0.01         0.009  0.011  1.000000  0.00003     2\n"
                  "2025-11-22 12:00  0.02         0.019  0.021  0.500000  0.00003     2\n"
                  "2025-11-22 15:00  0.015        0.014  0.016  0.010000  0.00003     2\n"
                  "\n"
                  "Tokens per GHz·h\n"
                  "0.02 │      ███\n"
                  "     │      ███\n"
                  "     │      ███\n"
                  "     │      ███      ███\n"
                  "     │      ███      ███\n"
                  "0.01 │▁▁▁   ███      ███\n"
                  "     └──────────────────\n"
                  "      2025-11-22 10:00 2025-11-22 16:00\n");
        EXPECT_EQ(seen_[0].market_price().hours(), 6u);
    }
    const Environment terminal("C", "60");
    const Outcome ascii = ask({"market", "price"}, reply);
    for (const char c : ascii.out) EXPECT_GE(c, 0) << "a byte that is no ASCII";
    EXPECT_NE(ascii.out.find("0.01 |###   ###      ###\n     +------------------\n"),
              std::string::npos)
        << ascii.out;
    EXPECT_EQ(seen_[0].market_price().hours(), 24u);
}

TEST_F(MarketTest, NoTradeIsSaidAndJsonIsWhole) {
    const Outcome nothing = ask({"market", "price"}, prices(24));
    EXPECT_EQ(nothing.exit_code, 0);
    EXPECT_EQ(nothing.out, "");
    EXPECT_NE(nothing.err.find("No lease was settled in the last 24 hours"), std::string::npos);
    wire::ControlReply reply = prices(2);
    add_hour(*reply.mutable_prices(), 1, 10'000'000, 7'200'000'000'000);
    const auto json = nlohmann::json::parse(ask({"market", "price", "--json"}, reply).out);
    EXPECT_EQ(json["from"], "2025-11-22T10:00:00Z");
    EXPECT_EQ(json["to"], "2025-11-22T12:00:00Z");
    ASSERT_EQ(json["hours"].size(), 1u);
    EXPECT_EQ(json["hours"][0]["hour"], "2025-11-22T11:00:00Z");
    EXPECT_EQ(json["hours"][0]["price_per_ghz_h"]["tokens"], "0.01");
    EXPECT_EQ(json["hours"][0]["ghz_h"], "2.000000");
    for (const char *hours : {"0", "8785", "x"})
        EXPECT_EQ(ask({"market", "price", "--hours", hours}, reply).exit_code, 1) << hours;
}

TEST_F(MarketTest, ADaemonThatLiesCannotBreakTheTable) {
    wire::ControlReply reply;
    reply.mutable_prices()->set_from_ms(kTimeMs);
    reply.mutable_prices()->set_to_ms(0);  // before its beginning
    add_hour(*reply.mutable_prices(), 0, -7, 0);
    add_hour(*reply.mutable_prices(), 1'000'000, 10, 10);
    reply.mutable_prices()->mutable_hours(1)->set_begins_ms(3);
    EXPECT_EQ(ask({"market", "price"}, reply).exit_code, 0);
    reply.mutable_prices()->set_to_ms(~0ULL);
    EXPECT_EQ(ask({"market", "price"}, reply).exit_code, 0);
    wire::ControlReply lines = history();
    lines.mutable_wallet_history()->mutable_lines(0)->set_text("ompc1\x1b[31m");
    lines.mutable_wallet_history()->mutable_lines(0)->set_delta(
        std::numeric_limits<std::int64_t>::min());
    const Outcome outcome = ask({"wallet", "history"}, lines);
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.out.find('\x1b'), std::string::npos);
}

// ---- the plot alone

std::size_t widest(const std::string &plot) {
    std::size_t width = 0;
    std::istringstream lines(plot);
    for (std::string line; std::getline(lines, line);)
        width = std::max(width, client::display_width(line));
    return width;
}

TEST(Plot, FitsItsTerminalWhateverTheHours) {
    for (const std::size_t columns : {40u, 80u, 133u})
        for (const std::size_t count : {1u, 24u, 60u, 168u, 8'784u}) {
            std::vector<std::optional<PlotHour>> hours(count);
            for (std::size_t i = 0; i < count; i += 3)
                hours[i] = PlotHour{static_cast<std::int64_t>(10'000'000 + i), 1 + i};
            const std::string plot =
                format_plot(hours, "2025-11-22 10:00", "2026-11-22 10:00", {.columns = columns});
            EXPECT_LE(widest(plot), columns) << plot;
        }
}

TEST(Plot, NothingOneValueAndEqualOnes) {
    EXPECT_EQ(format_plot({}, "a", "b", {}), "");
    EXPECT_EQ(format_plot({std::nullopt, std::nullopt}, "a", "b", {}), "");
    EXPECT_EQ(format_plot({std::nullopt, PlotHour{20'000'000, 1}, std::nullopt}, "a", "b", {}),
              "0.02 │   ███\n"
              "     └─────────\n"
              "      a       b\n");
    EXPECT_EQ(format_plot({PlotHour{5, 1}, PlotHour{5, 2}}, "a", "b", {.utf8 = false}),
              "0.000000005 |######\n"
              "            +------\n"
              "             a    b\n");
}

TEST(Plot, HoursThatShareAColumnAreWeighted) {
    // 80 hours on 34 columns: three hours each. In the first column 1 x 10 and 3 x 30.
    std::vector<std::optional<PlotHour>> hours(80);
    hours[0] = PlotHour{10'000'000'000, 1};
    hours[2] = PlotHour{30'000'000'000, 3};
    hours[6] = PlotHour{50'000'000'000, 9};
    const std::string plot = format_plot(hours, "a", "b", {.columns = 40});
    EXPECT_NE(plot.find("25 │▁ █\n"), std::string::npos) << plot;
    EXPECT_EQ(plot.find("50 │  █\n"), 0u) << plot;
}

TEST(Plot, TheLocaleIsReadAsTheCLibraryDoes) {
    const Environment terminal("", "80");
    setenv("LC_CTYPE", "en_GB.utf8", 1);
    EXPECT_TRUE(terminal_is_utf8());
    setenv("LC_ALL", "POSIX", 1);
    EXPECT_FALSE(terminal_is_utf8());
    unsetenv("LC_CTYPE");
    for (const auto &[given, columns] :
         std::map<std::string, std::size_t>{{"90", 90}, {"9", 40}, {"99999", 400}}) {
        setenv("COLUMNS", given.c_str(), 1);
        EXPECT_EQ(terminal_columns(), columns);
    }
}

}  // namespace
}  // namespace chain::cli
