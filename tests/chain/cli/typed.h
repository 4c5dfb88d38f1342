// SPDX-License-Identifier: BSD-3-Clause
//
// The command line in this process, with somebody who types.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include <unistd.h>

#include "chain/base/file.h"
#include "chain/cli/cli.h"

namespace chain::cli {

struct Outcome {
    int exit_code = 0;
    std::string out;
    std::string err;
};

inline Outcome run_typed(const std::vector<std::string> &words, const std::string &typed = "",
                         bool interactive = false) {
    int ends[2];
    CHAIN_CHECK(pipe(ends) == 0);
    FileDescriptor input(ends[0]), typing(ends[1]);
    CHAIN_CHECK(write_all(typing.get(), typed, "type").ok());
    typing.reset();
    std::ostringstream out, err;
    Console console{out, err, input.get(), interactive};
    const int exit_code = run_cli(words, console);
    return {exit_code, out.str(), err.str()};
}

}  // namespace chain::cli
