// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <array>
#include <ctime>

#include "chain/meter/meter.h"

namespace chain::meter {
namespace {

constexpr std::size_t kChainCount = 51;
constexpr std::uint64_t kMultiplicationsPerChain = 10'000'000;
// Latency of a dependent 32-bit multiplication: 3 cycles on every x86-64 core since Nehalem and Zen
// (A. Fog, Instruction tables), and on Arm's Cortex-A cores. Out-of-order execution cannot shorten
// a chain in which each step needs the one before.
constexpr std::uint64_t kCyclesPerMultiplication = 3;

std::uint64_t thread_cpu_ns() {
    timespec now{};
    CHAIN_CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000ULL +
           static_cast<std::uint64_t>(now.tv_nsec);
}

// The empty asm makes `x` unknown to the compiler at each step, so it can neither fold nor split
// the chain.
void multiply_chain(std::uint64_t count) {
    std::uint32_t x = 0x9e3779b1u;
    std::uint32_t factor = 0x85ebca6bu;
    asm volatile("" : "+r"(factor));
    for (std::uint64_t i = 0; i < count / 8; ++i) {
        for (int unrolled = 0; unrolled < 8; ++unrolled) {
            x *= factor;
            asm volatile("" : "+r"(x));
        }
    }
}

}  // namespace

Calibration calibrate() {
    std::array<std::uint64_t, kChainCount> durations_ns;
    for (auto &duration_ns : durations_ns) {
        const std::uint64_t start_ns = thread_cpu_ns();
        multiply_chain(kMultiplicationsPerChain);
        duration_ns = std::max<std::uint64_t>(thread_cpu_ns() - start_ns, 1);
    }
    std::sort(durations_ns.begin(), durations_ns.end());
    const std::uint64_t median_ns = durations_ns[kChainCount / 2];
    const std::uint64_t spread_ns =
        durations_ns[kChainCount - 1 - kChainCount / 10] - durations_ns[kChainCount / 10];
    return {
        kMultiplicationsPerChain * kCyclesPerMultiplication * 1'000'000'000ULL / median_ns,
        kChainCount,
        static_cast<std::uint32_t>(std::min<std::uint64_t>(spread_ns * kPpm / median_ns, kPpm))};
}

}  // namespace chain::meter
