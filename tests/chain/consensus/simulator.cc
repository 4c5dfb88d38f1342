// SPDX-License-Identifier: BSD-3-Clause
#include "tests/chain/consensus/simulator.h"

#include <algorithm>

namespace chain::consensus::simulator {
namespace {

constexpr std::int64_t kStake = 1'000;

enum Kind : std::uint32_t {
    kSeal,
    kDeliver,
    kDeliverAny,
    kDrop,
    kLie,
    kCrash,
    kPartition,
    kHeal,
    kSayAgain,
};
// Of 32: most steps are blocks, and messages, several of them.
constexpr Kind kKinds[32] = {
    kSeal,    kSeal,    kSeal,       kSeal,       kDeliver,    kDeliver, kDeliver, kDeliver,
    kDeliver, kDeliver, kDeliver,    kDeliver,    kDeliver,    kDeliver, kDeliver, kDeliver,
    kDeliver, kDeliver, kDeliverAny, kDeliverAny, kDeliverAny, kDrop,    kDrop,    kLie,
    kLie,     kLie,     kCrash,      kPartition,  kHeal,       kHeal,    kHeal,    kSayAgain,
};

}  // namespace

Step random_step(std::mt19937_64 &random) {
    const std::uint64_t bits = random();
    return {static_cast<std::uint32_t>(bits % 32), static_cast<std::uint32_t>(random()),
            static_cast<std::uint32_t>(bits >> 32)};
}

// ---- one node's chain

SimulatedBranch::SimulatedBranch(const World &world)
    : world_(world), chain_{BlockId{}}, proved_{ledger::Finality{}} {}

Result<ledger::Finality> SimulatedBranch::after_votes(const Block &block) const {
    const ledger::Finality &before = proved_.back();
    if (block.votes.empty()) return before;
    CHAIN_ASSIGN(const DecodedVote first, ledger::decode_vote(block.votes[0], Bytes32{}));
    const auto at = [&](std::uint64_t height) {
        return world_.block(chain_[height]).summary.block;
    };
    if (first.link.target_height >= chain_.size() ||
        at(first.link.target_height).id != first.link.target ||
        at(first.link.source_height).id != first.link.source)
        return make_error(ErrorCode::kInvalidInput, "votes for another chain");
    const Checkpoint target = at(first.link.target_height);
    CHAIN_ASSIGN(const ledger::Finality after,
                 ledger::advance(before, first.link, target, world_.options().params));
    std::vector<PublicKey> voters;
    for (const wire::SignedVote &signed_vote : block.votes) {
        CHAIN_ASSIGN(const DecodedVote vote, ledger::decode_vote(signed_vote, Bytes32{}));
        if (vote.link != first.link ||
            std::find(voters.begin(), voters.end(), vote.validator) != voters.end())
            return make_error(ErrorCode::kInvalidInput, "votes that do not belong together");
        voters.push_back(vote.validator);
    }
    ledger::VotingSets sets;
    CHAIN_ASSIGN(sets.present, validator_set(target.final_height));
    CHAIN_ASSIGN(sets.previous, validator_set(target.previous_final_height));
    if (!ledger::is_supermajority(voters, sets))
        return make_error(ErrorCode::kInvalidInput, "too few votes");
    return after;
}

Status SimulatedBranch::append_one(const Block &block) {
    CHAIN_CHECK(block.summary.parent == chain_.back());
    if (block.is_wrong) return make_error(ErrorCode::kInvalidInput, "a wrong block");
    CHAIN_ASSIGN(const ledger::Finality after, after_votes(block));
    const Checkpoint &says = block.summary.block;
    if (says.justified_height != after.justified.height ||
        says.final_height != after.final.height ||
        says.previous_final_height != after.previous_final_height)
        return make_error(ErrorCode::kInvalidInput, "a header that says something else");
    chain_.push_back(says.id);
    proved_.push_back(after);
    return ok_status();
}

Branch::Appended SimulatedBranch::append(std::span<const BlockId> blocks) {
    Appended appended{0, ok_status()};
    for (const BlockId &id : blocks) {
        appended.status = append_one(world_.block(id));
        if (!appended.status.ok()) break;
        ++appended.count;
    }
    return appended;
}

Status SimulatedBranch::take_back() {
    CHAIN_CHECK(chain_.size() > 1);
    chain_.pop_back();
    proved_.pop_back();
    return ok_status();
}

Result<ledger::ValidatorSet> SimulatedBranch::validator_set(std::uint64_t height) const {
    if (height >= chain_.size() || !ledger::is_checkpoint(height, world_.options().params))
        return make_error(ErrorCode::kNotFound, "no set");
    return world_.set_after(height, chain_[height]);
}

std::vector<DecodedVote> SimulatedBranch::votes_in(const BlockId &block) const {
    std::vector<DecodedVote> votes;
    for (const wire::SignedVote &vote : world_.block(block).votes)
        votes.push_back(ledger::decode_vote(vote, Bytes32{}).value());
    return votes;
}

Status SimulatedBranch::save(const KnownFinality &known) {
    saved_ = known;
    return ok_status();
}

// ---- all of them

World::World(const Options &options) : options_(options) {
    for (std::size_t i = 0; i < options.nodes; ++i) {
        Bytes32 secret{};
        secret[31] = static_cast<std::uint8_t>(i + 1);
        auto key = KeyPair::from_secret(secret);
        CHAIN_CHECK(key.ok());
        keys_.push_back(std::move(key).value());
    }
    blocks_.emplace(BlockId{}, Block{});
    nodes_.resize(options.nodes);
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        nodes_[i].branch = std::make_unique<SimulatedBranch>(*this);
        start(i);
    }
}

ledger::ValidatorSet World::set_after(std::uint64_t height, const BlockId &id) const {
    std::vector<ledger::ValidatorEntry> entries;
    const std::size_t absent = options_.sets_change && height > 0
                                   ? id[31] % (nodes_.size() - options_.byzantine)
                                   : nodes_.size();
    for (std::size_t i = 0; i < keys_.size(); ++i)
        if (i != absent) entries.push_back({keys_[i].public_key(), Amount{kStake}, 0});
    return ledger::ValidatorSet(std::move(entries));
}

// What is on disk: the chain, what is final, the own votes.
void World::start(std::size_t number) {
    Node &node = nodes_[number];
    std::unique_ptr<Voter> voter;  // who lies votes as it likes: lie()
    if (!is_byzantine(number)) {
        auto key = KeyPair::from_secret(keys_[number].secret());
        auto opened = Voter::open(std::move(key).value(), chain_id_,
                                  std::make_unique<KeptVotes>(node.kept_votes));
        CHAIN_CHECK(opened.ok());
        voter = std::move(opened).value();
    }
    const Checkpoint final = node.branch->saved_final();
    // A node that knows something to be final that is not on its chain yet starts from what its
    // chain has proved.
    const std::vector<BlockId> &chain = node.branch->chain();
    const bool is_on_chain = final.height < chain.size() && chain[final.height] == final.id;
    const Checkpoint root = is_on_chain ? final : node.branch->proved().final;
    node.consensus = std::make_unique<Consensus>(*node.branch, options_.params, root,
                                                 blocks_.at(root.id).summary.time_ms,
                                                 node.branch->saved(), std::move(voter));
    std::vector<BlockSummary> above;
    for (std::size_t height = root.height + 1; height < chain.size(); ++height)
        above.push_back(blocks_.at(chain[height]).summary);
    CHAIN_CHECK(node.consensus->restore(above).ok());
}

void World::send_block(std::size_t from, std::size_t to, const BlockId &id,
                       BlockTree::Origin origin) {
    if (from == to || is_cut_off(from, to)) return;
    if (messages_.size() >= kMessagesMax) messages_.pop_front();
    messages_.push_back({from, to, id, std::nullopt, origin});
}

void World::send_vote(std::size_t from, std::size_t to, const wire::SignedVote &vote) {
    if (from == to || is_cut_off(from, to)) return;
    if (messages_.size() >= kMessagesMax) messages_.pop_front();
    messages_.push_back({from, to, std::nullopt, vote});
}

void World::run(std::size_t number) {
    Node &node = nodes_[number];
    const Consensus::Outcome outcome = node.consensus->run(0);
    CHAIN_CHECK(outcome.status.ok());
    evidence_count_ += node.consensus->take_evidence().size();
    for (const wire::SignedVote &vote : outcome.own_votes)
        for (std::size_t to = 0; to < nodes_.size(); ++to) send_vote(number, to, vote);
}

void World::seal(std::size_t number, const BlockTree::Node &parent, std::uint32_t work,
                 bool is_wrong, std::uint32_t to_mask) {
    Node &node = nodes_[number];
    Block block;
    BlockSummary &summary = block.summary;
    Bytes name;
    append_u64_le(name, ++next_id_);
    summary.block.id = tagged_hash("simulated-block", name);
    summary.block.height = parent.height() + 1;
    summary.parent = parent.id();
    summary.time_ms = parent.summary.time_ms + 1;
    summary.sealer = keys_[number].public_key();
    summary.work = Work{1 + work % 3};
    block.is_wrong = is_wrong;
    summary.block.justified_height = parent.summary.block.justified_height;
    summary.block.final_height = parent.summary.block.final_height;
    summary.block.previous_final_height = parent.summary.block.previous_final_height;
    if (&parent == &node.consensus->tip()) {
        block.votes = node.consensus->votes_for_next_block();
        if (!block.votes.empty()) {
            const auto vote = ledger::decode_vote(block.votes[0], chain_id_);
            const auto &target = blocks_.at(vote->link.target).summary.block;
            const auto after =
                ledger::advance(node.branch->proved(), vote->link, target, options_.params);
            CHAIN_CHECK(after.ok());
            summary.block.justified_height = after->justified.height;
            summary.block.final_height = after->final.height;
            summary.block.previous_final_height = after->previous_final_height;
        }
    }
    const BlockId id = summary.block.id;
    blocks_.emplace(id, block);
    if (node.consensus->add_header(summary, BlockTree::Origin::kAsked).ok())
        node.consensus->add_body(id);
    for (std::size_t to = 0; to < nodes_.size(); ++to)
        if (to_mask >> to & 1) send_block(number, to, id, BlockTree::Origin::kTold);
    run(number);
}

void World::deliver_block(const Message &message) {
    Consensus &consensus = *nodes_[message.to].consensus;
    const Block &block = blocks_.at(*message.block);
    const Status added = consensus.add_header(block.summary, message.origin);
    if (added.ok()) {
        consensus.add_body(*message.block);
        return run(message.to);
    }
    if (added.error().code != ErrorCode::kNotFound) return;
    // Asks whoever sent it for what leads there, from what both know.
    std::vector<BlockId> missing;
    const BlockId *at = &*message.block;
    while (consensus.tree().find(*at) == nullptr) {
        missing.push_back(*at);
        if (*at == BlockId{}) return;  // from before what is final here
        at = &blocks_.at(*at).summary.parent;
    }
    for (auto id = missing.rbegin(); id != missing.rend(); ++id)
        send_block(message.from, message.to, *id, BlockTree::Origin::kAsked);
}

void World::deliver(const Message &message) {
    if (is_cut_off(message.from, message.to)) return;
    if (message.block) return deliver_block(message);
    Consensus &consensus = *nodes_[message.to].consensus;
    const auto vote = ledger::decode_vote(*message.vote, chain_id_);
    if (!vote.ok()) return;
    const auto added = consensus.add_vote(*vote);
    if (!added.ok() || !*added) return;
    run(message.to);
    // Gossip: what is new is passed on.
    for (std::size_t to = 0; to < nodes_.size(); ++to)
        if (to != message.from && !is_byzantine(message.to))
            send_vote(message.to, to, *message.vote);
}

// Its tip and its last vote, as a node does now and then.
void World::say_again(std::size_t number) {
    Node &node = nodes_[number];
    for (std::size_t to = 0; to < nodes_.size(); ++to) {
        send_block(number, to, node.consensus->tip().id(), BlockTree::Origin::kTold);
        for (const wire::SignedVote &vote : node.consensus->votes().to_tell())
            send_vote(number, to, vote);
    }
}

wire::SignedVote World::sign_link(std::size_t number, const BlockTree::Node &source,
                                  const BlockTree::Node &target) const {
    return ledger::sign_vote(
        ledger::vote_body(chain_id_, keys_[number].public_key(),
                          {source.height(), source.id(), target.height(), target.id()}),
        keys_[number]);
}

// A vote that no honest node would send.
void World::vote_for_anything(std::size_t number, std::uint32_t a, std::uint32_t b) {
    std::vector<const BlockTree::Node *> checkpoints;
    const BlockTree &tree = nodes_[number].consensus->tree();
    tree.each([&](const BlockTree::Node &node) {
        if (ledger::is_checkpoint(node.height(), options_.params)) checkpoints.push_back(&node);
    });
    std::sort(checkpoints.begin(), checkpoints.end(),
              [](const auto *x, const auto *y) { return x->order < y->order; });
    const BlockTree::Node &target = *checkpoints[a % checkpoints.size()];
    const BlockTree::Node *source = tree.ancestor(target, target.summary.block.justified_height);
    if (b % 4 == 0) source = checkpoints[b / 4 % checkpoints.size()];
    if (source == nullptr || source->height() >= target.height()) return;
    const wire::SignedVote vote = sign_link(number, *source, target);
    for (std::size_t to = 0; to < nodes_.size(); ++to)
        if (b >> (8 + to) & 1) send_vote(number, to, vote);
}

void World::lie(std::uint32_t a, std::uint32_t b) {
    if (options_.byzantine == 0) return;
    const std::size_t number = nodes_.size() - 1 - a % options_.byzantine;
    const std::uint32_t what = b % 4;
    if (what < 2) return vote_for_anything(number, a / 7, b / 4);
    // A block on any block: a fork, sent to some only, or a wrong one.
    std::vector<const BlockTree::Node *> all;
    nodes_[number].consensus->tree().each(
        [&](const BlockTree::Node &node) { all.push_back(&node); });
    std::sort(all.begin(), all.end(),
              [](const auto *x, const auto *y) { return x->order < y->order; });
    // Mostly near the end.
    const std::size_t back = a / 11 % std::min<std::size_t>(all.size(), 4);
    seal(number, *all[all.size() - 1 - back], b / 16, b / 64 % 8 == 0, b >> 10);
}

std::string World::split_honest(std::size_t blocks) {
    const std::size_t honest = nodes_.size() - options_.byzantine;
    for (std::size_t i = 0; i < honest; ++i) nodes_[i].side = i % 2;
    for (std::size_t block = 0; block < blocks; ++block) {
        for (std::size_t side = 0; side < 2; ++side) {
            const Consensus &victim = *nodes_[side].consensus;
            seal(side, victim.tip(), 0, false, ~0u);
            deliver_all();
            // For the newest checkpoint of each side, as if there were no other.
            const BlockTree::Node &tip = victim.tip();
            const std::uint64_t height = tip.height() - tip.height() % options_.params.epoch_blocks;
            const BlockTree::Node *const target = victim.tree().ancestor(tip, height);
            const BlockTree::Node *const source =
                target == nullptr
                    ? nullptr
                    : victim.tree().ancestor(*target, target->summary.block.justified_height);
            if (source == nullptr || source == target) continue;
            for (std::size_t liar = honest; liar < nodes_.size(); ++liar) {
                const wire::SignedVote vote = sign_link(liar, *source, *target);
                for (std::size_t to = side; to < honest; to += 2) {
                    static_cast<void>(nodes_[to].consensus->add_vote(
                        ledger::decode_vote(vote, chain_id_).value()));
                    run(to);
                }
            }
            deliver_all();
        }
    }
    return check_agreement();
}

std::string World::play(const Step &step) {
    const std::size_t number = step.a % nodes_.size();
    switch (kKinds[step.kind % 32]) {
        case kSeal:
            if (!is_byzantine(number))
                seal(number, nodes_[number].consensus->tip(), step.b, false, ~0u);
            break;
        case kDeliver:
            for (std::uint32_t left = step.b % 24; left > 0 && !messages_.empty(); --left)
                deliver_one(0);
            break;
        case kDeliverAny:
            for (std::uint32_t left = step.a % 8; left > 0 && !messages_.empty(); --left)
                deliver_one((step.b + left * 7919) % messages_.size());
            break;
        case kDrop:
            if (!messages_.empty())
                messages_.erase(messages_.begin() +
                                static_cast<std::ptrdiff_t>(step.b % messages_.size()));
            break;
        case kLie: lie(step.a, step.b); break;
        case kCrash: start(number); break;
        case kPartition:
            for (std::size_t i = 0; i < nodes_.size(); ++i) nodes_[i].side = step.b >> i & 1;
            break;
        case kHeal:
            for (Node &node : nodes_) node.side = 0;
            break;
        case kSayAgain: say_again(number); break;
    }
    return check_agreement();
}

std::string World::describe() const {
    std::string text;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        const Node &node = nodes_[i];
        const auto &tip = node.consensus->tip().summary.block;
        text += "node " + std::to_string(i) + (is_byzantine(i) ? " (lies)" : "") + ": tip " +
                std::to_string(tip.height) + " " + short_hex(tip.id) + ", proves justified " +
                std::to_string(tip.justified_height) + ", final " +
                std::to_string(tip.final_height) + "; counted justified " +
                std::to_string(node.consensus->votes().justified().height) + " " +
                short_hex(node.consensus->votes().justified().id) + ", final " +
                std::to_string(node.consensus->votes().final().height) + " " +
                short_hex(node.consensus->votes().final().id);
        if (node.kept_votes)
            text += "; voted up to " + std::to_string(node.kept_votes->source_height) + " -> " +
                    std::to_string(node.kept_votes->target_height);
        text += ", tree of " + std::to_string(node.consensus->tree().size()) + "\n";
    }
    return text;
}

std::uint64_t World::final_height() const {
    std::uint64_t height = 0;
    for (std::size_t i = 0; i < nodes_.size(); ++i)
        if (!is_byzantine(i)) height = std::max(height, nodes_[i].branch->saved_final().height);
    return height;
}

std::string World::check_agreement() const {
    // Each final block must be an ancestor of every higher final one.
    std::vector<Checkpoint> finals;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        if (is_byzantine(i)) continue;
        finals.push_back(nodes_[i].branch->saved_final());
        if (nodes_[i].consensus->votes().conflict())
            return "node " + std::to_string(i) + " saw two final blocks that exclude each other";
    }
    std::sort(finals.begin(), finals.end(),
              [](const auto &a, const auto &b) { return a.height < b.height; });
    for (std::size_t i = 1; i < finals.size(); ++i) {
        const Block *at = &blocks_.at(finals[i].id);
        while (at->summary.block.height > finals[i - 1].height)
            at = &blocks_.at(at->summary.parent);
        if (at->summary.block.id != finals[i - 1].id)
            return "final blocks " + std::to_string(finals[i - 1].height) + " and " +
                   std::to_string(finals[i].height) + " exclude each other";
    }
    return {};
}

void World::deliver_one(std::size_t which) {
    const Message message = messages_[which];
    messages_.erase(messages_.begin() + static_cast<std::ptrdiff_t>(which));
    deliver(message);
}

void World::deliver_all() {
    while (!messages_.empty()) {
        if (is_byzantine(messages_.front().from))
            messages_.pop_front();
        else
            deliver_one(0);
    }
}

std::optional<std::size_t> World::blocks_until_final(std::size_t blocks_max) {
    for (Node &node : nodes_) node.side = 0;
    messages_.clear();
    const std::uint64_t before = final_height();
    const auto all_are_above = [&] {
        for (std::size_t i = 0; i < nodes_.size(); ++i)
            if (!is_byzantine(i) && nodes_[i].branch->saved_final().height <= before) return false;
        return true;
    };
    const std::size_t honest = nodes_.size() - options_.byzantine;
    for (std::size_t block = 0; block < blocks_max; ++block) {
        for (std::size_t i = 0; i < honest; ++i) {
            say_again(i);
            deliver_all();
        }
        if (all_are_above()) return block;
        const std::size_t sealer = block % honest;
        seal(sealer, nodes_[sealer].consensus->tip(), 2, false, ~0u);
        deliver_all();
    }
    return all_are_above() ? std::optional(blocks_max) : std::nullopt;
}

}  // namespace chain::consensus::simulator
