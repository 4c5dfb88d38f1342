// SPDX-License-Identifier: BSD-3-Clause
//
// Stake, votes, evidence; mining payouts; fees and block rewards.
#include "tests/chain/ledger/transition_fixture.h"

namespace chain::ledger {
namespace {

class StakeRules : public Transition {
protected:
    wire::TxBody stake(unsigned who, std::int64_t units) {
        wire::TxBody body = from(who);
        body.mutable_stake()->set_amount(units);
        return body;
    }
    wire::TxBody unstake(unsigned who, std::int64_t units) {
        wire::TxBody body = from(who);
        body.mutable_unstake()->set_amount(units);
        return body;
    }
    wire::TxBody withdraw(unsigned who) {
        wire::TxBody body = from(who);
        body.mutable_withdraw_stake();
        return body;
    }
    wire::VoteBody link(unsigned who, std::uint64_t source, std::uint64_t target,
                        char branch = 'a') {
        Bytes32 id;
        id.fill(static_cast<std::uint8_t>(branch));
        return vote_body(world_.genesis.chain_id, world_.keys[who].public_key(),
                         {source, id, target, id});
    }
    wire::SignedVote signed_link(unsigned who, std::uint64_t source, std::uint64_t target,
                                 char branch = 'a') {
        return sign_vote(link(who, source, target, branch), world_.keys[who]);
    }
    wire::TxBody vote(const wire::SignedVote &signed_vote) {
        wire::TxBody body = from(kStranger);
        *body.mutable_vote()->mutable_vote() = signed_vote;
        return body;
    }
    wire::TxBody evidence(unsigned who, const wire::SignedVote &a, const wire::SignedVote &b) {
        wire::TxBody body = from(who);
        *body.mutable_evidence()->mutable_first() = a;
        *body.mutable_evidence()->mutable_second() = b;
        return body;
    }
};

TEST_F(StakeRules, BondsUnbondsAndComesBack) {
    expect_refused(stake(0, 0), {0}, ErrorCode::kInvalidInput, "more than nothing");
    expect_refused(stake(0, -5), {0}, ErrorCode::kInvalidInput, "outside");
    expect_refused(stake(0, kStartUnits + 1), {0}, ErrorCode::kInsufficientFunds, "needed");
    ASSERT_TRUE(apply(stake(0, 1'000), {0}).ok());
    expect_refused(unstake(0, 1'001), {0}, ErrorCode::kInsufficientFunds, "are staked");
    expect_refused(withdraw(0), {0}, ErrorCode::kConflict, "nothing");
    ASSERT_TRUE(apply(unstake(0, 400), {0}).ok());
    now_ms_ += world_.genesis.params.unbonding_ms - 1;
    expect_refused(withdraw(0), {0}, ErrorCode::kConflict, "can be withdrawn from");
    ASSERT_TRUE(apply(unstake(0, 100), {0}).ok()) << "and all of it waits anew";
    ++now_ms_;
    expect_refused(withdraw(0), {0}, ErrorCode::kConflict, "can be withdrawn from");
    now_ms_ += world_.genesis.params.unbonding_ms;
    ASSERT_TRUE(apply(withdraw(0), {0}).ok());
    EXPECT_EQ(account(0).balance.units, kStartUnits - 500);
    EXPECT_EQ(account(0).staked.units, 500);
    EXPECT_EQ(account(0).unbonding.units, 0);
    EXPECT_EQ(account(0).unbonds_at_ms, 0u);
}

TEST_F(StakeRules, VotesAreOfValidatorsAndRise) {
    expect_refused(vote(signed_link(0, 1, 2)), {kStranger}, ErrorCode::kPermission, "no stake");
    ASSERT_TRUE(apply(stake(0, 1'000), {0}).ok());
    ASSERT_TRUE(apply(vote(signed_link(0, 10, 20)), {kStranger}).ok());
    expect_refused(vote(signed_link(0, 5, 15)), {kStranger}, ErrorCode::kConflict, "already");
    expect_refused(vote(signed_link(0, 10, 20)), {kStranger}, ErrorCode::kConflict, "already");
    expect_refused(vote(signed_link(0, 10, 20, 'b')), {kStranger}, ErrorCode::kConflict,
                   "contradicts");
    expect_refused(vote(signed_link(0, 5, 25)), {kStranger}, ErrorCode::kConflict, "contradicts");
    expect_refused(vote(signed_link(0, 20, 20)), {kStranger}, ErrorCode::kInvalidInput,
                   "not later");
    expect_refused(vote(signed_link(0, 20, kHeight)), {kStranger}, ErrorCode::kInvalidInput,
                   "cannot be for");
    expect_refused(vote(sign_vote(link(0, 20, 30), world_.keys[1])), {kStranger},
                   ErrorCode::kBadSignature, "not signed");
    wire::VoteBody elsewhere = link(0, 20, 30);
    elsewhere.set_chain_id(Bytes(32, 'x'));
    expect_refused(vote(sign_vote(elsewhere, world_.keys[0])), {kStranger},
                   ErrorCode::kInvalidInput, "chain");
    ASSERT_TRUE(apply(vote(signed_link(0, 20, 30)), {kStranger}).ok());
}

TEST_F(StakeRules, EvidenceTakesAllOnce) {
    ASSERT_TRUE(apply(stake(0, 1'600), {0}).ok());
    ASSERT_TRUE(apply(unstake(0, 600), {0}).ok());
    const auto a = signed_link(0, 10, 20), b = signed_link(0, 10, 20, 'b');
    expect_refused(evidence(1, a, a), {1}, ErrorCode::kInvalidInput, "do not contradict");
    expect_refused(evidence(1, a, signed_link(0, 20, 30)), {1}, ErrorCode::kInvalidInput,
                   "do not contradict");
    expect_refused(evidence(1, a, signed_link(1, 10, 20, 'b')), {1}, ErrorCode::kInvalidInput,
                   "different validators");
    expect_refused(evidence(1, a, sign_vote(link(0, 10, 20, 'b'), world_.keys[1])), {1},
                   ErrorCode::kBadSignature, "not signed");
    ASSERT_TRUE(apply(evidence(1, a, b), {1}).ok());
    EXPECT_EQ(account(0).staked.units + account(0).unbonding.units, 0);
    EXPECT_EQ(account(1).balance.units, kStartUnits + 100) << "a sixteenth";
    EXPECT_EQ(state_.pool()->burned.units, 1'500);
    expect_refused(evidence(1, b, a), {1}, ErrorCode::kConflict, "done its work");
    expect_refused(evidence(1, signed_link(0, 20, 40), signed_link(0, 25, 35)), {1},
                   ErrorCode::kConflict, "no stake left");
    ASSERT_TRUE(apply(stake(0, 32), {0}).ok());
    expect_refused(evidence(1, a, b), {1}, ErrorCode::kConflict, "done its work");
    ASSERT_TRUE(apply(evidence(1, signed_link(0, 20, 40), signed_link(0, 25, 35)), {1}).ok())
        << "one link within the other";
    EXPECT_EQ(account(0).staked.units, 0);
}

TEST_F(StakeRules, ReportingOneselfSavesASixteenth) {
    ASSERT_TRUE(apply(stake(0, 1'600), {0}).ok());
    ASSERT_TRUE(apply(evidence(0, signed_link(0, 1, 2), signed_link(0, 1, 2, 'b')), {0}).ok());
    EXPECT_EQ(account(0).balance.units, kStartUnits - 1'500);
}

// ---- mining

class Payouts : public Transition {
protected:
    Payouts() {
        order_ = {1, 2, 3};
        std::sort(order_.begin(), order_.end(), [&](unsigned a, unsigned b) {
            return world_.keys[a].public_key() < world_.keys[b].public_key();
        });
    }
    // 5,000 satoshi at 30 satoshi for a token: 166.666666666 tokens.
    wire::TxBody payout(char round = 'r') {
        wire::TxBody body = from(0);
        wire::MiningPayout *action = body.mutable_mining_payout();
        action->set_round_id(Bytes(32, round));
        action->set_coin("BTC");
        action->set_income_units(5'000);
        action->set_coin_price(30);
        action->set_reward(166'666'666'666);
        std::uint64_t cycles = 1;
        for (const unsigned who : order_) {
            wire::PayoutShare *share = action->add_shares();
            share->set_account(to_bytes(world_.keys[who].public_key()));
            share->set_cycles(cycles++ * 1'000);
        }
        return body;
    }
    std::vector<unsigned> order_;
};

TEST_F(Payouts, SplitsExactly) {
    ASSERT_TRUE(apply(payout(), {0}).ok());
    EXPECT_EQ(account(0).balance.units, kStartUnits - 166'666'666'666);
    // A sixth, a third, a half, rounded down; the remainder is the largest contributor's.
    EXPECT_EQ(account(order_[0]).balance.units, kStartUnits + 27'777'777'777);
    EXPECT_EQ(account(order_[1]).balance.units, kStartUnits + 55'555'555'555);
    EXPECT_EQ(account(order_[2]).balance.units, kStartUnits + 83'333'333'334);
    expect_refused(payout(), {0}, ErrorCode::kConflict, "paid out already");
    ASSERT_TRUE(apply(payout('s'), {0}).ok()) << "another round";
}

TEST_F(Payouts, Refusals) {
    const struct {
        const char *why;
        ErrorCode code;
        void (*spoil)(wire::MiningPayout &);
    } cases[] = {
        {"5 bytes", ErrorCode::kProtocol, [](auto &a) { a.set_round_id("short"); }},
        {"capital letters", ErrorCode::kInvalidInput, [](auto &a) { a.set_coin("btc"); }},
        {"capital letters", ErrorCode::kInvalidInput, [](auto &a) { a.set_coin(""); }},
        {"capital letters", ErrorCode::kInvalidInput,
         [](auto &a) { a.set_coin("ABCDEFGHIJKLMNOPQ"); }},
        {"cannot cost 0", ErrorCode::kInvalidInput, [](auto &a) { a.set_coin_price(0); }},
        {"less than the smallest", ErrorCode::kInvalidInput,
         [](auto &a) { a.set_income_units(0); }},
        {"exceeds", ErrorCode::kTooLarge, [](auto &a) { a.set_income_units(~0ULL); }},
        {"must be 166666666666", ErrorCode::kInvalidInput,
         [](auto &a) { a.set_reward(166'666'666'667); }},
        {"nobody contributed", ErrorCode::kInvalidInput, [](auto &a) { a.clear_shares(); }},
        {"no cycles", ErrorCode::kInvalidInput,
         [](auto &a) { a.mutable_shares(0)->set_cycles(0); }},
        {"2^64", ErrorCode::kTooLarge, [](auto &a) { a.mutable_shares(0)->set_cycles(~0ULL); }},
        {"sorted", ErrorCode::kInvalidInput,
         [](auto &a) { a.mutable_shares()->SwapElements(0, 1); }},
        {"sorted", ErrorCode::kInvalidInput, [](auto &a) { *a.add_shares() = a.shares(2); }},
        {"no key", ErrorCode::kInvalidInput,
         [](auto &a) { a.mutable_shares(0)->set_account(Bytes(32, '\0')); }},
        {"at most 1024", ErrorCode::kTooLarge,
         [](auto &a) {
             while (a.shares_size() < 1'025) *a.add_shares() = a.shares(0);
         }},
    };
    for (const auto &c : cases) {
        wire::TxBody body = payout();
        c.spoil(*body.mutable_mining_payout());
        expect_refused(body, {0}, c.code, c.why);
    }
    wire::TxBody poor = payout();
    poor.mutable_mining_payout()->set_income_units(50'000);
    poor.mutable_mining_payout()->set_reward(1'666'666'666'666);
    expect_refused(poor, {0}, ErrorCode::kInsufficientFunds, "needed");
}

// ---- resources

TEST_F(Payouts, AResourceFollowsItsNodeKey) {
    const auto publish = [&](unsigned node, int replaces) {
        wire::TxBody body = from(0);
        wire::PublishResource *action = body.mutable_publish_resource();
        action->set_node_key(to_bytes(numbered_key(node).public_key()));
        action->set_host("host-1");
        action->set_slot_count(8);
        action->set_hz(3'000'000'000);
        if (replaces > 0)
            action->set_replaces(
                to_bytes(numbered_key(static_cast<unsigned>(replaces)).public_key()));
        return body;
    };
    ASSERT_TRUE(apply(publish(50, 0), {0}).ok());
    expect_refused(publish(51, 52), {0}, ErrorCode::kNotFound, "no resource");
    expect_refused(publish(50, 50), {0}, ErrorCode::kInvalidInput, "replace itself");
    ASSERT_TRUE(apply(publish(51, 50), {0}).ok());
    EXPECT_EQ(account(0).resource_count, 1u);
    const PublicKey owner = world_.keys[0].public_key();
    EXPECT_FALSE(state_.resource(owner, numbered_key(50).public_key())->has_value());
    EXPECT_TRUE(state_.resource(owner, numbered_key(51).public_key())->has_value());
}

// ---- fees and rewards

TEST_F(Payouts, AFeeIsBurnedByTheByte) {
    world_.genesis.params.fee_per_byte_units = 10;
    const wire::TxBody body = world_.transfer(0, 0, 1, 500);
    const auto size_bytes =
        static_cast<std::int64_t>(world_.sign(body, {0}).SerializeAsString().size());
    ASSERT_TRUE(apply(body, {0}).ok());
    EXPECT_EQ(account(0).balance.units, kStartUnits - 500 - 10 * size_bytes);
    EXPECT_EQ(state_.pool()->burned.units, 10 * size_bytes);
    expect_refused(world_.transfer(0, 1, 1, account(0).balance.units), {0},
                   ErrorCode::kInsufficientFunds, "fee");
}

TEST_F(Payouts, AProviderPaysTheFeeOfItsCloseFromWhatItEarned) {
    const LeaseId id = open();
    ASSERT_TRUE(apply(world_.transfer(kFirst, 0, 0, account(kFirst).balance.units), {kFirst}).ok());
    world_.genesis.params.fee_per_byte_units = 10;
    ASSERT_TRUE(apply(world_.close(kFirst, 1, id, {some(id, 0)}), {kFirst}).ok());
}

TEST(BlockReward, IsPaidByTimeUntilThePoolIsEmpty) {
    World world;
    world.genesis.params.reward_pool_units = 1'000'000;
    world.genesis.params.reward_halving_ms = 1'000;
    const auto made = execute_genesis(world.genesis);
    ASSERT_TRUE(made.ok());
    EXPECT_EQ(made->tip.totals.minted.units, 4 * kStartUnits + 1'000'000);
    EXPECT_EQ(made->tip.totals.pool.units, 1'000'000);
    const auto store = make_memory_store();
    WriteBatch batch;
    for (const auto &[key, value] : made->changes) batch.put(key, *value);
    ASSERT_TRUE(store->write(batch, false).ok());
    const StoreReader reader(*store);
    // 500 ms: half of the first half.
    auto block = execute(reader, made->tip, world.genesis,
                         {kGenesisTimeMs + 500, world.genesis.sealer, {}}, {}, nullptr);
    ASSERT_TRUE(block.ok()) << block.error().message;
    EXPECT_EQ(block->tip.totals.pool.units, 750'000);
    // A hundred halvings later all of it is the sealer's.
    block = execute(reader, made->tip, world.genesis,
                    {kGenesisTimeMs + 100'000, world.genesis.sealer, {}}, {}, nullptr);
    ASSERT_TRUE(block.ok()) << block.error().message;
    EXPECT_EQ(block->tip.totals.pool.units, 0);
    EXPECT_EQ(
        decode_account(**block->changes.find(account_key(world.genesis.sealer)))->balance.units,
        1'000'000);
}

}  // namespace
}  // namespace chain::ledger
