// SPDX-License-Identifier: BSD-3-Clause
//
// One transaction after the other on a state in memory; after each, the money must add up, and what
// was refused must have changed nothing.
#pragma once

#include "chain/ledger/transition.h"
#include "tests/chain/ledger/ledger_fixture.h"

namespace chain::ledger {

inline constexpr unsigned kRenter = 0, kFirst = 1, kSecond = 2, kStranger = 3;
inline constexpr Cycles kSome = 60'000'000'000;  // a quarter of a leg
// price 0.03, 2.4e11 cycles: escrow 2,000,000; collateral of a newcomer 400,000
inline constexpr std::int64_t kEscrow = 2'000'000, kCollateral = 400'000;
inline constexpr Cycles kLegCycles = 4 * kSome;
inline constexpr std::int64_t kPaid = 500'000, kBurned = 25'000;  // for kSome
// 8 s of 2 slots of 2 GHz at 0.03 tokens per GHz·h, rounded up.
inline constexpr std::int64_t kUnsigned = 266'667;

class Transition : public testing::Test {
protected:
    Transition() : store_(make_memory_store()), reader_(*store_), state_(reader_) {
        auto genesis = execute_genesis(world_.genesis);
        CHAIN_CHECK(genesis.ok());
        for (const auto &[key, value] : genesis->changes) state_.put_raw(key, *value);
        totals_.minted = Amount{4 * kStartUnits};
    }

    Status apply(const wire::TxBody &body, std::vector<unsigned> signers) {
        const Changes before = state_.changes();
        const TxContext context{world_.genesis, kHeight, index_++, now_ms_, nullptr};
        const Status status = apply_tx(state_, world_.decode(world_.sign(body, signers)), context);
        if (!status.ok()) {
            EXPECT_EQ(state_.changes(), before) << "an error changed the state";
        }
        expect_conserved();
        return status;
    }

    void expect_conserved() {
        const auto store = make_memory_store();
        WriteBatch batch;
        for (const auto &[key, value] : state_.changes())
            if (value) batch.put(key, *value);
        CHAIN_CHECK(store->write(batch, false).ok());
        auto counted = recount(*store);
        ASSERT_TRUE(counted.ok()) << counted.error().message;
        counted->totals.minted = totals_.minted;
        EXPECT_TRUE(check_conservation(counted->totals).ok());
    }

    void expect_refused(const wire::TxBody &body, std::vector<unsigned> signers, ErrorCode code,
                        const std::string &why) {
        const Status status = apply(body, signers);
        ASSERT_FALSE(status.ok()) << "not refused: " << why;
        EXPECT_EQ(status.error().code, code) << status.error().message;
        EXPECT_NE(status.error().message.find(why), std::string::npos) << status.error().message;
    }

    Account account(unsigned who) { return *state_.account(world_.keys[who].public_key()); }
    std::uint64_t nonce(unsigned who) { return account(who).nonce; }
    wire::TxBody right_lease() {
        return world_.open_lease(kRenter, nonce(kRenter), {kFirst, kSecond}, now_ms_);
    }
    // A lease whose legs have not started.
    LeaseId open_only() {
        const wire::TxBody body = right_lease();
        EXPECT_TRUE(apply(body, {kRenter, kFirst, kSecond}).ok());
        return tx_id(body.SerializeAsString());
    }
    // One whose legs have started, when the agreed minute is over.
    LeaseId open() {
        const LeaseId id = open_only();
        Lease lease = *state_.lease(id);
        for (Leg &leg : lease.legs) leg.started = true;
        state_.put_lease(lease);
        now_ms_ += 60'000;
        return id;
    }
    // From a sender, with its next nonce.
    wire::TxBody from(unsigned who) { return world_.body(who, nonce(who)); }
    wire::TxBody start(unsigned who, const LeaseId &id, bool started = true) {
        wire::TxBody out = from(who);
        out.mutable_report_start()->set_lease_id(to_bytes(id));
        out.mutable_report_start()->set_started(started);
        return out;
    }
    wire::TxBody reclaim(unsigned who, const LeaseId &id) {
        wire::TxBody out = from(who);
        out.mutable_reclaim_notice()->set_lease_id(to_bytes(id));
        return out;
    }
    wire::TxBody lost(const LeaseId &id, const std::vector<std::uint32_t> &legs) {
        wire::TxBody out = world_.close(kRenter, nonce(kRenter), id);
        for (const std::uint32_t leg : legs) out.mutable_close_lease()->add_lost_legs(leg);
        return out;
    }
    wire::TxBody disputed(unsigned who, const LeaseId &id) {
        wire::TxBody out = world_.close(who, nonce(who), id);
        out.mutable_close_lease()->set_disputed(true);
        return out;
    }
    wire::TxBody expire(const LeaseId &id) {
        return world_.expire(kStranger, nonce(kStranger), id);
    }
    wire::SignedVoucher final_voucher(const LeaseId &id, std::uint32_t leg, Cycles cycles = kSome) {
        wire::VoucherBody body = world_.voucher_body(id, leg, 9, cycles);
        body.set_final(true);
        return sign_voucher(body, world_.keys[kRenter]);
    }
    Leg leg(const LeaseId &id, std::size_t number) { return state_.lease(id)->legs[number]; }
    wire::SignedVoucher some(const LeaseId &id, std::uint32_t leg, std::uint64_t sequence = 1,
                             Cycles cycles = kSome) {
        return world_.voucher(kRenter, id, leg, sequence, cycles);
    }

    incentive::Reputation reputation(unsigned who) {
        return *state_.reputation(world_.keys[who].public_key(),
                                  decay_step(world_.genesis, now_ms_));
    }

    static constexpr std::uint64_t kHeight = 1'000;
    World world_;
    std::unique_ptr<KeyValueStore> store_;
    StoreReader reader_;
    Overlay state_;
    Totals totals_;
    std::uint64_t now_ms_ = kGenesisTimeMs + 1;
    std::uint32_t index_ = 0;
};

}  // namespace chain::ledger
