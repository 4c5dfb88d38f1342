// SPDX-License-Identifier: BSD-3-Clause
//
// StagePump: sends files to one peer, as fast as its session takes them.
//
// Owner: the loop's thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "chain/daemon/node.h"
#include "chain/stage/sender.h"
#include "chain/stage/web.h"

namespace chain::daemon {

class StagePump {
public:
    // `stores`: to which the peer may have files put instead. `on_error`: a file cannot be read, or
    // changed, or a store does not take it.
    StagePump(Node &node, LegKey key, PublicKey peer,
              std::shared_ptr<const std::vector<stage::StagedFile>> files, stage::WebRules stores,
              std::function<void(const Error &)> on_error, std::string image = {});
    ~StagePump();

    // As much as is due and fits the session's queue. Call again when it has drained.
    void pump();
    // Ends the session with a peer that asks for what there is not.
    void on_need(const wire::StageNeed &need);
    std::uint64_t sent_bytes() const { return sender_.sent_bytes(); }

private:
    void put(const wire::StageNeed &need);

    Node &node_;
    const LegKey key_;
    const PublicKey peer_;
    stage::Sender sender_;
    const stage::WebRules stores_;
    std::function<void(const Error &)> on_error_;
    bool puts_ = false;
    std::shared_ptr<std::atomic<bool>> gone_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace chain::daemon
