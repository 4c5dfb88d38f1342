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
    {
        const std::lock_guard lock(mutex_);
        if (known_.contains(name)) {
            ++hit_count_;
            return true;
        }
    }
    if (!chain::verify(tag, bytes, key, signature)) return false;
    const std::lock_guard lock(mutex_);
    known_.insert(name);
    return true;
}

std::size_t SignatureCache::hit_count() const {
    const std::lock_guard lock(mutex_);
    return hit_count_;
}

std::size_t SignatureCache::size() const {
    const std::lock_guard lock(mutex_);
    return known_.size();
}

bool verify_cached(SignatureCache *cache, std::string_view tag, std::string_view bytes,
                   const PublicKey &key, const SignatureBytes &signature) {
    return cache != nullptr ? cache->verify(tag, bytes, key, signature)
                            : chain::verify(tag, bytes, key, signature);
}

}  // namespace chain::ledger
