// SPDX-License-Identifier: BSD-3-Clause
#include "chain/backend/memory_backend.h"

#include <algorithm>

namespace chain {

MemoryBackend::MemoryBackend(const Clock &clock, ledger::Genesis genesis)
    : clock_(clock), genesis_(std::move(genesis)), model_(genesis_) {}

Result<std::unique_ptr<MemoryBackend>> MemoryBackend::open(const Clock &clock,
                                                           ledger::Genesis genesis) {
    if (genesis.consensus.kind != ledger::ConsensusKind::kSolo)
        return make_error(ErrorCode::kInvalidInput, "a network in memory has one sealer; \"",
                          genesis.chain_name, "\" has validators");
    return std::unique_ptr<MemoryBackend>(new MemoryBackend(clock, std::move(genesis)));
}

std::uint64_t MemoryBackend::chain_time_ms() const {
    return std::max(clock_.unix_ms(), model_.now_ms());
}

Result<ledger::Account> MemoryBackend::account(const PublicKey &account) const {
    return model_.account(account);
}

Result<std::uint64_t> MemoryBackend::next_nonce(const PublicKey &account) const {
    return model_.account(account).nonce;
}

Result<incentive::Reputation> MemoryBackend::reputation(const PublicKey &account) const {
    return model_.reputation(account, chain_time_ms());
}

Result<LockedFunds> MemoryBackend::locked(const PublicKey &account) const {
    const ledger::Account found = model_.account(account);
    return LockedFunds{found.escrow, found.collateral};
}

Result<ledger::Lease> MemoryBackend::lease(const ledger::LeaseId &id) const {
    const auto found = model_.leases().find(id);
    if (found == model_.leases().end())
        return make_error(ErrorCode::kNotFound, "there is no lease ", short_hex(id));
    return found->second.lease;
}

Result<std::vector<ledger::Lease>> MemoryBackend::leases_of(const PublicKey &account,
                                                            std::size_t count_max) const {
    std::vector<const MemoryLease *> found;
    for (const auto &[id, entry] : model_.leases()) {
        const auto &legs = entry.lease.legs;
        if (entry.lease.renter == account ||
            std::any_of(legs.begin(), legs.end(),
                        [&](const ledger::Leg &leg) { return leg.provider == account; }))
            found.push_back(&entry);
    }
    std::sort(found.begin(), found.end(),
              [](const MemoryLease *a, const MemoryLease *b) { return a->height > b->height; });
    found.resize(std::min(found.size(), count_max));
    std::vector<ledger::Lease> leases;
    for (const MemoryLease *entry : found) leases.push_back(entry->lease);
    return leases;
}

Result<std::vector<ledger::LeaseId>> MemoryBackend::expired_leases(std::size_t count_max) const {
    std::vector<std::pair<std::uint64_t, ledger::LeaseId>> found;
    for (const auto &[id, entry] : model_.leases())
        if (!entry.lease.settled() && entry.lease.expires_at_ms <= chain_time_ms())
            found.emplace_back(entry.lease.expires_at_ms, id);
    std::sort(found.begin(), found.end());
    found.resize(std::min(found.size(), count_max));
    std::vector<ledger::LeaseId> ids;
    for (const auto &[expires_at_ms, id] : found) ids.push_back(id);
    return ids;
}

Result<ledger::TxId> MemoryBackend::submit(const wire::SignedTx &signed_tx) {
    CHAIN_ASSIGN(const ledger::Tx tx,
                 ledger::decode_tx(signed_tx.SerializeAsString(), genesis_.chain_id));
    if (height_by_tx_.contains(tx.id)) return tx.id;
    const std::uint64_t time_ms = std::max(clock_.unix_ms(), model_.now_ms() + 1);
    const Status applied = model_.apply_block(tx, time_ms, &signatures_);
    if (!applied.ok()) {
        remember_rejection(tx.id, applied.error().message);
        return applied.error();
    }
    height_by_tx_[tx.id] = model_.height();
    // Callbacks may add callbacks, so they run from a copy.
    const auto fns = new_block_fns_;
    for (const auto &fn : fns) fn(height_by_tx_[tx.id]);
    look_at_watches();
    return tx.id;
}

void MemoryBackend::remember_rejection(const ledger::TxId &id, const std::string &reason) {
    if (rejections_.insert_or_assign(id, reason).second) rejections_oldest_first_.push_back(id);
    if (rejections_oldest_first_.size() <= kRejectionsMax) return;
    rejections_.erase(rejections_oldest_first_.front());
    rejections_oldest_first_.pop_front();
}

TxOutcome MemoryBackend::outcome(const ledger::TxId &id) const {
    const auto included = height_by_tx_.find(id);
    if (included != height_by_tx_.end()) return {TxStatus::kFinal, included->second, {}};
    const auto rejected = rejections_.find(id);
    if (rejected != rejections_.end()) return {TxStatus::kRejected, 0, rejected->second};
    return {};
}

void MemoryBackend::on_new_block(std::function<void(std::uint64_t height)> fn) {
    new_block_fns_.push_back(std::move(fn));
}

}  // namespace chain
