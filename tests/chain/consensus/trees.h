// SPDX-License-Identifier: BSD-3-Clause
//
// Trees of blocks for tests of consensus.
#pragma once

#include <random>

#include "chain/consensus/block_tree.h"
#include "chain/identity/keys.h"

namespace chain::consensus {

inline KeyPair key_of(std::uint8_t number) {
    Bytes32 secret{};
    secret[31] = number;
    return KeyPair::from_secret(secret).value();
}

inline BlockId block_id(std::uint64_t number) {
    Bytes bytes;
    append_u64_le(bytes, number);
    return tagged_hash("test-block", bytes);
}

inline BlockSummary child_of(const BlockTree::Node &parent, std::uint64_t number,
                             std::uint64_t work = 1) {
    BlockSummary summary;
    summary.block = parent.summary.block;
    summary.block.id = block_id(number);
    summary.block.height = parent.height() + 1;
    summary.parent = parent.id();
    summary.time_ms = parent.summary.time_ms + 1;
    summary.work = Work{work};
    return summary;
}

class RandomTree {
public:
    RandomTree() : tree_(Checkpoint{}, 0) {}
    // Branches that say of checkpoints on them, at random, that they are justified.
    RandomTree(std::mt19937_64 &random, std::size_t count, std::uint32_t epoch_blocks)
        : RandomTree() {
        nodes_.push_back(&tree_.root());
        while (nodes_.size() < count) {
            const std::size_t back = random() % std::min<std::size_t>(nodes_.size(), 6);
            const BlockTree::Node &parent = *nodes_[nodes_.size() - 1 - back];
            BlockSummary summary = child_of(parent, ++number_);
            const std::uint64_t checkpoint = parent.height() - parent.height() % epoch_blocks;
            if (random() % 3 == 0)
                summary.block.justified_height =
                    std::max(summary.block.justified_height, checkpoint);
            nodes_.push_back(add(summary));
        }
    }

    const BlockTree &tree() const { return tree_; }
    BlockTree &tree() { return tree_; }
    const BlockTree::Node &pick(std::mt19937_64 &random) const {
        return *nodes_[random() % nodes_.size()];
    }
    const BlockTree::Node *add(const BlockSummary &summary) {
        const auto added = tree_.add(summary, BlockTree::Origin::kAsked);
        CHAIN_CHECK(added.ok());
        tree_.set_body(summary.block.id);
        return *added;
    }
    // The first branch, made as long as that.
    const BlockTree::Node &grow(std::uint64_t height) {
        const BlockTree::Node *at = first_ == nullptr ? &tree_.root() : first_;
        while (at->height() < height) at = add(child_of(*at, ++number_));
        first_ = at;
        return *at;
    }

private:
    BlockTree tree_;
    std::vector<const BlockTree::Node *> nodes_;
    const BlockTree::Node *first_ = nullptr;
    std::uint64_t number_ = 0;
};

}  // namespace chain::consensus
