// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/spawn.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <span>

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/base/descriptors.h"

namespace chain::provider {
namespace {

constexpr rlim_t kOpenFilesMax = 65'536;
// Meaningful only where the leg has a uid of its own: it counts all processes of the uid.
constexpr rlim_t kProcessesMax = 8'192;
constexpr int kStatusFd = 7;
constexpr int kParkedFd = 64;

// What the child says before exec: kAttached, or that a step failed.
struct ChildWord {
    int errno_value = 0;
    char step[28] = {};
};
constexpr char kAttached[] = "attached";

struct ChildContext {
    const char *program;
    char *const *argv;
    int null_fd, output_fd, arguments_fd, seccomp_fd, info_fd, block_fd, go_fd, status_fd;
    uid_t uid;
    pid_t parent;
    meter::LeaseMeter *meter;
    const overlay::DevicePlan *network;  // null: none of its own
};

void say(int status_fd, const char *step, int errno_value, std::span<const int> sockets = {}) {
    ChildWord word;
    word.errno_value = errno_value;
    std::strncpy(word.step, step, sizeof word.step - 1);
    static_cast<void>(send_descriptors(status_fd, &word, sizeof word, sockets));
}

[[noreturn]] void give_up(int status_fd, const char *step) {
    say(status_fd, step, errno);
    _exit(127);
}

bool set_limit(__rlimit_resource resource, rlim_t most) {
    rlimit limit{};
    if (getrlimit(resource, &limit) != 0) return false;
    limit.rlim_max =
        limit.rlim_max == RLIM_INFINITY || limit.rlim_max > most ? most : limit.rlim_max;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(resource, &limit) == 0;
}

bool reset_signals() {
    for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);  // some cannot: fine
    sigset_t none;
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
}

// Parks every descriptor above those that are to be, then puts each where bwrap is told it is.
bool place_descriptors(ChildContext &context) {
    int *const sources[] = {&context.null_fd,    &context.output_fd, &context.arguments_fd,
                            &context.seccomp_fd, &context.info_fd,   &context.block_fd,
                            &context.status_fd,  &context.go_fd};
    for (int *source : sources) {
        *source = fcntl(*source, F_DUPFD_CLOEXEC, kParkedFd);
        if (*source < 0) return false;
    }
    if (dup2(context.null_fd, 0) < 0 || dup2(context.output_fd, 1) < 0 ||
        dup2(context.output_fd, 2) < 0 || dup2(context.arguments_fd, kArgumentsFd) < 0 ||
        dup2(context.seccomp_fd, kSeccompFd) < 0 || dup2(context.info_fd, kInfoFd) < 0 ||
        dup2(context.block_fd, kBlockFd) < 0 || dup3(context.status_fd, kStatusFd, O_CLOEXEC) < 0)
        return false;
    context.status_fd = kStatusFd;
    return true;
}

bool drop_rights(uid_t uid) {
    if (uid != 0 && (setgroups(0, nullptr) != 0 || setresgid(uid, uid, uid) != 0 ||
                     setresuid(uid, uid, uid) != 0))
        return false;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

[[noreturn]] void run_child(ChildContext context) {
    int status_fd = context.status_fd;
    if (!reset_signals()) give_up(status_fd, "reset signals");
    if (!place_descriptors(context)) give_up(status_fd, "place descriptors");
    status_fd = context.status_fd;
    if (context.meter != nullptr && !context.meter->attach_self())
        give_up(status_fd, "join the meter");
    overlay::DeviceSockets sockets;
    if (context.network != nullptr) {
        if (const char *failed = overlay::enter_lease_network(*context.network, sockets))
            give_up(status_fd, failed);
    }
    const std::array handed = {sockets.device, sockets.listener};
    say(status_fd, kAttached, 0,
        std::span(handed).first(context.network != nullptr ? handed.size() : 0));
    char go = 0;
    if (read(context.go_fd, &go, 1) != 1) _exit(127);  // the parent gave up
    if (syscall(SYS_close_range, kStatusFd + 1, ~0U, 0) != 0)
        give_up(status_fd, "close descriptors");
    umask(022);
    if (chdir("/") != 0) give_up(status_fd, "leave the daemon's folder");
    if (!set_limit(RLIMIT_CORE, 0) || !set_limit(RLIMIT_NOFILE, kOpenFilesMax) ||
        (context.uid != 0 && !set_limit(RLIMIT_NPROC, kProcessesMax)))
        give_up(status_fd, "set limits");
    if (!drop_rights(context.uid)) give_up(status_fd, "drop rights");
    // After the change of uid, which clears it. bwrap asks for the same, later.
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up(status_fd, "follow the daemon's death");
    if (getppid() != context.parent) _exit(127);
    char *const empty_environment[] = {nullptr};
    execve(context.program, context.argv, empty_environment);
    give_up(status_fd, "execute bwrap");
}

Result<FileDescriptor> make_arguments_file(const std::vector<std::string> &words) {
    FileDescriptor file(memfd_create("ompi-chain-arguments", MFD_CLOEXEC));
    if (!file.valid()) return errno_error(errno, "make an anonymous file");
    std::string text;
    for (const auto &word : words) text.append(word).push_back('\0');
    CHAIN_TRY(write_all(file.get(), text, "write bwrap's arguments"));
    if (lseek(file.get(), 0, SEEK_SET) != 0) return errno_error(errno, "rewind a file");
    return file;
}

struct Pipe {
    FileDescriptor reader;
    FileDescriptor writer;
};

Result<Pipe> make_pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return errno_error(errno, "make a pipe");
    return Pipe{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

// A word is read as it was written, or not at all.
Result<Pipe> make_status_pair() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return errno_error(errno, "make a pair of sockets");
    return Pipe{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

}  // namespace

Result<std::string> find_bwrap() {
    for (const char *path : {"/usr/bin/bwrap", "/usr/local/bin/bwrap"}) {
        if (access(path, X_OK) == 0) return std::string(path);
    }
    return make_error(ErrorCode::kNotFound,
                      "bubblewrap, which keeps leased programs apart, is not installed: "
                      "apt-get install bubblewrap");
}

Result<bool> Spawning::step(host::ControlGroup *group, meter::LeaseMeter *meter) {
    ChildWord word;
    std::array<int, 2> sockets;  // of overlay::DeviceSockets
    const ssize_t got = receive_descriptors(status.get(), &word, sizeof word, sockets);
    if (sockets[0] >= 0) {
        device = FileDescriptor(sockets[0]);
        listener = FileDescriptor(sockets[1]);
    }
    // The other end is closed: which is what a good exec does, once it was let go.
    if (got != sizeof word) {
        if (is_attached) return true;
        return make_error(ErrorCode::kIo, "a sandbox ended before it began");
    }
    word.step[sizeof word.step - 1] = '\0';
    if (is_attached || std::string_view(word.step) != kAttached)
        return errno_error(word.errno_value, std::string(word.step) + " for a sandbox");
    is_attached = true;
    if (group != nullptr) CHAIN_TRY(group->adopt(pid));
    if (meter != nullptr) CHAIN_TRY(meter->adopt(pid));
    if (write(go.get(), "g", 1) != 1) return errno_error(errno, "start a sandbox");
    return false;
}

Result<Spawning> start_bwrap(SpawnPlan plan, meter::LeaseMeter *meter) {
    CHAIN_ASSIGN(FileDescriptor arguments, make_arguments_file(plan.words));
    CHAIN_ASSIGN(Pipe status, make_status_pair());
    CHAIN_ASSIGN(Pipe go, make_pipe());
    FileDescriptor null(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!null.valid()) return errno_error(errno, "open /dev/null");

    std::vector<std::string> words{"bwrap", "--args", std::to_string(kArgumentsFd), "--"};
    words.insert(words.end(), plan.command.begin(), plan.command.end());
    std::vector<char *> argv;
    for (auto &word : words) argv.push_back(word.data());
    argv.push_back(nullptr);

    const ChildContext context{.program = plan.program.c_str(),
                               .argv = argv.data(),
                               .null_fd = null.get(),
                               .output_fd = plan.output.get(),
                               .arguments_fd = arguments.get(),
                               .seccomp_fd = plan.seccomp.get(),
                               .info_fd = plan.info.get(),
                               .block_fd = plan.block.get(),
                               .go_fd = go.reader.get(),
                               .status_fd = status.writer.get(),
                               .uid = plan.uid,
                               .parent = getpid(),
                               .meter = meter,
                               .network = plan.network ? &*plan.network : nullptr};
    const pid_t pid = fork();
    if (pid < 0) return errno_error(errno, "fork");
    if (pid == 0) {
        close(go.writer.get());
        run_child(context);
    }
    Spawning spawning;
    spawning.pid = pid;
    spawning.status = std::move(status.reader);
    spawning.go = std::move(go.writer);
    return spawning;
}

}  // namespace chain::provider
