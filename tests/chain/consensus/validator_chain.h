// SPDX-License-Identifier: BSD-3-Clause
//
// A chain of four validators for tests of consensus.
#pragma once

#include <gtest/gtest.h>

#include "chain/consensus/rule.h"
#include "chain/store/store.h"
#include "tests/chain/consensus/trees.h"

namespace chain::consensus {

inline constexpr std::uint64_t kGenesisTimeMs = 1'700'000'000'000;
inline constexpr std::uint8_t kValidators = 4;

// A chain of four validators in memory, and what seals and votes on it.
class ValidatorChain {
public:
    explicit ValidatorChain(ledger::ConsensusKind kind, std::uint32_t share_epoch_blocks = 0) {
        ledger::Genesis made;
        made.chain_name = "validators";
        made.time_ms = kGenesisTimeMs;
        made.consensus.kind = kind;
        made.consensus.epoch_blocks = 4;
        made.consensus.vote_depth = 1;
        made.consensus.lag_blocks_max = 24;
        made.consensus.spacing_ms = 1'000;
        made.consensus.turn_ms = 500;
        made.consensus.first_target_bits = 4;
        made.consensus.half_life_ms = 30'000;
        made.consensus.share_epoch_blocks = share_epoch_blocks;
        made.consensus.share_bits = 3;
        made.consensus.share_openings = 16;
        made.consensus.validators_max = 6;
        made.consensus.validator_stake_min_units = 1'000;
        for (std::uint8_t i = 1; i <= 8; ++i)
            made.allocations.emplace_back(key_of(i).public_key(), Amount{1'000'000});
        for (std::uint8_t i = 1; i <= kValidators; ++i)
            made.validators.emplace_back(key_of(i).public_key(), Amount{10'000});
        genesis_ = ledger::parse_genesis(ledger::format_genesis(made)).value();
        rule_ = Rule::make(genesis_).value();
        chain_ = ledger::Chain::open(make_memory_store(), genesis_, rule_).value();
    }

    ledger::Chain &chain() { return *chain_; }
    const ledger::Genesis &genesis() const { return genesis_; }
    const Rule &rule() const { return *rule_; }
    std::vector<Turn> turns(std::uint8_t number) const {
        return rule_->turns(key_of(number).public_key(), chain_->tip(), chain_->state()).value();
    }
    // Whose block may have the earliest time.
    std::uint8_t next_sealer() const {
        std::uint8_t best = 1;
        for (std::uint8_t i = 2; i <= kValidators; ++i)
            if (turns(i)[0].not_before_ms < turns(best)[0].not_before_ms) best = i;
        return best;
    }
    ledger::Block seal(std::uint8_t number, const Turn &turn, const ledger::TxList &txs = {},
                       std::vector<wire::SignedVote> votes = {}) {
        const std::uint64_t usual_ms = chain_->tip().time_ms + genesis_.consensus.spacing_ms;
        auto drafted = draft_block(*chain_, key_of(number).public_key(), turn, txs,
                                   std::move(votes), usual_ms);
        CHAIN_CHECK(drafted.ok());
        if (turn.needs_work) find_nonce(drafted->header, turn);
        return ledger::sign_block(drafted->header, drafted->draft, key_of(number));
    }
    void append(const ledger::TxList &txs = {}, std::vector<wire::SignedVote> votes = {}) {
        const std::uint8_t number = next_sealer();
        const auto block = seal(number, turns(number)[0], txs, std::move(votes));
        blocks_.push_back(block);
        const Status applied = chain_->apply(block);
        ASSERT_TRUE(applied.ok()) << applied.error().message;
    }
    // Votes of validators 1 .. `voters` for the checkpoint at `height`.
    std::vector<wire::SignedVote> votes_for(std::uint64_t height, std::uint8_t voters = 3) const {
        const auto target = chain_->checkpoint_at(height).value();
        const auto source = chain_->checkpoint_at(target.justified_height).value();
        std::vector<wire::SignedVote> votes;
        for (std::uint8_t i = 1; i <= voters; ++i) {
            const auto body =
                ledger::vote_body(genesis_.chain_id, key_of(i).public_key(),
                                  {source.height, source.id, target.height, target.id});
            votes.push_back(ledger::sign_vote(body, key_of(i)));
        }
        return votes;
    }
    // The usual: each checkpoint is voted for two blocks later.
    void grow_to(std::uint64_t height) {
        while (chain_->tip().height < height) {
            const std::uint64_t tip = chain_->tip().height;
            const bool is_due = tip % 4 == 1 && tip > 4;
            append({}, is_due ? votes_for(tip - 1) : std::vector<wire::SignedVote>());
        }
    }
    ledger::Tx stake(std::uint8_t number, std::uint64_t nonce, std::int64_t units) const {
        wire::TxBody body;
        body.set_chain_id(to_bytes(genesis_.chain_id));
        body.set_sender(to_bytes(key_of(number).public_key()));
        body.set_nonce(nonce);
        if (units > 0)
            body.mutable_stake()->set_amount(units);
        else
            body.mutable_unstake()->set_amount(-units);
        return decode(body, number);
    }
    // A transaction of this account, which has sent nothing else that is pending.
    ledger::Tx sign(std::uint8_t number, wire::TxBody body) const {
        const PublicKey account = key_of(number).public_key();
        body.set_chain_id(to_bytes(genesis_.chain_id));
        body.set_sender(to_bytes(account));
        body.set_nonce(chain_->state().account(account)->nonce);
        return decode(body, number);
    }
    ledger::Tx decode(const wire::TxBody &body, std::uint8_t number) const {
        const auto signed_tx = ledger::sign_tx(body, key_of(number));
        return ledger::decode_tx(signed_tx.SerializeAsString(), genesis_.chain_id).value();
    }
    const std::vector<ledger::Block> &blocks() const { return blocks_; }

private:
    static void find_nonce(wire::BlockHeader &header, const Turn &turn) {
        const auto pow = make_pow("sha256d", Bytes32{}).value();
        for (std::uint64_t nonce = 1;; ++nonce) {
            header.set_nonce(nonce);
            const auto hash = pow->hash(header.SerializeAsString());
            if (hash_meets(*hash, turn.base, turn.weight)) return;
        }
    }

    ledger::Genesis genesis_;
    std::shared_ptr<const Rule> rule_;
    std::unique_ptr<ledger::Chain> chain_;
    std::vector<ledger::Block> blocks_;
};

}  // namespace chain::consensus
