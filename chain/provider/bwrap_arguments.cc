// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/bwrap_arguments.h"

#include <algorithm>
#include <filesystem>

#include <sys/sysinfo.h>

#include "chain/base/file.h"
#include "chain/overlay/address.h"
#include "chain/provider/lease_folder.h"
#include "chain/wire/frame.h"

namespace chain::provider {
namespace {

// bwrap takes 9000 arguments at most; ours, and three for each file outside, stay well below.
constexpr std::size_t kReadOnlyMax = kOutsideFilesMax + 200;
constexpr std::size_t kEnvironmentMax = 200;
constexpr std::size_t kCommandWordsMax = 1000;
constexpr std::uint64_t kTmpfsBytesMin = 1u << 20;

bool is_plain(const std::string &text) {
    return text.find('\0') == std::string::npos;
}

Status check_spec(const SandboxSpec &spec) {
    if (!wire::is_valid_host_name(spec.host_name))
        return make_error(ErrorCode::kInvalidInput, "the host name of a sandbox has odd letters");
    if (is_system_path(spec.job_folder))
        return make_error(ErrorCode::kInvalidInput, "the job folder cannot be at ", spec.job_folder,
                          " on a leased machine: the peer's system is there");
    for (const std::string &host : spec.member_hosts)
        if (!wire::is_valid_host_name(host))
            return make_error(ErrorCode::kInvalidInput, "a host of the lease has an odd name");
    if (spec.argv.empty() || spec.argv.size() > kCommandWordsMax)
        return make_error(ErrorCode::kInvalidInput, "a sandbox needs a command of 1 to ",
                          kCommandWordsMax, " words");
    if (spec.read_only.size() > kReadOnlyMax || spec.environment.size() > kEnvironmentMax)
        return make_error(ErrorCode::kTooLarge, "more than ", kReadOnlyMax, " read-only files, or ",
                          kEnvironmentMax, " variables");
    for (const auto &[source, inside] : spec.read_only) {
        if (is_system_path(inside) || inside == spec.job_folder ||
            inside.starts_with(spec.job_folder + "/") || !is_plain(source))
            return make_error(ErrorCode::kInvalidInput, inside,
                              " cannot be put into a sandbox from outside of its job folder");
    }
    for (const auto &word : spec.argv) {
        if (!is_plain(word)) return make_error(ErrorCode::kInvalidInput, "a word holds a NUL");
    }
    for (const auto &[name, value] : spec.environment) {
        if (name.empty() || name.find('=') != std::string::npos || !is_plain(name) ||
            !is_plain(value))
            return make_error(ErrorCode::kInvalidInput, "a variable has an odd name or value");
    }
    return ok_status();
}

std::uint64_t tmpfs_bytes(const SandboxSpec &spec) {
    std::uint64_t bytes = spec.memory_bytes;
    if (bytes == 0) {
        struct sysinfo info {};
        CHAIN_CHECK(sysinfo(&info) == 0);
        bytes = static_cast<std::uint64_t>(info.totalram) * info.mem_unit / 4;
    }
    return std::max(bytes, kTmpfsBytesMin);
}

void append(std::vector<std::string> &arguments, std::initializer_list<std::string> more) {
    arguments.insert(arguments.end(), more);
}

void append_namespaces(std::vector<std::string> &arguments, const SandboxSpec &spec) {
    const std::string id = std::to_string(kInsideUid);
    append(arguments,
           {"--unshare-user", "--disable-userns", "--uid", id, "--gid", id, "--unshare-pid",
            "--unshare-ipc", "--unshare-uts", "--unshare-cgroup", "--hostname", spec.host_name,
            "--die-with-parent", "--new-session", "--cap-drop", "ALL"});
    if (spec.network == SandboxNetwork::kNone) append(arguments, {"--unshare-net"});
}

void append_own_system(std::vector<std::string> &arguments) {
    append(arguments, {"--ro-bind", "/usr", "/usr"});
    for (const char *name : {"bin", "sbin", "lib", "lib32", "lib64", "libx32"}) {
        const std::string path = std::string("/") + name;
        // Every Debian since 12 has them as links into /usr; elsewhere they are folders.
        std::error_code ignored;
        if (std::filesystem::is_symlink(path, ignored))
            append(arguments, {"--symlink", std::string("usr/") + name, path});
        else
            append(arguments, {"--ro-bind-try", path, path});
    }
    for (const char *path :
         {"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives",
          "/etc/openmpi", "/etc/nsswitch.conf", "/etc/localtime", "/etc/OpenCL"})
        append(arguments, {"--ro-bind-try", path, path});
}

// Another root is the leg's own, so that mount points can be made in it; nothing stays writable.
void append_system(std::vector<std::string> &arguments, const SandboxSpec &spec) {
    if (spec.root_folder.empty())
        append_own_system(arguments);
    else
        append(arguments, {"--bind", spec.root_folder, "/"});
    for (const char *path : {"/sys/devices/system",
                             // UCX, under OpenSHMEM, finds its devices here and nowhere else.
                             "/sys/class/net", "/sys/devices/virtual/net"})
        append(arguments, {"--ro-bind-try", path, path});
    for (const char *name : {"passwd", "group", "hosts"})
        append(arguments,
               {"--ro-bind", spec.lease_folder + "/etc/" + name, std::string("/etc/") + name});
}

void append_writable(std::vector<std::string> &arguments, const SandboxSpec &spec) {
    const std::string size = std::to_string(tmpfs_bytes(spec));
    append(arguments, {"--proc", "/proc", "--dev", "/dev"});
    for (const char *path : {"/dev/shm", "/tmp", "/var/tmp"})
        append(arguments, {"--perms", "1777", "--size", size, "--tmpfs", path});
    append(arguments, {"--bind", spec.lease_folder + "/ranks", "/run/ompi-chain/ranks", "--ro-bind",
                       spec.lease_folder + "/components", "/run/ompi-chain/components"});
    append(arguments, {"--bind", spec.lease_folder + "/job", spec.job_folder});
    for (const std::string &device : spec.devices)
        append(arguments, {"--dev-bind", device, device});
    for (const auto &[source, inside] : spec.read_only)
        append(arguments, {"--ro-bind", source, inside});
    for (const auto &[source, inside] : spec.writable)
        append(arguments, {"--bind", source, inside});
    // Everything that bwrap made on the way lies in file systems of memory without a limit.
    append(arguments, {"--remount-ro", "/", "--remount-ro", "/dev", "--chdir", spec.job_folder});
}

}  // namespace

Status write_etc(const SandboxSpec &spec) {
    const std::string etc = spec.lease_folder + "/etc/";
    const std::string id = std::to_string(kInsideUid);
    CHAIN_TRY(write_file_atomic(etc + "passwd",
                                "rank:x:" + id + ":" + id + "::/tmp:/usr/sbin/nologin\n", 0644));
    CHAIN_TRY(write_file_atomic(etc + "group", "rank:x:" + id + ":\n", 0644));
    std::string hosts = "127.0.0.1 localhost\n::1 localhost\n";
    if (spec.member_hosts.empty()) hosts += "127.0.1.1 " + spec.host_name + "\n";
    std::uint32_t member = 1;
    for (const std::string &host : spec.member_hosts)
        hosts += overlay::address_text(member++) + " " + host + "\n";
    return write_file_atomic(etc + "hosts", hosts, 0644);
}

Result<std::vector<std::string>> bwrap_arguments(const SandboxSpec &spec, int seccomp_fd,
                                                 int info_fd, int block_fd) {
    CHAIN_TRY(check_spec(spec));
    std::vector<std::string> arguments;
    append_namespaces(arguments, spec);
    append_system(arguments, spec);
    append_writable(arguments, spec);
    append(arguments,
           {"--seccomp", std::to_string(seccomp_fd), "--info-fd", std::to_string(info_fd),
            "--block-fd", std::to_string(block_fd), "--clearenv"});
    for (const auto &[name, value] : spec.environment) append(arguments, {"--setenv", name, value});
    return arguments;
}

}  // namespace chain::provider
