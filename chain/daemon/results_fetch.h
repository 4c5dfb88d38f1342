// SPDX-License-Identifier: BSD-3-Clause
//
// ResultsFetch: `ompi-chain lease fetch`: gets what results of a lease that is over are still with
// its peers.
//
// Owner: the loop's thread; held by RenterAgent.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "chain/daemon/control_server.h"
#include "chain/daemon/results_taker.h"

namespace chain::daemon {

class ResultsFetch {
public:
    // `on_end` may destroy it.
    ResultsFetch(Node &node, const ledger::LeaseId &lease, const wire::ResultsRecord &record,
                 ControlConnectionPtr client, std::uint64_t request_id,
                 std::function<void()> on_end);

    void start();
    void on_trade(const PublicKey &peer, const wire::TradeMessage &message);
    void on_client_gone();
    void on_peer_lost(const PublicKey &peer, const std::string &why);

private:
    void note_all_of(std::size_t leg);
    void say(const std::string &text);
    void check_ended();

    Node &node_;
    const ledger::LeaseId lease_;
    ControlConnectionPtr client_;
    const std::uint64_t request_id_;
    std::function<void()> on_end_;
    std::string first_loss_;
    bool ended_ = false;
    std::vector<std::unique_ptr<ResultsTaker>> takers_;  // by leg; null: has all
};

}  // namespace chain::daemon
