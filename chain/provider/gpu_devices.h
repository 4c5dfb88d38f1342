// SPDX-License-Identifier: BSD-3-Clause
//
// GpuDevices: this machine's NVIDIA GPUs, as the driver's library (NVML, loaded while running) sees
// them: what they are, how fast they run now, and whether somebody uses them.
//
// Owner: the loop's thread. Every call is a system call or two.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "chain/market/gpu.h"

namespace chain::provider {

inline constexpr const char *kNvmlLibrary = "libnvidia-ml.so.1";

struct GpuDevice {
    market::Gpu gpu;
    std::string uuid;
    std::vector<std::string> files;  // device files that a program needs to use it
};

class GpuDevices {
public:
    // Errors: kNotFound (no such library, or no GPU), kIo (the driver refuses).
    static Result<std::unique_ptr<GpuDevices>> open(const std::string &library = kNvmlLibrary);
    virtual ~GpuDevices() = default;

    virtual const std::vector<GpuDevice> &all() const = 0;
    // Of its units, now. Errors: kIo.
    virtual Result<std::uint64_t> clock_hz(std::size_t index) const = 0;
    // Some process computes on it.
    virtual bool is_used(std::size_t index) const = 0;
};

// What leased GPUs have done: units x clock x time, whether a program used them or not, for nobody
// else could. The clock is what was read at the end of each piece of time.
class GpuMeter {
public:
    GpuMeter(const GpuDevices &devices, std::vector<std::size_t> leased)
        : devices_(devices), leased_(std::move(leased)) {}
    // `steady_ms`: never goes back; the first call begins.
    std::uint64_t read(std::uint64_t steady_ms);

private:
    const GpuDevices &devices_;
    const std::vector<std::size_t> leased_;
    std::uint64_t cycles_ = 0;
    std::uint64_t read_at_ms_ = 0;
    bool begun_ = false;
};

}  // namespace chain::provider
