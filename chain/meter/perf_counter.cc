// SPDX-License-Identifier: BSD-3-Clause
#include "chain/meter/perf_counter.h"

#include <cerrno>

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace chain::meter {

Result<PerfCounter> PerfCounter::open(Event event, int pid) {
    perf_event_attr attributes{};
    attributes.size = sizeof attributes;
    attributes.inherit = 1;
    attributes.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
    switch (event) {
        case Event::kCpuCycles:
            attributes.type = PERF_TYPE_HARDWARE;
            attributes.config = PERF_COUNT_HW_CPU_CYCLES;
            break;
        case Event::kTaskClock:
            attributes.type = PERF_TYPE_SOFTWARE;
            attributes.config = PERF_COUNT_SW_TASK_CLOCK;
            // A clock, not a counter: it runs in the kernel too, whatever this says. Without it an
            // ordinary user is refused under perf_event_paranoid = 2.
            attributes.exclude_kernel = 1;
            attributes.exclude_hv = 1;
            break;
    }
    FileDescriptor file(static_cast<int>(
        syscall(SYS_perf_event_open, &attributes, pid, -1, -1, PERF_FLAG_FD_CLOEXEC)));
    if (!file.valid()) return errno_error(errno, "open a perf event");
    return PerfCounter(std::move(file));
}

Result<PerfCounter::Count> PerfCounter::read() const {
    Count count;  // laid out as read_format asks for
    static_assert(sizeof count == 24);
    const ssize_t got = ::read(file_.get(), &count, sizeof count);
    if (got < 0) return errno_error(errno, "read a perf event");
    if (got != sizeof count) return make_error(ErrorCode::kIo, "a perf event gave a short read");
    return count;
}

}  // namespace chain::meter
