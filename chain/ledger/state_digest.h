// SPDX-License-Identifier: BSD-3-Clause
//
// StateDigest: one hash for the whole state, kept up to date at the cost of what changes, and the
// same whatever the order of changes (docs/adr/0002-state-digest.md). A homomorphic hash of the
// LtHash kind: each entry expands to 1024 lanes of 16 bits; lanes are added and subtracted.
//
// Owner: one thread. A plain value.
#pragma once

#include <array>
#include <cstdint>

#include "chain/base/bytes.h"

namespace chain::ledger {

class StateDigest {
public:
    static constexpr std::size_t kLanes = 1024;
    static constexpr std::size_t kLaneBytes = kLanes * sizeof(std::uint16_t);

    // Precondition of remove: the entry was added. Removing is the exact inverse of adding.
    void add(std::string_view key, std::string_view value);
    void remove(std::string_view key, std::string_view value);

    // All that was added to and removed from `other`, which began empty: changes that were summed
    // up apart, on several threads, come to the same whatever the parts.
    void add(const StateDigest &other);

    Bytes32 digest() const;
    Bytes lane_bytes() const;  // little-endian, for storing
    // Errors: kCorrupt when the length is wrong.
    static Result<StateDigest> from_lane_bytes(std::string_view bytes);

    friend bool operator==(const StateDigest &, const StateDigest &) = default;

private:
    std::array<std::uint16_t, kLanes> lanes_{};
};

}  // namespace chain::ledger
