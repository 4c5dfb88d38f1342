// SPDX-License-Identifier: BSD-3-Clause
// Independent tasks on the ranks of MPI_COMM_WORLD, for programs that have many: rank 0 makes each
// task, whoever has nothing to do gets the next one, and rank 0 takes the results. What comes out
// does not depend on how many ranks there are. Whoever waits sleeps: on rented slots waiting is
// billed like work.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace task_farm {

using Bytes = std::vector<uint8_t>;

struct Farm {
    int count = 0;
    std::function<Bytes(int task)> make;               // rank 0, in order: what a rank must know
    std::function<Bytes(const Bytes &task)> work;      // any rank, one at a time; may throw
    std::function<void(int task, Bytes result)> take;  // rank 0, in any order
    std::function<void(int task, const std::string &why)> failed;  // rank 0: work threw, or make
};

// All ranks call it; rank 0 returns when every task was taken or has failed, the others when there
// are no more. Between MPI_Init_thread (MPI_THREAD_FUNNELED) and MPI_Finalize, by the thread that
// called the former. A task or result of 2 GiB or more is a failure of that task.
void run(const Farm &farm);

// main() of such a program: MPI, one thread a rank, an exception as the end of all ranks. `start`
// returns the exit code.
int program(int argc, char **argv, const char *name, int (*start)(int argc, char **argv));

// Rank 0 says what is wrong with the command line, or, where `why` is empty, what was asked for.
// The exit code: 2, or 0.
int explain(const char *name, const std::string &why, const char *usage);

// Numbers and blobs, one after the other: what tasks and results are made of.
class Writer {
public:
    Writer &number(int64_t value);
    Writer &blob(const void *data, size_t size);
    Bytes take() { return std::move(bytes_); }

private:
    Bytes bytes_;
};

// std::runtime_error where the bytes end too early.
class Reader {
public:
    explicit Reader(const Bytes &bytes) : bytes_(bytes) {}
    int64_t number();
    Bytes blob();

private:
    const uint8_t *next(size_t size);
    const Bytes &bytes_;
    size_t at_ = 0;
};

}  // namespace task_farm
