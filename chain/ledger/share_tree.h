// SPDX-License-Identifier: BSD-3-Clause
//
// ShareTree: a Merkle tree over an account's shares, by rising work. Each node says, besides the
// hashes of its two halves, where they part: all to its left have less work than that, all to its
// right as much or more. So leaves that can be shown at two places are two different shares: a list
// in which some stand twice has as many places that cannot be shown.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "chain/base/bytes.h"

namespace chain::ledger {

struct ShareLeaf {
    Bytes32 work{};    // the proof-of-work hash of a header, as its finder says
    Bytes32 header{};  // the header's id
    friend auto operator<=>(const ShareLeaf &, const ShareLeaf &) = default;
};

// From below: what stands beside the way to the root, and where the two part.
struct ShareStep {
    Bytes32 beside{};
    Bytes32 parting{};
    friend bool operator==(const ShareStep &, const ShareStep &) = default;
};

class ShareTree {
public:
    // The shape is that of RFC 6962: of n leaves, the left half has the largest power of two below
    // n. Precondition: at least one. Time and memory: linear.
    explicit ShareTree(std::vector<ShareLeaf> leaves);

    std::uint64_t size() const { return leaves_.size(); }
    const Bytes32 &root() const { return levels_.back().front(); }
    // Precondition: index < size().
    std::vector<ShareStep> path(std::uint64_t index) const;

private:
    const std::vector<ShareLeaf> leaves_;
    // Hashes of the leaves; then of each two neighbours their parent's, and a last one without a
    // neighbour as it is, which gives the shape above.
    std::vector<std::vector<Bytes32>> levels_;
};

// The root to which `leaf` leads as number `index` of `count`; nullopt: there is no such path, or
// the leaf is on the wrong side of a parting.
std::optional<Bytes32> share_root_by(const ShareLeaf &leaf, std::uint64_t index,
                                     std::uint64_t count, std::span<const ShareStep> path);

}  // namespace chain::ledger
