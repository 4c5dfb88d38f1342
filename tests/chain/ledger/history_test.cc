// SPDX-License-Identifier: BSD-3-Clause
//
// The indexes beside the state. That they agree with a plain recomputation on any schedule, and
// survive undo and redo byte for byte, is in schedule_test.cc.
#include "chain/ledger/history.h"

#include "tests/chain/ledger/naive_history.h"

namespace chain::ledger {
namespace {

constexpr std::uint64_t kHourMs = 3'600'000;
constexpr std::uint64_t kFirstHour = kGenesisTimeMs / kHourMs + 1;

class HistoryTest : public testing::Test {
protected:
    HistoryTest() {
        auto store = make_memory_store();
        store_ = store.get();
        chain_ = world_.open_chain(std::move(store));
    }

    std::uint64_t nonce(unsigned account) const {
        return chain_->state().account(world_.keys[account].public_key())->nonce;
    }
    void append(const std::vector<wire::SignedTx> &txs, std::uint64_t time_ms) {
        std::vector<Tx> decoded;
        for (const auto &tx : txs) decoded.push_back(world_.decode(tx));
        const auto block = world_.sealer().seal(*chain_, decoded, time_ms);
        ASSERT_TRUE(block.ok()) << block.error().message;
        ASSERT_TRUE(chain_->apply(*block).ok());
    }
    wire::SignedTx pay(unsigned from, unsigned to, std::int64_t units, unsigned later = 0) {
        return world_.sign(world_.transfer(from, nonce(from) + later, to, units), {from});
    }
    // Account 0 leases from account 1, which settles after kWorkedMs with `cycles` on the meter.
    void trade(std::uint64_t time_ms, std::int64_t price, Cycles cycles, bool free = false) {
        wire::TxBody body = world_.open_lease(0, nonce(0), {1}, time_ms, price);
        if (free) {
            wire::LeaseLeg &leg = *body.mutable_open_lease()->mutable_legs(0);
            leg.set_free(true);
            leg.set_escrow(0);
            leg.set_collateral(0);
        }
        const auto tx = world_.sign(body, {0, 1});
        append({tx}, time_ms);
        const LeaseId id = tx_id(tx.body());
        std::vector<wire::SignedVoucher> vouchers;
        auto final = world_.voucher_body(id, 0, 1, cycles, free ? 0 : price);
        final.set_final(true);
        vouchers.push_back(sign_voucher(final, world_.keys[0]));
        append({world_.sign(world_.close(1, nonce(1), id, vouchers), {1})}, time_ms + kWorkedMs);
    }
    HistoryPage history(unsigned account, std::optional<TxPlace> before = std::nullopt,
                        std::size_t count_max = 100) {
        const auto page = chain_->history_of(world_.keys[account].public_key(), before, count_max);
        if (!page.ok()) ADD_FAILURE() << page.error().message;
        return page.ok() ? *page : HistoryPage();
    }

    static constexpr std::uint64_t kWorkedMs = 15'000;
    World world_;
    const KeyValueStore *store_ = nullptr;
    std::unique_ptr<Chain> chain_;
};

TEST_F(HistoryTest, BeginsWithTheGenesis) {
    const HistoryPage page = history(2);
    ASSERT_EQ(page.entries.size(), 1u);
    EXPECT_FALSE(page.more);
    const HistoryEntry &only = page.entries[0];
    EXPECT_EQ(only.kind, "genesis");
    EXPECT_EQ(only.place.height, 0u);
    EXPECT_EQ(only.time_ms, kGenesisTimeMs);
    EXPECT_EQ(only.delta, kStartUnits);
    EXPECT_EQ(only.after.balance.units, kStartUnits);
    EXPECT_EQ(only.sender, PublicKey{});
    EXPECT_TRUE(history(0, TxPlace{0, 0}).entries.empty());
    EXPECT_TRUE(
        chain_->history_of(numbered_key(77).public_key(), std::nullopt, 9)->entries.empty());
}

TEST_F(HistoryTest, TellsEachSideOfATransfer) {
    const auto tx = pay(0, 1, 700);
    append({tx}, kGenesisTimeMs + 5);
    for (const unsigned account : {0u, 1u}) {
        const HistoryPage page = history(account);
        ASSERT_EQ(page.entries.size(), 2u);
        const HistoryEntry &newest = page.entries[0];
        EXPECT_EQ(newest.delta, account == 0 ? -700 : 700);
        EXPECT_EQ(newest.after.balance.units, kStartUnits + newest.delta);
        EXPECT_EQ(newest.kind, "transfer");
        EXPECT_EQ(newest.text, describe_tx(world_.decode(tx).body));
        EXPECT_EQ(newest.tx_id, tx_id(tx.body()));
        EXPECT_EQ(newest.sender, world_.keys[0].public_key());
        EXPECT_EQ(newest.time_ms, kGenesisTimeMs + 5);
        EXPECT_EQ(newest.place.height, 1u);
    }
    EXPECT_EQ(history(2).entries.size(), 1u);
}

TEST_F(HistoryTest, PagesMeetInTheMiddleOfABlock) {
    append({pay(0, 1, 1), pay(0, 1, 2, 1), pay(0, 1, 3, 2)}, kGenesisTimeMs + 1);
    append({pay(1, 0, 4), pay(0, 2, 5)}, kGenesisTimeMs + 2);
    std::vector<std::int64_t> deltas;
    std::optional<TxPlace> before;
    for (;;) {
        const HistoryPage page = history(0, before, 2);
        for (const HistoryEntry &entry : page.entries) deltas.push_back(entry.delta);
        if (!page.more) break;
        ASSERT_EQ(page.entries.size(), 2u);
        before = page.entries.back().place;
    }
    EXPECT_EQ(deltas, (std::vector<std::int64_t>{-5, 4, -3, -2, -1, kStartUnits}));
    EXPECT_EQ(history(0, TxPlace{2, 0}).entries.size(), 4u);
    EXPECT_TRUE(history(0, std::nullopt, 0).entries.empty());
}

TEST_F(HistoryTest, ALeaseIsEscrowAndThenPaymentAndRefund) {
    trade(kGenesisTimeMs + 1000, 3'600'000'000, 60'000'000'000);
    const HistoryPage renter = history(0), provider = history(1);
    ASSERT_EQ(renter.entries.size(), 3u);
    EXPECT_EQ(renter.entries[0].kind, "close-lease");
    EXPECT_EQ(renter.entries[1].kind, "open-lease");
    // 2 slots x 2 GHz x 60 s at 3.6 tokens per GHz·h: 0.24 tokens locked, a quarter of it used.
    EXPECT_EQ(renter.entries[1].delta, -240'000'000);
    EXPECT_EQ(renter.entries[1].after.escrow.units, 240'000'000);
    EXPECT_EQ(renter.entries[0].delta, 180'000'000);
    EXPECT_EQ(renter.entries[0].after.escrow.units, 0);
    ASSERT_EQ(provider.entries.size(), 3u);
    EXPECT_EQ(provider.entries[1].delta, -provider.entries[1].after.collateral.units);
    EXPECT_EQ(provider.entries[0].delta, 57'000'000 - provider.entries[1].delta);
}

TEST_F(HistoryTest, PricesByHourAgainstFiguresDoneByHand) {
    const std::uint64_t hour_ms = kFirstHour * kHourMs;
    trade(hour_ms + 1'000, 30'000'000, 3'600'000'000);   // 0.001 GHz·h
    trade(hour_ms + 20'000, 10'000'000, 7'200'000'000);  // 0.002
    trade(hour_ms + 40'000, 99'000'000, 0);              // no work, no price
    trade(hour_ms + 60'000, 98'000'000, 7'200'000'000, true);
    trade(hour_ms + 3 * kHourMs, 98'000'000, 7'200'000'000, true);  // no trade in this hour
    trade(hour_ms + 5 * kHourMs, 1'000'000'001, 1);                 // alone in its hour
    trade(hour_ms + 6 * kHourMs, 5, 1'000'000);                     // halves go up: (5 + 6) / 2
    trade(hour_ms + 6 * kHourMs + 20'000, 6, 1'000'000);
    const auto hours = chain_->prices(0, ~0ULL, 100);
    ASSERT_TRUE(hours.ok()) << hours.error().message;
    ASSERT_EQ(hours->size(), 3u);
    const PriceHour &first = (*hours)[0];
    EXPECT_EQ(first.hour, kFirstHour);
    EXPECT_EQ(first.leg_count, 2u);
    EXPECT_EQ(first.cycles, 10'800'000'000u);
    EXPECT_EQ(first.paid.units, 30'000 + 20'000);
    EXPECT_EQ(first.price_min.units, 10'000'000);
    EXPECT_EQ(first.price_max.units, 30'000'000);
    EXPECT_EQ(first.price.units, 16'666'667);  // (30 x 1 + 10 x 2) / 3 = 16.666…
    EXPECT_EQ((*hours)[1].hour, kFirstHour + 5);
    EXPECT_EQ((*hours)[1].price.units, 1'000'000'001);
    EXPECT_EQ((*hours)[1].paid.units, 0);
    EXPECT_EQ((*hours)[2].price.units, 6);
    EXPECT_EQ(chain_->prices(kFirstHour + 1, kFirstHour + 5, 100)->size(), 1u);
    EXPECT_EQ(chain_->prices(kFirstHour, kFirstHour + 6, 2)->size(), 2u);
    EXPECT_TRUE(chain_->prices(kFirstHour, kFirstHour + 6, 0)->empty());
    EXPECT_TRUE(chain_->prices(kFirstHour + 1, kFirstHour + 4, 9)->empty());
}

TEST_F(HistoryTest, AStoreWithoutTheIndexOrWithAnOldOneGetsIt) {
    trade(kGenesisTimeMs + 1'000, 30'000'000, 3'600'000'000);
    append({pay(0, 2, 9), pay(2, 0, 4)}, kGenesisTimeMs + 20'000);
    const auto whole = index_keys(*store_);
    const std::vector<std::function<void(WriteBatch &)>> damages = {
        // Made by a program that knew no index.
        [&](WriteBatch &batch) {
            for (const auto &[key, value] : whole) batch.remove(key);
        },
        // An older program appended a block: the mark is another block's.
        [&](WriteBatch &batch) { mark_indexed(BlockId{}, batch); },
        // Killed while the index was made: no mark, and what it leaves behind.
        [&](WriteBatch &batch) {
            batch.remove("mhistory");
            batch.put("a" + Bytes(40, 'x'), "no record");
            batch.put("r" + account_key(world_.keys[0].public_key()), "no record");
        },
    };
    const auto copy = [&](KeyValueStore &to) {
        WriteBatch batch;
        ASSERT_TRUE(store_
                        ->scan("",
                               [&](std::string_view key, std::string_view value) {
                                   batch.put(Bytes(key), Bytes(value));
                                   return true;
                               })
                        .ok());
        ASSERT_TRUE(to.write(batch, false).ok());
    };
    for (const auto &damage : damages) {
        auto store = make_memory_store();
        const KeyValueStore &raw = *store;
        copy(*store);
        WriteBatch batch;
        damage(batch);
        ASSERT_TRUE(store->write(batch, false).ok());
        EXPECT_NE(index_keys(raw), whole);
        const auto chain = world_.open_chain(std::move(store));
        EXPECT_EQ(index_keys(raw), whole);
        EXPECT_EQ(chain->tip().digest, chain_->tip().digest);
    }
}

TEST_F(HistoryTest, TheBlockItselfCanChangeAnAccount) {
    // As a reward does: noted after the block's transactions, under no transaction's index.
    append({pay(0, 1, 1)}, kGenesisTimeMs + 1);
    AccountTrail trail;
    Overlay overlay(chain_->state());
    const PublicKey sealer = world_.keys[3].public_key();
    {
        Overlay::Attempt reward(overlay);
        overlay.put_account(sealer, Account{.balance = Amount{kStartUnits + 50}});
        reward.keep();
    }
    trail.note(kBlockRewardIndex, overlay);
    auto store = make_memory_store();
    WriteBatch batch;
    const StoreReader nothing(*store);
    Overlay prices(nothing);
    const auto made = overlay.take_difference();
    ASSERT_TRUE(made.ok());
    ASSERT_TRUE(
        add_block({1, BlockId{}, 5, trail, made->changes, made->old_values}, prices, batch).ok());
    EXPECT_TRUE(prices.changes().empty());
    ASSERT_TRUE(store->write(batch, false).ok());
    const auto states = account_states(*store, sealer, std::nullopt, 9);
    ASSERT_TRUE(states.ok());
    ASSERT_EQ(states->size(), 1u);
    EXPECT_EQ((*states)[0].place.index, kBlockRewardIndex);
    EXPECT_EQ((*states)[0].after.balance.units, kStartUnits + 50);
    EXPECT_TRUE(account_states(*store, sealer, TxPlace{1, kBlockRewardIndex}, 9)->empty());
}

}  // namespace
}  // namespace chain::ledger
