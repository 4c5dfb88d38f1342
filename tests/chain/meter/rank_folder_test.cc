// SPDX-License-Identifier: BSD-3-Clause
#include <cstring>
#include <limits>
#include <random>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chain/meter/meter.h"
#include "chain/meter/rank_file.h"
#include "tests/chain/provider/support.h"

namespace chain::meter {
namespace {

using provider::TestFolder;
using provider::write_text;

void write_rank(const std::string &path, std::uint32_t rank, std::uint64_t cpu_ns,
                std::uint64_t waited_ns, std::uint64_t magic = CHAIN_RANK_FILE_MAGIC) {
    chain_rank_file file{};
    file.magic = magic;
    file.rank = rank;
    file.cpu_ns = cpu_ns;
    file.waited_ns = waited_ns;
    write_text(path, std::string(reinterpret_cast<const char *>(&file), sizeof file));
}

Usage usage_of(Cycles cycles, std::uint64_t cpu_time_ns) {
    Usage usage;
    usage.cycles = cycles;
    usage.cpu_time_ns = cpu_time_ns;
    return usage;
}

TEST(RankFolder, SharesTheLeaseByCpuTime) {
    TestFolder folder;
    write_rank(folder / "7.0", 0, 600, 100);
    write_rank(folder / "7.1", 1, 300, 300);
    const auto ranks = read_rank_folder(folder.path(), usage_of(3001, 1000));
    ASSERT_EQ(ranks.size(), 2u);
    EXPECT_EQ(ranks[0].rank, 0u);
    EXPECT_EQ(ranks[0].cycles, 1800u);  // 3001 * 600 / 1000, down
    EXPECT_EQ(ranks[0].waited_cycles, 300u);
    EXPECT_EQ(ranks[1].cycles, 900u);
    EXPECT_EQ(ranks[1].waited_cycles, 900u);
}

TEST(RankFolder, BoundsWhatRanksClaim) {
    TestFolder folder;
    write_rank(folder / "7.0", 0, 3000, 9000);  // waits longer than it lives
    write_rank(folder / "7.1", 1, 1000, 0);
    write_rank(folder / "8.1", 1, 2000, 5);  // a later job
    const auto ranks = read_rank_folder(folder.path(), usage_of(600, 100));
    ASSERT_EQ(ranks.size(), 2u);
    EXPECT_EQ(ranks[0].cycles, 300u);
    EXPECT_EQ(ranks[0].waited_cycles, 300u);
    EXPECT_EQ(ranks[1].cycles, 300u);
    EXPECT_EQ(ranks[1].waited_cycles, 0u);
    EXPECT_EQ(read_rank_folder(folder.path(), usage_of(0, 0))[0].cycles, 0u);
}

TEST(RankFolder, LeavesOutWhatItCannotRead) {
    TestFolder folder, elsewhere;
    write_rank(folder / "7.0", 0, 10, 0);
    write_rank(elsewhere / "7.1", 1, 10, 0);
    ASSERT_EQ(symlink((elsewhere / "7.1").c_str(), (folder / "7.1").c_str()), 0);
    ASSERT_EQ(mkfifo((folder / "7.2").c_str(), 0644), 0);
    ASSERT_EQ(mkdir((folder / "7.3").c_str(), 0755), 0);
    write_rank(folder / "7.4", 5, 10, 0);     // says another rank than its name
    write_rank(folder / "7.6", 6, 10, 0, 0);  // not valid yet
    write_text(folder / "7.7", "short");      //
    write_rank(folder / "7.8", 8, 10, 0);     // huge
    ASSERT_EQ(truncate((folder / "7.8").c_str(), 1LL << 40), 0);
    for (const char *name : {"x", "7", "7.", ".9", "7.9x", "-1.9", "7.99999999999", "7.9.9"})
        write_rank(folder / name, 9, 10, 0);
    const auto ranks = read_rank_folder(folder.path(), usage_of(10, 10));
    ASSERT_EQ(ranks.size(), 1u);
    EXPECT_EQ(ranks[0].cycles, 10u);
    EXPECT_TRUE(read_rank_folder(folder / "missing", usage_of(1, 1)).empty());
    EXPECT_TRUE(read_rank_folder(folder / "7.0", usage_of(1, 1)).empty());
}

TEST(RankFolder, ReadsABoundedNumberOfFiles) {
    TestFolder folder;
    const int at = open(folder.path().c_str(), O_RDONLY | O_DIRECTORY);
    chain_rank_file file{};
    file.magic = CHAIN_RANK_FILE_MAGIC;
    file.cpu_ns = 1;
    constexpr std::uint32_t kFiles = 9'000;
    for (std::uint32_t rank = 0; rank < kFiles; ++rank) {
        file.rank = rank;
        const int fd = openat(at, ("1." + std::to_string(rank)).c_str(), O_WRONLY | O_CREAT, 0600);
        ASSERT_EQ(write(fd, &file, sizeof file), static_cast<ssize_t>(sizeof file));
        close(fd);
    }
    close(at);
    EXPECT_EQ(read_rank_folder(folder.path(), usage_of(kFiles, kFiles)).size(),
              static_cast<std::size_t>(CHAIN_RANK_FILES_MAX));
}

TEST(RankFolder, PropertyRanksNeverAddUpToMoreThanTheLease) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    for (int round = 0; round < 50; ++round) {
        TestFolder folder;
        const auto any = [&] { return random() >> (random() % 64); };
        const int count = static_cast<int>(random() % 6);
        for (int rank = 0; rank < count; ++rank)
            write_rank(folder / ("1." + std::to_string(rank)), rank,
                       random() % 4 == 0 ? std::numeric_limits<std::uint64_t>::max() : any(),
                       any());
        const Usage lease = usage_of(any(), any());
        unsigned __int128 total = 0;
        for (const auto &rank : read_rank_folder(folder.path(), lease)) {
            ASSERT_LE(rank.waited_cycles, rank.cycles);
            total += rank.cycles;
        }
        ASSERT_TRUE(total <= lease.cycles);
    }
}

}  // namespace
}  // namespace chain::meter
