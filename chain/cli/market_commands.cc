// SPDX-License-Identifier: BSD-3-Clause
//
// market price, wallet history: what was traded, and what became of an account.
#include <algorithm>
#include <limits>
#include <ostream>

#include "chain/base/clock.h"
#include "chain/base/units.h"
#include "chain/cli/cli.h"
#include "chain/cli/plot.h"
#include "chain/client/json.h"
#include "chain/client/text.h"

namespace chain::cli {
namespace {

using client::Align;
using client::Json;

constexpr std::uint64_t kLinesShown = 20;
constexpr std::uint64_t kLinesMax = 1'000;
constexpr std::uint64_t kHoursShown = 24;
constexpr std::uint64_t kHoursMax = 366 * 24;
constexpr std::uint64_t kMsPerHour = 3'600'000;
constexpr std::size_t kAddressDigits = 63;
constexpr std::size_t kColumnsForLocked = 110;  // of a terminal that holds that column, too
constexpr std::string_view kAddressBegins = "ompc1";

// "2026-11-22 10:03", UTC.
std::string minute_of(std::uint64_t unix_ms) {
    std::string text = format_utc(unix_ms).substr(0, 16);
    if (text.size() > 10) text[10] = ' ';
    return text;
}

// A difference of amounts: "-0.5". `format_units` knows none below zero.
std::string format_difference(std::int64_t units) {
    if (units >= 0) return client::format_units(units);
    if (units < -kMaxAmountUnits) return "?";
    return "-" + client::format_units(-units);
}

// ---- wallet history

Json json_line(const wire::HistoryLine &line) {
    return {{"time", client::json_time(line.time_ms())},
            {"kind", line.kind()},
            {"text", line.text()},
            {"amount", {{"units", line.delta()}, {"tokens", format_difference(line.delta())}}},
            {"balance", client::json_amount(line.balance())},
            {"locked_escrow", client::json_amount(line.locked_escrow())},
            {"locked_collateral", client::json_amount(line.locked_collateral())},
            {"height", line.height()},
            {"tx_index", line.tx_index()},
            {"tx", line.tx_id().empty() ? Json(nullptr) : Json(line.tx_id())},
            {"sender", line.sender().empty() ? Json(nullptr) : Json(line.sender())}};
}

// The daemon's words are of the sender, with whole addresses; here they are shortened, and `own`
// becomes `own_name`.
std::string what_of(const wire::HistoryLine &line, const std::string &own,
                    const std::string &own_name) {
    std::string what = line.text();
    // How many vouchers a close brought says nothing to who reads a statement.
    if (line.kind() == "close-lease") what.resize(std::min(what.size(), what.find(" with ")));
    for (std::size_t at = what.find(kAddressBegins); at != std::string::npos;
         at = what.find(kAddressBegins, at + 1)) {
        const std::string address = what.substr(at, kAddressDigits);
        what.replace(at, kAddressDigits, address == own ? own_name : short_address(address));
    }
    if (line.sender().empty() || line.sender() == own) return what;
    return short_address(line.sender()) + " " + what;
}

// Where older lines begin, as --before takes it. Errors: kInvalidInput.
Status parse_place(const std::string &text, wire::HistoryPlace &place) {
    const std::size_t colon = text.find(':');
    CHAIN_ASSIGN(const std::uint64_t height,
                 parse_integer(text.substr(0, colon), 0, std::numeric_limits<std::int64_t>::max(),
                               "--before (HEIGHT or HEIGHT:TX)"));
    place.set_height(height);
    if (colon == std::string::npos) return ok_status();
    CHAIN_ASSIGN(const std::uint64_t index,
                 parse_integer(text.substr(colon + 1), 0, std::numeric_limits<std::uint32_t>::max(),
                               "the TX of --before HEIGHT:TX"));
    place.set_tx_index(static_cast<std::uint32_t>(index));
    return ok_status();
}

std::string format_locked(const wire::HistoryLine &line) {
    const auto escrow = amount_from_units(line.locked_escrow());
    const auto collateral = amount_from_units(line.locked_collateral());
    if (!escrow.ok() || !collateral.ok()) return "?";
    const auto sum = add(*escrow, *collateral);
    return sum.ok() ? format_tokens(*sum) : "?";
}

void print_history(const Invocation &invocation, const wire::WalletHistory &history) {
    Console &console = invocation.console;
    const auto &words = invocation.arguments.words;
    const std::string own_name = words.empty() ? "you" : short_address(history.address());
    bool any_locked = false;
    const bool wide = terminal_columns() >= kColumnsForLocked;
    for (const auto &line : history.lines())
        any_locked =
            any_locked || (wide && (line.locked_escrow() != 0 || line.locked_collateral() != 0));
    std::vector<client::Table::Column> columns = {{"time (UTC)", Align::kLeft},
                                                  {"what", Align::kLeft, 48},
                                                  {"amount", Align::kPoint},
                                                  {"balance", Align::kPoint}};
    if (any_locked) columns.push_back({"locked", Align::kPoint});
    columns.push_back({"block", Align::kRight});
    client::Table table(std::move(columns));
    // As on a statement, downwards in time: what is newest stands beside the prompt.
    for (auto line = history.lines().rbegin(); line != history.lines().rend(); ++line) {
        std::vector<std::string> cells = {
            minute_of(line->time_ms()), what_of(*line, history.address(), own_name),
            (line->delta() > 0 ? "+" : "") + format_difference(line->delta()),
            client::format_units(line->balance())};
        if (any_locked) cells.push_back(format_locked(*line));
        cells.push_back(std::to_string(line->height()));
        table.add_row(std::move(cells));
    }
    if (table.empty()) {
        console.err << "Nothing" << (invocation.arguments.has("before") ? " older" : "")
                    << " is on the ledger about this account.\n";
        return;
    }
    console.out << table.format();
    if (!history.more()) return;
    const std::string data = invocation.arguments.value("data");
    const wire::HistoryLine &oldest = history.lines(history.lines_size() - 1);
    console.err << "There is more: ompi-chain wallet history "
                << (words.empty() ? "" : client::printable(words[0]) + " ")
                << (data.empty() ? "" : "--data " + client::printable(data) + " ") << "--before "
                << oldest.height() << ":" << oldest.tx_index() << "\n";
}

Result<int> run_history(Invocation &invocation) {
    const Arguments &arguments = invocation.arguments;
    wire::ControlRequest request;
    wire::WalletHistoryCall &call = *request.mutable_wallet_history();
    if (!arguments.words.empty()) call.set_address(arguments.words[0]);
    std::uint64_t count = kLinesShown;
    if (arguments.has("count")) {
        CHAIN_ASSIGN(count, parse_integer(arguments.value("count"), 1, kLinesMax, "--count"));
    }
    call.set_count(static_cast<std::uint32_t>(count));
    if (arguments.has("before"))
        CHAIN_TRY(parse_place(arguments.value("before"), *call.mutable_before()));
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    const wire::WalletHistory &history = reply.wallet_history();
    if (!invocation.json()) {
        print_history(invocation, history);
        return 0;
    }
    Json lines = Json::array();
    for (auto line = history.lines().rbegin(); line != history.lines().rend(); ++line)
        lines.push_back(json_line(*line));
    invocation.console.out << client::json_text(
        {{"address", history.address()}, {"history", std::move(lines)}, {"more", history.more()}});
    return 0;
}

// ---- market price

Json json_hour(const wire::PriceHourView &hour) {
    return {{"hour", client::json_time(hour.begins_ms())},
            {"price_per_ghz_h", client::json_amount(hour.price())},
            {"low", client::json_amount(hour.price_low())},
            {"high", client::json_amount(hour.price_high())},
            {"cycles", hour.cycles()},
            {"ghz_h", format_ghz_hours(hour.cycles())},
            {"paid", client::json_amount(hour.paid())},
            {"legs", hour.legs()}};
}

void print_prices(Console &console, const wire::PriceTable &prices) {
    const bool utf8 = terminal_is_utf8();
    const std::string unit = utf8 ? "GHz·h" : "GHz*h";
    client::Table table({{"hour (UTC)", Align::kLeft},
                         {"price/" + unit, Align::kPoint},
                         {"low", Align::kPoint},
                         {"high", Align::kPoint},
                         {unit, Align::kPoint},
                         {"paid", Align::kPoint},
                         {"legs", Align::kRight}});
    const std::uint64_t hour_count = std::min<std::uint64_t>(
        (prices.to_ms() - std::min(prices.from_ms(), prices.to_ms())) / kMsPerHour, kHoursMax);
    std::vector<std::optional<PlotHour>> hours(hour_count);
    for (const auto &hour : prices.hours()) {
        table.add_row({minute_of(hour.begins_ms()), client::format_units(hour.price()),
                       client::format_units(hour.price_low()),
                       client::format_units(hour.price_high()), format_ghz_hours(hour.cycles()),
                       client::format_units(hour.paid()), std::to_string(hour.legs())});
        const std::uint64_t at = (hour.begins_ms() - prices.from_ms()) / kMsPerHour;
        if (hour.begins_ms() >= prices.from_ms() && at < hour_count && hour.cycles() > 0 &&
            hour.price() >= 0)
            hours[at] = {hour.price(), hour.cycles()};
    }
    console.out << table.format() << "\nTokens per " << unit << "\n"
                << format_plot(hours, minute_of(prices.from_ms()), minute_of(prices.to_ms()),
                               {.columns = terminal_columns(), .utf8 = utf8});
}

Result<int> run_price(Invocation &invocation) {
    const Arguments &arguments = invocation.arguments;
    std::uint64_t hours = kHoursShown;
    if (arguments.has("hours")) {
        CHAIN_ASSIGN(hours, parse_integer(arguments.value("hours"), 1, kHoursMax, "--hours"));
    }
    wire::ControlRequest request;
    request.mutable_market_price()->set_hours(static_cast<std::uint32_t>(hours));
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    const wire::PriceTable &prices = reply.prices();
    if (invocation.json()) {
        Json list = Json::array();
        for (const auto &hour : prices.hours()) list.push_back(json_hour(hour));
        invocation.console.out << client::json_text({{"from", client::json_time(prices.from_ms())},
                                                     {"to", client::json_time(prices.to_ms())},
                                                     {"hours", std::move(list)}});
    } else if (prices.hours().empty()) {
        invocation.console.err << "No lease was settled in the last " << hours
                               << " hours. What is asked now: `ompi-chain offer list --all`.\n";
    } else {
        print_prices(invocation.console, prices);
    }
    return 0;
}

}  // namespace

std::vector<Command> market_commands() {
    return {
        {.noun = "wallet",
         .verb = "history",
         .arguments = "[ADDRESS]",
         .arguments_max = 1,
         .summary = "What was paid and received: by me, or by ADDRESS",
         .examples =
             "  ompi-chain wallet history\n"
             "  ompi-chain wallet history --count 100\n"
             "  ompi-chain wallet history --before 5120   # what is older than block 5120\n",
         .details = "The newest line comes last. The amount is the change of the balance; what a "
                    "lease locks\nleaves the balance and comes back as payment and refund when the "
                    "lease is settled.\n",
         .options = {{"count", "N", "how many lines (default: 20)"},
                     {"before", "HEIGHT[:TX]", "only what is older than this block"}},
         .run = run_history},
        {.noun = "market",
         .verb = "price",
         .summary = "What compute was sold for, hour by hour",
         .examples = "  ompi-chain market price\n"
                     "  ompi-chain market price --hours 168      # a week\n"
                     "  ompi-chain market price --json | jq '.hours[-1].price_per_ghz_h.tokens'\n",
         .details = "Of the leases that were settled on the ledger: the mean price, weighted by "
                    "the GHz·h that\neach used. An hour without a settlement has no price. It is "
                    "what parties agreed on, not\na promise: two accounts of one person can trade, "
                    "too.\n",
         .options = {{"hours", "N", "up to now (default: 24)"}},
         .run = run_price},
    };
}

}  // namespace chain::cli
