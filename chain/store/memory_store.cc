// SPDX-License-Identifier: BSD-3-Clause
#include <map>
#include <mutex>
#include <shared_mutex>

#include "chain/store/store.h"

namespace chain {
namespace {

class MemoryStore final : public KeyValueStore {
public:
    Result<std::optional<Bytes>> get(std::string_view key) const override {
        const std::shared_lock lock(mutex_);
        const auto found = entries_.find(key);
        if (found == entries_.end()) return std::optional<Bytes>();
        return std::optional<Bytes>(found->second);
    }

    Status write(const WriteBatch &batch, bool) override {
        const std::unique_lock lock(mutex_);
        batch.each([&](std::string_view key, std::optional<std::string_view> value) {
            const auto found = entries_.find(key);
            if (!value) {
                if (found != entries_.end()) entries_.erase(found);
            } else if (found != entries_.end()) {
                found->second = *value;
            } else {
                entries_.emplace(key, *value);
            }
        });
        return ok_status();
    }

    Status scan_from(std::string_view prefix, std::string_view first,
                     const Visit &visit) const override {
        const std::shared_lock lock(mutex_);
        for (auto at = entries_.lower_bound(first);
             at != entries_.end() && at->first.starts_with(prefix); ++at)
            if (!visit(at->first, at->second)) break;
        return ok_status();
    }

private:
    mutable std::shared_mutex mutex_;
    std::map<Bytes, Bytes, std::less<>> entries_;
};

}  // namespace

std::unique_ptr<KeyValueStore> make_memory_store() {
    return std::make_unique<MemoryStore>();
}

}  // namespace chain
