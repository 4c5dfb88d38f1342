// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/eviction.h"

#include <cstddef>
#include <map>

namespace chain::p2p {

int choose_to_evict(const std::vector<InboundPlace> &places, const Bytes &group) {
    std::map<Bytes, std::size_t> counts;
    ++counts[group];
    for (const InboundPlace &place : places) ++counts[place.group];
    int chosen = -1;
    for (std::size_t i = 0; i < places.size(); ++i) {
        const InboundPlace &place = places[i];
        // Among equals the new one goes, or two groups would push each other out for ever.
        if (place.held || counts[place.group] <= counts[group]) continue;
        if (chosen >= 0) {
            const InboundPlace &best = places[static_cast<std::size_t>(chosen)];
            const std::size_t more = counts[place.group];
            const std::size_t most = counts[best.group];
            if (more < most || (more == most && place.connected_at_ms < best.connected_at_ms))
                continue;
        }
        chosen = static_cast<int>(i);
    }
    return chosen;
}

}  // namespace chain::p2p
