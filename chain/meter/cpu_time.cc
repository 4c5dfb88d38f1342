// SPDX-License-Identifier: BSD-3-Clause
#include "chain/meter/cpu_time.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <ctime>
#include <sstream>
#include <unordered_map>
#include <unordered_set>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace chain::meter {
namespace {

class GroupCpuTime final : public CpuTimeSource {
public:
    explicit GroupCpuTime(const host::ControlGroup &group) : group_(group) {}
    Status adopt(int) override { return ok_status(); }  // the group has it already
    Result<std::uint64_t> read_ns() override { return group_.cpu_time_ns(); }

private:
    const host::ControlGroup &group_;
};

class PerfCpuTime final : public CpuTimeSource {
public:
    Status adopt(int pid) override {
        CHAIN_ASSIGN(PerfCounter counter, PerfCounter::open(PerfCounter::Event::kTaskClock, pid));
        counter_ = std::make_unique<PerfCounter>(std::move(counter));
        return ok_status();
    }
    Result<std::uint64_t> read_ns() override {
        if (!counter_) return std::uint64_t{0};
        CHAIN_ASSIGN(const auto count, counter_->read());
        return count.value;
    }

private:
    std::unique_ptr<PerfCounter> counter_;
};

struct ProcStat {
    int parent = 0;
    std::uint64_t start_ticks = 0;
    std::uint64_t waited_for_ticks = 0;  // cutime + cstime
};

// Fields of proc(5) after the name, which may hold anything, ")" too.
bool read_proc_stat(int pid, ProcStat &stat) {
    const auto text = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
    if (!text.ok()) return false;
    const std::size_t name_end = text->rfind(')');
    if (name_end == std::string::npos) return false;
    std::istringstream fields(text->substr(name_end + 1));
    std::string state, skipped;
    fields >> state >> stat.parent;
    for (int field = 5; field <= 15; ++field) fields >> skipped;
    std::uint64_t children_user = 0, children_system = 0;
    fields >> children_user >> children_system;
    for (int field = 18; field <= 21; ++field) fields >> skipped;
    fields >> stat.start_ticks;
    stat.waited_for_ticks = children_user + children_system;
    return !fields.fail();
}

std::uint64_t process_cpu_ns(int pid) {
    clockid_t clock_id;
    timespec used{};
    if (clock_getcpuclockid(pid, &clock_id) != 0 || clock_gettime(clock_id, &used) != 0) return 0;
    return static_cast<std::uint64_t>(used.tv_sec) * 1'000'000'000ULL +
           static_cast<std::uint64_t>(used.tv_nsec);
}

class ProcessTreeCpuTime final : public CpuTimeSource {
public:
    Status adopt(int pid) override {
        ProcStat stat;
        if (!read_proc_stat(pid, stat))
            return make_error(ErrorCode::kIo, "cannot read /proc/", pid, "/stat");
        root_ = pid;
        root_start_ticks_ = stat.start_ticks;
        return ok_status();
    }

    Result<std::uint64_t> read_ns() override {
        std::unordered_map<int, ProcStat> processes;
        std::unordered_multimap<int, int> children;
        DIR *proc = opendir("/proc");
        if (proc == nullptr) return errno_error(errno, "list /proc");
        while (const dirent *entry = readdir(proc)) {
            const int pid = std::atoi(entry->d_name);
            ProcStat stat;
            if (pid <= 0 || !read_proc_stat(pid, stat)) continue;
            processes[pid] = stat;
            children.emplace(stat.parent, pid);
        }
        closedir(proc);
        const auto root = processes.find(root_);
        if (root == processes.end() || root->second.start_ticks != root_start_ticks_)
            return highest_ns_;
        highest_ns_ = std::max(highest_ns_, sum_below(processes, children));
        return highest_ns_;
    }

private:
    std::uint64_t sum_below(const std::unordered_map<int, ProcStat> &processes,
                            const std::unordered_multimap<int, int> &children) const {
        const auto ns_per_tick =
            1'000'000'000ULL / static_cast<unsigned long>(sysconf(_SC_CLK_TCK));
        std::uint64_t total_ns = 0;
        std::vector<int> open_pids{root_};
        std::unordered_set<int> seen{root_};
        while (!open_pids.empty()) {
            const int pid = open_pids.back();
            open_pids.pop_back();
            total_ns += process_cpu_ns(pid) + processes.at(pid).waited_for_ticks * ns_per_tick;
            const auto [first, last] = children.equal_range(pid);
            for (auto child = first; child != last; ++child) {
                if (seen.insert(child->second).second) open_pids.push_back(child->second);
            }
        }
        return total_ns;
    }

    int root_ = 0;
    std::uint64_t root_start_ticks_ = 0;
    std::uint64_t highest_ns_ = 0;
};

}  // namespace

std::unique_ptr<CpuTimeSource> make_group_cpu_time(const host::ControlGroup &group) {
    return std::make_unique<GroupCpuTime>(group);
}

std::unique_ptr<CpuTimeSource> make_perf_cpu_time() {
    return std::make_unique<PerfCpuTime>();
}

std::unique_ptr<CpuTimeSource> make_process_tree_cpu_time() {
    return std::make_unique<ProcessTreeCpuTime>();
}

}  // namespace chain::meter
