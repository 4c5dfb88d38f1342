// SPDX-License-Identifier: BSD-3-Clause
//
// From the flag to running ranks. What happens from there to the bill is in renter_lease_end.cc.
#include "chain/daemon/renter_lease.h"

#include <algorithm>
#include <climits>
#include <set>
#include <utility>

#include <unistd.h>

#include "chain/base/log.h"
#include "chain/base/text.h"
#include "chain/client/text.h"
#include "chain/daemon/bill.h"
#include "chain/daemon/log_categories.h"
#include "chain/wire/frame.h"

namespace chain::daemon {
namespace {

// As Open MPI calls this machine: without the domain.
std::string own_host_name() {
    char name[HOST_NAME_MAX + 1] = {};
    if (gethostname(name, sizeof name - 1) != 0) return {};
    const std::string full = name;
    return full.substr(0, full.find('.'));
}

}  // namespace

RenterLease::RenterLease(Node &node, ControlConnectionPtr client, std::uint64_t request_id,
                         wire::LeaseOpenCall call, market::Demand demand,
                         std::function<void()> on_end, std::function<void(FailedGang)> ask_others,
                         FailedGang before)
    : node_(node),
      client_(std::move(client)),
      request_id_(request_id),
      call_(std::move(call)),
      demand_(std::move(demand)),
      on_end_(std::move(on_end)),
      ask_others_(std::move(ask_others)),
      before_(std::move(before)) {}

RenterLease::~RenterLease() {
    *alive_ = false;
    end_attaching();
}

void RenterLease::set_deadline(std::uint64_t ms, std::function<void()> fn) {
    deadline_ = node_.loop.after_ms(ms, std::move(fn));
}

void RenterLease::progress(const std::string &stage, const std::string &detail) {
    wire::ControlReply reply;
    reply.mutable_lease_progress()->set_stage(stage);
    reply.mutable_lease_progress()->set_detail(detail);
    client_->reply(request_id_, std::move(reply));
}

void RenterLease::event(wire::LeaseEvent::Kind kind, std::uint32_t leg, const std::string &reason,
                        bool over_limit) {
    wire::ControlReply reply;
    reply.mutable_lease_event()->set_kind(kind);
    reply.mutable_lease_event()->set_leg(leg);
    if (leg < legs_.size())
        reply.mutable_lease_event()->set_host(record_.bill().legs(static_cast<int>(leg)).host());
    reply.mutable_lease_event()->set_reason(reason);
    reply.mutable_lease_event()->set_over_limit(over_limit);
    client_->reply(request_id_, std::move(reply));
}

void RenterLease::remember() {
    if (!submitted_) return;
    const Status written = node_.journal.put_renter(id_, record_);
    if (!written.ok()) log(LogLevel::kError, kRenterLog, "journal: ", written.error().message);
}

void RenterLease::start() {
    wait_until_ms_ = node_.clock.steady_ms() + call_.spec().wait_ms();
    if (before_.count > 0) {
        files_ = before_.files;
        reoffer_until_ms_ = node_.clock.steady_ms() + kReofferWaitMs;
        return wait_for_market(kReofferPollMs);
    }
    progress("files", std::to_string(call_.stage_in_size()) + " files");
    describe_files();
}

void RenterLease::clear_market() {
    if (is_reserved()) return begin_reserved();
    phase_ = Phase::kClearing;
    std::vector<market::Offer> offers = node_.offers();
    std::erase_if(offers,
                  [&](const market::Offer &offer) { return refused_offers_.contains(offer.id); });
    auto clearing = market::clear(demand_, std::move(offers), node_.backend.params());
    if (!clearing.ok()) return fail(clearing.error());
    if (!clearing->cleared()) {
        const std::uint64_t now_ms = node_.clock.steady_ms();
        const bool may_wait = clearing->failure_code == ErrorCode::kNothingMatched &&
                              now_ms < std::max(wait_until_ms_, reoffer_until_ms_);
        if (!may_wait) {
            std::string why = clearing->failure;
            if (!last_refusal_.empty()) why += "; who matched has refused: " + last_refusal_;
            if (before_.count > 0)
                return fail(Error{before_.error.code,
                                  before_.error.message + "; nobody takes its place: " + why});
            return fail(Error{clearing->failure_code, why});
        }
        progress("waiting", clearing->failure);
        return wait_for_market(now_ms < reoffer_until_ms_ ? kReofferPollMs : kMarketPollMs);
    }
    clearing_ = std::move(*clearing);
    agree();
}

void RenterLease::wait_for_market(std::uint64_t ms) {
    wait_timer_ = node_.loop.after_ms(ms, [this] {
        // Who waits for supply asks again those who refused: they may have changed their mind.
        if (node_.clock.steady_ms() >= reoffer_until_ms_) refused_offers_.clear();
        clear_market();
    });
}

void RenterLease::agree() {
    phase_ = Phase::kAgreeing;
    if (++agree_round_ > kAgreeRoundsMax && node_.clock.steady_ms() >= wait_until_ms_)
        return fail(make_error(ErrorCode::kNothingMatched, "the peers that match refused, ",
                               kAgreeRoundsMax, " times in a row; the last was ", last_refusal_));
    if (const Status covered = check_escrow(node_, demand_, clearing_); !covered.ok())
        return fail(covered.error());
    auto body = lease_body(node_, demand_, clearing_, 0);
    if (!body.ok()) return fail(body.error());
    wire::OpenLease &open = *body->mutable_open_lease();
    open.set_manifest_hash(to_bytes(stage::manifest_hash(files_)));
    ends_at_ms_ = open.expires_at_ms();
    legs_.clear();
    for (const market::Award &award : clearing_.awards) legs_.emplace_back().award = award;
    name_hosts();
    std::vector<AgreementRound::Party> parties;
    for (const LegState &leg : legs_) {
        AgreementRound::Party &party = parties.emplace_back();
        party.offer = leg.award.offer;
        party.propose.set_gpu_count(leg.award.gpu_count);
        if (!is_plain()) *party.propose.mutable_network() = describe_network();
    }
    round_ = std::make_unique<AgreementRound>(
        node_, body->SerializeAsString(), std::move(parties),
        AgreementRound::Events{
            [this](const wire::SignedTx &tx) { fund(tx); },
            [this](std::uint32_t leg, const std::string &why) { refuse(leg, why); },
            [this](const Error &error) { fail(error); }});
    id_ = round_->lease();
    progress("agreeing", std::to_string(legs_.size()) + " peers at " +
                             format_tokens(clearing_.price_per_ghz_h) + " per GHz·h");
    round_->start();
}

// The next standby is asked: the market is cleared again without this offer.
void RenterLease::refuse(std::uint32_t leg, const std::string &why) {
    const market::Offer &offer = legs_[leg].award.offer;
    log(LogLevel::kNote, kRenterLog, name_peer(offer.host, offer.provider), " refused: ", why);
    progress("refused", name_peer(offer.host, offer.provider) + ": " + why);
    refused_offers_.insert(offer.id);
    last_refusal_ = name_peer(offer.host, offer.provider) + ": " + why;
    clear_again("another peer refused");
}

void RenterLease::clear_again(const std::string &why) {
    cancel_agreements(why);
    round_.reset();
    legs_.clear();  // what is still said about this round concerns nobody
    id_ = {};
    phase_ = Phase::kClearing;
    deadline_.cancel();
    reoffer_until_ms_ = node_.clock.steady_ms() + kReofferWaitMs;
    wait_for_market(agree_round_ < kAgreeRoundsMax ? kReofferPollMs : kMarketPollMs);
}

// Open MPI would start the ranks of a node named as this machine here, outside of the lease.
void RenterLease::name_hosts() {
    std::set<std::string> hosts = {"localhost", own_host_name()};
    for (LegState &leg : legs_) {
        leg.host = leg.award.offer.host;
        for (int copy = 2; !hosts.insert(leg.host).second; ++copy)
            leg.host = leg.award.offer.host.substr(0, 56) + "-" + std::to_string(copy);
    }
}

void RenterLease::cancel_agreements(const std::string &why) {
    if (round_ != nullptr) round_->cancel(why);
}

void RenterLease::fund(const wire::SignedTx &tx) {
    const auto submitted = node_.backend.submit(tx);
    if (!submitted.ok()) {
        // Another transaction of this account took the nonce: the same peers, asked again.
        if (submitted.error().code == ErrorCode::kConflict) return clear_again("not funded");
        cancel_agreements("not funded");
        return fail(submitted.error());
    }
    submitted_ = true;
    phase_ = Phase::kFunding;
    std::vector<std::string> hosts;
    for (const LegState &leg : legs_) hosts.push_back(leg.host);
    wire::Bill &bill = *record_.mutable_bill();
    bill = first_bill(id_, clearing_, hosts);
    bill.set_state("funded");
    bill.set_command(call_.command());
    bill.set_home_slots(call_.spec().home_slots());
    bill.set_started_at_ms(node_.clock.unix_ms());
    for (std::size_t leg = 0; leg < legs_.size(); ++leg) record_.add_vouchers();
    remember();
    distances_ =
        market::Distances(overlay::member_of_leg(static_cast<std::uint32_t>(legs_.size())));
    if (joins_network()) join_network();
    log(LogLevel::kNote, kRenterLog, "lease ", short_hex(id_), ": ",
        format_tokens(clearing_.escrow), " tokens to be locked for ", demand_.slot_count,
        " slots on ", legs_.size(), " peers");
    progress("funding", format_tokens(clearing_.escrow) + " tokens");
    // The peers may wait until its block is final.
    const std::uint64_t wait_ms =
        kFundWaitMs + node_.backend.inclusion_wait_ms() + node_.backend.finality_wait_ms();
    set_deadline(wait_ms, [this] {
        fail(make_error(ErrorCode::kTimeout,
                        "the lease was not on every peer's ledger in time; it is undone"));
    });
}

void RenterLease::become_ready() {
    phase_ = Phase::kReady;
    deadline_.cancel();
    record_.mutable_bill()->set_state("starting");
    remember();
    wire::ControlReply reply;
    wire::LeaseReady &ready = *reply.mutable_lease_ready();
    ready.set_lease_id(to_hex(id_));
    ready.set_price_per_ghz_h(clearing_.price_per_ghz_h.units);
    ready.set_plain_network(is_plain());
    ready.set_network_include(network_include());
    ready.set_job_folder(call_.job_folder());
    ready.set_home_slots(call_.spec().home_slots());
    for (const std::uint32_t leg : leg_order()) {
        wire::LeaseNode &node = *ready.add_nodes();
        node.set_leg(leg);
        node.set_host(record_.bill().legs(static_cast<int>(leg)).host());
        node.set_slot_count(legs_[leg].award.slot_count);
        node.set_provider(to_address(legs_[leg].award.offer.provider));
    }
    client_->reply(request_id_, std::move(reply));
}

// In a plain network peers that all answer on loopback are on this machine: MPI must not leave it.
std::string RenterLease::network_include() const {
    if (!is_plain()) return overlay::kDeviceName;
    const bool local = std::all_of(legs_.begin(), legs_.end(), [](const LegState &leg) {
        return leg.award.offer.address.starts_with("127.");
    });
    return local ? "lo" : "";
}

void RenterLease::launch(std::uint64_t request_id, const wire::LeaseLaunchCall &call) {
    if (phase_ != Phase::kReady && phase_ != Phase::kRunning)
        return client_->fail(request_id,
                             make_error(ErrorCode::kConflict, "the lease is not ready to run"));
    for (const auto &node : call.nodes())
        if (node.leg() >= legs_.size())
            return client_->fail(request_id,
                                 make_error(ErrorCode::kInvalidInput, "no leg ", node.leg()));
    phase_ = Phase::kRunning;
    if (launched_at_ms_ == 0) expect_results();
    launched_at_ms_ = node_.clock.steady_ms();
    record_.mutable_bill()->set_state("running");
    record_.mutable_bill()->set_started_at_ms(node_.clock.unix_ms());
    remember();
    for (const auto &node : call.nodes()) {
        if (ControlStream *const stream = legs_[node.leg()].stream.get())
            stream->expect(
                {node.launch().jobid(), node.launch().vpid(), node.launch().daemon_count()});
        wire::TradeMessage message = trade_message(leg_key(node.leg()));
        *message.mutable_launch() = node.launch();
        message.mutable_launch()->set_host(
            record_.bill().legs(static_cast<int>(node.leg())).host());
        static_cast<void>(node_.send_trade(legs_[node.leg()].award.offer.node_key, message));
    }
    set_deadline(running_time_ms(), [this] { end_soon("the agreed time is used up", true); });
    client_->done(request_id);
}

// A moment before its peers would end it.
std::uint64_t RenterLease::running_time_ms() const {
    const std::uint64_t now_ms = node_.clock.unix_ms() + (is_reserved() ? 0 : kEndPatienceMs);
    return std::min(demand_.duration_ms, ends_at_ms_ > now_ms ? ends_at_ms_ - now_ms : 0);
}

bool RenterLease::has_leg(const PublicKey &peer, const LegKey &key) const {
    return key.lease == id_ && key.leg < legs_.size() &&
           legs_[key.leg].award.offer.node_key == peer;
}

void RenterLease::on_trade(const PublicKey &peer, const wire::TradeMessage &message) {
    const std::uint32_t leg = message.leg();
    // Until all have agreed there is no bill to put anything on: nothing else has a meaning yet.
    if (phase_ < Phase::kFunding && !message.has_agree() && !message.has_refuse()) return;
    switch (message.what_case()) {
        case wire::TradeMessage::kAgree:
            if (phase_ == Phase::kAgreeing) round_->on_trade(message);
            return;
        case wire::TradeMessage::kRefuse:
            if (phase_ == Phase::kAgreeing) round_->on_trade(message);
            if (is_reserved()) on_begin_refused(leg, message.refuse());
            return;
        case wire::TradeMessage::kFunded: return on_funded(leg);
        case wire::TradeMessage::kLaunched: return event(wire::LeaseEvent::LAUNCHED, leg, "");
        case wire::TradeMessage::kReading: return on_reading(leg, message.reading());
        case wire::TradeMessage::kNetworkReport: return on_network(leg, message.network_report());
        case wire::TradeMessage::kStream: return on_stream(leg, message.stream());
        case wire::TradeMessage::kLegNotice: return on_notice(leg, message.leg_notice());
        case wire::TradeMessage::kLegEnded: return leg_ended(leg, message.leg_ended());
        case wire::TradeMessage::kStageNeed:
        case wire::TradeMessage::kStageDone:
        case wire::TradeMessage::kStageFile:
        case wire::TradeMessage::kStageList:
        case wire::TradeMessage::kStageChunk: return on_stage(leg, message);
        case wire::TradeMessage::kLegSettled: legs_[leg].close_sent = true; return check_ended();
        default:
            node_.network.disconnect(peer, "a trade message that a provider never sends");
            return;
    }
}

// The owner of a peer's machine is back, or gone again: mpirun tells the job.
void RenterLease::on_notice(std::uint32_t leg, const wire::LegNotice &notice) {
    const std::string &host = record_.bill().legs(static_cast<int>(leg)).host();
    wire::ControlReply reply;
    wire::LeaseEvent &event = *reply.mutable_lease_event();
    switch (notice.state()) {
        case wire::LegNotice::SUSPENDED: event.set_kind(wire::LeaseEvent::SUSPENDED); break;
        case wire::LegNotice::RESUMED: event.set_kind(wire::LeaseEvent::RESUMED); break;
        case wire::LegNotice::LEAVING: event.set_kind(wire::LeaseEvent::LEAVING); break;
        case wire::LegNotice::LIMITED: return on_limit(leg, host, notice.text());
        default: return;
    }
    event.set_leg(leg);
    event.set_host(host);
    event.set_reason(notice.text());
    event.set_leave_in_ms(notice.leave_in_ms());
    client_->reply(request_id_, std::move(reply));
}

// Kept on the bill: once for each peer, and short.
void RenterLease::on_limit(std::uint32_t leg, const std::string &host, const std::string &text) {
    constexpr std::size_t kTextBytesMax = 200;
    if (phase_ < Phase::kRunning || phase_ > Phase::kEnding) return;
    if (std::exchange(legs_[leg].limit_was_said, true)) return;
    notice(host + ": " + plain_text(text, kTextBytesMax));
}

void RenterLease::on_drained(const PublicKey &peer) {
    for (std::uint32_t leg = 0; leg < legs_.size(); ++leg) {
        if (legs_[leg].award.offer.node_key != peer) continue;
        if (legs_[leg].pump != nullptr) legs_[leg].pump->pump();
        if (legs_[leg].stream != nullptr) legs_[leg].stream->on_drained();
    }
}

}  // namespace chain::daemon
