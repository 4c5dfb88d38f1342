// SPDX-License-Identifier: BSD-3-Clause
#include "chain/backend/backend.h"

#include "incentive/settlement.h"

namespace chain {
namespace {

bool is_last(TxStatus status) {
    return status == TxStatus::kFinal || status == TxStatus::kRejected;
}

}  // namespace

std::string_view to_text(TxStatus status) {
    switch (status) {
        case TxStatus::kUnknown: return "unknown";
        case TxStatus::kPending: return "pending";
        case TxStatus::kIncluded: return "included";
        case TxStatus::kJustified: return "justified";
        case TxStatus::kFinal: return "final";
        case TxStatus::kReorganised: return "taken back";
        case TxStatus::kRejected: return "refused";
    }
    CHAIN_CHECK(false);
}

Result<Amount> Backend::collateral(const PublicKey &provider,
                                   const incentive::LegTerms &leg) const {
    CHAIN_ASSIGN(const incentive::Reputation known, reputation(provider));
    return incentive::collateral(leg, incentive::quality_q16(known, params()), params());
}

Status Backend::watch(const ledger::TxId &id, std::function<void(const TxOutcome &)> fn) {
    if (watches_.size() >= kWatchesMax)
        return make_error(ErrorCode::kTooLarge, kWatchesMax, " transactions are watched already");
    const TxOutcome now = outcome(id);
    if (!is_last(now.status)) watches_.push_back({id, now.status, fn});
    fn(now);
    return ok_status();
}

void Backend::look_at_watches() {
    struct Change {
        TxOutcome outcome;
        std::function<void(const TxOutcome &)> fn;
    };
    // Callbacks may watch more: they are called when the list is at rest.
    std::vector<Change> changes;
    for (auto at = watches_.begin(); at != watches_.end();) {
        TxOutcome now = outcome(at->id);
        const bool was_included =
            at->last == TxStatus::kIncluded || at->last == TxStatus::kJustified;
        if (now.status == TxStatus::kUnknown && was_included) now.status = TxStatus::kReorganised;
        if (now.status == at->last || now.status == TxStatus::kUnknown) {
            ++at;
            continue;
        }
        at->last = now.status;
        changes.push_back({now, at->fn});
        at = is_last(now.status) ? watches_.erase(at) : std::next(at);
    }
    for (const Change &change : changes) change.fn(change.outcome);
}

}  // namespace chain
