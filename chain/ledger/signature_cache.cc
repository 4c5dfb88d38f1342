// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/signature_cache.h"

namespace chain::ledger {

bool SignatureCache::verify(std::string_view tag, std::string_view bytes, const PublicKey &key,
                            const SignatureBytes &signature) {
    // Fixed lengths after the tagged hash: no two different inputs share a name.
    Sha256 hash;
    hash.update(to_bytes(tagged_hash(tag, bytes)));
    hash.update(to_bytes(key));
    hash.update(to_bytes(signature));
    const Bytes32 name = hash.finish();
    if (known_.contains(name)) {
        ++hit_count_;
        return true;
    }
    if (!chain::verify(tag, bytes, key, signature)) return false;
    known_.insert(name);
    oldest_first_.push_back(name);
    if (oldest_first_.size() > entries_max_) {
        known_.erase(oldest_first_.front());
        oldest_first_.pop_front();
    }
    return true;
}

bool verify_cached(SignatureCache *cache, std::string_view tag, std::string_view bytes,
                   const PublicKey &key, const SignatureBytes &signature) {
    return cache != nullptr ? cache->verify(tag, bytes, key, signature)
                            : chain::verify(tag, bytes, key, signature);
}

}  // namespace chain::ledger
