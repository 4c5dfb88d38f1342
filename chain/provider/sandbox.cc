// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/sandbox.h"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <optional>
#include <sstream>

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/base/file.h"
#include "chain/base/log.h"
#include "chain/provider/bwrap_arguments.h"
#include "chain/provider/lease_folder.h"
#include "chain/provider/seccomp_filter.h"
#include "chain/provider/spawn.h"

namespace chain::provider {
namespace {

constexpr std::size_t kLastWordsBytesMax = 8u << 10;
constexpr std::size_t kInfoBytesMax = 4u << 10;
// How long a process may take to die of SIGKILL before we stop waiting for it.
constexpr int kKillPatienceMs = 2000;

FileDescriptor open_process(int pid) {
    return FileDescriptor(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

void kill_process(const FileDescriptor &process) {
    if (process.valid()) syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
}

bool has_ended(const FileDescriptor &process, int patience_ms) {
    if (!process.valid()) return true;
    pollfd ended{process.get(), POLLIN, 0};
    return poll(&ended, 1, patience_ms) == 1;
}

// Children of a process of ours. Stops it first: it makes no more, and reaps none.
std::vector<int> stop_and_list_children(int pid) {
    ::kill(pid, SIGSTOP);
    const std::string folder = "/proc/" + std::to_string(pid);
    constexpr int kLooks = 1000;
    for (int look = 0; look < kLooks; ++look) {
        const auto stat = read_file(folder + "/stat", 4096);
        if (!stat.ok()) return {};
        const std::size_t name_end = stat->rfind(") ");
        if (name_end == std::string::npos) return {};
        const char state = (*stat)[name_end + 2];
        if (state == 'T' || state == 'Z' || state == 't') break;
        usleep(50);
    }
    std::vector<int> children;
    const auto text = read_file(folder + "/task/" + std::to_string(pid) + "/children", 4096);
    if (!text.ok()) return {};
    std::istringstream numbers(*text);
    for (int child; numbers >> child;) children.push_back(child);
    return children;
}

bool is_child_of(int pid, int parent) {
    const auto stat = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
    if (!stat.ok()) return false;
    const std::size_t name_end = stat->rfind(") ");
    if (name_end == std::string::npos) return false;
    std::istringstream fields(stat->substr(name_end + 2));
    std::string state;
    int found_parent = 0;
    fields >> state >> found_parent;
    return found_parent == parent;
}

// bwrap's outer process (`outer_`) waits; the inner one (`inner_`) is pid 1 of the lease's pid
// namespace: when it dies, the kernel kills everything in there, whatever it ignores. It dies with
// the outer one, and that with the daemon; only while bwrap is still building (some milliseconds)
// can a killed daemon leave the inner one behind, waiting at the gate with nothing started:
// reap_leftovers finds it.
class BwrapSandbox final : public Sandbox {
public:
    BwrapSandbox(Loop &loop, std::string lease_folder, std::function<void(NetworkEnds)> on_network,
                 std::function<void(int)> on_exit)
        : loop_(loop),
          lease_folder_(std::move(lease_folder)),
          on_network_(std::move(on_network)),
          on_exit_(std::move(on_exit)) {}

    ~BwrapSandbox() override {
        kill();
        // Reaped here, or it would stay a zombie for as long as the daemon lives.
        if (!wait_status_ && pid_ > 0) waitpid(pid_, nullptr, 0);
        if (!has_ended(inner_, kKillPatienceMs))
            log(LogLevel::kError, "provider", "a sandbox did not end: ", lease_folder_);
    }

    Status start(const SandboxSpec &spec, meter::LeaseMeter &meter) {
        SpawnPlan plan;
        CHAIN_ASSIGN(plan.program, find_bwrap());
        CHAIN_ASSIGN(const uid_t uid, leg_uid(spec.lease_folder));
        plan.uid = geteuid() == 0 ? uid : 0;
        CHAIN_ASSIGN(plan.words, bwrap_arguments(spec, kSeccompFd, kInfoFd, kBlockFd));
        plan.command = spec.argv;
        CHAIN_TRY(write_etc(spec));
        CHAIN_TRY(hand_over_to_leg(spec.lease_folder));
        CHAIN_ASSIGN(plan.seccomp, make_seccomp_filter());
        CHAIN_TRY(open_pipe(info_, plan.info));
        CHAIN_TRY(open_pipe(output_, plan.output));
        CHAIN_TRY(open_gate(plan.block));
        if (spec.network == SandboxNetwork::kLease)
            plan.network = overlay::DevicePlan{spec.member, geteuid() != 0};
        CHAIN_ASSIGN(spawning_, start_bwrap(std::move(plan), &meter));
        pid_ = spawning_.pid;
        outer_ = open_process(pid_);
        if (!outer_.valid()) return errno_error(errno, "watch a sandbox");
        group_ = spec.group;
        meter_ = &meter;
        status_watch_ = loop_.on_readable(spawning_.status.get(), [this] { step(); });
        outer_watch_ = loop_.on_readable(outer_.get(), [this] { on_outer_ended(); });
        info_watch_ = loop_.on_readable(info_.get(), [this] { read_info(); });
        output_watch_ = loop_.on_readable(output_.get(), [this] { read_output(); });
        return record_sandbox(lease_folder_, {pid_});
    }

    void kill() override {
        if (pid_ > 0 && !wait_status_) {
            // In its first moments bwrap has not told us yet who the inner one is.
            for (const int child : stop_and_list_children(pid_)) {
                FileDescriptor process = open_process(child);
                kill_process(process);
                if (!inner_.valid()) watch_inner(std::move(process));
            }
            ::kill(pid_, SIGKILL);
        }
        kill_process(inner_);
    }

    int pid() const override { return pid_; }

    std::string last_words() const override {
        std::string words = last_words_;
        for (char &c : words) {
            const auto byte = static_cast<unsigned char>(c);
            if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f) c = '?';
        }
        return words;
    }

private:
    void step() {
        const Result<bool> stepped = spawning_.step(group_, meter_);
        if (!stepped.ok() && !wait_status_) {
            last_words_ = stepped.error().message;
            ::kill(pid_, SIGKILL);
        }
        if (!stepped.ok() || *stepped) {
            status_watch_.cancel();
            return;
        }
        if (spawning_.device.valid())
            on_network_({std::move(spawning_.device), std::move(spawning_.listener)});
    }

    Status open_pipe(FileDescriptor &reader, FileDescriptor &writer) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) return errno_error(errno, "make a pipe");
        reader = FileDescriptor(ends[0]);
        writer = FileDescriptor(ends[1]);
        if (fcntl(reader.get(), F_SETFL, O_NONBLOCK) != 0) return errno_error(errno, "make a pipe");
        return ok_status();
    }

    // A pipe whose reading end is a writing end too: a daemon that dies does not open the gate.
    Status open_gate(FileDescriptor &reader) {
        FileDescriptor plain_reader;
        CHAIN_TRY(open_pipe(plain_reader, gate_));
        const std::string path = "/proc/self/fd/" + std::to_string(plain_reader.get());
        reader = FileDescriptor(open(path.c_str(), O_RDWR | O_CLOEXEC));
        if (!reader.valid()) return errno_error(errno, "make a pipe");
        return ok_status();
    }

    // bwrap writes {"child-pid": N} once, as seen from the host. The command may start when that is
    // on disk: from then on a daemon that is killed leaves nothing that the next one does not find.
    void read_info() {
        char buffer[512];
        const ssize_t got = read(info_.get(), buffer, sizeof buffer);
        if (got > 0) info_text_.append(buffer, static_cast<std::size_t>(got));
        if (got == 0 || info_text_.size() > kInfoBytesMax) info_watch_.cancel();
        if (inner_.valid()) return;
        constexpr std::string_view kKey = "\"child-pid\":";
        const std::size_t at = info_text_.find(kKey);
        if (at == std::string::npos || info_text_.find('}', at) == std::string::npos) return;
        const std::size_t digits = info_text_.find_first_of("0123456789", at);
        int inner_pid = 0;
        if (digits == std::string::npos) return;
        std::from_chars(info_text_.data() + digits, info_text_.data() + info_text_.size(),
                        inner_pid);
        if (inner_pid <= 1) return;
        FileDescriptor process = open_process(inner_pid);
        // After the opening: from here on the number cannot come to mean another process.
        if (!is_child_of(inner_pid, pid_)) return;
        watch_inner(std::move(process));
        if (const Status recorded = record_sandbox(lease_folder_, {pid_, inner_pid});
            !recorded.ok())
            log(LogLevel::kWarning, "provider", recorded.error().message);
        if (write(gate_.get(), "g", 1) != 1)
            log(LogLevel::kError, "provider", "cannot let a sandbox start: ", lease_folder_);
    }

    void watch_inner(FileDescriptor process) {
        if (!process.valid()) return;
        inner_ = std::move(process);
        inner_watch_ = loop_.on_readable(inner_.get(), [this] {
            inner_watch_.cancel();
            end_if_all_gone();
        });
    }

    void read_output() {
        char buffer[16384];
        const ssize_t got = read(output_.get(), buffer, sizeof buffer);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) output_watch_.cancel();
        if (got <= 0) return;
        last_words_.append(buffer, static_cast<std::size_t>(got));
        if (last_words_.size() > kLastWordsBytesMax)
            last_words_.erase(0, last_words_.size() - kLastWordsBytesMax);
    }

    void on_outer_ended() {
        // Why it did not begin may still be to be read.
        pollfd word{spawning_.status.get(), POLLIN, 0};
        while (status_watch_.active() && poll(&word, 1, 0) > 0) step();
        int status = 0;
        if (waitpid(pid_, &status, WNOHANG) != pid_) return;
        outer_watch_.cancel();
        wait_status_ = status;
        if (!inner_.valid()) read_info();
        kill_process(inner_);  // what orted left behind
        end_if_all_gone();
    }

    void end_if_all_gone() {
        if (!wait_status_ || !has_ended(inner_, 0) || !on_exit_) return;
        read_output();
        const auto on_exit = std::exchange(on_exit_, nullptr);
        on_exit(*wait_status_);  // may destroy this object: the last statement
    }

    Loop &loop_;
    std::string lease_folder_;
    std::function<void(NetworkEnds)> on_network_;
    std::function<void(int)> on_exit_;
    int pid_ = 0;
    Spawning spawning_;
    host::ControlGroup *group_ = nullptr;
    meter::LeaseMeter *meter_ = nullptr;
    FileDescriptor outer_;
    FileDescriptor inner_;
    FileDescriptor info_;
    FileDescriptor output_;
    FileDescriptor gate_;
    std::string info_text_;
    std::string last_words_;
    std::optional<int> wait_status_;
    LoopHandle status_watch_;
    LoopHandle outer_watch_;
    LoopHandle inner_watch_;
    LoopHandle info_watch_;
    LoopHandle output_watch_;
};

std::string last_line(const std::string &text) {
    const std::size_t end = text.find_last_not_of('\n');
    if (end == std::string::npos) return "no message";
    const std::size_t start = text.rfind('\n', end);
    return text.substr(start == std::string::npos ? 0 : start + 1, end + 1);
}

// Starts the smallest sandbox there is, and waits for its end.
Status probe(std::optional<overlay::DevicePlan> network, std::string_view what) {
    SpawnPlan plan;
    plan.network = network;
    CHAIN_ASSIGN(plan.program, find_bwrap());
    plan.uid = geteuid() == 0 ? kLegUidFirst + kLegUidCount - 1 : 0;
    plan.words = {"--unshare-user",
                  "--disable-userns",
                  "--unshare-pid",
                  "--unshare-ipc",
                  "--unshare-uts",
                  "--unshare-cgroup",
                  "--cap-drop",
                  "ALL",
                  "--uid",
                  "1000",
                  "--ro-bind",
                  "/",
                  "/",
                  "--proc",
                  "/proc",
                  "--dev",
                  "/dev",
                  "--die-with-parent",
                  "--seccomp",
                  "4",
                  "--info-fd",
                  "5"};
    plan.command = {"/usr/bin/true"};
    CHAIN_ASSIGN(plan.seccomp, make_seccomp_filter());
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return errno_error(errno, "make a pipe");
    const FileDescriptor words(ends[0]);
    plan.output = FileDescriptor(ends[1]);
    plan.info = FileDescriptor(open("/dev/null", O_WRONLY | O_CLOEXEC));
    plan.block = FileDescriptor(open("/dev/null", O_RDONLY | O_CLOEXEC));
    CHAIN_ASSIGN(Spawning spawning, start_bwrap(std::move(plan), nullptr));
    Result<bool> started = false;
    while (started.ok() && !*started) started = spawning.step(nullptr, nullptr);
    if (!started.ok()) kill(spawning.pid, SIGKILL);
    int status = 0;
    waitpid(spawning.pid, &status, 0);
    if (!started.ok()) return started.error();
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return ok_status();
    fcntl(words.get(), F_SETFL, O_NONBLOCK);
    char buffer[4096];
    const ssize_t got = read(words.get(), buffer, sizeof buffer);
    return make_error(ErrorCode::kPermission, what, ": ",
                      last_line(got > 0 ? std::string(buffer, static_cast<std::size_t>(got)) : ""));
}

}  // namespace

Status probe_sandbox() {
    return probe(std::nullopt, "no sandbox can be made here (user namespaces may be switched off)");
}

Status probe_lease_network() {
    const Status probed =
        probe(overlay::DevicePlan{1, geteuid() != 0}, "no sandbox with a network");
    if (probed.ok()) return probed;
    return make_error(probed.error().code,
                      "no lease can have a network of its own here: ", probed.error().message,
                      " (it takes /dev/net/tun, to be read and written, and network namespaces)");
}

Result<std::unique_ptr<Sandbox>> Sandbox::start(Loop &loop, const SandboxSpec &spec,
                                                meter::LeaseMeter &meter,
                                                std::function<void(NetworkEnds)> on_network,
                                                std::function<void(int wait_status)> on_exit) {
    auto sandbox = std::make_unique<BwrapSandbox>(loop, spec.lease_folder, std::move(on_network),
                                                  std::move(on_exit));
    CHAIN_TRY(sandbox->start(spec, meter));
    return std::unique_ptr<Sandbox>(std::move(sandbox));
}

}  // namespace chain::provider
