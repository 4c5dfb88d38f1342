// SPDX-License-Identifier: BSD-3-Clause
// The command line of edges, and the check that every picture has an output file of its own.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace edges {

inline constexpr int kMaxPasses = 16;
inline constexpr int kMaxStrength = 100;

struct Job {
    std::string input;
    std::string output;
};

struct Options {
    int passes = 1;
    int strength = 8;
    std::string output_dir = "out";
    std::vector<Job> jobs;
    bool show_help = false;
};

const char *usage();

// The same answer on every rank: it looks at the words only, never at the file system.
// On failure: nothing, and `error` says what is wrong.
std::optional<Options> parse_options(int argc, char **argv, std::string &error);

}  // namespace edges
