// SPDX-License-Identifier: BSD-3-Clause
//
// Tries: a job that is started again when a peer is lost (--chain-relaunch). The process that the
// user started waits; each try is a child of it, which goes on as mpirun. What a try has to tell
// the next one lies in memory that they share.
//
// For a process with one thread. Limits: kTriesMax; kNotesBytesMax of names, the rest is left out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chain/base/result.h"

namespace chain::client {

inline constexpr unsigned kTriesMax = 1'000;
inline constexpr std::size_t kNotesBytesMax = 256u << 10;

class Tries {
public:
    // Returns in every try. The caller's own process never does: it passes signals on, starts the
    // next try when one ended as note_loss() said, `again_max` times at most, and ends as the last
    // one. Errors: kConflict (another thread runs), kIo; then nothing was started.
    static Status supervise(unsigned again_max);

    // 0: the first try, or none of it.
    static unsigned number();
    static bool is_supervised();
    // There may be one more after this.
    static bool has_more();

    // In a try: it was a peer that was lost, and not the job that failed. `peer`: its address;
    // empty: it is not known which.
    static void note_loss(std::string_view peer);
    // In a try: a file that the job made is in the working folder.
    static void note_result(std::string_view name);

    // In a try: what its lease has cost, in base units.
    static void note_paid(std::int64_t units);

    // Of all tries before this one.
    static std::int64_t paid();
    static std::vector<std::string> lost_peers();
    static std::vector<std::string> results();
};

}  // namespace chain::client
