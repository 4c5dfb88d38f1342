// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/journal.h"

#include <algorithm>

#include "chain/base/log.h"

namespace chain::daemon {
namespace {

Bytes renter_key(const ledger::LeaseId &lease) {
    return "r" + to_bytes(lease);
}

Bytes provider_key(const ledger::LeaseId &lease, std::uint32_t leg) {
    Bytes key = "p" + to_bytes(lease);
    append_u32_le(key, leg);
    return key;
}

constexpr std::string_view kResultsPrefix = "f";
constexpr std::string_view kBookingPrefix = "b";

Bytes booking_key(const ledger::LeaseId &lease, std::uint32_t leg) {
    Bytes key = std::string(kBookingPrefix) + to_bytes(lease);
    append_u32_le(key, leg);
    return key;
}

Bytes results_key(const ledger::LeaseId &lease) {
    return std::string(kResultsPrefix) + to_bytes(lease);
}

Status put(KeyValueStore &store, Bytes key, const google::protobuf::MessageLite &record) {
    WriteBatch batch;
    batch.put(std::move(key), record.SerializeAsString());
    return store.write(batch, true);
}

template <class Record>
std::optional<Record> get(const KeyValueStore &store, const Bytes &key) {
    const auto found = store.get(key);
    if (!found.ok()) {
        log(LogLevel::kError, "daemon", "journal: ", found.error().message);
        return std::nullopt;
    }
    if (!found->has_value()) return std::nullopt;
    Record record;
    if (!record.ParseFromString(**found)) {
        log(LogLevel::kError, "daemon", "journal: a record is corrupt and is left out");
        return std::nullopt;
    }
    return record;
}

}  // namespace

Result<Journal> Journal::open(const std::string &folder) {
    CHAIN_ASSIGN(auto store, open_leveldb_store(folder));
    return Journal(std::move(store));
}

Status Journal::put_renter(const ledger::LeaseId &lease, const wire::RenterRecord &record) {
    return put(*store_, renter_key(lease), record);
}

Status Journal::put_provider(const ledger::LeaseId &lease, std::uint32_t leg,
                             const wire::ProviderRecord &record) {
    return put(*store_, provider_key(lease, leg), record);
}

Status Journal::put_results(const ledger::LeaseId &lease, const wire::ResultsRecord &record) {
    return put(*store_, results_key(lease), record);
}

Status Journal::note_results(const ledger::LeaseId &lease, const std::vector<bool> &has_all) {
    WriteBatch batch;
    auto record = results(lease);
    if (!record.has_value()) return ok_status();
    bool is_over = true;
    for (int leg = 0; leg < record->legs_size(); ++leg) {
        wire::ResultsLeg &entry = *record->mutable_legs(leg);
        const auto index = static_cast<std::size_t>(leg);
        if (index < has_all.size() && has_all[index]) entry.set_has_all(true);
        is_over = is_over && entry.has_all();
    }
    batch.set(results_key(lease),
              is_over ? std::nullopt : std::optional(record->SerializeAsString()));
    return store_->write(batch, true);
}

Status Journal::remove_results_before(std::uint64_t at_ms) {
    WriteBatch batch;
    CHAIN_TRY(store_->scan(kResultsPrefix, [&](std::string_view key, std::string_view value) {
        wire::ResultsRecord record;
        if (!record.ParseFromArray(value.data(), static_cast<int>(value.size())) ||
            record.written_at_ms() < at_ms)
            batch.remove(key);
        return true;
    }));
    return store_->write(batch, false);
}

Status Journal::put_booking(const ledger::LeaseId &lease, std::uint32_t leg,
                            const wire::BookingRecord &record) {
    return put(*store_, booking_key(lease, leg), record);
}

Status Journal::remove_booking(const ledger::LeaseId &lease, std::uint32_t leg) {
    WriteBatch batch;
    batch.remove(booking_key(lease, leg));
    return store_->write(batch, true);
}

std::vector<Journal::Booking> Journal::bookings() const {
    std::vector<Booking> found;
    const Status read =
        store_->scan(kBookingPrefix, [&](std::string_view key, std::string_view value) {
            constexpr std::size_t kLegBytes = 4;
            Booking booking;
            key.remove_prefix(kBookingPrefix.size());
            if (key.size() == booking.lease.size() + kLegBytes &&
                booking.record.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
                std::copy_n(key.begin(), booking.lease.size(), booking.lease.begin());
                booking.leg = read_u32_le(key.substr(booking.lease.size()));
                found.push_back(std::move(booking));
            } else {
                log(LogLevel::kError, "daemon", "journal: a booking is corrupt and is left out");
            }
            return true;
        });
    if (!read.ok()) log(LogLevel::kError, "daemon", "journal: ", read.error().message);
    return found;
}

std::optional<wire::ResultsRecord> Journal::results(const ledger::LeaseId &lease) const {
    return get<wire::ResultsRecord>(*store_, results_key(lease));
}

std::optional<wire::RenterRecord> Journal::renter(const ledger::LeaseId &lease) const {
    return get<wire::RenterRecord>(*store_, renter_key(lease));
}

std::optional<wire::ProviderRecord> Journal::provider(const ledger::LeaseId &lease,
                                                      std::uint32_t leg) const {
    return get<wire::ProviderRecord>(*store_, provider_key(lease, leg));
}

}  // namespace chain::daemon
