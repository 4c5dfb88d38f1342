// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/reservations.h"

#include <algorithm>

#include "chain/base/log.h"
#include "chain/base/text.h"
#include "chain/daemon/log_categories.h"
#include "chain/daemon/renter_lease.h"

namespace chain::daemon {
namespace {

constexpr const char *kNext = "next";

bool is_open(const ledger::Lease &lease) {
    return std::any_of(lease.legs.begin(), lease.legs.end(),
                       [](const ledger::Leg &leg) { return leg.state == ledger::LegState::kOpen; });
}

std::string describe_end(const ledger::Lease &lease) {
    for (const ledger::Leg &leg : lease.legs)
        if (leg.end == ledger::LegEnd::kNotStarted)
            return "its peer " + to_address(leg.provider) + " has taken it back";
    return "it was cancelled, or its time is over";
}

}  // namespace

std::uint64_t Reservations::window_end_ms(const ledger::Lease &lease) const {
    return lease.begins_at_ms() + node_.backend.params().start_window_ms;
}

// Those that are not settled yet.
Result<std::vector<ledger::Lease>> Reservations::mine() const {
    CHAIN_ASSIGN(const PublicKey account, node_.wallet.account());
    CHAIN_ASSIGN(auto leases, node_.backend.leases_of(account, kLeasesLookedAt));
    std::erase_if(leases, [&](const ledger::Lease &lease) {
        return lease.renter != account || !lease.is_reserved() || lease.settled();
    });
    return leases;
}

Result<ledger::Lease> Reservations::find(const std::string &text) const {
    CHAIN_ASSIGN(const std::vector<ledger::Lease> leases, mine());
    const std::uint64_t now_ms = node_.backend.chain_time_ms();
    const ledger::Lease *found = nullptr;
    for (const ledger::Lease &lease : leases) {
        if (text == kNext) {
            const bool is_free = is_open(lease) && now_ms < window_end_ms(lease) &&
                                 !agent_.is_live(lease.id) && !is_waited_for(lease.id);
            if (is_free && (found == nullptr || lease.starts_at_ms < found->starts_at_ms))
                found = &lease;
            continue;
        }
        if (text.empty() || !to_hex(lease.id).starts_with(text)) continue;
        if (found != nullptr)
            return make_error(ErrorCode::kInvalidInput, "several reservations begin with ", text,
                              "; give more digits");
        found = &lease;
    }
    if (found != nullptr) return *found;
    if (text == kNext)
        return make_error(ErrorCode::kNotFound, "nothing is reserved; see `ompi-chain lease list`");
    return make_error(ErrorCode::kNotFound, "no reservation of yours begins with \"", text,
                      "\"; see `ompi-chain lease list`");
}

// ---- making one

Status Reservations::check(const wire::LeaseSpec &spec, const std::string &event_uid) const {
    const incentive::Params &params = node_.backend.params();
    const std::uint64_t now_ms = node_.backend.chain_time_ms();
    if (spec.starts_at_ms() <= now_ms)
        return make_error(ErrorCode::kInvalidInput, "a reservation starts later than now");
    if (spec.starts_at_ms() - now_ms > params.reservation_ahead_max_ms)
        return make_error(ErrorCode::kInvalidInput, "this network reserves at most ",
                          params.reservation_ahead_max_ms / 3'600'000, " hours ahead");
    CHAIN_ASSIGN(const std::vector<ledger::Lease> leases, mine());
    if (leases.size() + making_.size() >= kReservationsMax)
        return make_error(ErrorCode::kTooLarge, "at most ", kReservationsMax,
                          " leases of one account are reserved at a time");
    if (event_uid.empty()) return ok_status();
    const auto is_same = [&](const std::string &uid, std::uint64_t starts_at_ms) {
        return uid == event_uid && starts_at_ms == spec.starts_at_ms();
    };
    bool is_there = std::any_of(making_.begin(), making_.end(), [&](const auto &entry) {
        const Reserving::Order &order = entry.second.reserving->order();
        return is_same(order.event_uid, order.spec.starts_at_ms());
    });
    for (const ledger::Lease &lease : leases)
        if (const auto record = node_.journal.renter(lease.id); record.has_value())
            is_there = is_there || is_same(record->bill().event_uid(), lease.starts_at_ms);
    if (is_there) return make_error(ErrorCode::kConflict, "that event is reserved already");
    return ok_status();
}

void Reservations::reserve(const ControlConnectionPtr &client, std::uint64_t request_id,
                           const wire::LeaseReserveCall &call, market::Demand demand) {
    if (call.event_uid().size() > kEventUidBytesMax)
        return client->fail(request_id, make_error(ErrorCode::kTooLarge, "the event's UID has ",
                                                   "more than ", kEventUidBytesMax, " bytes"));
    make(client, request_id,
         {call.spec(), plain_text(call.title(), kTitleBytesMax), call.event_uid(), false},
         std::move(demand), {});
}

void Reservations::reserve_and_wait(const ControlConnectionPtr &client, std::uint64_t request_id,
                                    const wire::LeaseOpenCall &call, market::Demand demand) {
    make(client, request_id, {call.spec(), plain_text(call.command(), kTitleBytesMax), "", true},
         std::move(demand), call);
}

void Reservations::make(const ControlConnectionPtr &client, std::uint64_t request_id,
                        Reserving::Order order, market::Demand demand,
                        const wire::LeaseOpenCall &call) {
    if (const auto key = node_.wallet.key(); !key.ok())
        return client->fail(request_id, key.error());
    if (const Status possible = check(order.spec, order.event_uid); !possible.ok())
        return client->fail(request_id, possible.error());
    const std::uint64_t number = next_++;
    Making &making = making_[number];
    making.client = client;
    making.request_id = request_id;
    making.call = call;
    making.reserving = std::make_unique<Reserving>(
        node_, std::move(order), std::move(demand),
        [client, request_id](const std::string &text) {
            wire::ControlReply reply;
            reply.mutable_lease_progress()->set_stage("reserving");
            reply.mutable_lease_progress()->set_detail(text);
            client->reply(request_id, std::move(reply));
        },
        [this, number](const Result<ledger::LeaseId> &made) { on_made(number, made); });
    client->on_close([this, number] { on_client_gone(number); });
    making.reserving->start();
}

void Reservations::on_made(std::uint64_t number, const Result<ledger::LeaseId> &made) {
    const auto node = making_.extract(number);
    if (node.empty()) return;
    const Making &making = node.mapped();
    if (!made.ok()) return making.client->fail(making.request_id, made.error());
    const auto lease = node_.backend.lease(*made);
    if (!lease.ok()) return making.client->fail(making.request_id, lease.error());
    if (making.reserving->order().bound)
        return add_waiting({making.client, making.request_id, making.call, *made, true}, *lease);
    wire::ControlReply reply;
    *reply.mutable_bill() = agent_.bill_of(*lease);
    making.client->reply(making.request_id, std::move(reply));
}

bool Reservations::on_trade(const PublicKey &peer, const wire::TradeMessage &message) {
    const auto id = to_bytes32(message.lease_id(), "lease id");
    if (!id.ok()) return false;
    for (const auto &[number, making] : making_) {
        if (!making.reserving->has_leg(peer, {*id, message.leg()})) continue;
        making.reserving->on_trade(message);
        return true;
    }
    return false;
}

void Reservations::on_peer_lost(const PublicKey &peer, const std::string &why) {
    for (const auto &[number, making] : making_) making.reserving->on_peer_lost(peer, why);
}

// ---- waiting for its time

bool Reservations::is_waited_for(const ledger::LeaseId &lease) const {
    return std::any_of(waiting_.begin(), waiting_.end(),
                       [&](const auto &entry) { return entry.second.lease == lease; });
}

bool Reservations::has(const ControlConnection *client) const {
    const auto is_theirs = [client](const auto &entry) {
        return entry.second.client.get() == client;
    };
    return std::any_of(waiting_.begin(), waiting_.end(), is_theirs) ||
           std::any_of(making_.begin(), making_.end(), [&](const auto &entry) {
               return is_theirs(entry) && entry.second.reserving->order().bound;
           });
}

void Reservations::wait_for(const ControlConnectionPtr &client, std::uint64_t request_id,
                            const wire::LeaseOpenCall &call) {
    const auto ready = [&]() -> Result<ledger::Lease> {
        CHAIN_ASSIGN(const KeyPair *key, node_.wallet.key());
        static_cast<void>(key);
        if (waiting_.size() >= kReservationsMax)
            return make_error(ErrorCode::kTooLarge, "too many programs wait for reservations");
        CHAIN_ASSIGN(const ledger::Lease lease, find(call.reservation()));
        const auto record = node_.journal.renter(lease.id);
        if (!record.has_value())
            return make_error(ErrorCode::kNotFound, "lease ", short_hex(lease.id),
                              " was reserved by another daemon, which can begin it");
        const bool is_plain = record->bill().spec().plain_network();
        if (is_plain != call.spec().plain_network())
            return make_error(ErrorCode::kInvalidInput, "lease ", short_hex(lease.id),
                              " was reserved with", is_plain ? "" : "out",
                              " --chain-net plain; begin it so, too");
        if (agent_.is_live(lease.id) || is_waited_for(lease.id))
            return make_error(ErrorCode::kConflict, "another program begins lease ",
                              short_hex(lease.id));
        if (!is_open(lease) || node_.backend.chain_time_ms() >= window_end_ms(lease))
            return make_error(ErrorCode::kConflict, "lease ", short_hex(lease.id),
                              " can not begin any more: ", describe_end(lease));
        return lease;
    };
    const Result<ledger::Lease> lease = ready();
    if (!lease.ok()) return client->fail(request_id, lease.error());
    add_waiting({client, request_id, call, lease->id, false}, *lease);
}

void Reservations::add_waiting(Waiting waiting, const ledger::Lease &lease) {
    const std::uint64_t number = next_++;
    wire::ControlReply reply;
    *reply.mutable_bill() = agent_.bill_of(lease);
    waiting.client->reply(waiting.request_id, std::move(reply));
    waiting.client->on_close([this, number] { on_client_gone(number); });
    if (!waiting.client->open()) {  // it went while the ledger took its time
        if (waiting.bound) static_cast<void>(close_on_ledger(waiting.lease, "mpirun is gone"));
        return;
    }
    waiting_.emplace(number, std::move(waiting));
    look();
}

void Reservations::look() {
    for (auto at = waiting_.begin(); at != waiting_.end();)
        at = look_at(at->first, at->second) ? waiting_.erase(at) : std::next(at);
}

bool Reservations::look_at(std::uint64_t number, Waiting &waiting) {
    const auto lease = node_.backend.lease(waiting.lease);
    if (!lease.ok()) return false;  // its block is left for another one, where it comes again
    if (!is_open(*lease)) {
        waiting.client->fail(waiting.request_id,
                             make_error(ErrorCode::kPeerLost, "reservation ", short_hex(lease->id),
                                        " is over: ", describe_end(*lease)));
        return true;
    }
    if (node_.backend.chain_time_ms() >= lease->starts_at_ms && !waiting.begins) {
        waiting.begins = true;
        node_.loop.post([this, number] { begin(number); });  // waits until RenterAgent has it
    }
    return false;
}

void Reservations::begin(std::uint64_t number) {
    const auto node = waiting_.extract(number);
    if (node.empty()) return;  // its mpirun went
    Waiting &waiting = node.mapped();
    auto lease = node_.backend.lease(waiting.lease);
    auto record = node_.journal.renter(waiting.lease);
    if (!lease.ok() || !record.has_value())
        return waiting.client->fail(
            waiting.request_id,
            make_error(ErrorCode::kConflict, "reservation ", short_hex(waiting.lease), " is gone"));
    agent_.begin({waiting.client, waiting.request_id, std::move(waiting.call), std::move(*lease),
                  std::move(*record)});
}

void Reservations::on_client_gone(std::uint64_t number) {
    if (const auto making = making_.find(number); making != making_.end())
        return making->second.reserving->cancel("mpirun is gone");
    const auto node = waiting_.extract(number);
    if (node.empty() || !node.mapped().bound) return;
    const auto closed = close_on_ledger(node.mapped().lease, "mpirun is gone");
    if (!closed.ok()) log(LogLevel::kWarning, kRenterLog, closed.error().message);
}

void Reservations::on_daemon_stops() {
    const Error error = make_error(ErrorCode::kCancelled, "the daemon was stopped");
    for (auto &[number, making] : making_) making.reserving->cancel(error.message);
    for (auto &[number, waiting] : waiting_) {
        waiting.client->fail(waiting.request_id, error);
        if (waiting.bound) static_cast<void>(close_on_ledger(waiting.lease, error.message));
    }
    waiting_.clear();
}

// ---- the end of one

// Nothing to settle: nobody has worked in it.
Result<ledger::TxId> Reservations::close_on_ledger(const ledger::LeaseId &lease,
                                                   const std::string &reason) {
    if (auto record = node_.journal.renter(lease); record.has_value()) {
        record->mutable_bill()->set_ended_by("renter");
        record->mutable_bill()->set_reason(reason);
        CHAIN_TRY(node_.journal.put_renter(lease, *record));
    }
    wire::TxBody body;
    body.mutable_close_lease()->set_lease_id(to_bytes(lease));
    CHAIN_ASSIGN(const ledger::TxId tx, node_.submit(std::move(body)));
    log(LogLevel::kNote, kRenterLog, "reservation ", short_hex(lease), " is cancelled: ", reason);
    return tx;
}

void Reservations::cancel(const ControlConnectionPtr &client, std::uint64_t request_id,
                          const wire::LeaseCancelCall &call) {
    const auto submit = [&]() -> Result<Cancelling> {
        CHAIN_ASSIGN(const KeyPair *key, node_.wallet.key());
        static_cast<void>(key);
        CHAIN_ASSIGN(const ledger::Lease lease, find(call.lease_id()));
        if (agent_.is_live(lease.id))
            return make_error(ErrorCode::kConflict, "lease ", short_hex(lease.id),
                              " has begun; it ends with its mpirun");
        if (!is_open(lease))
            return make_error(ErrorCode::kConflict, "lease ", short_hex(lease.id), " is closing");
        CHAIN_ASSIGN(const ledger::TxId tx, close_on_ledger(lease.id, "cancelled"));
        const std::uint64_t wait_ms = kFundWaitMs + node_.backend.inclusion_wait_ms();
        return Cancelling{client, request_id, lease.id, tx, node_.clock.steady_ms() + wait_ms};
    };
    auto cancelling = submit();
    if (!cancelling.ok()) return client->fail(request_id, cancelling.error());
    cancelling_.push_back(std::move(*cancelling));
}

bool Reservations::close(const ControlConnectionPtr &client, std::uint64_t request_id) {
    const auto found = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto &entry) {
        return entry.second.client == client;
    });
    if (found == waiting_.end()) return false;
    wire::LeaseCancelCall call;
    call.set_lease_id(to_hex(found->second.lease));
    const bool is_bound = found->second.bound;
    const ledger::LeaseId id = found->second.lease;
    waiting_.erase(found);
    if (is_bound) {
        cancel(client, request_id, call);
    } else if (const auto lease = node_.backend.lease(id); lease.ok()) {
        wire::ControlReply reply;
        *reply.mutable_bill() = agent_.bill_of(*lease);
        client->reply(request_id, std::move(reply));
    }
    return true;
}

bool Reservations::look_at(const Cancelling &cancelling) {
    const TxOutcome outcome = node_.backend.outcome(cancelling.tx);
    const auto lease = node_.backend.lease(cancelling.lease);
    if (lease.ok() && !is_open(*lease)) {
        wire::ControlReply reply;
        *reply.mutable_bill() = agent_.bill_of(*lease);
        cancelling.client->reply(cancelling.request_id, std::move(reply));
        return true;
    }
    if (outcome.status != TxStatus::kRejected && node_.clock.steady_ms() < cancelling.give_up_at_ms)
        return false;
    cancelling.client->fail(
        cancelling.request_id,
        outcome.status == TxStatus::kRejected
            ? make_error(ErrorCode::kConflict, "the ledger refused it: ", outcome.reason)
            : make_error(ErrorCode::kTimeout, "it is in no block yet; `ompi-chain lease show ",
                         short_hex(cancelling.lease), "` says when it is"));
    return true;
}

void Reservations::on_new_block() {
    for (const auto &[number, making] : making_) making.reserving->on_new_block();
    std::erase_if(cancelling_, [this](const Cancelling &one) { return look_at(one); });
    look();
}

bool Reservations::is_void(const ledger::Lease &lease) const {
    return lease.is_reserved() && node_.backend.chain_time_ms() >= window_end_ms(lease) &&
           std::any_of(lease.legs.begin(), lease.legs.end(), [](const ledger::Leg &leg) {
               return leg.state == ledger::LegState::kOpen && !leg.free && !leg.started &&
                      !leg.has_voucher();
           });
}

bool Reservations::keeps(const ledger::Lease &lease, const wire::RenterRecord &record) const {
    if (!lease.is_reserved() || record.begun()) return false;
    if (!is_open(lease) || node_.backend.chain_time_ms() >= window_end_ms(lease)) return false;
    if (!record.bound()) return true;
    return is_waited_for(lease.id) ||
           std::any_of(making_.begin(), making_.end(),
                       [&](const auto &entry) { return entry.second.reserving->id() == lease.id; });
}

}  // namespace chain::daemon
