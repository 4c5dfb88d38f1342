// SPDX-License-Identifier: BSD-3-Clause
//
// Two backends on one loop, the wire between them made of function calls: one seals, one follows.
#include "chain/backend/ledger_backend.h"

#include "tests/chain/ledger/ledger_fixture.h"

namespace chain {
namespace {

using ledger::numbered_key;
using ledger::World;

class LedgerBackendTest : public testing::Test {
protected:
    LedgerBackendTest() : clock_(ledger::kGenesisTimeMs + 500) {
        sealer_ = open(numbered_key(999));
        follower_ = open(std::nullopt);
    }

    std::unique_ptr<LedgerBackend> open(std::optional<KeyPair> key) {
        auto backend = LedgerBackend::open(loop_, clock_, make_memory_store(), world_.genesis,
                                           std::move(key), {.block_spacing_ms = 2});
        CHAIN_CHECK(backend.ok());
        return std::move(backend).value();
    }

    void connect() {
        sealer_->on_block([this](const Bytes &block) {
            const auto receipt = follower_->accept_block(block);
            ASSERT_TRUE(receipt.ok()) << receipt.error().message;
            EXPECT_EQ(receipt->kind, BlockReceipt::Kind::kApplied);
        });
        follower_->on_tx_accepted([this](const Bytes &tx) { (void)sealer_->accept_tx(tx).ok(); });
    }

    // Turns the loop until `done`, five seconds at most.
    void run_until(const std::function<bool()> &done) {
        const LoopHandle poll = loop_.every_ms(1, [&] {
            if (done()) loop_.stop();
        });
        const LoopHandle limit = loop_.after_ms(5'000, [&] {
            ADD_FAILURE() << "five seconds passed";
            loop_.stop();
        });
        loop_.run();
    }

    World world_;
    Loop loop_;
    ManualClock clock_;
    std::unique_ptr<LedgerBackend> sealer_, follower_;
};

TEST_F(LedgerBackendTest, ATransactionOfAFollowerIsSealedAndComesBackFinal) {
    connect();
    std::vector<std::uint64_t> heights;
    follower_->on_new_block([&](std::uint64_t height) { heights.push_back(height); });
    const auto id = follower_->submit(world_.sign(world_.transfer(0, 0, 1, 5), {0}));
    ASSERT_TRUE(id.ok()) << id.error().message;
    EXPECT_EQ(follower_->outcome(*id).status, TxStatus::kPending);
    EXPECT_EQ(follower_->tx_state(to_hex(*id))->state(), "pending");
    EXPECT_EQ(follower_->tx_state(to_hex(*id))->tx().kind(), "transfer");
    EXPECT_EQ(*follower_->next_nonce(world_.keys[0].public_key()), 1u);
    EXPECT_EQ(follower_->account(world_.keys[0].public_key())->nonce, 0u);
    run_until([&] { return follower_->outcome(*id).status == TxStatus::kFinal; });
    EXPECT_EQ(heights, std::vector<std::uint64_t>{1});
    EXPECT_EQ(follower_->outcome(*id).height, 1u);
    const auto state = follower_->tx_state(to_hex(*id).substr(0, 8));
    ASSERT_TRUE(state.ok()) << state.error().message;
    EXPECT_EQ(state->state(), "final");
    EXPECT_EQ(state->tx().tx_id(), to_hex(*id));
    EXPECT_EQ(state->block_id(), to_hex(follower_->tip().id));
    EXPECT_EQ(follower_->account(world_.keys[1].public_key())->balance.units,
              ledger::kStartUnits + 5);
    EXPECT_EQ(follower_->state_digest(), sealer_->state_digest());
    EXPECT_EQ(follower_->mempool_count(), 0u);
    EXPECT_FALSE(follower_->is_sealer());
    EXPECT_FALSE(
        *follower_->accept_tx(world_.sign(world_.transfer(0, 0, 1, 5), {0}).SerializeAsString()))
        << "what is in a block is known";
}

TEST_F(LedgerBackendTest, TransactionsCloseInTimeShareABlock) {
    connect();
    ledger::TxId last{};
    for (std::uint64_t i = 0; i < 10; ++i)
        last = *sealer_->submit(world_.sign(world_.transfer(0, i, 1, 5), {0}));
    run_until([&] { return sealer_->outcome(last).status == TxStatus::kFinal; });
    EXPECT_EQ(sealer_->height(), 1u);
    const auto view = sealer_->block_view(1);
    ASSERT_TRUE(view.ok());
    EXPECT_EQ(view->txs_size(), 10);
    EXPECT_EQ(view->txs(0).kind(), "transfer");
    EXPECT_EQ(sealer_->block_views(0, 10)->size(), 1u);
    EXPECT_EQ(sealer_->block_view(to_hex(sealer_->tip().id))->height(), 1u);
}

TEST_F(LedgerBackendTest, RefusalsAreSaidAndRemembered) {
    const auto tx = world_.sign(world_.transfer(0, 0, 1, ledger::kStartUnits + 1), {0});
    const auto id = sealer_->submit(tx);
    ASSERT_FALSE(id.ok());
    EXPECT_EQ(id.error().code, ErrorCode::kInsufficientFunds);
    const TxOutcome outcome = sealer_->outcome(ledger::tx_id(tx.body()));
    EXPECT_EQ(outcome.status, TxStatus::kRejected);
    EXPECT_EQ(outcome.reason, id.error().message);
    const auto told = sealer_->tx_state(to_hex(ledger::tx_id(tx.body())));
    ASSERT_TRUE(told.ok()) << told.error().message;
    EXPECT_EQ(told->state(), "refused");
    EXPECT_EQ(told->reason(), id.error().message);
    EXPECT_EQ(sealer_->tx_state(to_hex(Bytes32{})).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(sealer_->outcome(Bytes32{}).status, TxStatus::kUnknown);
}

TEST_F(LedgerBackendTest, AFollowerThatMissedBlocksAsksForThemAndCatchesUp) {
    Bytes newest;
    sealer_->on_block([&](const Bytes &block) { newest = block; });
    for (std::uint64_t i = 0; i < 5; ++i) {
        const auto id = sealer_->submit(world_.sign(world_.transfer(0, i, 1, 5), {0}));
        run_until([&] { return sealer_->outcome(*id).status == TxStatus::kFinal; });
    }
    const auto receipt = follower_->accept_block(newest);
    ASSERT_TRUE(receipt.ok());
    EXPECT_EQ(receipt->kind, BlockReceipt::Kind::kGap);
    EXPECT_EQ(receipt->need_from_height, 1u);
    std::uint64_t from = receipt->need_from_height;
    while (follower_->height() < 5) {
        const auto blocks = sealer_->blocks_from(from, 2);
        ASSERT_TRUE(blocks.ok());
        ASSERT_FALSE(blocks->empty());
        for (const Bytes &block : *blocks) ASSERT_TRUE(follower_->accept_block(block).ok());
        from = follower_->height() + 1;
    }
    EXPECT_EQ(follower_->state_digest(), sealer_->state_digest());
    EXPECT_EQ(follower_->accept_block(newest)->kind, BlockReceipt::Kind::kKnown);
    EXPECT_TRUE(sealer_->blocks_from(6, 10)->empty());
    EXPECT_TRUE(follower_->verify_all()->ok);
}

TEST_F(LedgerBackendTest, ASecondHistoryIsRefused) {
    const auto id = sealer_->submit(world_.sign(world_.transfer(0, 0, 1, 5), {0}));
    run_until([&] { return sealer_->outcome(*id).status == TxStatus::kFinal; });
    const auto twin = open(numbered_key(999));
    const auto other = twin->submit(world_.sign(world_.transfer(0, 0, 2, 5), {0}));
    run_until([&] { return twin->outcome(*other).status == TxStatus::kFinal; });
    const auto refused = sealer_->accept_block((*twin->blocks_from(1, 1))[0]);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
}

TEST_F(LedgerBackendTest, WhatIsPendingIsAnnouncedAgain) {
    const auto impatient = LedgerBackend::open(loop_, clock_, make_memory_store(), world_.genesis,
                                               std::nullopt, {.announce_again_ms = 3});
    int announced = 0;
    (*impatient)->on_tx_accepted([&](const Bytes &) { ++announced; });
    ASSERT_TRUE((*impatient)->submit(world_.sign(world_.transfer(0, 0, 1, 5), {0})).ok());
    EXPECT_EQ(announced, 1);
    run_until([&] { return announced >= 3; });
    EXPECT_EQ((*impatient)->pending_txs(10).size(), 1u);
}

TEST_F(LedgerBackendTest, WhatNoLongerAppliesDoesNotHoldUpTheRest) {
    // This lease's expiry is too early once the clock has moved on.
    const auto early = sealer_->submit(
        world_.sign(world_.open_lease(0, 0, {1}, clock_.unix_ms() - 120'000), {0, 1}));
    ASSERT_TRUE(early.ok()) << early.error().message;
    const auto fine = sealer_->submit(world_.sign(world_.transfer(2, 0, 1, 5), {2}));
    clock_.advance_ms(10);
    run_until([&] { return sealer_->outcome(*fine).status == TxStatus::kFinal; });
    EXPECT_EQ(sealer_->outcome(*early).status, TxStatus::kRejected);
    EXPECT_EQ(sealer_->locked(world_.keys[0].public_key())->escrow.units, 0);
}

}  // namespace
}  // namespace chain
