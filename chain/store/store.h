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
#include <vector>

#include "chain/base/bytes.h"

namespace chain {

// Changes in their order; of several to one key the last counts.
class WriteBatch {
public:
    void put(std::string_view key, std::string_view value) { add(key, value, false); }
    void remove(std::string_view key) { add(key, {}, true); }
    // nullopt: removes.
    void set(std::string_view key, const std::optional<Bytes> &value) {
        add(key, value ? std::string_view(*value) : std::string_view(), !value);
    }
    std::size_t count() const { return entries_.size(); }
    bool empty() const { return entries_.empty(); }
    std::size_t size_bytes() const { return bytes_.size(); }
    template <class Visit>  // void(std::string_view key, std::optional<std::string_view> value)
    void each(Visit visit) const {
        std::string_view rest = bytes_;
        for (const Entry &entry : entries_) {
            const std::string_view key = rest.substr(0, entry.key_bytes);
            const std::string_view value = rest.substr(key.size(), entry.value_bytes);
            rest.remove_prefix(key.size() + value.size());
            visit(key, entry.is_removal ? std::nullopt : std::optional(value));
        }
    }

private:
    struct Entry {
        std::size_t key_bytes;
        std::size_t value_bytes;
        bool is_removal;
    };
    void add(std::string_view key, std::string_view value, bool is_removal) {
        bytes_ += key;
        bytes_ += value;
        entries_.push_back({key.size(), value.size(), is_removal});
    }

    Bytes bytes_;  // key and value of each, one after another
    std::vector<Entry> entries_;
};

// An error that says something of the store and its disk, and nothing of what was to be judged with
// it.
inline bool is_of_store(const Error &error) {
    return error.code == ErrorCode::kIo || error.code == ErrorCode::kCorrupt ||
           error.code == ErrorCode::kDiskFull;
}

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
