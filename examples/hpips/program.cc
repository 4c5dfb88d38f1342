// SPDX-License-Identifier: BSD-3-Clause
// hpips::main: with MPI under a launcher, without it alone.
#include <malloc.h>
#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <sys/random.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <opencv2/core/utils/logger.hpp>

#include "examples/hpips/batch.h"
#include "examples/hpips/commands.h"
#include "examples/hpips/estimate.h"
#include "examples/hpips/exact.h"
#include "examples/hpips/vips_image.h"

namespace hpips {
namespace {

constexpr double kHelloSeconds = 5;
constexpr unsigned kFinalizeSeconds = 10;
constexpr int kKeptAllocationBytes = 32 << 20;  // larger ones go back to the kernel at once
constexpr int kKeptFreeBytes = 256 << 20;

// Alone there is no need for MPI, which would look for a network first.
bool is_launched() {
    for (const char *name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"})
        if (std::getenv(name) != nullptr) return true;
    return false;
}

int processor_count() {
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

uint64_t random_seed() {
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) throw Failure("no random numbers");
    return seed;
}

int run(const Options &options, int ranks) {
    if (options.dry_run) return dry_run(options);
    Pipeline pipeline = pipeline_of(options.words.front());
    jobs_of(options);  // what is wrong with the command line is said before anything is done
    Progress progress(options.quiet);
    const VerifyPlan verify{options.verify, random_seed()};
    std::vector<std::unique_ptr<Worker>> workers;
    const int home_threads = options.threads > 0 ? options.threads
                             : is_launched()     ? 1
                                                 : processor_count();
    workers.push_back(make_home_worker(home_threads));
    for (int rank = 1; rank < ranks; ++rank) workers.push_back(make_remote_worker(rank));
    // Never destroyed: messages to ranks that are gone stay where they are.
    Farm &farm = *new Farm(std::move(workers), {verify, options.silent_s}, progress);
    farm.wait_for_hellos(kHelloSeconds);
    if (options.verify > 0 && ranks == 1)
        progress.say("--verify with one rank computes twice on one computer, which proves little");
    int code = kExitImageFailed;
    try {
        code = Batch(options, std::move(pipeline), farm, progress, verify).run();
    } catch (const std::exception &problem) {
        progress.say(problem.what());
    }
    farm.end();
    return code;
}

int do_command(const Options &options, int ranks) {
    if (options.command == "help") {
        std::fputs(kUsage, stdout);
        return kExitDone;
    }
    if (options.command == "version") {
        std::printf("hpips of OpenMPI-Chain; libvips %s, OpenCV %s\n", vips_version().c_str(),
                    CV_VERSION);
        return kExitDone;
    }
    if (options.command == "ops") return list_operators(options);
    if (options.command == "info") return show_files(options);
    return run(options, ranks);
}

int rank_main(int argc, char **argv, int rank, int ranks) {
    Options options;
    try {
        options = parse_options(argc, argv);
        if (rank != 0)
            return options.command == "run" && !options.dry_run
                       ? serve_rank_0(std::max(1, options.threads))
                       : kExitDone;
        return do_command(options, ranks);
    } catch (const Failure &failure) {
        if (rank == 0)
            std::fprintf(stderr, "hpips: %s\n%s", failure.what(),
                         options.command.empty() ? "hpips --help says more\n" : "");
        return kExitUsage;
    }
}

// Some rank may be gone, and MPI_Finalize may wait for it where nobody told it not to.
[[noreturn]] void leave(int code) {
    static int late_code;
    late_code = code;
    std::fflush(nullptr);
    signal(SIGALRM, [](int) { _exit(late_code); });
    alarm(kFinalizeSeconds);
    MPI_Finalize();
    _exit(code);  // tiles that nobody waits for any more may still be computed
}

}  // namespace

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);  // of a connection to a rank that is gone
    // The memory of one tile is that of the next: to get each page anew from the kernel would take
    // longer than what is computed in it.
    mallopt(M_MMAP_THRESHOLD, kKeptAllocationBytes);
    mallopt(M_TRIM_THRESHOLD, kKeptFreeBytes);
    set_arithmetic();
    // A rank is one slot; what runs at once is tiles.
    cv::setNumThreads(1);
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
    if (!is_launched()) {
        const int code = rank_main(argc, argv, 0, 1);
        std::fflush(nullptr);
        _exit(code);
    }
    int provided = 0;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    int rank = 0;
    int ranks = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    int code = kExitImageFailed;
    try {
        code = rank_main(argc, argv, rank, ranks);
    } catch (const std::exception &problem) {
        std::fprintf(stderr, "hpips: %s\n", problem.what());
    }
    leave(code);
}

}  // namespace hpips
