// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/renter_agent.h"

#include <filesystem>

#include "chain/base/file.h"
#include "chain/base/log.h"
#include "chain/daemon/bill.h"
#include "chain/daemon/log_categories.h"
#include "chain/daemon/results_desk.h"

namespace chain::daemon {
namespace {

constexpr std::uint64_t kLeaseJanitorEveryMs = 1'000;
constexpr std::uint64_t kForgetResultsEveryMs = 3'600'000;

// Of a reservation in which nothing ran, and that nobody here has cancelled.
std::string describe_unused(const ledger::Lease &lease) {
    for (const ledger::Leg &leg : lease.legs)
        if (leg.end == ledger::LegEnd::kNotStarted || leg.end == ledger::LegEnd::kNeverSeen)
            return to_address(leg.provider) + " did not start it";
    return "it was reserved, and nobody began it";
}

}  // namespace

RenterAgent::RenterAgent(Node &node)
    : node_(node),
      reservations_(node, {[this](Reservations::Begun begun) { begin(std::move(begun)); },
                           [this](const ledger::LeaseId &id) { return is_live(id); },
                           [this](const ledger::Lease &lease) { return bill_of(lease); }}) {
    forget_old_results();
    results_timer_ = node_.loop.every_ms(kForgetResultsEveryMs, [this] { forget_old_results(); });
    janitor_timer_ = node_.loop.every_ms(kLeaseJanitorEveryMs, [this] {
        reservations_.on_new_block();  // time passes without one, too
        close_forgotten_leases();
    });
}

Result<market::Demand> RenterAgent::make_demand(const wire::LeaseSpec &spec) const {
    CHAIN_ASSIGN(const PublicKey renter, node_.wallet.account());
    CHAIN_ASSIGN(market::Demand demand,
                 market::demand_from_spec(renter, spec.slot_count(), spec.memory_bytes_per_slot(),
                                          spec.hz_min(), spec.max_price_per_ghz_h(), spec.budget(),
                                          spec.duration_ms(), node_.backend.params()));
    demand.notice_ms_min = spec.notice_ms_min();
    demand.plain_network = spec.plain_network();
    demand.region = spec.region();
    demand.gpus_per_slot = spec.gpus_per_slot();
    demand.avoid.assign(spec.avoid().begin(), spec.avoid().end());
    demand.providers.assign(spec.providers().begin(), spec.providers().end());
    return demand;
}

Status RenterAgent::check_open(const ControlConnectionPtr &client,
                               const wire::LeaseOpenCall &call) const {
    if (const auto key = node_.wallet.key(); !key.ok()) return key.error();
    if (leases_.size() >= kLeasesAtOnceMax)
        return make_error(ErrorCode::kTooLarge, "this daemon runs ", kLeasesAtOnceMax,
                          " leases already");
    if (find(client) != nullptr || reservations_.has(client.get()))
        return make_error(ErrorCode::kConflict, "this connection has a lease already");
    if (call.results_url().empty()) return ok_status();
    if (const auto object = stage::parse_s3_url(call.results_url()); !object.ok())
        return object.error();
    return stage::check_s3_access(s3_access(call));
}

void RenterAgent::open(const ControlConnectionPtr &client, std::uint64_t request_id,
                       const wire::LeaseOpenCall &call) {
    if (const Status possible = check_open(client, call); !possible.ok())
        return client->fail(request_id, possible.error());
    if (!call.reservation().empty()) return reservations_.wait_for(client, request_id, call);
    auto demand = make_demand(call.spec());
    if (!demand.ok()) return client->fail(request_id, demand.error());
    if (call.spec().starts_at_ms() > 0)
        return reservations_.reserve_and_wait(client, request_id, call, std::move(*demand));
    add_lease(client, request_id, call, std::move(*demand), {}).start();
}

RenterLease &RenterAgent::add_lease(const ControlConnectionPtr &client, std::uint64_t request_id,
                                    const wire::LeaseOpenCall &call, market::Demand demand,
                                    FailedGang before) {
    const std::uint64_t number = next_++;
    auto lease = std::make_unique<RenterLease>(
        node_, client, request_id, call, demand,
        [this, number] { node_.loop.post([this, number] { leases_.erase(number); }); },
        [this, client, request_id, call, demand](FailedGang failed) {
            market::Demand others = demand;
            others.avoid.push_back(to_address(failed.provider));
            // Not from inside of the lease that failed.
            node_.loop.post([this, client, request_id, call, others, failed] {
                if (client->open()) add_lease(client, request_id, call, others, failed).start();
            });
        },
        std::move(before));
    RenterLease &added = *lease;
    leases_.emplace(number, std::move(lease));
    client->on_close([this, number] {
        const auto found = leases_.find(number);
        if (found != leases_.end()) found->second->on_client_gone();
    });
    return added;
}

void RenterAgent::reserve(const ControlConnectionPtr &client, std::uint64_t request_id,
                          const wire::LeaseReserveCall &call) {
    auto demand = make_demand(call.spec());
    if (!demand.ok()) return client->fail(request_id, demand.error());
    reservations_.reserve(client, request_id, call, std::move(*demand));
}

// On the terms that were agreed: of the call, what concerns this run of it is left.
void RenterAgent::begin(Reservations::Begun begun) {
    wire::LeaseSpec spec = begun.record.bill().spec();
    spec.set_tolerate_loss(begun.call.spec().tolerate_loss());
    spec.set_home_slots(begun.call.spec().home_slots());
    *begun.call.mutable_spec() = spec;
    auto demand = make_demand(spec);
    if (!demand.ok()) return begun.client->fail(begun.request_id, demand.error());
    demand->duration_ms = begun.lease.duration_ms;
    RenterLease &lease =
        add_lease(begun.client, begun.request_id, begun.call, std::move(*demand), {});
    lease.begin(std::move(begun.lease), std::move(begun.record));
    if (!begun.client->open()) lease.on_client_gone();
}

RenterLease *RenterAgent::find(const ControlConnectionPtr &client) const {
    for (const auto &[number, lease] : leases_)
        if (lease->client() == client.get()) return lease.get();
    return nullptr;
}

void RenterAgent::launch(const ControlConnectionPtr &client, std::uint64_t request_id,
                         const wire::LeaseLaunchCall &call) {
    RenterLease *lease = find(client);
    if (lease == nullptr)
        return client->fail(
            request_id, make_error(ErrorCode::kNotFound, "there is no lease on this connection"));
    lease->launch(request_id, call);
}

void RenterAgent::attach(const ControlConnectionPtr &client, std::uint64_t request_id,
                         const wire::LeaseAttachCall &call) {
    for (const auto &[number, lease] : leases_)
        if (to_hex(lease->id()) == call.lease_id()) return lease->attach(client, request_id, call);
    client->fail(request_id, make_error(ErrorCode::kNotFound, "no lease of that number runs"));
}

void RenterAgent::close(const ControlConnectionPtr &client, std::uint64_t request_id,
                        const wire::LeaseCloseCall &call) {
    RenterLease *lease = find(client);
    if (lease == nullptr && reservations_.close(client, request_id)) return;
    if (lease == nullptr)
        return client->fail(
            request_id, make_error(ErrorCode::kNotFound, "there is no lease on this connection"));
    lease->close(request_id, call);
}

Result<wire::Explanation> RenterAgent::explain(const wire::LeaseSpec &spec) {
    CHAIN_ASSIGN(const market::Demand demand, make_demand(spec));
    const bool is_ahead = spec.starts_at_ms() > 0;
    CHAIN_ASSIGN(const market::Clearing clearing,
                 market::clear(demand, node_.offers(is_ahead), node_.backend.params()));
    wire::Explanation explanation;
    for (const market::Verdict &verdict : clearing.verdicts) {
        wire::OfferVerdict &entry = *explanation.add_verdicts();
        entry.set_host(verdict.offer.host);
        entry.set_provider(to_address(verdict.offer.provider));
        entry.set_slots_offered(verdict.offer.slot_count);
        entry.set_slots_taken(verdict.slots_taken);
        entry.set_ask_per_ghz_h(
            verdict.offer.is_free_for(demand.renter) ? 0 : verdict.offer.ask_per_ghz_h.units);
        entry.set_round_trip_us(verdict.offer.round_trip_us);
        entry.set_matches(verdict.reasons.empty());
        for (const std::string &reason : verdict.reasons) entry.add_reasons(reason);
    }
    if (!clearing.cleared()) {
        explanation.set_summary(clearing.failure);
        return explanation;
    }
    explanation.set_cleared(true);
    explanation.set_price_per_ghz_h(clearing.price_per_ghz_h.units);
    explanation.set_escrow(clearing.escrow.units);
    explanation.set_summary(std::to_string(demand.slot_count) + " slots on " +
                            std::to_string(clearing.awards.size()) + " peers");
    return explanation;
}

void RenterAgent::fetch(const ControlConnectionPtr &client, std::uint64_t request_id,
                        const ledger::LeaseId &lease, const wire::LeaseFetchCall &call) {
    if (is_live(lease) || fetches_.contains(lease))
        return client->fail(request_id, make_error(ErrorCode::kConflict, "results of lease ",
                                                   short_hex(lease), " are coming already"));
    auto record = node_.journal.results(lease);
    if (!record.has_value())
        return client->fail(
            request_id, make_error(ErrorCode::kNotFound, "nothing of lease ", short_hex(lease),
                                   " is left to fetch: its results all came back, or it is more "
                                   "than a day old"));
    if (!call.into_folder().empty()) record->set_job_folder(call.into_folder());
    if (call.stage_max_bytes() > 0) record->set_stage_max_bytes(call.stage_max_bytes());
    auto fetch = std::make_unique<ResultsFetch>(
        node_, lease, *record, client, request_id,
        [this, lease] { node_.loop.post([this, lease] { fetches_.erase(lease); }); });
    ResultsFetch &started = *fetch;
    fetches_.emplace(lease, std::move(fetch));
    client->on_close([this, lease] {
        if (const auto found = fetches_.find(lease); found != fetches_.end())
            found->second->on_client_gone();
    });
    started.start();
}

// What is left of results that no peer keeps any more.
void RenterAgent::forget_old_results() {
    const std::uint64_t now_ms = node_.clock.unix_ms();
    const std::uint64_t before_ms = now_ms > kResultsKeptMs ? now_ms - kResultsKeptMs : 0;
    if (const Status forgotten = node_.journal.remove_results_before(before_ms); !forgotten.ok())
        log(LogLevel::kWarning, kRenterLog, "journal: ", forgotten.error().message);
    std::error_code error;
    for (const auto &entry : std::filesystem::directory_iterator(node_.results_folder, error)) {
        const std::string name = entry.path().filename().string();
        const auto lease = bytes32_from_hex(name.substr(0, name.find('-')), "lease");
        if (lease.ok() && (is_live(*lease) || fetches_.contains(*lease))) continue;
        if (!lease.ok() || !node_.journal.results(*lease).has_value())
            static_cast<void>(remove_tree(entry.path().string()));
    }
}

void RenterAgent::on_trade(const PublicKey &peer, const wire::TradeMessage &message) {
    const auto id = to_bytes32(message.lease_id(), "lease id");
    if (!id.ok()) return node_.network.disconnect(peer, id.error().message);
    for (const auto &[number, lease] : leases_)
        if (lease->has_leg(peer, {*id, message.leg()})) return lease->on_trade(peer, message);
    if (reservations_.on_trade(peer, message)) return;
    if (const auto found = fetches_.find(*id); found != fetches_.end())
        return found->second->on_trade(peer, message);
    // About a lease that is over here: nothing to do.
}

void RenterAgent::on_drained(const PublicKey &peer) {
    for (const auto &[number, lease] : leases_) lease->on_drained(peer);
}

void RenterAgent::take_channel(const PublicKey &peer, const ChannelLabel &label,
                               p2p::Channel channel) {
    for (const auto &[number, lease] : leases_)
        if (lease->id() == label.lease)
            return lease->take_channel(peer, label.from, std::move(channel));
}

void RenterAgent::on_peer_lost(const PublicKey &peer, const std::string &why) {
    for (const auto &[number, lease] : leases_) lease->on_peer_lost(peer, why);
    for (const auto &[id, fetch] : fetches_) fetch->on_peer_lost(peer, why);
    reservations_.on_peer_lost(peer, why);
}

void RenterAgent::on_new_block() {
    for (const auto &[number, lease] : leases_) lease->on_new_block();
    reservations_.on_new_block();
}

void RenterAgent::on_daemon_stops() {
    for (const auto &[number, lease] : leases_) lease->on_daemon_stops();
    reservations_.on_daemon_stops();
}

bool RenterAgent::is_live(const ledger::LeaseId &id) const {
    for (const auto &[number, lease] : leases_)
        if (lease->id() == id) return true;
    return false;
}

// A lease of ours on the ledger that nobody here runs: close it, and when its time has come settle
// it. That is how a lost peer's leg and a lease of a daemon that was killed come to their end. One
// that is not in the journal may be running at another daemon with this wallet: that is left alone
// until its time has come.
void RenterAgent::close_forgotten_leases() {
    const auto key = node_.wallet.key();
    if (!key.ok()) return;
    const auto leases = node_.backend.leases_of((*key)->public_key(), kLeasesLookedAt);
    if (!leases.ok()) return;
    for (const ledger::Lease &lease : *leases) {
        if (lease.settled()) closing_.erase(lease.id);
        if (lease.renter != (*key)->public_key() || lease.settled() || is_live(lease.id)) continue;
        const auto sent = closing_.find(lease.id);
        if (sent != closing_.end() &&
            node_.backend.outcome(sent->second).status == TxStatus::kPending)
            continue;
        wire::TxBody body;
        bool open = false;
        const bool due =
            lease.due_at(node_.backend.chain_time_ms()) || reservations_.is_void(lease);
        const auto record = node_.journal.renter(lease.id);
        if (!due && (!record.has_value() || reservations_.keeps(lease, *record))) continue;
        for (const ledger::Leg &leg : lease.legs)
            open = open || leg.state == ledger::LegState::kOpen;
        if (due) {
            body.mutable_expire_lease()->set_lease_id(to_bytes(lease.id));
        } else if (open) {
            body.mutable_close_lease()->set_lease_id(to_bytes(lease.id));
            for (const auto &voucher : record->vouchers())
                if (!voucher.body().empty()) *body.mutable_close_lease()->add_vouchers() = voucher;
        } else {
            continue;
        }
        const auto tx = node_.submit(std::move(body));
        if (!tx.ok()) {
            log(LogLevel::kWarning, kRenterLog, "closing lease ", short_hex(lease.id), ": ",
                tx.error().message);
            continue;
        }
        closing_[lease.id] = *tx;
        log(LogLevel::kNote, kRenterLog, "closing lease ", short_hex(lease.id),
            due ? ": its time has passed" : ": nobody runs it any more");
    }
}

wire::Bill RenterAgent::bill_of(const ledger::Lease &lease) const {
    wire::Bill bill;
    for (const auto &[number, live] : leases_)
        if (live->id() == lease.id) bill = live->bill();
    if (bill.lease_id().empty()) {
        const auto record = node_.journal.renter(lease.id);
        if (record.has_value()) bill = record->bill();
        const bool is_ahead = record.has_value() && reservations_.keeps(lease, *record);
        if (is_ahead)
            bill.set_state("reserved");
        else if (bill.state() != "failed")
            bill.set_state(lease.settled() ? "settled" : "closing");
        // Written down by a daemon that was killed before the end, or nobody came.
        if (!is_ahead && bill.ended_by().empty()) {
            const bool is_unused = lease.is_reserved() && !(record.has_value() && record->begun());
            bill.set_ended_by(is_unused ? "ledger" : "renter");
            bill.set_reason(is_unused ? describe_unused(lease) : "the renter's daemon went away");
        }
    }
    bill.set_role("renter");
    bring_bill_up_to(lease, bill);
    return bill;
}

std::vector<ledger::LeaseId> RenterAgent::live_leases() const {
    std::vector<ledger::LeaseId> ids;
    for (const auto &[number, lease] : leases_) ids.push_back(lease->id());
    return ids;
}

std::vector<wire::Bill> RenterAgent::bills_under_way() const {
    std::vector<wire::Bill> bills;
    for (const auto &[number, lease] : leases_)
        if (!lease->bill().lease_id().empty() && !node_.backend.lease(lease->id()).ok())
            bills.push_back(lease->bill());
    return bills;
}

}  // namespace chain::daemon
