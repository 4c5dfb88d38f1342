// SPDX-License-Identifier: BSD-3-Clause
//
// Decoding many transactions at once, the cache of decoded ones, and what a chain and its pending
// transactions do with both.
#include "chain/ledger/tx_cache.h"

#include "chain/backend/ledger_backend.h"
#include "chain/ledger/mempool.h"
#include "tests/chain/ledger/ledger_fixture.h"

namespace chain::ledger {
namespace {

class TxCacheTest : public testing::Test {
protected:
    Bytes signed_transfer(unsigned sender, std::uint64_t nonce, std::int64_t units = 1) const {
        return world_.sign(world_.transfer(sender, nonce, (sender + 1) % 4, units), {sender})
            .SerializeAsString();
    }

    std::vector<Bytes> transfers(unsigned count) const {
        std::vector<Bytes> all;
        for (unsigned i = 0; i < count; ++i) all.push_back(signed_transfer(i % 4, i / 4));
        return all;
    }

    TxList decode(const std::vector<Bytes> &all, TxCache *cache) const {
        TxList list;
        const std::vector<std::string_view> views(all.begin(), all.end());
        for (auto &tx : decode_txs(views, world_.genesis.chain_id, cache)) {
            CHAIN_CHECK(tx.ok());
            list.push_back(std::move(tx).value());
        }
        return list;
    }

    Block seal(Chain &chain, const TxList &txs) const {
        auto block = world_.sealer().seal(chain, txs, kGenesisTimeMs + 1);
        CHAIN_CHECK(block.ok());
        return std::move(block).value();
    }

    const World world_;
};

TEST_F(TxCacheTest, KeepsTheNewestWithinItsLimits) {
    const std::vector<Bytes> all = transfers(8);
    const std::size_t size = all[0].size();
    TxCache few(3), small(100, 2 * size + size / 2);
    const TxList list = decode(all, nullptr);
    for (TxCache *cache : {&few, &small}) {
        for (std::size_t i = 0; i < list.size(); ++i) {
            cache->insert(tx_bytes_hash(all[i]), list.ref(i));
            cache->insert(tx_bytes_hash(all[i]), list.ref(i));  // known: changes nothing
        }
        EXPECT_EQ(cache->find(tx_bytes_hash(all[0]), all[0]), nullptr);
        EXPECT_EQ(cache->find(tx_bytes_hash(all[7]), all[7]), list.ref(7));
    }
    EXPECT_EQ(few.size(), 3u);
    EXPECT_EQ(small.size(), 2u);
    EXPECT_LE(small.size_bytes(), 2 * size + size / 2);
}

TEST_F(TxCacheTest, AHashThatIsNotTheBytesFindsNothing) {
    const std::vector<Bytes> all = transfers(2);
    TxCache cache;
    const TxList list = decode(all, &cache);
    EXPECT_EQ(cache.find(tx_bytes_hash(all[0]), all[1]), nullptr);
    // A block that lies about its hashes is decoded from its bytes.
    DecodeBatch batch({all[1]}, {tx_bytes_hash(all[0])}, world_.genesis.chain_id, &cache);
    EXPECT_EQ((*batch.at(0))->id, list[1].id);
}

TEST_F(TxCacheTest, ManyThreadsFindWhatOneFinds) {
    const std::uint64_t seed = std::random_device{}();
    std::cout << "seed " << seed << "\n";
    std::mt19937_64 random(seed);
    std::vector<Bytes> all = transfers(200);
    for (int i = 0; i < 40; ++i) {  // some of them damaged somewhere
        Bytes &one = all[random() % all.size()];
        one[random() % one.size()] ^= static_cast<char>(1 + random() % 255);
    }
    const std::vector<std::string_view> views(all.begin(), all.end());
    Parallel nobody(0), three(3);
    TxCache cache(64);
    const auto alone = decode_txs(views, world_.genesis.chain_id, nullptr, nobody);
    for (int turn = 0; turn < 3; ++turn) {
        const auto together = decode_txs(views, world_.genesis.chain_id, &cache, three);
        for (std::size_t i = 0; i < all.size(); ++i) {
            ASSERT_EQ(together[i].ok(), alone[i].ok()) << i;
            if (!alone[i].ok()) {
                ASSERT_EQ(together[i].error().message, alone[i].error().message) << i;
                continue;
            }
            ASSERT_EQ((*together[i])->id, (*alone[i])->id);
            ASSERT_EQ((*together[i])->signed_bytes, all[i]);
        }
    }
    EXPECT_LE(cache.size(), 64u);
}

TEST_F(TxCacheTest, AWrongSignatureInTheMiddleIsNamedAndNothingChanges) {
    const auto chain = world_.open_chain(make_memory_store());
    const std::vector<Bytes> all = transfers(60);
    Block block = seal(*chain, decode(all, nullptr));
    wire::SignedTx wrong;
    ASSERT_TRUE(wrong.ParseFromString(all[31]));
    wrong.mutable_signatures(0)->mutable_signature()->back() ^= 1;
    block.signed_block.set_txs(31, wrong.SerializeAsString());
    const Bytes32 before = chain->tip().digest.digest();
    for (const bool whole_group : {false, true}) {
        const Status applied = whole_group ? chain->apply_all({&block, 1}) : chain->apply(block);
        ASSERT_FALSE(applied.ok());
        EXPECT_EQ(applied.error().code, ErrorCode::kBadSignature);
        EXPECT_NE(applied.error().message.find("transaction 31 of the block"), std::string::npos)
            << applied.error().message;
        EXPECT_EQ(chain->tip().height, 0u);
        EXPECT_EQ(chain->tip().digest.digest(), before);
        EXPECT_TRUE(chain->check_recount().ok());
    }
}

TEST_F(TxCacheTest, WhatWasAdmittedIsNotDecodedAgainWhenItsBlockComes) {
    const auto sealed_by = world_.open_chain(make_memory_store());
    const auto chain = world_.open_chain(make_memory_store());
    const std::vector<Bytes> all = transfers(40);
    const Block block = seal(*sealed_by, decode(all, &chain->tx_cache()));
    EXPECT_EQ(chain->tx_cache().hit_count(), 0u);
    const auto decoded = decode_block(block.signed_bytes, world_.genesis);
    ASSERT_TRUE(decoded.ok());
    ASSERT_TRUE(chain->apply(*decoded).ok());
    EXPECT_EQ(chain->tx_cache().hit_count(), 40u);
}

TEST_F(TxCacheTest, AGroupOfBlocksIsWhatTheBlocksAreOneByOne) {
    const auto one_by_one = world_.open_chain(make_memory_store());
    const auto grouped = world_.open_chain(make_memory_store());
    const std::vector<Bytes> all = transfers(60);
    const TxList list = decode(all, nullptr);
    std::vector<Block> blocks;
    for (std::size_t at = 0; at < all.size(); at += 20) {
        TxList part;
        for (std::size_t i = at; i < at + 20; ++i) part.push_back(list.ref(i));
        blocks.push_back(seal(*one_by_one, part));
        ASSERT_TRUE(one_by_one->apply(blocks.back()).ok());
    }
    // The last one does not attach: those before it are kept.
    std::vector<Block> with_wrong = blocks;
    with_wrong.push_back(blocks[0]);
    EXPECT_EQ(grouped->apply_all(with_wrong).error().code, ErrorCode::kConflict);
    EXPECT_EQ(grouped->tip().height, 3u);
    EXPECT_EQ(grouped->tip().digest, one_by_one->tip().digest);
    EXPECT_TRUE(grouped->check_recount().ok());
    EXPECT_TRUE(grouped->verify_all()->ok);
    while (grouped->tip().height > 0) {
        ASSERT_TRUE(grouped->undo_tip().ok());
        ASSERT_TRUE(one_by_one->undo_tip().ok());
        EXPECT_EQ(grouped->tip().digest, one_by_one->tip().digest);
        EXPECT_TRUE(grouped->check_recount().ok());
    }
}

TEST_F(TxCacheTest, WhatIsFirstInLineLeavesThePoolWithoutJudgingTheRest) {
    const auto chain = world_.open_chain(make_memory_store());
    Mempool pool(*chain);
    const TxList list = decode(transfers(40), nullptr);
    for (std::size_t i = 0; i < list.size(); ++i)
        ASSERT_TRUE(pool.add(list.ref(i), kGenesisTimeMs + 1).ok());
    while (pool.count() > 0) {
        ASSERT_TRUE(chain->apply(seal(*chain, pool.take(7, 1 << 20))).ok());
        EXPECT_TRUE(pool.rebuild(kGenesisTimeMs + 1).ok());
        ASSERT_EQ(*pool.next_nonce(world_.keys[0].public_key()), 10u);
    }
    EXPECT_EQ(pool.full_rebuild_count(), 0u);
    EXPECT_EQ(pool.size_bytes(), 0u);
    EXPECT_EQ(pool.record_bytes(), 0u);
    EXPECT_EQ(chain->state().account(world_.keys[3].public_key())->nonce, 10u);
}

// A lease's record holds the time of its block, which is not known while it is pending.
TEST_F(TxCacheTest, WhatBuildsUponAValueThatCameOutDifferentlyIsJudgedAgain) {
    const auto chain = world_.open_chain(make_memory_store());
    Mempool pool(*chain);
    const wire::TxBody open = world_.open_lease(0, 0, {1}, kGenesisTimeMs + 10);
    const LeaseId id = tx_id(open.SerializeAsString());
    const auto add = [&](const wire::TxBody &body, const std::vector<unsigned> &signers) {
        return pool.add(world_.decode(world_.sign(body, signers)), kGenesisTimeMs + 1);
    };
    ASSERT_TRUE(add(open, {0, 1}).ok());
    ASSERT_TRUE(add(world_.close(0, 1, id), {0}).ok());
    ASSERT_TRUE(add(world_.transfer(2, 0, 3, 5), {2}).ok());
    auto block = world_.sealer().seal(*chain, pool.take(1, 1 << 20), kGenesisTimeMs + 5'000);
    ASSERT_TRUE(block.ok());
    ASSERT_TRUE(chain->apply(*block).ok());
    EXPECT_TRUE(pool.rebuild(kGenesisTimeMs + 5'000).ok());
    EXPECT_EQ(pool.full_rebuild_count(), 1u);
    EXPECT_EQ(pool.count(), 2u);
    ASSERT_TRUE(chain->apply(seal(*chain, pool.take(10, 1 << 20))).ok());
    EXPECT_TRUE(pool.rebuild(kGenesisTimeMs + 5'000).ok());
    EXPECT_EQ(pool.count(), 0u);
    EXPECT_EQ(chain->state().lease(id)->legs[0].state, LegState::kClosing);
    EXPECT_TRUE(chain->check_recount().ok());
}

TEST_F(TxCacheTest, ABatchIsAdmittedAsOneByOne) {
    Loop loop;
    const ManualClock clock(kGenesisTimeMs + 500);
    std::vector<Bytes> all = transfers(30);
    all.push_back(all[3]);                  // known
    all.push_back(signed_transfer(0, 99));  // a gap in the nonces
    all.insert(all.begin() + 10, Bytes("not a transaction"));
    const std::vector<std::string_view> views(all.begin(), all.end());
    std::vector<std::unique_ptr<LedgerBackend>> backends;
    for (int i = 0; i < 3; ++i)
        backends.push_back(std::move(LedgerBackend::open(loop, clock, make_memory_store(),
                                                         world_.genesis, std::nullopt))
                               .value());
    const auto batch = backends[0]->accept_txs(views);
    std::vector<Result<bool>> soon;
    for (const Bytes &tx : all)
        backends[1]->accept_tx_soon(tx, [&](const Result<bool> &taken) { soon.push_back(taken); });
    EXPECT_TRUE(soon.empty());
    loop.post([&] { loop.post([&] { loop.stop(); }); });
    loop.run();
    ASSERT_EQ(soon.size(), all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto single = backends[2]->accept_tx(all[i]);
        for (const Result<bool> *other : {&std::as_const(batch[i]), &std::as_const(soon[i])}) {
            ASSERT_EQ(other->ok(), single.ok()) << i;
            if (single.ok()) {
                EXPECT_EQ(**other, *single) << i;
            } else {
                EXPECT_EQ(other->error().message, single.error().message) << i;
            }
        }
    }
    EXPECT_EQ(backends[0]->mempool_count(), 30u);
}

}  // namespace
}  // namespace chain::ledger
