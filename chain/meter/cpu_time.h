// SPDX-License-Identifier: BSD-3-Clause
//
// CpuTimeSource: exact CPU time of a process and its descendants, one class for each way that the
// kernel offers. None of them counts ticks.
//
// Owner: one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "chain/base/file.h"
#include "chain/host/control_group.h"
#include "chain/meter/perf_counter.h"

namespace chain::meter {

class CpuTimeSource {
public:
    virtual ~CpuTimeSource() = default;
    // `pid` is a child of ours that has not called exec yet. Errors: kPermission, kIo.
    virtual Status adopt(int pid) = 0;
    virtual Result<std::uint64_t> read_ns() = 0;
};

// What a group counts: nothing inside can leave it. It must outlive the source; whoever starts the
// processes puts them into the group.
std::unique_ptr<CpuTimeSource> make_group_cpu_time(const host::ControlGroup &group);

// The perf task clock. A process that executes a file which it may not read drops out of it
// (the kernel ends monitoring at such an exec).
std::unique_ptr<CpuTimeSource> make_perf_cpu_time();

// The CPU clocks (clock_getcpuclockid) of the live processes below `pid`, and what each of them has
// waited for. Misses processes that left the tree (in a pid namespace none can), those whose parent
// ignores SIGCHLD, and what was used between the last read and the end: the last resort.
std::unique_ptr<CpuTimeSource> make_process_tree_cpu_time();

}  // namespace chain::meter
