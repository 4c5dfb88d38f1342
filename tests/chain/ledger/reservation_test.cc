// SPDX-License-Identifier: BSD-3-Clause
//
// Leases for a time to come: what is locked, who may go back and when, and each row of "The
// deposit" (docs/ledger_rules.md).
#include "tests/chain/ledger/transition_fixture.h"

namespace chain::ledger {
namespace {

constexpr std::uint64_t kMinuteMs = 60'000, kOneHourMs = 60 * kMinuteMs;
constexpr std::int64_t kDeposit = kEscrow / 2, kDepositBurned = kDeposit / 20;
constexpr std::int64_t kForfeitAtStart = kCollateral / 10;

class Reservation : public Transition {
protected:
    // More than a dispute costs, and than kSome cycles do.
    Reservation() { world_.genesis.params.deposit_ppm = 500'000; }

    wire::TxBody right_reservation(std::uint64_t ahead_ms = 2 * kOneHourMs) {
        wire::TxBody body = right_lease();
        wire::OpenLease &action = *body.mutable_open_lease();
        action.set_starts_at_ms(now_ms_ + ahead_ms);
        action.set_expires_at_ms(action.starts_at_ms() + 3 * kMinuteMs);
        return body;
    }
    LeaseId reserve(std::uint64_t ahead_ms = 2 * kOneHourMs) {
        const wire::TxBody body = right_reservation(ahead_ms);
        EXPECT_TRUE(apply(body, {kRenter, kFirst, kSecond}).ok());
        return tx_id(body.SerializeAsString());
    }
    // One whose start has come; both providers have reported it.
    LeaseId begun() {
        const LeaseId id = reserve();
        now_ms_ = state_.lease(id)->starts_at_ms;
        must(start(kFirst, id), {kFirst});
        must(start(kSecond, id), {kSecond});
        return id;
    }
    void must(const wire::TxBody &body, std::vector<unsigned> signers) {
        const Status status = apply(body, std::move(signers));
        ASSERT_TRUE(status.ok()) << status.error().message;
    }
    void close(unsigned who, const LeaseId &id,
               const std::vector<wire::SignedVoucher> &vouchers = {}) {
        must(world_.close(who, nonce(who), id, vouchers), {who});
    }
    void settle_after_window(const LeaseId &id) {
        now_ms_ += world_.genesis.params.challenge_window_ms;
        must(expire(id), {kStranger});
    }
    void pass_start_window() { now_ms_ += world_.genesis.params.start_window_ms; }
    // Against what it had in the beginning.
    std::int64_t gain(unsigned who) {
        const Account a = account(who);
        return a.balance.units + a.escrow.units + a.collateral.units - kStartUnits;
    }
};

TEST_F(Reservation, LocksEverythingAndItsClocksRunFromTheStart) {
    const LeaseId id = reserve();
    const Lease lease = *state_.lease(id);
    EXPECT_TRUE(lease.is_reserved());
    EXPECT_EQ(lease.begins_at_ms(), lease.opened_at_ms + 2 * kOneHourMs);
    EXPECT_EQ(account(kRenter).escrow.units, 2 * kEscrow);
    EXPECT_EQ(account(kSecond).collateral.units, kCollateral);

    now_ms_ = lease.starts_at_ms - 1;
    expect_refused(start(kFirst, id), {kFirst}, ErrorCode::kConflict, "begins at");
    expect_refused(reclaim(kFirst, id), {kFirst}, ErrorCode::kConflict, "has not started");
    expect_refused(expire(id), {kStranger}, ErrorCode::kConflict, "due");
    for (const Cycles cycles : {Cycles{0}, Cycles{1}})
        expect_refused(world_.claim(kFirst, nonce(kFirst), some(id, 0, 1, cycles)), {kFirst},
                       ErrorCode::kInvalidInput, "begins at");

    now_ms_ = lease.starts_at_ms;
    must(start(kFirst, id), {kFirst});
    must(reclaim(kFirst, id), {kFirst});
    must(world_.claim(kStranger, nonce(kStranger), some(id, 0, 1, 0)), {kStranger});
    now_ms_ += 1'000;
    constexpr Cycles kSecond = 4'000'000'000;  // 2 slots of 2 GHz
    expect_refused(world_.claim(kStranger, nonce(kStranger), some(id, 1, 1, kSecond + 1)),
                   {kStranger}, ErrorCode::kInvalidInput, "by now");
    must(world_.claim(kStranger, nonce(kStranger), some(id, 1, 1, kSecond)), {kStranger});
}

TEST_F(Reservation, TheStartWindowRunsFromTheStart) {
    const LeaseId id = reserve();
    now_ms_ = state_.lease(id)->starts_at_ms;
    must(start(kSecond, id), {kSecond});
    now_ms_ += world_.genesis.params.start_window_ms - 1;
    expect_refused(expire(id), {kStranger}, ErrorCode::kConflict, "due");
    ++now_ms_;
    must(expire(id), {kStranger});
    EXPECT_TRUE(leg(id, 0).accused);
    settle_after_window(id);
    EXPECT_EQ(leg(id, 0).end, LegEnd::kNeverSeen);
    EXPECT_EQ(leg(id, 1).end, LegEnd::kVoided);
    EXPECT_EQ(gain(kRenter), 0) << "a gang that is not whole costs its renter nothing";
    EXPECT_EQ(gain(kSecond), 0);
}

TEST_F(Reservation, WrongTermsAreRefused) {
    const std::uint64_t most = world_.genesis.params.reservation_ahead_max_ms;
    const struct {
        const char *why;
        std::uint64_t starts_at_ms, expires_at_ms;
    } cases[] = {
        {"starts after", now_ms_, now_ms_ + 3 * kMinuteMs},
        {"starts after", 1, now_ms_ + 3 * kMinuteMs},
        {"starts after", now_ms_ + most + 1, now_ms_ + most + 1 + 3 * kMinuteMs},
        {"starts after", ~0ULL, now_ms_ + 3 * kMinuteMs},
        {"expiry", now_ms_ + kOneHourMs, now_ms_ + kOneHourMs + kMinuteMs - 1},
        {"expiry", now_ms_ + kOneHourMs,
         now_ms_ + kOneHourMs + world_.genesis.params.lease_duration_max_ms + 120'001},
    };
    for (const auto &c : cases) {
        wire::TxBody body = right_reservation();
        body.mutable_open_lease()->set_starts_at_ms(c.starts_at_ms);
        body.mutable_open_lease()->set_expires_at_ms(c.expires_at_ms);
        expect_refused(body, {kRenter, kFirst, kSecond}, ErrorCode::kInvalidInput, c.why);
    }
    must(right_reservation(1), {kRenter, kFirst, kSecond});
    must(right_reservation(most), {kRenter, kFirst, kSecond});
    world_.genesis.params.reservation_ahead_max_ms = 0;
    expect_refused(right_reservation(1), {kRenter, kFirst, kSecond}, ErrorCode::kInvalidInput,
                   "starts after");
}

TEST_F(Reservation, CancellingIsFreeUntilTheNoticeAndCostsTheDepositAfterIt) {
    const std::uint64_t notice_ms = world_.genesis.params.reservation_notice_ms;
    const struct {
        const char *what;
        std::uint64_t before_ms;  // the start
        std::int64_t payment;
    } cases[] = {
        {"at once", 2 * kOneHourMs - 1, 0},
        {"at the last moment", notice_ms, 0},
        {"a moment later", notice_ms - 1, kDeposit},
        {"just before the start", 1, kDeposit},
    };
    for (const auto &c : cases) {
        const LeaseId id = reserve();
        const std::int64_t renter = gain(kRenter), provider = gain(kFirst);
        now_ms_ = state_.lease(id)->starts_at_ms - c.before_ms;
        close(kRenter, id);
        const Lease lease = *state_.lease(id);
        EXPECT_TRUE(lease.settled()) << c.what;
        EXPECT_EQ(lease.ended_at_ms, now_ms_);
        for (const Leg &leg : lease.legs) {
            EXPECT_EQ(leg.end, LegEnd::kCancelled) << c.what;
            EXPECT_EQ(leg.payment.units, c.payment) << c.what;
            EXPECT_EQ(leg.burned.units, c.payment / 20) << c.what;
            EXPECT_EQ(leg.penalty.units, 0) << c.what;
        }
        EXPECT_EQ(gain(kRenter) - renter, -2 * c.payment) << c.what;
        EXPECT_EQ(gain(kFirst) - provider, c.payment - c.payment / 20) << c.what;
        expect_refused(world_.close(kRenter, nonce(kRenter), id), {kRenter}, ErrorCode::kConflict,
                       "settled already");
    }
    // The fee counts as volume, as any fee does, and as nothing that was done.
    EXPECT_EQ(reputation(kFirst).burned_as_provider.units, 2 * kDepositBurned);
    EXPECT_EQ(reputation(kRenter).burned_as_renter.units, 4 * kDepositBurned);
    EXPECT_EQ(reputation(kFirst).done.units, 0);
    EXPECT_EQ(reputation(kFirst).on_time.units, 0);
    EXPECT_EQ(reputation(kFirst).failed.units, 0);
}

TEST_F(Reservation, ACancelledLegIsNotRated) {
    const LeaseId id = reserve(kOneHourMs - 1);
    close(kRenter, id);
    ASSERT_GT(leg(id, 0).burned.units, 0);
    wire::TxBody body = from(kRenter);
    body.mutable_rate()->set_lease_id(to_bytes(id));
    body.mutable_rate()->set_satisfaction(wire::SATISFACTION_DISSATISFIED);
    expect_refused(body, {kRenter}, ErrorCode::kPermission, "cancelled");
}

TEST_F(Reservation, BeforeTheStartNothingIsSignedAndNobodyIsLost) {
    const LeaseId id = reserve();
    expect_refused(lost(id, {0}), {kRenter}, ErrorCode::kInvalidInput, "nobody is lost");
    expect_refused(disputed(kRenter, id), {kRenter}, ErrorCode::kInvalidInput, "only a provider");
    expect_refused(world_.close(kRenter, nonce(kRenter), id, {final_voucher(id, 0, 0)}), {kRenter},
                   ErrorCode::kInvalidInput, "begins at");
    expect_refused(world_.close(kStranger, nonce(kStranger), id), {kStranger},
                   ErrorCode::kPermission, "no part");
    EXPECT_EQ(leg(id, 0).state, LegState::kOpen);
}

// By its close as by its word, also when it disputes: it has done nothing.
TEST_F(Reservation, AProviderThatWithdrawsLosesWhatNotStartingCosts) {
    for (int way = 0; way < 3; ++way) {
        const LeaseId id = reserve(kOneHourMs / 2);
        const std::int64_t renter = gain(kRenter), first = gain(kFirst), second = gain(kSecond);
        if (way == 0) must(start(kFirst, id, false), {kFirst});
        if (way == 1) close(kFirst, id);
        if (way == 2) must(disputed(kFirst, id), {kFirst});
        EXPECT_EQ(leg(id, 0).end, LegEnd::kNotStarted) << way;
        EXPECT_EQ(gain(kFirst) - first, -kForfeitAtStart) << way;
        EXPECT_TRUE(leg(id, 1).voided) << way;
        // Its renter cannot cancel what is void already, and owes nothing for it.
        if (way == 0) close(kRenter, id);
        EXPECT_EQ(leg(id, 1).state, LegState::kClosing) << way;
        settle_after_window(id);
        EXPECT_EQ(leg(id, 1).end, LegEnd::kVoided) << way;
        EXPECT_EQ(gain(kRenter), renter) << way;
        EXPECT_EQ(gain(kSecond), second) << way;
    }
}

// Whoever closes before somebody sends ExpireLease: the gang was not whole, so no deposit is due.
TEST_F(Reservation, ACloseAfterTheStartWindowFindsWhoIsMissing) {
    for (const unsigned who : {kRenter, kSecond, kFirst}) {
        const LeaseId id = reserve();
        const std::int64_t renter = gain(kRenter), second = gain(kSecond);
        now_ms_ = state_.lease(id)->starts_at_ms;
        must(start(kSecond, id), {kSecond});
        pass_start_window();
        close(who, id);
        EXPECT_TRUE(leg(id, 1).voided) << who;
        settle_after_window(id);
        EXPECT_EQ(leg(id, 0).end, who == kFirst ? LegEnd::kNotStarted : LegEnd::kNeverSeen) << who;
        EXPECT_EQ(leg(id, 1).end, LegEnd::kVoided) << who;
        EXPECT_EQ(gain(kRenter), renter) << who;
        EXPECT_EQ(gain(kSecond), second) << who;
    }
}

// The window of a gang that is void may reach beyond the start.
TEST_F(Reservation, AVoidedLegIsPaidWhatWasSignedAndNoDeposit) {
    const LeaseId id = reserve();
    now_ms_ = state_.lease(id)->starts_at_ms - 1'000;
    must(start(kFirst, id, false), {kFirst});
    now_ms_ += 21'000;
    must(start(kSecond, id), {kSecond});
    close(kSecond, id, {final_voucher(id, 1)});
    EXPECT_EQ(leg(id, 1).end, LegEnd::kCompleted);
    EXPECT_EQ(leg(id, 1).payment.units, kPaid);
    EXPECT_EQ(leg(id, 1).penalty.units, 0);
}

// ---- from the start on: the first leg of each comes to its end in another way

class Deposit : public Reservation {
protected:
    void expect_end(const char *what, LegEnd end, std::int64_t payment, std::int64_t penalty) {
        const Leg first = leg(id_, 0);
        EXPECT_EQ(first.state, LegState::kSettled) << what;
        EXPECT_EQ(leg_end_name(first.end), leg_end_name(end)) << what;
        EXPECT_EQ(first.payment.units, payment) << what;
        EXPECT_EQ(first.burned.units, payment / 20) << what;
        EXPECT_EQ(first.penalty.units, penalty) << what;
        EXPECT_LE(first.payment.units + first.penalty.units, kEscrow) << what;
    }
    void begin() {
        id_ = begun();
        now_ms_ += 50'000;
    }
    void accuse() { must(lost(id_, {0}), {kRenter}); }
    void claim(Cycles cycles = kSome) {
        must(world_.claim(kFirst, nonce(kFirst), some(id_, 0, 1, cycles)), {kFirst});
    }
    void dispute() { must(disputed(kFirst, id_), {kFirst}); }

    LeaseId id_{};
};

TEST_F(Deposit, OnTheRentersWordItIsTheLeastPayment) {
    begin();
    close(kFirst, id_, {final_voucher(id_, 0)});
    expect_end("a final voucher for less", LegEnd::kCompleted, kDeposit, 0);
    EXPECT_EQ(reputation(kFirst).done.units, kDepositBurned) << "work was done";
    begin();
    close(kFirst, id_, {final_voucher(id_, 0, 3 * kSome)});
    expect_end("a final voucher for more", LegEnd::kCompleted, 3 * kPaid, 0);
    begin();
    close(kRenter, id_, {some(id_, 0)});
    EXPECT_TRUE(leg(id_, 0).released);
    settle_after_window(id_);
    expect_end("closed with an unfinished voucher", LegEnd::kCompleted, kDeposit, 0);
    const Leg other = leg(id_, 1);
    EXPECT_EQ(other.end, LegEnd::kCancelled) << "and without one at the other leg";
    EXPECT_EQ(other.payment.units, kDeposit);
    begin();
    close(kRenter, id_);
    claim();
    close(kFirst, id_);
    expect_end("its provider brings one in the window", LegEnd::kCompleted, kDeposit, 0);
    begin();
    close(kRenter, id_);
    close(kFirst, id_);
    expect_end("its provider has none", LegEnd::kCancelled, kDeposit, 0);
}

TEST_F(Deposit, AProviderThatWasNotThereIsNotPaidForIt) {
    id_ = reserve();
    now_ms_ = state_.lease(id_)->starts_at_ms + 50'000;
    close(kRenter, id_);
    must(start(kSecond, id_), {kSecond});
    settle_after_window(id_);
    expect_end("never reported", LegEnd::kCompleted, 0, 0);
    EXPECT_EQ(leg(id_, 1).payment.units, kDeposit) << "reported in the window";
    id_ = reserve();
    now_ms_ = state_.lease(id_)->starts_at_ms + 50'000;
    accuse();
    settle_after_window(id_);
    expect_end("accused, and silent", LegEnd::kNeverSeen, 0, 0);
}

TEST_F(Deposit, OtherwiseItBurns) {
    begin();
    accuse();
    must(start(kFirst, id_), {kFirst});
    settle_after_window(id_);
    expect_end("accused, and answered", LegEnd::kNoShow, 0, kDeposit);
    EXPECT_EQ(reputation(kFirst), incentive::Reputation{}) << "nothing was done, nothing failed";
    begin();
    accuse();
    claim();
    settle_after_window(id_);
    expect_end("answered with a voucher", LegEnd::kCompleted, kPaid, kDeposit - kPaid);
    begin();
    accuse();
    claim(3 * kSome);
    settle_after_window(id_);
    expect_end("with one for more", LegEnd::kCompleted, 3 * kPaid, 0);
    begin();
    accuse();
    close(kFirst, id_, {some(id_, 0)});
    expect_end("answered by closing", LegEnd::kLeft, kPaid, kDeposit - kPaid);
    begin();
    accuse();
    close(kFirst, id_);
    expect_end("answered by closing without a voucher", LegEnd::kNoShow, 0, kDeposit);
    begin();
    close(kFirst, id_, {some(id_, 0)});
    expect_end("left with a voucher", LegEnd::kLeft, kPaid, 0);
    begin();
    claim();
    now_ms_ = state_.lease(id_)->expires_at_ms;
    must(expire(id_), {kStranger});
    expect_end("expired with a voucher", LegEnd::kExpired, kPaid, 0);
    EXPECT_EQ(leg(id_, 1).end, LegEnd::kNoShow) << "and without one at the other leg";
    EXPECT_EQ(leg(id_, 1).penalty.units, kDeposit);
}

TEST_F(Deposit, ARenterHasTheStartWindowToCome) {
    const std::uint64_t window_ms = world_.genesis.params.start_window_ms;
    id_ = begun();
    now_ms_ += window_ms - 1;
    close(kFirst, id_);
    expect_end("its provider left before", LegEnd::kLeft, 0, 0);
    id_ = begun();
    now_ms_ += window_ms;
    close(kFirst, id_);
    expect_end("its provider waited", LegEnd::kNoShow, 0, kDeposit);
    id_ = begun();
    now_ms_ += window_ms - 1;
    dispute();
    expect_end("disputed before", LegEnd::kDisputed, 0, kUnsigned);
    id_ = begun();
    now_ms_ += window_ms;
    dispute();
    expect_end("disputed after", LegEnd::kDisputed, 0, kDeposit);
    begin();
    close(kRenter, id_);
    dispute();
    expect_end("disputed when its renter had closed", LegEnd::kDisputed, 0, kDeposit);
}

TEST_F(Deposit, ADisputeCostsTheLargerOfTheTwo) {
    begin();
    claim();
    dispute();
    expect_end("the deposit", LegEnd::kDisputed, kPaid, kDeposit - kPaid);
    begin();
    claim(3 * kSome);
    dispute();
    expect_end("unsigned work", LegEnd::kDisputed, 3 * kPaid, kUnsigned);
}

TEST_F(Deposit, WhoGivesNoticeOrIsLostHasNone) {
    begin();
    must(reclaim(kFirst, id_), {kFirst});
    close(kFirst, id_);
    expect_end("reclaimed", LegEnd::kReclaimed, 0, 0);
    begin();
    must(reclaim(kFirst, id_), {kFirst});
    close(kFirst, id_, {final_voucher(id_, 0)});
    expect_end("reclaimed, and agreed", LegEnd::kCompleted, kPaid, 0);
    begin();
    must(world_.claim(kStranger, nonce(kStranger), some(id_, 0)), {kStranger});
    accuse();
    settle_after_window(id_);
    expect_end("lost", LegEnd::kLost, kPaid, 0);
    EXPECT_EQ(leg(id_, 0).forfeit.units, kCollateral);
}

// Other leases have no deposit, and no bit that only reservations need.
TEST_F(Deposit, ALeaseAtOnceIsAsItWas) {
    id_ = open();
    close(kRenter, id_);
    EXPECT_FALSE(leg(id_, 0).released);
    close(kFirst, id_);
    expect_end("closed", LegEnd::kCompleted, 0, 0);
    id_ = open();
    pass_start_window();
    close(kFirst, id_);
    expect_end("left", LegEnd::kLeft, 0, 0);
}

}  // namespace
}  // namespace chain::ledger
