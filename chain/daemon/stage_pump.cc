// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/stage_pump.h"

#include <utility>

namespace chain::daemon {

StagePump::StagePump(Node &node, LegKey key, PublicKey peer, std::vector<stage::StagedFile> files,
                     std::function<void(const Error &)> on_error)
    : node_(node),
      key_(key),
      peer_(peer),
      sender_(std::move(files)),
      on_error_(std::move(on_error)) {}

void StagePump::pump() {
    constexpr std::size_t kQueueEnoughBytes = 2u << 20;
    while (node_.network.queued_bytes(peer_) < kQueueEnoughBytes) {
        auto next = sender_.next();
        if (!next.ok()) return on_error_(next.error());
        if (!next->has_value()) return;  // the peer is to speak
        wire::TradeMessage message = std::move(**next);
        message.set_lease_id(to_bytes(key_.lease));
        message.set_leg(key_.leg);
        if (!node_.send_trade(peer_, message).ok()) return;  // lost, as everybody is told
    }
}

void StagePump::on_need(const wire::StageNeed &need) {
    if (const Status fits = sender_.on_need(need); !fits.ok())
        return node_.network.disconnect(peer_, fits.error().message);
    pump();
}

}  // namespace chain::daemon
