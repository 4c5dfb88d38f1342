// SPDX-License-Identifier: BSD-3-Clause
//
// ProviderLeg: one leg of one lease at the provider, from the reservation to the settlement
// (trade.md 3 to 5):
//
//   reserved -> staging -> ready -> running -> packing -> closing -> settled
//
// Whatever happens (renter silent, orted killed, budget used up, owner's stop), it goes forward to
// `closing` with the highest voucher in hand, which is in the journal before it is acted on.
//
// Owner: the loop's thread; held by ProviderAgent, told of its end by `on_end`.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chain/daemon/control_stream.h"
#include "chain/daemon/lease_network.h"
#include "chain/daemon/node.h"
#include "chain/daemon/results_desk.h"
#include "chain/daemon/stage_intake.h"
#include "chain/meter/meter.h"
#include "chain/provider/gpu_devices.h"
#include "chain/provider/image.h"
#include "chain/provider/owner_policy.h"
#include "chain/provider/sandbox.h"

namespace chain::daemon {

inline constexpr std::uint64_t kReservationMs = 30'000;  // agreed, but not on the ledger
inline constexpr std::uint64_t kStagingMaxMs = 30 * 60'000;
inline constexpr std::uint64_t kLaunchWaitMs = 60'000;  // staged, but mpirun does not launch
inline constexpr std::uint64_t kReadingIntervalMs = 2'000;
inline constexpr unsigned kUnsignedReadingsMax = 3;  // then it stops: the renter does not pay
inline constexpr std::uint64_t kEndWaitMs = 10'000;  // orted left; the renter says no word
inline constexpr std::uint64_t kLastVoucherWaitMs = 6'000;
inline constexpr std::uint32_t kProcessesPerSlot = 1'024;  // and threads
inline constexpr std::uint64_t kStageBytesMax = 64ULL << 30;
inline constexpr std::uint64_t kDiskLeftBytesMin = 1ULL << 30;  // where no volumes bound leases
inline constexpr std::uint64_t kKillIsReasonMs = 10'000;        // why orted ends soon afterwards

// What was agreed, as far as this leg goes.
struct LegTerms {
    PublicKey renter{};
    Amount price_per_ghz_h;
    std::uint32_t slot_count = 0;    // for ranks
    std::uint32_t billed_slots = 0;  // and those that its GPUs equal
    std::vector<std::size_t> gpus;   // of GpuDevices::all()
    std::uint64_t hz_max = 0;
    Cycles cycles_max = 0;
    std::uint64_t duration_ms = 0;
    std::uint64_t expires_at_ms = 0;
    std::uint64_t ends_at_ms = 0;  // Unix time, of one that was reserved; 0: duration from launch
    std::uint64_t memory_bytes = 0;
    Bytes32 manifest_hash{};
    std::string host;
    bool renter_has_ranks = false;
    std::vector<NetworkMember> members;  // of the lease's network; empty: it has none of its own
    // How sure the lease's block must be before anything is done for it.
    TxStatus begins_at = TxStatus::kIncluded;
};

// What each lease gets of the disk.
struct ScratchPlan {
    std::string folder;
    std::uint64_t bytes_max = 0;
    bool has_volumes = false;                    // else what is written is looked at, now and then
    std::shared_ptr<stage::ContentStore> cache;  // of what renters send; may be none
    stage::WebRules stores;                      // from which it may fetch for them
};

class ProviderLeg {
public:
    enum class Phase { kReserved, kStaging, kReady, kRunning, kPacking, kClosing, kSettled };

    // `gpus` may be null; else it outlives the leg.
    ProviderLeg(Node &node, host::GroupTree &groups, const provider::GpuDevices *gpus,
                ResultsDesk &results, LegKey key, PublicKey peer, LegTerms terms,
                ScratchPlan scratch, std::function<void()> on_end);
    ~ProviderLeg();

    void on_trade(const wire::TradeMessage &message);
    void on_new_block();
    // The session with the renter is gone: nobody will pay for more.
    void on_renter_lost(const std::string &why);
    // It was lost, and is there again before the job has packed: it waits for results.
    void on_renter_back() { wants_results_ = true; }
    void on_drained();
    void take_channel(const PublicKey &peer, std::uint32_t from, p2p::Channel channel);
    void on_daemon_stops();
    // The owner is back, or gone again. What does not run yet ends at once when the leg is to
    // leave; what runs ends when end_for_owner() says so.
    void on_owner(wire::LegNotice::State state, const provider::LendDecision &decision,
                  std::uint64_t leave_in_ms);
    void end_for_owner();

    // The close transaction could not be sent, or came to nothing: somebody must send it again.
    bool close_was_lost() const;
    bool has_process(int pid) const;
    // It ended before anything was done in it: one that was reserved may begin again.
    bool was_released() const { return phase_ == Phase::kReserved || released_; }
    // It was given up before there were funds for it: its renter has this side's signature yet.
    bool was_unfunded() const { return was_unfunded_; }
    // False once everything of it has ended here, though it is not settled yet.
    bool holds_slots() const { return phase_ < Phase::kPacking || sandbox_running_; }

    Phase phase() const { return phase_; }
    const LegTerms &terms() const { return terms_; }
    const PublicKey &peer() const { return peer_; }

private:
    bool may_release() const;
    void release();
    std::uint64_t running_time_ms() const;
    void on_lease_gone();
    void begin_staging();
    void on_folder(Result<std::string> folder);
    void remove_folder();
    void look_at_scratch();
    void report_start();
    void begin_network();
    std::vector<NetworkMember> members_to_dial() const;
    void on_member(std::uint32_t member, bool up, const std::string &why);
    void report_network(const wire::NetworkReport &report);
    void relay_network(std::uint32_t leg);
    void attach_network(provider::Sandbox::NetworkEnds ends);
    std::uint32_t own_member() const { return overlay::member_of_leg(key_.leg); }
    void give_notice();
    void answer_close(std::uint64_t closes_at_ms);
    void on_stage(const wire::TradeMessage &message);
    void finish_staging();
    void unpack_image();
    void on_image_unpacked(int wait_status);
    void become_ready();
    Status make_group();
    void launch(const wire::Launch &launch);
    Status start_sandbox(const wire::Launch &launch);
    void on_sandbox_exit(int wait_status);
    void send_reading(bool last);
    wire::Reading take_reading(bool last);
    void on_voucher(const wire::SignedVoucher &voucher);
    void end(const std::string &ended_by, const std::string &reason, bool over_limit = false);
    void say_ended(const std::string &reason, bool killed, bool over_limit = false);
    std::string limit_text() const;
    void look_at_limits();
    void stop_running();
    void pack();
    void give_results(bool renter_is_here);
    void on_results_given();
    void close();
    void fail_stage(const Error &error);
    void set_deadline(std::uint64_t ms, std::function<void()> fn);
    void remember();

    Node &node_;
    host::GroupTree &groups_;
    const provider::GpuDevices *const gpus_;
    ResultsDesk &results_;
    const LegKey key_;
    const PublicKey peer_;
    const LegTerms terms_;
    const ScratchPlan scratch_;
    std::function<void()> on_end_;

    Phase phase_ = Phase::kReserved;
    bool renter_here_ = true;
    bool wants_results_ = false;
    bool renter_ended_ = false;  // the renter said so itself
    bool sandbox_running_ = false;
    bool looks_at_scratch_ = false;
    bool limit_was_said_ = false;
    bool released_ = false;
    bool was_unfunded_ = false;
    std::uint64_t kills_seen_ = 0;    // of its processes, for want of memory
    std::uint64_t last_kill_ms_ = 0;  // steady; 0: none
    std::uint64_t volume_bytes_ = 0;  // 0: its folder is on no volume
    std::string lease_folder_;
    std::unique_ptr<StageIntake> intake_;
    std::vector<stage::StagedFile> staged_;
    std::optional<provider::ImageMpi> image_;  // that the job runs in; none: this machine's system
    std::vector<std::string> stage_out_;
    std::unique_ptr<host::ControlGroup> group_;  // outlives the two below
    std::unique_ptr<meter::LeaseMeter> meter_;
    std::unique_ptr<provider::Sandbox> sandbox_;
    std::optional<provider::GpuMeter> gpu_meter_;  // while it runs, if it has any
    std::unique_ptr<LeaseNetwork> network_;        // null: not yet, not any more, or plain
    std::unique_ptr<ControlStream> stream_;
    FileDescriptor listener_;           // in the lease's network: for the orted
    std::uint64_t launched_at_ms_ = 0;  // steady
    std::string owner_reason_;          // why it has to leave
    std::uint64_t sequence_ = 0;
    unsigned unsigned_readings_ = 0;
    wire::Reading last_reading_;
    std::optional<ledger::TxId> close_tx_;
    wire::ProviderRecord record_;
    std::uint64_t voucher_cycles_ = 0;
    std::uint64_t voucher_sequence_ = 0;
    bool last_reading_sent_ = false;
    bool results_sent_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for jobs of workers
    LoopHandle deadline_;
    LoopHandle reading_timer_;
    LoopHandle scratch_timer_;
    LoopHandle answer_timer_;
    LoopHandle listener_watch_;
};

}  // namespace chain::daemon
