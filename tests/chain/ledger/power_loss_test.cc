// SPDX-License-Identifier: BSD-3-Clause
//
// What a power cut can leave of a write that was not synced yet, which no kill shows: the log of
// the store ends anywhere, or is as long as it should be with zeros or anything else in its last
// pages. The store then is the one before the write, or says that it is damaged; it is never
// anything else.
#include <filesystem>

#include "tests/chain/ledger/ledger_fixture.h"

namespace chain::ledger {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPageBytes = 4096;
constexpr int kTries = 40;
constexpr std::size_t kLogBytesMax = 8u << 20;

class PowerLoss : public testing::Test {
protected:
    // A store with three blocks, and the log as it is after one write more: of one block or a
    // group.
    void prepare(std::size_t group_size) {
        const std::string path = folder_.path() + "/" + std::to_string(group_size);
        auto chain = world_.open_chain(open_leveldb_store(path).value());
        for (int i = 0; i < 3; ++i) ASSERT_TRUE(chain->apply(next_block(*chain)).ok());
        tips_ = {{chain->tip().height, chain->tip()}};
        before_path_ = path + "-before";
        fs::copy(path, before_path_);
        std::vector<Block> group;
        for (std::size_t i = 0; i < group_size; ++i) {
            group.push_back(next_block(*chain));
            ASSERT_TRUE(chain->apply(group.back()).ok());
            tips_[chain->tip().height] = chain->tip();
        }
        for (std::size_t i = 0; i < group_size; ++i) ASSERT_TRUE(chain->undo_tip().ok());
        chain.reset();
        // Once more, in fewer writes than blocks.
        fs::remove_all(path);
        fs::copy(before_path_, path);
        chain = world_.open_chain(open_leveldb_store(path).value());
        start_bytes_ = log_of(path).size();
        ASSERT_TRUE(chain->apply_all(group).ok());
        whole_path_ = path;
        log_ = log_of(path);
        ASSERT_GT(log_.size(), start_bytes_);
    }

    Block next_block(Chain &chain) {
        std::vector<Tx> txs;
        std::uint64_t nonce = chain.state().account(world_.keys[0].public_key())->nonce;
        for (int i = 0; i < 10; ++i)
            txs.push_back(world_.decode(world_.sign(world_.transfer(0, nonce++, 1, 1), {0})));
        return world_.sealer().seal(chain, txs, kGenesisTimeMs).value();
    }

    static std::string log_path(const std::string &store) {
        std::string newest;
        for (const auto &entry : fs::directory_iterator(store))
            if (entry.path().extension() == ".log")
                newest = std::max(newest, entry.path().string());
        return newest;
    }
    static Bytes log_of(const std::string &store) {
        return read_file(log_path(store), kLogBytesMax).value();
    }

    // Opens a copy whose log is `log`, which must be the chain at some height from before the group
    // to after it. That height; nullopt: it says that it is damaged.
    std::optional<std::uint64_t> height_with(const Bytes &log) {
        const std::string path = folder_.path() + "/torn";
        fs::copy(whole_path_, path);
        EXPECT_TRUE(write_file_atomic(log_path(path), log, 0600).ok());
        std::optional<std::uint64_t> height;
        auto store = open_leveldb_store(path);
        if (store.ok()) {
            const auto chain = Chain::open(std::move(store).value(), world_.genesis);
            if (chain.ok()) {
                height = (*chain)->tip().height;
                const auto expected = tips_.find(*height);
                EXPECT_NE(expected, tips_.end()) << *height;
                if (expected == tips_.end()) return height;
                EXPECT_EQ((*chain)->tip().id, expected->second.id);
                EXPECT_EQ((*chain)->tip().digest, expected->second.digest);
                EXPECT_TRUE((*chain)->verify_all()->ok);
                EXPECT_TRUE((*chain)->apply(next_block(**chain)).ok()) << "it goes on";
            } else {
                EXPECT_EQ(chain.error().code, ErrorCode::kCorrupt) << chain.error().message;
            }
        } else {
            EXPECT_EQ(store.error().code, ErrorCode::kCorrupt) << store.error().message;
        }
        fs::remove_all(path);
        return height;
    }

    std::size_t somewhere() { return start_bytes_ + random_() % (log_.size() - start_bytes_); }

    World world_;
    TemporaryFolder folder_;
    std::map<std::uint64_t, Tip> tips_;  // by height, from before the group to after it
    std::string before_path_, whole_path_;
    std::size_t start_bytes_ = 0;  // of the log, before the write
    Bytes log_;                    // after it
    std::mt19937_64 random_;
};

TEST_F(PowerLoss, ALogThatEndsEarlyIsABlockBefore) {
    for (const std::size_t group_size : {1u, 20u}) {
        SCOPED_TRACE(group_size);
        ASSERT_NO_FATAL_FAILURE(prepare(group_size));
        ASSERT_EQ(tips_.size(), group_size + 1);
        const std::uint64_t before = tips_.begin()->first, after = tips_.rbegin()->first;
        EXPECT_EQ(height_with(log_), after);
        std::vector<std::size_t> ends{start_bytes_, start_bytes_ + 1, start_bytes_ + 7,
                                      log_.size() - 1};
        for (int i = 0; i < kTries; ++i) ends.push_back(somewhere());
        std::sort(ends.begin(), ends.end());
        std::uint64_t least = before;
        for (const std::size_t end : ends) {
            const auto height = height_with(log_.substr(0, end));
            ASSERT_TRUE(height && *height >= least && *height < after) << "ends at " << end;
            least = *height;  // of a longer log no less is left
        }
    }
}

TEST_F(PowerLoss, PagesThatWereNotWrittenAreNeverTakenForABlock) {
    const std::uint64_t seed = std::random_device{}();
    std::cout << "seed " << seed << std::endl;
    random_.seed(seed);
    ASSERT_NO_FATAL_FAILURE(prepare(20));
    int whole = 0, damaged = 0, zeros_damaged = 0;
    for (int i = 0; i < kTries; ++i) {
        const std::size_t from = somewhere() / kPageBytes * kPageBytes;
        const std::size_t begin = std::max(from, start_bytes_);
        const bool to_the_end = random_() % 2 == 0, zeros = random_() % 2 == 0;
        const std::size_t end = to_the_end ? log_.size() : std::min(log_.size(), from + kPageBytes);
        Bytes log = log_;
        for (std::size_t at = begin; at < end; ++at)
            log[at] = zeros ? '\0' : static_cast<char>(random_());
        if (height_with(log))
            ++whole;
        else
            ++(zeros && to_the_end ? zeros_damaged : damaged);
    }
    std::cout << whole << " opened at a block before, " << damaged << " said to be damaged, and "
              << zeros_damaged << " of those that end in zeros" << std::endl;
}

}  // namespace
}  // namespace chain::ledger
