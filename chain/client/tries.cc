// SPDX-License-Identifier: BSD-3-Clause
#include "chain/client/tries.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/base/file.h"

namespace chain::client {
namespace {

constexpr char kLossMark = 'l';
constexpr char kResultMark = 'r';

// A note: its mark, its text, a NUL.
struct Shared {
    bool starts_again = false;
    std::int64_t paid = 0;
    std::size_t notes_bytes = 0;
    char notes[kNotesBytesMax] = {};
};

Shared *shared = nullptr;  // null: nobody supervises
unsigned own_number = 0;
unsigned again_at_most = 0;
volatile pid_t current_try = 0;

void add_note(char mark, std::string_view text) {
    if (shared == nullptr || text.empty() || text.find('\0') != text.npos) return;
    if (text.size() + 2 > kNotesBytesMax - shared->notes_bytes) return;
    char *at = shared->notes + shared->notes_bytes;
    *at = mark;
    std::memcpy(at + 1, text.data(), text.size());
    at[1 + text.size()] = '\0';
    shared->notes_bytes += text.size() + 2;
}

std::vector<std::string> notes_of(char mark) {
    std::vector<std::string> texts;
    if (shared == nullptr) return texts;
    for (std::size_t at = 0; at < shared->notes_bytes;) {
        const std::string note = shared->notes + at;
        at += note.size() + 1;
        const std::string text = note.substr(1);
        if (note[0] == mark && std::find(texts.begin(), texts.end(), text) == texts.end())
            texts.push_back(text);
    }
    return texts;
}

bool has_one_thread() {
    const auto status = read_file("/proc/self/status", 64u << 10);
    return status.ok() && status->find("\nThreads:\t1\n") != std::string::npos;
}

// A terminal tells the whole group itself: mpirun would take a second Ctrl-C for impatience.
void pass_on(int number, siginfo_t *info, void *) {
    const int kept = errno;
    if (info->si_code != SI_KERNEL && current_try > 0) kill(current_try, number);
    errno = kept;
}

void pass_signals_on() {
    struct sigaction action {};
    action.sa_sigaction = pass_on;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    sigemptyset(&action.sa_mask);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT})
        sigaction(number, &action, nullptr);
}

struct SignalsAsTheyWere {
    SignalsAsTheyWere() {
        for (int number = 1; number < NSIG; ++number) sigaction(number, nullptr, &actions[number]);
    }
    void restore() const {
        for (int number = 1; number < NSIG; ++number) sigaction(number, &actions[number], nullptr);
    }
    struct sigaction actions[NSIG] {};
};

// As the try ended.
[[noreturn]] void end_as(int wait_status) {
    if (WIFSIGNALED(wait_status)) {
        signal(WTERMSIG(wait_status), SIG_DFL);
        raise(WTERMSIG(wait_status));
    }
    _exit(WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status));
}

}  // namespace

Status Tries::supervise(unsigned again_max) {
    CHAIN_CHECK(shared == nullptr && again_max <= kTriesMax);
    if (!has_one_thread())
        return make_error(ErrorCode::kConflict,
                          "--chain-relaunch: another thread runs in mpirun already; a driver that "
                          "hwloc looks for may have started it (HWLOC_COMPONENTS=-opencl,-gl).");
    void *memory =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return errno_error(errno, "share memory between tries");
    auto *const made = new (memory) Shared;
    const SignalsAsTheyWere signals;
    const pid_t parent = getpid();
    for (unsigned number = 0;; ++number) {
        made->starts_again = false;
        std::fflush(nullptr);
        const pid_t child = fork();
        if (child < 0 && number == 0) {
            munmap(memory, sizeof(Shared));
            return errno_error(errno, "fork");
        }
        if (child < 0) {
            std::perror("mpirun: no further try");
            _exit(1);
        }
        if (child == 0) {
            signals.restore();
            if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) _exit(1);
            shared = made;
            own_number = number;
            again_at_most = again_max;
            return ok_status();
        }
        current_try = child;
        if (number == 0) pass_signals_on();
        int wait_status = 0;
        while (waitpid(child, &wait_status, 0) < 0 && errno == EINTR) continue;
        current_try = 0;
        const bool failed = !WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0;
        if (!failed || !made->starts_again || number >= again_max) end_as(wait_status);
        std::fprintf(stderr, "mpirun: a peer was lost; the job starts again (%u of %u)\n",
                     number + 1, again_max);
    }
}

unsigned Tries::number() {
    return own_number;
}

bool Tries::has_more() {
    return shared != nullptr && own_number < again_at_most;
}

bool Tries::is_supervised() {
    return shared != nullptr;
}

void Tries::note_loss(std::string_view peer) {
    if (shared == nullptr) return;
    shared->starts_again = true;
    add_note(kLossMark, peer);
}

void Tries::note_result(std::string_view name) {
    add_note(kResultMark, name);
}

void Tries::note_paid(std::int64_t units) {
    if (shared != nullptr) shared->paid += units;
}

std::int64_t Tries::paid() {
    return shared == nullptr ? 0 : shared->paid;
}

std::vector<std::string> Tries::lost_peers() {
    return notes_of(kLossMark);
}

std::vector<std::string> Tries::results() {
    return notes_of(kResultMark);
}

}  // namespace chain::client
