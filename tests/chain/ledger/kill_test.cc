// SPDX-License-Identifier: BSD-3-Clause
//
// A process that appends blocks is killed with SIGKILL, again and again: at any moment of its
// start, between writes, amid the write of a batch, while LevelDB writes out its memory or
// compacts, while the index is made anew, and with a full disk. After each kill the store is opened
// and counted anew, and must be one of two things: what had been reported as durable, or that and
// the whole batch that was under way. Then it must equal, in every key, the store of a twin in
// memory that was never killed and has the same height. The next process goes on from there. `make
// check` runs some kills, `make check-kills` a thousand. docs/crash_safety.md has the argument, and
// the numbers of a run.
//
// Signatures are those of tests/fuzz/cheap_schnorr.cc: the time shall go into writing.
#include <cerrno>
#include <cstring>
#include <sstream>

#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/base/log.h"
#include "tests/chain/ledger/kill_disk.h"
#include "tests/chain/ledger/kill_writer.h"

namespace chain::ledger {
namespace {

constexpr int kKillsOfCheck = 40;
constexpr int kKillsPerRound = 20;  // then a new chain on a new disk
constexpr int kBlocks = 160;
constexpr std::uint64_t kTxsMax = 1'000;
constexpr unsigned kReceivers = 100;
constexpr std::uint64_t kBlockMs = 10'000;
constexpr int kOpeningMsMax = 20'000;
constexpr int kWritingMsMax = 2'000;

int kills_wanted = kKillsOfCheck;
int kills_with_full_disk = 0;
std::string full_disk_missing;  // why there is no small file system; empty when there is one

// ---- the twin

class SummedStore final : public KeyValueStore {
public:
    Result<std::optional<Bytes>> get(std::string_view key) const override {
        return store_->get(key);
    }
    Status write(const WriteBatch &batch, bool durable) override {
        Status status = ok_status();
        batch.each([&](std::string_view key, std::optional<std::string_view> value) {
            if (status.ok()) status = write_one(key, value, durable);
        });
        return status;
    }
    Status scan_from(std::string_view prefix, std::string_view first,
                     const Visit &visit) const override {
        return store_->scan_from(prefix, first, visit);
    }
    std::uint64_t sum() const { return content_.sum(); }

private:
    // One by one, as a key may be twice in a batch.
    Status write_one(std::string_view key, std::optional<std::string_view> value, bool durable) {
        CHAIN_ASSIGN(const auto old, store_->get(key));
        if (old) content_.remove(key, *old);
        if (value) content_.put(key, *value);
        WriteBatch one;
        if (value)
            one.put(key, *value);
        else
            one.remove(key);
        return store_->write(one, durable);
    }

    std::unique_ptr<KeyValueStore> store_ = make_memory_store();
    ContentSum content_;
};

// Large ones often enough that LevelDB has to write out its memory; else as many small blocks as
// larger ones, on a scale of powers of two.
std::uint64_t tx_count(std::mt19937_64 &random) {
    if (random() % 8 == 0) return 1 + random() % kTxsMax;
    return 1 + random() % (2ULL << random() % 8);
}

// Makes the blocks of a run, one transaction list after the other, on a chain in memory.
class Twin {
public:
    explicit Twin(std::mt19937_64 &random) : random_(random) {
        auto store = std::make_unique<SummedStore>();
        store_ = store.get();
        chain_ = world_.open_chain(std::move(store));
        for (unsigned i = 0; i < kReceivers; ++i)
            receivers_.push_back(to_bytes(numbered_key(1'100 + i).public_key()));
        note();
        for (int i = 0; i < kBlocks; ++i) append();
    }

    const std::vector<Bytes> &blocks() const { return blocks_; }
    // What a store holds at each height.
    const std::string &tip_at(std::uint64_t height) const { return tips_[height]; }
    std::uint64_t content_at(std::uint64_t height) const { return contents_[height]; }
    std::uint64_t tx_count_at(std::uint64_t height) const { return tx_counts_[height]; }

private:
    struct Running {
        LeaseId id;
        unsigned renter, provider;
    };

    void append() {
        const std::uint64_t time_ms = chain_->tip().time_ms + kBlockMs;
        std::vector<std::uint64_t> nonces;
        for (const KeyPair &key : world_.keys)
            nonces.push_back(chain_->state().account(key.public_key())->nonce);
        const auto sender = static_cast<unsigned>(chain_->tip().height % 4);
        std::vector<Tx> txs;
        const std::uint64_t count = tx_count(random_);
        for (std::uint64_t i = 0; i < count; ++i) {
            wire::TxBody body = world_.transfer(sender, nonces[sender]++, 0, 1 + random_() % 100);
            body.mutable_transfer()->set_to(receivers_[random_() % kReceivers]);
            txs.push_back(world_.decode(world_.sign(body, {sender})));
        }
        if (!running_.empty() && random_() % 2 == 0) {
            const Running lease = running_.back();
            running_.pop_back();
            const auto voucher = world_.voucher(lease.renter, lease.id, 0, 1, 1'000'000'000);
            txs.push_back(world_.decode(world_.sign(
                world_.close(lease.provider, nonces[lease.provider]++, lease.id, {voucher}),
                {lease.provider})));
        }
        if (random_() % 2 == 0) {
            const unsigned first = (sender + 1) % 4, second = (sender + 2) % 4;
            const auto body = world_.open_lease(sender, nonces[sender]++, {first, second}, time_ms);
            txs.push_back(world_.decode(world_.sign(body, {sender, first, second})));
            running_.push_back({txs.back().id, sender, first});
        }
        const auto block = world_.sealer().seal(*chain_, txs, time_ms);
        CHAIN_CHECK(block.ok() && chain_->apply(*block).ok());
        blocks_.push_back(block->signed_bytes);
        tx_counts_.push_back(txs.size());
        note();
    }
    void note() {
        tips_.push_back(text_of(chain_->tip()));
        contents_.push_back(store_->sum());
    }

    const World world_;
    std::mt19937_64 &random_;
    SummedStore *store_;
    std::unique_ptr<Chain> chain_;
    std::vector<Bytes> receivers_, blocks_;
    std::vector<Running> running_;
    std::vector<std::string> tips_;
    std::vector<std::uint64_t> contents_;
    std::vector<std::uint64_t> tx_counts_{0};
};

// ---- other processes

struct Child {
    pid_t pid;
    FileDescriptor output;  // its standard output
};

// This program again, as a writer or as a checker.
Child start_self(std::vector<std::string> arguments) {
    int ends[2];
    CHAIN_CHECK(pipe2(ends, O_CLOEXEC) == 0);
    arguments.insert(arguments.begin(), "ledger_kill_test");
    std::vector<char *> pointers;
    for (std::string &argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    const pid_t pid = fork();
    CHAIN_CHECK(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);  // a writer never ends by itself
        dup2(ends[1], STDOUT_FILENO);
        execv("/proc/self/exe", pointers.data());
        _exit(9);
    }
    close(ends[1]);
    return {pid, FileDescriptor(ends[0])};
}

struct Checked {
    std::string error;  // empty: the store opened, and its books add up
    std::uint64_t height = 0;
    std::uint64_t content = 0;
    std::string tip;
};

Checked check_store(const std::string &path, const std::string &how) {
    const Child child = start_self({"--check", path, how});
    Bytes text;
    char buffer[4096];
    for (ssize_t got; (got = read(child.output.get(), buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<std::size_t>(got));
    int status = 0;
    CHAIN_CHECK(waitpid(child.pid, &status, 0) == child.pid);
    Checked out;
    if (text.starts_with("error ")) {
        out.error = text.substr(6, text.size() - 7);
    } else if (status != 0 || text.empty()) {
        out.error = "the checker did not end well: " + std::to_string(status);
    } else {
        std::istringstream line(text);
        line >> out.height >> out.content;
        std::getline(line >> std::ws, out.tip);
    }
    return out;
}

// ---- the kills

struct Counts {
    int kills = 0;
    int in_phase[kPhases] = {};
    int batch_there = 0, batch_not_there = 0;  // of those amid a write
    int amid_background_work = 0, amid_index = 0, on_small_disk = 0;
    int with_full_disk = 0, full_disk_met = 0, went_on = 0, starts_refused = 0;
    std::uint64_t disk_full_hits = 0, writes = 0, txs = 0;
    std::uint64_t heights = 0;  // by which chains grew between two kills, taken together
};

enum class DiskPlan { kSpace, kFullAtStart, kFullLater, kFullThenSpace };

class Round {
public:
    Round(const Twin &twin, const std::string &folder, std::mt19937_64 &random, Counts &counts,
          bool small_disk)
        : twin_(twin), folder_(folder), random_(random), counts_(counts), disk_(small_disk) {}

    void run() {
        for (int i = 0; i < kKillsPerRound && counts_.kills < kills_wanted; ++i) {
            kill_once(i);
            if (testing::Test::HasFatalFailure()) return;
        }
        const Checked whole = check_store(disk_.path(), "all");
        ASSERT_EQ(whole.error, "") << "replaying the whole chain";
    }

private:
    void kill_once(int number) {
        const DiskPlan plan = pick_plan();
        if (plan == DiskPlan::kFullAtStart) disk_.fill(pick_left_bytes());
        const std::string progress_path = folder_ + "/progress-" + std::to_string(random_());
        Progress &progress = map_progress(progress_path);
        const Child child = start_self({"--write", disk_.path(), folder_ + "/blocks", progress_path,
                                        std::to_string(random_())});
        pause(progress, child);
        if (plan == DiskPlan::kFullLater || plan == DiskPlan::kFullThenSpace) {
            disk_.fill(pick_left_bytes());
            pause(progress, child);
        }
        if (plan == DiskPlan::kFullThenSpace)
            wait_for(child, kWritingMsMax, [&] { return progress.disk_full_hits > 0; });
        const std::uint64_t hits_before_space = progress.disk_full_hits;
        const std::uint64_t height_before_space = progress.committed;
        if (plan == DiskPlan::kFullThenSpace) {
            disk_.make_space();
            pause(progress, child);
        }
        ASSERT_EQ(kill(child.pid, SIGKILL), 0);
        int status = 0;
        ASSERT_EQ(waitpid(child.pid, &status, 0), child.pid);
        const bool refused = WIFEXITED(status) && WEXITSTATUS(status) == kExitDiskFull;
        ASSERT_TRUE(WIFSIGNALED(status) || (refused && plan != DiskPlan::kSpace))
            << "the writer ended by itself: " << WEXITSTATUS(status);
        counts_.went_on += plan == DiskPlan::kFullThenSpace && hits_before_space > 0 &&
                           progress.committed != height_before_space;
        compare(number, plan, progress);
        count(plan, progress, refused);
        unlink(progress_path.c_str());
        unmap_progress(progress);
    }

    DiskPlan pick_plan() {
        if (!disk_.can_be_full() || random_() % 4 != 0) return DiskPlan::kSpace;
        return static_cast<DiskPlan>(1 + random_() % 3);
    }
    std::uint64_t pick_left_bytes() {
        return random_() % 2 == 0 ? 0 : (random_() % 64 * 4096) << random_() % 4;
    }

    static bool has_ended(const Child &child) {
        siginfo_t info{};
        return waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED | WNOHANG | WNOWAIT) ==
                   0 &&
               info.si_pid == child.pid;
    }
    template <class Condition>
    static void wait_for(const Child &child, int time_ms_max, const Condition &condition) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(time_ms_max);
        while (!condition() && !has_ended(child) && std::chrono::steady_clock::now() < end)
            usleep(20);
    }
    // One in four at any moment of the start; the others once the store is open, and half of those
    // aim at a write.
    void pause(const Progress &progress, const Child &child) {
        if (forgotten_) {
            wait_for(child, kOpeningMsMax, [&] { return progress.is_open || progress.writes > 1; });
            usleep(static_cast<useconds_t>(random_() % (2ULL << random_() % 16)));
            return;
        }
        const std::uint64_t aim = random_() % 8;
        if (aim < 2) {
            usleep(static_cast<useconds_t>(random_() % 80'000));
            return;
        }
        wait_for(child, kOpeningMsMax, [&] { return progress.is_open.load(); });
        if (aim < 4) {
            usleep(static_cast<useconds_t>(random_() % 80'000));
            return;
        }
        const std::uint64_t writes = progress.writes + random_() % 6;
        wait_for(child, kWritingMsMax, [&] {
            return progress.writes > writes && progress.phase == static_cast<int>(Phase::kWriting);
        });
        usleep(static_cast<useconds_t>(random_() % (1ULL << random_() % 12)));
    }

    void count(DiskPlan plan, const Progress &progress, bool refused) {
        ++counts_.kills;
        const int opening = static_cast<int>(Phase::kOpening);  // which may write, too
        ++counts_.in_phase[progress.is_open ? progress.phase.load()
                                            : std::min(progress.phase.load(), opening)];
        counts_.on_small_disk += disk_.can_be_full();
        counts_.with_full_disk += plan != DiskPlan::kSpace;
        counts_.full_disk_met += progress.disk_full_hits > 0 || refused;
        counts_.disk_full_hits += progress.disk_full_hits;
        counts_.writes += progress.writes;
        counts_.starts_refused += refused;
    }

    // The store against what was reported, and against the twin.
    void compare(int number, DiskPlan plan, const Progress &progress) {
        counts_.amid_background_work += disk_.is_amid_background_work();
        if (plan == DiskPlan::kFullAtStart || plan == DiskPlan::kFullLater) {
            const Checked full = check_store(disk_.path(), "state");
            ASSERT_TRUE(full.error.empty() || full.error == "full") << full.error;
            disk_.make_space();
        }
        counts_.amid_index += forgotten_ && !progress.is_open && progress.writes > 0;
        forgotten_ = random_() % 8 == 0;
        const Checked checked = check_store(disk_.path(), forgotten_ ? "forget" : "state");
        ASSERT_EQ(checked.error, "") << "the start after kill " << number;
        const std::uint64_t written = progress.is_open ? progress.written.load() : height_;
        const std::uint64_t writing = progress.is_open ? progress.writing.load() : height_;
        const std::uint64_t refused = progress.is_open ? progress.refused.load() : height_;
        ASSERT_TRUE(checked.height == written || checked.height == writing ||
                    checked.height == refused)
            << "height " << checked.height << ", written " << written << ", under way " << writing
            << ", refused last " << refused;
        ASSERT_EQ(checked.tip, twin_.tip_at(checked.height)) << "stored, and the twin's";
        ASSERT_EQ(checked.content, twin_.content_at(checked.height))
            << "some key differs from the twin's at height " << checked.height;
        if (progress.phase == static_cast<int>(Phase::kWriting) && writing != written)
            ++(checked.height == writing ? counts_.batch_there : counts_.batch_not_there);
        for (std::uint64_t at = height_ + 1; at <= checked.height; ++at) {
            ++counts_.heights;
            counts_.txs += twin_.tx_count_at(at);
        }
        height_ = checked.height;
    }

    const Twin &twin_;
    const std::string folder_;
    std::mt19937_64 &random_;
    Counts &counts_;
    Disk disk_;
    std::uint64_t height_ = 0;  // at the last check
    bool forgotten_ = false;    // that the index is whole: the next start makes it anew
};

void print(const Counts &counts, int rounds) {
    static constexpr const char *kNames[kPhases] = {
        "before the store was opened", "while opening it", "between two writes",
        "executing, between writes",   "within a write",   "after it, before its report"};
    std::cout << counts.kills << " kills, " << rounds << " chains\n";
    for (int i = 0; i < kPhases; ++i)
        std::cout << "  " << kNames[i] << ": " << counts.in_phase[i] << "\n";
    std::cout << "  of those within a write: batch there afterwards " << counts.batch_there
              << ", not there " << counts.batch_not_there << "\n"
              << "  amid LevelDB's writing out or compacting: " << counts.amid_background_work
              << "\n  amid making the index anew: " << counts.amid_index
              << "\n  on a small file system: " << counts.on_small_disk << ", filled "
              << counts.with_full_disk << ", met full " << counts.full_disk_met << " ("
              << counts.disk_full_hits << " writes refused, " << counts.starts_refused
              << " starts refused, " << counts.went_on << " went on when there was space)\n"
              << "  " << counts.writes << " batches begun; chains grew by " << counts.heights
              << " blocks, " << counts.txs << " transactions" << std::endl;
}

TEST(Kill, NoReportedBlockIsEverLost) {
    set_log_level(LogLevel::kError);
    const std::uint64_t seed = std::random_device{}();
    std::cout << "seed " << seed << std::endl;
    std::mt19937_64 random(seed);
    const TemporaryFolder folder;
    {
        const KeyPair key = numbered_key(1);
        ASSERT_EQ(key.sign("a", "b"), key.sign("a", "b")) << "signatures are dear";
    }
    const Twin twin(random);
    save_blocks(folder.path() + "/blocks", twin.blocks());
    Counts counts;
    int rounds = 0;
    while (counts.kills < kills_wanted && !HasFatalFailure()) {
        const bool small_disk = full_disk_missing.empty() && rounds % 4 != 1;
        Round(twin, folder.path(), random, counts, small_disk).run();
        ++rounds;
    }
    print(counts, rounds);
    kills_with_full_disk = counts.with_full_disk;
    EXPECT_GT(counts.in_phase[static_cast<int>(Phase::kWriting)], counts.kills / 20)
        << "the kills hit too few writes to prove anything";
}

TEST(Kill, SomeOfThemWithAFullDisk) {
    if (!full_disk_missing.empty()) GTEST_SKIP() << full_disk_missing;
    EXPECT_GT(kills_with_full_disk, 0);
}

// A small file system, which nobody else sees and which ends with this process.
void try_small_disk() {
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
        full_disk_missing =
            std::string("a file system of one's own needs root: ") + std::strerror(errno);
        return;
    }
    const TemporaryFolder probe;
    if (mount("tmpfs", probe.path().c_str(), "tmpfs", 0, "size=1m") != 0)
        full_disk_missing = std::string("mounting one failed: ") + std::strerror(errno);
    else
        umount2(probe.path().c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace chain::ledger

int main(int argument_count, char **arguments) {
    using namespace chain::ledger;
    const std::vector<std::string> words(arguments + 1, arguments + argument_count);
    if (words.size() == 5 && words[0] == "--write")
        run_writer(words[1], words[2], words[3], std::stoull(words[4]));
    if (words.size() == 3 && words[0] == "--check") run_checker(words[1], words[2]);
    testing::InitGoogleTest(&argument_count, arguments);
    if (argument_count == 2) kills_wanted = std::atoi(arguments[1]);
    if (argument_count > 2 || kills_wanted <= 0) {
        std::cerr << "usage: ledger_kill_test [KILLS]\n";
        return 2;
    }
    try_small_disk();
    return RUN_ALL_TESTS();
}
