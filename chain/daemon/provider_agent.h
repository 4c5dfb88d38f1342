// SPDX-License-Identifier: BSD-3-Clause
//
// ProviderAgent: lends this machine. Keeps its offer in the book, answers proposals, runs one
// ProviderLeg for each leg that it agreed to, and settles what a killed daemon left open.
//
// Owner: the loop's thread. Limits: legs by the slots offered; kReservationMs for an agreed leg
// that is not funded.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "chain/base/recent_set.h"
#include "chain/daemon/bookings.h"
#include "chain/daemon/node.h"
#include "chain/daemon/provider_leg.h"
#include "chain/daemon/results_desk.h"
#include "chain/provider/owner_watch.h"
#include "chain/provider/settings.h"
#include "chain/wire/control.pb.h"

namespace chain::daemon {

// What is reserved sooner than this is not offered to leases that begin now: most would run into
// it.
inline constexpr std::uint64_t kOfferedAheadMs = 3'600'000;

struct ProviderOptions : provider::LendSettings {
    std::string pause_path;      // a file that stands while lending is paused
    std::string scratch_folder;  // job folders of leases
    std::string cache_folder;    // what renters sent, for the next time
    // When the daemon stops, results that their renters have not fetched go, too.
    bool forget_results = false;
    // A lease is served once its block is so sure. kIncluded is soonest; in a network with
    // validators a block may yet be left for another, and what was done until then is not paid.
    TxStatus begins_at = TxStatus::kIncluded;
};

inline constexpr std::size_t kGivenBackMax = 10'000;

class ProviderAgent {
public:
    // `publish` passes a signed offer on to the peers.
    ProviderAgent(Node &node, ProviderOptions options,
                  std::function<void(const wire::SignedOffer &)> publish);
    ~ProviderAgent();

    // Kills what a daemon before this one left running. Call once, before anything else.
    void recover();

    // Errors: kInvalidInput, kRefused (nothing can be lent here, and why), kNoWallet,
    // kWalletLocked.
    Status set_offer(const wire::OfferSetCall &call);

    // The owner's word, kept over restarts. Errors: kIo, kDiskFull.
    Status pause(bool pause);
    void fill_policy(wire::NodePolicy &policy) const;

    void on_trade(const PublicKey &peer, const wire::TradeMessage &message);
    bool has_leg(const PublicKey &peer, const LegKey &key) const;
    void on_peer_up();
    void on_peer_lost(const PublicKey &peer, const std::string &why);
    void on_drained(const PublicKey &peer);
    void take_channel(const PublicKey &peer, const ChannelLabel &label, p2p::Channel channel);
    void on_new_block();
    void on_daemon_stops();
    bool lends() const { return options_.slot_count > 0; }
    bool idle() const { return legs_.empty(); }
    // Results that are here for renters, who know this node by its key.
    std::size_t kept_results() const { return results_.kept_count(); }
    std::vector<ledger::LeaseId> live_leases() const;
    // Offers again, under the node key as it is now. Precondition: idle().
    void on_node_key_changed(const std::string &scratch_folder);

    // What is known of a lease in which this account is a provider.
    wire::Bill bill_of(const ledger::Lease &lease) const;
    void fill_status(wire::NodeStatus &status) const;

    std::uint32_t slots_leased() const;

private:
    void calibrate();
    void probe_isolation();
    void open_cache();
    void open_gpus();
    std::vector<std::size_t> free_gpus() const;
    Status take_gpus(std::uint32_t count, std::uint32_t billed_slots, LegTerms &terms) const;
    void publish_offer();
    void propose(const PublicKey &peer, const LegKey &key, const wire::Propose &propose);
    // An agreement as it was proposed and signed.
    struct Proposal {
        PublicKey renter{};
        wire::OpenLease open;
        wire::LeaseLeg leg;  // ours
    };
    Result<Proposal> read_proposal(const LegKey &key, const wire::Propose &propose) const;
    Result<LegTerms> check_proposal(const LegKey &key, const Proposal &proposal,
                                    const wire::Propose &propose) const;
    Status check_place() const;
    Status agree_on_money(const Proposal &proposal, LegTerms &terms) const;
    Result<Amount> check_price(const Proposal &proposal) const;
    Status join_network(const LegKey &key, const wire::Propose &propose, std::size_t leg_count,
                        LegTerms &terms) const;
    Status take_proposal(const PublicKey &peer, const LegKey &key, const wire::Propose &propose);
    ProviderLeg &add_leg(const PublicKey &peer, const LegKey &key, LegTerms terms);
    // ---- leases for a time to come
    Result<LegTerms> check_booking(const LegKey &key, const Proposal &proposal,
                                   const wire::Propose &propose) const;
    wire::BookingRecord make_booking(const PublicKey &peer, const Proposal &proposal,
                                     const LegTerms &terms) const;
    Status begin_booking(const PublicKey &peer, const LegKey &key, const wire::Propose &propose);
    Result<LegTerms> check_begin(const PublicKey &peer, const LegKey &key,
                                 const wire::Propose &propose) const;
    Status find_gpus(const wire::BookingRecord &booking, LegTerms &terms) const;
    market::Timetable promised() const;
    Status check_room(const market::Period &period, const LegTerms &terms) const;
    std::uint32_t free_slots() const;  // and not reserved within kOfferedAheadMs
    bool disk_has_room() const;
    Status check_funds(const wire::OpenLease &open, const PublicKey &renter) const;
    void drop_leg(const LegKey &key);
    void watch_owner();
    void look_at_owner();
    void obey(const provider::LendDecision &decision);
    bool is_open() const;  // to new leases
    void settle_forgotten_leases();
    void answer_for_given_back(const LegKey &key, const ledger::Lease &lease);
    void settle(const LegKey &key);

    Node &node_;
    ProviderOptions options_;
    std::function<void(const wire::SignedOffer &)> publish_;
    std::string cannot_lend_;  // why; empty: can
    // What keeps leases from being held as they should; empty: nothing. Known once calibrated.
    std::vector<std::string> not_held_;
    bool has_volumes_ = false;
    bool has_lease_networks_ = false;
    std::uint64_t hz_ = 0;  // calibrated; 0: not yet
    wire::Calibration calibration_;
    std::uint64_t offer_sequence_ = 0;
    std::shared_ptr<stage::ContentStore> cache_;
    ResultsDesk results_;
    Bookings bookings_;
    std::unique_ptr<provider::GpuDevices> gpus_;  // null: none, or not lent; outlives the legs
    std::vector<std::size_t> offered_gpus_;       // free when the last offer was made
    std::optional<host::GroupTree> groups_;       // made when something is lent; outlives the legs
    std::map<LegKey, std::unique_ptr<ProviderLeg>> legs_;
    std::map<LegKey, ledger::TxId> settling_;  // sent for a leg that nobody runs
    // Signed here, and given up before they were on the ledger.
    RecentSet<ledger::LeaseId, Bytes32Hash> given_back_{kGivenBackMax};
    bool paused_ = false;
    std::optional<provider::OwnerPolicy> policy_;  // these three once something is lent
    std::optional<provider::OwnerWatch> watch_;
    provider::OwnerSigns signs_;
    LoopHandle owner_timer_;
    LoopHandle refresh_timer_;
    LoopHandle janitor_timer_;
    bool offered_ = false;
    std::uint32_t offered_slots_ = 0;  // that were free when the last offer was made
    std::string offered_address_;
};

}  // namespace chain::daemon
