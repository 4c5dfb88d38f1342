// SPDX-License-Identifier: BSD-3-Clause
//
// A process that appends blocks is killed with SIGKILL at random moments, again and again: while it
// opens its store, while it writes a batch, while LevelDB writes out its memory or compacts, and
// with a full disk. After each kill: every block that it had reported is there, the stored books
// add up when counted anew, and a twin in memory that was never killed and applied the same blocks
// has the same tip, to the digest. `make check` runs some kills, `make check-kills` a thousand.
//
// This process never opens a store itself: LevelDB's thread does not survive a fork, and a writer
// that was forked after it would never compact. Writers and checkers are both children.
//
// Signatures are those of tests/fuzz/cheap_schnorr.cc: the time shall go into writing.
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/base/log.h"
#include "tests/chain/ledger/ledger_fixture.h"

namespace chain::ledger {
namespace {

constexpr int kKillsOfCheck = 60;
constexpr int kKillsPerRound = 40;
constexpr std::uint64_t kDiskBytes = 64u << 20;
constexpr std::uint64_t kRoundBytesMax = 24u << 20;  // then a new chain on a new disk
constexpr unsigned kReceivers = 200;
constexpr std::uint64_t kTxsMax = 2'000;
constexpr int kExitDiskFull = 10;
constexpr int kOpeningMsMax = 5'000;

int kills_wanted = kKillsOfCheck;
std::string full_disk_missing;  // why there is no small file system; empty when there is one

// ---- the writer

struct Report {
    std::uint64_t height;  // 0: the store is open
    BlockId id;
};

// Receivers have keys of their own, made once: a point on the curve costs as much as a signature.
const std::vector<PublicKey> &receivers() {
    static const std::vector<PublicKey> made = [] {
        std::vector<PublicKey> keys;
        for (unsigned i = 0; i < kReceivers; ++i)
            keys.push_back(numbered_key(100 + i).public_key());
        return keys;
    }();
    return made;
}

// Large ones often enough that LevelDB has to write out its memory; else as many small blocks as
// larger ones, on a scale of powers of two.
std::uint64_t tx_count(std::mt19937_64 &random) {
    if (random() % 4 == 0) return 1 + random() % kTxsMax;
    return 1 + random() % std::min<std::uint64_t>(kTxsMax, 2ULL << random() % 11);
}

std::vector<Tx> txs_of_block(const World &world, const Chain &chain, std::mt19937_64 &random) {
    std::vector<Tx> txs;
    const auto sender = static_cast<unsigned>(chain.tip().height % 4);
    std::uint64_t nonce = chain.state().account(world.keys[sender].public_key())->nonce;
    const std::uint64_t count = tx_count(random);
    for (std::uint64_t i = 0; i < count; ++i) {
        wire::TxBody body = world.transfer(sender, nonce++, 0, 1 + random() % 100);
        body.mutable_transfer()->set_to(to_bytes(receivers()[random() % kReceivers]));
        txs.push_back(world.decode(world.sign(body, {sender})));
    }
    if (random() % 2 == 0) {
        const std::vector<unsigned> providers{(sender + 1) % 4, (sender + 2) % 4};
        const auto body =
            world.open_lease(sender, nonce++, providers, chain.tip().time_ms + 10'000, 1'000);
        txs.push_back(world.decode(world.sign(body, {sender, providers[0], providers[1]})));
    }
    return txs;
}

// Never returns. Writes a report of each durable block to `report_fd`.
[[noreturn]] void append_until_killed(const World &world, const std::string &path, int report_fd,
                                      std::uint64_t seed) {
    auto store = open_leveldb_store(path);
    if (!store.ok()) _exit(store.error().code == ErrorCode::kDiskFull ? kExitDiskFull : 2);
    auto chain = Chain::open(std::move(store).value(), world.genesis);
    if (!chain.ok()) _exit(chain.error().code == ErrorCode::kDiskFull ? kExitDiskFull : 3);
    const Report opened{};
    if (write(report_fd, &opened, sizeof opened) != sizeof opened) _exit(5);
    std::mt19937_64 random(seed);
    for (;;) {
        const auto block =
            world.sealer().seal(**chain, txs_of_block(world, **chain, random), kGenesisTimeMs);
        if (!block.ok()) _exit(4);
        Status applied = (*chain)->apply(*block);
        // As a sealer's daemon does: it tries again until there is space.
        while (!applied.ok() && applied.error().code == ErrorCode::kDiskFull) {
            usleep(500);
            applied = (*chain)->apply(*block);
        }
        if (!applied.ok()) _exit(6);
        const Report report{block->header.height(), block->id};
        if (write(report_fd, &report, sizeof report) != sizeof report) _exit(5);
    }
}

struct Child {
    pid_t pid;
    FileDescriptor output;
};

template <class Run>
Child start_child(const Run &run) {
    int ends[2];
    CHAIN_CHECK(pipe2(ends, O_CLOEXEC) == 0);
    const pid_t pid = fork();
    CHAIN_CHECK(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        run(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    return {pid, FileDescriptor(ends[0])};
}

// ---- the checker

bool read_whole(int fd, void *buffer, std::size_t size_bytes) {
    auto *at = static_cast<char *>(buffer);
    while (size_bytes > 0) {
        const ssize_t got = read(fd, at, size_bytes);
        if (got <= 0) return false;
        at += got;
        size_bytes -= static_cast<std::size_t>(got);
    }
    return true;
}

void send(int fd, std::string_view bytes) {
    const std::uint64_t size_bytes = bytes.size();
    if (!write_all(fd, {reinterpret_cast<const char *>(&size_bytes), sizeof size_bytes}, "send")
             .ok() ||
        !write_all(fd, bytes, "send").ok())
        _exit(5);
}

std::optional<Bytes> receive(int fd) {
    std::uint64_t size_bytes = 0;
    if (!read_whole(fd, &size_bytes, sizeof size_bytes)) return std::nullopt;
    Bytes bytes(size_bytes, '\0');
    if (!read_whole(fd, bytes.data(), bytes.size())) return std::nullopt;
    return bytes;
}

// What can be compared of a tip, as text.
std::string text_of(const Tip &tip) {
    return "height " + std::to_string(tip.height) + ", block " + to_hex(tip.id) + ", digest " +
           to_hex(tip.digest.digest()) + ", balances " + std::to_string(tip.totals.balances.units) +
           ", escrow " + std::to_string(tip.totals.escrow.units) + ", collateral " +
           std::to_string(tip.totals.collateral.units) + ", burned " +
           std::to_string(tip.totals.burned.units);
}

struct Checked {
    std::string error;  // empty: the store opened, and its books add up
    bool disk_full = false;
    std::string tip;
    std::vector<Bytes> blocks;  // after the twin's
};

// Opens the store in a child, which counts everything anew, and gets the blocks after `height`.
Checked check_store(const World &world, const std::string &path, std::uint64_t height,
                    bool verify_all) {
    const Child child = start_child([&](int fd) {
        const auto fail = [&](const Error &error) {
            send(fd, error.code == ErrorCode::kDiskFull ? "full" : error.message);
            _exit(0);
        };
        auto store = open_leveldb_store(path);
        if (!store.ok()) fail(store.error());
        auto chain = Chain::open(std::move(store).value(), world.genesis);
        if (!chain.ok()) fail(chain.error());
        if (const Status counted = (*chain)->check_recount(); !counted.ok()) fail(counted.error());
        if (verify_all) {
            const auto verified = (*chain)->verify_all();
            if (!verified.ok()) fail(verified.error());
            if (!verified->ok) fail(make_error(ErrorCode::kCorrupt, verified->reason));
        }
        send(fd, "");
        send(fd, text_of((*chain)->tip()));
        for (std::uint64_t at = height + 1; at <= (*chain)->tip().height; ++at) {
            const auto bytes = (*chain)->block_bytes_at(at);
            if (!bytes.ok()) _exit(7);
            send(fd, *bytes);
        }
    });
    Checked out;
    const auto error = receive(child.output.get());
    out.error = error.value_or("the checker said nothing");
    out.disk_full = out.error == "full";
    if (out.error.empty()) out.tip = receive(child.output.get()).value_or("nothing");
    while (auto block = receive(child.output.get())) out.blocks.push_back(std::move(*block));
    int status = 0;
    CHAIN_CHECK(waitpid(child.pid, &status, 0) == child.pid);
    if (status != 0 && out.error.empty()) out.error = "the checker did not end well";
    return out;
}

// ---- the disk

class Disk {
public:
    Disk() {
        if (!full_disk_missing.empty()) return;
        const std::string options = "size=" + std::to_string(kDiskBytes) + ",mode=0700";
        CHAIN_CHECK(mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, options.c_str()) == 0);
    }
    ~Disk() {
        if (full_disk_missing.empty()) umount2(folder_.path().c_str(), MNT_DETACH);
    }
    std::string path() const { return folder_.path() + "/chain"; }
    bool can_be_full() const { return full_disk_missing.empty(); }

    void fill(std::uint64_t left_bytes) {
        const FileDescriptor file(
            open(ballast().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC | O_TRUNC, 0600));
        const std::uint64_t free_bytes = space([](const auto &status) { return status.f_bavail; });
        if (free_bytes > left_bytes)
            (void)fallocate(file.get(), 0, 0, static_cast<off_t>(free_bytes - left_bytes));
    }
    void make_space() { unlink(ballast().c_str()); }

    std::uint64_t used_bytes() const {
        std::uint64_t sum = 0;
        for (const auto &entry : std::filesystem::directory_iterator(path()))
            sum += entry.file_size();
        return sum;
    }
    // True if LevelDB's own log ends amid writing out its memory or a compaction.
    bool is_amid_background_work() const {
        std::ifstream log(path() + "/LOG");
        bool amid = false;
        for (std::string line; std::getline(log, line);) {
            if (line.find(": started") != std::string::npos ||
                line.find("Compacting ") != std::string::npos)
                amid = true;
            if (line.find("bytes OK") != std::string::npos ||
                line.find("ompacted to") != std::string::npos)
                amid = false;
        }
        return amid;
    }

private:
    std::string ballast() const { return folder_.path() + "/ballast"; }
    template <class Count>
    std::uint64_t space(const Count &count) const {
        struct statvfs status {};
        CHAIN_CHECK(statvfs(folder_.path().c_str(), &status) == 0);
        return std::uint64_t{count(status)} * status.f_frsize;
    }

    TemporaryFolder folder_;
};

// ---- the kills

struct Counts {
    int kills = 0, while_opening = 0, after_new_blocks = 0, amid_background_work = 0;
    int with_full_disk = 0, healed = 0, starts_refused = 0;
    std::uint64_t blocks = 0, txs = 0;
};

enum class DiskPlan { kSpace, kFullAtStart, kFullLater, kFullThenSpace };

class Round {
public:
    Round(const World &world, std::mt19937_64 &random, Counts &counts)
        : world_(world),
          random_(random),
          counts_(counts),
          twin_(world.open_chain(make_memory_store())) {}

    void run() {
        for (int i = 0; i < kKillsPerRound && counts_.kills < kills_wanted; ++i) {
            kill_once();
            if (testing::Test::HasFatalFailure()) return;
            if (disk_.used_bytes() > kRoundBytesMax) break;
        }
        const Checked whole = check_store(world_, disk_.path(), twin_->tip().height, true);
        ASSERT_EQ(whole.error, "") << "replaying the whole chain";
    }

private:
    void kill_once() {
        const DiskPlan plan = pick_plan();
        if (plan == DiskPlan::kFullAtStart) disk_.fill(pick_left_bytes());
        const std::uint64_t seed = random_();
        const Child child =
            start_child([&](int fd) { append_until_killed(world_, disk_.path(), fd, seed); });
        pause(child);
        if (plan == DiskPlan::kFullLater || plan == DiskPlan::kFullThenSpace) {
            disk_.fill(pick_left_bytes());
            pause(child);
        }
        std::uint64_t when_space = 0;
        std::vector<Report> reports;
        if (plan == DiskPlan::kFullThenSpace) {
            reports = drain(child.output.get());
            when_space = reports.size();
            disk_.make_space();
            pause(child);
        }
        ASSERT_EQ(kill(child.pid, SIGKILL), 0);
        int status = 0;
        ASSERT_EQ(waitpid(child.pid, &status, 0), child.pid);
        const bool refused = WIFEXITED(status) && WEXITSTATUS(status) == kExitDiskFull;
        ASSERT_TRUE(WIFSIGNALED(status) || (refused && plan != DiskPlan::kSpace))
            << "the writer ended by itself: " << WEXITSTATUS(status);
        for (const Report &late : drain(child.output.get())) reports.push_back(late);
        count(plan, reports, when_space, refused);
        compare(plan, reports);
    }

    DiskPlan pick_plan() {
        if (!disk_.can_be_full() || random_() % 4 != 0) return DiskPlan::kSpace;
        return static_cast<DiskPlan>(1 + random_() % 3);
    }
    std::uint64_t pick_left_bytes() {
        return random_() % 4 == 0 ? 0 : (random_() % 256 * 4096) << random_() % 4;
    }
    // A third of the kills come at any moment of opening, the others once the store is open: how
    // long that takes is the machine's affair.
    void pause(const Child &child) {
        if (random_() % 3 != 0) {
            pollfd ready{child.output.get(), POLLIN, 0};
            poll(&ready, 1, kOpeningMsMax);
        }
        usleep(static_cast<useconds_t>(random_() % 80'000));
    }

    static std::vector<Report> drain(int fd) {
        CHAIN_CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
        std::vector<Report> reports;
        Report report;
        while (read(fd, &report, sizeof report) == sizeof report) reports.push_back(report);
        return reports;
    }

    void count(DiskPlan plan, const std::vector<Report> &reports, std::uint64_t when_space,
               bool refused) {
        ++counts_.kills;
        counts_.while_opening += reports.empty() && !refused;
        counts_.after_new_blocks += reports.size() > 1;
        counts_.with_full_disk += plan != DiskPlan::kSpace;
        counts_.healed += plan == DiskPlan::kFullThenSpace && reports.size() > when_space;
        counts_.starts_refused += refused;
        counts_.amid_background_work += disk_.is_amid_background_work();
    }

    // The store against what was reported, and against the twin.
    void compare(DiskPlan plan, const std::vector<Report> &reports) {
        if (plan == DiskPlan::kFullAtStart || plan == DiskPlan::kFullLater) {
            const Checked full = check_store(world_, disk_.path(), twin_->tip().height, false);
            ASSERT_TRUE(full.error.empty() || full.disk_full) << full.error;
            disk_.make_space();
        }
        // A start that is killed too is one more kill, and changes nothing.
        if (random_() % 4 == 0) kill_a_start();
        const Checked checked = check_store(world_, disk_.path(), twin_->tip().height, false);
        ASSERT_EQ(checked.error, "") << "the start after the kill";
        const std::uint64_t before = twin_->tip().height;
        for (const Bytes &bytes : checked.blocks) {
            const auto block = decode_block(bytes, world_.genesis);
            ASSERT_TRUE(block.ok()) << block.error().message;
            const Status applied = twin_->apply(*block);
            ASSERT_TRUE(applied.ok()) << applied.error().message;
            ++counts_.blocks;
            counts_.txs += block->header.tx_count();
        }
        ASSERT_EQ(checked.tip, text_of(twin_->tip())) << "stored, and the twin's";
        std::uint64_t reported = before;
        for (const Report &report : reports) {
            if (report.height == 0) continue;
            ASSERT_EQ(report.height, ++reported);
            ASSERT_LE(report.height, twin_->tip().height) << "a reported block is lost";
            ASSERT_EQ(to_hex(twin_->block_at(report.height)->id), to_hex(report.id));
        }
        ASSERT_LE(twin_->tip().height, reported + 1) << "a block came from nowhere";
    }

    void kill_a_start() {
        const Child child = start_child([&](int) {
            auto store = open_leveldb_store(disk_.path());
            if (store.ok()) (void)Chain::open(std::move(store).value(), world_.genesis).ok();
            pause_for_ever();
        });
        usleep(static_cast<useconds_t>(random_() % 15'000));
        ASSERT_EQ(kill(child.pid, SIGKILL), 0);
        ASSERT_EQ(waitpid(child.pid, nullptr, 0), child.pid);
        ++counts_.kills;
        ++counts_.while_opening;
        counts_.amid_background_work += disk_.is_amid_background_work();
    }
    [[noreturn]] static void pause_for_ever() {
        for (;;) ::pause();
    }

    const World &world_;
    std::mt19937_64 &random_;
    Counts &counts_;
    Disk disk_;
    std::unique_ptr<Chain> twin_;
};

TEST(Kill, NoReportedBlockIsEverLost) {
    set_log_level(LogLevel::kError);
    const World world;
    ASSERT_EQ(world.keys[0].sign("a", "b"), world.keys[0].sign("a", "b")) << "signatures are dear";
    (void)receivers();
    const std::uint64_t seed = std::random_device{}();
    std::cout << "seed " << seed << std::endl;
    std::mt19937_64 random(seed);
    Counts counts;
    int rounds = 0;
    while (counts.kills < kills_wanted && !HasFatalFailure()) {
        Round(world, random, counts).run();
        ++rounds;
    }
    std::cout << counts.kills << " kills (" << counts.while_opening << " while opening, "
              << counts.amid_background_work << " amid LevelDB's writing out or compacting, "
              << counts.after_new_blocks << " after new blocks, " << counts.with_full_disk
              << " with a full disk: " << counts.healed << " went on when there was space, "
              << counts.starts_refused << " starts refused), " << rounds << " chains, "
              << counts.blocks << " blocks, " << counts.txs << " transactions, lost "
              << (HasFatalFailure() ? "see above" : "0") << std::endl;
    if (!full_disk_missing.empty())
        std::cout << "full disk: not tried, " << full_disk_missing << std::endl;
    EXPECT_GT(counts.after_new_blocks, counts.kills / 10)
        << "the kills came too early to prove anything";
}

}  // namespace
}  // namespace chain::ledger

int main(int argument_count, char **arguments) {
    using namespace chain::ledger;
    testing::InitGoogleTest(&argument_count, arguments);
    if (argument_count == 2) kills_wanted = std::atoi(arguments[1]);
    if (argument_count > 2 || kills_wanted <= 0) {
        std::cerr << "usage: ledger_kill_test [KILLS]\n";
        return 2;
    }
    // A small file system, which nobody else sees and which ends with this process.
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
        full_disk_missing =
            std::string("a file system of one's own needs root: ") + std::strerror(errno);
    else {
        const TemporaryFolder probe;
        if (mount("tmpfs", probe.path().c_str(), "tmpfs", 0, "size=1m") != 0)
            full_disk_missing = std::string("mounting one failed: ") + std::strerror(errno);
        else
            umount2(probe.path().c_str(), MNT_DETACH);
    }
    return RUN_ALL_TESTS();
}
