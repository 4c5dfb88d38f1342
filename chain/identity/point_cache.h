// SPDX-License-Identifier: BSD-3-Clause
//
// PointCache: the points of public keys. Finding one costs a square root, an eighth of a
// verification, and a ledger meets the same accounts again and again. Keys without a point are not
// remembered. What it says is what keys.h says without it.
//
// Thread-safe.
#pragma once

#include <mutex>
#include <unordered_map>

#include "chain/identity/keys.h"
#include "chain/identity/schnorr.h"

namespace chain {

class PointCache {
public:
    static constexpr std::size_t kEntriesMax = 1 << 16;  // about 10 MiB

    explicit PointCache(std::size_t entries_max = kEntriesMax);

    bool verify(std::string_view tag, std::string_view bytes, const PublicKey &key,
                const SignatureBytes &signature);
    bool is_valid_public_key(const PublicKey &key);
    std::size_t size() const;

private:
    using Points = std::unordered_map<PublicKey, schnorr::Point, Bytes32Hash>;
    std::optional<schnorr::Point> find(const PublicKey &key);

    const std::size_t young_max_;
    mutable std::mutex mutex_;
    // When the young are too many, they become the old, and the old are forgotten. Whoever is asked
    // for is young again.
    Points young_, old_;
};

}  // namespace chain
