// SPDX-License-Identifier: BSD-3-Clause
//
// The back ends that vectors are replayed on.
#include "chain/backend/ledger_backend.h"
#include "chain/backend/memory_backend.h"
#include "tests/chain/backend/vectors_replay.h"

namespace chain::vectors {
namespace {

constexpr std::uint64_t kBlockTimeoutMs = 60'000;

class MemorySubject final : public Subject {
public:
    explicit MemorySubject(const ledger::Genesis &genesis)
        : clock_(genesis.time_ms), backend_(MemoryBackend::open(clock_, genesis).value()) {}
    Backend &backend() override { return *backend_; }
    Result<ledger::TxId> play(const wire::SignedTx &tx, std::uint64_t time_ms) override {
        clock_.advance_ms(time_ms - clock_.unix_ms());
        return backend_->submit(tx);
    }
    Bytes32 state_digest() const override { return backend_->state_digest(); }
    ledger::Totals totals() const override { return backend_->totals(); }

private:
    ManualClock clock_;
    std::unique_ptr<MemoryBackend> backend_;
};

class LedgerSubject final : public Subject {
public:
    explicit LedgerSubject(const ledger::Genesis &genesis) : clock_(genesis.time_ms) {}
    Status open(const ledger::Genesis &genesis, std::unique_ptr<KeyValueStore> store,
                const KeyPair &sealer) {
        CHAIN_ASSIGN(KeyPair key, KeyPair::from_secret(sealer.secret()));
        CHAIN_ASSIGN(backend_, LedgerBackend::open(loop_, clock_, std::move(store), genesis,
                                                   std::move(key), {.block_spacing_ms = 0}));
        backend_->on_new_block([this](std::uint64_t) { loop_.stop(); });
        return ok_status();
    }
    Backend &backend() override { return *backend_; }
    Result<ledger::TxId> play(const wire::SignedTx &tx, std::uint64_t time_ms) override {
        clock_.advance_ms(time_ms - clock_.unix_ms());
        CHAIN_ASSIGN(const ledger::TxId id, backend_->submit(tx));
        const LoopHandle limit = loop_.after_ms(kBlockTimeoutMs, [this] { loop_.stop(); });
        loop_.run();
        return id;
    }
    Bytes32 state_digest() const override { return backend_->state_digest(); }
    ledger::Totals totals() const override { return backend_->tip().totals; }

private:
    Loop loop_;
    ManualClock clock_;
    std::unique_ptr<LedgerBackend> backend_;
};

}  // namespace

std::unique_ptr<Subject> memory_subject(const ledger::Genesis &genesis) {
    return std::make_unique<MemorySubject>(genesis);
}

Result<std::unique_ptr<Subject>> ledger_subject(const ledger::Genesis &genesis,
                                                std::unique_ptr<KeyValueStore> store,
                                                const KeyPair &sealer) {
    auto subject = std::make_unique<LedgerSubject>(genesis);
    CHAIN_TRY(subject->open(genesis, std::move(store), sealer));
    return std::unique_ptr<Subject>(std::move(subject));
}

}  // namespace chain::vectors
