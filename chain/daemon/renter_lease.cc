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
#include "chain/wire/frame.h"

namespace chain::daemon {
namespace {

constexpr std::string_view kCategory = "renter";

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
                         std::function<void()> on_end)
    : node_(node),
      client_(std::move(client)),
      request_id_(request_id),
      call_(std::move(call)),
      demand_(std::move(demand)),
      on_end_(std::move(on_end)) {}

RenterLease::~RenterLease() {
    *alive_ = false;
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
    if (!written.ok()) log(LogLevel::kError, kCategory, "journal: ", written.error().message);
}

void RenterLease::start() {
    wait_until_ms_ = node_.clock.steady_ms() + call_.spec().wait_ms();
    progress("files", std::to_string(call_.stage_in_size()) + " files");
    describe_files();
}

void RenterLease::clear_market() {
    phase_ = Phase::kClearing;
    std::vector<market::Offer> offers = node_.book.offers();
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
    const auto account = node_.backend.account(demand_.renter);
    if (!account.ok()) return fail(account.error());
    if (account->balance < clearing_.escrow)
        return fail(make_error(ErrorCode::kInsufficientFunds, "the lease locks up to ",
                               format_tokens(clearing_.escrow), " tokens and your account has ",
                               format_tokens(account->balance)));
    wire::TxBody body;
    wire::OpenLease &open = *body.mutable_open_lease();
    open.set_price_per_ghz_h(clearing_.price_per_ghz_h.units);
    open.set_duration_ms(demand_.duration_ms);
    open.set_expires_at_ms(node_.backend.chain_time_ms() + demand_.duration_ms +
                           node_.backend.params().settle_grace_ms);
    open.set_manifest_hash(to_bytes(stage::manifest_hash(files_)));
    legs_.clear();
    legs_.resize(clearing_.awards.size());
    for (std::size_t i = 0; i < legs_.size(); ++i) {
        const market::Award &award = clearing_.awards[i];
        legs_[i].award = award;
        wire::LeaseLeg &leg = *open.add_legs();
        leg.set_provider(to_bytes(award.offer.provider));
        leg.set_slot_count(award.billed_slots());
        leg.set_hz_max(award.offer.hz);
        leg.set_cycles_max(award.cycles_max);
        leg.set_escrow(award.escrow.units);
        const auto collateral = node_.backend.collateral(
            award.offer.provider,
            {clearing_.price_per_ghz_h, award.billed_slots(), award.offer.hz, award.cycles_max});
        if (!collateral.ok()) return fail(collateral.error());
        leg.set_collateral(collateral->units);
        leg.set_offer_id(to_bytes(award.offer.id));
    }
    auto prepared = node_.prepare(std::move(body));
    if (!prepared.ok()) return fail(prepared.error());
    tx_body_ = std::move(*prepared);
    tx_bytes_ = tx_body_.SerializeAsString();
    id_ = ledger::tx_id(tx_bytes_);
    progress("agreeing", std::to_string(legs_.size()) + " peers at " +
                             format_tokens(clearing_.price_per_ghz_h) + " per GHz·h");
    const unsigned round = agree_round_;
    name_hosts();
    for (std::uint32_t leg = 0; round == agree_round_ && leg < legs_.size(); ++leg) propose_to(leg);
    if (round != agree_round_ || phase_ != Phase::kAgreeing) return;  // refused while asking
    await_agreements();
}

// Who is still being reached is waited for: that has limits of its own, and a relay may have to be
// paid first.
void RenterLease::await_agreements() {
    set_deadline(kAgreeLookMs, [this] {
        const std::uint64_t now_ms = node_.clock.steady_ms();
        for (std::uint32_t leg = 0; leg < legs_.size(); ++leg)
            if (legs_[leg].signature.empty() && legs_[leg].asked_at_ms != 0 &&
                now_ms - legs_[leg].asked_at_ms >= kAgreeWaitMs)
                return refuse(leg, "no answer in time");
        await_agreements();
    });
}

void RenterLease::propose_to(std::uint32_t leg) {
    const market::Offer offer = legs_[leg].award.offer;
    node_.network.connect(
        offer.address, &offer.node_key,
        [this, leg, round = agree_round_, alive = alive_](Result<PublicKey> peer) {
            if (!*alive || phase_ != Phase::kAgreeing || round != agree_round_) return;
            if (!peer.ok()) return refuse(leg, peer.error().message);
            const auto key = node_.wallet.key();
            if (!key.ok()) return fail(key.error());
            wire::TradeMessage message = trade_message(leg_key(leg));
            message.mutable_propose()->set_tx_body(tx_bytes_);
            message.mutable_propose()->set_renter_signature(
                to_bytes((*key)->sign(sign_tag::kTx, tx_bytes_)));
            message.mutable_propose()->set_gpu_count(legs_[leg].award.gpu_count);
            if (!is_plain()) *message.mutable_propose()->mutable_network() = describe_network();
            message.mutable_propose()->set_renter_node_key(to_bytes(node_.node_key.public_key()));
            legs_[leg].asked_at_ms = node_.clock.steady_ms();
            if (const Status sent = node_.send_trade(*peer, message); !sent.ok())
                refuse(leg, sent.error().message);
        });
}

// The next standby is asked: the market is cleared again without this offer.
void RenterLease::refuse(std::uint32_t leg, const std::string &why) {
    const market::Offer &offer = legs_[leg].award.offer;
    log(LogLevel::kNote, kCategory, name_peer(offer.host, offer.provider), " refused: ", why);
    progress("refused", name_peer(offer.host, offer.provider) + ": " + why);
    refused_offers_.insert(offer.id);
    last_refusal_ = name_peer(offer.host, offer.provider) + ": " + why;
    clear_again("another peer refused");
}

void RenterLease::clear_again(const std::string &why) {
    cancel_agreements(why);
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
    for (std::uint32_t leg = 0; leg < legs_.size(); ++leg) {
        wire::TradeMessage message = trade_message(leg_key(leg));
        message.mutable_cancel()->set_reason(why);
        static_cast<void>(node_.send_trade(legs_[leg].award.offer.node_key, message));
    }
}

void RenterLease::fund() {
    const auto key = node_.wallet.key();
    if (!key.ok()) return fail(key.error());
    wire::SignedTx tx;
    tx.set_body(tx_bytes_);
    wire::Signature &renter = *tx.add_signatures();
    renter.set_public_key(tx_body_.sender());
    renter.set_signature(to_bytes((*key)->sign(sign_tag::kTx, tx_bytes_)));
    for (const LegState &leg : legs_) {
        wire::Signature &provider = *tx.add_signatures();
        provider.set_public_key(to_bytes(leg.award.offer.provider));
        provider.set_signature(leg.signature);
    }
    const auto submitted = node_.backend.submit(tx);
    if (!submitted.ok()) {
        // Another transaction of this account took the nonce: the same peers, asked again.
        if (submitted.error().code == ErrorCode::kConflict) return clear_again("not funded");
        cancel_agreements("not funded");
        return fail(submitted.error());
    }
    submitted_ = true;
    phase_ = Phase::kFunding;
    wire::Bill &bill = *record_.mutable_bill();
    bill.set_lease_id(to_hex(id_));
    bill.set_state("funded");
    bill.set_role("renter");
    bill.set_command(call_.command());
    bill.set_price_per_ghz_h(clearing_.price_per_ghz_h.units);
    bill.set_escrow(clearing_.escrow.units);
    bill.set_started_at_ms(node_.clock.unix_ms());
    for (const LegState &leg : legs_) {
        wire::BillLeg &entry = *bill.add_legs();
        entry.set_provider(to_address(leg.award.offer.provider));
        entry.set_slots(leg.award.billed_slots());
        entry.set_gpu_count(leg.award.gpu_count);
        entry.set_gpu_slots(leg.award.billed_slots() - leg.award.slot_count);
        entry.set_host(leg.host);
        record_.add_vouchers();
    }
    remember();
    log(LogLevel::kNote, kCategory, "lease ", short_hex(id_), ": ", format_tokens(clearing_.escrow),
        " tokens to be locked for ", demand_.slot_count, " slots on ", legs_.size(), " peers");
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
    for (std::uint32_t leg = 0; leg < legs_.size(); ++leg) {
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
    set_deadline(demand_.duration_ms, [this] { end_soon("the agreed time is used up", true); });
    client_->done(request_id);
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
            if (phase_ != Phase::kAgreeing) return;
            legs_[leg].signature = message.agree().signature();
            if (std::all_of(legs_.begin(), legs_.end(),
                            [](const LegState &state) { return !state.signature.empty(); }))
                fund();
            return;
        case wire::TradeMessage::kRefuse:
            if (phase_ == Phase::kAgreeing) refuse(leg, message.refuse().reason());
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
