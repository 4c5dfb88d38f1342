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

constexpr std::size_t kProcFileBytesMax = 1u << 20;
constexpr std::string_view kGroupPrefix = "ompi-chain.";

// Where this process is in the cgroup v2 hierarchy, as a folder. Handles version 2 alone and
// hybrid (/sys/fs/cgroup/unified).
Result<std::string> own_cgroup_folder() {
    CHAIN_ASSIGN(const Bytes mounts, read_file("/proc/self/mounts", kProcFileBytesMax));
    CHAIN_ASSIGN(const Bytes groups, read_file("/proc/self/cgroup", kProcFileBytesMax));
    std::string mount_point;
    std::istringstream mount_lines(mounts);
    for (std::string line; std::getline(mount_lines, line);) {
        std::istringstream fields(line);
        std::string device, folder, type;
        fields >> device >> folder >> type;
        if (type == "cgroup2") mount_point = folder;
    }
    std::istringstream group_lines(groups);
    for (std::string line; std::getline(group_lines, line);) {
        if (!mount_point.empty() && line.starts_with("0::/"))
            return mount_point + (line == "0::/" ? "" : line.substr(3));
    }
    return make_error(ErrorCode::kNotFound, "there is no cgroup version 2 here");
}

// Folders of daemons that were killed: empty, since their sandboxes died with them.
void remove_stale_groups(const std::string &parent) {
    DIR *folder = opendir(parent.c_str());
    if (folder == nullptr) return;
    while (const dirent *entry = readdir(folder)) {
        const std::string_view name = entry->d_name;
        if (!name.starts_with(kGroupPrefix)) continue;
        int pid = 0;
        std::from_chars(name.data() + kGroupPrefix.size(), name.data() + name.size(), pid);
        if (pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH)
            rmdir((parent + "/" + entry->d_name).c_str());
    }
    closedir(folder);
}

class CgroupCpuTime final : public CpuTimeSource {
public:
    explicit CgroupCpuTime(std::string folder) : folder_(std::move(folder)) {}
    ~CgroupCpuTime() override { rmdir(folder_.c_str()); }

    Status adopt(int pid) override {
        FileDescriptor procs(open((folder_ + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
        if (!procs.valid()) return errno_error(errno, "open the lease's cgroup");
        return write_all(procs.get(), std::to_string(pid), "put a process into its cgroup");
    }

    Result<std::uint64_t> read_ns() override {
        CHAIN_ASSIGN(const Bytes text, read_file(folder_ + "/cpu.stat", kProcFileBytesMax));
        constexpr std::string_view kKey = "usage_usec ";
        const std::size_t at = text.find(kKey);
        std::uint64_t usage_us = 0;
        if (at == std::string::npos ||
            std::from_chars(text.data() + at + kKey.size(), text.data() + text.size(), usage_us)
                    .ec != std::errc())
            return make_error(ErrorCode::kIo, "cpu.stat has no usage_usec");
        return usage_us * 1000;
    }

private:
    std::string folder_;
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

Result<std::unique_ptr<CpuTimeSource>> make_cgroup_cpu_time() {
    static std::atomic<unsigned> sequence{0};
    CHAIN_ASSIGN(const std::string parent, own_cgroup_folder());
    remove_stale_groups(parent);
    const std::string folder = parent + "/" + std::string(kGroupPrefix) + std::to_string(getpid()) +
                               "." + std::to_string(++sequence);
    if (mkdir(folder.c_str(), 0755) != 0) return errno_error(errno, "make the cgroup " + folder);
    std::unique_ptr<CpuTimeSource> source = std::make_unique<CgroupCpuTime>(folder);
    if (const auto usage_ns = source->read_ns(); !usage_ns.ok()) return usage_ns.error();
    return source;
}

std::unique_ptr<CpuTimeSource> make_perf_cpu_time() {
    return std::make_unique<PerfCpuTime>();
}

std::unique_ptr<CpuTimeSource> make_process_tree_cpu_time() {
    return std::make_unique<ProcessTreeCpuTime>();
}

}  // namespace chain::meter
