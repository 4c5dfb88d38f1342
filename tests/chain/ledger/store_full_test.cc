// SPDX-License-Identifier: BSD-3-Clause
//
// A real full disk: a small tmpfs of our own. A write that does not fit fails with kDiskFull,
// leaves nothing of its batch, and once there is space again the same store goes on, and opens.
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/chain/ledger/ledger_fixture.h"

namespace chain::ledger {
namespace {

constexpr int kSkipped = 77;

class FullDisk : public testing::Test {
protected:
    FullDisk() {
        const int mounted =
            mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, "size=16m,mode=0700");
        CHAIN_CHECK(mounted == 0);
    }
    ~FullDisk() override { umount2(folder_.path().c_str(), MNT_DETACH); }

    // Takes all space but `left_bytes`.
    void fill(std::size_t left_bytes) {
        FileDescriptor file(
            ::open((folder_.path() + "/ballast").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        const std::string block(4096, 'x');
        while (write(file.get(), block.data(), block.size()) > 0) {
        }
        EXPECT_EQ(errno, ENOSPC);
        struct stat status {};
        fstat(file.get(), &status);
        EXPECT_EQ(ftruncate(file.get(), status.st_size - static_cast<off_t>(left_bytes)), 0);
    }
    void make_space() { unlink((folder_.path() + "/ballast").c_str()); }
    std::string path() const { return folder_.path() + "/chain"; }

    TemporaryFolder folder_;
};

WriteBatch batch_of(char name, std::size_t size_bytes) {
    WriteBatch batch;
    batch.put(Bytes("first") + name, "1");
    batch.put(Bytes("bulk") + name, Bytes(size_bytes, name));
    batch.put(Bytes("shared"), Bytes(1, name));
    return batch;
}

TEST_F(FullDisk, NothingOfTheBatchIsThereAndTheStoreHeals) {
    for (const std::size_t left_bytes : {0u, 4096u, 40'960u, 102'400u}) {
        SCOPED_TRACE(left_bytes);
        auto store = std::move(open_leveldb_store(path())).value();
        ASSERT_TRUE(store->write(batch_of('a', 1000), true).ok());
        fill(left_bytes);
        for (int attempt = 0; attempt < 3; ++attempt) {
            const Status full = store->write(batch_of('b', 200'000), true);
            ASSERT_FALSE(full.ok());
            EXPECT_EQ(full.error().code, ErrorCode::kDiskFull) << full.error().message;
            EXPECT_EQ(*store->get("shared"), Bytes("a")) << "reads go on";
            EXPECT_FALSE(*store->get("firstb"));
        }
        make_space();
        ASSERT_TRUE(store->write(batch_of('c', 1000), true).ok()) << "the store heals by itself";
        store.reset();
        store = std::move(open_leveldb_store(path())).value();
        EXPECT_EQ(*store->get("shared"), Bytes("c"));
        EXPECT_EQ(*store->get("firsta"), Bytes("1"));
        EXPECT_FALSE(*store->get("firstb"));
        EXPECT_FALSE(*store->get("bulkb"));
        store.reset();
        ASSERT_TRUE(remove_tree(path()).ok());
    }
}

TEST_F(FullDisk, WhatCouldNotBeOpenedAgainIsReadAndWrittenWhenItCanBe) {
    const auto set_inodes = [&](std::uint64_t count) {
        const std::string options = "size=16m,mode=0700,nr_inodes=" + std::to_string(count);
        return mount("tmpfs", folder_.path().c_str(), "tmpfs", MS_REMOUNT, options.c_str());
    };
    const World world;
    auto chain = world.open_chain(std::move(open_leveldb_store(path())).value());
    const auto other = world.open_chain(make_memory_store());
    std::vector<Block> blocks;
    for (std::uint64_t i = 0; i < 2; ++i) {
        const auto tx = world.decode(world.sign(world.transfer(0, i, 1, 1), {0}));
        blocks.push_back(
            std::move(world.sealer().seal(*other, TxList({tx}), kGenesisTimeMs)).value());
        ASSERT_TRUE(other->apply(blocks.back()).ok());
    }
    fill(0);
    ASSERT_EQ(chain->apply(blocks[0]).error().code, ErrorCode::kDiskFull);
    make_space();
    struct statvfs status {};
    ASSERT_EQ(statvfs(folder_.path().c_str(), &status), 0);
    ASSERT_EQ(set_inodes(status.f_files - status.f_ffree), 0);  // space, but no new files
    ASSERT_EQ(chain->apply(blocks[0]).error().code, ErrorCode::kDiskFull);
    ASSERT_EQ(set_inodes(10'000), 0);
    ASSERT_TRUE(chain->apply(blocks[0]).ok()) << "without a restart";
    ASSERT_TRUE(chain->apply(blocks[1]).ok());
    EXPECT_TRUE(chain->verify_all()->ok);
}

TEST_F(FullDisk, TheStoreOpensAfterAProcessThatDiedOfIt) {
    auto store = std::move(open_leveldb_store(path())).value();
    ASSERT_TRUE(store->write(batch_of('a', 1000), true).ok());
    fill(8192);
    ASSERT_EQ(store->write(batch_of('b', 200'000), true).error().code, ErrorCode::kDiskFull);
    store.reset();
    make_space();
    store = std::move(open_leveldb_store(path())).value();
    EXPECT_EQ(*store->get("shared"), Bytes("a"));
    EXPECT_FALSE(*store->get("firstb"));
}

TEST_F(FullDisk, AChainStopsAtItsLastWholeBlockAndGoesOnLater) {
    const World world;
    auto chain = world.open_chain(std::move(open_leveldb_store(path())).value());
    const auto sealer = world.sealer();
    std::uint64_t nonce = 0;
    const auto append = [&]() -> Status {
        std::vector<Tx> txs;
        for (std::uint64_t i = 0; i < 100; ++i)
            txs.push_back(world.decode(world.sign(world.transfer(0, nonce + i, 1, 1), {0})));
        CHAIN_ASSIGN(const Block block, sealer.seal(*chain, txs, kGenesisTimeMs));
        CHAIN_TRY(chain->apply(block));
        nonce += txs.size();
        return ok_status();
    };
    ASSERT_TRUE(append().ok());
    fill(100'000);
    Status status = ok_status();
    for (int i = 0; i < 20 && status.ok(); ++i) status = append();
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kDiskFull) << status.error().message;
    const std::uint64_t height = chain->tip().height;
    EXPECT_TRUE(chain->check_recount().ok());
    make_space();
    ASSERT_TRUE(append().ok());
    EXPECT_EQ(chain->tip().height, height + 1);
    chain.reset();
    chain = world.open_chain(std::move(open_leveldb_store(path())).value());
    EXPECT_EQ(chain->tip().height, height + 1);
    EXPECT_TRUE(chain->verify_all()->ok);
}

}  // namespace
}  // namespace chain::ledger

int main(int argument_count, char **arguments) {
    testing::InitGoogleTest(&argument_count, arguments);
    {
        const chain::TemporaryFolder probe;
        if (mount("tmpfs", probe.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
            std::cerr << "SKIPPED: a full disk needs a small file system of its own, and mounting "
                         "one failed: "
                      << std::strerror(errno) << " (run it as root)\n";
            return chain::ledger::kSkipped;
        }
        umount2(probe.path().c_str(), MNT_DETACH);
    }
    return RUN_ALL_TESTS();
}
