// SPDX-License-Identifier: BSD-3-Clause
//
// A network of nodes in one thread, whose messages, crashes, partitions and lies are drawn from a
// row of numbers: the same row, the same run. Nodes run chain/consensus as a daemon does (block
// tree, fork choice, votes, finality); what is simulated is the network, and the inside of blocks.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <random>

#include "chain/consensus/consensus.h"

namespace chain::consensus::simulator {

struct Options {
    std::size_t nodes = 4;
    std::size_t byzantine = 1;  // the last ones
    bool sets_change =
        false;  // one validator is left out at each checkpoint, another one each time
    ledger::ConsensusParams params;
};

struct Step {
    std::uint32_t kind, a, b;
};
Step random_step(std::mt19937_64 &random);

// A block as all nodes would have it, whoever has received it.
struct Block {
    BlockSummary summary;
    std::vector<wire::SignedVote> votes;
    bool is_wrong = false;  // its state digest, say
};

struct Message {
    std::size_t from, to;
    std::optional<BlockId> block;
    std::optional<wire::SignedVote> vote;
    BlockTree::Origin origin = BlockTree::Origin::kTold;
};

class World;

// A chain of blocks without transactions.
class SimulatedBranch final : public Branch {
public:
    explicit SimulatedBranch(const World &world);
    Appended append(std::span<const BlockId> blocks) override;
    Status take_back() override;
    const ledger::Finality &proved() const override { return proved_.back(); }
    Result<ledger::ValidatorSet> validator_set(std::uint64_t height) const override;
    std::vector<DecodedVote> votes_in(const BlockId &block) const override;
    Status save(const KnownFinality &known) override;

    const KnownFinality &saved() const { return saved_; }
    const Checkpoint &saved_final() const { return saved_.final; }
    const std::vector<BlockId> &chain() const { return chain_; }

private:
    Status append_one(const Block &block);
    Result<ledger::Finality> after_votes(const Block &block) const;

    const World &world_;
    std::vector<BlockId> chain_;            // by height, from the genesis on
    std::vector<ledger::Finality> proved_;  // after each
    KnownFinality saved_;
};

// Survives a crash.
class KeptVotes final : public VoteStore {
public:
    explicit KeptVotes(std::optional<VoteMemory> &kept) : kept_(kept) {}
    Result<std::optional<VoteMemory>> load() override { return kept_; }
    Status save(const VoteMemory &memory) override {
        kept_ = memory;
        return ok_status();
    }

private:
    std::optional<VoteMemory> &kept_;
};

class World {
public:
    explicit World(const Options &options);
    World(const World &) = delete;
    World &operator=(const World &) = delete;

    // Empty: nothing is wrong. Otherwise what honest nodes contradict each other in.
    std::string play(const Step &step);
    // The honest are cut into two halves for `blocks` blocks, and those who lie vote for the
    // branches of both.
    std::string split_honest(std::size_t blocks);
    // The network works, those who lie are silent: seals and delivers until every honest node has
    // made something new final. The blocks that it took, or nullopt: more than `blocks_max`.
    std::optional<std::size_t> blocks_until_final(std::size_t blocks_max);
    // What each honest node holds to be final.
    std::string check_agreement() const;
    std::uint64_t final_height() const;  // the highest of an honest node
    std::string describe() const;        // of a run that failed
    std::size_t evidence_count() const { return evidence_count_; }

    const Block &block(const BlockId &id) const { return blocks_.at(id); }
    bool has(const BlockId &id) const { return blocks_.contains(id); }
    ledger::ValidatorSet set_after(std::uint64_t height, const BlockId &id) const;
    const Options &options() const { return options_; }

private:
    struct Node {
        std::unique_ptr<SimulatedBranch> branch;
        std::optional<VoteMemory> kept_votes;
        std::unique_ptr<Consensus> consensus;
        std::uint64_t highest_final = 0;
        std::uint32_t side = 0;  // of the partition
    };
    bool is_byzantine(std::size_t node) const { return node + options_.byzantine >= nodes_.size(); }
    // Who lies reaches everybody.
    bool is_cut_off(std::size_t from, std::size_t to) const {
        return !is_byzantine(from) && nodes_[from].side != nodes_[to].side;
    }
    wire::SignedVote sign_link(std::size_t number, const BlockTree::Node &source,
                               const BlockTree::Node &target) const;
    void start(std::size_t number);
    void run(std::size_t number);
    void seal(std::size_t number, const BlockTree::Node &parent, std::uint32_t work, bool is_wrong,
              std::uint32_t to_mask);
    void send_block(std::size_t from, std::size_t to, const BlockId &id, BlockTree::Origin origin);
    void send_vote(std::size_t from, std::size_t to, const wire::SignedVote &vote);
    void deliver(const Message &message);
    void deliver_one(std::size_t which);
    void deliver_all();
    void deliver_block(const Message &message);
    void say_again(std::size_t number);
    void lie(std::uint32_t a, std::uint32_t b);
    void vote_for_anything(std::size_t number, std::uint32_t a, std::uint32_t b);

    Options options_;
    std::vector<KeyPair> keys_;
    Bytes32 chain_id_{};
    std::map<BlockId, Block> blocks_;
    std::vector<Node> nodes_;
    std::deque<Message> messages_;
    std::uint64_t next_id_ = 0;
    std::size_t evidence_count_ = 0;
    static constexpr std::size_t kMessagesMax = 2'000;
};

}  // namespace chain::consensus::simulator
