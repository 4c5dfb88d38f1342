// SPDX-License-Identifier: BSD-3-Clause
//
// Attacks that once worked on what stake answers for.
#include "tests/attack/attack_node.h"

namespace chain::consensus {
namespace {

// Who stakes one unit and has it slashed for votes at the end of all heights had every later
// offence for free, as evidence counts only for votes later than those that were punished.
TEST_F(ConsensusAttack, OneSlashedUnitBuysNoImmunity) {
    constexpr std::uint8_t kOffender = 5, kReporter = 6;
    ValidatorChain world(ConsensusKind::kPoa);
    const auto staked = [&] {
        return world.chain().state().account(key_of(kOffender).public_key())->staked.units;
    };
    // Two votes of the offender for one height.
    const auto report = [&](std::uint8_t reporter, std::uint64_t source, std::uint64_t target) {
        const auto vote = [&](std::uint64_t id) {
            return vote_of(world.genesis(), kOffender, {source, block_id(1), target, block_id(id)});
        };
        wire::TxBody body;
        *body.mutable_evidence()->mutable_first() = vote(2);
        *body.mutable_evidence()->mutable_second() = vote(3);
        return try_append(world, {world.sign(reporter, body)});
    };
    world.append({world.stake(kOffender, 0, 1)});
    const Status of_itself = report(kOffender, 0, ~std::uint64_t{0});
    ASSERT_TRUE(of_itself.ok()) << of_itself.error().message;
    ASSERT_EQ(staked(), 0);
    world.append({world.stake(kOffender, 2, 500'000)});
    world.grow_to(13);
    const Status of_later = report(kReporter, 4, 8);
    EXPECT_TRUE(of_later.ok()) << of_later.error().message;
    EXPECT_EQ(staked(), 0);
}

// Who had a third of one checkpoint's set, for one block, can keep all later ones from being final.
// The price is that stake: it comes back when the votes do.
TEST_F(ConsensusAttack, WhoHoldsUpFinalityDoesNotGetTheStakeBack) {
    constexpr std::uint8_t kBlocker = 5;
    constexpr std::uint64_t kLagMax = 16 * kEpoch + 1;
    ValidatorChain world(ConsensusKind::kPoa);
    const auto withdraw = [&] {
        wire::TxBody body;
        body.mutable_withdraw_stake();
        return try_append(world, {world.sign(kBlocker, body)});
    };
    // Blocks, and the votes of the first so many accounts for each checkpoint.
    const auto grow = [&](std::uint64_t height, std::uint8_t voters) {
        while (world.chain().tip().height < height) {
            const std::uint64_t tip = world.chain().tip().height;
            const bool is_due = tip % kEpoch == 1;
            if (!is_due || !try_append(world, {}, world.votes_for(tip - 1, voters)).ok())
                world.append();
        }
    };
    for (int i = 0; i < 3; ++i) world.append();
    world.append({world.stake(kBlocker, 0, 21'000)});
    world.append({world.stake(kBlocker, 1, -21'000)});
    world.append({}, world.votes_for(4, 4));
    grow(kLagMax + 8, 4);
    const ledger::Tip &tip = world.chain().tip();
    ASSERT_LE(tip.finality.final.height, 4u) << "all four vote, and are too few";
    // The stake has been free for a while, as far as time is concerned.
    const Turn turn = world.turns(1)[0];
    const auto later = draft_block(world.chain(), key_of(1).public_key(), turn, {}, {},
                                   tip.time_ms + world.genesis().params.unbonding_ms)
                           .value();
    ASSERT_TRUE(world.chain().apply(ledger::sign_block(later.header, later.draft, key_of(1))).ok());
    const Status refused = withdraw();
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kNotYet) << refused.error().message;
    EXPECT_NE(refused.error().message.find("when blocks become final again"), std::string::npos)
        << refused.error().message;
    // It votes, as its stake was there to make it.
    grow(kLagMax + 8 + 5 * kEpoch, 5);
    ASSERT_GT(tip.finality.final.height, kLagMax);
    const Status given = withdraw();
    EXPECT_TRUE(given.ok()) << given.error().message;
    const auto account = world.chain().state().account(key_of(kBlocker).public_key());
    EXPECT_EQ(account->balance.units, 1'000'000);
}

// ---- blocks

// A block in rotation takes no work. Were its nonce free, its sealer would choose the block's id,
// and so which of his claimed shares are drawn: those few that are real.
TEST_F(ConsensusAttack, ABlockWithoutWorkHasNoNonce) {
    ValidatorChain world(ConsensusKind::kPor);
    world.grow_to(5);
    const Turn rotation = world.turns(2)[1];
    ASSERT_FALSE(rotation.needs_work);
    auto drafted =
        draft_block(world.chain(), key_of(2).public_key(), rotation, {}, {}, rotation.not_before_ms)
            .value();
    const auto apply = [&](std::uint64_t nonce) {
        drafted.header.set_nonce(nonce);
        return world.chain().apply(ledger::sign_block(drafted.header, drafted.draft, key_of(2)));
    };
    for (const std::uint64_t nonce : {std::uint64_t{1}, ~std::uint64_t{0}})
        EXPECT_EQ(apply(nonce).error().code, ErrorCode::kInvalidInput);
    EXPECT_TRUE(apply(0).ok());
}

// ---- a long time without agreement

}  // namespace
}  // namespace chain::consensus
