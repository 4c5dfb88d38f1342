// SPDX-License-Identifier: BSD-3-Clause
// A program's life as a rank that others may be lost beside.
#pragma once

#include <functional>
#include <string>

namespace ranks {

// main() of such a program: `body` as rank `rank` of `count`, under a launcher with MPI
// (MPI_THREAD_FUNNELED, errors are returned), else alone without it. Ends the process with the code
// that body returns, without waiting for ranks that are gone or for threads; an exception of body
// is told as `name`'s, and ends it with 1.
[[noreturn]] void program(int argc, char **argv, const char *name,
                          const std::function<int(int rank, int count)> &body);

// `task` on a thread of its own, while `meanwhile` is called again and again. What task throws is
// thrown here.
void beside(const std::function<void()> &task, const std::function<void()> &meanwhile);

// By a launcher: this process is one rank, which is one slot.
bool is_launched();
int processor_count();  // that this process may use
std::string host_name();
void sleep_a_little();
double now_s();  // steady

}  // namespace ranks
