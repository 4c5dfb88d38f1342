// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/journal.h"

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

std::optional<wire::RenterRecord> Journal::renter(const ledger::LeaseId &lease) const {
    return get<wire::RenterRecord>(*store_, renter_key(lease));
}

std::optional<wire::ProviderRecord> Journal::provider(const ledger::LeaseId &lease,
                                                      std::uint32_t leg) const {
    return get<wire::ProviderRecord>(*store_, provider_key(lease, leg));
}

}  // namespace chain::daemon
