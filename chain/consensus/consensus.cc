// SPDX-License-Identifier: BSD-3-Clause
#include "chain/consensus/consensus.h"

#include "chain/base/log.h"
#include "chain/ledger/state.h"

namespace chain::consensus {
namespace {

constexpr std::size_t kBlocksAtOnce = 64;
constexpr std::uint64_t kVotesAheadEpochs = 16;

}  // namespace

Consensus::Consensus(Branch &branch, const ledger::ConsensusParams &params, const Checkpoint &root,
                     std::uint64_t root_time_ms, KnownFinality known, std::unique_ptr<Voter> voter)
    : branch_(branch),
      params_(params),
      tree_(root, root_time_ms),
      votes_(
          tree_, params, [this](const Checkpoint &target) { return sets_of(target); }, root),
      voter_(std::move(voter)),
      tip_(&tree_.root()),
      saved_(std::move(known)) {
    votes_.note_known(saved_.final, saved_.justified, saved_.votes);
}

Status Consensus::restore(std::span<const BlockSummary> blocks) {
    for (const BlockSummary &summary : blocks) {
        CHAIN_ASSIGN(tip_, tree_.add(summary, BlockTree::Origin::kAsked));
        tree_.set_body(tip_->id());
        tree_.set_on_chain(tip_->id(), true);
        note_votes_in(tip_->id());
    }
    votes_.note_proved(branch_.proved());
    return ok_status();
}

Status Consensus::add_header(const BlockSummary &summary, BlockTree::Origin origin,
                             std::uint64_t not_before_ms) {
    const auto added = tree_.add(summary, origin, not_before_ms);
    return added.ok() ? ok_status() : Status(added.error());
}

void Consensus::add_body(const BlockId &id) {
    tree_.set_body(id);
}

Result<bool> Consensus::add_vote(const DecodedVote &vote) {
    if (voter_ != nullptr && !voter_->has_stopped() && voter_->is_impostor(vote))
        log(LogLevel::kError, "consensus",
            "somebody else votes with this validator's key: it votes no more here, because two "
            "votes that contradict each other cost the stake");
    // Votes for what may be in a while: they come again, and are not passed on until then.
    const bool is_member = is_validator(vote.validator);
    const std::uint64_t ahead = kVotesAheadEpochs * params_.epoch_blocks + params_.vote_depth;
    if (is_member && vote.link.target_height > tip_->height() + ahead) return false;
    CHAIN_ASSIGN(VotePool::Added added, votes_.add(vote, is_member));
    if (added.evidence) evidence_.push_back(std::move(*added.evidence));
    return added.is_new;
}

const ledger::VotingSets *Consensus::sets_of(const Checkpoint &target) {
    // Who decides about a block stands in its header. Until this chain has executed it, that is
    // nobody's word but its sealer's, who would name whom it likes.
    const BlockTree::Node *const node = tree_.find(target.id);
    if (node == nullptr || !tree_.is_ancestor(*node, *tip_)) return nullptr;
    const std::pair key{target.final_height, target.previous_final_height};
    if (const auto known = sets_.find(key); known != sets_.end()) return &known->second;
    const ledger::ValidatorSet *const present = set_at(key.first);
    const ledger::ValidatorSet *const previous = set_at(key.second);
    if (present == nullptr || previous == nullptr) return nullptr;
    return &sets_.emplace(key, ledger::VotingSets{*present, *previous}).first->second;
}

const ledger::ValidatorSet *Consensus::set_at(std::uint64_t height) {
    if (const auto known = set_at_.find(height); known != set_at_.end()) return &known->second;
    auto set = branch_.validator_set(height);
    return set.ok() ? &set_at_.emplace(height, std::move(*set)).first->second : nullptr;
}

void Consensus::forget_sets() {
    sets_.clear();
    set_at_.clear();
}

bool Consensus::is_validator(const PublicKey &account) {
    const ledger::Finality &proved = branch_.proved();
    for (const std::uint64_t height :
         {proved.final.height, proved.previous_final_height, votes_.final().height}) {
        const ledger::ValidatorSet *const set = set_at(height);
        if (set != nullptr && set->find(account) != nullptr) return true;
    }
    return false;
}

Status Consensus::append_all(std::vector<const BlockTree::Node *> nodes, Outcome &outcome) {
    for (std::size_t at = 0; at < nodes.size();) {
        std::vector<BlockId> group;
        for (std::size_t i = at; i < nodes.size() && group.size() < kBlocksAtOnce; ++i)
            group.push_back(nodes[i]->id());
        const Branch::Appended appended = branch_.append(group);
        for (std::size_t i = 0; i < appended.count; ++i, ++at) {
            outcome.appended.push_back(nodes[at]->id());
            tip_ = nodes[at];
            tree_.set_on_chain(tip_->id(), true);
            note_votes_in(tip_->id());
        }
        votes_.note_proved(branch_.proved());
        if (appended.status.ok()) continue;
        if (is_of_store(appended.status.error())) return appended.status;
        log(LogLevel::kNote, "consensus", "block ", nodes[at]->height(), " (",
            short_hex(nodes[at]->id()), ") is wrong: ", appended.status.error().message);
        tree_.set_invalid(nodes[at]->id());
        outcome.dropped.push_back(nodes[at]->id());
        return ok_status();  // there is another best branch
    }
    return ok_status();
}

Status Consensus::go_to(const BlockTree::Node &best, Outcome &outcome) {
    const BlockTree::Path path = tree_.path(*tip_, best);
    if (!path.down.empty()) forget_sets();
    for (const BlockTree::Node *const node : path.down) {
        CHAIN_TRY(branch_.take_back());
        outcome.taken_back.push_back(node->id());
        tree_.set_on_chain(node->id(), false);
        tip_ = node->parent;
    }
    return append_all(path.up, outcome);
}

// Votes in a block that was taken have been judged with it. On another branch they are needed
// again.
void Consensus::note_votes_in(const BlockId &block) {
    for (const DecodedVote &vote : branch_.votes_in(block)) {
        const auto added = votes_.add(vote, true);
        if (added.ok() && added->evidence) evidence_.push_back(*added->evidence);
    }
}

Status Consensus::save_known(Outcome &outcome) {
    if (votes_.final() == saved_.final && votes_.justified() == saved_.justified)
        return ok_status();
    KnownFinality known{votes_.final(), votes_.justified(), votes_.justification()};
    CHAIN_TRY(branch_.save(known));
    outcome.is_final_new |= !(known.final == saved_.final);
    saved_ = std::move(known);
    return ok_status();
}

// Only while this chain holds what is final: until its blocks have come, the tree keeps the branch
// that it is on.
void Consensus::prune(Outcome &outcome) {
    const BlockTree::Node *const final = tree_.find(votes_.final().id);
    if (final == nullptr || final == &tree_.root() || !tree_.is_ancestor(*final, *tip_)) return;
    for (const BlockId &id : tree_.prune(final->id())) outcome.dropped.push_back(id);
    votes_.prune();
    forget_sets();
}

// No vote for a branch that lacks what others have justified.
Status Consensus::vote(Outcome &outcome) {
    if (voter_ == nullptr || holds_votes_) return ok_status();
    const Checkpoint &justified = votes_.justified();
    const BlockTree::Node *const held = tree_.ancestor(*tip_, justified.height);
    if (held == nullptr ? justified.height > tree_.root().height() : held->id() != justified.id)
        return ok_status();
    CHAIN_ASSIGN(const auto vote,
                 voter_->vote(tree_, *tip_, params_,
                              [this](const Checkpoint &target) { return sets_of(target); }));
    if (!vote) return ok_status();
    outcome.own_votes.push_back(*vote);
    return ok_status();
}

Consensus::Outcome Consensus::run(std::uint64_t now_ms) {
    Outcome outcome{.status = ok_status()};
    outcome.dropped = tree_.take_evicted();
    for (;;) {
        votes_.count();
        if (Status saved = save_known(outcome); !saved.ok()) {
            outcome.status = std::move(saved);
            return outcome;
        }
        prune(outcome);
        const BlockTree::Node &best = tree_.best(votes_.justified(), now_ms);
        if (&best != tip_) {
            if (Status gone = go_to(best, outcome); !gone.ok()) {
                outcome.status = std::move(gone);
                return outcome;
            }
            continue;
        }
        const std::size_t votes_before = outcome.own_votes.size();
        if (Status voted = vote(outcome); !voted.ok()) {
            outcome.status = std::move(voted);
            return outcome;
        }
        if (outcome.own_votes.size() == votes_before) return outcome;
        // One's own vote counts as any other.
        const auto decoded = ledger::decode_vote(outcome.own_votes.back(), voter_->chain_id());
        CHAIN_CHECK(decoded.ok());
        static_cast<void>(add_vote(*decoded));
    }
}

}  // namespace chain::consensus
