// SPDX-License-Identifier: BSD-3-Clause
//
// MemoryBackend: the readable model of the ledger as a Backend. Every transaction that the rules
// take is a block of its own, final at once; every other is refused at once. It keeps all in maps:
// for tests, and as the meaning that other back ends are compared with.
//
// Owner: one thread; callbacks come on it, from within submit. Callbacks may call back.
#pragma once

#include <deque>

#include "chain/backend/backend.h"
#include "chain/backend/memory_model.h"
#include "chain/base/clock.h"

namespace chain {

class MemoryBackend final : public Backend {
public:
    static constexpr std::size_t kRejectionsMax = 4'096;  // remembered, oldest forgotten first

    // `clock` outlives the backend. Nothing else can fail that parse_genesis() let pass.
    // Errors: kInvalidInput (the genesis names validators: what they seal takes a chain).
    static Result<std::unique_ptr<MemoryBackend>> open(const Clock &clock, ledger::Genesis genesis);
    MemoryBackend(const MemoryBackend &) = delete;
    MemoryBackend &operator=(const MemoryBackend &) = delete;

    const Bytes32 &chain_id() const override { return genesis_.chain_id; }
    const incentive::Params &params() const override { return genesis_.params; }
    std::uint64_t height() const override { return model_.height(); }
    std::uint64_t chain_time_ms() const override;
    Result<ledger::Account> account(const PublicKey &account) const override;
    Result<std::uint64_t> next_nonce(const PublicKey &account) const override;
    Result<incentive::Reputation> reputation(const PublicKey &account) const override;
    Result<LockedFunds> locked(const PublicKey &account) const override;
    Result<ledger::Lease> lease(const ledger::LeaseId &id) const override;
    Result<std::vector<ledger::Lease>> leases_of(const PublicKey &account,
                                                 std::size_t count_max) const override;
    Result<std::vector<ledger::LeaseId>> expired_leases(std::size_t count_max) const override;
    // A transaction that is in a block already is known, and changes nothing.
    Result<ledger::TxId> submit(const wire::SignedTx &tx) override;
    TxOutcome outcome(const ledger::TxId &id) const override;
    void on_new_block(std::function<void(std::uint64_t height)> fn) override;

    // ---- for comparing

    Bytes32 state_digest() const { return model_.state_digest(); }
    ledger::Totals totals() const { return model_.totals(); }

private:
    MemoryBackend(const Clock &clock, ledger::Genesis genesis);
    void remember_rejection(const ledger::TxId &id, const std::string &reason);

    const Clock &clock_;
    const ledger::Genesis genesis_;
    MemoryModel model_;
    ledger::SignatureCache signatures_;
    std::map<ledger::TxId, std::uint64_t> height_by_tx_;
    std::map<ledger::TxId, std::string> rejections_;
    std::deque<ledger::TxId> rejections_oldest_first_;
    std::vector<std::function<void(std::uint64_t)>> new_block_fns_;
};

}  // namespace chain
