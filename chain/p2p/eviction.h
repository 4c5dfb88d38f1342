// SPDX-License-Identifier: BSD-3-Clause
//
// Who goes when a new inbound session finds every place taken: the youngest of the network group
// that has most of them. So whoever comes in numbers from one group takes places from himself, and
// who is alone in his group always gets in.
#pragma once

#include <cstdint>
#include <vector>

#include "chain/base/bytes.h"

namespace chain::p2p {

struct InboundPlace {
    Bytes group;
    std::uint64_t connected_at_ms = 0;
    bool held = false;  // must not be ended: a lease may hang on it
};

// The index of the one that goes; -1: nobody, the new one of `group` is refused.
int choose_to_evict(const std::vector<InboundPlace> &places, const Bytes &group);

}  // namespace chain::p2p
