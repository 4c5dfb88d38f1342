// SPDX-License-Identifier: BSD-3-Clause
// Independent tasks on the ranks of MPI_COMM_WORLD, for programs that have many: rank 0 makes each
// task, whoever has nothing to do gets the next one, and rank 0 takes the results. What comes out
// does not depend on how many ranks there are, nor on how many of them are lost: rank 0 is at home,
// the others may be anybody's machine. A rank that is silent, slow, or answers what makes no sense
// has its tasks done by others. Whoever waits sleeps: on rented slots waiting is billed like work.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "examples/ranks/channel.h"

namespace task_farm {

using ranks::Bytes;

// What is done with a task; throws where it cannot be done. Made for each thread that works, of
// what all tasks share.
using Work = std::function<Bytes(const Bytes &task)>;
using MakeWork = std::function<Work(const Bytes &shared)>;

struct Tasks {
    int count = 0;
    Bytes shared;
    uint64_t result_bytes_max = 16 << 20;  // a result that is larger makes no sense
    // In order, each once. What it throws is told to `failed`, and so is what is too large to be
    // sent (2 GiB).
    std::function<Bytes(int task)> make;
    // In any order; a task's last result counts. Throws where a result makes no sense: then that
    // rank gets no more tasks, and this one is done by another.
    std::function<void(int task, const Bytes &result)> take;
    // It cannot be made, or not be done on this machine either.
    std::function<void(int task, const std::string &why)> failed;
};

// Rank 0's.
class Ranks {
public:
    // `threads` work here.
    Ranks(const char *name, int count, int threads, const MakeWork &make_work);
    ~Ranks();  // the ranks go home
    Ranks(const Ranks &) = delete;
    Ranks &operator=(const Ranks &) = delete;

    // Returns when every task was taken or has failed.
    void run(const Tasks &tasks);
    // Something slow, on a thread of its own: the ranks hear meanwhile that this one is there,
    // which they wait for in vain for 90 s, no longer. What it throws is thrown here.
    void beside(const std::function<void()> &task);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// main() of such a program: rank 0 does `lead`, which returns the exit code, and the others work.
// Without a launcher rank 0 is alone and uses every processor.
[[noreturn]] void program(int argc, char **argv, const char *name,
                          const std::function<int(Ranks &ranks)> &lead, const MakeWork &make_work);

// Says what is wrong with the command line, or, where `why` is empty, what was asked for. The exit
// code: 2, or 0.
int explain(const char *name, const std::string &why, const char *usage);

}  // namespace task_farm
