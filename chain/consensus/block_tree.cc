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
    node->is_on_chain = true;
    root_ = node.get();
    chain_tip_ = root_;
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
    if (parent->second->not_before_ms > 0 && not_before_ms > 0)
        return make_error(ErrorCode::kNotYet, "block ", summary.block.height, " (", short_hex(id),
                          ") is built upon one whose time is too far ahead");
    const auto own = beside_chain_by_sealer_.find(summary.sealer);
    const bool has_room = beside_chain_ < kNodesMax &&
                          (own == beside_chain_by_sealer_.end() || own->second < kPerSealerMax);
    const bool is_next = parent->second.get() == chain_tip_;
    if (!has_room && !(is_next && make_room_upon_tip(summary.sealer)))
        return make_error(ErrorCode::kNoRoom, "too many blocks wait for their place");
    if (has_room && origin == Origin::kTold &&
        count_at(summary.block.height, summary.sealer) >= kPerSealerAndHeightMax)
        return make_error(ErrorCode::kNoRoom, "too many blocks of one sealer at height ",
                          summary.block.height);
    if (parent->second->summary.sealer != summary.sealer) parent->second->is_built_upon = true;
    auto node = std::make_unique<Node>();
    node->summary = summary;
    node->parent = parent->second.get();
    node->total_work = chain::consensus::add(node->parent->total_work, summary.work);
    node->order = ++next_order_;
    node->not_before_ms = not_before_ms;
    count(*node, true);
    return nodes_.emplace(id, std::move(node)).first->second.get();
}

std::size_t BlockTree::count_at(std::uint64_t height, const PublicKey &sealer) const {
    std::size_t count = 0;
    each([&](const Node &node) {
        count += node.height() == height && node.summary.sealer == sealer;
    });
    return count;
}

// What was taken upon the tip without room gives way to what comes later: a sealer that signs many
// must not keep the one from us that all others have taken.
bool BlockTree::make_room_upon_tip(const PublicKey &sealer) {
    std::size_t count = 0;
    const Node *oldest = nullptr;
    each([&](const Node &node) {
        if (node.parent != chain_tip_ || node.summary.sealer != sealer) return;
        ++count;
        if (node.has_body && !node.is_invalid) return;
        if (oldest == nullptr || node.order < oldest->order) oldest = &node;
    });
    if (count < kPerSealerAndHeightMax) return true;
    if (oldest == nullptr) return false;
    std::vector<BlockId> upon_it;
    each([&](const Node &node) {
        if (is_ancestor(*oldest, node)) upon_it.push_back(node.id());
    });
    for (const BlockId &id : upon_it) {
        const auto at = nodes_.find(id);
        this->count(*at->second, false);
        nodes_.erase(at);
    }
    evicted_.insert(evicted_.end(), upon_it.begin(), upon_it.end());
    return true;
}

void BlockTree::count(const Node &node, bool is_beside_chain) {
    if (is_beside_chain) {
        ++beside_chain_;
        ++beside_chain_by_sealer_[node.summary.sealer];
        return;
    }
    --beside_chain_;
    const auto own = beside_chain_by_sealer_.find(node.summary.sealer);
    if (--own->second == 0) beside_chain_by_sealer_.erase(own);
}

void BlockTree::set_on_chain(const BlockId &id, bool is_on_chain) {
    const auto found = nodes_.find(id);
    CHAIN_CHECK(found != nodes_.end());
    if (found->second->is_on_chain == is_on_chain) return;
    found->second->is_on_chain = is_on_chain;
    chain_tip_ = is_on_chain ? found->second.get() : found->second->parent;
    count(*found->second, !is_on_chain);
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

void BlockTree::pass_over(const BlockId &id, std::uint64_t until_ms) {
    const auto found = nodes_.find(id);
    CHAIN_CHECK(found != nodes_.end() && found->second.get() != root_);
    found->second->passed_over_until_ms = until_ms;
    if (passed_over_until_ms_.size() >= kPassedOverMax) passed_over_until_ms_.clear();
    passed_over_until_ms_[found->second->summary.sealer] = until_ms;
}

bool BlockTree::is_passed_over(const Node &node, std::uint64_t now_ms) const {
    if (node.passed_over_until_ms > now_ms) return true;
    const auto sealer = passed_over_until_ms_.find(node.summary.sealer);
    return !node.is_built_upon && sealer != passed_over_until_ms_.end() && sealer->second > now_ms;
}

const BlockTree::Node *BlockTree::ancestor(const Node &node, std::uint64_t height) const {
    const Node *at = &node;
    while (at != nullptr && at->height() > height) at = at->parent;
    return at != nullptr && at->height() == height ? at : nullptr;
}

bool BlockTree::is_ancestor(const Node &older, const Node &node) const {
    return ancestor(node, older.height()) == &older;
}

bool BlockTree::is_better(const Choice &a, const Choice &b) {
    if (a.justified_height != b.justified_height) return a.justified_height > b.justified_height;
    if (a.node->total_work != b.node->total_work) return a.node->total_work > b.node->total_work;
    return a.node->order < b.node->order;
}

// Each node is looked at once, after its parent: the tree may be one long branch.
BlockTree::Choice BlockTree::choose(const Checkpoint &justified, std::uint64_t now_ms,
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
    struct Standing {
        bool holds_justified = false;
        bool is_usable = false;
    };
    std::unordered_map<const Node *, Standing> standings;
    standings.reserve(nodes.size());
    Choice best{root_, root_->summary.block.justified_height};
    for (const Node *const node : nodes) {
        const Standing parent = node == root_ ? Standing() : standings[node->parent];
        Standing &own = standings[node];
        own.holds_justified = parent.holds_justified || node->id() == justified.id;
        // By its header, or by votes that we counted.
        const std::uint64_t proved = node->summary.block.justified_height;
        const std::uint64_t on_branch =
            own.holds_justified ? std::max(proved, justified.height) : proved;
        own.is_usable = node == root_ ||
                        (parent.is_usable && !node->is_invalid &&
                         (node->has_body || (!with_bodies && !is_passed_over(*node, now_ms))) &&
                         (node->not_before_ms <= now_ms || decided.contains(node)));
        const Choice candidate{node, on_branch};
        if (own.is_usable && (node == root_ || is_better(candidate, best))) best = candidate;
    }
    return best;
}

const BlockTree::Node &BlockTree::best(const Checkpoint &justified, std::uint64_t now_ms) const {
    return *choose(justified, now_ms, true).node;
}

const BlockTree::Node *BlockTree::wanted(const Checkpoint &justified, std::uint64_t now_ms) const {
    const Choice wished = choose(justified, now_ms, false);
    return is_better(wished, choose(justified, now_ms, true)) ? wished.node : nullptr;
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
    for (const BlockId &other : dropped) {
        const auto at = nodes_.find(other);
        if (!at->second->is_on_chain) count(*at->second, false);
        nodes_.erase(at);
    }
    root_ = root;
    if (!root_->is_on_chain) {
        root_->is_on_chain = true;
        chain_tip_ = root_;
        count(*root_, false);
    }
    root_->parent = nullptr;
    root_->has_body = true;
    return dropped;
}

}  // namespace chain::consensus
