// SPDX-License-Identifier: BSD-3-Clause
//
// Bookings: the legs that this machine has promised for a time to come (docs/reservations.md), each
// from its agreement until it is settled. In the journal before the agreement leaves, so that a
// killed daemon finds them again. Says on the ledger what a provider has to say of them: that they
// start, or will not, or that nobody came.
//
// Owner: the loop's thread; held by ProviderAgent. Limits: kBookingsMax, and of one renter
// kBookingsPerRenterMax.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "chain/daemon/node.h"
#include "chain/market/timetable.h"

namespace chain::daemon {

inline constexpr std::size_t kBookingsMax = 256;
inline constexpr std::size_t kBookingsPerRenterMax = 64;
// After the start window the renter's daemon closes first, which pays what it owes; then we do.
inline constexpr std::uint64_t kNoShowPatienceMs = 10'000;

// What the renter signs when it comes, for the provider of one leg: nobody else can begin it.
Bytes begin_bytes(const LegKey &key, const PublicKey &renter_node, std::string_view manifest_hash);

class Bookings {
public:
    // `is_lent`: the machine would take a lease at this moment.
    Bookings(Node &node, std::function<bool()> is_lent)
        : node_(node), is_lent_(std::move(is_lent)) {}

    // What an earlier daemon has promised. Call once, before anything else.
    void recover();

    // Errors: kRefused, with the limit that it would exceed.
    Status check_limits(const PublicKey &renter) const;
    // On disk when it returns. Errors: those of the journal; then it is not promised.
    Status add(const LegKey &key, const wire::BookingRecord &record);

    // The renter's node says that it will not be funded: forgotten, unless the ledger has it.
    bool awaits_funding(const PublicKey &peer, const LegKey &key) const;
    void cancel(const LegKey &key);

    const wire::BookingRecord *find(const LegKey &key) const;
    // Promised, and its renter has not come: nobody else settles it.
    bool awaits_renter(const LegKey &key) const;
    // Its renter has come: a ProviderLeg runs it. Errors: those of the journal.
    Status begin(const LegKey &key);
    // The leg ended before anything was done in it: its renter may come again.
    void take_back(const LegKey &key);
    // Says on the ledger that the machine's owner needs it: the leg will not start, or ends.
    void give_up(const LegKey &key);

    // After a block, and now and then: drops what is settled, and says what there is to say.
    void look();

    // All that is promised and not begun.
    void add_to(market::Timetable &timetable) const;
    bool has_gpu(const std::string &uuid, const market::Period &period) const;
    std::size_t count() const { return bookings_.size(); }

private:
    struct Booking {
        wire::BookingRecord record;
        std::optional<ledger::TxId> sent;  // that waits for its block
        bool gives_up = false;
    };
    void put(const LegKey &key, const wire::BookingRecord &record);
    void forget(const LegKey &key);
    // True: it is over, and is to be forgotten.
    bool look_at(const LegKey &key, Booking &booking);
    void look_at_start(const LegKey &key, Booking &booking, const ledger::Lease &lease);
    void send(const LegKey &key, Booking &booking, wire::TxBody body, std::string_view what);

    Node &node_;
    std::function<bool()> is_lent_;
    std::map<LegKey, Booking> bookings_;
};

}  // namespace chain::daemon
