// SPDX-License-Identifier: BSD-3-Clause
//
// Legs that cost nothing: a renter's own machine, or a friend's.
#include "tests/chain/ledger/transition_fixture.h"

namespace chain::ledger {
namespace {

class FreeLeg : public Transition {
protected:
    static void make_free(wire::LeaseLeg &leg) {
        leg.set_free(true);
        leg.set_escrow(0);
        leg.set_collateral(0);
    }
    // kFirst's leg at the price; a second leg, free, of `provider`.
    wire::TxBody with_free(unsigned provider) {
        wire::TxBody body = world_.open_lease(kRenter, nonce(kRenter), {kFirst, provider}, now_ms_);
        make_free(*body.mutable_open_lease()->mutable_legs(1));
        return body;
    }
    LeaseId open(const wire::TxBody &body, std::vector<unsigned> signers) {
        const Status status = apply(body, std::move(signers));
        EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
        now_ms_ += 60'000;
        return tx_id(body.SerializeAsString());
    }
    LeaseId with_own() { return open(with_free(kRenter), {kRenter, kFirst}); }
    LeaseId with_friend() { return open(with_free(kSecond), {kRenter, kFirst, kSecond}); }
    wire::SignedVoucher free_voucher(const LeaseId &id, std::int64_t amount = 0) {
        wire::VoucherBody body = world_.voucher_body(id, 1, 1, kSome);
        body.set_amount(amount);
        return sign_voucher(body, world_.keys[kRenter]);
    }
    void must(const wire::TxBody &body, std::vector<unsigned> signers) {
        const Status status = apply(body, std::move(signers));
        ASSERT_TRUE(status.ok()) << status.error().message;
    }
    // Entries of the index of an account's leases.
    std::size_t listed(unsigned who) {
        std::size_t count = 0;
        const Bytes prefix = lease_index_prefix(world_.keys[who].public_key());
        for (const auto &[key, value] : state_.changes()) count += key.starts_with(prefix) && value;
        return count;
    }
};

TEST_F(FreeLeg, LocksNothingWhateverTheLeasesPrice) {
    const LeaseId id = with_own();
    EXPECT_EQ(account(kRenter).escrow.units, kEscrow);
    EXPECT_EQ(account(kRenter).collateral.units, 0);
    EXPECT_TRUE(leg(id, 1).free);
    EXPECT_EQ(leg(id, 1).escrow.units, 0);
    EXPECT_EQ(state_.lease(id)->price_of(leg(id, 0)).units, 30'000'000);
    EXPECT_EQ(state_.lease(id)->price_of(leg(id, 1)).units, 0);
    EXPECT_EQ(listed(kRenter), 1u) << "once, although it is renter and provider";
    EXPECT_EQ(listed(kFirst), 1u);
}

TEST_F(FreeLeg, OnlyAFreeLegMayBeTheRentersOwn) {
    const struct {
        const char *why;
        void (*spoil)(wire::LeaseLeg &);
    } cases[] = {
        {"themselves", [](auto &leg) { leg.set_free(false); }},
        {"locks nothing", [](auto &leg) { leg.set_escrow(1); }},
        {"locks nothing", [](auto &leg) { leg.set_escrow(-1); }},
        {"locks nothing", [](auto &leg) { leg.set_collateral(1); }},
        {"cycles", [](auto &leg) { leg.set_cycles_max(0); }},
        {"slots", [](auto &leg) { leg.set_slot_count(0); }},
    };
    for (const auto &c : cases) {
        wire::TxBody body = with_free(kRenter);
        c.spoil(*body.mutable_open_lease()->mutable_legs(1));
        expect_refused(body, {kRenter, kFirst}, ErrorCode::kInvalidInput, c.why);
    }
    // Somebody else signs for its machine, free or not.
    const wire::SignedTx unsigned_by = world_.sign(with_free(kSecond), {kRenter, kFirst});
    EXPECT_EQ(decode_tx(unsigned_by.SerializeAsString(), world_.genesis.chain_id).error().code,
              ErrorCode::kBadSignature);
}

TEST_F(FreeLeg, CyclesAreCountedAndCostNothing) {
    const LeaseId id = with_friend();
    expect_refused(world_.claim(kSecond, nonce(kSecond), free_voucher(id, kPaid)), {kSecond},
                   ErrorCode::kInvalidInput, "amount must be 0");
    must(world_.claim(kSecond, nonce(kSecond), free_voucher(id)), {kSecond});
    must(disputed(kSecond, id), {kSecond});
    EXPECT_EQ(leg(id, 1).end, LegEnd::kDisputed);
    EXPECT_EQ(leg(id, 1).cycles, kSome);
    for (const Amount sum : {leg(id, 1).payment, leg(id, 1).burned, leg(id, 1).penalty})
        EXPECT_EQ(sum.units, 0);
    EXPECT_EQ(account(kSecond).balance.units, kStartUnits);
}

// Not even by how often it is looked at: fading rounds down at each look.
TEST_F(FreeLeg, SaysNothingAboutReputation) {
    const incentive::Reputation known{.burned_as_provider = Amount{1'001},
                                      .done = Amount{1'001},
                                      .on_time = Amount{1'001},
                                      .step = 0};
    for (const unsigned who : {kRenter, kSecond})
        state_.put_reputation(world_.keys[who].public_key(), known);
    const auto raw = [&](unsigned who) {
        return *state_.get(reputation_key(world_.keys[who].public_key()));
    };
    const auto renter = raw(kRenter), provider = raw(kSecond);
    wire::TxBody body = world_.open_lease(kRenter, nonce(kRenter), {kSecond}, now_ms_);
    make_free(*body.mutable_open_lease()->mutable_legs(0));
    const LeaseId id = open(body, {kRenter, kSecond});
    now_ms_ += world_.genesis.params.decay_step_ms;
    must(lost(id, {0}), {kRenter});
    now_ms_ += world_.genesis.params.challenge_window_ms;
    must(expire(id), {kStranger});
    EXPECT_EQ(leg(id, 0).end, LegEnd::kNeverSeen);
    EXPECT_EQ(raw(kRenter), renter);
    EXPECT_EQ(raw(kSecond), provider);
}

TEST_F(FreeLeg, TheRentersOwnIsSettledWithItsClose) {
    const LeaseId id = with_own();
    must(start(kFirst, id), {kFirst});
    must(world_.close(kRenter, nonce(kRenter), id, {free_voucher(id)}), {kRenter});
    EXPECT_EQ(leg(id, 1).end, LegEnd::kCompleted);
    EXPECT_EQ(leg(id, 1).cycles, kSome);
    EXPECT_EQ(leg(id, 0).state, LegState::kClosing);
    must(world_.close(kFirst, nonce(kFirst), id), {kFirst});
    EXPECT_TRUE(state_.lease(id)->settled());
    // Whatever it says of itself.
    const LeaseId other = with_own();
    must(lost(other, {0, 1}), {kRenter});
    EXPECT_EQ(leg(other, 1).end, LegEnd::kNeverSeen);
    EXPECT_EQ(leg(other, 1).forfeit.units, 0);
}

TEST_F(FreeLeg, ALeaseMayConsistOfFreeLegsOnly) {
    wire::TxBody body = world_.open_lease(kRenter, nonce(kRenter), {kRenter}, now_ms_);
    make_free(*body.mutable_open_lease()->mutable_legs(0));
    const LeaseId id = open(body, {kRenter});
    EXPECT_EQ(account(kRenter).balance.units, kStartUnits);
    must(start(kRenter, id), {kRenter});
    must(reclaim(kRenter, id), {kRenter});
    must(world_.close(kRenter, nonce(kRenter), id), {kRenter});
    EXPECT_EQ(leg(id, 0).end, LegEnd::kReclaimed);
    EXPECT_TRUE(state_.lease(id)->settled());
    EXPECT_EQ(state_.lease(id)->ended_at_ms, now_ms_);
}

// A renter could have its own machine not start, and pay nobody.
TEST_F(FreeLeg, VoidsNoGang) {
    const LeaseId id = with_own();
    must(start(kFirst, id), {kFirst});
    must(start(kRenter, id, false), {kRenter});
    EXPECT_EQ(leg(id, 1).end, LegEnd::kNotStarted);
    EXPECT_EQ(leg(id, 0).state, LegState::kOpen);

    const LeaseId second = with_friend();
    must(start(kFirst, second), {kFirst});
    must(world_.close(kSecond, nonce(kSecond), second), {kSecond});
    EXPECT_EQ(leg(second, 1).end, LegEnd::kNotStarted);
    EXPECT_FALSE(leg(second, 0).voided);

    const LeaseId third = with_own();
    must(start(kFirst, third), {kFirst});
    now_ms_ += world_.genesis.params.start_window_ms - 60'000;
    expect_refused(expire(third), {kStranger}, ErrorCode::kConflict, "due");
}

TEST_F(FreeLeg, IsVoidedWithItsGang) {
    const LeaseId id = with_own();
    must(start(kFirst, id, false), {kFirst});
    EXPECT_TRUE(leg(id, 1).voided);
    now_ms_ += world_.genesis.params.challenge_window_ms;
    must(expire(id), {kStranger});
    EXPECT_EQ(leg(id, 1).end, LegEnd::kVoided);
}

// Instead of cancelling, whose deposit it would save.
TEST_F(FreeLeg, VoidsNoReservation) {
    wire::TxBody body = with_free(kRenter);
    body.mutable_open_lease()->set_starts_at_ms(now_ms_ + 120'000);
    body.mutable_open_lease()->set_expires_at_ms(now_ms_ + 300'000);
    const LeaseId id = open(body, {kRenter, kFirst});
    must(start(kRenter, id, false), {kRenter});
    EXPECT_EQ(leg(id, 0).state, LegState::kOpen);
    must(world_.close(kRenter, nonce(kRenter), id), {kRenter});
    EXPECT_EQ(leg(id, 0).end, LegEnd::kCancelled);
    EXPECT_EQ(leg(id, 0).payment.units, kEscrow / 10);
    EXPECT_EQ(leg(id, 1).end, LegEnd::kNotStarted);
}

}  // namespace
}  // namespace chain::ledger
