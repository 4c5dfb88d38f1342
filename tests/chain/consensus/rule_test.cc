// SPDX-License-Identifier: BSD-3-Clause
//
// The rules of sealing on real chains: turns, work, votes in blocks, undo, and a start after them.
#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "tests/chain/consensus/validator_chain.h"

namespace chain::consensus {
namespace {

using ledger::ConsensusKind;

class RuleTest : public testing::TestWithParam<ConsensusKind> {
protected:
    ValidatorChain world_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Kinds, RuleTest, testing::Values(ConsensusKind::kPoa, ConsensusKind::kPor),
                         [](const auto &info) {
                             return std::string(ledger::consensus_name(info.param));
                         });

TEST_P(RuleTest, VotesInBlocksMakeTheChainFinal) {
    world_.grow_to(22);
    const ledger::Finality &finality = world_.chain().tip().finality;
    EXPECT_EQ(finality.justified.height, 20u);
    EXPECT_EQ(finality.final.height, 16u);
    EXPECT_EQ(finality.previous_final_height, 12u);
    EXPECT_TRUE(world_.chain().check_recount().ok());
    const auto verified = world_.chain().verify_all().value();
    EXPECT_TRUE(verified.ok) << verified.reason;
    // Sets that no vote can need any more are gone.
    EXPECT_FALSE(world_.chain().state().validator_set(0).ok());
    EXPECT_TRUE(world_.chain().state().validator_set(8).ok());
}

TEST_P(RuleTest, UndoLeadsBackThroughEveryState) {
    std::vector<ledger::Tip> tips{world_.chain().tip()};
    for (std::uint64_t height = 1; height <= 18; ++height) {
        world_.grow_to(height);
        tips.push_back(world_.chain().tip());
    }
    for (std::uint64_t height = 18; height-- > 0;) {
        ASSERT_TRUE(world_.chain().undo_tip().ok());
        EXPECT_EQ(world_.chain().tip().digest, tips[height].digest);
        EXPECT_EQ(world_.chain().tip().finality, tips[height].finality);
    }
    // And forth again, all at once.
    ASSERT_TRUE(world_.chain().apply_all(world_.blocks()).ok());
    EXPECT_EQ(world_.chain().tip().digest, tips.back().digest);
    EXPECT_EQ(world_.chain().tip().finality, tips.back().finality);
}

TEST_P(RuleTest, RefusesVotesThatProveNothing) {
    world_.grow_to(5);
    const std::uint8_t number = world_.next_sealer();
    const auto refusal = [&](std::vector<wire::SignedVote> votes) {
        const auto drafted = draft_block(world_.chain(), key_of(number).public_key(),
                                         world_.turns(number)[0], {}, std::move(votes), 0);
        return drafted.ok() ? std::string("taken") : drafted.error().message;
    };
    const auto right = world_.votes_for(4);
    EXPECT_EQ(refusal(right), "taken");
    EXPECT_NE(refusal(world_.votes_for(4, 2)).find("fewer than two thirds"), std::string::npos);
    auto twice = right;
    twice[2] = twice[1];
    EXPECT_NE(refusal(twice).find("two votes"), std::string::npos);
    EXPECT_NE(refusal(world_.votes_for(5)).find("no checkpoint"), std::string::npos);
    auto strangers = right;
    for (std::uint8_t i = 0; i < 3; ++i) {
        wire::VoteBody body;
        body.ParseFromString(right[i].body());
        body.set_validator(to_bytes(key_of(static_cast<std::uint8_t>(5 + i)).public_key()));
        strangers[i] = ledger::sign_vote(body, key_of(static_cast<std::uint8_t>(5 + i)));
    }
    EXPECT_NE(refusal(strangers).find("fewer than two thirds"), std::string::npos);
    auto forged = right;
    forged[0].set_signature(right[1].signature());
    EXPECT_NE(refusal(forged).find("not signed by"), std::string::npos);
    auto elsewhere = right;
    for (std::uint8_t i = 0; i < 3; ++i) {
        wire::VoteBody body;
        body.ParseFromString(right[i].body());
        body.set_target(Bytes(32, 'x'));
        elsewhere[i] = ledger::sign_vote(body, key_of(static_cast<std::uint8_t>(1 + i)));
    }
    EXPECT_NE(refusal(elsewhere).find("another chain"), std::string::npos);
}

TEST_P(RuleTest, HeadersMustSayWhatVotesProve) {
    world_.grow_to(5);
    const std::uint8_t number = world_.next_sealer();
    const Turn turn = world_.turns(number)[0];
    for (int change = 0; change < 3; ++change) {
        auto drafted = draft_block(world_.chain(), key_of(number).public_key(), turn, {},
                                   world_.votes_for(4), 0)
                           .value();
        if (change == 0) drafted.header.set_justified_height(0);
        if (change == 1) drafted.header.set_final_height(4);
        if (change == 2) drafted.header.set_votes_root(Bytes(32, 'x'));
        // With enough work, so that nothing else is wrong.
        const auto pow = make_pow("sha256d", Bytes32{}).value();
        for (std::uint64_t nonce = 1; turn.needs_work; ++nonce) {
            drafted.header.set_nonce(nonce);
            if (hash_meets(*pow->hash(drafted.header.SerializeAsString()), turn.base, turn.weight))
                break;
        }
        const auto block = ledger::sign_block(drafted.header, drafted.draft, key_of(number));
        const auto decoded = ledger::decode_block(block.signed_bytes, world_.genesis());
        EXPECT_EQ(decoded.ok(), change != 2);
        if (decoded.ok()) EXPECT_FALSE(world_.chain().apply(*decoded).ok());
    }
    EXPECT_EQ(world_.chain().tip().height, 5u);
}

TEST_P(RuleTest, SetsChangeWithStake) {
    world_.grow_to(1);
    // 5 becomes a validator, and 1 ceases to be one.
    world_.append({world_.stake(5, 0, 20'000), world_.stake(1, 0, -9'500)});
    world_.grow_to(4);
    const auto set = world_.chain().state().validator_set(4).value();
    EXPECT_EQ(set.size(), 4u);
    EXPECT_EQ(set.find(key_of(1).public_key()), nullptr);
    ASSERT_NE(set.find(key_of(5).public_key()), nullptr);
    EXPECT_EQ(set.find(key_of(5).public_key())->stake.units, 20'000);
    // Seats are few: whoever has more takes the weakest one's.
    world_.append({world_.stake(6, 0, 5'000), world_.stake(7, 0, 1'000)});
    world_.append({world_.stake(8, 0, 2'000)});
    world_.grow_to(8);
    const auto full = world_.chain().state().validator_set(8).value();
    EXPECT_EQ(full.size(), 6u);
    EXPECT_EQ(full.find(key_of(7).public_key()), nullptr);
    EXPECT_NE(full.find(key_of(8).public_key()), nullptr);
    EXPECT_TRUE(world_.chain().verify_all()->ok);
}

TEST_P(RuleTest, WithoutFinalityOnlyExitsAreTaken) {
    while (world_.chain().tip().height < 24) world_.append();
    const auto refused = [&](const ledger::Tx &tx) {
        const std::uint8_t number = world_.next_sealer();
        return draft_block(world_.chain(), key_of(number).public_key(), world_.turns(number)[0],
                           {tx}, {}, 0);
    };
    const auto stake = refused(world_.stake(5, 0, 20'000));
    ASSERT_FALSE(stake.ok());
    EXPECT_EQ(stake.error().code, ErrorCode::kNotYet);
    EXPECT_TRUE(refused(world_.stake(1, 0, -100)).ok()) << "an exit";
    // Votes bring it back to life.
    world_.append({}, world_.votes_for(20));
    world_.append({}, world_.votes_for(24));
    EXPECT_EQ(world_.chain().tip().finality.justified.height, 24u);
    while (world_.chain().tip().height < 29) world_.append();
    world_.append({}, world_.votes_for(28));
    EXPECT_EQ(world_.chain().tip().finality.final.height, 24u);
    EXPECT_TRUE(refused(world_.stake(5, 0, 20'000)).ok());
}

TEST(Poa, EachHasItsTurnAndOthersStepInLater) {
    ValidatorChain world(ConsensusKind::kPoa);
    std::vector<std::uint64_t> starts;
    std::set<std::uint32_t> weights;
    for (std::uint8_t i = 1; i <= kValidators; ++i) {
        const Turn turn = world.turns(i)[0];
        starts.push_back(turn.not_before_ms - kGenesisTimeMs);
        weights.insert(turn.weight);
        EXPECT_FALSE(turn.needs_work);
    }
    std::sort(starts.begin(), starts.end());
    EXPECT_EQ(starts, (std::vector<std::uint64_t>{1'000, 1'500, 2'000, 2'500}));
    EXPECT_EQ(weights, (std::set<std::uint32_t>{1, 2, 3, 4}));
    EXPECT_TRUE(world.turns(5).empty());
    // Around in a ring.
    std::set<std::uint8_t> sealers;
    for (int i = 0; i < kValidators; ++i) {
        sealers.insert(world.next_sealer());
        world.append();
    }
    EXPECT_EQ(sealers.size(), kValidators);
}

TEST(Poa, RefusesTheWrongSealerTimeAndWeight) {
    ValidatorChain world(ConsensusKind::kPoa);
    const std::uint8_t number = world.next_sealer();
    const Turn turn = world.turns(number)[0];
    Turn early = turn;
    early.not_before_ms = kGenesisTimeMs + 999;
    auto drafted =
        draft_block(world.chain(), key_of(number).public_key(), early, {}, {}, 0).value();
    EXPECT_EQ(world.chain()
                  .apply(ledger::sign_block(drafted.header, drafted.draft, key_of(number)))
                  .error()
                  .code,
              ErrorCode::kPermission);
    Turn heavy = turn;
    heavy.weight = 5;
    EXPECT_EQ(world.chain().apply(world.seal(number, heavy)).error().code,
              ErrorCode::kInvalidInput);
    EXPECT_EQ(world.chain().apply(world.seal(5, turn)).error().code, ErrorCode::kPermission);
    EXPECT_TRUE(world.chain().apply(world.seal(number, turn)).ok());
}

TEST(Por, AnybodyMaySealByWorkAndValidatorsInRotation) {
    ValidatorChain world(ConsensusKind::kPor);
    const Turn stranger = world.turns(5)[0];
    EXPECT_TRUE(stranger.needs_work);
    EXPECT_EQ(stranger.weight, incentive::kQ16);
    EXPECT_EQ(world.turns(5).size(), 1u);
    const auto block = world.seal(5, stranger);
    ASSERT_TRUE(world.chain().apply(block).ok());

    // Without work: only a validator, and only late.
    const std::vector<Turn> turns = world.turns(1);
    ASSERT_EQ(turns.size(), 2u);
    EXPECT_EQ(turns[1].weight, 0u);
    EXPECT_GE(turns[1].not_before_ms, world.chain().tip().time_ms + 10'000);
    Turn early = turns[1];
    early.not_before_ms = world.chain().tip().time_ms + 9'999;
    EXPECT_FALSE(world.chain().apply(world.seal(1, early)).ok());
    EXPECT_EQ(world.chain().apply(world.seal(5, turns[1])).error().code, ErrorCode::kInvalidInput);
    EXPECT_TRUE(world.chain().apply(world.seal(1, turns[1])).ok());
}

TEST(Por, WorkIsCheckedAndCountsTheBaseAlone) {
    ValidatorChain world(ConsensusKind::kPor);
    const Turn turn = world.turns(5)[0];
    const auto block = world.seal(5, turn);
    const auto work = world.rule().work_of(block, world.chain().tip().time_ms);
    ASSERT_TRUE(work.ok());
    EXPECT_EQ(*work, work_of(turn.base));
    // Most other nonces are wrong.
    int wrong = 0;
    for (std::uint64_t nonce = 1; nonce <= 64; ++nonce) {
        wire::BlockHeader header = block.header;
        header.set_nonce(nonce);
        ledger::Block other = block;
        other.header = header;
        other.signed_block.set_header(header.SerializeAsString());
        other.id = tagged_hash(ledger::kBlockIdTag, other.signed_block.header());
        wrong += !world.rule().work_of(other, world.chain().tip().time_ms).ok();
    }
    EXPECT_GT(wrong, 40);
    wire::BlockHeader greedy = block.header;
    greedy.set_weight(5 * incentive::kQ16);
    ledger::Block other = block;
    other.header = greedy;
    other.signed_block.set_header(greedy.SerializeAsString());
    other.id = tagged_hash(ledger::kBlockIdTag, other.signed_block.header());
    EXPECT_FALSE(world.rule().work_of(other, world.chain().tip().time_ms).ok());
}

TEST(Por, ResourcesMakeSealingEasierAndEachBlockSpendsIt) {
    incentive::Params params;
    const std::uint32_t fresh = incentive::multiplier_q16(
        incentive::kQ16, Amount{static_cast<std::int64_t>(params.stake_full_units)},
        params.recovery_blocks, params);
    EXPECT_EQ(fresh, params.boost_max * incentive::kQ16);
    std::uint32_t before = incentive::kQ16;
    for (std::uint64_t blocks = 0; blocks <= params.recovery_blocks; blocks += 10) {
        const std::uint32_t now = incentive::multiplier_q16(
            incentive::kQ16, Amount{static_cast<std::int64_t>(params.stake_full_units)}, blocks,
            params);
        EXPECT_GE(now, before);
        before = now;
    }
    EXPECT_EQ(before, fresh);
}

}  // namespace
}  // namespace chain::consensus
