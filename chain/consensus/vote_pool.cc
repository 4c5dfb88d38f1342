// SPDX-License-Identifier: BSD-3-Clause
#include "chain/consensus/vote_pool.h"

#include <algorithm>

namespace chain::consensus {

VotePool::VotePool(const BlockTree &tree, const ledger::ConsensusParams &params, SetsOf sets_of,
                   const Checkpoint &final)
    : tree_(tree),
      params_(params),
      sets_of_(std::move(sets_of)),
      justified_(final),
      final_(final) {}

Result<VotePool::Added> VotePool::add(const DecodedVote &vote, bool is_validator) {
    if (!is_validator)
        return make_error(ErrorCode::kPermission, to_address(vote.validator),
                          " is no validator, so its vote does not count");
    if (vote.link.target_height <= final_.height)
        return make_error(ErrorCode::kConflict, "checkpoint ", vote.link.target_height,
                          " is decided already");
    std::deque<DecodedVote> &votes = by_validator_[vote.validator].votes;
    Added added;
    for (const DecodedVote &known : votes) {
        if (known.link == vote.link) return Added{};
        if (incentive::offence_of(known.link, vote.link) != incentive::Offence::kNone)
            added.evidence = VoteEvidence{known.signed_vote, vote.signed_vote};
    }
    // The highest are kept: were it the latest to come, votes that are told again would push each
    // other out, be new once more, and go around for ever.
    if (votes.size() == kVotesPerValidatorMax) {
        const auto lowest = std::min_element(votes.begin(), votes.end(),
                                             [](const DecodedVote &a, const DecodedVote &b) {
                                                 return a.link.target_height < b.link.target_height;
                                             });
        if (vote.link.target_height <= lowest->link.target_height) return added;
        votes.erase(lowest);
    }
    // Of two that contradict each other both count, for different branches: others may have counted
    // the other one. It costs the validator its stake, and whoever counts the same votes agrees.
    votes.push_back(vote);
    std::uint64_t &newest = newest_targets_[vote.validator];
    newest = std::max(newest, vote.link.target_height);
    added.is_new = true;
    return added;
}

bool VotePool::is_justified(const Checkpoint &block) const {
    if (block.height == final_.height) return block.id == final_.id;
    const auto at = justifications_.find(block.height);
    return at != justifications_.end() && at->second.contains(block.id);
}

std::vector<const DecodedVote *> VotePool::votes_for(const BlockTree::Node &source,
                                                     const BlockTree::Node &target) const {
    const incentive::CheckpointVote link{source.height(), source.id(), target.height(),
                                         target.id()};
    std::vector<const DecodedVote *> found;
    for (const auto &[_, by_one] : by_validator_)
        for (const DecodedVote &vote : by_one.votes)
            if (vote.link == link) found.push_back(&vote);
    return found;
}

// True also where the tree does not reach: then the chain has proved it.
bool VotePool::is_above_final(const Checkpoint &block) const {
    const BlockTree::Node *const node = tree_.find(block.id);
    if (node == nullptr || final_.height < tree_.root().height()) return true;
    const BlockTree::Node *const at = tree_.ancestor(*node, final_.height);
    return at != nullptr && at->id() == final_.id;
}

void VotePool::set_final(const Checkpoint &block) {
    if (!is_above_final(block)) {
        if (!conflict_) conflict_ = {final_, block};
        return;
    }
    final_ = block;
    if (justified_.height < final_.height || !is_above_final(justified_)) justified_ = final_;
}

bool VotePool::try_justify(const BlockTree::Node &target) {
    const Checkpoint &block = target.summary.block;
    const bool is_known = is_justified(block);
    if (is_known && !justifications_[block.height][block.id].empty()) return false;
    const BlockTree::Node *const source = tree_.ancestor(target, block.justified_height);
    if (source == nullptr || !is_justified(source->summary.block)) return false;
    const ledger::VotingSets *const sets = sets_of_(block);
    if (sets == nullptr) return false;
    std::vector<PublicKey> voters;
    std::vector<wire::SignedVote> votes;
    for (const DecodedVote *vote : votes_for(*source, target)) {
        voters.push_back(vote->validator);
        votes.push_back(vote->signed_vote);
    }
    if (!ledger::is_supermajority(voters, *sets)) return false;
    // Kept as they are: a validator that votes again and again pushes its own out of the pool.
    justifications_[block.height][block.id] = std::move(votes);
    if (is_known) return false;
    if (block.height - source->height() == params_.epoch_blocks && source->height() > final_.height)
        set_final(source->summary.block);
    if (block.height > justified_.height && is_above_final(block)) justified_ = block;
    return true;
}

bool VotePool::count() {
    // What nobody has voted for need not be looked at: without finality the tree is long.
    std::vector<const BlockTree::Node *> checkpoints;
    for (const auto &[_, by_one] : by_validator_)
        for (const DecodedVote &vote : by_one.votes) {
            const BlockTree::Node *const node = tree_.find(vote.link.target);
            if (node != nullptr && node->height() == vote.link.target_height &&
                node->height() > final_.height && ledger::is_checkpoint(node->height(), params_) &&
                !node->is_invalid)
                checkpoints.push_back(node);
        }
    std::sort(checkpoints.begin(), checkpoints.end(), [](const auto *a, const auto *b) {
        return a->height() != b->height() ? a->height() < b->height() : a->id() < b->id();
    });
    checkpoints.erase(std::unique(checkpoints.begin(), checkpoints.end()), checkpoints.end());
    bool changed = false;
    for (const BlockTree::Node *const node : checkpoints) changed |= try_justify(*node);
    return changed;
}

bool VotePool::note_proved(const ledger::Finality &proved) {
    bool changed = false;
    for (const Checkpoint *block : {&proved.final, &proved.justified}) {
        if (block->height <= final_.height || !is_above_final(*block)) continue;
        changed |= justifications_[block->height].try_emplace(block->id).second;
        if (block->height > justified_.height && is_above_final(*block)) justified_ = *block;
    }
    if (proved.final.height > final_.height) {
        set_final(proved.final);
        changed = true;
    }
    return changed;
}

void VotePool::note_known(const Checkpoint &final, const Checkpoint &justified,
                          std::vector<wire::SignedVote> votes) {
    if (final.height > final_.height) final_ = final;
    justified_ = final_;
    if (justified.height <= final_.height) return;
    justifications_[justified.height][justified.id] = std::move(votes);
    justified_ = justified;
}

std::vector<wire::SignedVote> VotePool::justification() const {
    const auto at = justifications_.find(justified_.height);
    if (at == justifications_.end()) return {};
    const auto found = at->second.find(justified_.id);
    return found == at->second.end() ? std::vector<wire::SignedVote>() : found->second;
}

std::vector<wire::SignedVote> VotePool::votes_for_block_on(const BlockTree::Node &tip) const {
    const Checkpoint &block = tip.summary.block;
    for (auto at = justifications_.rbegin(); at != justifications_.rend(); ++at) {
        if (at->first <= block.justified_height) break;
        const BlockTree::Node *const target = tree_.ancestor(tip, at->first);
        if (target == nullptr) continue;
        const auto found = at->second.find(target->id());
        if (found != at->second.end() && !found->second.empty()) return found->second;
    }
    return {};
}

std::vector<wire::SignedVote> VotePool::to_tell() const {
    std::vector<wire::SignedVote> votes;
    for (const auto &[_, by_id] : justifications_)
        for (const auto &[__, justification] : by_id)
            votes.insert(votes.end(), justification.begin(), justification.end());
    for (const auto &[_, by_one] : by_validator_) {
        std::vector<const DecodedVote *> newest;
        for (const DecodedVote &vote : by_one.votes) newest.push_back(&vote);
        std::sort(newest.begin(), newest.end(), [](const DecodedVote *a, const DecodedVote *b) {
            return a->link.target_height > b->link.target_height;
        });
        if (newest.size() > kToldPerValidator) newest.resize(kToldPerValidator);
        for (const DecodedVote *const vote : newest) votes.push_back(vote->signed_vote);
    }
    return votes;
}

void VotePool::prune() {
    justifications_.erase(justifications_.begin(), justifications_.upper_bound(final_.height));
    for (auto at = by_validator_.begin(); at != by_validator_.end();) {
        std::erase_if(at->second.votes, [this](const DecodedVote &vote) {
            return vote.link.target_height <= final_.height;
        });
        at = at->second.votes.empty() ? by_validator_.erase(at) : std::next(at);
    }
}

std::uint64_t VotePool::newest_target(const PublicKey &validator) const {
    const auto found = newest_targets_.find(validator);
    return found == newest_targets_.end() ? 0 : found->second;
}

std::size_t VotePool::size() const {
    std::size_t count = 0;
    for (const auto &[_, by_one] : by_validator_) count += by_one.votes.size();
    return count;
}

}  // namespace chain::consensus
