// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/history.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "chain/ledger/chain_records.h"
#include "chain/ledger/state.pb.h"

namespace chain::ledger {
namespace {

using Wide = unsigned __int128;

// Another number makes every node build its index anew: raise it when what is written changes.
constexpr std::string_view kIndexVersion = "1";
constexpr std::string_view kMarkKey = "mhistory";
constexpr char kAccountHistoryPrefix = 'a';
constexpr char kPricePrefix = 'p';
constexpr char kUndoPrefix = 'i';
constexpr std::size_t kRemovedPerBatch = 4'096;

// The state's keys (chain/ledger/state.cc): a prefix of two letters and an id.
constexpr std::string_view kStateAccount = "sa";
constexpr std::string_view kStateLease = "sl";
constexpr std::size_t kStateKeyBytes = 2 + sizeof(Bytes32);

Error corrupt_index(std::string_view what) {
    return make_error(ErrorCode::kCorrupt, "the ledger's index is damaged: ", what);
}

bool is_state_key(std::string_view key, std::string_view prefix) {
    return key.size() == kStateKeyBytes && key.starts_with(prefix);
}

Bytes account_prefix(const PublicKey &account) {
    return kAccountHistoryPrefix + to_bytes(account);
}

Bytes account_steps_key(const PublicKey &account, std::uint64_t height) {
    Bytes key = account_prefix(account);
    append_u64_be(key, ~height);
    return key;
}

// ---- sums of an hour, in 128 bits: nobody can make them wrap around

constexpr Wide kWideMax = ~Wide{0};

void add_wide(Wide &sum, Wide part) {
    sum = part > kWideMax - sum ? kWideMax : sum + part;
}

Bytes encode_wide(Wide number) {
    Bytes bytes;
    append_u64_be(bytes, static_cast<std::uint64_t>(number >> 64));
    append_u64_be(bytes, static_cast<std::uint64_t>(number));
    return bytes;
}

Result<Wide> decode_wide(std::string_view bytes) {
    if (bytes.size() != sizeof(Wide)) return corrupt_index("a sum of an hour");
    return Wide{read_u64_be(bytes)} << 64 | read_u64_be(bytes.substr(8));
}

struct HourSums {
    std::uint64_t leg_count = 0;
    Wide cycles = 0;
    Wide paid = 0;
    Wide price_cycles = 0;  // of each leg: price per GHz·h x cycles
    Amount price_min{kMaxAmountUnits};
    Amount price_max;

    void add_leg(Amount price, const Leg &leg) {
        ++leg_count;
        add_wide(cycles, leg.cycles);
        add_wide(paid, static_cast<Wide>(leg.payment.units));
        add_wide(price_cycles, static_cast<Wide>(price.units) * leg.cycles);
        price_min = std::min(price_min, price);
        price_max = std::max(price_max, price);
    }
};

Bytes encode_hour(const HourSums &sums) {
    record::PriceHourRecord out;
    out.set_leg_count(sums.leg_count);
    out.set_cycles(encode_wide(sums.cycles));
    out.set_paid(encode_wide(sums.paid));
    out.set_price_cycles(encode_wide(sums.price_cycles));
    out.set_price_min(sums.price_min.units);
    out.set_price_max(sums.price_max.units);
    return out.SerializeAsString();
}

Result<HourSums> decode_hour(std::string_view bytes) {
    record::PriceHourRecord in;
    if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
        return corrupt_index("the prices of an hour");
    HourSums sums;
    sums.leg_count = in.leg_count();
    CHAIN_ASSIGN(sums.cycles, decode_wide(in.cycles()));
    CHAIN_ASSIGN(sums.paid, decode_wide(in.paid()));
    CHAIN_ASSIGN(sums.price_cycles, decode_wide(in.price_cycles()));
    CHAIN_ASSIGN(sums.price_min, amount_from_units(in.price_min()));
    CHAIN_ASSIGN(sums.price_max, amount_from_units(in.price_max()));
    if (sums.leg_count == 0 || sums.cycles == 0) return corrupt_index("an hour without trade");
    return sums;
}

// Free ones have no price, and must not weigh on that of the others.
bool is_trade(const Leg &leg) {
    return leg.state == LegState::kSettled && leg.cycles > 0 && !leg.free;
}

// Legs that the change from `before` to `after` settled, and that were worked on.
void add_settled(const std::optional<Lease> &before, const Lease &after, HourSums &sums) {
    for (std::size_t i = 0; i < after.legs.size(); ++i) {
        const Leg &leg = after.legs[i];
        if (!is_trade(leg)) continue;
        if (before && before->legs[i].state == LegState::kSettled) continue;
        sums.add_leg(after.price_per_ghz_h, leg);
    }
}

Status add_settled(const IndexedBlock &block, HourSums &sums) {
    CHAIN_CHECK(block.old_values.size() == block.changes.size());
    auto next_old_value = block.old_values.begin();
    for (const auto &[key, value] : block.changes) {
        const std::optional<Bytes> &old_value = *next_old_value++;
        if (!value || !is_state_key(key, kStateLease)) continue;
        CHAIN_ASSIGN(const Lease lease, decode_lease(LeaseId{}, *value));
        if (std::none_of(lease.legs.begin(), lease.legs.end(), is_trade)) continue;
        std::optional<Lease> old_lease;
        if (old_value) {
            CHAIN_ASSIGN(old_lease, decode_lease(LeaseId{}, *old_value));
            if (old_lease->legs.size() != lease.legs.size()) return corrupt_index("a lease's legs");
        }
        add_settled(old_lease, lease, sums);
    }
    return ok_status();
}

Bytes mark_of(const Bytes32 &id) {
    return Bytes(kIndexVersion) + to_bytes(id);
}

// ---- one block

void put_steps(const IndexedBlock &block, record::IndexUndoRecord &undo, WriteBatch &batch) {
    // By account, then in their order, which is that of their addresses. The first bytes mostly
    // decide.
    std::vector<std::pair<std::uint64_t, const AccountStep *>> steps;
    steps.reserve(block.trail.steps().size());
    for (const AccountStep &step : block.trail.steps())
        steps.emplace_back(read_u64_be(view_of(step.account)), &step);
    std::sort(steps.begin(), steps.end(), [](const auto &a, const auto &b) {
        if (a.first != b.first) return a.first < b.first;
        return std::tie(a.second->account, a.second) < std::tie(b.second->account, b.second);
    });
    record::AccountStepsRecord record;
    for (std::size_t i = 0; i < steps.size();) {
        const PublicKey &account = steps[i].second->account;
        record.Clear();
        for (; i < steps.size() && steps[i].second->account == account; ++i) {
            auto *step = record.add_steps();
            step->set_tx_index(steps[i].second->tx_index);
            step->set_account(steps[i].second->record);
        }
        batch.put(account_steps_key(account, block.height), record.SerializeAsString());
        undo.mutable_accounts()->append(to_bytes(account));
    }
}

Status put_prices(const IndexedBlock &block, record::IndexUndoRecord &undo, Overlay &prices) {
    HourSums settled;
    CHAIN_TRY(add_settled(block, settled));
    if (settled.leg_count == 0) return ok_status();
    const std::uint64_t hour = block.time_ms / kMsPerHour;
    const Bytes key = numbered_key(kPricePrefix, hour);
    CHAIN_ASSIGN(const auto old_value, prices.get(key));
    undo.set_price_changed(true);
    undo.set_price_hour(hour);
    if (old_value) {
        undo.set_price_before(*old_value);
        CHAIN_ASSIGN(const HourSums sums, decode_hour(*old_value));
        settled.leg_count += sums.leg_count;
        add_wide(settled.cycles, sums.cycles);
        add_wide(settled.paid, sums.paid);
        add_wide(settled.price_cycles, sums.price_cycles);
        settled.price_min = std::min(settled.price_min, sums.price_min);
        settled.price_max = std::max(settled.price_max, sums.price_max);
    }
    prices.put_raw(key, encode_hour(settled));
    return ok_status();
}

}  // namespace

void AccountTrail::note(std::uint32_t tx_index, const Overlay &state) {
    state.each_written([&](const Bytes &key, const std::optional<Bytes> &value) {
        if (!is_state_key(key, kStateAccount)) return;
        AccountStep &step = steps_.emplace_back();
        step.tx_index = tx_index;
        std::copy(key.begin() + 2, key.end(), step.account.begin());
        if (value) step.record = *value;
    });
}

Status add_block(const IndexedBlock &block, Overlay &prices, WriteBatch &batch) {
    record::IndexUndoRecord undo;
    put_steps(block, undo, batch);
    CHAIN_TRY(put_prices(block, undo, prices));
    batch.put(numbered_key(kUndoPrefix, block.height), undo.SerializeAsString());
    return ok_status();
}

Status index_block(const IndexedBlock &block, Overlay &prices, WriteBatch &batch) {
    CHAIN_TRY(add_block(block, prices, batch));
    mark_indexed(block.id, batch);
    return ok_status();
}

Status unindex_block(const KeyValueStore &store, std::uint64_t height, const Bytes32 &parent_id,
                     WriteBatch &batch) {
    const Bytes undo_key = numbered_key(kUndoPrefix, height);
    CHAIN_ASSIGN(const auto bytes, store.get(undo_key));
    record::IndexUndoRecord undo;
    if (!bytes || !undo.ParseFromString(*bytes) || undo.accounts().size() % sizeof(PublicKey) != 0)
        return corrupt_index("an undo record");
    for (std::size_t at = 0; at < undo.accounts().size(); at += sizeof(PublicKey)) {
        CHAIN_ASSIGN(const PublicKey account,
                     to_bytes32(undo.accounts().substr(at, sizeof(PublicKey)), "account"));
        batch.remove(account_steps_key(account, height));
    }
    if (undo.price_changed()) {
        const Bytes price_key = numbered_key(kPricePrefix, undo.price_hour());
        if (undo.price_before().empty())
            batch.remove(price_key);
        else
            batch.put(price_key, undo.price_before());
    }
    batch.remove(undo_key);
    mark_indexed(parent_id, batch);
    return ok_status();
}

void mark_indexed(const Bytes32 &id, WriteBatch &batch) {
    batch.put(Bytes(kMarkKey), mark_of(id));
}

Result<bool> is_indexed(const KeyValueStore &store, const Bytes32 &id) {
    CHAIN_ASSIGN(const auto mark, store.get(kMarkKey));
    return mark && *mark == mark_of(id);
}

Status remove_all(KeyValueStore &store, std::string_view prefix) {
    for (;;) {
        WriteBatch batch;
        CHAIN_TRY(store.scan(prefix, [&](std::string_view key, std::string_view) {
            batch.remove(Bytes(key));
            return batch.count() < kRemovedPerBatch;
        }));
        if (batch.empty()) return ok_status();
        CHAIN_TRY(store.write(batch, false));
    }
}

Status drop_index(KeyValueStore &store) {
    WriteBatch batch;
    batch.remove(Bytes(kMarkKey));
    CHAIN_TRY(store.write(batch, true));
    for (const char prefix : {kAccountHistoryPrefix, kPricePrefix, kUndoPrefix})
        CHAIN_TRY(remove_all(store, {&prefix, 1}));
    return ok_status();
}

Result<std::vector<AccountState>> account_states(const KeyValueStore &store,
                                                 const PublicKey &account,
                                                 std::optional<TxPlace> before,
                                                 std::size_t count_max) {
    std::vector<AccountState> found;
    Status status = ok_status();
    const Bytes prefix = account_prefix(account);
    const Bytes first = before ? account_steps_key(account, before->height) : prefix;
    const auto take = [&](std::string_view key, std::string_view value) -> Status {
        record::AccountStepsRecord steps;
        if (key.size() != prefix.size() + sizeof(std::uint64_t) ||
            !steps.ParseFromArray(value.data(), static_cast<int>(value.size())))
            return corrupt_index("the steps of an account");
        const std::uint64_t height = ~read_u64_be(key.substr(prefix.size()));
        for (int i = steps.steps_size() - 1; i >= 0 && found.size() < count_max; --i) {
            const auto &step = steps.steps(i);
            if (before && before->height == height && step.tx_index() >= before->index) continue;
            CHAIN_ASSIGN(const Account after, decode_account(step.account()));
            found.push_back({{height, step.tx_index()}, after});
        }
        return ok_status();
    };
    if (count_max == 0) return found;
    CHAIN_TRY(store.scan_from(prefix, first, [&](std::string_view key, std::string_view value) {
        status = take(key, value);
        return status.ok() && found.size() < count_max;
    }));
    CHAIN_TRY(status);
    return found;
}

Result<std::vector<PriceHour>> price_hours(const KeyValueStore &store, std::uint64_t from_hour,
                                           std::uint64_t to_hour, std::size_t count_max) {
    std::vector<PriceHour> hours;
    Status status = ok_status();
    const auto take = [&](std::uint64_t hour, std::string_view value) -> Status {
        CHAIN_ASSIGN(const HourSums sums, decode_hour(value));
        const Wide rest = sums.price_cycles % sums.cycles;
        const Wide price = sums.price_cycles / sums.cycles + (rest >= sums.cycles - rest ? 1 : 0);
        const auto bounded = [](Wide number, auto limit) {
            return static_cast<decltype(limit)>(std::min(number, static_cast<Wide>(limit)));
        };
        hours.push_back({.hour = hour,
                         .leg_count = sums.leg_count,
                         .cycles = bounded(sums.cycles, std::numeric_limits<Cycles>::max()),
                         .paid = Amount{bounded(sums.paid, kMaxAmountUnits)},
                         .price_min = sums.price_min,
                         .price_max = sums.price_max,
                         .price = Amount{bounded(price, kMaxAmountUnits)}});
        return ok_status();
    };
    const Bytes prefix(1, kPricePrefix);
    const std::size_t limit = std::min(count_max, kPriceHoursMax);
    if (limit == 0) return hours;
    CHAIN_TRY(store.scan_from(prefix, numbered_key(kPricePrefix, from_hour),
                              [&](std::string_view key, std::string_view value) {
                                  const std::uint64_t hour = read_u64_be(key.substr(1));
                                  if (hour > to_hour) return false;
                                  status = take(hour, value);
                                  return status.ok() && hours.size() < limit;
                              }));
    CHAIN_TRY(status);
    return hours;
}

}  // namespace chain::ledger
