// SPDX-License-Identifier: BSD-3-Clause
//
// Reservations: the renter's leases for a time to come (docs/reservations.md): makes them, cancels
// them, and lets whoever waits for one begin it. What is reserved stands on the ledger and in the
// journal; this daemon may go away until the start. Of RenterAgent, which runs what has begun.
//
// Owner: the loop's thread; held by RenterAgent. Limits: kReservationsMax of this account that are
// to come or being made; as many connections that wait.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "chain/daemon/control_server.h"
#include "chain/daemon/reserving.h"

namespace chain::daemon {

inline constexpr std::size_t kReservationsMax = 64;
inline constexpr std::size_t kTitleBytesMax = 200;
inline constexpr std::size_t kEventUidBytesMax = 300;

class Reservations {
public:
    // One whose time has come, for who waited for it.
    struct Begun {
        ControlConnectionPtr client;
        std::uint64_t request_id = 0;
        wire::LeaseOpenCall call;
        ledger::Lease lease;
        wire::RenterRecord record;
    };
    struct Agent {
        std::function<void(Begun)> begin;
        std::function<bool(const ledger::LeaseId &)> is_live;  // it has begun, and runs here
        std::function<wire::Bill(const ledger::Lease &)> bill_of;
    };
    Reservations(Node &node, Agent agent) : node_(node), agent_(std::move(agent)) {}

    // Answered with its bill once it is on the ledger.
    void reserve(const ControlConnectionPtr &client, std::uint64_t request_id,
                 const wire::LeaseReserveCall &call, market::Demand demand);
    // Reserves, tells so by a bill, and begins it when its time has come. Cancelled when the
    // connection ends before.
    void reserve_and_wait(const ControlConnectionPtr &client, std::uint64_t request_id,
                          const wire::LeaseOpenCall &call, market::Demand demand);
    // The same with one that was reserved before; it stays when the connection ends.
    void wait_for(const ControlConnectionPtr &client, std::uint64_t request_id,
                  const wire::LeaseOpenCall &call);
    // Answered with its bill once the ledger has taken it.
    void cancel(const ControlConnectionPtr &client, std::uint64_t request_id,
                const wire::LeaseCancelCall &call);
    // By who waits for it. False: nobody does on this connection.
    bool close(const ControlConnectionPtr &client, std::uint64_t request_id);
    bool has(const ControlConnection *client) const;

    // It is not for the janitor: its time has not come, or its renter may still come.
    bool keeps(const ledger::Lease &lease, const wire::RenterRecord &record) const;
    // Not all of its peers have said in time that they start: anybody may void it.
    bool is_void(const ledger::Lease &lease) const;

    // False: not about a reservation that is being made.
    bool on_trade(const PublicKey &peer, const wire::TradeMessage &message);
    void on_peer_lost(const PublicKey &peer, const std::string &why);
    void on_new_block();
    void on_daemon_stops();
    void look();  // now and then: whose time has come
    bool idle() const { return making_.empty(); }

private:
    struct Making {
        std::unique_ptr<Reserving> reserving;
        ControlConnectionPtr client;
        std::uint64_t request_id = 0;
        wire::LeaseOpenCall call;  // of one that is bound to the connection
    };
    struct Waiting {
        ControlConnectionPtr client;
        std::uint64_t request_id = 0;
        wire::LeaseOpenCall call;
        ledger::LeaseId lease{};
        bool bound = false;
        bool begins = false;  // in a moment
    };
    struct Cancelling {
        ControlConnectionPtr client;
        std::uint64_t request_id = 0;
        ledger::LeaseId lease{};
        ledger::TxId tx{};
        std::uint64_t give_up_at_ms = 0;  // steady
    };
    Result<std::vector<ledger::Lease>> mine() const;
    Result<ledger::Lease> find(const std::string &text) const;
    Status check(const wire::LeaseSpec &spec, const std::string &event_uid) const;
    void make(const ControlConnectionPtr &client, std::uint64_t request_id, Reserving::Order order,
              market::Demand demand, const wire::LeaseOpenCall &call);
    void on_made(std::uint64_t number, const Result<ledger::LeaseId> &made);
    void add_waiting(Waiting waiting, const ledger::Lease &lease);
    // True: nobody waits any more.
    bool look_at(std::uint64_t number, Waiting &waiting);
    void begin(std::uint64_t number);
    bool is_waited_for(const ledger::LeaseId &lease) const;
    void on_client_gone(std::uint64_t number);
    Result<ledger::TxId> close_on_ledger(const ledger::LeaseId &lease, const std::string &reason);
    bool look_at(const Cancelling &cancelling);
    std::uint64_t window_end_ms(const ledger::Lease &lease) const;

    Node &node_;
    Agent agent_;
    std::uint64_t next_ = 1;
    std::map<std::uint64_t, Making> making_;
    std::map<std::uint64_t, Waiting> waiting_;
    std::vector<Cancelling> cancelling_;
};

}  // namespace chain::daemon
