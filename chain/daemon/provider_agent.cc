// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/provider_agent.h"

#include <algorithm>

#include <sys/sysinfo.h>
#include <unistd.h>

#include "chain/base/file.h"
#include "chain/base/log.h"
#include "chain/daemon/bill.h"
#include "chain/daemon/log_categories.h"
#include "chain/host/scratch_volume.h"
#include "chain/provider/lease_folder.h"
#include "chain/wire/frame.h"

namespace chain::daemon {
namespace {

constexpr std::uint64_t kLegJanitorEveryMs = 1'000;
constexpr std::uint64_t kProbeAgainMs = 60'000;

std::uint64_t half_of_memory_bytes() {
    struct sysinfo machine {};
    if (sysinfo(&machine) != 0) return 1ULL << 30;
    return static_cast<std::uint64_t>(machine.totalram) * machine.mem_unit / 2;
}

// The machine's name, made fit to be a node's: its first part, other characters replaced.
std::string machine_host_name() {
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    std::string host(name);
    host = host.substr(0, host.find('.')).substr(0, wire::kMaxHostNameBytes);
    for (char &c : host)
        if (!wire::is_valid_host_name(std::string(1, c))) c = '-';
    while (!host.empty() && host.front() == '-') host.erase(0, 1);
    while (!host.empty() && host.back() == '-') host.pop_back();
    return host.empty() ? "peer" : host;
}

wire::MeterClass offered_meter_class() {
    switch (meter::probe_meter().meter_class) {
        case meter::MeterClass::kHw: return wire::METER_CLASS_HW;
        case meter::MeterClass::kSampled: return wire::METER_CLASS_SAMPLED;
        case meter::MeterClass::kCalibrated: return wire::METER_CLASS_CALIBRATED;
    }
    CHAIN_CHECK(false);
}

}  // namespace

ProviderAgent::ProviderAgent(Node &node, ProviderOptions options,
                             std::function<void(const wire::SignedOffer &)> publish)
    : node_(node),
      options_(std::move(options)),
      publish_(std::move(publish)),
      results_(node, options_.stores),
      bookings_(node, [this] {
          return is_open() && options_.slot_count > 0 && hz_ > 0 && cannot_lend_.empty();
      }) {
    if (options_.memory_bytes == 0) options_.memory_bytes = half_of_memory_bytes();
    if (options_.host.empty()) options_.host = machine_host_name();
    janitor_timer_ = node_.loop.every_ms(kLegJanitorEveryMs, [this] {
        on_new_block();  // a block becomes surer by votes, too, without another one
        settle_forgotten_leases();
        if (offered_ && (free_slots() != offered_slots_ || free_gpus() != offered_gpus_))
            publish_offer();
    });
}

ProviderAgent::~ProviderAgent() = default;

void ProviderAgent::recover() {
    results_.recover(options_.scratch_folder);
    bookings_.recover();
    if (const auto reaped = provider::reap_leftovers(options_.scratch_folder); !reaped.ok())
        log(LogLevel::kWarning, kProviderLog,
            "what an earlier daemon left: ", reaped.error().message);
    if (options_.slot_count > 0) calibrate();
}

void ProviderAgent::open_cache() {
    if (cache_ != nullptr || options_.cache_bytes == 0) return;
    auto opened = stage::ContentStore::open(options_.cache_folder,
                                            {.bytes_max = options_.cache_bytes,
                                             .disk_left_bytes = kDiskLeftBytesMin,
                                             .may_evict = true,
                                             .contents_max = stage::kCacheContentsMax});
    if (opened.ok())
        cache_ = std::move(*opened);
    else
        log(LogLevel::kWarning, kProviderLog, "without a cache: ", opened.error().message);
}

void ProviderAgent::calibrate() {
    watch_owner();
    open_cache();
    open_gpus();
    if (const Status probed = provider::probe_sandbox(); !probed.ok()) {
        // Of a machine that was short of processes or memory it may be true no longer.
        cannot_lend_ = probed.error().message;
        log(LogLevel::kError, kProviderLog, "nothing can be lent: ", cannot_lend_);
        refresh_timer_ = node_.loop.after_ms(kProbeAgainMs, [this] { calibrate(); });
        return;
    }
    cannot_lend_.clear();
    probe_isolation();
    auto found = std::make_shared<meter::Calibration>();
    node_.workers.run([found] { *found = meter::calibrate(); },
                      [this, found] {
                          hz_ = found->hz;
                          calibration_.set_chain_count(found->chain_count);
                          calibration_.set_spread_ppm(found->spread_ppm);
                          calibration_.set_measured_at_ms(node_.clock.unix_ms());
                          log(LogLevel::kNote, kProviderLog, "a core here does ", hz_,
                              " cycles/s (", meter::probe_meter().why, ")");
                          publish_offer();
                      });
}

Status ProviderAgent::set_offer(const wire::OfferSetCall &call) {
    if (const auto key = node_.wallet.key(); !key.ok()) return key.error();
    if (call.slot_count() > provider::kSlotsMax)
        return make_error(ErrorCode::kInvalidInput, "at most ", provider::kSlotsMax,
                          " slots can be offered");
    if (call.slot_count() > 0) {
        if (call.ask_per_ghz_h() <= 0 || call.ask_per_ghz_h() > kMaxAmountUnits)
            return make_error(ErrorCode::kInvalidInput, "the price must be above zero");
        if (!call.host().empty() && !wire::is_valid_host_name(call.host()))
            return make_error(ErrorCode::kInvalidInput, "\"", call.host(),
                              "\" is no host name: letters, digits and inner dashes");
        if (node_.network.listen_address().empty())
            return make_error(ErrorCode::kRefused,
                              "this daemon listens to no peers; start it with --listen");
        std::vector<PublicKey> free_for;
        for (const std::string &account : call.free_for())
            CHAIN_TRY(provider::add_free_for(account, free_for));
        CHAIN_TRY(provider::probe_sandbox());
        if (!free_for.empty()) options_.free_for = std::move(free_for);
        options_.ask_per_ghz_h = Amount{call.ask_per_ghz_h()};
        if (call.memory_bytes() > 0) options_.memory_bytes = call.memory_bytes();
        if (!call.host().empty()) options_.host = call.host();
        if (!call.region().empty()) options_.region = call.region();
    }
    options_.slot_count = call.slot_count();
    if (hz_ == 0 && options_.slot_count > 0)
        calibrate();
    else
        publish_offer();
    return ok_status();
}

std::uint32_t ProviderAgent::slots_leased() const {
    std::uint32_t slots = 0;
    for (const auto &[key, leg] : legs_)
        if (leg->holds_slots()) slots += leg->terms().slot_count;
    return slots;
}

// By a session this machine learns under which of its addresses others reach it.
void ProviderAgent::on_peer_up() {
    if (offered_ && node_.network.reachable_address() != offered_address_) publish_offer();
}

void ProviderAgent::publish_offer() {
    refresh_timer_ = node_.loop.after_ms(market::kOfferLifeMs / 2, [this] { publish_offer(); });
    const auto key = node_.wallet.key();
    if (!key.ok() || hz_ == 0 || (options_.slot_count == 0 && !offered_)) return;
    offered_slots_ = free_slots();
    const std::uint64_t now_ms = node_.clock.unix_ms();
    wire::OfferBody body;
    body.set_chain_id(to_bytes(node_.backend.chain_id()));
    body.set_provider(to_bytes((*key)->public_key()));
    body.set_node_key(to_bytes(node_.node_key.public_key()));
    offered_address_ = node_.network.reachable_address();
    body.set_address(offered_address_);
    body.set_host(options_.host);
    body.set_slot_count(is_open() ? offered_slots_ : 0);
    body.set_slot_total(options_.slot_count);
    body.set_reclaim_window_ms(policy_ ? policy_->rules().leave_ms : 0);
    body.set_hz(hz_);
    *body.mutable_calibration() = calibration_;
    body.set_memory_bytes(options_.memory_bytes);
    body.set_ask_per_ghz_h(options_.ask_per_ghz_h.units);
    for (const PublicKey &renter : options_.free_for) body.add_free_for(to_bytes(renter));
    body.set_region(options_.region);
    body.set_isolation(not_held_.empty() ? "full" : "partial");
    offered_gpus_ = free_gpus();
    for (const std::size_t index : offered_gpus_)
        *body.add_gpus() = market::to_wire(gpus_->all()[index].gpu);
    body.set_lease_network(has_lease_networks_);
    body.set_plain_network(options_.plain_network);
    body.set_meter_class(offered_meter_class());
    // Later than any before, also after a restart.
    offer_sequence_ = std::max(offer_sequence_ + 1, now_ms);
    body.set_sequence(offer_sequence_);
    body.set_issued_at_ms(now_ms);
    body.set_expires_at_ms(now_ms + market::kOfferLifeMs);
    const wire::SignedOffer offer = market::sign_offer(body, **key);
    if (const auto accepted = node_.book.accept(offer); !accepted.ok())
        log(LogLevel::kError, kProviderLog, "own offer: ", accepted.error().message);
    publish_(offer);
    offered_ = options_.slot_count > 0;
}

void ProviderAgent::on_trade(const PublicKey &peer, const wire::TradeMessage &message) {
    const auto lease = to_bytes32(message.lease_id(), "lease id");
    if (!lease.ok()) return node_.network.disconnect(peer, lease.error().message);
    const LegKey key{*lease, message.leg()};
    if (message.has_propose()) return propose(peer, key, message.propose());
    if (message.has_cancel() && bookings_.awaits_funding(peer, key)) {
        bookings_.cancel(key);
        given_back_.insert(key.lease);
        return publish_offer();
    }
    const auto found = legs_.find(key);
    const bool has_leg = found != legs_.end() && found->second->peer() == peer;
    if (message.has_fetch_results() && has_leg && found->second->holds_slots())
        return found->second->on_renter_back();  // its job has not packed yet
    if (message.has_fetch_results() || results_.has(peer, key)) {
        const bool is_for_results =
            message.has_fetch_results() || message.has_stage_need() || message.has_stage_done();
        if (is_for_results) return results_.on_trade(peer, key, message);
    }
    if (has_leg) found->second->on_trade(message);
}

bool ProviderAgent::has_leg(const PublicKey &peer, const LegKey &key) const {
    const auto found = legs_.find(key);
    return (found != legs_.end() && found->second->peer() == peer) || results_.has(peer, key) ||
           bookings_.awaits_funding(peer, key);
}

// From inside a leg's own call: it is destroyed when that has returned.
void ProviderAgent::drop_leg(const LegKey &key) {
    node_.loop.post([this, key] {
        const auto found = legs_.find(key);
        if (found == legs_.end()) return;
        if (found->second->was_released()) bookings_.take_back(key);
        if (found->second->was_unfunded()) given_back_.insert(key.lease);
        legs_.erase(found);
        publish_offer();
    });
}

void ProviderAgent::on_peer_lost(const PublicKey &peer, const std::string &why) {
    for (const auto &[key, leg] : legs_)
        if (leg->peer() == peer) leg->on_renter_lost(why);
    results_.on_peer_lost(peer);
}

void ProviderAgent::take_channel(const PublicKey &peer, const ChannelLabel &label,
                                 p2p::Channel channel) {
    const auto found = legs_.find({label.lease, label.to - overlay::member_of_leg(0)});
    if (found != legs_.end()) found->second->take_channel(peer, label.from, std::move(channel));
}

void ProviderAgent::on_drained(const PublicKey &peer) {
    for (const auto &[key, leg] : legs_)
        if (leg->peer() == peer) leg->on_drained();
    results_.on_drained(peer);
}

void ProviderAgent::on_new_block() {
    for (const auto &[key, leg] : legs_) leg->on_new_block();
    bookings_.look();
}

void ProviderAgent::on_daemon_stops() {
    options_.slot_count = 0;
    publish_offer();
    for (const auto &[key, leg] : legs_) leg->on_daemon_stops();
}

std::vector<ledger::LeaseId> ProviderAgent::live_leases() const {
    std::vector<ledger::LeaseId> leases;
    for (const auto &[key, leg] : legs_)
        if (leases.empty() || leases.back() != key.lease) leases.push_back(key.lease);
    return leases;
}

void ProviderAgent::on_node_key_changed(const std::string &scratch_folder) {
    CHAIN_CHECK(idle());
    options_.scratch_folder = scratch_folder;
    publish_offer();
}

// A leg of ours on the ledger that nobody here runs: this daemon was killed, or a transaction that
// was given up went through after all. The highest voucher in the journal settles it.
void ProviderAgent::settle_forgotten_leases() {
    const auto key = node_.wallet.key();
    if (!key.ok()) return;
    const auto leases = node_.backend.leases_of((*key)->public_key(), kLeasesLookedAt);
    if (!leases.ok()) return;
    for (const ledger::Lease &lease : *leases) {
        if (lease.settled()) continue;
        for (std::uint32_t i = 0; i < lease.legs.size(); ++i) {
            const ledger::Leg &leg = lease.legs[i];
            const LegKey leg_key{lease.id, i};
            if (leg.provider != (*key)->public_key() || leg.state == ledger::LegState::kSettled)
                continue;
            if (bookings_.awaits_renter(leg_key)) continue;
            const auto live = legs_.find(leg_key);
            if (live != legs_.end() && !live->second->close_was_lost()) continue;
            if (given_back_.contains(lease.id) && !leg.started) {
                answer_for_given_back(leg_key, lease);
                continue;
            }
            settle(leg_key);
        }
    }
}

// Its renter called it off, and has put it on the ledger all the same, with the signature of then.
// Not to start would cost this side its collateral: so it has started, and is then closed.
void ProviderAgent::answer_for_given_back(const LegKey &key, const ledger::Lease &lease) {
    if (node_.backend.chain_time_ms() < lease.begins_at_ms()) return;
    const auto sent = settling_.find(key);
    if (sent != settling_.end() && node_.backend.outcome(sent->second).status == TxStatus::kPending)
        return;
    wire::TxBody body;
    body.mutable_report_start()->set_lease_id(to_bytes(key.lease));
    body.mutable_report_start()->set_started(true);
    if (const auto tx = node_.submit(std::move(body)); tx.ok()) {
        settling_[key] = *tx;
        log(LogLevel::kWarning, kProviderLog, "lease ", short_hex(key.lease),
            " was called off by its renter and is on the ledger nevertheless: it is closed");
    }
}

void ProviderAgent::settle(const LegKey &key) {
    const auto sent = settling_.find(key);
    if (sent != settling_.end() && node_.backend.outcome(sent->second).status == TxStatus::kPending)
        return;
    wire::TxBody body;
    body.mutable_close_lease()->set_lease_id(to_bytes(key.lease));
    if (const auto record = node_.journal.provider(key.lease, key.leg);
        record.has_value() && record->has_voucher())
        *body.mutable_close_lease()->add_vouchers() = record->voucher();
    const auto tx = node_.submit(std::move(body));
    if (!tx.ok()) {
        log(LogLevel::kWarning, kProviderLog, "closing lease ", short_hex(key.lease), ": ",
            tx.error().message);
        return;
    }
    settling_[key] = *tx;
    log(LogLevel::kNote, kProviderLog, "closing lease ", short_hex(key.lease), " leg ", key.leg,
        " with the highest voucher");
}

wire::Bill ProviderAgent::bill_of(const ledger::Lease &lease) const {
    wire::Bill bill;
    for (std::uint32_t i = 0; i < lease.legs.size(); ++i) {
        wire::BillLeg &entry = *bill.add_legs();
        const auto record = node_.journal.provider(lease.id, i);
        if (!record.has_value()) continue;
        entry.set_host(record->host());
        *entry.mutable_ranks() = record->ranks();
        bill.set_ended_by(record->ended_by());
        bill.set_reason(record->reason());
    }
    bill.set_state(lease.settled() ? "settled" : "running");
    for (std::uint32_t i = 0; i < lease.legs.size(); ++i)
        if (!lease.settled() && bookings_.awaits_renter({lease.id, i})) bill.set_state("reserved");
    bill.set_role("provider");
    bring_bill_up_to(lease, bill);
    return bill;
}

void ProviderAgent::fill_status(wire::NodeStatus &status) const {
    std::string_view state = options_.slot_count == 0 ? "not-lending"
                             : is_open()              ? "waiting"
                                                      : "closed";
    for (const auto &[key, leg] : legs_) {
        switch (leg->phase()) {
            case ProviderLeg::Phase::kReserved:
            case ProviderLeg::Phase::kStaging:
            case ProviderLeg::Phase::kReady: state = "starting"; break;
            case ProviderLeg::Phase::kRunning: state = "running"; break;
            case ProviderLeg::Phase::kPacking:
            case ProviderLeg::Phase::kClosing:
            case ProviderLeg::Phase::kSettled: state = "packing"; break;
        }
    }
    if (policy_ && !legs_.empty() && policy_->decision().state == provider::LendState::kSuspended)
        state = "suspended";
    if (policy_ && !legs_.empty() && policy_->decision().state == provider::LendState::kLeaving)
        state = "draining";
    status.set_provider_state(std::string(state));
    status.set_slots_offered(options_.slot_count);
    status.set_slots_leased(slots_leased());
    status.set_meter_class(std::string(daemon::meter_class_name(offered_meter_class())));
    status.set_hz(hz_);
    status.set_sandbox(cannot_lend_.empty() ? "bubblewrap" : "none: " + cannot_lend_);
    for (const std::string &one : not_held_) status.add_not_held(one);
}

}  // namespace chain::daemon
