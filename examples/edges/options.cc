// SPDX-License-Identifier: BSD-3-Clause
#include "examples/edges/options.h"

#include <getopt.h>

#include <charconv>
#include <filesystem>
#include <set>
#include <string_view>

namespace edges {
namespace {

std::optional<int> parse_int(std::string_view text, int lowest, int highest) {
    int value = 0;
    const char *end = text.data() + text.size();
    auto [stop, status] = std::from_chars(text.data(), end, value);
    if (status != std::errc() || stop != end || value < lowest || value > highest) return {};
    return value;
}

bool add_jobs(int argc, char **argv, Options &options, std::string &error) {
    std::set<std::string> outputs;
    for (int i = optind; i < argc; ++i) {
        const std::filesystem::path input(argv[i]);
        const std::string output =
            std::filesystem::path(options.output_dir) / (input.stem().string() + ".png");
        if (!outputs.insert(output).second) {
            error = "two pictures would be written to " + output;
            return false;
        }
        options.jobs.push_back({input, output});
    }
    if (options.jobs.empty()) error = "no picture is named";
    return !options.jobs.empty();
}

}  // namespace

const char *usage() {
    return "usage: edges [OPTION]... PICTURE...\n"
           "Turns photographs into line drawings: removes the noise (non-local means), then draws\n"
           "every edge. Each picture is cut into bands of rows, one for each MPI rank.\n"
           "\n"
           "  mpirun -n 4 edges -o out holiday.jpg        writes out/holiday.png\n"
           "\n"
           "  -o, --output DIR    where the drawings go (default: out)\n"
           "  -p, --passes N      clean N times before drawing, 1 to 16 (default: 1)\n"
           "  -s, --strength N    how much noise to remove, 1 to 100 (default: 8)\n"
           "  -h, --help          this text\n"
           "\n"
           "PICTURE: PNG, JPEG, TIFF or PNM; grey or colour, 8 or 16 bit, with or without alpha.\n"
           "Exit code: 0 all drawn, 1 a picture could not be read or written, 2 wrong usage.\n";
}

std::optional<Options> parse_options(int argc, char **argv, std::string &error) {
    static const option kLong[] = {{"output", required_argument, nullptr, 'o'},
                                   {"passes", required_argument, nullptr, 'p'},
                                   {"strength", required_argument, nullptr, 's'},
                                   {"help", no_argument, nullptr, 'h'},
                                   {nullptr, 0, nullptr, 0}};
    Options options;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "o:p:s:h", kLong, nullptr)) != -1;) {
        std::optional<int> number = 0;
        switch (c) {
            case 'o': options.output_dir = optarg; break;
            case 'p':
                number = parse_int(optarg, 1, kMaxPasses);
                options.passes = number.value_or(0);
                break;
            case 's':
                number = parse_int(optarg, 1, kMaxStrength);
                options.strength = number.value_or(0);
                break;
            case 'h': options.show_help = true; return options;
            default: error = std::string("unknown or incomplete option: ") + argv[optind - 1];
        }
        if (!number) error = std::string("not a number in range: ") + optarg;
        if (!error.empty()) return {};
    }
    if (!add_jobs(argc, argv, options, error)) return {};
    return options;
}

}  // namespace edges
