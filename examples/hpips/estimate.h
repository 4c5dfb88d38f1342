// SPDX-License-Identifier: BSD-3-Clause
// What a run would take: `hpips run --dry-run`, and the last lines of `hpips info`.
#pragma once

#include <optional>
#include <string>

#include "examples/hpips/batch.h"

namespace hpips {

struct Estimate {
    int64_t tiles = 0;
    int64_t bytes_out = 0;   // to the ranks, with halos
    int64_t bytes_back = 0;  // from them
    int64_t rank_bytes = 0;  // memory of a rank for what it works on, about
    double compute_s = 0;    // on one core of this computer
};

// Computes one tile in the middle for it.
Estimate estimate(Opened &opened);

// Of this computer's cores, in GHz; 0: not known.
double clock_ghz();
// Tokens per GHz·h of the newest lease that was settled, if `ompi-chain market price` answers.
std::optional<std::string> market_price();

int dry_run(const Options &options);

}  // namespace hpips
