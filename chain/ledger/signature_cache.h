// SPDX-License-Identifier: BSD-3-Clause
//
// SignatureCache: remembers which signatures were found right, so that a transaction verified when
// it was admitted is not verified again when its block arrives. Only successes are kept, and the
// key covers tag, bytes, public key and signature: a hit proves as much as a verification.
//
// Owner: one thread.
#pragma once

#include <cstddef>
#include <deque>
#include <unordered_set>

#include "chain/identity/keys.h"

namespace chain::ledger {

class SignatureCache {
public:
    static constexpr std::size_t kEntriesMax = 1 << 16;  // about 5 MiB

    explicit SignatureCache(std::size_t entries_max = kEntriesMax) : entries_max_(entries_max) {}

    bool verify(std::string_view tag, std::string_view bytes, const PublicKey &key,
                const SignatureBytes &signature);
    std::size_t hit_count() const { return hit_count_; }
    std::size_t size() const { return known_.size(); }

private:
    const std::size_t entries_max_;
    std::size_t hit_count_ = 0;
    std::unordered_set<Bytes32, Bytes32Hash> known_;
    std::deque<Bytes32> oldest_first_;
};

// With a cache, or plainly without.
bool verify_cached(SignatureCache *cache, std::string_view tag, std::string_view bytes,
                   const PublicKey &key, const SignatureBytes &signature);

}  // namespace chain::ledger
