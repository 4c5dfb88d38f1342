// SPDX-License-Identifier: BSD-3-Clause
//
// What the interface of back ends says is the same of the model and of the embedded ledger.
#include "chain/backend/memory_backend.h"

#include "tests/chain/backend/vectors_replay.h"
#include "tests/chain/ledger/ledger_fixture.h"

namespace chain {
namespace {

using ledger::World;

class MemoryBackendTest : public testing::Test {
protected:
    MemoryBackendTest() {
        subjects_.push_back(vectors::memory_subject(world_.genesis));
        auto embedded =
            vectors::ledger_subject(world_.genesis, make_memory_store(), world_.sealer_key);
        CHAIN_CHECK(embedded.ok());
        subjects_.push_back(std::move(embedded).value());
    }

    // On both; what the embedded ledger says.
    Result<ledger::TxId> play(const wire::TxBody &body, const std::vector<unsigned> &signers) {
        const wire::SignedTx tx = world_.sign(body, signers);
        now_ms_ += 1'000;
        const auto ours = subjects_[0]->play(tx, now_ms_);
        const auto theirs = subjects_[1]->play(tx, now_ms_);
        EXPECT_EQ(ours.ok(), theirs.ok());
        if (!ours.ok() && !theirs.ok()) {
            EXPECT_EQ(ours.error().code, theirs.error().code);
        }
        return theirs;
    }

    // One and the same answer of both, as `ask` puts it.
    template <class Ask>
    auto both(const Ask &ask) {
        const auto ours = ask(subjects_[0]->backend());
        EXPECT_EQ(ours, ask(subjects_[1]->backend()));
        return ours;
    }

    World world_;
    std::uint64_t now_ms_ = ledger::kGenesisTimeMs;
    std::vector<std::unique_ptr<vectors::Subject>> subjects_;
};

std::vector<ledger::LeaseId> ids_of(const std::vector<ledger::Lease> &leases) {
    std::vector<ledger::LeaseId> ids;
    for (const ledger::Lease &lease : leases) ids.push_back(lease.id);
    return ids;
}

TEST_F(MemoryBackendTest, BothListTheSameLeases) {
    std::vector<ledger::LeaseId> opened;
    for (std::uint64_t i = 0; i < 3; ++i) {
        wire::TxBody body = world_.open_lease(
            0, i, i == 1 ? std::vector<unsigned>{1, 2} : std::vector<unsigned>{2}, now_ms_ + 1'000);
        // The later, the sooner they expire.
        body.mutable_open_lease()->set_expires_at_ms(now_ms_ + 100'000 - i * 10'000);
        opened.push_back(
            *play(body, i == 1 ? std::vector<unsigned>{0, 1, 2} : std::vector<unsigned>{0, 2}));
    }
    const auto leases_of = [&](unsigned who, std::size_t count_max) {
        return both([&](const Backend &backend) {
            return ids_of(*backend.leases_of(world_.keys[who].public_key(), count_max));
        });
    };
    using Ids = std::vector<ledger::LeaseId>;
    EXPECT_EQ(leases_of(0, 10), (Ids{opened[2], opened[1], opened[0]}));
    EXPECT_EQ(leases_of(0, 2), (Ids{opened[2], opened[1]}));
    EXPECT_EQ(leases_of(1, 10), Ids{opened[1]});
    EXPECT_EQ(leases_of(3, 10), Ids{});

    const auto expired = [&](std::size_t count_max) {
        return both([&](const Backend &backend) { return *backend.expired_leases(count_max); });
    };
    EXPECT_EQ(expired(10), Ids{});
    now_ms_ += 90'000;
    ASSERT_TRUE(play(world_.transfer(3, 0, 1, 5), {3}).ok());
    EXPECT_EQ(expired(10), (Ids{opened[2], opened[1]}));
    EXPECT_EQ(expired(1), Ids{opened[2]});
    ASSERT_TRUE(play(world_.expire(3, 1, opened[2]), {3}).ok());
    EXPECT_EQ(expired(10), Ids{opened[1]});
    both([&](const Backend &backend) { return ledger::encode_lease(*backend.lease(opened[2])); });
    both([](const Backend &backend) { return backend.lease(Bytes32{}).error().code; });
}

TEST_F(MemoryBackendTest, BothKnowWhatBecameOfATransaction) {
    std::vector<std::vector<std::uint64_t>> heights(2);
    for (std::size_t i = 0; i < 2; ++i)
        subjects_[i]->backend().on_new_block(
            [&heights, i](std::uint64_t height) { heights[i].push_back(height); });
    const wire::TxBody good = world_.transfer(0, 0, 1, 5);
    const wire::TxBody bad = world_.transfer(0, 1, 1, 2 * ledger::kStartUnits);
    const auto id = play(good, {0});
    ASSERT_TRUE(id.ok());
    EXPECT_FALSE(play(bad, {0}).ok());
    EXPECT_FALSE(play(world_.transfer(0, 7, 1, 5), {0}).ok()) << "a nonce of later";
    EXPECT_FALSE(play(world_.transfer(0, 1, 1, 5), {1}).ok()) << "signed by another";

    const auto status = [&](const ledger::TxId &tx) {
        return both([&](const Backend &backend) {
            const TxOutcome outcome = backend.outcome(tx);
            return std::tuple(outcome.status, outcome.height, outcome.reason.empty());
        });
    };
    EXPECT_EQ(status(*id), std::tuple(TxStatus::kFinal, 1u, true));
    EXPECT_EQ(status(ledger::tx_id(bad.SerializeAsString())),
              std::tuple(TxStatus::kRejected, 0u, false));
    EXPECT_EQ(status(Bytes32{}), std::tuple(TxStatus::kUnknown, 0u, true));
    EXPECT_EQ(heights[0], std::vector<std::uint64_t>{1});
    EXPECT_EQ(heights[1], heights[0]);
    EXPECT_EQ(both([](const Backend &backend) { return backend.height(); }), 1u);
    EXPECT_EQ(both([](const Backend &backend) { return backend.chain_id(); }),
              world_.genesis.chain_id);
    both([](const Backend &backend) { return backend.chain_time_ms(); });
    EXPECT_EQ(both([&](const Backend &backend) {
                  return *backend.next_nonce(world_.keys[0].public_key());
              }),
              1u);
    EXPECT_EQ(both([&](const Backend &backend) {
                  return backend.account(world_.keys[1].public_key())->balance.units;
              }),
              ledger::kStartUnits + 5);
    EXPECT_EQ(subjects_[0]->state_digest(), subjects_[1]->state_digest());
    EXPECT_EQ(subjects_[0]->totals(), subjects_[1]->totals());
}

TEST_F(MemoryBackendTest, WhatIsKnownIsTakenOnceAndWatched) {
    ManualClock clock(ledger::kGenesisTimeMs + 10);
    const auto backend = MemoryBackend::open(clock, world_.genesis).value();
    const wire::SignedTx tx = world_.sign(world_.transfer(0, 0, 1, 5), {0});
    std::vector<TxStatus> seen;
    const ledger::TxId id = ledger::tx_id(tx.body());
    ASSERT_TRUE(
        backend->watch(id, [&](const TxOutcome &outcome) { seen.push_back(outcome.status); }).ok());
    // A callback may submit.
    backend->on_new_block([&](std::uint64_t height) {
        if (height > 1) return;
        EXPECT_TRUE(backend->submit(world_.sign(world_.transfer(0, 1, 1, 5), {0})).ok());
    });
    EXPECT_EQ(*backend->submit(tx), id);
    EXPECT_EQ(*backend->submit(tx), id);
    EXPECT_EQ(seen, (std::vector<TxStatus>{TxStatus::kUnknown, TxStatus::kFinal}));
    EXPECT_EQ(backend->height(), 2u)
        << "the clock stands still, and blocks have times of their own";
    EXPECT_EQ(backend->chain_time_ms(), ledger::kGenesisTimeMs + 11);
    EXPECT_EQ(backend->account(world_.keys[1].public_key())->balance.units,
              ledger::kStartUnits + 10);
}

TEST_F(MemoryBackendTest, RefusalsAreForgottenTheOldestFirst) {
    ManualClock clock(ledger::kGenesisTimeMs + 10);
    const auto backend = MemoryBackend::open(clock, world_.genesis).value();
    std::vector<ledger::TxId> ids;
    for (std::size_t i = 0; i <= MemoryBackend::kRejectionsMax; ++i) {
        const wire::SignedTx tx = world_.sign(world_.transfer(0, 1 + i, 1, 5), {0});
        ids.push_back(ledger::tx_id(tx.body()));
        ASSERT_FALSE(backend->submit(tx).ok());
    }
    EXPECT_EQ(backend->outcome(ids[0]).status, TxStatus::kUnknown);
    EXPECT_EQ(backend->outcome(ids[1]).status, TxStatus::kRejected);
    EXPECT_EQ(backend->outcome(ids.back()).status, TxStatus::kRejected);
}

}  // namespace
}  // namespace chain
