// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/reading_check.h"

#include <algorithm>

#include "incentive/settlement.h"

namespace chain::daemon {

Status check_reading(const ReadingBounds &bounds, const wire::Reading &reading) {
    const auto refused = [](const char *why) { return make_error(ErrorCode::kProtocol, why); };
    if (bounds.launched_at_ms == 0) return refused("nothing was launched on it");
    if (reading.cycles() < bounds.cycles_before || reading.sequence() <= bounds.sequence_before)
        return refused("its meter went back");
    const std::uint64_t until_ms = bounds.ended_at_ms != 0 ? bounds.ended_at_ms : bounds.now_ms;
    const Cycles bound = incentive::cycles_bound(
        bounds.slot_count, bounds.hz, until_ms - bounds.launched_at_ms + kReadingSlackMs);
    if (reading.cycles() > std::min(bound, bounds.cycles_max))
        return refused("it claims more than its slots can do");
    if (reading.gpu_cycles() > reading.cycles()) return refused("its GPUs did more than all of it");
    if (reading.waited_cycles() > reading.cycles())
        return refused("it claims more waiting than work");
    if (!wire::MeterClass_IsValid(reading.meter_class()) ||
        reading.meter_class() == wire::METER_CLASS_UNSPECIFIED)
        return refused("it does not say how it meters");
    if (static_cast<std::uint64_t>(reading.ranks_size()) >
        std::uint64_t{bounds.slot_count} * kRanksPerSlotMax)
        return refused("it reports more ranks than could run");
    return ok_status();
}

}  // namespace chain::daemon
