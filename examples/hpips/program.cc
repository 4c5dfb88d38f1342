// SPDX-License-Identifier: BSD-3-Clause
// hpips::main: with MPI under a launcher, without it alone.
#include <malloc.h>
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
#include "examples/ranks/process.h"

namespace hpips {
namespace {

constexpr double kHelloSeconds = 5;
constexpr int kKeptAllocationBytes = 32 << 20;  // larger ones go back to the kernel at once
constexpr int kKeptFreeBytes = 256 << 20;

uint64_t random_seed() {
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) throw Failure("no random numbers");
    return seed;
}

// What else is there to say when the work is interrupted: it looks as if all of it were lost.
void say_how_to_go_on(int number) {
    constexpr char kText[] = "\nhpips: interrupted; the same words with --resume go on from here\n";
    static_cast<void>(!write(STDERR_FILENO, kText, sizeof kText - 1));
    signal(number, SIG_DFL);
    raise(number);
}

int run(const Options &options, int ranks) {
    if (options.dry_run) return dry_run(options);
    Pipeline pipeline = pipeline_of(options.words.front());
    jobs_of(options);  // what is wrong with the command line is said before anything is done
    for (const int number : {SIGINT, SIGTERM})  // in the background a shell has SIGINT ignored
        if (signal(number, say_how_to_go_on) == SIG_IGN) signal(number, SIG_IGN);
    Progress progress(options.quiet);
    const ranks::VerifyPlan verify{options.verify, random_seed()};
    std::vector<std::unique_ptr<Worker>> workers;
    const int home_threads = options.threads > 0    ? options.threads
                             : ranks::is_launched() ? 1
                                                    : ranks::processor_count();
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

}  // namespace

int main(int argc, char **argv) {
    // The memory of one tile is that of the next: to get each page anew from the kernel would take
    // longer than what is computed in it.
    mallopt(M_MMAP_THRESHOLD, kKeptAllocationBytes);
    mallopt(M_TRIM_THRESHOLD, kKeptFreeBytes);
    set_arithmetic();
    // A rank is one slot; what runs at once is tiles.
    cv::setNumThreads(1);
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
    ranks::program(argc, argv, "hpips",
                   [&](int rank, int count) { return rank_main(argc, argv, rank, count); });
}

}  // namespace hpips
