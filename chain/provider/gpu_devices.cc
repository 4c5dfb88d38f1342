// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/gpu_devices.h"

#include <algorithm>

#include <dlfcn.h>

#include "chain/base/file.h"

namespace chain::provider {
namespace {

// NVML's own numbers and types (NVML API Reference Guide; its header is not in Debian's main).
using Device = void *;
struct Memory {
    unsigned long long total = 0;
    unsigned long long free = 0;
    unsigned long long used = 0;
};
constexpr int kSuccess = 0;
constexpr int kInsufficientSize = 7;
constexpr unsigned kClockSm = 1;
constexpr unsigned kTextBytes = 96;
constexpr std::uint64_t kHzPerMhz = 1'000'000;
constexpr std::uint32_t kLanesPerUnit = 128;

struct CloseLibrary {
    void operator()(void *library) const { dlclose(library); }
};
using Library = std::unique_ptr<void, CloseLibrary>;

// What is called of it; each returns kSuccess or why not.
struct Calls {
    int (*init)() = nullptr;
    int (*shutdown)() = nullptr;
    int (*count)(unsigned *) = nullptr;
    int (*handle)(unsigned, Device *) = nullptr;
    int (*name)(Device, char *, unsigned) = nullptr;
    int (*uuid)(Device, char *, unsigned) = nullptr;
    int (*minor)(Device, unsigned *) = nullptr;
    int (*memory)(Device, Memory *) = nullptr;
    int (*lanes)(Device, unsigned *) = nullptr;
    int (*max_clock)(Device, unsigned, unsigned *) = nullptr;
    int (*clock)(Device, unsigned, unsigned *) = nullptr;
    int (*processes)(Device, unsigned *, void *) = nullptr;
};

template <typename Function>
bool find(void *library, const char *name, Function &function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    return function != nullptr;
}

bool find_all(void *library, Calls &calls) {
    return find(library, "nvmlInit_v2", calls.init) &&
           find(library, "nvmlShutdown", calls.shutdown) &&
           find(library, "nvmlDeviceGetCount_v2", calls.count) &&
           find(library, "nvmlDeviceGetHandleByIndex_v2", calls.handle) &&
           find(library, "nvmlDeviceGetName", calls.name) &&
           find(library, "nvmlDeviceGetUUID", calls.uuid) &&
           find(library, "nvmlDeviceGetMinorNumber", calls.minor) &&
           find(library, "nvmlDeviceGetMemoryInfo", calls.memory) &&
           find(library, "nvmlDeviceGetNumGpuCores", calls.lanes) &&
           find(library, "nvmlDeviceGetMaxClockInfo", calls.max_clock) &&
           find(library, "nvmlDeviceGetClockInfo", calls.clock) &&
           find(library, "nvmlDeviceGetComputeRunningProcesses_v3", calls.processes);
}

class NvmlDevices final : public GpuDevices {
public:
    NvmlDevices(Library library, const Calls &calls)
        : library_(std::move(library)), calls_(calls) {}
    ~NvmlDevices() override { calls_.shutdown(); }

    Status list() {
        unsigned count = 0;
        if (calls_.count(&count) != kSuccess)
            return make_error(ErrorCode::kIo, "NVML does not say how many GPUs there are");
        count = std::min<unsigned>(count, market::kGpusPerOfferMax);
        for (unsigned index = 0; index < count; ++index) {
            GpuDevice device;
            Device handle = nullptr;
            // One that does not say what it is cannot be sold.
            if (!describe(index, handle, device)) continue;
            handles_.push_back(handle);
            devices_.push_back(std::move(device));
        }
        if (devices_.empty()) return make_error(ErrorCode::kNotFound, "NVML sees no GPU");
        return ok_status();
    }

    const std::vector<GpuDevice> &all() const override { return devices_; }

    Result<std::uint64_t> clock_hz(std::size_t index) const override {
        unsigned mhz = 0;
        if (calls_.clock(handles_[index], kClockSm, &mhz) != kSuccess)
            return make_error(ErrorCode::kIo, "NVML does not say how fast a GPU runs");
        return std::min(mhz * kHzPerMhz, devices_[index].gpu.hz);
    }

    bool is_used(std::size_t index) const override {
        unsigned count = 0;
        const int answer = calls_.processes(handles_[index], &count, nullptr);
        return answer == kInsufficientSize || (answer == kSuccess && count > 0);
    }

private:
    bool describe(unsigned index, Device &handle, GpuDevice &device) const {
        char name[kTextBytes] = {};
        char uuid[kTextBytes] = {};
        unsigned minor = 0;
        unsigned lanes = 0;
        unsigned mhz = 0;
        Memory memory;
        if (calls_.handle(index, &handle) != kSuccess ||
            calls_.name(handle, name, sizeof name - 1) != kSuccess ||
            calls_.uuid(handle, uuid, sizeof uuid - 1) != kSuccess ||
            calls_.minor(handle, &minor) != kSuccess ||
            calls_.memory(handle, &memory) != kSuccess ||
            calls_.lanes(handle, &lanes) != kSuccess ||
            calls_.max_clock(handle, kClockSm, &mhz) != kSuccess)
            return false;
        device.uuid = uuid;
        device.gpu.model = std::string(name).substr(0, market::kGpuModelBytesMax);
        device.gpu.memory_bytes = memory.total;
        device.gpu.units = std::max(1u, lanes / kLanesPerUnit);
        device.gpu.hz = mhz * kHzPerMhz;
        for (const std::string &path :
             {"/dev/nvidia" + std::to_string(minor), std::string("/dev/nvidiactl"),
              std::string("/dev/nvidia-uvm"), std::string("/dev/nvidia-uvm-tools")})
            if (path_exists(path)) device.files.push_back(path);
        return device.gpu.hz > 0;
    }

    Library library_;
    const Calls calls_;
    std::vector<Device> handles_;
    std::vector<GpuDevice> devices_;
};

}  // namespace

Result<std::unique_ptr<GpuDevices>> GpuDevices::open(const std::string &library) {
    Library loaded(dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL));
    if (loaded == nullptr)
        return make_error(ErrorCode::kNotFound, "no ", library,
                          " here, the library of NVIDIA's driver");
    Calls calls;
    if (!find_all(loaded.get(), calls))
        return make_error(ErrorCode::kNotFound, library, " is too old: driver 510 or later");
    if (calls.init() != kSuccess)
        return make_error(ErrorCode::kIo, "NVML does not start: is the driver loaded?");
    auto devices = std::make_unique<NvmlDevices>(std::move(loaded), calls);
    CHAIN_TRY(devices->list());
    return std::unique_ptr<GpuDevices>(std::move(devices));
}

std::uint64_t GpuMeter::read(std::uint64_t steady_ms) {
    const std::uint64_t passed_ms = begun_ && steady_ms > read_at_ms_ ? steady_ms - read_at_ms_ : 0;
    for (const std::size_t index : leased_) {
        const auto hz = devices_.clock_hz(index);
        if (!hz.ok()) continue;  // nothing is billed for what is not known
        const auto cycles = static_cast<unsigned __int128>(devices_.all()[index].gpu.units) * *hz *
                            passed_ms / 1'000;
        cycles_ += static_cast<std::uint64_t>(cycles);
    }
    read_at_ms_ = steady_ms;
    begun_ = true;
    return cycles_;
}

}  // namespace chain::provider
