// SPDX-License-Identifier: BSD-3-Clause
//
// RenterAgent: leases for the programs of this user. Runs one RenterLease per mpirun, and closes on
// the ledger what was left open by a peer that was lost or by this daemon's own sudden end.
//
// Owner: the loop's thread. Limit: kLeasesAtOnceMax.
#pragma once

#include <map>
#include <memory>

#include "chain/daemon/renter_lease.h"
#include "chain/daemon/reservations.h"
#include "chain/daemon/results_fetch.h"

namespace chain::daemon {

inline constexpr std::size_t kLeasesAtOnceMax = 64;

class RenterAgent {
public:
    explicit RenterAgent(Node &node);

    void open(const ControlConnectionPtr &client, std::uint64_t request_id,
              const wire::LeaseOpenCall &call);
    void launch(const ControlConnectionPtr &client, std::uint64_t request_id,
                const wire::LeaseLaunchCall &call);
    void attach(const ControlConnectionPtr &client, std::uint64_t request_id,
                const wire::LeaseAttachCall &call);
    void close(const ControlConnectionPtr &client, std::uint64_t request_id,
               const wire::LeaseCloseCall &call);
    void reserve(const ControlConnectionPtr &client, std::uint64_t request_id,
                 const wire::LeaseReserveCall &call);
    void cancel(const ControlConnectionPtr &client, std::uint64_t request_id,
                const wire::LeaseCancelCall &call) {
        reservations_.cancel(client, request_id, call);
    }
    // Results of a lease that did not come back with its job.
    void fetch(const ControlConnectionPtr &client, std::uint64_t request_id,
               const ledger::LeaseId &lease, const wire::LeaseFetchCall &call);
    // Errors: those of Wallet::account and market::clear.
    Result<wire::Explanation> explain(const wire::LeaseSpec &spec);

    void on_trade(const PublicKey &peer, const wire::TradeMessage &message);
    void on_drained(const PublicKey &peer);
    void take_channel(const PublicKey &peer, const ChannelLabel &label, p2p::Channel channel);
    void on_peer_lost(const PublicKey &peer, const std::string &why);
    void on_new_block();
    void on_daemon_stops();
    bool idle() const { return leases_.empty() && reservations_.idle(); }
    // Those without an id are not proposed yet: all zero.
    std::vector<ledger::LeaseId> live_leases() const;

    // What is known of a lease of this account that is on the ledger or under way.
    wire::Bill bill_of(const ledger::Lease &lease) const;
    std::vector<wire::Bill> bills_under_way() const;

private:
    Result<market::Demand> make_demand(const wire::LeaseSpec &spec) const;
    Status check_open(const ControlConnectionPtr &client, const wire::LeaseOpenCall &call) const;
    RenterLease &add_lease(const ControlConnectionPtr &client, std::uint64_t request_id,
                           const wire::LeaseOpenCall &call, market::Demand demand,
                           FailedGang before);
    void begin(Reservations::Begun begun);
    RenterLease *find(const ControlConnectionPtr &client) const;
    bool is_live(const ledger::LeaseId &id) const;
    void close_forgotten_leases();
    void forget_old_results();

    Node &node_;
    Reservations reservations_;
    std::uint64_t next_ = 1;
    std::map<std::uint64_t, std::unique_ptr<RenterLease>> leases_;
    std::map<ledger::LeaseId, std::unique_ptr<ResultsFetch>> fetches_;
    LoopHandle janitor_timer_;
    LoopHandle results_timer_;
    std::map<ledger::LeaseId, ledger::TxId> closing_;  // sent for a forgotten lease
};

}  // namespace chain::daemon
