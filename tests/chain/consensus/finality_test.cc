// SPDX-License-Identifier: BSD-3-Clause
//
// What votes make justified and final: the rules of the ledger, and of who counts votes.
#include <gtest/gtest.h>

#include "chain/consensus/vote_pool.h"
#include "tests/chain/consensus/trees.h"

namespace chain::consensus {
namespace {

using incentive::CheckpointVote;
using ledger::ValidatorSet;

ledger::ConsensusParams params_of(std::uint32_t epoch_blocks) {
    ledger::ConsensusParams params;
    params.kind = ledger::ConsensusKind::kPoa;
    params.epoch_blocks = epoch_blocks;
    return params;
}

TEST(Advance, JustifiesAndMakesFinalWhatIsNextToIt) {
    const auto params = params_of(4);
    const auto at = [](std::uint64_t height, std::uint64_t justified) {
        return Checkpoint{height, block_id(height), justified, 0, 0};
    };
    const auto link = [](std::uint64_t source, std::uint64_t target) {
        return CheckpointVote{source, source == 0 ? BlockId{} : block_id(source), target,
                              block_id(target)};
    };
    ledger::Finality now;
    now = ledger::advance(now, link(0, 4), at(4, 0), params).value();
    EXPECT_EQ(now.justified.height, 4u);
    EXPECT_EQ(now.final.height, 0u) << "the genesis was final already";
    // Not next to each other: justified, and nothing becomes final.
    const auto far = ledger::advance(now, link(4, 12), at(12, 4), params).value();
    EXPECT_EQ(far.justified.height, 12u);
    EXPECT_EQ(far.final.height, 0u);
    const auto near = ledger::advance(now, link(4, 8), at(8, 4), params).value();
    EXPECT_EQ(near.justified.height, 8u);
    EXPECT_EQ(near.final, at(4, 0));
    EXPECT_EQ(near.previous_final_height, 0u);
    const auto next = ledger::advance(near, link(8, 12), at(12, 8), params).value();
    EXPECT_EQ(next.final.height, 8u);
    EXPECT_EQ(next.previous_final_height, 4u);
    // A link from further back than what is justified by now makes nothing final.
    const auto old = ledger::advance(near, link(4, 12), at(12, 4), params).value();
    EXPECT_EQ(old.justified.height, 12u);
    EXPECT_EQ(old.final.height, 4u);

    const auto refusal = [&](const CheckpointVote &vote, const Checkpoint &target) {
        return ledger::advance(near, vote, target, params).error().code;
    };
    EXPECT_EQ(refusal(link(4, 8), at(8, 4)), ErrorCode::kConflict) << "known";
    EXPECT_EQ(refusal(link(8, 10), at(10, 8)), ErrorCode::kConflict) << "no checkpoint";
    EXPECT_EQ(refusal(link(4, 12), at(12, 8)), ErrorCode::kConflict) << "another source";
}

TEST(Supermajority, TwoThirdsOfBothSets) {
    const auto set = [](std::vector<std::pair<std::uint8_t, std::int64_t>> stakes) {
        std::vector<ledger::ValidatorEntry> entries;
        for (const auto &[number, stake] : stakes)
            entries.push_back({key_of(number).public_key(), Amount{stake}, 0});
        return ValidatorSet(std::move(entries));
    };
    const auto voters = [](std::vector<std::uint8_t> numbers) {
        std::vector<PublicKey> keys;
        for (const auto number : numbers) keys.push_back(key_of(number).public_key());
        return keys;
    };
    const ledger::VotingSets same{set({{1, 1}, {2, 1}, {3, 1}}), set({{1, 1}, {2, 1}, {3, 1}})};
    EXPECT_TRUE(ledger::is_supermajority(voters({1, 2}), same));
    EXPECT_FALSE(ledger::is_supermajority(voters({1}), same));
    EXPECT_FALSE(ledger::is_supermajority(voters({1, 7, 8}), same)) << "strangers";
    // One that leaves and one that joins: two thirds of the old, and of the new.
    const ledger::VotingSets changing{set({{2, 1}, {3, 1}, {4, 1}}), set({{1, 1}, {2, 1}, {3, 1}})};
    EXPECT_FALSE(ledger::is_supermajority(voters({3, 4}), changing));
    EXPECT_FALSE(ledger::is_supermajority(voters({1, 2}), changing));
    EXPECT_TRUE(ledger::is_supermajority(voters({2, 3}), changing));
    EXPECT_FALSE(ledger::is_supermajority({}, {})) << "nobody decides nothing";
    // By stake, and up to twice of it by quality; no sum overflows.
    const std::int64_t most = kMaxAmountUnits;
    std::vector<ledger::ValidatorEntry> rich;
    for (std::uint8_t i = 1; i <= 200; ++i)
        rich.push_back({key_of(i).public_key(), Amount{most}, incentive::kQ16});
    const ValidatorSet large(rich);
    EXPECT_TRUE(large.total() == ledger::VoteWeight{200} * 2 * static_cast<std::uint64_t>(most));
}

class VotePoolTest : public testing::Test {
protected:
    VotePoolTest() {
        std::vector<ledger::ValidatorEntry> entries;
        for (std::uint8_t i = 1; i <= 4; ++i)
            entries.push_back({key_of(i).public_key(), Amount{100}, 0});
        sets_ = {ValidatorSet(entries), ValidatorSet(entries)};
    }
    DecodedVote vote(std::uint8_t number, const BlockTree::Node &source,
                     const BlockTree::Node &target) {
        const auto body =
            ledger::vote_body(Bytes32{}, key_of(number).public_key(),
                              {source.height(), source.id(), target.height(), target.id()});
        return ledger::decode_vote(ledger::sign_vote(body, key_of(number)), Bytes32{}).value();
    }
    bool add(const DecodedVote &vote) { return pool_.add(vote, true)->is_new; }

    RandomTree forest_;
    ledger::VotingSets sets_;
    const BlockTree::Node *tip_ = nullptr;
    VotePool pool_{forest_.tree(), params_of(2), [this](const Checkpoint &) { return &sets_; },
                   Checkpoint{}};
};

TEST_F(VotePoolTest, CountsTwoThirdsAndGivesTheVotesToTheNextBlock) {
    const auto &tip = forest_.grow(5);
    const auto &root = forest_.tree().root();
    const auto &two = *forest_.tree().ancestor(tip, 2);
    for (std::uint8_t number = 1; number <= 2; ++number) EXPECT_TRUE(add(vote(number, root, two)));
    EXPECT_FALSE(add(vote(1, root, two))) << "known";
    EXPECT_FALSE(pool_.count());
    EXPECT_TRUE(pool_.votes_for_block_on(tip).empty());
    EXPECT_TRUE(add(vote(3, root, two)));
    EXPECT_TRUE(pool_.count());
    EXPECT_EQ(pool_.justified().id, two.id());
    EXPECT_EQ(pool_.final().height, 0u);
    EXPECT_EQ(pool_.votes_for_block_on(tip).size(), 3u);
    EXPECT_FALSE(pool_.count()) << "once";
}

TEST_F(VotePoolTest, OnlyAnAdjacentCheckpointMakesFinal) {
    // Checkpoints 2, 4, 6; each one's header says what was justified when it was made.
    const auto grow = [&](std::uint64_t justified) {
        BlockSummary summary = child_of(*tip_, 50 + tip_->height());
        summary.block.justified_height = justified;
        tip_ = forest_.add(summary);
        return tip_;
    };
    tip_ = &forest_.tree().root();
    const auto &root = *tip_;
    grow(0);
    const auto &two = *grow(0);
    grow(2);
    const auto &four = *grow(2);
    grow(2);
    const auto &six = *grow(2);
    for (std::uint8_t number = 1; number <= 3; ++number) add(vote(number, root, two));
    pool_.count();
    // From 2 over 4 to 6: 2 and 6 are justified, and nothing is final.
    for (std::uint8_t number = 1; number <= 3; ++number) add(vote(number, two, six));
    pool_.count();
    EXPECT_EQ(pool_.justified().id, six.id());
    EXPECT_EQ(pool_.final().height, 0u);
    for (std::uint8_t number = 1; number <= 3; ++number) add(vote(number, two, four));
    pool_.count();
    EXPECT_EQ(pool_.final().id, two.id());
    EXPECT_FALSE(pool_.conflict());
    pool_.prune();
    EXPECT_EQ(pool_.add(vote(4, root, two), true).error().code, ErrorCode::kConflict);
}

TEST_F(VotePoolTest, FindsContradictionsAndKeepsToItsLimits) {
    const auto &a = *forest_.add(child_of(forest_.tree().root(), 900));
    const auto &b = *forest_.add(child_of(a, 901));
    const auto &c = *forest_.add(child_of(a, 902));
    const auto &root = forest_.tree().root();
    add(vote(1, root, b));
    const auto added = pool_.add(vote(1, root, c), true).value();
    ASSERT_TRUE(added.evidence);
    EXPECT_TRUE(added.is_new);
    EXPECT_EQ(pool_.add(vote(1, root, b), false).error().code, ErrorCode::kPermission);
    for (std::uint64_t height = 3; height < 3 + 2 * VotePool::kVotesPerValidatorMax; ++height) {
        DecodedVote more = vote(1, root, b);
        more.link.target_height = height;
        add(more);
    }
    EXPECT_EQ(pool_.size(), VotePool::kVotesPerValidatorMax);
}

// After a partition that lasted longer than the pool has room, votes that were told again pushed
// newer ones out and were passed on as new, without end, and nothing became final any more.
TEST_F(VotePoolTest, OldVotesThatAreToldAgainAreNotNewAndPushNothingOut) {
    const std::uint64_t count = 2 * VotePool::kVotesPerValidatorMax;
    const BlockTree::Node &tip = forest_.grow(2 * count + 1);
    const auto vote_for = [&](std::uint8_t number, std::uint64_t checkpoint) {
        return vote(number, forest_.tree().root(), *forest_.tree().ancestor(tip, 2 * checkpoint));
    };
    for (std::uint64_t at = 1; at <= count; ++at) EXPECT_TRUE(add(vote_for(1, at)));
    for (std::uint64_t at = 1; at <= count; ++at) EXPECT_FALSE(add(vote_for(1, at))) << at;
    EXPECT_EQ(pool_.size(), VotePool::kVotesPerValidatorMax);
    // Told to a peer, all of them would keep the line busy, and useful votes from coming in time.
    EXPECT_EQ(pool_.to_tell().size(), VotePool::kToldPerValidator);
    add(vote_for(2, count));
    add(vote_for(3, count));
    EXPECT_TRUE(pool_.count());
    EXPECT_EQ(pool_.justified().height, 2 * count);
}

TEST_F(VotePoolTest, VotesThatJustifyOutliveTheFloodOfTheirSender) {
    const auto &tip = forest_.grow(3);
    const auto &root = forest_.tree().root();
    const auto &two = *forest_.tree().ancestor(tip, 2);
    for (std::uint8_t number = 1; number <= 3; ++number) add(vote(number, root, two));
    pool_.count();
    for (std::uint64_t height = 4; height < 4 + 2 * VotePool::kVotesPerValidatorMax; ++height) {
        DecodedVote more = vote(1, root, two);
        more.link.target_height = height;
        add(more);
    }
    EXPECT_EQ(pool_.votes_for_block_on(tip).size(), 3u);
    EXPECT_EQ(pool_.justification().size(), 3u);
}

}  // namespace
}  // namespace chain::consensus
