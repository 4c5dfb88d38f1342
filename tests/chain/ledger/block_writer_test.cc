// SPDX-License-Identifier: BSD-3-Clause
//
// Blocks that are written behind their execution: what is there when a write is slow, or fails.
#include "chain/ledger/block_writer.h"

#include <atomic>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "chain/ledger/chain_records.h"
#include "chain/ledger/mempool.h"
#include "tests/chain/ledger/ledger_fixture.h"

namespace chain::ledger {
namespace {

// Counts what is written, and does what the test says to each write first.
class WatchedStore final : public KeyValueStore {
public:
    struct Watch {
        std::vector<std::uint64_t> heights;  // after each write
        std::function<Status(std::size_t number)> before = [](std::size_t) { return ok_status(); };
        std::function<Status()> before_read = [] { return ok_status(); };
    };
    WatchedStore(std::unique_ptr<KeyValueStore> store, Watch &watch)
        : store_(std::move(store)), watch_(watch) {}

    Result<std::optional<Bytes>> get(std::string_view key) const override {
        CHAIN_TRY(watch_.before_read());
        return store_->get(key);
    }
    Status write(const WriteBatch &batch, bool durable) override {
        CHAIN_TRY(watch_.before(watch_.heights.size()));
        std::vector<std::uint64_t> tips;
        batch.each([&](std::string_view key, std::optional<std::string_view> value) {
            if (key == kTipKey) tips.push_back(decode_tip(*value)->height);
        });
        EXPECT_EQ(tips.size(), 1u) << "a batch without a tip, or with two";
        EXPECT_TRUE(durable);
        CHAIN_TRY(store_->write(batch, durable));
        watch_.heights.push_back(tips.at(0));
        return ok_status();
    }
    Status scan_from(std::string_view prefix, std::string_view first,
                     const Visit &visit) const override {
        return store_->scan_from(prefix, first, visit);
    }

private:
    std::unique_ptr<KeyValueStore> store_;
    Watch &watch_;
};

constexpr std::size_t kBlocks = 12;

class BlockWriterTest : public testing::Test {
protected:
    // Blocks of a few transfers each, and the tip after each.
    BlockWriterTest() {
        const auto chain = world_.open_chain(make_memory_store());
        std::uint64_t nonce = 0;
        tips_.push_back(chain->tip());
        for (std::size_t i = 0; i < kBlocks; ++i) {
            std::vector<Tx> txs;
            for (int n = 0; n < 5; ++n)
                txs.push_back(world_.decode(world_.sign(world_.transfer(0, nonce++, 1, 1), {0})));
            blocks_.push_back(world_.sealer().seal(*chain, txs, kGenesisTimeMs + 1).value());
            EXPECT_TRUE(chain->apply(blocks_.back()).ok());
            tips_.push_back(chain->tip());
        }
    }

    std::unique_ptr<Chain> open_watched() {
        auto chain = world_.open_chain(std::make_unique<WatchedStore>(make_memory_store(), watch_));
        watch_.heights.clear();
        return chain;
    }

    void expect_at(const Chain &chain, std::uint64_t height) {
        EXPECT_EQ(chain.tip().id, tips_.at(height).id);
        EXPECT_EQ(chain.tip().digest, tips_.at(height).digest);
        EXPECT_EQ(chain.tip().totals, tips_.at(height).totals);
        EXPECT_TRUE(chain.check_recount().ok());
        EXPECT_TRUE(chain.verify_all()->ok);
    }

    const World world_;
    std::vector<Block> blocks_;
    std::vector<Tip> tips_;
    WatchedStore::Watch watch_;
};

TEST_F(BlockWriterTest, ASlowStoreTakesSeveralBlocksAtOnce) {
    watch_.before = [](std::size_t) {
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        return ok_status();
    };
    const auto chain = open_watched();
    ASSERT_TRUE(chain->apply_all(blocks_).ok());
    expect_at(*chain, kBlocks);
    EXPECT_TRUE(std::is_sorted(watch_.heights.begin(), watch_.heights.end()));
    EXPECT_EQ(watch_.heights.back(), kBlocks);
    EXPECT_LT(watch_.heights.size(), kBlocks);
    for (std::uint64_t height = kBlocks; height-- > 0;) {
        ASSERT_TRUE(chain->undo_tip().ok());
        EXPECT_EQ(chain->tip().digest, tips_[height].digest);
    }
    EXPECT_TRUE(chain->check_recount().ok());
}

TEST_F(BlockWriterTest, AWriteThatFailsLeavesWhatWasWrittenBefore) {
    for (std::size_t failing = 0; failing < 4; ++failing) {
        SCOPED_TRACE(failing);
        bool is_full = true;
        watch_.before = [&](std::size_t number) {
            // Slow enough for the next blocks to be waiting when it fails.
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
            if (is_full && number == failing)
                return Status(make_error(ErrorCode::kDiskFull, "no space"));
            return ok_status();
        };
        is_full = false;
        const auto chain = open_watched();
        is_full = true;
        Status applied = chain->apply_all(blocks_);
        if (applied.ok()) {  // there were fewer writes
            EXPECT_LE(watch_.heights.size(), failing);
            continue;
        }
        EXPECT_EQ(applied.error().code, ErrorCode::kDiskFull);
        EXPECT_EQ(watch_.heights.size(), failing);
        const std::uint64_t height = failing == 0 ? 0 : watch_.heights.back();
        expect_at(*chain, height);
        // Then there is space again.
        is_full = false;
        ASSERT_TRUE(chain->apply_all(std::span(blocks_).subspan(height)).ok());
        expect_at(*chain, kBlocks);
    }
}

TEST_F(BlockWriterTest, AWrongBlockInTheMiddleLeavesThoseBeforeIt) {
    for (std::size_t wrong = 0; wrong < kBlocks; wrong += 5) {
        SCOPED_TRACE(wrong);
        const auto chain = open_watched();
        std::vector<Block> blocks = blocks_;
        // Its digest says another state.
        blocks[wrong].header.set_state_digest(Bytes(32, 'x'));
        const Status applied = chain->apply_all(blocks);
        ASSERT_FALSE(applied.ok());
        EXPECT_EQ(applied.error().code, ErrorCode::kInvalidInput);
        expect_at(*chain, wrong);
        ASSERT_TRUE(chain->apply_all(std::span(blocks_).subspan(wrong)).ok());
        expect_at(*chain, kBlocks);
    }
}

TEST_F(BlockWriterTest, ThePoolKeepsWhatItCannotJudgeWhileTheStoreCannotBeRead) {
    const auto chain = open_watched();
    Mempool pool(*chain);
    // Leases: accounts are known in memory, what providers are worth is not.
    const auto lease = [&](unsigned renter, std::uint64_t nonce) {
        return world_.sign(world_.open_lease(renter, nonce, {2}, kGenesisTimeMs), {renter, 2});
    };
    const auto pend = [&](std::uint64_t nonce) {
        return pool.add(world_.decode(lease(1, nonce)), kGenesisTimeMs + 1);
    };
    for (std::uint64_t nonce = 0; nonce < 3; ++nonce) ASSERT_TRUE(pend(nonce).ok());
    ASSERT_TRUE(chain->apply(blocks_[0]).ok());  // holds none of them
    watch_.before_read = [] { return Status(make_error(ErrorCode::kIo, "no such disk")); };
    EXPECT_EQ(pool.rebuild(kGenesisTimeMs + 2).error().code, ErrorCode::kIo);
    EXPECT_EQ(pool.count(), 3u);
    const wire::SignedTx other = lease(3, 0);
    EXPECT_EQ(pool.add(world_.decode(other), kGenesisTimeMs + 2).error().code, ErrorCode::kIo);
    EXPECT_EQ(pool.rejection(tx_id(other.body())), std::nullopt) << "nobody refused it";
    watch_.before_read = [] { return ok_status(); };
    ASSERT_TRUE(pool.rebuild(kGenesisTimeMs + 2).ok());
    EXPECT_EQ(pool.count(), 3u);
    EXPECT_EQ(*pool.next_nonce(world_.keys[1].public_key()), 3u);
    EXPECT_TRUE(pend(3).ok());
    EXPECT_TRUE(pool.add(world_.decode(other), kGenesisTimeMs + 2).ok());
}

TEST_F(BlockWriterTest, WhoReadsMeanwhileSeesWholeBlocks) {
    const TemporaryFolder folder;
    auto store = open_leveldb_store(folder.path() + "/store").value();
    const KeyValueStore &read_only = *store;  // the chain owns it, and outlives this use
    const auto chain = world_.open_chain(std::move(store));
    std::atomic<bool> stop{false};
    std::atomic<std::size_t> seen{0};
    std::thread reader([&] {
        std::uint64_t last = 0;
        while (!stop) {
            const auto tip = read_only.get(kTipKey);
            ASSERT_TRUE(tip.ok() && *tip);
            const std::uint64_t height = decode_tip(**tip)->height;
            EXPECT_GE(height, last);
            last = height;
            if (height > 0) {
                const auto block = read_only.get(block_key(height));
                ASSERT_TRUE(block.ok() && *block);
                EXPECT_EQ(**block, blocks_[height - 1].signed_bytes);
            }
            ++seen;
        }
    });
    while (seen == 0) std::this_thread::yield();  // on a busy machine it is late to begin
    ASSERT_TRUE(chain->apply_all(blocks_).ok());
    stop = true;
    reader.join();
    expect_at(*chain, kBlocks);
}

}  // namespace
}  // namespace chain::ledger
