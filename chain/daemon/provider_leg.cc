// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/provider_leg.h"

#include <algorithm>
#include <utility>

#include <sys/wait.h>

#include "chain/base/log.h"
#include "chain/base/text.h"
#include "chain/client/client.h"
#include "chain/client/text.h"
#include "chain/daemon/log_categories.h"
#include "chain/daemon/reading_check.h"
#include "chain/overlay/device.h"
#include "chain/provider/lease_folder.h"
#include "chain/provider/orted_command.h"
#include "chain/wire/frame.h"
#include "incentive/settlement.h"

namespace chain::daemon {
namespace {

wire::MeterClass to_wire(meter::MeterClass meter_class) {
    switch (meter_class) {
        case meter::MeterClass::kHw: return wire::METER_CLASS_HW;
        case meter::MeterClass::kSampled: return wire::METER_CLASS_SAMPLED;
        case meter::MeterClass::kCalibrated: return wire::METER_CLASS_CALIBRATED;
    }
    CHAIN_CHECK(false);
}

// "was killed by signal 9", or "ended with status 1".
std::string describe_exit(int wait_status) {
    if (WIFSIGNALED(wait_status))
        return "was killed by signal " + std::to_string(WTERMSIG(wait_status));
    const int status = WEXITSTATUS(wait_status);
    // bubblewrap passes the signal of its child on as 128 + number.
    if (status > 128) return "was killed by signal " + std::to_string(status - 128);
    return "ended with status " + std::to_string(status);
}

}  // namespace

ProviderLeg::ProviderLeg(Node &node, host::GroupTree &groups, const provider::GpuDevices *gpus,
                         ResultsDesk &results, LegKey key, PublicKey peer, LegTerms terms,
                         ScratchPlan scratch, std::function<void()> on_end)
    : node_(node),
      groups_(groups),
      gpus_(gpus),
      results_(results),
      key_(key),
      peer_(peer),
      terms_(std::move(terms)),
      scratch_(std::move(scratch)),
      on_end_(std::move(on_end)) {
    record_.set_renter(to_bytes(terms_.renter));
    record_.set_host(terms_.host);
    std::uint64_t reservation_ms = kReservationMs + node_.backend.inclusion_wait_ms();
    if (terms_.begins_at != TxStatus::kIncluded) reservation_ms += node_.backend.finality_wait_ms();
    set_deadline(reservation_ms, [this] {
        log(LogLevel::kNote, kProviderLog, "lease ", short_hex(key_.lease),
            " was not funded in time; its slots are free again");
        on_end_();
    });
}

ProviderLeg::~ProviderLeg() {
    *alive_ = false;
    sandbox_.reset();
    remove_folder();
}

void ProviderLeg::set_deadline(std::uint64_t ms, std::function<void()> fn) {
    deadline_ = node_.loop.after_ms(ms, std::move(fn));
}

void ProviderLeg::remember() {
    const Status written = node_.journal.put_provider(key_.lease, key_.leg, record_);
    if (!written.ok()) log(LogLevel::kError, kProviderLog, "journal: ", written.error().message);
}

void ProviderLeg::on_new_block() {
    const auto lease = node_.backend.lease(key_.lease);
    if (!lease.ok()) return on_lease_gone();
    const bool is_open =
        key_.leg < lease->legs.size() && lease->legs[key_.leg].state != ledger::LegState::kSettled;
    if (phase_ == Phase::kReserved && is_open) {
        if (!is_at_least(node_.backend.outcome(key_.lease).status, terms_.begins_at)) return;
        begin_staging();
    }
    if (key_.leg < lease->legs.size() && !is_open) {
        const ledger::Leg &leg = lease->legs[key_.leg];
        log(LogLevel::kNote, kProviderLog, "lease ", short_hex(key_.lease), " leg ", key_.leg,
            " settled: ", format_tokens(leg.payment), " tokens, of which ",
            format_tokens(leg.burned), " burned");
        phase_ = Phase::kSettled;
        return on_end_();
    }
    if (key_.leg < lease->legs.size() && lease->legs[key_.leg].state == ledger::LegState::kClosing)
        answer_close(lease->legs[key_.leg].closes_at_ms);
}

// Not on the ledger yet; or no more, as its block was left for another branch. There it comes back
// by itself, unless the renter's tokens have gone another way.
void ProviderLeg::on_lease_gone() {
    if (phase_ == Phase::kReserved || phase_ == Phase::kSettled ||
        node_.backend.outcome(key_.lease).status == TxStatus::kPending)
        return;
    end("renter", "the ledger has left the block of this lease for another branch");
    if (phase_ == Phase::kClosing) {
        phase_ = Phase::kSettled;
        on_end_();
    }
}

// The renter, or somebody with its key, has closed this leg on the ledger, perhaps with an old
// voucher or none: the highest one must be there before the window to bring it has passed. Half of
// the window is left for the results, and for a last voucher.
void ProviderLeg::answer_close(std::uint64_t closes_at_ms) {
    if (phase_ >= Phase::kClosing || answer_timer_.active()) return;
    const std::uint64_t now_ms = node_.backend.chain_time_ms();
    const std::uint64_t window_ms = closes_at_ms > now_ms ? closes_at_ms - now_ms : 0;
    answer_timer_ = node_.loop.after_ms(window_ms / 2, [this] { close(); });
    end("renter", "the renter closed the lease on the ledger");
}

// On the ledger: the environment of this leg stands. Without it anybody may void the gang once the
// start window has passed.
void ProviderLeg::report_start() {
    wire::TxBody body;
    body.mutable_report_start()->set_lease_id(to_bytes(key_.lease));
    body.mutable_report_start()->set_started(true);
    if (const auto tx = node_.submit(std::move(body)); !tx.ok())
        log(LogLevel::kDebug, kProviderLog, "start of lease ", short_hex(key_.lease), ": ",
            tx.error().message);  // another leg of ours has said it for all
}

// The owner wants the machine back: said before the close, it costs neither collateral nor name.
void ProviderLeg::give_notice() {
    wire::TxBody body;
    body.mutable_reclaim_notice()->set_lease_id(to_bytes(key_.lease));
    if (const auto tx = node_.submit(std::move(body)); !tx.ok())
        log(LogLevel::kDebug, kProviderLog, "notice of lease ", short_hex(key_.lease), ": ",
            tx.error().message);
}

void ProviderLeg::on_daemon_stops() {
    if (phase_ > Phase::kReserved && phase_ < Phase::kPacking) give_notice();
    end("provider", "the provider's daemon was stopped");
}

// Said on the ledger before the close, it costs neither collateral nor name; and to the renter, so
// that the program can save what it has.
void ProviderLeg::on_owner(wire::LegNotice::State state, const provider::LendDecision &decision,
                           std::uint64_t leave_in_ms) {
    if (phase_ >= Phase::kPacking) return;
    if (phase_ == Phase::kReserved) {
        if (state == wire::LegNotice::LEAVING) on_end_();
        return;
    }
    const bool leaves = state == wire::LegNotice::LEAVING;
    if (leaves) {
        owner_reason_ = "the owner needs the machine (" +
                        std::string(provider::owner_reason_name(decision.reason)) + ")";
        give_notice();
    }
    wire::TradeMessage message = trade_message(key_);
    wire::LegNotice &notice = *message.mutable_leg_notice();
    notice.set_state(state);
    notice.set_reason(static_cast<std::uint32_t>(decision.reason));
    notice.set_text(decision.rule);
    notice.set_leave_in_ms(leaves ? leave_in_ms : 0);
    if (renter_here_) static_cast<void>(node_.send_trade(peer_, message));
    log(LogLevel::kNote, kProviderLog, "lease ", short_hex(key_.lease), " leg ", key_.leg, ": ",
        decision.rule);
    if (leaves && phase_ != Phase::kRunning) end_for_owner();
}

void ProviderLeg::end_for_owner() {
    if (!owner_reason_.empty()) end("provider", owner_reason_);
}

void ProviderLeg::on_trade(const wire::TradeMessage &message) {
    switch (message.what_case()) {
        case wire::TradeMessage::kCancel:
            if (phase_ == Phase::kReserved || may_release()) release();
            return;
        case wire::TradeMessage::kStageFile:
        case wire::TradeMessage::kStageList:
        case wire::TradeMessage::kStageChunk:
        case wire::TradeMessage::kStageDone: return on_stage(message);
        case wire::TradeMessage::kLaunch: return launch(message.launch());
        case wire::TradeMessage::kVoucher: return on_voucher(message.voucher());
        case wire::TradeMessage::kNetworkRelay: return relay_network(message.network_relay().leg());
        case wire::TradeMessage::kStream:
            if (stream_ == nullptr) return;  // over already
            if (const Status taken = stream_->on_message(message.stream()); !taken.ok())
                node_.network.disconnect(peer_, taken.error().message);
            return;
        case wire::TradeMessage::kEndLeg:
            stage_out_.assign(message.end_leg().stage_out().begin(),
                              message.end_leg().stage_out().end());
            renter_ended_ = true;
            if (message.end_leg().has_final_voucher())
                on_voucher(message.end_leg().final_voucher());
            return end("renter", message.end_leg().reason());
        default:
            node_.network.disconnect(peer_, "a trade message that a renter never sends");
            return;
    }
}

// What was reserved, and has begun without running yet, waits for its renter again until its start
// window is over (Bookings).
bool ProviderLeg::may_release() const {
    return terms_.ends_at_ms > 0 && phase_ < Phase::kRunning && !record_.has_voucher();
}

void ProviderLeg::release() {
    deadline_.cancel();
    intake_.reset();
    released_ = true;
    was_unfunded_ = phase_ == Phase::kReserved;
    phase_ = Phase::kSettled;
    stop_running();
    on_end_();
}

// How long it may run from now on. Nothing runs into what is reserved after it: a lease has ended
// at its expiry. The renter ends it a moment before that, which is no loss of a peer.
std::uint64_t ProviderLeg::running_time_ms() const {
    const std::uint64_t now_ms = node_.clock.unix_ms();
    const std::uint64_t end_ms =
        terms_.ends_at_ms > 0 ? terms_.ends_at_ms + kEndPatienceMs : terms_.expires_at_ms;
    return std::min(terms_.duration_ms, end_ms > now_ms ? end_ms - now_ms : 0);
}

void ProviderLeg::on_stage(const wire::TradeMessage &message) {
    // Else it failed before, or is too late.
    if (phase_ == Phase::kStaging && intake_ != nullptr) intake_->on_message(message);
}

void ProviderLeg::finish_staging() {
    staged_ = intake_->files();
    const bool has_image = !intake_->image().empty();
    intake_.reset();
    if (stage::manifest_hash(staged_) != terms_.manifest_hash)
        return fail_stage(
            make_error(ErrorCode::kBadSignature, "the files are not those that the lease names"));
    if (const Status owned = provider::hand_over_to_leg(lease_folder_); !owned.ok())
        return fail_stage(owned.error());
    if (has_image) return unpack_image();
    become_ready();
}

void ProviderLeg::become_ready() {
    phase_ = Phase::kReady;
    wire::TradeMessage message = trade_message(key_);
    message.mutable_stage_done()->set_file_count(static_cast<std::uint32_t>(staged_.size()));
    static_cast<void>(node_.send_trade(peer_, message));
    set_deadline(kLaunchWaitMs, [this] { end("renter", "nothing was launched in time"); });
}

void ProviderLeg::fail_stage(const Error &error) {
    log(LogLevel::kWarning, kProviderLog, "lease ", short_hex(key_.lease), ": ", error.message);
    wire::TradeMessage message = trade_message(key_);
    message.mutable_stage_done()->set_error(plain_text(error.message, 4 * stage::kTextBytesMax));
    static_cast<void>(node_.send_trade(peer_, message));
    intake_.reset();
    end("provider", error.message);
}

void ProviderLeg::launch(const wire::Launch &launch) {
    if (phase_ != Phase::kReady) return;
    if (const Status started = start_sandbox(launch); !started.ok()) {
        log(LogLevel::kWarning, kProviderLog, "launch: ", started.error().message);
        return end("provider", "cannot start orted: " + started.error().message);
    }
    phase_ = Phase::kRunning;
    launched_at_ms_ = node_.clock.steady_ms();
    if (!terms_.gpus.empty()) {
        gpu_meter_.emplace(*gpus_, terms_.gpus);
        gpu_meter_->read(launched_at_ms_);
    }
    log(LogLevel::kNote, kProviderLog, "lease ", short_hex(key_.lease), " leg ", key_.leg,
        " runs on ", terms_.slot_count, " slots");
    wire::TradeMessage message = trade_message(key_);
    message.mutable_launched();
    static_cast<void>(node_.send_trade(peer_, message));
    reading_timer_ = node_.loop.every_ms(kReadingIntervalMs, [this] {
        look_at_limits();
        send_reading(false);
    });
    set_deadline(running_time_ms(), [this] { end("renter", "the agreed time is used up"); });
}

Status ProviderLeg::make_group() {
    CHAIN_ASSIGN(group_, groups_.make({.cpu_percent = terms_.slot_count * 100,
                                       .memory_bytes = terms_.memory_bytes,
                                       .processes_max = kProcessesPerSlot * terms_.slot_count}));
    CHAIN_ASSIGN(meter_, meter::make_lease_meter(terms_.hz_max, group_.get()));
    return ok_status();
}

Status ProviderLeg::start_sandbox(const wire::Launch &launch) {
    CHAIN_TRY(make_group());
    provider::SandboxSpec spec;
    spec.group = group_.get();
    spec.lease_folder = lease_folder_;
    spec.host_name = wire::is_valid_host_name(launch.host()) ? launch.host() : terms_.host;
    spec.job_folder = launch.job_folder();
    spec.memory_bytes = terms_.memory_bytes;
    spec.network = provider::SandboxNetwork::kHost;
    wire::Launch inside = launch;
    if (network_ != nullptr) {
        spec.network = provider::SandboxNetwork::kLease;
        spec.member = own_member();
        for (std::size_t i = overlay::member_of_leg(0); i < terms_.members.size(); ++i)
            spec.member_hosts.push_back(terms_.members[i].host);
        inside.set_hnp_uri(std::to_string(launch.jobid()) + ".0;tcp://" +
                           overlay::address_text(own_member()) + ":" +
                           std::to_string(overlay::kMpirunPort));
    }
    for (const std::size_t gpu : terms_.gpus)
        for (const std::string &file : gpus_->all()[gpu].files) spec.devices.push_back(file);
    CHAIN_ASSIGN(spec.argv,
                 provider::orted_command(inside, image_ ? image_->orted : provider::kOrtedPath));
    spec.environment = provider::launch_environment(
        to_hex(key_.lease), launch.job_folder(), terms_.hz_max, terms_.memory_bytes,
        terms_.slot_count, image_ ? image_->component_dir : std::string());
    if (image_) spec.root_folder = provider::image_root_of(lease_folder_);
    CHAIN_ASSIGN(spec.read_only, provider::outside_bindings(lease_folder_));
    if (image_) CHAIN_TRY(provider::make_mount_points(spec));
    CHAIN_ASSIGN(sandbox_, provider::Sandbox::start(
                               node_.loop, spec, *meter_,
                               [this](provider::Sandbox::NetworkEnds ends) {
                                   attach_network(std::move(ends));
                               },
                               [this](int status) { on_sandbox_exit(status); }));
    sandbox_running_ = true;
    return ok_status();
}

wire::Reading ProviderLeg::take_reading(bool last) {
    wire::Reading reading = last_reading_;
    const std::uint64_t elapsed_ms = node_.clock.steady_ms() - launched_at_ms_;
    if (meter_ != nullptr) {
        if (const auto usage = meter_->read(); usage.ok()) {
            // Nobody can bill more than the slots could do, nor more than was locked.
            const Cycles bound =
                incentive::cycles_bound(terms_.billed_slots, terms_.hz_max, elapsed_ms);
            const Cycles gpu_cycles =
                gpu_meter_ ? gpu_meter_->read(launched_at_ms_ + elapsed_ms) : 0;
            reading.set_cycles(
                std::max(last_reading_.cycles(),
                         std::min({usage->cycles + gpu_cycles, bound, terms_.cycles_max})));
            reading.set_gpu_cycles(std::min(gpu_cycles, reading.cycles()));
            reading.set_meter_class(to_wire(usage->meter_class));
            reading.clear_ranks();
            Cycles waited = 0;
            // A job may name more than there can be: the renter would sign none of it.
            const std::size_t ranks_max = std::size_t{terms_.slot_count} * kRanksPerSlotMax;
            for (const auto &rank : meter::read_rank_folder(lease_folder_ + "/ranks", *usage)) {
                if (static_cast<std::size_t>(reading.ranks_size()) == ranks_max) break;
                auto *entry = reading.add_ranks();
                entry->set_rank(rank.rank);
                entry->set_cycles(rank.cycles);
                entry->set_waited_cycles(rank.waited_cycles);
                waited += rank.waited_cycles;
            }
            reading.set_waited_cycles(std::min(waited, reading.cycles()));
        } else {
            log(LogLevel::kWarning, kProviderLog, "meter: ", usage.error().message);
        }
    }
    if (reading.meter_class() == wire::METER_CLASS_UNSPECIFIED)
        reading.set_meter_class(wire::METER_CLASS_CALIBRATED);
    reading.set_sequence(++sequence_);
    reading.set_elapsed_ms(elapsed_ms);
    reading.set_last(last);
    return reading;
}

void ProviderLeg::send_reading(bool last) {
    last_reading_ = take_reading(last);
    wire::TradeMessage message = trade_message(key_);
    *message.mutable_reading() = last_reading_;
    static_cast<void>(node_.send_trade(peer_, message));
    if (last) return;
    if (++unsigned_readings_ >= kUnsignedReadingsMax)
        return end("renter", "the renter stopped signing vouchers");
    if (last_reading_.cycles() >= terms_.cycles_max) return end("renter", "the escrow is used up");
}

void ProviderLeg::on_voucher(const wire::SignedVoucher &voucher) {
    const auto decoded = ledger::decode_voucher(voucher, terms_.renter);
    const bool fits =
        decoded.ok() && decoded->lease_id == key_.lease && decoded->body.leg() == key_.leg;
    if (!fits) return node_.network.disconnect(peer_, "a voucher that is not the renter's");
    const auto due = incentive::payment(terms_.price_per_ghz_h, decoded->body.cycles());
    if (!due.ok() || due->units != decoded->body.amount())
        return node_.network.disconnect(peer_, "a voucher whose amount is not price x cycles");
    if (decoded->body.sequence() <= voucher_sequence_ || decoded->body.cycles() < voucher_cycles_)
        return;  // an old one again: the highest stays
    voucher_sequence_ = decoded->body.sequence();
    voucher_cycles_ = decoded->body.cycles();
    *record_.mutable_voucher() = voucher;
    record_.clear_ranks();
    for (const auto &rank : last_reading_.ranks()) {
        auto *entry = record_.add_ranks();
        entry->set_rank(rank.rank());
        entry->set_cycles(rank.cycles());
        entry->set_waited_cycles(rank.waited_cycles());
    }
    remember();
    unsigned_readings_ = 0;
    if (last_reading_sent_ && results_sent_ && voucher_sequence_ >= last_reading_.sequence())
        close();
}

void ProviderLeg::on_sandbox_exit(int wait_status) {
    reading_timer_.cancel();
    sandbox_running_ = false;
    if (phase_ == Phase::kPacking) return pack();  // it was killed on purpose
    if (phase_ != Phase::kRunning) return;
    const bool clean = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;
    if (clean) {
        // The job is over; the renter's mpirun says so in a moment.
        set_deadline(kEndWaitMs, [this] { end("renter", std::string(client::kJobEnded)); });
        return;
    }
    look_at_limits();
    if (const std::string limit = limit_text(); !limit.empty()) {
        say_ended(limit, true, true);
        set_deadline(kEndWaitMs, [this, limit] { end("renter", limit, true); });
        return;
    }
    std::string reason = "orted " + describe_exit(wait_status);
    std::string words = sandbox_->last_words();
    while (!words.empty() && words.back() == '\n') words.pop_back();
    if (!words.empty()) reason += ": " + plain_text(words, 4 * stage::kTextBytesMax);
    log(LogLevel::kNote, kProviderLog, "lease ", short_hex(key_.lease), " leg ", key_.leg, ": ",
        reason);
    say_ended(reason, WIFSIGNALED(wait_status) || WEXITSTATUS(wait_status) > 128);
    set_deadline(kEndWaitMs, [this, reason] { end("provider", reason); });
}

void ProviderLeg::on_renter_lost(const std::string &why) {
    renter_here_ = false;
    if (phase_ == Phase::kReserved || may_release()) return release();
    if (phase_ == Phase::kPacking && !sandbox_running_) return close();
    end("renter", "the renter's daemon was lost: " + why);
}

void ProviderLeg::say_ended(const std::string &reason, bool killed, bool over_limit) {
    if (!renter_here_) return;
    wire::TradeMessage message = trade_message(key_);
    message.mutable_leg_ended()->set_reason(plain_text(reason, 4 * stage::kTextBytesMax));
    message.mutable_leg_ended()->set_killed(killed);
    message.mutable_leg_ended()->set_over_limit(over_limit);
    static_cast<void>(node_.send_trade(peer_, message));
}

void ProviderLeg::end(const std::string &ended_by, const std::string &reason, bool over_limit) {
    if (phase_ == Phase::kReserved) return on_end_();
    if (phase_ >= Phase::kPacking) return;
    record_.set_ended_by(ended_by);
    record_.set_reason(plain_text(reason, 4 * stage::kTextBytesMax));
    remember();
    if (!renter_ended_) say_ended(reason, true, over_limit);
    const bool ran = phase_ == Phase::kRunning;
    phase_ = Phase::kPacking;
    reading_timer_.cancel();
    deadline_.cancel();
    intake_.reset();
    if (!ran) {
        // What was reserved and fails here is not the renter's not coming.
        if (terms_.ends_at_ms > 0 && ended_by == "provider") give_notice();
        return close();
    }
    if (sandbox_running_) {
        sandbox_->kill();  // on_sandbox_exit goes on
        return;
    }
    pack();
}

}  // namespace chain::daemon
