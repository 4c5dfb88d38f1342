// SPDX-License-Identifier: BSD-3-Clause
//
// Engine: a node of a network with validators: its chain, what it hears of blocks and votes, and
// its own turns. Knows no network, mempool or threads: the back end feeds it and passes on what it
// says.
//
// Owner: one thread. The chain outlives it.
#pragma once

#include "chain/consensus/ledger_branch.h"
#include "chain/consensus/rule.h"

namespace chain::consensus {

// A block that this node's owner knows to be of the right history, from somebody they trust. Who
// has been away for long, or is new, cannot tell it from one that validators of the past have made
// up since, whose stake is gone (weak subjectivity; V. Buterin, "Proof of Stake: How I Learned to
// Love Weak Subjectivity", 2014).
struct TrustedBlock {
    std::uint64_t height = 0;
    BlockId id{};
};
// "HEIGHT:ID". Errors: kInvalidInput.
Result<TrustedBlock> parse_trusted_block(std::string_view text);

class Engine {
public:
    // `folder` keeps votes and finality; empty: nothing is kept (tests). `key`: nullopt, or that of
    // an account that seals, and votes when it is a validator. `trusted`: no other block is taken
    // at its height; until the chain has it nothing is final here, and this node neither seals nor
    // votes. Errors: kCorrupt, kConflict (also: another block is there), kIo.
    static Result<std::unique_ptr<Engine>> open(ledger::Chain &chain,
                                                std::shared_ptr<const Rule> rule,
                                                const std::string &folder,
                                                const std::optional<KeyPair> &key,
                                                std::optional<TrustedBlock> trusted = std::nullopt);

    // A header whose parent is known, or why it is not taken: as of BlockTree::add and
    // Rule::work_of. kNotFound: its parent is not known. kConflict: it is known already. kRefused:
    // it is not the trusted one. kProtocol: its sealer has no turn. kNotYet: whether it has one is
    // known later.
    Status take_header(const ledger::Block &block, BlockTree::Origin origin, std::uint64_t now_ms);
    // The whole block; its header too, if that is new. Errors: the same; kNoRoom.
    Status take_block(ledger::Block block, BlockTree::Origin origin, std::uint64_t now_ms);
    // True: new. Errors: of decode_vote and VotePool::add.
    Result<bool> take_vote(const wire::SignedVote &vote);

    struct Outcome {
        std::vector<ledger::Block> taken_back;  // newest first
        std::vector<ledger::Block> appended;
        std::vector<wire::SignedVote> own_votes;
        bool is_final_new = false;
        Status status;  // why the chain is not where it should be: of the store
    };
    Outcome run(std::uint64_t now_ms);

    // The turns of this node's account on the tip; none: it has no key, or no turn.
    Result<std::vector<Turn>> turns() const;
    Result<std::vector<Turn>> turns_of(const PublicKey &account) const;
    // A block of `txs` by a turn that needs no work: on return it has been taken. Errors: of
    // Chain::draft_header.
    Status seal(const Turn &turn, const ledger::TxList &txs, std::uint64_t now_ms);

    // The same by work: what a miner is to find a nonce for, and what is done with the one that it
    // has found. Errors of take_found(): those of take_block(); kConflict when the tip has moved.
    Result<DraftedBlock> draft(const Turn &turn, const ledger::TxList &txs, std::uint64_t now_ms);
    Status take_found(const DraftedBlock &drafted, std::uint64_t nonce, std::uint64_t now_ms);
    const PowFunction *work_function() const { return rule_->work_function(); }

    const Consensus &consensus() const { return *consensus_; }
    // False: a trusted block is named, and the chain has not come to it.
    bool knows_trusted() const;
    const std::optional<TrustedBlock> &trusted() const { return trusted_; }
    // What others have in the place of the trusted block, if that was heard.
    const std::optional<BlockId> &other_than_trusted() const { return other_than_trusted_; }
    const Checkpoint & final() const { return consensus_->votes().final(); }
    bool is_final(std::uint64_t height) const;
    bool is_justified(std::uint64_t height) const;
    // What is said again now and then.
    std::vector<wire::SignedVote> votes_to_tell() const { return consensus_->votes().to_tell(); }
    std::vector<VoteEvidence> take_evidence() { return consensus_->take_evidence(); }
    // Headers whose blocks are to be fetched, in their order; at most `count_max`.
    std::vector<BlockId> missing_blocks(std::uint64_t now_ms, std::size_t count_max) const;
    const ledger::Block *waiting_block(const BlockId &id) const { return branch_.waiting(id); }

private:
    Engine(ledger::Chain &chain, std::shared_ptr<const Rule> rule, const std::string &folder,
           std::optional<KeyPair> key, std::optional<TrustedBlock> trusted)
        : chain_(chain),
          rule_(std::move(rule)),
          branch_(chain, folder),
          key_(std::move(key)),
          trusted_(trusted) {}
    Status check_trusted() const;
    void look_for_withheld(std::uint64_t now_ms);
    Status restore(std::unique_ptr<Voter> voter);
    Status check_sealer(const ledger::Block &block, const BlockTree::Node &parent);
    Result<BlockSummary> summary_at(std::uint64_t height) const;

    ledger::Chain &chain_;
    const std::shared_ptr<const Rule> rule_;
    LedgerBranch branch_;
    const std::optional<KeyPair> key_;
    const std::optional<TrustedBlock> trusted_;
    std::optional<BlockId> other_than_trusted_;
    std::unique_ptr<Consensus> consensus_;
    // The block that is missing first, and since when.
    struct Missing {
        BlockId id{};
        std::uint64_t since_ms = 0;
        std::uint64_t looked_ms = 0;
    };
    Missing missing_;
    // How often a sealer's headers brought no block.
    static constexpr std::size_t kWithheldMax = 1'024;
    std::map<PublicKey, unsigned> withheld_;
};

}  // namespace chain::consensus
