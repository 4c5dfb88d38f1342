// SPDX-License-Identifier: BSD-3-Clause
#include "examples/ranks/process.h"

#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <stdexcept>

namespace ranks {
namespace {

constexpr unsigned kFinalizeSeconds = 10;

int code_of(const char *name, const std::function<int(int, int)> &body, int rank, int count) {
    try {
        return body(rank, count);
    } catch (const std::exception &problem) {
        std::fprintf(stderr, "%s: %s\n", name, problem.what());
        return 1;
    }
}

// Some rank may be gone, and MPI_Finalize may wait for it where nobody told it not to.
[[noreturn]] void leave(int code) {
    static int late_code;
    late_code = code;
    signal(SIGALRM, [](int) { _exit(late_code); });
    alarm(kFinalizeSeconds);
    MPI_Finalize();
    _exit(code);  // tasks that nobody waits for any more may still be under way
}

}  // namespace

void beside(const std::function<void()> &task, const std::function<void()> &meanwhile) {
    auto done = std::async(std::launch::async, task);
    while (done.wait_for(std::chrono::milliseconds(2)) != std::future_status::ready) meanwhile();
    done.get();
}

// Alone there is no need for MPI, which would look for a network first.
bool is_launched() {
    for (const char *name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"})
        if (std::getenv(name) != nullptr) return true;
    return false;
}

void program(int argc, char **argv, const char *name, const std::function<int(int, int)> &body) {
    signal(SIGPIPE, SIG_IGN);  // of a connection to a rank that is gone
    int rank = 0;
    int count = 1;
    if (is_launched()) {
        int provided = 0;
        MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
        MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
        MPI_Comm_size(MPI_COMM_WORLD, &count);
    }
    const int code = code_of(name, body, rank, count);
    std::fflush(nullptr);
    if (is_launched()) leave(code);
    _exit(code);
}

int processor_count() {
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

std::string host_name() {
    char name[HOST_NAME_MAX + 1] = "";
    gethostname(name, sizeof name - 1);
    return name;
}

void sleep_a_little() {
    const timespec pause{0, 500'000};
    nanosleep(&pause, nullptr);
}

double now_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

}  // namespace ranks
