// SPDX-License-Identifier: BSD-3-Clause
//
// Finality: which blocks of a chain can no longer be taken back. Every `epoch_blocks` blocks is a
// checkpoint. Validators vote for links from a justified checkpoint to a later one; votes of two
// thirds of the weight justify the later one; a justified checkpoint is final once the next
// checkpoint after it is justified by a link from it (Buterin and Griffith 2017, "Casper the
// Friendly Finality Gadget", 2 and 4).
//
// The chain proves its own finality: a block may carry the votes for one link between two of its
// ancestors, and each header says what is justified and final by the votes up to and in its block.
// So all who have a block agree on who may vote for it, whatever votes they have heard.
#pragma once

#include <span>
#include <vector>

#include "chain/ledger/types.h"

namespace chain::ledger {

// A block that checkpoints can be, and what its own header says; the genesis has zeros.
struct Checkpoint {
    std::uint64_t height = 0;
    BlockId id{};
    std::uint64_t justified_height = 0;
    std::uint64_t final_height = 0;
    std::uint64_t previous_final_height = 0;
    friend bool operator==(const Checkpoint &, const Checkpoint &) = default;
};
Checkpoint checkpoint_of(const wire::BlockHeader &header, const BlockId &id);

// What the votes in a chain's blocks prove.
struct Finality {
    Checkpoint justified;  // the highest
    Checkpoint final;      // the highest
    std::uint64_t previous_final_height = 0;
    friend bool operator==(const Finality &, const Finality &) = default;
};

inline bool is_checkpoint(std::uint64_t height, const ConsensusParams &params) {
    return height % params.epoch_blocks == 0;
}

// After votes of two thirds for source -> target. `target` is an ancestor of the block that carries
// the votes. Errors: kConflict (the target is no later than what is justified already, or no
// checkpoint; its header names another source).
Result<Finality> advance(const Finality &before, const incentive::CheckpointVote &link,
                         const Checkpoint &target, const ConsensusParams &params);

// ---- who votes

// stake x (1 + quality), in units of token: up to 2^64 each, so sums need more bits.
using VoteWeight = unsigned __int128;

struct ValidatorEntry {
    PublicKey account{};
    Amount stake;
    std::uint32_t quality_q16 = 0;  // incentive::quality_q16
    friend bool operator==(const ValidatorEntry &, const ValidatorEntry &) = default;
};
// stake x (65536 + quality) / 65536, rounded down.
VoteWeight vote_weight(const ValidatorEntry &entry);

// As the state has it after a checkpoint: by account, rising, at most validators_max.
class ValidatorSet {
public:
    ValidatorSet() = default;
    explicit ValidatorSet(std::vector<ValidatorEntry> entries);  // in any order
    const std::vector<ValidatorEntry> &entries() const { return entries_; }
    std::size_t size() const { return entries_.size(); }
    const ValidatorEntry *find(const PublicKey &account) const;  // nullptr: no member
    std::size_t index_of(const PublicKey &account) const;        // precondition: a member
    VoteWeight total() const { return total_; }
    friend bool operator==(const ValidatorSet &, const ValidatorSet &) = default;

private:
    std::vector<ValidatorEntry> entries_;
    VoteWeight total_ = 0;
};

// 3 x voted >= 2 x total, and somebody can vote.
bool is_supermajority(VoteWeight voted, VoteWeight total);

// The two sets that decide about a checkpoint: those after its final checkpoint, and after the
// final one before it. Each needs two thirds, so that no change of the set splits the vote.
struct VotingSets {
    ValidatorSet present;
    ValidatorSet previous;
};
// `voters`: each once.
bool is_supermajority(std::span<const PublicKey> voters, const VotingSets &sets);

}  // namespace chain::ledger
