// SPDX-License-Identifier: BSD-3-Clause
#include "chain/consensus/block_tree.h"

#include <algorithm>
#include <unordered_set>

namespace chain::consensus {

BlockTree::BlockTree(const Checkpoint &root, std::uint64_t root_time_ms) {
    auto node = std::make_unique<Node>();
    node->summary.block = root;
    node->summary.time_ms = root_time_ms;
    node->has_body = true;
    root_ = node.get();
    nodes_.emplace(root.id, std::move(node));
}

const BlockTree::Node *BlockTree::find(const BlockId &id) const {
    const auto found = nodes_.find(id);
    return found == nodes_.end() ? nullptr : found->second.get();
}

static Status check_on_parent(const BlockSummary &summary, const BlockTree::Node &parent) {
    const auto wrong = [&](std::string_view why) {
        return make_error(ErrorCode::kInvalidInput, "block ", summary.block.height, " (",
                          short_hex(summary.block.id), ") ", why);
    };
    const Checkpoint &block = summary.block, &before = parent.summary.block;
    if (parent.is_invalid) return wrong("is built upon a wrong block");
    if (block.height != before.height + 1) return wrong("is not one higher than its parent");
    if (summary.time_ms <= parent.summary.time_ms) return wrong("is not later than its parent");
    if (block.justified_height < before.justified_height ||
        block.final_height < before.final_height ||
        block.previous_final_height < before.previous_final_height)
        return wrong("takes back what its parent says is final");
    if (block.justified_height >= block.height || block.final_height > block.justified_height ||
        block.previous_final_height > block.final_height)
        return wrong("says that something is final which cannot be");
    return ok_status();
}

Result<const BlockTree::Node *> BlockTree::add(const BlockSummary &summary, Origin origin,
                                               std::uint64_t not_before_ms) {
    const BlockId &id = summary.block.id;
    if (nodes_.contains(id))
        return make_error(ErrorCode::kConflict, "block ", short_hex(id), " is known already");
    const auto parent = nodes_.find(summary.parent);
    if (parent == nodes_.end())
        return make_error(ErrorCode::kNotFound, "the parent of block ", summary.block.height, " (",
                          short_hex(id), ") is not known");
    CHAIN_TRY(check_on_parent(summary, *parent->second));
    if (nodes_.size() >= kNodesMax)
        return make_error(ErrorCode::kTooLarge, "too many blocks above the final one");
    if (origin == Origin::kTold) {
        std::size_t others = 0;
        each([&](const Node &node) {
            if (node.height() == summary.block.height && node.summary.sealer == summary.sealer)
                ++others;
        });
        if (others >= kPerSealerAndHeightMax)
            return make_error(ErrorCode::kTooLarge, "too many blocks of one sealer at height ",
                              summary.block.height);
    }
    auto node = std::make_unique<Node>();
    node->summary = summary;
    node->parent = parent->second.get();
    node->total_work = chain::consensus::add(node->parent->total_work, summary.work);
    node->order = ++next_order_;
    node->not_before_ms = not_before_ms;
    return nodes_.emplace(id, std::move(node)).first->second.get();
}

void BlockTree::set_body(const BlockId &id) {
    const auto found = nodes_.find(id);
    CHAIN_CHECK(found != nodes_.end());
    found->second->has_body = true;
}

void BlockTree::set_invalid(const BlockId &id) {
    const auto found = nodes_.find(id);
    CHAIN_CHECK(found != nodes_.end() && found->second.get() != root_);
    const Node &wrong = *found->second;
    for (auto &[_, node] : nodes_)
        if (is_ancestor(wrong, *node)) node->is_invalid = true;
}

const BlockTree::Node *BlockTree::ancestor(const Node &node, std::uint64_t height) const {
    const Node *at = &node;
    while (at != nullptr && at->height() > height) at = at->parent;
    return at != nullptr && at->height() == height ? at : nullptr;
}

bool BlockTree::is_ancestor(const Node &older, const Node &node) const {
    return ancestor(node, older.height()) == &older;
}

// The highest justified checkpoint on the way to `node`: by its header, or by votes that we
// counted.
static std::uint64_t justified_on(const BlockTree &tree, const BlockTree::Node &node,
                                  const Checkpoint &justified) {
    const std::uint64_t proved = node.summary.block.justified_height;
    if (justified.height <= proved) return proved;
    const BlockTree::Node *const at = tree.ancestor(node, justified.height);
    return at != nullptr && at->id() == justified.id ? justified.height : proved;
}

bool BlockTree::is_better(const Node &a, const Node &b, const Checkpoint &justified) const {
    const std::uint64_t on_a = justified_on(*this, a, justified);
    const std::uint64_t on_b = justified_on(*this, b, justified);
    if (on_a != on_b) return on_a > on_b;
    if (a.total_work != b.total_work) return a.total_work > b.total_work;
    return a.order < b.order;
}

const BlockTree::Node *BlockTree::choose(const Checkpoint &justified, std::uint64_t now_ms,
                                         bool with_bodies) const {
    // In the order in which they came: parents before children.
    std::vector<const Node *> nodes;
    nodes.reserve(nodes_.size());
    each([&](const Node &node) { nodes.push_back(&node); });
    std::sort(nodes.begin(), nodes.end(),
              [](const Node *a, const Node *b) { return a->order < b->order; });
    // Two thirds of the validators know the time: what they have justified is not too early. What
    // is built upon that, by anybody, may be.
    std::unordered_set<const Node *> decided;
    const Node *at = find(justified.id);
    for (; at != nullptr && at != root_; at = at->parent) decided.insert(at);
    std::unordered_map<const Node *, bool> usable;
    const Node *best = root_;
    for (const Node *const node : nodes) {
        const bool is_usable =
            node == root_ ||
            (usable[node->parent] && !node->is_invalid && (node->has_body || !with_bodies) &&
             (node->not_before_ms <= now_ms || decided.contains(node)));
        usable[node] = is_usable;
        if (is_usable && is_better(*node, *best, justified)) best = node;
    }
    return best;
}

const BlockTree::Node &BlockTree::best(const Checkpoint &justified, std::uint64_t now_ms) const {
    return *choose(justified, now_ms, true);
}

const BlockTree::Node *BlockTree::wanted(const Checkpoint &justified, std::uint64_t now_ms) const {
    const Node *const wished = choose(justified, now_ms, false);
    const Node &present = best(justified, now_ms);
    return is_better(*wished, present, justified) ? wished : nullptr;
}

BlockTree::Path BlockTree::path(const Node &from, const Node &to) const {
    Path path;
    const Node *a = &from, *b = &to;
    while (a != b) {
        if (a->height() >= b->height()) {
            path.down.push_back(a);
            a = a->parent;
        } else {
            path.up.push_back(b);
            b = b->parent;
        }
    }
    path.fork = a;
    std::reverse(path.up.begin(), path.up.end());
    return path;
}

std::vector<BlockId> BlockTree::prune(const BlockId &id) {
    const auto found = nodes_.find(id);
    CHAIN_CHECK(found != nodes_.end());
    Node *const root = found->second.get();
    std::vector<BlockId> dropped;
    if (root == root_) return dropped;
    for (const auto &[other, node] : nodes_)
        if (!is_ancestor(*root, *node)) dropped.push_back(other);
    for (const BlockId &other : dropped) nodes_.erase(other);
    root_ = root;
    root_->parent = nullptr;
    root_->has_body = true;
    return dropped;
}

}  // namespace chain::consensus
