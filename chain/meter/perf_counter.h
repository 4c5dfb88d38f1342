// SPDX-License-Identifier: BSD-3-Clause
//
// PerfCounter: one counting perf event on a process and everything that it forks or clones
// afterwards (perf_event_open(2), attr.inherit). Reads stay right after the processes ended: the
// kernel adds what they counted to the event.
//
// Owner: one thread.
#pragma once

#include "chain/base/file.h"
#include "chain/meter/meter.h"

namespace chain::meter {

class PerfCounter {
public:
    enum class Event {
        kCpuCycles,  // user and kernel; refused where the kernel may not be counted
        kTaskClock,  // nanoseconds on a processor; user and kernel, whoever opens it
    };
    struct Count {
        std::uint64_t value = 0;
        std::uint64_t enabled_ns = 0;  // CPU time of the processes while the event existed
        std::uint64_t running_ns = 0;  // part of it in which the event had a counter
    };

    // Errors: kPermission, kNotFound (the machine has no such counter), kIo.
    static Result<PerfCounter> open(Event event, int pid);
    Result<Count> read() const;

private:
    explicit PerfCounter(FileDescriptor file) : file_(std::move(file)) {}
    FileDescriptor file_;
};

}  // namespace chain::meter
