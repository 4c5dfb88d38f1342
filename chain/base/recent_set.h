// SPDX-License-Identifier: BSD-3-Clause
//
// RecentSet: the newest of a stream, oldest forgotten first.
#pragma once

#include <cstddef>
#include <deque>
#include <unordered_set>

namespace chain {

template <class Key, class Hash>
class RecentSet {
public:
    explicit RecentSet(std::size_t count_max) : count_max_(count_max) {}
    bool contains(const Key &key) const { return keys_.contains(key); }
    std::size_t size() const { return keys_.size(); }
    // False: it was there, and is no younger for it.
    bool insert(const Key &key) {
        if (!keys_.insert(key).second) return false;
        oldest_first_.push_back(key);
        if (oldest_first_.size() > count_max_) {
            keys_.erase(oldest_first_.front());
            oldest_first_.pop_front();
        }
        return true;
    }

private:
    const std::size_t count_max_;
    std::unordered_set<Key, Hash> keys_;
    std::deque<Key> oldest_first_;
};

}  // namespace chain
