// SPDX-License-Identifier: BSD-3-Clause
//
// Consensus: puts the tree of blocks, the votes and this node's own votes together, and moves the
// node's chain to the best branch. The same code runs in a node (LedgerBranch) and in a simulator.
//
// Owner: one thread.
#pragma once

#include <memory>
#include <span>

#include "chain/consensus/voter.h"

namespace chain::consensus {

// What a node knows of finality beyond its chain, and must not lose: validators that have voted on
// the strength of a justified checkpoint vote for nothing that lacks it, so its votes must be had.
struct KnownFinality {
    Checkpoint final;                     // never below it again
    Checkpoint justified;                 // the highest, at or above the final one
    std::vector<wire::SignedVote> votes;  // that justify it; empty: the genesis, or blocks prove it
};

// The chain that this node is on, as Consensus moves it.
class Branch {
public:
    virtual ~Branch() = default;
    // The first `count` of the blocks were appended. `status` is that of the next one. Errors: of
    // the store (is_of_store(): nothing is wrong with the block); all others: the block is wrong.
    struct Appended {
        std::size_t count = 0;
        Status status;
    };
    virtual Appended append(std::span<const BlockId> blocks) = 0;
    virtual Status take_back() = 0;  // the newest block
    // What the blocks up to the newest one prove.
    virtual const ledger::Finality &proved() const = 0;
    // As the chain has it after the checkpoint at `height`. Errors: kNotFound, kIo, kCorrupt.
    virtual Result<ledger::ValidatorSet> validator_set(std::uint64_t height) const = 0;
    // That the block at the chain's `height` carries.
    virtual std::vector<DecodedVote> votes_in(const BlockId &block) const = 0;
    // Durable when it returns.
    virtual Status save(const KnownFinality &known) = 0;
};

class Consensus {
public:
    // `root` is on `branch`, and final: the newest such block that this node knows. `known` is what
    // Branch::save() was told last.
    Consensus(Branch &branch, const ledger::ConsensusParams &params, const Checkpoint &root,
              std::uint64_t root_time_ms, KnownFinality known, std::unique_ptr<Voter> voter);

    const BlockTree &tree() const { return tree_; }
    const VotePool &votes() const { return votes_; }
    const BlockTree::Node &tip() const { return *tip_; }
    const Voter *voter() const { return voter_.get(); }
    // Votes for nothing from here on, or again.
    void hold_votes(bool hold) { holds_votes_ = hold; }

    // Blocks of the branch above `final`, in their order, when a node starts. Precondition: nothing
    // else was added yet.
    Status restore(std::span<const BlockSummary> blocks);
    // Errors: those of BlockTree::add.
    Status add_header(const BlockSummary &summary, BlockTree::Origin origin,
                      std::uint64_t not_before_ms = 0);
    // The block can be appended from now on. Precondition: its header was added.
    void add_body(const BlockId &id);
    void pass_over(const BlockId &id, std::uint64_t until_ms) { tree_.pass_over(id, until_ms); }
    // True: new. Errors: of VotePool::add.
    Result<bool> add_vote(const DecodedVote &vote);

    struct Outcome {
        std::vector<BlockId> taken_back;  // newest first
        std::vector<BlockId> appended;
        std::vector<BlockId>
            dropped;  // whose bodies nobody needs: beside the final block, or wrong
        std::vector<wire::SignedVote> own_votes;
        bool is_final_new = false;
        Status status;  // why the chain is not where it should be: of the store
    };
    // Goes to the best branch and votes, until there is nothing left to do.
    Outcome run(std::uint64_t now_ms);
    std::vector<VoteEvidence> take_evidence() { return std::exchange(evidence_, {}); }
    // For the next block on the tip.
    std::vector<wire::SignedVote> votes_for_next_block() const {
        return votes_.votes_for_block_on(*tip_);
    }
    // nullptr: this node cannot know yet.
    const ledger::VotingSets *sets_of(const Checkpoint &target);
    bool is_validator(const PublicKey &account);

private:
    // As the chain has it after `height`; nullptr: it has none.
    const ledger::ValidatorSet *set_at(std::uint64_t height);
    void forget_sets();
    Status go_to(const BlockTree::Node &best, Outcome &outcome);
    Status append_all(std::vector<const BlockTree::Node *> nodes, Outcome &outcome);
    Status save_known(Outcome &outcome);
    void note_votes_in(const BlockId &block);
    Status vote(Outcome &outcome);
    void prune(Outcome &outcome);

    Branch &branch_;
    const ledger::ConsensusParams params_;
    BlockTree tree_;
    VotePool votes_;
    const std::unique_ptr<Voter> voter_;
    bool holds_votes_ = false;
    const BlockTree::Node *tip_;
    KnownFinality saved_;
    std::map<std::pair<std::uint64_t, std::uint64_t>, ledger::VotingSets> sets_;
    std::map<std::uint64_t, ledger::ValidatorSet> set_at_;
    std::vector<VoteEvidence> evidence_;
};

}  // namespace chain::consensus
