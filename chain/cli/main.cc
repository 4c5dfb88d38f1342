// SPDX-License-Identifier: BSD-3-Clause
#include <iostream>

#include <unistd.h>

#include "chain/cli/cli.h"

int main(int argc, char **argv) {
    std::ios::sync_with_stdio(false);
    const bool interactive = isatty(STDIN_FILENO) == 1;
    chain::cli::Console console{std::cout, std::cerr, STDIN_FILENO, interactive};
    return chain::cli::run_cli(std::vector<std::string>(argv + 1, argv + argc), console);
}
