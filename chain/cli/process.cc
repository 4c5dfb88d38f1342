// SPDX-License-Identifier: BSD-3-Clause
#include "chain/cli/process.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <sstream>

#include <fcntl.h>
extern "C" {
#include <sys/pidfd.h>  // glibc 2.36 forgets to say that it is C
}
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <poll.h>

#include "chain/base/clock.h"
#include "chain/base/file.h"

namespace chain::cli {
namespace {

constexpr std::size_t kProcFileBytes = 4096;
constexpr std::size_t kPidFileBytes = 256;

// What is left of a child that was reaped while somebody waited for it.
std::map<pid_t, int> &reaped() {
    static std::map<pid_t, int> statuses;
    return statuses;
}

void reap(pid_t pid) {
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) == pid) reaped()[pid] = status;
}

std::string boot_id() {
    const auto text = read_file("/proc/sys/kernel/random/boot_id", kProcFileBytes);
    return text.ok() ? text->substr(0, text->find('\n')) : std::string("unknown");
}

struct Stat {
    char state = 'X';
    std::uint64_t start_ticks = 0;
};

// proc(5): the name, field 2, is in parentheses and may hold blanks and parentheses itself.
std::optional<Stat> read_stat(pid_t pid) {
    constexpr int kStateField = 3, kStartField = 22;
    const auto text = read_file("/proc/" + std::to_string(pid) + "/stat", kProcFileBytes);
    if (!text.ok()) return std::nullopt;
    const std::size_t name_end = text->rfind(')');
    if (name_end == std::string::npos) return std::nullopt;
    std::istringstream fields(text->substr(name_end + 1));
    Stat stat;
    std::string field;
    for (int i = kStateField; i <= kStartField && fields >> field; ++i) {
        if (i == kStateField) stat.state = field[0];
        if (i == kStartField) stat.start_ticks = std::strtoull(field.c_str(), nullptr, 10);
    }
    return stat;
}

// A handle that stays with the process, and the check that it is the one meant.
FileDescriptor open_process(const ProcessIdentity &process) {
    FileDescriptor handle(pidfd_open(process.pid, 0));
    if (!handle.valid() || !is_running(process)) return {};
    return handle;
}

[[noreturn]] void fail_child(int report_fd) {
    const int error = errno;
    [[maybe_unused]] const ssize_t put = write(report_fd, &error, sizeof error);
    _exit(127);
}

// In the child, between fork and exec: system calls only.
[[noreturn]] void become_daemon(char *const *argv, int log_fd, int go_fd, int report_fd,
                                pid_t parent, bool dies_with_parent) {
    setsid();
    if (dies_with_parent) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent) _exit(127);
    }
    char go = 0;
    if (read(go_fd, &go, 1) != 1) _exit(127);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGCHLD})
        signal(number, SIG_DFL);
    umask(077);
    const int null_fd = open("/dev/null", O_RDONLY);
    if (null_fd < 0 || chdir("/") != 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
        dup2(log_fd, STDOUT_FILENO) < 0 || dup2(log_fd, STDERR_FILENO) < 0)
        fail_child(report_fd);
    // `report_fd` is the one that is kept, and exec closes it.
    for (int fd = 3; fd < 1024; ++fd)
        if (fd != report_fd) close(fd);
    execv(argv[0], argv);
    fail_child(report_fd);
}

Status write_pid_file(const std::string &path, const ProcessIdentity &process) {
    return write_file_atomic(path,
                             std::to_string(process.pid) + " " +
                                 std::to_string(process.start_ticks) + " " + process.boot_id + "\n",
                             0600);
}

struct Pipe {
    FileDescriptor out, in;
};

Result<Pipe> make_pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return errno_error(errno, "make a pipe");
    return Pipe{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

}  // namespace

Result<ProcessIdentity> spawn_daemon(const DaemonSpec &spec) {
    CHAIN_CHECK(!spec.argv.empty());
    CHAIN_ASSIGN(const FileDescriptor log, open_append(spec.log_path));
    CHAIN_ASSIGN(Pipe go, make_pipe());
    CHAIN_ASSIGN(Pipe trouble, make_pipe());
    std::vector<char *> argv;
    for (const std::string &word : spec.argv) argv.push_back(const_cast<char *>(word.c_str()));
    argv.push_back(nullptr);

    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid < 0) return errno_error(errno, "start " + spec.argv[0]);
    if (pid == 0) {
        // Else the child itself would keep the pipe open that tells it of the parent's end.
        close(go.in.get());
        become_daemon(argv.data(), log.get(), go.out.get(), trouble.in.get(), parent,
                      spec.dies_with_parent);
    }

    const auto give_up = [&](Error error) {
        kill(pid, SIGKILL);
        waitpid(pid, nullptr, 0);
        unlink(spec.pid_path.c_str());
        return error;
    };
    const std::optional<Stat> stat = read_stat(pid);
    if (!stat) return give_up(make_error(ErrorCode::kIo, "cannot read /proc/", pid, "/stat"));
    const ProcessIdentity process{pid, stat->start_ticks, boot_id()};
    if (const Status written = write_pid_file(spec.pid_path, process); !written.ok())
        return give_up(written.error());
    if (const Status told = write_all(go.in.get(), "g", "start " + spec.argv[0]); !told.ok())
        return give_up(told.error());
    trouble.in.reset();
    int error = 0;
    ssize_t got = 0;
    do {
        got = read(trouble.out.get(), &error, sizeof error);
    } while (got < 0 && errno == EINTR);
    if (got == sizeof error) return give_up(errno_error(error, "run " + spec.argv[0]));
    return process;
}

std::optional<ProcessIdentity> running_process(const std::string &pid_path) {
    const auto text = read_file(pid_path, kPidFileBytes);
    if (!text.ok()) return std::nullopt;
    ProcessIdentity process;
    std::istringstream fields(*text);
    if (!(fields >> process.pid >> process.start_ticks >> process.boot_id)) return std::nullopt;
    if (process.pid <= 0 || !is_running(process)) return std::nullopt;
    return process;
}

bool is_running(const ProcessIdentity &process) {
    if (process.boot_id != boot_id()) return false;
    const std::optional<Stat> stat = read_stat(process.pid);
    if (!stat || stat->start_ticks != process.start_ticks) return false;
    if (stat->state == 'Z') reap(process.pid);
    return stat->state != 'Z' && stat->state != 'X';
}

bool send_signal(const ProcessIdentity &process, int signal_number) {
    const FileDescriptor handle = open_process(process);
    return handle.valid() && pidfd_send_signal(handle.get(), signal_number, nullptr, 0) == 0;
}

bool wait_until_gone(const ProcessIdentity &process, std::uint64_t timeout_ms) {
    const std::uint64_t until_ms = system_clock().steady_ms() + timeout_ms;
    const FileDescriptor handle = open_process(process);
    while (handle.valid() && is_running(process)) {
        const std::uint64_t now_ms = system_clock().steady_ms();
        if (now_ms >= until_ms) return false;
        pollfd watched{handle.get(), POLLIN, 0};
        poll(&watched, 1, static_cast<int>(until_ms - now_ms));
    }
    return true;
}

std::string how_it_ended(const ProcessIdentity &process) {
    reap(process.pid);
    const auto found = reaped().find(process.pid);
    if (found == reaped().end()) return {};
    if (WIFSIGNALED(found->second)) return "signal " + std::to_string(WTERMSIG(found->second));
    return "exit code " + std::to_string(WEXITSTATUS(found->second));
}

}  // namespace chain::cli
