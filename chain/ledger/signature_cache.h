// SPDX-License-Identifier: BSD-3-Clause
//
// SignatureCache: remembers which signatures of vouchers and blocks were found right, so that a
// voucher verified when its transaction was admitted is not verified again when its block arrives.
// (Whole transactions: tx_cache.h.) Only successes are kept, and the key covers tag, bytes, public
// key and signature: a hit proves as much as a verification.
//
// Thread-safe.
#pragma once

#include <cstddef>
#include <mutex>

#include "chain/base/recent_set.h"
#include "chain/identity/keys.h"

namespace chain::ledger {

class SignatureCache {
public:
    static constexpr std::size_t kEntriesMax = 1 << 16;  // about 5 MiB

    explicit SignatureCache(std::size_t entries_max = kEntriesMax) : known_(entries_max) {}

    bool verify(std::string_view tag, std::string_view bytes, const PublicKey &key,
                const SignatureBytes &signature);
    std::size_t hit_count() const;
    std::size_t size() const;

private:
    mutable std::mutex mutex_;
    std::size_t hit_count_ = 0;
    RecentSet<Bytes32, Bytes32Hash> known_;
};

// With a cache, or plainly without.
bool verify_cached(SignatureCache *cache, std::string_view tag, std::string_view bytes,
                   const PublicKey &key, const SignatureBytes &signature);

}  // namespace chain::ledger
