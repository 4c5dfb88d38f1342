// SPDX-License-Identifier: BSD-3-Clause
//
// Params: the numbers of the rules of money. They stand in the genesis file, so all nodes of a
// network agree on them; each has its reason beside it.
#pragma once

#include <cstdint>

#include "chain/base/units.h"

namespace incentive {

struct Params {
    // Part of each payment that is burned: the only input of reputation volume, so that reputation
    // costs money (ledger.md 4). Rounded up, at the provider's cost.
    std::uint32_t burn_ppm = 50'000;

    // Part of a leg's escrow that its provider puts up. Falls with reputation once there is one.
    std::uint32_t collateral_ppm = 100'000;

    // After a renter's one-sided close, how long the provider may bring a higher voucher. Longer
    // than a restart of a daemon takes.
    std::uint64_t challenge_window_ms = 30'000;

    // From the end of the agreed running time until anyone may settle with what is on the ledger.
    std::uint64_t settle_grace_ms = 120'000;

    // Bounds on what one transaction can make everybody store.
    std::uint32_t legs_max = 256;
    std::uint32_t slots_per_leg_max = 4096;
    std::uint64_t lease_duration_max_ms = 7ULL * 24 * 3600 * 1000;

    // Bounds on a block.
    std::uint32_t block_txs_max = 10'000;
};

}  // namespace incentive
