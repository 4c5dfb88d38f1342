// SPDX-License-Identifier: BSD-3-Clause
//
// A node without a network, and what strangers, validators and those who were validators for a
// moment tell it.
#pragma once

#include <algorithm>

#include <gtest/gtest.h>

#include "chain/backend/ledger_backend.h"
#include "tests/attack/attack.h"
#include "tests/chain/base/temporary_folder.h"

namespace chain::consensus {

using incentive::CheckpointVote;
using ledger::ConsensusKind;

inline constexpr std::uint8_t kLiar = 4;  // a validator
inline constexpr std::uint32_t kEpoch = 4;
inline constexpr std::size_t kHeadersAtOnce = LedgerBackend::kHeadersPerAnswerMax;

class ConsensusAttack : public testing::Test {
protected:
    // Also once more, as after a restart. A node with the key of a validator votes.
    void start(const ledger::Genesis &genesis, std::optional<KeyPair> key = std::nullopt) {
        node_.reset();
        LedgerOptions options;
        options.consensus_folder = folder_.path() + "/consensus";
        options.consensus_every_ms = 1'000'000;  // only when something comes
        ASSERT_TRUE(make_folders(options.consensus_folder, 0700).ok());
        auto opened =
            LedgerBackend::open(loop_, clock_, open_store(), genesis, std::move(key), options);
        ASSERT_TRUE(opened.ok()) << opened.error().message;
        node_ = std::move(opened).value();
        node_->on_vote([this](const wire::SignedVote &) { ++own_votes_; });
    }
    std::unique_ptr<KeyValueStore> open_store() const {
        return open_leveldb_store(folder_.path() + "/ledger").value();
    }
    void clock_at(std::uint64_t ms) {
        if (ms > clock_.unix_ms()) clock_.advance_ms(ms - clock_.unix_ms());
    }
    // At the time that it says. Whether it was taken is seen by where the chain is.
    void give(const ledger::Block &block) {
        clock_at(block.header.time_ms());
        static_cast<void>(node_->accept_block(block.signed_bytes));
    }
    void give_all(const ValidatorChain &world, std::size_t from = 0) {
        for (std::size_t i = from; i < world.blocks().size(); ++i) give(world.blocks()[i]);
        ASSERT_EQ(node_->height(), world.blocks().size());
    }
    // As answers to the question for headers come. What is too much may be refused.
    void give_headers(const std::vector<ledger::Block> &blocks) {
        const std::vector<wire::SignedBlock> headers = headers_of(blocks);
        for (std::size_t at = 0; at < headers.size(); at += kHeadersAtOnce)
            static_cast<void>(node_->accept_headers(
                std::span(headers).subspan(at, std::min(kHeadersAtOnce, headers.size() - at))));
    }
    // The next block as ValidatorChain makes it, by anybody but the liar.
    static ledger::Block next_of_others(ValidatorChain &world) {
        std::uint8_t sealer = 1;
        for (const std::uint8_t other : {2, 3})
            if (world.turns(other)[0].not_before_ms < world.turns(sealer)[0].not_before_ms)
                sealer = other;
        const std::uint64_t tip = world.chain().tip().height;
        const bool is_due = tip % kEpoch == 1 && tip > kEpoch;
        const auto block =
            world.seal(sealer, world.turns(sealer)[0], {},
                       is_due ? world.votes_for(tip - 1) : std::vector<wire::SignedVote>());
        CHAIN_CHECK(world.chain().apply(block).ok());
        return block;
    }
    void expect_honest_blocks_go_on(ValidatorChain &world, bool liar_seals = true) {
        for (int i = 0; i < 12; ++i) {
            if (liar_seals) {
                world.grow_to(world.chain().tip().height + 1);
                give(world.blocks().back());
            } else {
                give(next_of_others(world));
            }
        }
        EXPECT_EQ(node_->height(), world.chain().tip().height) << "honest blocks are not taken";
    }
    const Consensus &consensus() const { return node_->engine()->consensus(); }
    const Checkpoint & final() const { return consensus().votes().final(); }
    const Checkpoint &justified() const { return consensus().votes().justified(); }

    // A chain of nine blocks. The liar has a quarter of every set that decides, but for that after
    // checkpoint 4, which is never justified: of that it has nearly all, for one block.
    static void stake_for_one_block(ValidatorChain &world) {
        for (int i = 0; i < 3; ++i) world.append();
        world.append({world.stake(kLiar, 0, 900'000)});
        world.append({world.stake(kLiar, 1, -900'000)});
        while (world.chain().tip().height < 9) world.append();
    }
    // Headers without blocks, by which checkpoint 4 is final and the set after it decides, and the
    // liar's votes for them.
    void name_that_set(ValidatorChain &world) {
        const auto branch = made_up_branch(
            world.genesis(), words_on(world.chain().tip()), 7, {kLiar}, [](HeaderWords &words) {
                words.says.justified_height = words.height > 12 ? 12 : 8;
                words.says.final_height = words.says.previous_final_height = 4;
            });
        ASSERT_TRUE(node_->accept_headers(headers_of(branch)).ok());
        const BlockId at_8 = world.chain().checkpoint_at(8)->id;
        const BlockId at_12 = branch[2].id, at_16 = branch[6].id;
        for (const auto &link :
             {CheckpointVote{8, at_8, 12, at_12}, CheckpointVote{12, at_12, 16, at_16}}) {
            const auto taken = node_->accept_vote(vote_of(world.genesis(), kLiar, link));
            ASSERT_TRUE(taken.ok()) << taken.error().message;
        }
    }

    const TemporaryFolder folder_;
    Loop loop_;
    ManualClock clock_{kGenesisTimeMs};
    std::unique_ptr<LedgerBackend> node_;
    int own_votes_ = 0;
};

// ---- headers and blocks without end

}  // namespace chain::consensus
