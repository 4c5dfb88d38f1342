// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "chain/ledger/finality.h"
#include "chain/ledger/state_digest.h"

namespace chain::ledger {

// The end of the chain: where the next block attaches.
struct Tip {
    std::uint64_t height = 0;
    BlockId id{};  // zeros at height 0
    std::uint64_t time_ms = 0;
    StateDigest digest;
    Totals totals;
    Finality finality;
};

}  // namespace chain::ledger
