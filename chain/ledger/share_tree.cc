// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/share_tree.h"

#include "chain/base/result.h"

namespace chain::ledger {
namespace {

constexpr std::string_view kLeafTag = "ompi-chain/share-leaf";
constexpr std::string_view kNodeTag = "ompi-chain/share-node";

Bytes32 hash_of(const ShareLeaf &leaf) {
    return tagged_hash(kLeafTag, to_bytes(leaf.work) + to_bytes(leaf.header));
}

Bytes32 parent_of(const Bytes32 &left, const Bytes32 &parting, const Bytes32 &right) {
    return tagged_hash(kNodeTag, to_bytes(left) + to_bytes(parting) + to_bytes(right));
}

}  // namespace

ShareTree::ShareTree(std::vector<ShareLeaf> leaves) : leaves_(std::move(leaves)) {
    CHAIN_CHECK(!leaves_.empty());
    std::vector<Bytes32> hashes;
    hashes.reserve(leaves_.size());
    for (const ShareLeaf &leaf : leaves_) hashes.push_back(hash_of(leaf));
    levels_.push_back(std::move(hashes));
    for (std::size_t width = 1; levels_.back().size() > 1; width *= 2) {
        const std::vector<Bytes32> &below = levels_.back();
        std::vector<Bytes32> level;
        level.reserve((below.size() + 1) / 2);
        for (std::size_t i = 0; i + 1 < below.size(); i += 2)
            level.push_back(parent_of(below[i], leaves_[(i + 1) * width].work, below[i + 1]));
        if (below.size() % 2 == 1) level.push_back(below.back());
        levels_.push_back(std::move(level));
    }
}

std::vector<ShareStep> ShareTree::path(std::uint64_t index) const {
    CHAIN_CHECK(index < size());
    std::vector<ShareStep> path;
    for (std::size_t level = 0; level + 1 < levels_.size(); ++level, index /= 2) {
        const std::uint64_t beside = index ^ 1;
        if (beside >= levels_[level].size()) continue;
        path.push_back({levels_[level][beside], leaves_[(index | 1) << level].work});
    }
    return path;
}

std::optional<Bytes32> share_root_by(const ShareLeaf &leaf, std::uint64_t index,
                                     std::uint64_t count, std::span<const ShareStep> path) {
    if (index >= count) return std::nullopt;
    Bytes32 hash = hash_of(leaf);
    for (; count > 1; index /= 2, count = count / 2 + count % 2) {
        const bool is_left = index % 2 == 0;
        if (is_left && index + 1 == count) continue;  // the last one, without a neighbour
        if (path.empty()) return std::nullopt;
        const auto &[beside, parting] = path.front();
        path = path.subspan(1);
        if (is_left != (leaf.work < parting)) return std::nullopt;
        hash = is_left ? parent_of(hash, parting, beside) : parent_of(beside, parting, hash);
    }
    if (!path.empty()) return std::nullopt;
    return hash;
}

}  // namespace chain::ledger
