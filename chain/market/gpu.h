// SPDX-License-Identifier: BSD-3-Clause
//
// GPUs in a lease. The ledger knows slots that do so many cycles a second; a leased GPU counts
// there as the slots that it equals: its units x its clock, over a slot's. Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "chain/base/result.h"
#include "chain/wire/ledger.pb.h"

namespace chain::market {

inline constexpr std::size_t kGpusPerOfferMax = 16;
inline constexpr std::size_t kGpuModelBytesMax = 64;
inline constexpr std::uint32_t kGpuUnitsMax = 1u << 16;

struct Gpu {
    std::string model;
    std::uint64_t memory_bytes = 0;
    std::uint32_t units = 0;  // multiprocessors of 128 lanes
    std::uint64_t hz = 0;     // of the units, at most
    friend bool operator==(const Gpu &, const Gpu &) = default;
};

wire::GpuOffer to_wire(const Gpu &gpu);

// The slots that `gpus` equal together, each rounded up, on a machine whose slots do `slot_hz`.
std::uint32_t gpu_slots(std::span<const Gpu> gpus, std::uint64_t slot_hz);

}  // namespace chain::market
