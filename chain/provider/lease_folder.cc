// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/lease_folder.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <mutex>
#include <set>
#include <sstream>

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "chain/base/file.h"
#include "chain/base/folder_walk.h"
#include "chain/base/log.h"
#include "chain/host/scratch_volume.h"
#include "chain/meter/rank_file.h"

namespace chain::provider {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kComponentBytesMax = 64u << 20;
constexpr std::size_t kWalkEntriesMax = 400'000;
constexpr std::string_view kComponentsInside = "/run/ompi-chain/components";
constexpr std::string_view kVolumeSuffix = ".disk";
constexpr std::string_view kRecordSuffix = ".sandbox";
constexpr std::string_view kResultsSuffix = ".results";
constexpr std::size_t kResultsListBytesMax = 64u << 20;
constexpr std::string_view kRanksInside = "/run/ompi-chain/ranks";

bool daemon_is_root() {
    return geteuid() == 0;
}

// Owners of the legs that are there already.
std::set<uid_t> uids_in_use(const std::string &scratch_root) {
    std::set<uid_t> uids;
    std::error_code ignored;
    for (const auto &entry : fs::directory_iterator(scratch_root, ignored)) {
        struct stat status {};
        if (lstat((entry.path() / "job").c_str(), &status) == 0) uids.insert(status.st_uid);
    }
    return uids;
}

Result<uid_t> choose_leg_uid(const std::string &scratch_root, const std::string &lease_id_hex,
                             std::uint32_t leg) {
    if (!daemon_is_root()) return geteuid();
    const auto in_use = uids_in_use(scratch_root);
    const std::size_t start = std::hash<std::string>{}(lease_id_hex + std::to_string(leg));
    for (std::size_t step = 0; step < kLegUidCount; ++step) {
        const auto uid = kLegUidFirst + static_cast<uid_t>((start + step) % kLegUidCount);
        if (!in_use.contains(uid) && getpwuid(uid) == nullptr) return uid;
    }
    return make_error(ErrorCode::kTooLarge, "no uid is left for another lease");
}

Status make_owned_folder(const std::string &path, mode_t mode, uid_t uid) {
    if (mkdir(path.c_str(), mode) != 0 || chmod(path.c_str(), mode) != 0)
        return errno_error(errno, "make the folder " + path);
    if (daemon_is_root() && lchown(path.c_str(), uid, uid) != 0)
        return errno_error(errno, "give the folder " + path + " to its lease");
    return ok_status();
}

std::string component_source_folder() {
    const char *folder = std::getenv("OMPI_CHAIN_COMPONENTS");
    return folder != nullptr && *folder != '\0' ? folder : CHAIN_COMPONENT_DIR;
}

Status copy_components(const std::string &target_folder) {
    const std::string source_folder = component_source_folder();
    // The symmetric heap's is built only where OpenSHMEM is; without the hook, waiting would be
    // billed as work.
    struct {
        const char *name;
        bool needed;
    } const components[] = {
        {"mca_hook_chain.so", true}, {"mca_pstat_chain.so", false}, {"mca_sshmem_chain.so", false}};
    for (const auto &component : components) {
        const std::string source = source_folder + "/" + component.name;
        const auto content = read_file(source, kComponentBytesMax);
        if (!content.ok() && content.error().code == ErrorCode::kNotFound) {
            if (!component.needed) continue;
            return make_error(ErrorCode::kNotFound, source,
                              " is missing: install OpenMPI-Chain's components, or name their "
                              "folder in OMPI_CHAIN_COMPONENTS");
        }
        if (!content.ok()) return content.error();
        CHAIN_TRY(write_file_atomic(target_folder + "/" + component.name, *content, 0755));
    }
    return ok_status();
}

Status fill_lease_folder(const std::string &folder, uid_t uid) {
    const uid_t own = geteuid();
    CHAIN_TRY(make_owned_folder(folder + "/job", 0700, uid));
    CHAIN_TRY(make_owned_folder(folder + "/ranks", 0700, uid));
    CHAIN_TRY(make_owned_folder(folder + "/outside", 0755, own));
    CHAIN_TRY(make_owned_folder(folder + "/components", 0755, own));
    CHAIN_TRY(make_owned_folder(folder + "/etc", 0755, own));
    return copy_components(folder + "/components");
}

// Start time of a process in ticks since boot: with the pid, it names a process for good.
Result<std::uint64_t> process_start_ticks(int pid) {
    CHAIN_ASSIGN(const Bytes text, read_file("/proc/" + std::to_string(pid) + "/stat", 4096));
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return make_error(ErrorCode::kIo, "odd /proc/PID/stat");
    std::istringstream fields(text.substr(name_end + 1));
    std::string skipped;
    for (int field = 3; field <= 21; ++field) fields >> skipped;
    std::uint64_t start_ticks = 0;
    fields >> start_ticks;
    if (fields.fail()) return make_error(ErrorCode::kIo, "odd /proc/PID/stat");
    return start_ticks;
}

// Kills the process if it is still the one that was recorded, and waits for its end.
void kill_recorded(int pid, std::uint64_t start_ticks) {
    FileDescriptor process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    if (!process.valid()) return;
    const auto now = process_start_ticks(pid);
    if (!now.ok() || *now != start_ticks) return;
    syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
    pollfd ended{process.get(), POLLIN, 0};
    constexpr int kPatienceMs = 2000;
    poll(&ended, 1, kPatienceMs);
}

// What a daemon left that was killed before it had written down a pid: a leg's uid is its own.
void kill_all_of(uid_t uid) {
    if (!daemon_is_root() || uid < kLegUidFirst || uid - kLegUidFirst >= kLegUidCount) return;
    std::error_code ignored;
    for (const auto &entry : fs::directory_iterator("/proc", ignored)) {
        const std::string name = entry.path().filename().string();
        int pid = 0;
        std::from_chars(name.data(), name.data() + name.size(), pid);
        struct stat status {};
        if (pid <= 1 || lstat(entry.path().c_str(), &status) != 0 || status.st_uid != uid) continue;
        if (const auto start_ticks = process_start_ticks(pid); start_ticks.ok())
            kill_recorded(pid, *start_ticks);
    }
}

std::string volume_of(const std::string &lease_folder) {
    return lease_folder + std::string(kVolumeSuffix);
}

// Beside the folder: what is on a volume is gone with the daemon that has to be cleaned up after.
std::string record_of(const std::string &lease_folder) {
    return lease_folder + std::string(kRecordSuffix);
}

std::string results_list_of(const std::string &lease_folder) {
    return lease_folder + std::string(kResultsSuffix);
}

bool is_lease_folder_name(std::string_view name) {
    const std::size_t dash = name.find('-');
    if (dash == std::string_view::npos || dash == 0 || dash + 1 == name.size()) return false;
    const auto hex = name.substr(0, dash), leg = name.substr(dash + 1);
    return hex.find_first_not_of("0123456789abcdef") == std::string_view::npos &&
           leg.find_first_not_of("0123456789") == std::string_view::npos;
}

// Of every leg of which something is there, if only its volume.
Result<std::set<std::string>> leg_names(const std::string &scratch_root) {
    std::set<std::string> names;
    if (!path_exists(scratch_root)) return names;
    std::error_code error;
    for (const auto &entry : fs::directory_iterator(scratch_root, error)) {
        std::string name = entry.path().filename().string();
        for (const std::string_view suffix : {kVolumeSuffix, kRecordSuffix, kResultsSuffix})
            if (name.ends_with(suffix)) name.resize(name.size() - suffix.size());
        if (is_lease_folder_name(name)) names.insert(std::move(name));
    }
    if (error) return errno_error(error.value(), "list " + scratch_root);
    return names;
}

// What a daemon that was killed while it wrote has left beside the file: its name and ".XXXXXX".
void remove_half_written(const std::string &scratch_root) {
    constexpr std::size_t kEndBytes = 7;
    std::error_code error;
    for (const auto &entry : fs::directory_iterator(scratch_root, error)) {
        std::string name = entry.path().filename().string();
        if (name.size() <= kEndBytes || name[name.size() - kEndBytes] != '.') continue;
        name.resize(name.size() - kEndBytes);
        for (const std::string_view suffix : {kRecordSuffix, kResultsSuffix})
            if (name.ends_with(suffix) &&
                is_lease_folder_name(name.substr(0, name.size() - suffix.size())))
                unlink(entry.path().c_str());
    }
}

void kill_recorded_leg(const std::string &lease_folder) {
    const auto record = read_file(record_of(lease_folder), 4096);
    if (!record.ok()) return;
    std::istringstream lines(*record);
    uid_t uid = 0;
    int pid = 0;
    std::uint64_t start_ticks = 0;
    lines >> uid;
    while (lines >> pid >> start_ticks) kill_recorded(pid, start_ticks);
    kill_all_of(uid);
}

// The size of a volume on the disk of `scratch_root`.
Result<std::uint64_t> choose_volume_bytes(const std::string &scratch_root,
                                          std::uint64_t bytes_max) {
    CHAIN_ASSIGN(const std::uint64_t free_bytes, host::free_disk_bytes(scratch_root));
    const std::uint64_t bytes = std::min(bytes_max, free_bytes / 2);
    if (bytes < kLeaseVolumeBytesMin)
        return make_error(ErrorCode::kDiskFull, "this machine has no disk left for a lease");
    return bytes;
}

}  // namespace

Result<std::string> default_scratch_root(const PublicKey &node_key) {
    const std::string parent = "/var/tmp/ompi-chain-" + std::to_string(geteuid());
    CHAIN_TRY(make_folders(parent, 0711));
    struct stat status {};
    if (lstat(parent.c_str(), &status) != 0) return errno_error(errno, "look at " + parent);
    if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid())
        return make_error(ErrorCode::kPermission, parent,
                          " belongs to somebody else; name a folder of your own with --scratch");
    if (chmod(parent.c_str(), 0711) != 0) return errno_error(errno, "open " + parent + " to pass");
    return parent + "/" + short_hex(node_key);
}

Status make_scratch_root(const std::string &scratch_root) {
    CHAIN_TRY(make_folders(scratch_root, 0711));
    struct stat status {};
    if (lstat(scratch_root.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) ||
        status.st_uid != geteuid() || (status.st_mode & 022) != 0)
        return make_error(ErrorCode::kPermission, scratch_root,
                          " is not a folder that belongs to this user alone");
    return ok_status();
}

std::uint64_t lease_volume_bytes(const std::string &lease_folder) {
    struct stat status {};
    return lstat(volume_of(lease_folder).c_str(), &status) == 0
               ? static_cast<std::uint64_t>(status.st_size)
               : 0;
}

Result<std::string> prepare_lease_folder(const std::string &scratch_root,
                                         const std::string &lease_id_hex, std::uint32_t leg,
                                         std::uint64_t volume_bytes_max) {
    const std::string name = lease_id_hex + "-" + std::to_string(leg);
    if (!is_lease_folder_name(name) || name.size() > 128)
        return make_error(ErrorCode::kInvalidInput, "\"", name, "\" names no leg of a lease");
    CHAIN_TRY(make_scratch_root(scratch_root));
    // Two at once must not choose the same uid, nor share out the same room: both are seen as taken
    // once the folder is there.
    static std::mutex one_at_a_time;
    const std::lock_guard lock(one_at_a_time);
    CHAIN_ASSIGN(const uid_t uid, choose_leg_uid(scratch_root, lease_id_hex, leg));
    const std::string folder = scratch_root + "/" + name;
    if (mkdir(folder.c_str(), 0711) != 0) {
        if (errno == EEXIST) return make_error(ErrorCode::kConflict, folder, " exists already");
        return errno_error(errno, "make the folder " + folder);
    }
    Status filled = write_file_atomic(record_of(folder), std::to_string(uid) + "\n", 0600);
    if (filled.ok() && volume_bytes_max > 0) {
        const auto bytes = choose_volume_bytes(scratch_root, volume_bytes_max);
        filled = bytes.ok() ? host::mount_volume(volume_of(folder), folder, *bytes)
                            : Status(bytes.error());
    }
    if (filled.ok()) filled = fill_lease_folder(folder, uid);
    if (!filled.ok()) {
        if (const Status removed = remove_lease_folder(folder); !removed.ok())
            log(LogLevel::kWarning, "provider", removed.error().message);
        return filled.error();
    }
    return folder;
}

Result<uid_t> leg_uid(const std::string &lease_folder) {
    struct stat status {};
    const std::string job = lease_folder + "/job";
    if (lstat(job.c_str(), &status) != 0) return errno_error(errno, "look at " + job);
    const bool fits = daemon_is_root() ? status.st_uid >= kLegUidFirst &&
                                             status.st_uid - kLegUidFirst < kLegUidCount
                                       : status.st_uid == geteuid();
    if (!S_ISDIR(status.st_mode) || !fits)
        return make_error(ErrorCode::kPermission, job, " belongs to uid ", status.st_uid,
                          ", which is no lease's");
    return status.st_uid;
}

Status hand_over_to_leg(const std::string &lease_folder) {
    if (!daemon_is_root()) return ok_status();
    CHAIN_ASSIGN(const uid_t uid, leg_uid(lease_folder));
    for (const char *part : {"/job", "/outside"}) {
        const std::string folder = lease_folder + part;
        Status given = ok_status();
        CHAIN_TRY(walk_folder(folder, kWalkEntriesMax, [&](const WalkEntry &entry) {
            if (fchownat(entry.parent_fd, entry.base_name.c_str(), uid, uid, AT_SYMLINK_NOFOLLOW) !=
                0)
                given = errno_error(errno, "give " + entry.name + " to its lease");
            return given.ok();
        }));
        CHAIN_TRY(given);
    }
    return ok_status();
}

Result<std::vector<std::pair<std::string, std::string>>> outside_bindings(
    const std::string &lease_folder) {
    const std::string folder = lease_folder + "/outside";
    std::vector<std::pair<std::string, std::string>> bindings;
    Status fits = ok_status();
    CHAIN_TRY(walk_folder(folder, kWalkEntriesMax, [&](const WalkEntry &entry) {
        if (!S_ISREG(entry.status.st_mode)) return true;
        const std::string inside = "/" + entry.name;
        if (is_system_path(inside))
            fits = make_error(ErrorCode::kPermission, inside,
                              " lies where the peer's own system is; it cannot be staged there");
        else if (bindings.size() >= kOutsideFilesMax)
            fits = make_error(ErrorCode::kTooLarge, "more than ", kOutsideFilesMax,
                              " files with absolute names were staged");
        else
            bindings.emplace_back(folder + "/" + entry.name, inside);
        return fits.ok();
    }));
    CHAIN_TRY(fits);
    std::sort(bindings.begin(), bindings.end());
    return bindings;
}

bool is_system_path(const std::string &path) {
    static constexpr std::array<std::string_view, 14> kTrees = {
        "/usr", "/bin",  "/sbin", "/lib", "/lib32", "/lib64",          "/libx32",
        "/etc", "/proc", "/sys",  "/dev", "/boot",  "/run/ompi-chain", "/tmp/.ompi-chain"};
    if (path.empty() || path.front() != '/' || !is_safe_relative_path(path.substr(1))) return true;
    if (path == "/run") return true;  // holds a tree of ours
    return std::any_of(kTrees.begin(), kTrees.end(), [&](std::string_view tree) {
        return path == tree || path.starts_with(std::string(tree) + "/");
    });
}

Status remove_lease_folder(const std::string &lease_folder) {
    CHAIN_TRY(host::unmount_volume(volume_of(lease_folder), lease_folder));
    CHAIN_TRY(remove_hostile_tree(lease_folder));
    for (const std::string &record : {record_of(lease_folder), results_list_of(lease_folder)})
        if (unlink(record.c_str()) != 0 && errno != ENOENT)
            return errno_error(errno, "remove " + record);
    return ok_status();
}

Result<std::uint64_t> lease_folder_bytes(const std::string &lease_folder) {
    constexpr std::uint64_t kBlockBytes = 512;  // stat(2), whatever the disk's are
    std::uint64_t bytes = 0;
    CHAIN_TRY(walk_folder(lease_folder, kWalkEntriesMax, [&](const WalkEntry &entry) {
        bytes += static_cast<std::uint64_t>(entry.status.st_blocks) * kBlockBytes;
        return true;
    }));
    return bytes;
}

Status record_sandbox(const std::string &lease_folder, const std::vector<int> &pids) {
    CHAIN_ASSIGN(const uid_t uid, leg_uid(lease_folder));
    std::string text = std::to_string(uid) + "\n";
    for (const int pid : pids) {
        const auto start_ticks = process_start_ticks(pid);
        if (start_ticks.ok())
            text += std::to_string(pid) + " " + std::to_string(*start_ticks) + "\n";
    }
    return write_file_atomic(record_of(lease_folder), text, 0600);
}

Status write_results_list(const std::string &lease_folder, std::string_view list) {
    return write_file_atomic(results_list_of(lease_folder), list, 0600);
}

Result<Bytes> read_results_list(const std::string &lease_folder) {
    return read_file(results_list_of(lease_folder), kResultsListBytesMax);
}

std::vector<std::string> folders_with_results(const std::string &scratch_root) {
    std::vector<std::string> folders;
    const auto names = leg_names(scratch_root);
    if (!names.ok()) return folders;
    for (const std::string &name : *names) {
        const std::string folder = scratch_root + "/" + name;
        if (!path_exists(results_list_of(folder))) continue;
        Status there = ok_status();
        if (path_exists(volume_of(folder))) there = host::remount_volume(volume_of(folder), folder);
        if (there.ok()) {
            folders.push_back(folder);
            continue;
        }
        log(LogLevel::kWarning, "provider", "results in ", folder, ": ", there.error().message);
        unlink(results_list_of(folder).c_str());  // so that it goes with the rest
    }
    return folders;
}

void forget_results(const std::string &scratch_root) {
    if (const auto names = leg_names(scratch_root); names.ok())
        for (const std::string &name : *names)
            unlink(results_list_of(scratch_root + "/" + name).c_str());
}

Result<std::uint32_t> reap_leftovers(const std::string &scratch_root) {
    std::uint32_t removed_count = 0;
    remove_half_written(scratch_root);
    CHAIN_ASSIGN(const std::set<std::string> names, leg_names(scratch_root));
    for (const std::string &name : names) {
        const std::string folder = scratch_root + "/" + name;
        kill_recorded_leg(folder);
        if (path_exists(results_list_of(folder))) continue;
        CHAIN_TRY(remove_lease_folder(folder));
        ++removed_count;
    }
    return removed_count;
}

std::vector<std::pair<std::string, std::string>> launch_environment(
    const std::string &lease_id_hex, const std::string &job_folder, std::uint64_t hz,
    std::uint64_t memory_bytes, std::uint32_t slot_count, const std::string &component_dir) {
    const bool is_image = !component_dir.empty();
    const std::string temporary = job_folder == "/tmp" ? "/var/tmp" : "/tmp";
    std::vector<std::pair<std::string, std::string>> environment = {
        {"PATH", "/usr/local/bin:/usr/bin:/bin"},
        {"HOME", job_folder},
        {"TMPDIR", temporary},
        // What programs keep for another time, in a place that is kept for none: it is no result.
        {"XDG_CACHE_HOME", temporary + "/.cache"},
        // hwloc would start OpenCL and GL drivers in every rank, with their threads, to list
        // devices.
        {"HWLOC_COMPONENTS", "-opencl,-gl"},
        {"LANG", "C.UTF-8"},
        {"OMPI_MCA_mca_base_component_path",
         std::string(kComponentsInside) + ":" + (is_image ? component_dir : OMPI_COMPONENT_DIR)},
        {CHAIN_ENV_LEASE, lease_id_hex},
        {CHAIN_ENV_RANK_DIR, std::string(kRanksInside)},
        {CHAIN_ENV_HZ, std::to_string(hz)},
        {CHAIN_ENV_MEMORY_BYTES, std::to_string(memory_bytes)},
        {CHAIN_ENV_SLOTS, std::to_string(slot_count)},
    };
    // Components of ours that do not fit its C library are left out, without a word in each rank.
    if (is_image) environment.emplace_back("OMPI_MCA_mca_base_component_show_load_errors", "0");
    return environment;
}

}  // namespace chain::provider
