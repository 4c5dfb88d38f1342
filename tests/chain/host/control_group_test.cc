// SPDX-License-Identifier: BSD-3-Clause
#include "chain/host/control_group.h"

#include <csignal>
#include <ctime>
#include <functional>

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace chain::host {
namespace {

// ---- where groups are, on machines of each kind

struct LayoutCase {
    const char *name;
    const char *mounts;
    const char *groups;
    const char *v2;
    const char *memory;
    const char *cpu;
};

const LayoutCase kLayouts[] = {
    {"Unified", "sysfs /sys sysfs rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n",
     "0::/system.slice/ompi-chaind.service\n", "/sys/fs/cgroup/system.slice/ompi-chaind.service",
     "", ""},
    {"UnifiedAtTheTop", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", "0::/\n", "/sys/fs/cgroup", "",
     ""},
    {"Hybrid",
     "tmpfs /sys/fs/cgroup tmpfs ro 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
     "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"
     "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n",
     "9:memory:/user.slice\n4:cpu,cpuacct:/\n1:name=systemd:/x\n0::/user.slice\n",
     "/sys/fs/cgroup/unified/user.slice", "/sys/fs/cgroup/memory/user.slice",
     "/sys/fs/cgroup/cpu,cpuacct"},
    {"VersionOne", "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n", "3:memory:/a:b\n", "",
     "/sys/fs/cgroup/memory/a:b", ""},
    {"OutsideOfTheNamespace", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", "0::/../other\n", "", "",
     ""},
    {"BlankInTheName", "cgroup2 /mnt/c\\040g cgroup2 rw 0 0\n", "0::/a\n", "/mnt/c g/a", "", ""},
    {"Nothing", "", "", "", "", ""},
    {"Noise", "cgroup2\ncgroup2 /x\n\n \n", "0::\n:::\n0:\nmemory\n9:memory:\n", "", "", ""},
};

class LayoutTest : public ::testing::TestWithParam<LayoutCase> {};

TEST_P(LayoutTest, IsRead) {
    const LayoutCase &row = GetParam();
    const CgroupLayout layout = parse_cgroup_layout(row.mounts, row.groups);
    const auto own = [&](Controller controller) {
        return layout.v1[static_cast<std::size_t>(controller)].own;
    };
    EXPECT_EQ(layout.v2.own, row.v2);
    EXPECT_EQ(own(Controller::kMemory), row.memory);
    EXPECT_EQ(own(Controller::kCpu), row.cpu);
}

INSTANTIATE_TEST_SUITE_P(Tables, LayoutTest, ::testing::ValuesIn(kLayouts),
                         [](const auto &param) { return std::string(param.param.name); });

// ---- groups of this machine, with real processes

std::uint64_t steady_ms() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
           static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

// A child that runs `body` once it is inside of the group.
class Child {
public:
    Child(ControlGroup &group, const std::function<int()> &body) {
        int ends[2];
        if (pipe(ends) != 0) abort();
        pid_ = fork();
        if (pid_ == 0) {
            close(ends[1]);
            char go = 0;
            if (read(ends[0], &go, 1) != 1) _exit(99);
            _exit(body());
        }
        close(ends[0]);
        const Status adopted = group.adopt(pid_);
        EXPECT_TRUE(adopted.ok()) << adopted.error().message;
        EXPECT_EQ(write(ends[1], "g", 1), 1);
        close(ends[1]);
    }
    ~Child() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        wait();
    }
    int wait() {
        int status = 0;
        waitpid(std::exchange(pid_, 0), &status, 0);
        return status;
    }
    int pid() const { return pid_; }

private:
    int pid_ = 0;
};

int spin_ms(std::uint64_t ms) {
    const std::uint64_t end = steady_ms() + ms;
    while (steady_ms() < end) {
    }
    return 0;
}

class ControlGroupTest : public ::testing::Test {
protected:
    void need(bool GroupSupport::*what) {
        if (!(tree_.support().*what))
            GTEST_SKIP() << "this machine allows no cgroups with " << tree_.support().missing();
    }
    std::unique_ptr<ControlGroup> make(const GroupLimits &limits) {
        auto group = tree_.make(limits);
        EXPECT_TRUE(group.ok()) << group.error().message;
        return std::move(group).value();
    }
    GroupTree tree_{read_cgroup_layout(), {}};
};

TEST_F(ControlGroupTest, BoundsProcessorTime) {
    need(&GroupSupport::cpu);
    const auto group = make({.cpu_percent = 30});
    Child child(*group, [] { return spin_ms(1'000); });
    child.wait();
    // 0.3 s of a second, and a period (0.1 s) at each end.
    EXPECT_LE(group->cpu_time_ns().value(), 500'000'000u);
    EXPECT_GT(group->cpu_time_ns().value(), 50'000'000u);
}

// Both on one processor: a quarter of the weight is a fifth of the time.
TEST_F(ControlGroupTest, WeighsLessThanOthers) {
    need(&GroupSupport::cpu);
    GroupTree tree(read_cgroup_layout(), {.cpu_weight = 25});
    const auto light = tree.make({}), heavy = tree_.make({});
    const auto spin_on_one = [] {
        cpu_set_t allowed;
        sched_getaffinity(0, sizeof allowed, &allowed);
        int cpu = 0;
        while (!CPU_ISSET(cpu, &allowed)) ++cpu;
        cpu_set_t first;
        CPU_ZERO(&first);
        CPU_SET(cpu, &first);
        sched_setaffinity(0, sizeof first, &first);
        return spin_ms(2'000);
    };
    ASSERT_TRUE(light.ok() && heavy.ok());
    Child one(**light, spin_on_one);
    Child other(**heavy, spin_on_one);
    one.wait();
    other.wait();
    const double share = static_cast<double>((*light)->cpu_time_ns().value()) /
                         static_cast<double>((*heavy)->cpu_time_ns().value());
    EXPECT_GT(share, 0.1);
    EXPECT_LT(share, 0.6) << "not less than the other one";
}

TEST_F(ControlGroupTest, CapHoldsForAllTogether) {
    need(&GroupSupport::cpu);
    GroupTree tree(read_cgroup_layout(), {.cpu_percent = 30});
    const auto one = tree.make({.cpu_percent = 100}), two = tree.make({});
    ASSERT_TRUE(one.ok() && two.ok());
    Child first(**one, [] { return spin_ms(1'000); });
    Child second(**two, [] { return spin_ms(1'000); });
    first.wait();
    second.wait();
    EXPECT_LE((*one)->cpu_time_ns().value() + (*two)->cpu_time_ns().value(), 500'000'000u);
}

TEST_F(ControlGroupTest, BoundsMemory) {
    need(&GroupSupport::memory);
    const auto group = make({.memory_bytes = 16 << 20});
    Child child(*group, [] {
        const std::size_t size = 64 << 20;
        char *const bytes = static_cast<char *>(
            mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (bytes == MAP_FAILED) return 1;
        for (std::size_t i = 0; i < size; i += 4096) bytes[i] = 1;
        return 0;
    });
    const int status = child.wait();
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    EXPECT_EQ(group->memory_kills(), 1u);
    EXPECT_TRUE(group->used_up_memory());
}

TEST_F(ControlGroupTest, BoundsProcesses) {
    need(&GroupSupport::processes);
    const auto group = make({.processes_max = 10});
    Child child(*group, [] {
        int count = 0;
        while (count < 100) {
            const pid_t pid = fork();
            if (pid < 0) break;
            if (pid == 0) {
                pause();
                _exit(0);
            }
            ++count;
        }
        return count;
    });
    const int status = child.wait();
    EXPECT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(WEXITSTATUS(status), 9);  // with itself, ten
    EXPECT_EQ(group->refused_forks(), 1u);
    EXPECT_EQ(group->processes().size(), 9u);
    group->kill();
    for (int look = 0; look < 200 && !group->processes().empty(); ++look) usleep(5'000);
    EXPECT_TRUE(group->processes().empty());
}

TEST_F(ControlGroupTest, CountsShortLivedChildrenToo) {
    need(&GroupSupport::cpu_time);
    const auto group = make({});
    Child child(*group, [] {
        for (int i = 0; i < 100; ++i) {
            const pid_t pid = fork();
            if (pid == 0) _exit(spin_ms(2));
            waitpid(pid, nullptr, 0);
        }
        return 0;
    });
    child.wait();
    EXPECT_GT(group->cpu_time_ns().value(), 20'000'000u);
}

TEST_F(ControlGroupTest, StandsStillWhileFrozen) {
    need(&GroupSupport::freezer);
    const auto group = make({});
    Child child(*group, [] { return spin_ms(60'000); });
    usleep(50'000);
    ASSERT_TRUE(group->set_frozen(true).ok());
    const std::uint64_t before = group->cpu_time_ns().value();
    usleep(200'000);
    EXPECT_EQ(group->cpu_time_ns().value(), before);
    ASSERT_TRUE(group->set_frozen(false).ok());
    for (int look = 0; look < 400 && group->cpu_time_ns().value() == before; ++look) usleep(5'000);
    EXPECT_GT(group->cpu_time_ns().value(), before);
    ASSERT_TRUE(group->set_frozen(true).ok());
    group->kill();
    const int status = child.wait();
    EXPECT_TRUE(WIFSIGNALED(status)) << "a frozen process is killed all the same";
}

// The rest of the machine must be busy for this to mean anything: both compete for one core.
TEST_F(ControlGroupTest, GivesWay) {
    need(&GroupSupport::cpu);
    const auto yielding = make({}), owner = make({});
    ASSERT_TRUE(yielding->set_yielding(true).ok());
    const auto on_first_core = [] {
        cpu_set_t one;
        CPU_ZERO(&one);
        sched_getaffinity(0, sizeof one, &one);
        int first = 0;
        while (!CPU_ISSET(first, &one)) ++first;
        CPU_ZERO(&one);
        CPU_SET(first, &one);
        sched_setaffinity(0, sizeof one, &one);
        return spin_ms(1'000);
    };
    Child lent(*yielding, on_first_core);
    Child own(*owner, on_first_core);
    lent.wait();
    own.wait();
    EXPECT_GT(owner->cpu_time_ns().value(), 10 * yielding->cpu_time_ns().value());
    EXPECT_TRUE(yielding->set_yielding(false).ok());
}

// Whether a process has made a group of version 2 that is still there: below its own, or, for root
// where version 2 has the controllers, below the top.
bool has_left_group(pid_t pid) {
    const CgroupLayout::Hierarchy v2 = read_cgroup_layout().v2;
    const std::string name = "/ompi-chain." + std::to_string(pid) + ".";
    for (const std::string &parent : {v2.own, v2.root})
        for (int i = 1; i < 100; ++i)
            if (access((parent + name + std::to_string(i)).c_str(), F_OK) == 0) return true;
    return false;
}

TEST_F(ControlGroupTest, NothingIsLeft) {
    const auto layout = read_cgroup_layout();
    const auto is_there = [] { return has_left_group(getpid()); };
    need(&GroupSupport::cpu_time);
    EXPECT_TRUE(is_there());  // of this fixture
    int pid = 0;
    {
        GroupTree tree(layout, {});
        auto group = tree.make({});
        ASSERT_TRUE(group.ok());
        Child child(**group, [] { return spin_ms(60'000); });
        pid = child.pid();
        group->reset();
        const int status = child.wait();
        EXPECT_TRUE(WIFSIGNALED(status));
    }
    EXPECT_NE(::kill(pid, 0), 0);
}

// A daemon that was killed leaves its groups; the next one removes them, with what is inside.
TEST_F(ControlGroupTest, RemovesWhatAKilledDaemonLeft) {
    need(&GroupSupport::cpu_time);
    ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);  // the orphan comes to this process
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t daemon = fork();
    if (daemon == 0) {
        GroupTree tree(read_cgroup_layout(), {});
        auto group = tree.make({});
        if (!group.ok()) _exit(1);
        Child child(**group, [] { return spin_ms(60'000); });
        const int pid = child.pid();
        if (write(ends[1], &pid, sizeof pid) != sizeof pid) _exit(1);
        pause();
    }
    int orphan = 0;
    ASSERT_EQ(read(ends[0], &orphan, sizeof orphan), static_cast<ssize_t>(sizeof orphan));
    ::kill(daemon, SIGKILL);
    waitpid(daemon, nullptr, 0);
    EXPECT_TRUE(has_left_group(daemon));
    const GroupTree next(read_cgroup_layout(), {});
    EXPECT_FALSE(has_left_group(daemon));
    int status = 0;
    EXPECT_EQ(waitpid(orphan, &status, 0), orphan);
    EXPECT_TRUE(WIFSIGNALED(status)) << status;
    close(ends[0]);
    close(ends[1]);
}

TEST(GroupTree, WithoutCgroupsEverythingIsMissing) {
    GroupTree tree({}, {.cpu_percent = 80});
    EXPECT_EQ(tree.support(), GroupSupport{});
    EXPECT_EQ(tree.support().missing(), "processors, memory, processes, CPU time, freezer");
    const auto group = tree.make({.memory_bytes = 1 << 20});
    ASSERT_TRUE(group.ok());
    EXPECT_EQ((*group)->cpu_time_ns().error().code, ErrorCode::kNotFound);
    EXPECT_EQ((*group)->set_frozen(true).error().code, ErrorCode::kNotFound);
    EXPECT_EQ((*group)->set_yielding(true).error().code, ErrorCode::kNotFound);
    EXPECT_TRUE((*group)->processes().empty());
}

}  // namespace
}  // namespace chain::host
