// SPDX-License-Identifier: BSD-3-Clause
//
// A process that appends blocks is killed with SIGKILL at random moments, again and again. After
// each kill: every block that it had reported is there, and the store agrees with itself. At the
// end: the whole chain verifies, and a twin that was never killed has the same digest.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/chain/ledger/ledger_fixture.h"

namespace chain::ledger {
namespace {

constexpr int kKills = 100;

// Deterministic from the height, so that the twin can make the same chain.
std::vector<Tx> txs_of_block(const World &world, const Chain &chain) {
    std::mt19937_64 random(chain.tip().height);
    std::vector<Tx> txs;
    std::uint64_t nonce = chain.state().account(world.keys[0].public_key())->nonce;
    const std::size_t count = 1 + random() % 24;
    for (std::size_t i = 0; i < count; ++i)
        txs.push_back(world.decode(
            world.sign(world.transfer(0, nonce++, 1 + random() % 3, 1 + random() % 100), {0})));
    if (random() % 2 == 0)
        txs.push_back(world.decode(
            world.sign(world.open_lease(0, nonce++, {1, 2, 3}, kGenesisTimeMs + 10'000, 1'000),
                       {0, 1, 2, 3})));
    return txs;
}

Status append_block(const World &world, Chain &chain) {
    CHAIN_ASSIGN(const Block block,
                 world.sealer().seal(chain, txs_of_block(world, chain), kGenesisTimeMs));
    return chain.apply(block);
}

// Never returns. Writes the height of each durable block to `report_fd`.
[[noreturn]] void append_until_killed(const World &world, const std::string &path, int report_fd) {
    auto store = open_leveldb_store(path);
    if (!store.ok()) _exit(2);
    auto chain = Chain::open(std::move(store).value(), world.genesis);
    if (!chain.ok()) _exit(3);
    for (;;) {
        if (!append_block(world, **chain).ok()) _exit(4);
        const std::uint64_t height = (*chain)->tip().height;
        if (write(report_fd, &height, sizeof height) != sizeof height) _exit(5);
    }
}

struct Child {
    pid_t pid;
    FileDescriptor report;
};

Child start_child(const World &world, const std::string &path) {
    int ends[2];
    CHAIN_CHECK(pipe2(ends, O_CLOEXEC) == 0);
    const pid_t pid = fork();
    CHAIN_CHECK(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        append_until_killed(world, path, ends[1]);
    }
    close(ends[1]);
    return {pid, FileDescriptor(ends[0])};
}

// What the child had reported when it died.
std::uint64_t last_reported(int fd, std::uint64_t before) {
    std::uint64_t height = 0, last = before;
    while (read(fd, &height, sizeof height) == sizeof height) last = height;
    return last;
}

TEST(Kill, NoReportedBlockIsEverLost) {
    const World world;
    const TemporaryFolder folder;
    const std::string path = folder.path() + "/chain";
    const std::uint64_t seed = std::random_device{}();
    std::cout << "seed " << seed << "\n";
    std::mt19937_64 random(seed);
    std::uint64_t reported = 0;
    int kills_amid_writing = 0;
    for (int kill_number = 0; kill_number < kKills; ++kill_number) {
        const Child child = start_child(world, path);
        // Opening takes a while at first; most kills shall fall into writing.
        usleep(static_cast<useconds_t>(random() % 120'000));
        ASSERT_EQ(kill(child.pid, SIGKILL), 0);
        int status = 0;
        ASSERT_EQ(waitpid(child.pid, &status, 0), child.pid);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
        const std::uint64_t before = reported;
        reported = last_reported(child.report.get(), reported);
        kills_amid_writing += reported > before;
        auto store = open_leveldb_store(path);
        ASSERT_TRUE(store.ok()) << store.error().message;
        const auto chain = Chain::open(std::move(store).value(), world.genesis);
        ASSERT_TRUE(chain.ok()) << chain.error().message;  // counts the state anew
        ASSERT_GE((*chain)->tip().height, reported) << "a reported block is missing";
        ASSERT_LE((*chain)->tip().height, reported + 1) << "a block came from nowhere";
        reported = (*chain)->tip().height;
    }
    auto store = open_leveldb_store(path);
    ASSERT_TRUE(store.ok());
    const auto chain = world.open_chain(std::move(store).value());
    const auto verified = chain->verify_all();
    ASSERT_TRUE(verified.ok()) << verified.error().message;
    EXPECT_TRUE(verified->ok) << verified->wrong_height << ": " << verified->reason;
    const auto twin = world.open_chain(make_memory_store());
    while (twin->tip().height < chain->tip().height) ASSERT_TRUE(append_block(world, *twin).ok());
    EXPECT_EQ(twin->tip().digest.digest(), chain->tip().digest.digest());
    EXPECT_EQ(twin->tip().totals, chain->tip().totals);
    std::cout << kKills << " kills, " << kills_amid_writing << " after new blocks, "
              << chain->tip().height << " blocks\n";
    EXPECT_GT(kills_amid_writing, kKills / 10) << "the kills came too early to prove anything";
}

}  // namespace
}  // namespace chain::ledger
