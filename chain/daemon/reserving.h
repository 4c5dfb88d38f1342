// SPDX-License-Identifier: BSD-3-Clause
//
// Reserving: one lease for a time to come, from the bid to its record on the ledger:
//
//   clearing <-> agreeing -> funding -> done
//
// Like the first half of a RenterLease, without files and without a network: what is cleared
// against is all that peers lend, and not what is free now. In the journal before it is sent.
//
// Owner: the loop's thread; held by Reservations.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "chain/daemon/agreement_round.h"
#include "chain/wire/control.pb.h"

namespace chain::daemon {

class Reserving {
public:
    struct Order {
        wire::LeaseSpec spec;
        std::string title;
        std::string event_uid;
        bool bound = false;  // to the connection that asked: of no use without it
    };
    // `on_done`: its id once it is on the ledger, or why it is not. From the loop; the last call.
    Reserving(Node &node, Order order, market::Demand demand,
              std::function<void(const std::string &)> on_progress,
              std::function<void(Result<ledger::LeaseId>)> on_done);
    ~Reserving() { *alive_ = false; }

    void start() { clear_market(); }
    bool has_leg(const PublicKey &peer, const LegKey &key) const {
        return round_ != nullptr && round_->has_leg(peer, key);
    }
    void on_trade(const wire::TradeMessage &message) { round_->on_trade(message); }
    void on_peer_lost(const PublicKey &peer, const std::string &why);
    void on_new_block();
    // Nobody waits for it any more. What is on its way to the ledger is not undone by this.
    void cancel(const std::string &why);
    bool is_submitted() const { return submitted_; }
    const Order &order() const { return order_; }
    // All zero until peers are asked.
    ledger::LeaseId id() const { return round_ == nullptr ? ledger::LeaseId{} : round_->lease(); }

private:
    void clear_market();
    void agree();
    void refuse(std::uint32_t leg, const std::string &why);
    void clear_again();
    void fund(const wire::SignedTx &tx);
    Status write_down() const;
    void finish(Result<ledger::LeaseId> result);

    Node &node_;
    const Order order_;
    const market::Demand demand_;
    std::function<void(const std::string &)> on_progress_;
    std::function<void(Result<ledger::LeaseId>)> on_done_;
    std::set<Bytes32> refused_offers_;
    std::string last_refusal_;
    unsigned rounds_ = 0;
    market::Clearing clearing_;
    std::unique_ptr<AgreementRound> round_;
    bool submitted_ = false;
    bool done_ = false;
    LoopHandle timer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace chain::daemon
