// SPDX-License-Identifier: BSD-3-Clause
// The command line of hpips.
#pragma once

#include <string>
#include <vector>

#include "examples/hpips/hpips.h"

namespace hpips {

struct Options {
    std::string command;             // "run", "ops", "info", "help", "version"
    std::vector<std::string> words;  // run: the pipeline and the inputs; ops: a name; info: files
    std::string output;              // folder, file, or a pattern with %s
    std::string format;              // of the output; "": as the input
    std::string report;
    int quality = 90;
    int tile = 0;     // 0: chosen for each image
    int threads = 0;  // 0: one under mpirun, else one for each processor
    double verify = 0;
    double silent_s = 20;
    bool resume = false;
    bool dry_run = false;
    bool quiet = false;
    bool json = false;
};

extern const char kUsage[];

// The same on every rank: looks at the words only. Failure: what is wrong with them.
Options parse_options(int argc, char **argv);

struct Job {
    std::string input;
    std::string output;     // its extension may still be the input's
    std::string extension;  // asked for; "": as the input
    int page = 0;           // of the input
};
// One for each page of each input; where there is more than one, -0001, -0002 … goes before the
// extension of the output. What cannot be read is one page.
std::vector<Job> jobs_of_pages(const std::vector<Job> &jobs);
// Which output belongs to which input. Failure: two to one file, or one onto its own input.
std::vector<Job> jobs_of(const Options &options);
// The file that a job ends in, now that its format is known.
std::string output_path(const Job &job, const std::string &extension);

}  // namespace hpips
