// SPDX-License-Identifier: BSD-3-Clause
#include "chain/market/gpu.h"

#include <algorithm>

namespace chain::market {

wire::GpuOffer to_wire(const Gpu &gpu) {
    wire::GpuOffer offer;
    offer.set_model(gpu.model);
    offer.set_memory_bytes(gpu.memory_bytes);
    offer.set_units(gpu.units);
    offer.set_hz(gpu.hz);
    return offer;
}

std::uint32_t gpu_slots(std::span<const Gpu> gpus, std::uint64_t slot_hz) {
    CHAIN_CHECK(slot_hz > 0);
    std::uint64_t slots = 0;
    for (const Gpu &gpu : gpus) {
        const auto cycles = static_cast<unsigned __int128>(gpu.units) * gpu.hz;  // a second
        slots += static_cast<std::uint64_t>((cycles + slot_hz - 1) / slot_hz);
    }
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(slots, UINT32_MAX));
}

}  // namespace chain::market
