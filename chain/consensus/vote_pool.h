// SPDX-License-Identifier: BSD-3-Clause
//
// VotePool: validators' votes for checkpoints that are not final yet, and what they justify. Finds
// two votes of one validator that contradict each other: evidence.
//
// Owner: one thread. Limits: kVotesPerValidatorMax votes of each account that some set of
// validators in view holds; others' votes are refused before anything is kept.
#pragma once

#include <deque>
#include <functional>
#include <map>

#include "chain/consensus/block_tree.h"

namespace chain::consensus {

using ledger::DecodedVote;

struct VoteEvidence {
    wire::SignedVote first;
    wire::SignedVote second;
};

class VotePool {
public:
    // About as many checkpoints as can wait between the final block and the tip, twice.
    static constexpr std::size_t kVotesPerValidatorMax = 64;

    static constexpr std::size_t kToldPerValidator = 2;

    // Who decides about `target`, a checkpoint of the tree; nullptr: not known (yet).
    using SetsOf = std::function<const ledger::VotingSets *(const Checkpoint &target)>;

    // `final` is justified and final.
    VotePool(const BlockTree &tree, const ledger::ConsensusParams &params, SetsOf sets_of,
             const Checkpoint &final);

    struct Added {
        bool is_new = false;  // to be passed on
        std::optional<VoteEvidence> evidence;
    };
    // `is_validator`: of any set in view. Errors: kPermission (it is not), kConflict (for something
    // that is final already).
    Result<Added> add(const DecodedVote &vote, bool is_validator);

    // Counts what is there: to be called after votes, blocks or sets have come. True if something
    // was justified or became final.
    bool count();
    // What a chain proves.
    bool note_proved(const ledger::Finality &proved);

    // What was known before a restart.
    void note_known(const Checkpoint &final, const Checkpoint &justified,
                    std::vector<wire::SignedVote> votes);

    const Checkpoint &justified() const { return justified_; }  // the highest, from final() up
    // The votes for it; empty where a chain proves it and we have not heard them.
    std::vector<wire::SignedVote> justification() const;
    const Checkpoint & final() const { return final_; }
    // Two checkpoints that exclude each other, and both have become final: more than a third of the
    // weight has broken the rules. The first one stays final here; people must decide.
    const std::optional<std::pair<Checkpoint, Checkpoint>> &conflict() const { return conflict_; }
    // Two thirds for a link to an ancestor of `tip`, its last one, that its chain does not prove
    // yet. Empty: none.
    std::vector<wire::SignedVote> votes_for_block_on(const BlockTree::Node &tip) const;
    // What a peer may lack, and can use: the votes that justify something, and each validator's
    // newest. While nothing becomes final there are many more, of which no new agreement can come.
    std::vector<wire::SignedVote> to_tell() const;
    // The highest target of the account's votes that were seen since the start; 0: none.
    std::uint64_t newest_target(const PublicKey &validator) const;
    // After final() moved: forgets votes for what is final.
    void prune();
    std::size_t size() const;

private:
    struct Votes {
        std::deque<DecodedVote> votes;  // oldest first
    };
    std::vector<const DecodedVote *> votes_for(const BlockTree::Node &source,
                                               const BlockTree::Node &target) const;
    void set_final(const Checkpoint &block);
    bool is_above_final(const Checkpoint &block) const;
    bool try_justify(const BlockTree::Node &target);
    bool is_justified(const Checkpoint &block) const;

    const BlockTree &tree_;
    const ledger::ConsensusParams params_;
    const SetsOf sets_of_;
    std::map<PublicKey, Votes> by_validator_;
    std::map<PublicKey, std::uint64_t> newest_targets_;
    // Above the final one, by height: what is justified, and by which votes; none where a chain
    // proved it and we have not heard them.
    std::map<std::uint64_t, std::map<BlockId, std::vector<wire::SignedVote>>> justifications_;
    Checkpoint justified_;
    Checkpoint final_;
    std::optional<std::pair<Checkpoint, Checkpoint>> conflict_;
};

}  // namespace chain::consensus
