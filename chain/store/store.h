// SPDX-License-Identifier: BSD-3-Clause
//
// KeyValueStore: ordered bytes to bytes, with atomic batches. LevelDB for daemons, a map for tests.
// One owner thread writes; reads are allowed from any thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chain/base/bytes.h"

namespace chain {

class WriteBatch {
public:
    void put(Bytes key, Bytes value) { entries_.emplace_back(std::move(key), std::move(value)); }
    void remove(Bytes key) { entries_.emplace_back(std::move(key), std::nullopt); }
    const std::vector<std::pair<Bytes, std::optional<Bytes>>> &entries() const { return entries_; }

private:
    std::vector<std::pair<Bytes, std::optional<Bytes>>> entries_;
};

class KeyValueStore {
public:
    virtual ~KeyValueStore() = default;
    // nullopt: no such key. Errors: kIo, kCorrupt.
    virtual Result<std::optional<Bytes>> get(std::string_view key) const = 0;
    // All or nothing; when `durable` it and all written before is on disk on return (fsync).
    // Errors: kDiskFull, kIo; then nothing of the batch is there.
    virtual Status write(const WriteBatch &batch, bool durable) = 0;
    using Visit = std::function<bool(std::string_view key, std::string_view value)>;
    // Calls `visit` for each key with `prefix`, in order, until it returns false.
    Status scan(std::string_view prefix, const Visit &visit) const {
        return scan_from(prefix, prefix, visit);
    }
    // The same from key `first` on, which has the prefix.
    virtual Status scan_from(std::string_view prefix, std::string_view first,
                             const Visit &visit) const = 0;
};

// Errors: kConflict (another process has it open), kCorrupt, kPermission, kDiskFull.
Result<std::unique_ptr<KeyValueStore>> open_leveldb_store(const std::string &folder);
std::unique_ptr<KeyValueStore> make_memory_store();

}  // namespace chain
