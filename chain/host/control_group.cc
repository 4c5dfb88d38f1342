// SPDX-License-Identifier: BSD-3-Clause
#include "chain/host/control_group.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <sstream>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chain/base/file.h"
#include "chain/base/log.h"

namespace chain::host {
namespace {

constexpr std::string_view kGroupPrefix = "ompi-chain.";
constexpr std::string_view kDaemonGroup =
    "ompi-chaind";  // in version 2: where the daemon itself is
constexpr std::size_t kFileBytesMax = 1u << 20;
constexpr std::uint32_t kWeightOfSession = 100;  // cgroup v2's; v1 counts in other units
constexpr std::uint32_t kSharesOfSession = 1024;
constexpr std::uint64_t kPeriodUs = 100'000;
constexpr int kKillLooks = 200;
constexpr useconds_t kLookUs = 5'000;
constexpr int kFreezeLooks = 200;

Status write_to(const std::string &path, std::string_view text) {
    const FileDescriptor file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file.valid()) return errno_error(errno, "open " + path);
    return write_all(file.get(), text, "write " + path);
}

// The number after `key` in lines of "key number"; the whole text where the key is empty.
Result<std::uint64_t> read_number(const std::string &path, std::string_view key) {
    CHAIN_ASSIGN(const Bytes text, read_file(path, kFileBytesMax));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::string_view rest = line;
        if (!key.empty()) {
            if (!rest.starts_with(key) || rest.size() <= key.size() || rest[key.size()] != ' ')
                continue;
            rest.remove_prefix(key.size() + 1);
        }
        std::uint64_t number = 0;
        if (std::from_chars(rest.data(), rest.data() + rest.size(), number).ec == std::errc())
            return number;
    }
    return make_error(ErrorCode::kIo, path, " has no ", key.empty() ? "number" : key);
}

std::vector<int> read_pids(const std::string &folder) {
    std::vector<int> pids;
    const auto text = read_file(folder + "/cgroup.procs", kFileBytesMax);
    if (!text.ok()) return pids;
    std::istringstream numbers(*text);
    for (int pid; numbers >> pid;) pids.push_back(pid);
    return pids;
}

std::uint64_t number_or_0(const std::string &path, std::string_view key) {
    const auto number = read_number(path, key);
    return number.ok() ? *number : 0;
}

bool has_word(const std::string &path, std::string_view word) {
    const auto text = read_file(path, kFileBytesMax);
    if (!text.ok()) return false;
    std::istringstream words(*text);
    for (std::string other; words >> other;)
        if (other == word) return true;
    return false;
}

void remove_group(const std::string &folder) {
    for (const int pid : read_pids(folder)) ::kill(pid, SIGKILL);
    for (int look = 0; look < kKillLooks && !read_pids(folder).empty(); ++look) usleep(kLookUs);
    if (rmdir(folder.c_str()) != 0 && errno != ENOENT)
        log(LogLevel::kWarning, "host", errno_error(errno, "remove the cgroup " + folder).message);
}

std::vector<std::string> folders_in(const std::string &parent) {
    std::vector<std::string> names;
    DIR *const folder = opendir(parent.c_str());
    if (folder == nullptr) return names;
    while (const dirent *entry = readdir(folder))
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    closedir(folder);
    return names;
}

// Of daemons that were killed.
void remove_stale_groups(const std::string &parent) {
    for (const std::string &name : folders_in(parent)) {
        if (!name.starts_with(kGroupPrefix)) continue;
        int pid = 0;
        std::from_chars(name.data() + kGroupPrefix.size(), name.data() + name.size(), pid);
        if (pid <= 0 || ::kill(pid, 0) == 0 || errno != ESRCH) continue;
        const std::string stale = parent + "/" + name;
        for (const std::string &lease : folders_in(stale)) remove_group(stale + "/" + lease);
        remove_group(stale);
    }
}

// In version 2 the files that limit a group are there only if its parent hands their controllers
// down, and a parent that does may not hold processes of its own (but for the root).
bool hand_down(const std::string &parent) {
    std::string words;
    for (const char *const name : {"cpu", "memory", "pids"})
        if (has_word(parent + "/cgroup.controllers", name)) words += std::string(" +") + name;
    return !words.empty() && write_to(parent + "/cgroup.subtree_control", words.substr(1)).ok();
}

// A group of version 2 in which groups with limits can be made; else the one that this process is
// in, where CPU time, freezing and killing need no controller.
std::string find_version_2_parent(const CgroupLayout::Hierarchy &v2) {
    if (v2.own.empty()) return {};
    if (geteuid() == 0 && hand_down(v2.root)) return v2.root;
    if (hand_down(v2.own)) return v2.own;
    // A service of its own, to which the group was delegated: the daemon steps aside.
    if (read_pids(v2.own) == std::vector<int>{getpid()}) {
        const std::string aside = v2.own + "/" + std::string(kDaemonGroup);
        if ((mkdir(aside.c_str(), 0755) == 0 || errno == EEXIST) &&
            write_to(aside + "/cgroup.procs", std::to_string(getpid())).ok() && hand_down(v2.own))
            return v2.own;
    }
    return v2.own;
}

}  // namespace

// ---- GroupSupport

std::string GroupSupport::missing() const {
    std::string names;
    const std::pair<bool, std::string_view> all[] = {{cpu, "processors"},
                                                     {memory, "memory"},
                                                     {processes, "processes"},
                                                     {cpu_time, "CPU time"},
                                                     {freezer, "freezer"}};
    for (const auto &[holds, name] : all) {
        if (holds) continue;
        if (!names.empty()) names += ", ";
        names += name;
    }
    return names;
}

// ---- ControlGroup

ControlGroup::~ControlGroup() {
    if (!processes().empty()) kill();
    for (const std::string &folder : places_.folders()) remove_group(folder);
}

ControlGroup::ControlGroup(const Places &parent, const std::string &name) {
    const auto make = [&](const Place &from) {
        if (!from.exists()) return Place{};
        Place place{from.folder + "/" + name, from.version};
        if (mkdir(place.folder.c_str(), 0755) != 0 && errno != EEXIST) return Place{};
        return place;
    };
    places_.core = make(parent.core);
    for (std::size_t i = 0; i < kControllerCount; ++i) places_.of[i] = make(parent.of[i]);
    find_support();
}

std::vector<std::string> ControlGroup::Places::folders() const {
    std::vector<std::string> all;
    if (core.exists()) all.push_back(core.folder);
    for (const Place &place : of)
        if (place.exists()) all.push_back(place.folder);
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

void ControlGroup::find_support() {
    const auto can_write = [](const Place &place, const char *v1, const char *v2) {
        const char *const name = place.version == 1 ? v1 : v2;
        return place.exists() && access((place.folder + "/" + name).c_str(), W_OK) == 0;
    };
    const Place &cpu = of(Controller::kCpu);
    support_.cpu =
        can_write(cpu, "cpu.cfs_quota_us", "cpu.max") && can_write(cpu, "cpu.idle", "cpu.idle");
    support_.memory = can_write(of(Controller::kMemory), "memory.limit_in_bytes", "memory.max");
    support_.processes = can_write(of(Controller::kProcesses), "pids.max", "pids.max");
    support_.cpu_time = cpu_time_ns().ok();
    support_.freezer = can_write(places_.core, "cgroup.freeze", "cgroup.freeze") ||
                       can_write(of(Controller::kFreezer), "freezer.state", "cgroup.freeze");
}

Status ControlGroup::set_weight(std::uint32_t weight) {
    const Place &cpu = of(Controller::kCpu);
    if (cpu.version == 1)
        return write_to(cpu.folder + "/cpu.shares",
                        std::to_string(weight * kSharesOfSession / kWeightOfSession));
    return write_to(cpu.folder + "/cpu.weight", std::to_string(weight));
}

Status ControlGroup::set_limits(const GroupLimits &limits) {
    if (const Place &cpu = of(Controller::kCpu); support_.cpu && limits.cpu_percent != 0) {
        const std::string quota_us = std::to_string(limits.cpu_percent * kPeriodUs / 100);
        const std::string period_us = std::to_string(kPeriodUs);
        if (cpu.version == 1) {
            CHAIN_TRY(write_to(cpu.folder + "/cpu.cfs_period_us", period_us));
            CHAIN_TRY(write_to(cpu.folder + "/cpu.cfs_quota_us", quota_us));
        } else {
            CHAIN_TRY(write_to(cpu.folder + "/cpu.max", quota_us + " " + period_us));
        }
    }
    if (const Place &memory = of(Controller::kMemory);
        support_.memory && limits.memory_bytes != 0) {
        const std::string bytes = std::to_string(limits.memory_bytes);
        const std::string with_swap = memory.folder + "/memory.memsw.limit_in_bytes";
        const std::string swap = memory.folder + "/memory.swap.max";
        if (memory.version == 1) {
            CHAIN_TRY(write_to(memory.folder + "/memory.limit_in_bytes", bytes));
            if (path_exists(with_swap)) CHAIN_TRY(write_to(with_swap, bytes));
        } else {
            CHAIN_TRY(write_to(memory.folder + "/memory.max", bytes));
            if (path_exists(swap)) CHAIN_TRY(write_to(swap, "0"));
        }
    }
    if (support_.processes && limits.processes_max != 0)
        CHAIN_TRY(write_to(of(Controller::kProcesses).folder + "/pids.max",
                           std::to_string(limits.processes_max)));
    weight_ = limits.cpu_weight;
    return support_.cpu && weight_ != kWeightOfSession ? set_weight(weight_) : ok_status();
}

Status ControlGroup::adopt(int pid) {
    for (const std::string &folder : places_.folders())
        CHAIN_TRY(write_to(folder + "/cgroup.procs", std::to_string(pid)));
    return ok_status();
}

Result<std::uint64_t> ControlGroup::cpu_time_ns() const {
    if (places_.core.exists()) {
        CHAIN_ASSIGN(const std::uint64_t usage_us,
                     read_number(places_.core.folder + "/cpu.stat", "usage_usec"));
        return usage_us * 1000;
    }
    if (const Place &accounting = of(Controller::kCpuAccounting); accounting.version == 1)
        return read_number(accounting.folder + "/cpuacct.usage", "");
    return make_error(ErrorCode::kNotFound, "no cgroup counts CPU time here");
}

Status ControlGroup::set_yielding(bool yields) {
    if (!support_.cpu)
        return make_error(ErrorCode::kNotFound, "no cgroup shares out processors here");
    CHAIN_TRY(write_to(of(Controller::kCpu).folder + "/cpu.idle", yields ? "1" : "0"));
    // The kernel has forgotten it.
    return yields || weight_ == kWeightOfSession ? ok_status() : set_weight(weight_);
}

Status ControlGroup::set_frozen(bool frozen) {
    if (!support_.freezer) return make_error(ErrorCode::kNotFound, "no cgroup can be frozen here");
    const Place &place = places_.core.exists() ? places_.core : of(Controller::kFreezer);
    if (place.version == 1)
        CHAIN_TRY(write_to(place.folder + "/freezer.state", frozen ? "FROZEN" : "THAWED"));
    else
        CHAIN_TRY(write_to(place.folder + "/cgroup.freeze", frozen ? "1" : "0"));
    const auto is_done = [&] {
        if (place.version == 1)
            return has_word(place.folder + "/freezer.state", frozen ? "FROZEN" : "THAWED");
        const auto now = read_number(place.folder + "/cgroup.events", "frozen");
        return now.ok() && (*now == 1) == frozen;
    };
    for (int look = 0; look < kFreezeLooks; ++look) {
        if (is_done()) return ok_status();
        usleep(kLookUs);
    }
    return make_error(ErrorCode::kTimeout, "not all processes of a lease have ",
                      frozen ? "stopped" : "gone on", " within a second");
}

std::uint64_t ControlGroup::memory_kills() const {
    const Place &memory = of(Controller::kMemory);
    if (!memory.exists()) return 0;
    const char *const name = memory.version == 1 ? "/memory.oom_control" : "/memory.events";
    return number_or_0(memory.folder + name, "oom_kill");
}

bool ControlGroup::used_up_memory() const {
    const Place &memory = of(Controller::kMemory);
    if (!memory.exists()) return false;
    if (memory.version != 1) return number_or_0(memory.folder + "/memory.events", "max") > 0;
    constexpr std::uint64_t kNearlyBytes = 1u << 20;  // failcnt does not count on every kernel
    return number_or_0(memory.folder + "/memory.max_usage_in_bytes", "") + kNearlyBytes >=
           number_or_0(memory.folder + "/memory.limit_in_bytes", "");
}

std::uint64_t ControlGroup::refused_forks() const {
    const Place &processes = of(Controller::kProcesses);
    if (!processes.exists()) return 0;
    return number_or_0(processes.folder + "/pids.events", "max");
}

std::uint64_t ControlGroup::memory_bytes() const {
    const Place &memory = of(Controller::kMemory);
    if (!memory.exists()) return 0;
    const char *const name = memory.version == 1 ? "/memory.usage_in_bytes" : "/memory.current";
    return number_or_0(memory.folder + name, "");
}

std::vector<int> ControlGroup::processes() const {
    const std::vector<std::string> all = places_.folders();
    return all.empty() ? std::vector<int>()
                       : read_pids(places_.core.exists() ? places_.core.folder : all[0]);
}

void ControlGroup::kill() {
    if (places_.core.exists() && write_to(places_.core.folder + "/cgroup.kill", "1").ok()) return;
    for (const int pid : processes()) ::kill(pid, SIGKILL);
    if (support_.freezer) static_cast<void>(set_frozen(false));  // only then do they see it
}

// ---- GroupTree

GroupTree::GroupTree(const CgroupLayout &layout, const GroupLimits &cap) : cap_(cap) {
    static std::atomic<unsigned> count{0};
    ControlGroup::Places parent;
    const std::string v2 = find_version_2_parent(layout.v2);
    if (!v2.empty()) parent.core = {v2, 2};
    for (std::size_t i = 0; i < kControllerCount; ++i) {
        const auto &[root, own] = layout.v1[i];
        const bool from_top = geteuid() == 0 && static_cast<Controller>(i) == Controller::kCpu;
        if (!own.empty())
            parent.of[i] = {from_top ? root : own, 1};
        else if (!v2.empty())
            parent.of[i] = {v2, 2};
    }
    for (const std::string &folder : parent.folders()) remove_stale_groups(folder);
    const std::string name =
        std::string(kGroupPrefix) + std::to_string(getpid()) + "." + std::to_string(++count);
    all_.reset(new ControlGroup(parent, name));
    if (all_->places_.core.exists()) static_cast<void>(hand_down(all_->places_.core.folder));
    if (const Status limited = all_->set_limits(cap_); !limited.ok())
        log(LogLevel::kWarning, "host",
            "the cap of what is lent does not hold: ", limited.error().message);
}

Result<std::unique_ptr<ControlGroup>> GroupTree::make(const GroupLimits &limits) {
    std::unique_ptr<ControlGroup> group(
        new ControlGroup(all_->places_, "lease." + std::to_string(++sequence_)));
    GroupLimits within = limits;
    // A group that may have more than its parent is refused.
    if (cap_.cpu_percent != 0) within.cpu_percent = std::min(within.cpu_percent, cap_.cpu_percent);
    CHAIN_TRY(group->set_limits(within));
    return group;
}

}  // namespace chain::host
