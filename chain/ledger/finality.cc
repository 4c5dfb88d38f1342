// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/finality.h"

#include <algorithm>

namespace chain::ledger {

Checkpoint checkpoint_of(const wire::BlockHeader &header, const BlockId &id) {
    return {header.height(), id, header.justified_height(), header.final_height(),
            header.previous_final_height()};
}

Result<Finality> advance(const Finality &before, const incentive::CheckpointVote &link,
                         const Checkpoint &target, const ConsensusParams &params) {
    CHAIN_CHECK(link.target_height == target.height && link.target == target.id);
    if (!is_checkpoint(target.height, params))
        return make_error(ErrorCode::kConflict, "block ", target.height, " is no checkpoint");
    if (target.height <= before.justified.height)
        return make_error(ErrorCode::kConflict, "checkpoint ", before.justified.height,
                          " is justified already, so votes for ", target.height, " say nothing");
    if (link.source_height != target.justified_height)
        return make_error(ErrorCode::kConflict, "votes for checkpoint ", target.height,
                          " come from ", link.source_height, " instead of ",
                          target.justified_height, ", which was justified before it");
    Finality after = before;
    after.justified = target;
    // Nothing lies between the two, so the source is what was justified.
    if (target.height - link.source_height == params.epoch_blocks &&
        link.source_height > before.final.height) {
        CHAIN_CHECK(before.justified.height == link.source_height);
        after.final = before.justified;
        after.previous_final_height = before.final.height;
    }
    return after;
}

VoteWeight vote_weight(const ValidatorEntry &entry) {
    const auto stake = static_cast<VoteWeight>(entry.stake.units);
    return stake * (incentive::kQ16 + VoteWeight{entry.quality_q16}) / incentive::kQ16;
}

ValidatorSet::ValidatorSet(std::vector<ValidatorEntry> entries) : entries_(std::move(entries)) {
    std::sort(entries_.begin(), entries_.end(),
              [](const auto &a, const auto &b) { return a.account < b.account; });
    for (const ValidatorEntry &entry : entries_) total_ += vote_weight(entry);
}

const ValidatorEntry *ValidatorSet::find(const PublicKey &account) const {
    const auto at = std::lower_bound(entries_.begin(), entries_.end(), account,
                                     [](const ValidatorEntry &entry, const PublicKey &wanted) {
                                         return entry.account < wanted;
                                     });
    return at != entries_.end() && at->account == account ? &*at : nullptr;
}

std::size_t ValidatorSet::index_of(const PublicKey &account) const {
    const ValidatorEntry *const entry = find(account);
    CHAIN_CHECK(entry != nullptr);
    return static_cast<std::size_t>(entry - entries_.data());
}

bool is_supermajority(VoteWeight voted, VoteWeight total) {
    return total > 0 && 3 * voted >= 2 * total;
}

bool is_supermajority(std::span<const PublicKey> voters, const VotingSets &sets) {
    for (const ValidatorSet *set : {&sets.present, &sets.previous}) {
        VoteWeight voted = 0;
        for (const PublicKey &voter : voters)
            if (const ValidatorEntry *const entry = set->find(voter)) voted += vote_weight(*entry);
        if (!is_supermajority(voted, set->total())) return false;
    }
    return true;
}

}  // namespace chain::ledger
