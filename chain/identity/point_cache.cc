// SPDX-License-Identifier: BSD-3-Clause
#include "chain/identity/point_cache.h"

#include <utility>

namespace chain {

PointCache::PointCache(std::size_t entries_max) : young_max_(entries_max / 2) {}

bool PointCache::verify(std::string_view tag, std::string_view bytes, const PublicKey &key,
                        const SignatureBytes &signature) {
    const auto point = find(key);
    return point && schnorr::verify(*point, view_of(tagged_hash(tag, bytes)), signature);
}

bool PointCache::is_valid_public_key(const PublicKey &key) {
    return find(key).has_value();
}

std::size_t PointCache::size() const {
    const std::lock_guard lock(mutex_);
    return young_.size() + old_.size();
}

// nullopt: the key has no point.
std::optional<schnorr::Point> PointCache::find(const PublicKey &key) {
    std::optional<schnorr::Point> point;
    {
        const std::lock_guard lock(mutex_);
        if (const auto found = young_.find(key); found != young_.end()) return found->second;
        if (auto found = old_.extract(key)) {
            point = found.mapped();
            young_.insert(std::move(found));
        }
    }
    if (!point) point = schnorr::point_of(key);
    if (!point) return std::nullopt;
    Points forgotten;  // freed after the lock
    const std::lock_guard lock(mutex_);
    young_.try_emplace(key, *point);
    if (young_.size() > young_max_) {
        forgotten.swap(old_);
        old_.swap(young_);
    }
    return point;
}

}  // namespace chain
