// SPDX-License-Identifier: BSD-3-Clause
//
// RenterLease: one lease at the renter, from the flag to the bill (trade.md 3 to 6):
//
//   hashing -> clearing <-> agreeing -> funding -> staging -> ready -> running -> ending -> ended
//
// One that was reserved is on the ledger already (Reservations): its peers are asked to begin, and
// it goes on from funding.
//
// It lives as long as mpirun's connection; when that closes, the lease ends. Each voucher is in the
// journal before it is sent. What is left open on the ledger (a peer that was lost) is closed by
// RenterAgent after this object is gone.
//
// Owner: the loop's thread; held by RenterAgent.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "chain/daemon/agreement_round.h"
#include "chain/daemon/control_server.h"
#include "chain/daemon/control_stream.h"
#include "chain/daemon/lease_network.h"
#include "chain/daemon/node.h"
#include "chain/daemon/results_taker.h"
#include "chain/daemon/stage_pump.h"
#include "chain/market/clearing.h"
#include "chain/market/placement.h"
#include "chain/wire/control.pb.h"

namespace chain::daemon {

inline constexpr std::uint64_t kFundWaitMs = 15'000;  // on every provider's ledger
inline constexpr std::uint64_t kResultsWaitMs = 30 * 60'000;
inline constexpr std::uint64_t kSettleWaitMs = 8'000;  // after the last voucher
inline constexpr unsigned kAgreeRoundsMax = 4;
inline constexpr unsigned kGangsMax = 3;  // on the ledger, for one job that has not begun
inline constexpr std::uint64_t kNetworkWaitMs = 10'000;  // until all legs reach each other
inline constexpr std::uint64_t kNetworkWaitMsPerLeg = 300;
inline constexpr std::uint64_t kMarketPollMs = 500;
// Peers that were let go offer their slots again: how often, and how long, to look for that.
inline constexpr std::uint64_t kReofferPollMs = 100;
inline constexpr std::uint64_t kReofferWaitMs = 2'000;
inline constexpr std::uint64_t kBeginPollMs = 1'000;  // peers of a reservation
inline constexpr std::uint64_t kStageMaxDefaultBytes = 4ULL << 30;

// What of the call is for stores.
stage::S3Access s3_access(const wire::LeaseOpenCall &call);

// A gang that was on the ledger and of which a leg failed before the job began.
struct FailedGang {
    unsigned count = 0;    // how many there were, with this one
    PublicKey provider{};  // of the leg that failed,
    Error error;           // and why
    std::vector<stage::StagedFile> files;
};

class RenterLease {
public:
    // `ask_others`: for the same lease of other peers; it takes over what `client` waits for.
    // `before`: the gang whose place this one takes; its count is 0 for the first.
    RenterLease(Node &node, ControlConnectionPtr client, std::uint64_t request_id,
                wire::LeaseOpenCall call, market::Demand demand, std::function<void()> on_end,
                std::function<void(FailedGang)> ask_others, FailedGang before);
    ~RenterLease();

    void start();
    // Instead, of one whose time has come, with what the journal has of it.
    void begin(ledger::Lease lease, wire::RenterRecord record);
    void launch(std::uint64_t request_id, const wire::LeaseLaunchCall &call);
    void attach(const ControlConnectionPtr &client, std::uint64_t request_id,
                const wire::LeaseAttachCall &call);
    void take_channel(const PublicKey &peer, std::uint32_t from, p2p::Channel channel);
    void close(std::uint64_t request_id, const wire::LeaseCloseCall &call);
    void on_client_gone();
    void on_daemon_stops();

    bool has_leg(const PublicKey &peer, const LegKey &key) const;
    void on_trade(const PublicKey &peer, const wire::TradeMessage &message);
    void on_drained(const PublicKey &peer);
    void on_peer_lost(const PublicKey &peer, const std::string &why);
    void on_new_block();

    const ledger::LeaseId &id() const { return id_; }
    const ControlConnection *client() const { return client_.get(); }
    const wire::Bill &bill() const { return record_.bill(); }

private:
    enum class Phase {
        kHashing,
        kClearing,
        kAgreeing,
        kFunding,
        kStaging,
        kReady,
        kRunning,
        kEnding,
        kEnded
    };
    struct LegState {
        market::Award award;
        bool funded = false;            // the provider sees the record on its ledger
        std::uint64_t asked_at_ms = 0;  // steady; to begin what was reserved; 0: ask now
        std::string refusal;            // of that, the last one
        std::string host;               // its name in this lease
        bool staged = false;
        bool connected = false;                 // reaches all other legs
        std::set<std::uint32_t> relayed;        // legs to which its packets go through here
        std::unique_ptr<ControlStream> stream;  // between mpirun and its orted
        bool lost = false;
        bool failed = false;      // lost, or ended by itself before the job
        bool dismissed = false;   // we ended it while the others go on; not its provider's doing
        bool close_sent = false;  // the provider sent its close transaction
        bool limit_was_said = false;
        std::unique_ptr<StagePump> pump;        // of the job's files
        std::unique_ptr<ResultsTaker> results;  // once it was launched
        Cycles cycles = 0;
        std::uint64_t sequence = 0;
    };

    bool is_reserved() const { return reserved_.has_value(); }
    void begin_reserved();
    bool find_peers();
    void ask_to_begin();
    void ask_to_begin(std::uint32_t leg);
    void on_begin_refused(std::uint32_t leg, const wire::Refuse &refusal);
    void peer_missing(std::uint32_t leg, const std::string &why);
    void back_out(const Error &error);
    std::uint64_t running_time_ms() const;
    void describe_files();
    void clear_market();
    void agree();
    void refuse(std::uint32_t leg, const std::string &why);
    // Forgets this round; the market is cleared again when the peers of it had time to offer anew.
    void clear_again(const std::string &why);
    void cancel_agreements(const std::string &why);
    void wait_for_market(std::uint64_t ms);
    void fund(const wire::SignedTx &tx);
    void on_funded(std::uint32_t leg);
    void on_stage_done(std::uint32_t leg, const wire::StageDone &done);
    bool is_plain() const { return call_.spec().plain_network(); }
    void name_hosts();
    std::vector<NetworkMember> members() const;
    wire::LeaseNetwork describe_network() const;
    void on_network(std::uint32_t leg, const wire::NetworkReport &report);
    void relay(std::uint32_t leg, std::uint32_t other, const std::string &why);
    bool has_home() const { return call_.spec().home_slots() > 0; }
    bool joins_network() const { return has_home() && !is_plain(); }
    bool reaches_all_legs() const { return !joins_network() || network_->reaches_all(); }
    void join_network();
    void on_member(std::uint32_t member, bool up, const std::string &why);
    void on_member_lost(std::uint32_t member, const std::string &why);
    std::vector<std::uint32_t> leg_order() const;
    void take_sockets();
    void end_attaching();
    void on_stream(std::uint32_t leg, const wire::Stream &stream);
    void become_ready_if_all_are();
    void become_ready();
    void on_reading(std::uint32_t leg, const wire::Reading &reading);
    void sign_voucher(std::uint32_t leg, const wire::Reading &reading, bool final);
    void agree_to_nothing(std::uint32_t leg, wire::TradeMessage &message);
    void expect_results();
    void note_results(std::uint32_t leg);
    std::shared_ptr<const std::vector<stage::StagedFile>> signed_files() const;
    void on_stage(std::uint32_t leg, const wire::TradeMessage &message);
    // The sandbox is gone, or the provider ends the leg; the peer itself is still there.
    void leg_ended(std::uint32_t leg, const wire::LegEnded &ended);
    void on_notice(std::uint32_t leg, const wire::LegNotice &notice);
    void on_limit(std::uint32_t leg, const std::string &host, const std::string &text);
    // `peer_gone`: nothing more comes from the peer; else only its orted is gone. Ends the lease,
    // unless the job may go on without it: then this leg only, and mpirun decides on the others.
    void leg_lost(std::uint32_t leg, const std::string &reason, bool peer_gone,
                  bool over_limit = false);
    void note_losses(const wire::LeaseCloseCall &call);
    // Asks mpirun to end its ranks; if it does not in time, ends the lease under them.
    // `over_limit`: its time or money is used up.
    void end_soon(const std::string &reason, bool over_limit = false);
    void end(const std::string &ended_by, const std::string &reason);
    void check_ended();
    bool takes_results(std::size_t leg) const;
    void say_what_comes();
    void give_up_settlement();
    void close_one_sided();
    void finish();
    void fail(const Error &error);
    // As fail(), unless others may take that leg's place.
    void fail_leg(std::uint32_t leg, const Error &error);
    void undo(const Error &error);
    void progress(const std::string &stage, const std::string &detail);
    void event(wire::LeaseEvent::Kind kind, std::uint32_t leg, const std::string &reason,
               bool over_limit = false);
    void notice(const std::string &whole);
    void lose_results(std::uint32_t leg, const std::string &text);
    void remember();
    void refresh_bill();
    std::string network_include() const;
    LegKey leg_key(std::uint32_t leg) const { return {id_, leg}; }
    void set_deadline(std::uint64_t ms, std::function<void()> fn);

    Node &node_;
    ControlConnectionPtr client_;
    const std::uint64_t request_id_;
    const wire::LeaseOpenCall call_;
    market::Demand demand_;
    std::function<void()> on_end_;
    std::function<void(FailedGang)> ask_others_;
    const FailedGang before_;

    Phase phase_ = Phase::kHashing;
    std::vector<stage::StagedFile> files_;
    std::set<Bytes32> refused_offers_;
    unsigned agree_round_ = 0;
    std::optional<ledger::Lease> reserved_;  // it began as a reservation
    std::uint64_t begin_until_ms_ = 0;       // block time: then a peer that is not there is lost
    std::unique_ptr<AgreementRound> round_;  // while the peers are asked
    market::Clearing clearing_;
    std::uint64_t ends_at_ms_ = 0;  // Unix time: it has ended by then, whatever else
    ledger::LeaseId id_{};
    bool submitted_ = false;
    std::vector<LegState> legs_;
    // For ranks on this machine, and for legs that do not reach each other; null: none of these.
    std::unique_ptr<LeaseNetwork> network_;
    market::Distances distances_{0};  // between members
    bool is_attached_ = false;
    ControlConnectionPtr attach_client_;      // while mpirun's connections come
    FileDescriptor attach_socket_;            // by this,
    bool device_comes_ = false;               // before them
    std::vector<std::uint32_t> attach_legs_;  // for these
    LoopHandle attach_watch_;
    wire::RenterRecord record_;
    std::uint64_t launched_at_ms_ = 0;    // steady; 0: not yet
    std::uint64_t ended_at_ms_ = 0;       // steady; 0: not yet. Peers were told to stop then
    std::uint64_t wait_until_ms_ = 0;     // steady; for --chain-wait
    std::uint64_t reoffer_until_ms_ = 0;  // steady
    LoopHandle words_timer_;              // of peers whose legs are settled already
    bool words_waited_for_ = false;
    bool awaits_blocks_ = false;  // every peer has closed; the ledger has not settled yet
    std::optional<std::uint64_t> close_request_;
    bool closed_one_sided_ = false;
    std::string last_refusal_;
    std::string lost_reason_;  // of the first peer that was lost
    std::string lost_by_;      // whose doing that was
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    LoopHandle deadline_;
    LoopHandle wait_timer_;
    LoopHandle begin_timer_;
    LoopHandle results_timer_;
};

}  // namespace chain::daemon
