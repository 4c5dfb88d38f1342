// SPDX-License-Identifier: BSD-3-Clause
//
// The bill of a lease: as a table for people and as JSON for programs.
#include <algorithm>

#include "chain/base/clock.h"
#include "chain/base/units.h"
#include "chain/client/client.h"
#include "chain/client/json.h"
#include "chain/client/start_time.h"
#include "chain/client/text.h"

namespace chain::client {
namespace {

constexpr std::size_t kHostColumns = 24;
constexpr std::size_t kLineColumns = 78;
constexpr std::string_view kIndent = "  ";

struct Sums {
    std::uint64_t slots = 0;
    Cycles cycles = 0;
    Cycles waited_cycles = 0;
};

Sums sums_of(const wire::Bill &bill) {
    Sums sums;
    for (const auto &leg : bill.legs()) {
        sums.slots += leg.slots();
        sums.cycles += leg.cycles();
        sums.waited_cycles += leg.waited_cycles();
    }
    return sums;
}

// Every amount of the column with the same number of decimals, exact.
std::string same_decimals(std::int64_t units, std::size_t decimals) {
    std::string text = format_units(units);
    if (decimals == 0) return text;
    std::size_t point = text.find('.');
    if (point == std::string::npos) {
        point = text.size();
        text += '.';
    }
    text.resize(point + 1 + std::max(decimals, text.size() - point - 1), '0');
    return text;
}

std::size_t decimals_of(std::int64_t units) {
    const std::string text = format_units(units);
    const std::size_t point = text.find('.');
    return point == std::string::npos ? 0 : text.size() - point - 1;
}

std::string meter_text(const std::string &meter_class) {
    if (meter_class == "hw") return "hw: cycles counted by the processor";
    if (meter_class == "sampled") return "sampled: CPU time x sampled frequency";
    if (meter_class == "calibrated") return "calibrated: CPU time x calibrated frequency";
    return meter_class;
}

std::string title_line(const wire::Bill &bill) {
    std::string line =
        "Lease " + short_id(printable(bill.lease_id())) + " " + printable(bill.state());
    if (!bill.command().empty()) line += ": " + printable(bill.command());
    return shorten(line, kLineColumns) + "\n";
}

// A normal end has no reason: there is nothing to say about it.
std::string end_lines(const wire::Bill &bill) {
    if (bill.ended_by().empty() || bill.reason().empty() || bill.reason() == kJobEnded) return {};
    return "Ended by the " + printable(bill.ended_by()) + ": " + printable(bill.reason()) + "\n";
}

std::string leg_table(const wire::Bill &bill) {
    Table table({{"peer", Align::kLeft, kHostColumns},
                 {"slots", Align::kRight},
                 {"GHz·h", Align::kRight},
                 {"waiting", Align::kRight},
                 {"paid", Align::kRight}});
    std::size_t decimals = decimals_of(bill.paid());
    for (const auto &leg : bill.legs()) decimals = std::max(decimals, decimals_of(leg.paid()));
    // Of a leg with GPUs: its ranks, and what the GPUs equal.
    const auto slots_text = [](const wire::BillLeg &leg) {
        if (leg.gpu_count() == 0) return std::to_string(leg.slots());
        return std::to_string(leg.slots() - leg.gpu_slots()) + " + " +
               std::to_string(leg.gpu_slots()) + " GPU";
    };
    const auto add = [&](const std::string &name, const std::string &slots, Cycles cycles,
                         Cycles waited, const std::string &paid) {
        table.add_row({name, slots, format_ghz_hours(cycles), format_share(waited, cycles), paid});
    };
    if (bill.home_slots() > 0)
        table.add_row({"(this machine)", std::to_string(bill.home_slots()), "-", "-", "free"});
    for (const auto &leg : bill.legs())
        add(leg.host(), slots_text(leg), leg.cycles(), leg.waited_cycles(),
            leg.free() ? "free" : same_decimals(leg.paid(), decimals));
    const Sums sums = sums_of(bill);
    if (bill.legs_size() > 1)
        add("total", std::to_string(sums.slots), sums.cycles, sums.waited_cycles,
            same_decimals(bill.paid(), decimals));
    return table.empty() ? std::string() : table.format(kIndent);
}

std::string rank_table(const wire::Bill &bill) {
    struct Row {
        const wire::BillRank *rank;
        const wire::BillLeg *leg;
    };
    std::vector<Row> rows;
    for (const auto &leg : bill.legs())
        for (const auto &rank : leg.ranks()) rows.push_back({&rank, &leg});
    if (rows.empty()) return {};
    std::stable_sort(rows.begin(), rows.end(),
                     [](const Row &a, const Row &b) { return a.rank->rank() < b.rank->rank(); });
    Table table({{"rank", Align::kRight},
                 {"peer", Align::kLeft, kHostColumns},
                 {"GHz·h", Align::kRight},
                 {"waiting", Align::kRight}});
    for (const Row &row : rows)
        table.add_row({std::to_string(row.rank->rank()), row.leg->host(),
                       format_ghz_hours(row.rank->cycles()),
                       format_share(row.rank->waited_cycles(), row.rank->cycles())});
    return table.format(kIndent);
}

std::string summary(const wire::Bill &bill) {
    Table table({{"", Align::kLeft}, {"", Align::kPoint}, {"", Align::kLeft}});
    // As wide as "wall time", so that all values begin in one column.
    table.add_row({"price    ", format_units(bill.price_per_ghz_h()), "tokens per GHz·h"});
    table.add_row({"escrow", format_units(bill.escrow()), ""});
    table.add_row({"paid", format_units(bill.paid()),
                   bill.burned() == 0 ? "" : format_units(bill.burned()) + " of it burned"});
    if (bill.penalty() != 0)
        table.add_row({"penalty", format_units(bill.penalty()),
                       "burned: not all work was signed for at the end"});
    if (bill.deposit() != 0)
        table.add_row({"deposit", format_units(bill.deposit()),
                       "of the reservation: so much is paid at least"});
    table.add_row({"refunded", format_units(bill.refunded()),
                   bill.state() == "settled" ? "" : "once it is settled"});
    std::string out = table.format(kIndent);
    const std::string meter = meter_text(printable(bill.meter_class()));
    if (bill.started_at_ms() != 0 && bill.ended_at_ms() >= bill.started_at_ms())
        out += "  wall time  " + format_elapsed(bill.ended_at_ms() - bill.started_at_ms()) +
               ", from " + format_utc(bill.started_at_ms()) + "\n";
    if (!meter.empty()) out += "  meter      " + meter + "\n";
    return out;
}

Json json_rank(const wire::BillRank &rank) {
    return {{"rank", rank.rank()},
            {"cycles", rank.cycles()},
            {"waited_cycles", rank.waited_cycles()},
            {"ghz_h", format_ghz_hours(rank.cycles())}};
}

Json json_leg(const wire::BillLeg &leg) {
    Json ranks = Json::array();
    for (const auto &rank : leg.ranks()) ranks.push_back(json_rank(rank));
    return {{"provider", leg.provider()},
            {"host", leg.host()},
            {"slots", leg.slots()},
            {"state", leg.state()},
            {"cycles", leg.cycles()},
            {"waited_cycles", leg.waited_cycles()},
            {"ghz_h", format_ghz_hours(leg.cycles())},
            {"paid", json_amount(leg.paid())},
            {"burned", json_amount(leg.burned())},
            {"free", leg.free()},
            {"gpus", leg.gpu_count()},
            {"gpu_slots", leg.gpu_slots()},
            {"gpu_cycles", leg.gpu_cycles()},
            {"end", leg.end()},
            {"penalty", json_amount(leg.penalty())},
            {"forfeit", json_amount(leg.forfeit())},
            {"results_lost", leg.results_lost()},
            {"ranks", std::move(ranks)}};
}

}  // namespace

std::string format_reservation_text(const wire::Bill &bill) {
    std::string out = "Lease " + short_id(printable(bill.lease_id())) + " reserved: from " +
                      format_local(bill.starts_at_ms()) + " for " +
                      format_elapsed(bill.spec().duration_ms()) + " at most\n";
    if (!bill.title().empty()) out += shorten("  " + printable(bill.title()), kLineColumns) + "\n";
    Table peers({{"peer", Align::kLeft, kHostColumns}, {"slots", Align::kRight}});
    for (const auto &leg : bill.legs()) peers.add_row({leg.host(), std::to_string(leg.slots())});
    if (!peers.empty()) out += peers.format(kIndent) + "\n";
    Table money({{"", Align::kLeft}, {"", Align::kPoint}, {"", Align::kLeft}});
    money.add_row({"price", format_units(bill.price_per_ghz_h()), "tokens per GHz·h"});
    money.add_row({"escrow", format_units(bill.escrow()), "locked until it ends"});
    std::string costs = "paid at least, also if it is cancelled";
    if (bill.cancel_by_ms() > system_clock().unix_ms())
        costs += " after " + format_local(bill.cancel_by_ms());
    else if (bill.cancel_by_ms() > 0)
        costs += ": it starts soon";
    money.add_row({"deposit", format_units(bill.deposit()), costs});
    return out + money.format(kIndent);
}

std::string format_bill_text(const wire::Bill &bill, bool per_rank) {
    if (bill.state() == "reserved" && bill.role() == "renter") return format_reservation_text(bill);
    std::string out = title_line(bill) + end_lines(bill) + leg_table(bill);
    if (per_rank)
        if (const std::string ranks = rank_table(bill); !ranks.empty()) out += "\n" + ranks;
    out += "\n" + summary(bill);
    for (const std::string &notice : bill.notices()) out += "Note: " + printable(notice) + "\n";
    return out;
}

std::string format_bill_json(const wire::Bill &bill) {
    return json_text(json_bill(bill));
}

std::string format_explanation_text(const wire::Explanation &explanation) {
    Table table({{"peer", Align::kLeft, kHostColumns},
                 {"slots", Align::kRight},
                 {"taken", Align::kRight},
                 {"ask/GHz·h", Align::kPoint},
                 {"why", Align::kLeft, 100}});
    for (const auto &verdict : explanation.verdicts()) {
        std::string why;
        for (const std::string &reason : verdict.reasons())
            why += (why.empty() ? "" : "; ") + reason;
        if (why.empty())
            why = verdict.slots_taken() != 0 ? "taken"
                  : verdict.matches()        ? "matches; kept in reserve"
                                             : "does not match";
        table.add_row({verdict.host(), std::to_string(verdict.slots_offered()),
                       std::to_string(verdict.slots_taken()), format_units(verdict.ask_per_ghz_h()),
                       std::move(why)});
    }
    std::string out = table.empty() ? std::string() : table.format() + "\n";
    if (!explanation.summary().empty()) out += printable(explanation.summary()) + "\n";
    if (explanation.cleared())
        out += "Price " + format_units(explanation.price_per_ghz_h()) +
               " tokens per GHz·h; escrow " + format_units(explanation.escrow()) +
               " tokens, of which only what is used is paid.\n";
    return out;
}

Json json_bill(const wire::Bill &bill) {
    const Sums sums = sums_of(bill);
    Json legs = Json::array();
    for (const auto &leg : bill.legs()) legs.push_back(json_leg(leg));
    Json notices = Json::array();
    for (const std::string &notice : bill.notices()) notices.push_back(notice);
    return {{"lease", bill.lease_id()},
            {"state", bill.state()},
            {"role", bill.role()},
            {"command", bill.command()},
            {"ended_by", bill.ended_by()},
            {"reason", bill.reason()},
            {"title", bill.title()},
            {"event", bill.event_uid()},
            {"starts_at", json_time(bill.starts_at_ms())},
            {"cancel_by", json_time(bill.cancel_by_ms())},
            {"deposit", json_amount(bill.deposit())},
            {"started_at", json_time(bill.started_at_ms())},
            {"ended_at", json_time(bill.ended_at_ms())},
            {"price_per_ghz_h", json_amount(bill.price_per_ghz_h())},
            {"escrow", json_amount(bill.escrow())},
            {"paid", json_amount(bill.paid())},
            {"burned", json_amount(bill.burned())},
            {"penalty", json_amount(bill.penalty())},
            {"refunded", json_amount(bill.refunded())},
            {"home_slots", bill.home_slots()},
            {"slots", sums.slots},
            {"cycles", sums.cycles},
            {"waited_cycles", sums.waited_cycles},
            {"ghz_h", format_ghz_hours(sums.cycles)},
            {"meter_class", bill.meter_class()},
            {"legs", std::move(legs)},
            {"results_lost", bill.results_lost()},
            {"notices", std::move(notices)}};
}

Json json_amount(std::int64_t units) {
    return {{"units", units}, {"tokens", format_units(units)}};
}

Json json_time(std::uint64_t unix_ms) {
    return unix_ms == 0 ? Json(nullptr) : Json(format_utc(unix_ms));
}

std::string json_text(const Json &json) {
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace chain::client
