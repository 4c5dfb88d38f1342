// SPDX-License-Identifier: BSD-3-Clause
#include "chain/meter/meter.h"

#include <csignal>
#include <ctime>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/meter/cpu_time.h"
#include "tests/chain/provider/support.h"

namespace chain::meter {
namespace {

using provider::TestFolder;
using provider::write_text;

constexpr std::uint64_t kTickNs = 10'000'000;  // of /proc/stat

void burn_ms(std::uint64_t ms, clockid_t clock = CLOCK_THREAD_CPUTIME_ID) {
    timespec start{}, now{};
    clock_gettime(clock, &start);
    do {
        for (int i = 0; i < 1000; ++i) {
            asm volatile("");
        }
        clock_gettime(clock, &now);
    } while ((now.tv_sec - start.tv_sec) * 1'000'000'000LL + now.tv_nsec - start.tv_nsec <
             static_cast<long long>(ms) * 1'000'000);
}

void burn_in_kernel_ms(std::uint64_t ms) {
    const int zero = open("/dev/zero", O_RDONLY);
    static char buffer[1 << 16];
    timespec start{}, now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    do {
        for (int i = 0; i < 20; ++i)
            [[maybe_unused]] const ssize_t got = read(zero, buffer, sizeof buffer);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    } while ((now.tv_sec - start.tv_sec) * 1'000'000'000LL + now.tv_nsec - start.tv_nsec <
             static_cast<long long>(ms) * 1'000'000);
    close(zero);
}

// What the host of this virtual machine gave to others, of all its processors. perf's clock runs on
// meanwhile, that of rusage does not.
std::uint64_t read_stolen_ns() {
    std::ifstream file("/proc/stat");
    std::string word;
    std::uint64_t ticks = 0;
    file >> word;
    for (int column = 0; column < 8; ++column) file >> ticks;
    return file ? ticks * kTickNs : 0;
}
std::uint64_t stolen_ns = 0;  // during the last run_adopted

// Forks a child that waits until `adopt` was called for it, then runs `work` and waits for all of
// its descendants, also those that were given away (it is their subreaper). Returns what wait4 says
// of all of them, in ns.
std::uint64_t run_adopted(const std::function<void(int pid)> &adopt,
                          const std::function<void()> &work) {
    int go[2];
    EXPECT_EQ(pipe(go), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        close(go[1]);
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        char byte;
        if (read(go[0], &byte, 1) != 1) _exit(1);
        work();
        while (wait(nullptr) > 0) {
        }
        _exit(0);
    }
    adopt(pid);
    const std::uint64_t stolen_before_ns = read_stolen_ns();
    EXPECT_EQ(write(go[1], "g", 1), 1);
    int status = 0;
    rusage usage{};
    EXPECT_EQ(wait4(pid, &status, 0, &usage), pid);
    EXPECT_EQ(status, 0);
    stolen_ns = read_stolen_ns() - stolen_before_ns;
    if (stolen_ns > 0) stolen_ns += kTickNs;  // they come in whole ticks
    close(go[0]);
    close(go[1]);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000'000ULL +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000ULL;
}

void daemonised(const std::function<void()> &work) {
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            setsid();
            work();
            _exit(0);
        }
        _exit(0);
    }
}

void mixed_tree() {
    daemonised([] { burn_ms(150); });
    for (int i = 0; i < 40; ++i) {
        const pid_t pid = fork();
        if (pid == 0) {
            burn_ms(2);
            _exit(0);
        }
        waitpid(pid, nullptr, 0);
    }
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back([] { burn_ms(80); });
    for (auto &thread : threads) thread.join();
    burn_in_kernel_ms(200);
}

#ifdef __SANITIZE_ADDRESS__
constexpr double kShadowShare = 0.25;  // of the time goes into its memory before and after the work
#else
constexpr double kShadowShare = 0;
#endif

// Of a tree of 40 short processes: what the kernel does to end them is in rusage, and counted by no
// perf event. Up to half a millisecond each, by the kernel's version.
constexpr double kEndsShare = 0.05;

void expect_within(std::uint64_t measured_ns, std::uint64_t expected_ns, double share) {
    const auto expected = static_cast<double>(expected_ns);
    const double margin = (share + kShadowShare) * expected;
    EXPECT_GT(measured_ns, expected - margin);
    EXPECT_LT(measured_ns, expected + margin + stolen_ns) << "stolen: " << stolen_ns;
}

TEST(LeaseMeter, CountsATreeAsRusageDoes) {
    auto meter = make_lease_meter(2'000'000'000);
    ASSERT_TRUE(meter.ok());
    const std::uint64_t used_ns = run_adopted(
        [&](int pid) {
            const Status adopted = (*meter)->adopt(pid);
            ASSERT_TRUE(adopted.ok()) << adopted.error().message;
        },
        mixed_tree);
    const auto usage = (*meter)->read();  // after the end of all of them
    ASSERT_TRUE(usage.ok());
    expect_within(usage->cpu_time_ns, used_ns, kEndsShare);
    if (usage->meter_class == MeterClass::kCalibrated) {
        EXPECT_EQ(usage->cycles, usage->cpu_time_ns * 2);
    }
    EXPECT_EQ((*meter)->read()->cpu_time_ns, usage->cpu_time_ns);
}

TEST(LeaseMeter, NeverDecreasesWhileItRuns) {
    auto meter = make_lease_meter(1'000'000'000);
    ASSERT_TRUE(meter.ok());
    std::thread reader;
    bool done = false;
    std::uint64_t reads = 0;
    run_adopted(
        [&](int pid) {
            ASSERT_TRUE((*meter)->adopt(pid).ok());
            reader = std::thread([&] {
                Cycles last = 0;
                while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
                    const auto usage = (*meter)->read();
                    ASSERT_TRUE(usage.ok());
                    ASSERT_GE(usage->cycles, last);
                    last = usage->cycles;
                    ++reads;
                    usleep(2000);
                }
            });
        },
        mixed_tree);
    __atomic_store_n(&done, true, __ATOMIC_RELEASE);
    reader.join();
    EXPECT_GT(reads, 20u);
}

TEST(LeaseMeter, CountsOneThatExecutesAFileItMayNotRead) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
    host::GroupTree tree(host::read_cgroup_layout(), {});
    if (!tree.support().cpu_time) GTEST_SKIP() << "no cgroup counts CPU time here";
    const auto group = tree.make({});
    ASSERT_TRUE(group.ok());
    TestFolder folder;
    std::filesystem::copy("/bin/bash", folder / "closed");
    ASSERT_EQ(chmod((folder / "closed").c_str(), 0111), 0);
    const std::string program = folder / "closed";
    auto meter = make_lease_meter(1'000'000'000, group->get());
    ASSERT_TRUE(meter.ok());
    const std::uint64_t used_ns = run_adopted(
        [&](int pid) {
            ASSERT_TRUE((*group)->adopt(pid).ok());
            ASSERT_TRUE((*meter)->adopt(pid).ok());
        },
        [&] {
            if (fork() == 0) {
                if (setresuid(65534, 65534, 65534) != 0) _exit(1);
                execl(program.c_str(), "closed", "-c", "for ((i=0;i<150000;i++)); do :; done",
                      nullptr);
                _exit(1);
            }
        });
    expect_within((*meter)->read()->cpu_time_ns, used_ns, 0.05);
}

// Each way to count alone, against rusage; as root and as an ordinary user.
void check_source(const std::function<std::unique_ptr<CpuTimeSource>()> &make, double share,
                  host::ControlGroup *group = nullptr) {
    auto source = make();
    const std::uint64_t used_ns = run_adopted(
        [&](int pid) {
            if (group != nullptr) {
                ASSERT_TRUE(group->adopt(pid).ok());
            }
            ASSERT_TRUE(source->adopt(pid).ok());
        },
        mixed_tree);
    const auto counted_ns = source->read_ns();
    ASSERT_TRUE(counted_ns.ok());
    expect_within(*counted_ns, used_ns, share);
}

TEST(CpuTimeSource, GroupIsExact) {
    host::GroupTree tree(host::read_cgroup_layout(), {});
    if (!tree.support().cpu_time) GTEST_SKIP() << "no cgroup counts CPU time here";
    const auto group = tree.make({});
    ASSERT_TRUE(group.ok());
    check_source([&] { return make_group_cpu_time(**group); }, 0.02, group->get());
}

bool perf_is_allowed() {
    return PerfCounter::open(PerfCounter::Event::kTaskClock, getpid()).ok();
}

TEST(CpuTimeSource, PerfIsExact) {
    if (!perf_is_allowed()) GTEST_SKIP() << "perf events are not allowed here";
    check_source(make_perf_cpu_time, kEndsShare);
}

TEST(CpuTimeSource, PerfCountsTheKernelForAnOrdinaryUserToo) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
    const pid_t pid = fork();
    if (pid == 0) {
        if (setresuid(65534, 65534, 65534) != 0) _exit(2);
        prctl(PR_SET_DUMPABLE, 1);
        if (!perf_is_allowed()) _exit(77);
        // More than a quarter of the work is the kernel's; how exact it is others look at.
        check_source(make_perf_cpu_time, 0.05);
        _exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "perf_event_paranoid forbids it";
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(CpuTimeSource, ProcessTreeRemembersWhatEnded) {
    auto source = make_process_tree_cpu_time();
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        mixed_tree();
        while (wait(nullptr) > 0) {
        }
        if (write(ends[1], "d", 1) != 1) _exit(1);
        pause();
        _exit(0);
    }
    ASSERT_TRUE(source->adopt(pid).ok());
    char byte;
    ASSERT_EQ(read(ends[0], &byte, 1), 1);
    const auto counted_ns = source->read_ns();
    ASSERT_TRUE(counted_ns.ok());
    kill(pid, SIGKILL);
    rusage usage{};
    ASSERT_EQ(wait4(pid, nullptr, 0, &usage), pid);
    const auto used_ns =
        static_cast<std::uint64_t>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000'000 +
        static_cast<std::uint64_t>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
    expect_within(*counted_ns, used_ns, 0.04);
    EXPECT_EQ(*source->read_ns(), *counted_ns);
    close(ends[0]);
    close(ends[1]);
}

TEST(Calibration, RepeatsItself) {
    std::uint64_t one = 0, two = 0;
    for (int attempt = 0; attempt < 5; ++attempt) {  // noise of other programs
        one = calibrate().hz;
        const Calibration again = calibrate();
        two = again.hz;
        EXPECT_GE(again.chain_count, 50u);
        EXPECT_LE(again.spread_ppm, kPpm);
        if (std::max(one, two) - std::min(one, two) < std::max(one, two) / 20) break;
    }
    EXPECT_LT(std::max(one, two) - std::min(one, two), std::max(one, two) / 20)
        << one << " and " << two;
    EXPECT_GT(one, 300'000'000u);
    EXPECT_LT(one, 10'000'000'000u);
}

TEST(Support, SaysWhichClassAndWhy) {
    const MeterSupport support = probe_meter();
    EXPECT_FALSE(support.why.empty());
    EXPECT_EQ(meter_class_name(MeterClass::kHw), "hw");
    EXPECT_EQ(meter_class_name(MeterClass::kSampled), "sampled");
    EXPECT_EQ(meter_class_name(MeterClass::kCalibrated), "calibrated");
    EXPECT_FALSE(make_lease_meter(0).ok());
}

}  // namespace
}  // namespace chain::meter
