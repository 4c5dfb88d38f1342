// SPDX-License-Identifier: BSD-3-Clause
#include "chain/meter/meter.h"

#include <algorithm>
#include <optional>

#include <unistd.h>

#include "chain/meter/cpu_time.h"
#include "chain/meter/perf_counter.h"

namespace chain::meter {
namespace {

using Wide = unsigned __int128;

// What the counter may miss, against CPU time, before the rest is charged by the clock: counters
// start and stop a little inside of a context switch.
constexpr std::uint64_t kCounterGapSlackNs = 20'000'000;
constexpr std::uint64_t kCounterGapShare = 50;

std::uint64_t cycles_of(std::uint64_t cpu_time_ns, std::uint64_t hz) {
    return static_cast<std::uint64_t>(static_cast<Wide>(cpu_time_ns) * hz / 1'000'000'000u);
}

// CPU time = the highest of the sources, of which each may miss something: a program that executes
// a file without the right to read it leaves every perf event, but not its pid namespace.
//
// An ordinary user under perf_event_paranoid >= 2 may not count the kernel's cycles. What the
// kernel does for a program is work too, so a counter of user cycles alone is not used: such a
// daemon meters as `calibrated`, whose clocks contain the kernel (measured: within 0.1 % of
// getrusage's user + system time).
class ComposedMeter final : public LeaseMeter {
public:
    ComposedMeter(std::uint64_t hz, bool count_cycles,
                  std::vector<std::unique_ptr<CpuTimeSource>> sources)
        : hz_(hz), count_cycles_(count_cycles), sources_(std::move(sources)) {}

    // Everything is done by the parent, which has the right to; the child only waits for it.
    bool attach_self() override { return true; }

    Status adopt(int pid) override {
        Error last_error;
        std::erase_if(sources_, [&](const auto &source) {
            const Status adopted = source->adopt(pid);
            if (!adopted.ok()) last_error = adopted.error();
            return !adopted.ok();
        });
        if (sources_.empty()) return last_error;
        if (count_cycles_) {
            auto counter = PerfCounter::open(PerfCounter::Event::kCpuCycles, pid);
            if (!counter.ok()) return counter.error();
            counter_ = std::move(counter).value();
        }
        return ok_status();
    }

    Result<Usage> read() override {
        Usage usage;
        for (const auto &source : sources_) {
            CHAIN_ASSIGN(const std::uint64_t used_ns, source->read_ns());
            usage.cpu_time_ns = std::max(usage.cpu_time_ns, used_ns);
        }
        usage.cycles = cycles_of(usage.cpu_time_ns, hz_);
        if (counter_) {
            CHAIN_ASSIGN(const auto count, counter_->read());
            add_counter(count, usage);
        }
        last_.cpu_time_ns = std::max(last_.cpu_time_ns, usage.cpu_time_ns);
        last_.cycles = std::max(last_.cycles, usage.cycles);
        last_.meter_class = usage.meter_class;
        last_.scaled = last_.scaled || usage.scaled;
        return last_;
    }

private:
    void add_counter(const PerfCounter::Count &count, Usage &usage) const {
        usage.meter_class = MeterClass::kHw;
        std::uint64_t covered_ns = 0;
        usage.cycles = 0;
        if (count.running_ns > 0) {
            covered_ns = count.enabled_ns;
            usage.scaled = count.running_ns < count.enabled_ns;
            usage.cycles = static_cast<std::uint64_t>(static_cast<Wide>(count.value) *
                                                      count.enabled_ns / count.running_ns);
        }
        const std::uint64_t gap_ns =
            usage.cpu_time_ns > covered_ns ? usage.cpu_time_ns - covered_ns : 0;
        if (gap_ns > kCounterGapSlackNs + usage.cpu_time_ns / kCounterGapShare) {
            usage.cycles += cycles_of(gap_ns, hz_);
            usage.scaled = true;
        }
    }

    std::uint64_t hz_;
    bool count_cycles_;
    std::vector<std::unique_ptr<CpuTimeSource>> sources_;
    std::optional<PerfCounter> counter_;
    Usage last_;
};

}  // namespace

std::string_view meter_class_name(MeterClass meter_class) {
    switch (meter_class) {
        case MeterClass::kHw: return "hw";
        case MeterClass::kSampled: return "sampled";
        case MeterClass::kCalibrated: return "calibrated";
    }
    CHAIN_CHECK(false);
}

MeterSupport probe_meter() {
    const auto counter = PerfCounter::open(PerfCounter::Event::kCpuCycles, getpid());
    if (counter.ok()) return {MeterClass::kHw, "the processor counts its cycles"};
    if (counter.error().code == ErrorCode::kPermission)
        return {MeterClass::kCalibrated,
                "the kernel lets this user not count cycles "
                "(/proc/sys/kernel/perf_event_paranoid): CPU time x measured frequency"};
    return {MeterClass::kCalibrated,
            "this machine shows no cycle counter (a virtual machine?): "
            "CPU time x measured frequency"};
}

Result<std::unique_ptr<LeaseMeter>> make_lease_meter(std::uint64_t hz,
                                                     const host::ControlGroup *group) {
    if (hz == 0)
        return make_error(ErrorCode::kInvalidInput, "the frequency of a core must not be 0");
    std::vector<std::unique_ptr<CpuTimeSource>> sources;
    // Not both: perf's clock also counts what a virtual machine's host gives to others meanwhile.
    if (group != nullptr && group->support().cpu_time)
        sources.push_back(make_group_cpu_time(*group));
    else if (PerfCounter::open(PerfCounter::Event::kTaskClock, getpid()).ok())
        sources.push_back(make_perf_cpu_time());
    sources.push_back(make_process_tree_cpu_time());
    const bool count_cycles = probe_meter().meter_class == MeterClass::kHw;
    return std::unique_ptr<LeaseMeter>(
        std::make_unique<ComposedMeter>(hz, count_cycles, std::move(sources)));
}

}  // namespace chain::meter
