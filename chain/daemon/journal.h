// SPDX-License-Identifier: BSD-3-Clause
//
// Journal: this node's own notes about its leases, in a LevelDB of its own. Written through: a
// voucher is on disk before it is sent, or acted on.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chain/daemon/journal.pb.h"
#include "chain/ledger/types.h"
#include "chain/store/store.h"

namespace chain::daemon {

class Journal {
public:
    // Errors: those of open_leveldb_store.
    static Result<Journal> open(const std::string &folder);

    Status put_renter(const ledger::LeaseId &lease, const wire::RenterRecord &record);
    Status put_provider(const ledger::LeaseId &lease, std::uint32_t leg,
                        const wire::ProviderRecord &record);
    Status put_results(const ledger::LeaseId &lease, const wire::ResultsRecord &record);
    // By leg, which have all their results; when that is every one, nothing is left written down.
    Status note_results(const ledger::LeaseId &lease, const std::vector<bool> &has_all);
    // Removes those that were written before `at_ms` (Unix time).
    Status remove_results_before(std::uint64_t at_ms);
    std::optional<wire::ResultsRecord> results(const ledger::LeaseId &lease) const;

    struct Booking {
        ledger::LeaseId lease{};
        std::uint32_t leg = 0;
        wire::BookingRecord record;
    };
    Status put_booking(const ledger::LeaseId &lease, std::uint32_t leg,
                       const wire::BookingRecord &record);
    Status remove_booking(const ledger::LeaseId &lease, std::uint32_t leg);
    std::vector<Booking> bookings() const;
    // nullopt: nothing was written down. A record that cannot be read counts as none, and is
    // logged.
    std::optional<wire::RenterRecord> renter(const ledger::LeaseId &lease) const;
    std::optional<wire::ProviderRecord> provider(const ledger::LeaseId &lease,
                                                 std::uint32_t leg) const;

private:
    explicit Journal(std::unique_ptr<KeyValueStore> store) : store_(std::move(store)) {}
    std::unique_ptr<KeyValueStore> store_;
};

}  // namespace chain::daemon
