// SPDX-License-Identifier: BSD-3-Clause
//
// BlockTree: the headers above the final block, and which branch to be on. Knows no transactions,
// clock or disk, so that a simulator drives exactly what a node does.
//
// Fork choice: among branches that hold the final block, are whole and not known to be wrong: the
// one with the highest justified checkpoint; of these the most work; of these the one seen first.
//
// Owner: one thread.
#pragma once

#include <map>
#include <unordered_map>

#include "chain/consensus/target.h"
#include "chain/ledger/finality.h"

namespace chain::consensus {

using ledger::BlockId;
using ledger::Checkpoint;

// Of a header.
struct BlockSummary {
    Checkpoint block;
    BlockId parent{};
    std::uint64_t time_ms = 0;
    PublicKey sealer{};
    Work work;  // of this block alone: hashes, or turns
};

class BlockTree {
public:
    // Beside this node's own chain: headers that wait for their blocks, or for their branch to
    // become the better one; and of those, one sealer's.
    static constexpr std::size_t kNodesMax = 16'384;
    static constexpr std::size_t kPerSealerMax = 2'048;
    // Of one sealer at one height: more are a waste of everybody's memory. What a branch needs that
    // others have built upon is asked for and comes in by Origin::kAsked. So many upon this node's
    // tip are taken when there is no room for others.
    static constexpr std::size_t kPerSealerAndHeightMax = 2;
    static constexpr std::size_t kPassedOverMax = 1'024;  // sealers

    struct Node {
        BlockSummary summary;
        const Node *parent = nullptr;  // nullptr: the root
        Work total_work;               // from the root on
        std::uint64_t order = 0;       // in which it came
        bool has_body = false;
        bool is_invalid = false;
        bool is_on_chain = false;         // of this node: executed
        bool is_built_upon = false;       // by another sealer, who must have had its block
        std::uint64_t not_before_ms = 0;  // its time is too far ahead of our clock before this
        std::uint64_t passed_over_until_ms = 0;  // as nobody has its block; if it has no body

        std::uint64_t height() const { return summary.block.height; }
        const BlockId &id() const { return summary.block.id; }
    };
    enum class Origin { kTold, kAsked };

    // `root` is final: the block that every branch holds.
    explicit BlockTree(const Checkpoint &root, std::uint64_t root_time_ms);
    BlockTree(const BlockTree &) = delete;
    BlockTree &operator=(const BlockTree &) = delete;

    const Node &root() const { return *root_; }
    const Node *find(const BlockId &id) const;  // nullptr: unknown
    std::size_t size() const { return nodes_.size(); }

    // Errors: kNotFound (its parent is unknown), kConflict (known already), kInvalidInput (not one
    // higher than its parent, or its parent is wrong; says less justified or final than its
    // parent), kNotYet (its parent's time is too far ahead: what follows from a time that nobody
    // has agreed to costs nothing), kNoRoom (too many, or too many of this sealer).
    Result<const Node *> add(const BlockSummary &summary, Origin origin,
                             std::uint64_t not_before_ms = 0);
    void set_body(const BlockId &id);
    // This node's chain has executed it, or has taken it back.
    void set_on_chain(const BlockId &id, bool is_on_chain);
    // And all that is built upon it. Precondition: not the root.
    void set_invalid(const BlockId &id);
    // Nobody has its block: before `until_ms` it is not wanted, nor is what else its sealer has
    // announced and nobody else has built upon. Precondition: not the root.
    void pass_over(const BlockId &id, std::uint64_t until_ms);

    // Where to be, by our own count of votes, too: `justified` may be ahead of what blocks prove.
    // The root at least.
    const Node &best(const Checkpoint &justified, std::uint64_t now_ms) const;
    // The branch with the most work whose blocks are not all here: what to fetch. nullptr: none
    // that beats `best`.
    const Node *wanted(const Checkpoint &justified, std::uint64_t now_ms) const;

    // The ancestor of `node`, or itself, at `height`; nullptr: below the root, or above the node.
    const Node *ancestor(const Node &node, std::uint64_t height) const;
    bool is_ancestor(const Node &ancestor, const Node &node) const;
    // From below their last common ancestor up.
    struct Path {
        const Node *fork = nullptr;
        std::vector<const Node *> down;  // from the tip `from` on
        std::vector<const Node *> up;    // to `to`
    };
    Path path(const Node &from, const Node &to) const;

    // Makes `id` the root: what does not descend from it is dropped. Returns the dropped ids.
    std::vector<BlockId> prune(const BlockId &id);

    // What gave way to others since the last call: their bodies are of no use.
    std::vector<BlockId> take_evicted() { return std::exchange(evicted_, {}); }

    // In no order.
    template <class Visit>  // void(const Node &)
    void each(Visit visit) const {
        for (const auto &[_, node] : nodes_) visit(*node);
    }

private:
    struct Choice {
        const Node *node = nullptr;
        std::uint64_t justified_height = 0;  // the highest on the way to it
    };
    void count(const Node &node, bool is_beside_chain);
    std::size_t count_at(std::uint64_t height, const PublicKey &sealer) const;
    bool make_room_upon_tip(const PublicKey &sealer);
    bool is_passed_over(const Node &node, std::uint64_t now_ms) const;
    static bool is_better(const Choice &a, const Choice &b);
    Choice choose(const Checkpoint &justified, std::uint64_t now_ms, bool with_bodies) const;

    std::unordered_map<BlockId, std::unique_ptr<Node>, Bytes32Hash> nodes_;
    Node *root_;
    std::uint64_t next_order_ = 0;
    const Node *chain_tip_;                                    // the highest that is_on_chain
    std::map<PublicKey, std::uint64_t> passed_over_until_ms_;  // sealers
    std::vector<BlockId> evicted_;
    std::size_t beside_chain_ = 0;
    std::map<PublicKey, std::size_t> beside_chain_by_sealer_;
};

}  // namespace chain::consensus
