// SPDX-License-Identifier: BSD-3-Clause
//
// StagePump: sends files to one peer, as fast as its session takes them.
//
// Owner: the loop's thread.
#pragma once

#include <functional>
#include <vector>

#include "chain/daemon/node.h"
#include "chain/stage/sender.h"

namespace chain::daemon {

class StagePump {
public:
    // `on_error`: a file cannot be read, or changed; may destroy the pump.
    StagePump(Node &node, LegKey key, PublicKey peer, std::vector<stage::StagedFile> files,
              std::function<void(const Error &)> on_error);

    // As much as is due and fits the session's queue. Call again when it has drained.
    void pump();
    // Ends the session with a peer that asks for what there is not.
    void on_need(const wire::StageNeed &need);
    std::uint64_t sent_bytes() const { return sender_.sent_bytes(); }

private:
    Node &node_;
    const LegKey key_;
    const PublicKey peer_;
    stage::Sender sender_;
    std::function<void(const Error &)> on_error_;
};

}  // namespace chain::daemon
