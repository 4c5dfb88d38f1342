// SPDX-License-Identifier: BSD-3-Clause
//
// What a renter can know of a meter that it does not own (provider.md 4): it never goes back, and
// no machine does more than slots x frequency x time. Pure.
#pragma once

#include "chain/base/units.h"
#include "chain/wire/peer.pb.h"

namespace chain::daemon {

inline constexpr std::uint64_t kReadingSlackMs = 2'000;  // clocks of two machines, and a delay
inline constexpr std::uint32_t kRanksPerSlotMax = 64;

struct ReadingBounds {
    std::uint32_t slot_count = 0;
    std::uint64_t hz = 0;
    Cycles cycles_max = 0;
    Cycles cycles_before = 0;           // of the last reading that was signed
    std::uint64_t sequence_before = 0;  // of the same
    std::uint64_t launched_at_ms = 0;   // steady; 0: never
    std::uint64_t now_ms = 0;           // steady
    std::uint64_t ended_at_ms = 0;      // steady; 0: it still runs. No work is owed after it
};

// Errors: kProtocol, with what is wrong with the reading.
Status check_reading(const ReadingBounds &bounds, const wire::Reading &reading);

}  // namespace chain::daemon
