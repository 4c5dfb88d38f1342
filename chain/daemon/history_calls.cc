// SPDX-License-Identifier: BSD-3-Clause
//
// What the control socket answers about the past: an account's history, the market's prices.
#include <algorithm>

#include "chain/daemon/daemon.h"

namespace chain::daemon {
namespace {

constexpr std::uint32_t kHistoryLinesDefault = 20;
constexpr std::uint32_t kPriceHoursDefault = 24;

void fill_line(const ledger::HistoryEntry &entry, wire::HistoryLine &line) {
    line.set_height(entry.place.height);
    line.set_tx_index(entry.place.index);
    line.set_time_ms(entry.time_ms);
    line.set_kind(entry.kind);
    line.set_text(entry.text);
    if (entry.tx_id != ledger::TxId{}) line.set_tx_id(to_hex(entry.tx_id));
    if (entry.sender != PublicKey{}) line.set_sender(to_address(entry.sender));
    line.set_delta(entry.delta);
    line.set_balance(entry.after.balance.units);
    line.set_locked_escrow(entry.after.escrow.units);
    line.set_locked_collateral(entry.after.collateral.units);
}

}  // namespace

Result<wire::ControlReply> Daemon::wallet_history(const wire::WalletHistoryCall &call) {
    PublicKey account{};
    if (call.address().empty()) {
        CHAIN_ASSIGN(account, wallet_->account());
    } else {
        CHAIN_ASSIGN(account, parse_address(call.address()));
    }
    std::optional<ledger::TxPlace> before;
    if (call.has_before()) before = {call.before().height(), call.before().tx_index()};
    const std::uint32_t count = call.count() == 0 ? kHistoryLinesDefault : call.count();
    CHAIN_ASSIGN(const ledger::HistoryPage page, ledger_->history_of(account, before, count));
    wire::ControlReply reply;
    wire::WalletHistory &history = *reply.mutable_wallet_history();
    history.set_address(to_address(account));
    history.set_more(page.more);
    for (const ledger::HistoryEntry &entry : page.entries) fill_line(entry, *history.add_lines());
    return reply;
}

Result<wire::ControlReply> Daemon::market_price(const wire::MarketPriceCall &call) {
    const std::uint64_t count = std::min<std::uint64_t>(
        call.hours() == 0 ? kPriceHoursDefault : call.hours(), ledger::kPriceHoursMax);
    const std::uint64_t to_hour = ledger_->chain_time_ms() / ledger::kMsPerHour;
    const std::uint64_t from_hour = to_hour + 1 - std::min(count, to_hour + 1);
    CHAIN_ASSIGN(const auto hours, ledger_->prices(from_hour, to_hour, count));
    wire::ControlReply reply;
    wire::PriceTable &table = *reply.mutable_prices();
    table.set_from_ms(from_hour * ledger::kMsPerHour);
    table.set_to_ms((to_hour + 1) * ledger::kMsPerHour);
    for (const ledger::PriceHour &hour : hours) {
        wire::PriceHourView &view = *table.add_hours();
        view.set_begins_ms(hour.hour * ledger::kMsPerHour);
        view.set_legs(hour.leg_count);
        view.set_cycles(hour.cycles);
        view.set_paid(hour.paid.units);
        view.set_price(hour.price.units);
        view.set_price_low(hour.price_min.units);
        view.set_price_high(hour.price_max.units);
    }
    return reply;
}

}  // namespace chain::daemon
