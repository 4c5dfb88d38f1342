// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/bookings.h"

#include <algorithm>

#include "chain/base/log.h"
#include "chain/daemon/log_categories.h"
#include "chain/daemon/provider_leg.h"

namespace chain::daemon {
namespace {

market::Period period_of(const wire::BookingRecord &record) {
    return {record.starts_at_ms(), record.starts_at_ms() + record.duration_ms()};
}

// A free leg keeps nobody waiting.
bool has_started(const ledger::Leg &leg) {
    return leg.started || leg.has_voucher() || leg.free;
}

wire::TxBody report_start(const LegKey &key, bool started) {
    wire::TxBody body;
    body.mutable_report_start()->set_lease_id(to_bytes(key.lease));
    body.mutable_report_start()->set_started(started);
    return body;
}

wire::TxBody close_lease(const LegKey &key) {
    wire::TxBody body;
    body.mutable_close_lease()->set_lease_id(to_bytes(key.lease));
    return body;
}

}  // namespace

Bytes begin_bytes(const LegKey &key, const PublicKey &renter_node, std::string_view manifest_hash) {
    Bytes bytes = to_bytes(key.lease);
    append_u32_le(bytes, key.leg);
    bytes += to_bytes(renter_node);
    bytes += manifest_hash;
    return bytes;
}

void Bookings::recover() {
    for (const Journal::Booking &found : node_.journal.bookings()) {
        const LegKey key{found.lease, found.leg};
        Booking &booking = bookings_[key];
        booking.record = found.record;
        // Killed before anything was done in it: its renter may come again.
        const auto leg = node_.journal.provider(key.lease, key.leg);
        if (booking.record.begun() && !(leg.has_value() && leg->has_voucher())) take_back(key);
    }
    if (!bookings_.empty())
        log(LogLevel::kNote, kProviderLog, bookings_.size(), " legs are promised for later");
}

Status Bookings::check_limits(const PublicKey &renter) const {
    if (bookings_.size() >= kBookingsMax)
        return make_error(ErrorCode::kRefused, "at most ", kBookingsMax,
                          " leases are reserved here");
    const auto theirs = std::count_if(bookings_.begin(), bookings_.end(), [&](const auto &entry) {
        return entry.second.record.renter() == to_bytes(renter);
    });
    if (static_cast<std::size_t>(theirs) >= kBookingsPerRenterMax)
        return make_error(ErrorCode::kRefused, "one renter reserves at most ",
                          kBookingsPerRenterMax, " leases here");
    return ok_status();
}

Status Bookings::add(const LegKey &key, const wire::BookingRecord &record) {
    CHAIN_TRY(node_.journal.put_booking(key.lease, key.leg, record));
    bookings_[key].record = record;
    return ok_status();
}

bool Bookings::awaits_funding(const PublicKey &peer, const LegKey &key) const {
    const wire::BookingRecord *const record = find(key);
    return record != nullptr && !record->funded() && record->renter_node() == to_bytes(peer);
}

void Bookings::cancel(const LegKey &key) {
    const TxStatus status = node_.backend.outcome(key.lease).status;
    if (status != TxStatus::kUnknown && status != TxStatus::kRejected) return;
    forget(key);
    bookings_.erase(key);
}

void Bookings::forget(const LegKey &key) {
    const Status removed = node_.journal.remove_booking(key.lease, key.leg);
    if (!removed.ok()) log(LogLevel::kError, kProviderLog, "journal: ", removed.error().message);
}

const wire::BookingRecord *Bookings::find(const LegKey &key) const {
    const auto found = bookings_.find(key);
    return found == bookings_.end() ? nullptr : &found->second.record;
}

bool Bookings::awaits_renter(const LegKey &key) const {
    const wire::BookingRecord *const record = find(key);
    return record != nullptr && !record->begun();
}

Status Bookings::begin(const LegKey &key) {
    const auto found = bookings_.find(key);
    CHAIN_CHECK(found != bookings_.end());
    wire::BookingRecord record = found->second.record;
    record.set_begun(true);
    CHAIN_TRY(node_.journal.put_booking(key.lease, key.leg, record));
    found->second.record = std::move(record);
    return ok_status();
}

void Bookings::take_back(const LegKey &key) {
    const auto found = bookings_.find(key);
    if (found == bookings_.end()) return;
    found->second.record.set_begun(false);
    put(key, found->second.record);
}

void Bookings::give_up(const LegKey &key) {
    const auto found = bookings_.find(key);
    if (found == bookings_.end()) return;
    found->second.gives_up = true;
    look();
}

void Bookings::put(const LegKey &key, const wire::BookingRecord &record) {
    const Status written = node_.journal.put_booking(key.lease, key.leg, record);
    if (!written.ok()) log(LogLevel::kError, kProviderLog, "journal: ", written.error().message);
}

void Bookings::look() {
    for (auto at = bookings_.begin(); at != bookings_.end();) {
        if (!look_at(at->first, at->second)) {
            ++at;
            continue;
        }
        forget(at->first);
        at = bookings_.erase(at);
    }
}

bool Bookings::look_at(const LegKey &key, Booking &booking) {
    wire::BookingRecord &record = booking.record;
    const auto lease = node_.backend.lease(key.lease);
    if (!lease.ok()) {
        // Not on the ledger yet; or no more, as its block was left for another branch: it comes
        // back by itself, unless the renter's tokens have gone another way.
        const std::uint64_t wait_ms = kReservationMs + node_.backend.inclusion_wait_ms() +
                                      (record.funded() ? node_.backend.finality_wait_ms() : 0);
        const std::uint64_t until_ms =
            (record.funded() ? period_of(record).from_ms : record.agreed_at_ms()) + wait_ms;
        if (node_.clock.unix_ms() < until_ms ||
            node_.backend.outcome(key.lease).status == TxStatus::kPending)
            return false;
        log(LogLevel::kNote, kProviderLog, "reservation ", short_hex(key.lease),
            " is not on the ledger; it is forgotten");
        return true;
    }
    if (key.leg >= lease->legs.size()) return true;
    const ledger::Leg &leg = lease->legs[key.leg];
    if (leg.state == ledger::LegState::kSettled) {
        if (!record.begun())
            log(LogLevel::kNote, kProviderLog, "reservation ", short_hex(key.lease), " leg ",
                key.leg, " is over (", ledger::leg_end_name(leg.end),
                "): ", format_tokens(leg.payment), " tokens, of which ", format_tokens(leg.burned),
                " burned");
        return true;
    }
    if (!record.funded()) {
        record.set_funded(true);
        put(key, record);
        log(LogLevel::kNote, kProviderLog, "reserved: lease ", short_hex(key.lease), " leg ",
            key.leg, ", ", record.slot_count(), " slots from ", format_utc(record.starts_at_ms()),
            " on");
    }
    if (!record.begun()) look_at_start(key, booking, *lease);
    return false;
}

// Until the renter comes: what there is to say at this moment.
void Bookings::look_at_start(const LegKey &key, Booking &booking, const ledger::Lease &lease) {
    const ledger::Leg &leg = lease.legs[key.leg];
    const std::uint64_t now_ms = node_.backend.chain_time_ms();
    const std::uint64_t start_ms = lease.begins_at_ms();
    const std::uint64_t window_ms = node_.backend.params().start_window_ms;
    if (leg.state == ledger::LegState::kClosing) {
        // Whoever closes it in its first moment, and says perhaps that it is lost, would else get
        // away without the deposit, and this side not with its collateral.
        const bool can_start = now_ms >= start_ms && now_ms < start_ms + window_ms;
        if (can_start && !leg.started && !leg.voided && !booking.gives_up && is_lent_())
            return send(key, booking, report_start(key, true), "it has started, and is closing");
        // By the renter, or as another leg of the gang did not start.
        return send(key, booking, close_lease(key), "closing it, as the renter or the gang did");
    }
    if (now_ms < start_ms) return;
    if (now_ms >= start_ms + window_ms) {
        const bool all_started = std::all_of(lease.legs.begin(), lease.legs.end(), has_started);
        if (!all_started) {
            wire::TxBody body;
            body.mutable_expire_lease()->set_lease_id(to_bytes(key.lease));
            return send(key, booking, std::move(body), "not all of its peers have started");
        }
        if (now_ms >= start_ms + window_ms + kNoShowPatienceMs)
            send(key, booking, close_lease(key), "closing it, as nobody came");
        return;
    }
    if (booking.gives_up && leg.started) {
        if (leg.reclaimed_at_ms != 0)
            return send(key, booking, close_lease(key),
                        "closing it, as the owner needs the machine");
        wire::TxBody body;
        body.mutable_reclaim_notice()->set_lease_id(to_bytes(key.lease));
        return send(key, booking, std::move(body), "the owner needs the machine");
    }
    if (leg.started) return;
    const bool is_lent = is_lent_();
    if (booking.gives_up || (!is_lent && now_ms >= start_ms + window_ms / 2))
        return send(key, booking, report_start(key, false), "it does not start: not lent now");
    if (is_lent) send(key, booking, report_start(key, true), "it has started");
}

void Bookings::send(const LegKey &key, Booking &booking, wire::TxBody body, std::string_view what) {
    if (booking.sent && node_.backend.outcome(*booking.sent).status == TxStatus::kPending) return;
    const auto tx = node_.submit(std::move(body));
    if (!tx.ok()) {
        log(LogLevel::kDebug, kProviderLog, "reservation ", short_hex(key.lease), ": ", what, ": ",
            tx.error().message);
        return;
    }
    booking.sent = *tx;
    log(LogLevel::kNote, kProviderLog, "reservation ", short_hex(key.lease), " leg ", key.leg, ": ",
        what);
}

void Bookings::add_to(market::Timetable &timetable) const {
    for (const auto &[key, booking] : bookings_)
        if (!booking.record.begun())
            timetable.add(period_of(booking.record),
                          {booking.record.slot_count(), booking.record.memory_bytes()});
}

bool Bookings::has_gpu(const std::string &uuid, const market::Period &period) const {
    return std::any_of(bookings_.begin(), bookings_.end(), [&](const auto &entry) {
        const wire::BookingRecord &record = entry.second.record;
        return !record.begun() && period_of(record).overlaps(period) &&
               std::find(record.gpus().begin(), record.gpus().end(), uuid) != record.gpus().end();
    });
}

}  // namespace chain::daemon
