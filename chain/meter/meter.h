// SPDX-License-Identifier: BSD-3-Clause
//
// Meter: the F x T of every process of a lease, in cycles (provider.md 4).
//
// What counts, best first: hw = the processor's cycle counter (perf events, inherited by every
// process of the sandbox); calibrated = exact CPU time (perf task clock, else cgroup v2 usage_usec)
// x the frequency measured here. Never ticks of /proc/stat.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chain/base/units.h"
#include "chain/host/control_group.h"

namespace chain::meter {

enum class MeterClass { kHw, kSampled, kCalibrated };
std::string_view meter_class_name(MeterClass meter_class);  // "hw" | "sampled" | "calibrated"

struct Calibration {
    std::uint64_t hz = 0;  // 0: not yet
    std::uint32_t chain_count = 0;
    std::uint32_t spread_ppm = 0;  // between the fastest tenth of the chains and the slowest
};
// Frequency of one core: the median of 51 timed chains of dependent multiplications of about 10 ms
// each (0.5 s in all); what cpuinfo says would under-bill in a virtual machine.
// Takes half a second: call it from a worker.
Calibration calibrate();

struct Usage {
    Cycles cycles = 0;
    std::uint64_t cpu_time_ns = 0;
    MeterClass meter_class = MeterClass::kCalibrated;
    bool scaled = false;  // a hardware counter was shared part of the time
};

// Counts from the moment that a process attaches itself to it, before exec, with all its
// descendants. Made by the daemon; read from the daemon at any time, also after the processes
// ended.
class LeaseMeter {
public:
    virtual ~LeaseMeter() = default;
    // In the child, between fork and exec: async-signal-safe. False: errno says why.
    virtual bool attach_self() = 0;
    // In the parent after the child attached and before it execs. Errors: kIo, kPermission.
    virtual Status adopt(int pid) = 0;
    // Never decreases. Errors: kIo.
    virtual Result<Usage> read() = 0;
};

// The best meter of this machine. `hz` from calibrate(). The group that the processes are put
// into, if there is one, must outlive the meter.
Result<std::unique_ptr<LeaseMeter>> make_lease_meter(std::uint64_t hz,
                                                     const host::ControlGroup *group = nullptr);
// Which class make_lease_meter would give here, and why not a better one, in words.
struct MeterSupport {
    MeterClass meter_class;
    std::string why;
};
MeterSupport probe_meter();

// What the ranks say of themselves (chain/meter/rank_file.h), made plausible: cpu time of all ranks
// together bounded by the lease's, waiting bounded by each rank's cpu time, unreadable files left
// out. Cycles of a rank = its share of the lease's cycles by cpu time, rounded down.
struct RankUsage {
    std::uint32_t rank = 0;
    Cycles cycles = 0;
    Cycles waited_cycles = 0;
};
std::vector<RankUsage> read_rank_folder(const std::string &folder, const Usage &lease_usage);

}  // namespace chain::meter
