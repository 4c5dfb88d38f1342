// SPDX-License-Identifier: BSD-3-Clause
//
// RenterLease: one that was reserved begins (docs/reservations.md). Its terms stand on the ledger;
// its peers are found by their accounts, and each says whether it is there.
#include <algorithm>
#include <utility>

#include "chain/base/log.h"
#include "chain/base/text.h"
#include "chain/daemon/bookings.h"
#include "chain/daemon/log_categories.h"
#include "chain/daemon/renter_lease.h"

namespace chain::daemon {
namespace {

bool was_begun(const ledger::Leg &leg) {
    return leg.started || leg.has_voucher();
}

}  // namespace

void RenterLease::begin(ledger::Lease lease, wire::RenterRecord record) {
    reserved_ = std::move(lease);
    record_ = std::move(record);
    id_ = reserved_->id;
    ends_at_ms_ = reserved_->starts_at_ms + reserved_->duration_ms;
    clearing_.price_per_ghz_h = reserved_->price_per_ghz_h;
    for (std::size_t i = 0; i < reserved_->legs.size(); ++i) {
        const ledger::Leg &leg = reserved_->legs[i];
        const wire::BillLeg &entry = record_.bill().legs(static_cast<int>(i));
        LegState &state = legs_.emplace_back();
        state.host = entry.host();
        market::Award &award = state.award;
        award.offer.provider = leg.provider;
        award.offer.host = entry.host();
        award.offer.hz = leg.hz_max;
        award.slot_count = leg.slot_count - entry.gpu_slots();
        award.reserved_gpu_slots = entry.gpu_slots();
        award.gpu_count = entry.gpu_count();
        award.cycles_max = leg.cycles_max;
        award.escrow = leg.escrow;
        award.is_free = leg.free;
        clearing_.escrow = Amount{clearing_.escrow.units + leg.escrow.units};
    }
    start();
}

// The files are described: as they are now, and not as they were when it was reserved.
void RenterLease::begin_reserved() {
    const std::uint64_t window_ms = node_.backend.params().start_window_ms;
    begin_until_ms_ = std::max(reserved_->starts_at_ms + window_ms / 2,
                               node_.backend.chain_time_ms() + kAgreeWaitMs);
    phase_ = Phase::kFunding;
    submitted_ = true;
    record_.set_begun(true);
    record_.clear_vouchers();
    for (std::size_t leg = 0; leg < legs_.size(); ++leg) record_.add_vouchers();
    wire::Bill &bill = *record_.mutable_bill();
    bill.set_state("starting");
    bill.set_command(call_.command());
    bill.set_home_slots(call_.spec().home_slots());
    bill.clear_reason();
    bill.clear_ended_by();
    remember();
    progress("beginning", std::to_string(legs_.size()) + " peers");
    begin_timer_ = node_.loop.every_ms(kBeginPollMs, [this] { ask_to_begin(); });
    ask_to_begin();
}

// Who is in the network of the lease must be known before the first is asked.
bool RenterLease::find_peers() {
    if (!legs_.front().award.offer.address.empty()) return true;
    std::vector<market::Offer> offers;
    for (std::uint32_t leg = 0; leg < legs_.size(); ++leg) {
        auto offer = node_.book.offer_of(legs_[leg].award.offer.provider);
        if (!offer.has_value()) {
            legs_[leg].refusal = "it offers nothing now; its machine may be off";
            return false;
        }
        offers.push_back(std::move(*offer));
    }
    for (std::size_t leg = 0; leg < legs_.size(); ++leg) {
        offers[leg].hz = legs_[leg].award.offer.hz;
        legs_[leg].award.offer = std::move(offers[leg]);
    }
    name_hosts();
    for (std::size_t leg = 0; leg < legs_.size(); ++leg)
        record_.mutable_bill()->mutable_legs(static_cast<int>(leg))->set_host(legs_[leg].host);
    distances_ =
        market::Distances(overlay::member_of_leg(static_cast<std::uint32_t>(legs_.size())));
    if (joins_network()) join_network();
    return true;
}

void RenterLease::ask_to_begin() {
    if (phase_ >= Phase::kReady) return begin_timer_.cancel();
    const bool is_late = node_.backend.chain_time_ms() >= begin_until_ms_;
    const bool found = find_peers();
    for (std::uint32_t leg = 0; leg < legs_.size(); ++leg) {
        LegState &state = legs_[leg];
        if (state.funded) continue;
        if (is_late && (found || !state.refusal.empty()))
            return peer_missing(leg, state.refusal.empty() ? "no answer" : state.refusal);
        const bool waits =
            state.asked_at_ms != 0 && node_.clock.steady_ms() < state.asked_at_ms + kAgreeWaitMs;
        if (found && !waits) ask_to_begin(leg);
    }
}

void RenterLease::ask_to_begin(std::uint32_t leg) {
    LegState &state = legs_[leg];
    state.asked_at_ms = node_.clock.steady_ms();
    const market::Offer offer = state.award.offer;
    node_.network.connect(
        offer.address, &offer.node_key, [this, leg, alive = alive_](Result<PublicKey> peer) {
            if (!*alive || phase_ >= Phase::kReady || legs_[leg].funded) return;
            const auto key = node_.wallet.key();
            if (!key.ok()) return fail(key.error());
            if (!peer.ok()) {
                legs_[leg].refusal = peer.error().message;
                return;
            }
            wire::TradeMessage message = trade_message(leg_key(leg));
            wire::Propose &propose = *message.mutable_propose();
            propose.set_begins_reservation(true);
            propose.set_manifest_hash(to_bytes(stage::manifest_hash(files_)));
            propose.set_gpu_count(legs_[leg].award.gpu_count);
            propose.set_renter_node_key(to_bytes(node_.node_key.public_key()));
            propose.set_renter_signature(to_bytes((*key)->sign(
                sign_tag::kBegin,
                begin_bytes(leg_key(leg), node_.node_key.public_key(), propose.manifest_hash()))));
            if (!is_plain()) *propose.mutable_network() = describe_network();
            static_cast<void>(node_.send_trade(*peer, message));
        });
}

// One that will not begin says so; others may be asked again, as the lease before it may just end.
void RenterLease::on_begin_refused(std::uint32_t leg, const wire::Refuse &refusal) {
    LegState &state = legs_[leg];
    if (phase_ >= Phase::kReady || state.funded) return;
    constexpr std::size_t kReasonBytesMax = 300;
    state.refusal = plain_text(refusal.reason(), kReasonBytesMax);
    state.asked_at_ms = 0;
    if (error_code_from_name(refusal.code()) == ErrorCode::kRefused)
        peer_missing(leg, state.refusal);
}

// Without that peer nothing runs, and nobody is paid for it: one that has not said on the ledger
// that it starts voids the gang when its time to say so is over. One that has said it is lost.
void RenterLease::peer_missing(std::uint32_t leg, const std::string &why) {
    const auto lease = node_.backend.lease(id_);
    legs_[leg].lost = lease.ok() && was_begun(lease->legs[leg]);
    const market::Offer &offer = legs_[leg].award.offer;
    fail(make_error(ErrorCode::kPeerLost, name_peer(offer.host, offer.provider),
                    " does not begin what was reserved: ", why));
}

// The peers that have begun forget that they have. It may begin again while its start window lasts,
// unless a peer was lost.
void RenterLease::back_out(const Error &error) {
    const bool any_lost =
        std::any_of(legs_.begin(), legs_.end(), [](const LegState &leg) { return leg.lost; });
    for (std::uint32_t leg = 0; leg < legs_.size() && submitted_; ++leg) {
        if (legs_[leg].award.offer.address.empty()) continue;
        wire::TradeMessage message = trade_message(leg_key(leg));
        message.mutable_cancel()->set_reason(error.message);
        static_cast<void>(node_.send_trade(legs_[leg].award.offer.node_key, message));
    }
    if (any_lost) close_one_sided();
    if (submitted_) {
        wire::Bill &bill = *record_.mutable_bill();
        bill.set_state(any_lost ? "failed" : "reserved");
        bill.set_ended_by(any_lost ? "provider" : "");
        bill.set_reason(any_lost ? error.message : "");
        bill.clear_command();
        record_.set_begun(any_lost);
        remember();
    }
    phase_ = Phase::kEnded;
    deadline_.cancel();
    begin_timer_.cancel();
    const std::string id = short_hex(id_);
    const std::string after =
        any_lost || record_.bound()
            ? "\nLease " + id + " is given back; `ompi-chain lease show " + id + "` has its bill."
            : "\nUntil its start window is over, `mpirun --chain-reservation " + id +
                  "` may try again.";
    client_->fail(request_id_, Error{error.code, error.message + after});
    log(LogLevel::kNote, kRenterLog, "reservation ", short_hex(id_),
        any_lost ? ": closed, as a peer was lost" : ": not begun");
    on_end_();
}

}  // namespace chain::daemon
