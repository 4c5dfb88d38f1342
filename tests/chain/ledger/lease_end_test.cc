// SPDX-License-Identifier: BSD-3-Clause
//
// How legs come to their end, and who keeps what then (docs/ledger_rules.md, "Each leg ends once").
#include "tests/chain/ledger/transition_fixture.h"

namespace chain::ledger {
namespace {

class LeaseEnd : public Transition {
protected:
    void pass_window() { now_ms_ += world_.genesis.params.challenge_window_ms; }
    void pass_start_window() { now_ms_ += world_.genesis.params.start_window_ms; }
    LegEnd end(const LeaseId &id, std::size_t number) { return leg(id, number).end; }
    std::int64_t lost_collateral(unsigned who) {
        return kStartUnits - account(who).balance.units - account(who).collateral.units;
    }
};

constexpr std::int64_t kStartForfeit = kCollateral / 10;

TEST_F(LeaseEnd, CompletedByAFinalVoucher) {
    const LeaseId id = open();
    ASSERT_TRUE(apply(world_.close(kFirst, 0, id, {final_voucher(id, 0)}), {kFirst}).ok());
    EXPECT_EQ(end(id, 0), LegEnd::kCompleted);
    EXPECT_EQ(reputation(kFirst).done.units, kBurned);
    EXPECT_EQ(reputation(kFirst).on_time.units, kBurned);
    EXPECT_EQ(reputation(kRenter).burned_as_renter.units, kBurned);
}

TEST_F(LeaseEnd, TheWordStaysWhenAHigherVoucherFollows) {
    const LeaseId id = open();
    ASSERT_TRUE(apply(world_.claim(kFirst, 0, final_voucher(id, 0)), {kFirst}).ok());
    ASSERT_TRUE(apply(world_.close(kFirst, 1, id, {some(id, 0, 2, 2 * kSome)}), {kFirst}).ok());
    EXPECT_EQ(end(id, 0), LegEnd::kCompleted);
    EXPECT_EQ(leg(id, 0).payment.units, 2 * kPaid);
}

TEST_F(LeaseEnd, LeftWithoutTheRentersWord) {
    const LeaseId id = open();
    ASSERT_TRUE(apply(world_.close(kFirst, 0, id, {some(id, 0)}), {kFirst}).ok());
    EXPECT_EQ(end(id, 0), LegEnd::kLeft);
    EXPECT_EQ(account(kFirst).balance.units, kStartUnits + kPaid - kBurned) << "collateral is back";
    EXPECT_EQ(reputation(kFirst).done.units, 0);
    EXPECT_EQ(reputation(kFirst).burned_as_provider.units, kBurned);
    EXPECT_EQ(leg(id, 0).penalty.units, 0) << "it disputes nothing";
    EXPECT_EQ(leg(id, 1).state, LegState::kOpen) << "the others go on";
}

// What the renter saves by not signing the last of the work, it loses.
TEST_F(LeaseEnd, WorkThatWasNotSignedIsBurned) {
    const struct {
        const char *what;
        Cycles signed_cycles;
        std::int64_t penalty;
    } cases[] = {
        {"all that unsigned_work_ms allows", kSome, kUnsigned},
        {"never more than the leg has left", kLegCycles - 1'200'000'000, 10'000},
        {"nothing, when all of the leg is signed for", kLegCycles, 0},
    };
    for (const auto &c : cases) {
        const LeaseId id = open();
        const std::int64_t renter = account(kRenter).balance.units;
        const std::int64_t provider = account(kFirst).balance.units;
        // The renter closes, with a final voucher for less than was worked, and the provider says
        // so.
        ASSERT_TRUE(apply(world_.close(kRenter, nonce(kRenter), id,
                                       {final_voucher(id, 0, c.signed_cycles)}),
                          {kRenter})
                        .ok());
        ASSERT_TRUE(apply(disputed(kFirst, id), {kFirst}).ok());
        EXPECT_EQ(end(id, 0), LegEnd::kDisputed) << c.what;
        EXPECT_EQ(leg(id, 0).penalty.units, c.penalty) << c.what;
        EXPECT_EQ(leg(id, 0).forfeit.units, 0) << c.what;
        const std::int64_t paid = leg(id, 0).payment.units;
        EXPECT_EQ(account(kRenter).balance.units - renter, kEscrow - paid - c.penalty) << c.what;
        EXPECT_EQ(account(kFirst).balance.units - provider,
                  paid - leg(id, 0).burned.units + kCollateral)
            << c.what << ": the penalty is not the provider's";
        pass_window();
        ASSERT_TRUE(apply(expire(id), {kStranger}).ok());
    }
}

// However a leg is about to end, work that it did and nobody signed for costs the renter.
TEST_F(LeaseEnd, WhoHasWorkedMayDisputeWhoHasNotMayNot) {
    const LeaseId left = open();
    ASSERT_TRUE(apply(reclaim(kFirst, left), {kFirst}).ok());
    ASSERT_TRUE(apply(disputed(kFirst, left), {kFirst}).ok());
    EXPECT_EQ(end(left, 0), LegEnd::kDisputed);
    EXPECT_EQ(leg(left, 0).penalty.units, kUnsigned);

    const LeaseId voided = open_only();
    ASSERT_TRUE(apply(start(kFirst, voided), {kFirst}).ok());
    ASSERT_TRUE(apply(disputed(kSecond, voided), {kSecond}).ok());
    EXPECT_EQ(end(voided, 1), LegEnd::kNotStarted) << "it did nothing";
    EXPECT_EQ(leg(voided, 1).penalty.units, 0);
    ASSERT_TRUE(apply(disputed(kFirst, voided), {kFirst}).ok());
    EXPECT_EQ(end(voided, 0), LegEnd::kDisputed) << "its gang is void, its work was done";
    EXPECT_EQ(leg(voided, 0).penalty.units, kUnsigned);
    expect_refused(disputed(kRenter, open()), {kRenter}, ErrorCode::kInvalidInput,
                   "only a provider disputes");
}

TEST_F(LeaseEnd, ReclaimedAfterANotice) {
    const LeaseId id = open();
    ASSERT_TRUE(apply(reclaim(kFirst, id), {kFirst}).ok());
    expect_refused(reclaim(kFirst, id), {kFirst}, ErrorCode::kConflict, "without a notice");
    ASSERT_TRUE(apply(world_.close(kFirst, 1, id, {some(id, 0)}), {kFirst}).ok());
    EXPECT_EQ(end(id, 0), LegEnd::kReclaimed);
    EXPECT_EQ(account(kFirst).balance.units, kStartUnits + kPaid - kBurned);
    expect_refused(reclaim(kStranger, id), {kStranger}, ErrorCode::kPermission, "no provider");
}

TEST_F(LeaseEnd, WhoGaveNoticeCannotBeAccused) {
    const LeaseId id = open();
    ASSERT_TRUE(apply(reclaim(kFirst, id), {kFirst}).ok());
    ASSERT_TRUE(apply(lost(id, {0}), {kRenter}).ok());
    pass_window();
    ASSERT_TRUE(apply(expire(id), {kStranger}).ok());
    EXPECT_EQ(end(id, 0), LegEnd::kReclaimed);
    EXPECT_EQ(lost_collateral(kFirst), 0);
}

TEST_F(LeaseEnd, NoNoticeBeforeTheStart) {
    const LeaseId id = open_only();
    expect_refused(reclaim(kFirst, id), {kFirst}, ErrorCode::kConflict, "has not started");
}

TEST_F(LeaseEnd, SilenceConfirmsThatAProviderIsLost) {
    const LeaseId id = open();
    ASSERT_TRUE(apply(world_.claim(kStranger, 0, some(id, 0)), {kStranger}).ok());
    ASSERT_TRUE(apply(lost(id, {0}), {kRenter}).ok());
    pass_window();
    const std::int64_t renter_before = account(kRenter).balance.units;
    ASSERT_TRUE(apply(expire(id), {kStranger}).ok());
    EXPECT_EQ(end(id, 0), LegEnd::kLost);
    EXPECT_EQ(end(id, 1), LegEnd::kCompleted) << "not accused";
    EXPECT_EQ(leg(id, 0).forfeit.units, kCollateral);
    EXPECT_EQ(account(kFirst).balance.units, kStartUnits - kCollateral + kPaid - kBurned)
        << "paid for what the renter signed";
    EXPECT_EQ(account(kRenter).balance.units - renter_before, 2 * kEscrow - kPaid)
        << "the forfeit is nobody's gain";
    EXPECT_EQ(reputation(kFirst).failed.units, kEscrow / 20);
}

TEST_F(LeaseEnd, AnyAnswerOfTheAccusedWillDo) {
    for (int way = 0; way < 3; ++way) {
        const LeaseId id = open();
        ASSERT_TRUE(apply(lost(id, {0}), {kRenter}).ok());
        const std::int64_t before = lost_collateral(kFirst);
        const wire::TxBody answers[] = {start(kFirst, id),
                                        world_.claim(kFirst, nonce(kFirst), some(id, 0)),
                                        world_.close(kFirst, nonce(kFirst), id)};
        ASSERT_TRUE(apply(answers[way], {kFirst}).ok());
        pass_window();
        ASSERT_TRUE(apply(expire(id), {kStranger}).ok());
        EXPECT_EQ(end(id, 0), way == 2 ? LegEnd::kLeft : LegEnd::kCompleted) << way;
        EXPECT_EQ(leg(id, 0).forfeit.units, 0) << way;
        EXPECT_LE(lost_collateral(kFirst), before) << way;
    }
}

TEST_F(LeaseEnd, SomebodyElsesVoucherIsNoAnswer) {
    const LeaseId id = open();
    ASSERT_TRUE(apply(lost(id, {0}), {kRenter}).ok());
    ASSERT_TRUE(apply(world_.claim(kStranger, 0, some(id, 0)), {kStranger}).ok());
    pass_window();
    ASSERT_TRUE(apply(expire(id), {kStranger}).ok());
    EXPECT_EQ(end(id, 0), LegEnd::kLost);
}

TEST_F(LeaseEnd, LostLegsMustBeLegsInOrder) {
    const LeaseId id = open();
    for (const std::vector<std::uint32_t> &legs :
         {std::vector<std::uint32_t>{2}, {1, 0}, {0, 0}, {0, 1, 2}})
        expect_refused(lost(id, legs), {kRenter}, ErrorCode::kInvalidInput, "rising order");
    wire::TxBody by_provider = world_.close(kFirst, 0, id);
    by_provider.mutable_close_lease()->add_lost_legs(1);
    expect_refused(by_provider, {kFirst}, ErrorCode::kInvalidInput, "only the renter");
}

TEST_F(LeaseEnd, OneThatSaysItDoesNotStartVoidsTheGang) {
    const LeaseId id = open_only();
    ASSERT_TRUE(apply(start(kSecond, id), {kSecond}).ok());
    expect_refused(start(kSecond, id), {kSecond}, ErrorCode::kConflict, "reported already");
    ASSERT_TRUE(apply(start(kFirst, id, false), {kFirst}).ok());
    EXPECT_EQ(end(id, 0), LegEnd::kNotStarted);
    EXPECT_EQ(leg(id, 0).forfeit.units, kStartForfeit);
    EXPECT_EQ(leg(id, 1).state, LegState::kClosing);
    ASSERT_TRUE(apply(world_.close(kSecond, 1, id), {kSecond}).ok());
    EXPECT_EQ(end(id, 1), LegEnd::kVoided);
    EXPECT_EQ(account(kRenter).balance.units, kStartUnits) << "nothing is charged";
    EXPECT_EQ(account(kSecond).balance.units, kStartUnits);
    EXPECT_EQ(account(kFirst).balance.units, kStartUnits - kStartForfeit);
}

TEST_F(LeaseEnd, ClosingInsteadOfStartingIsTheSame) {
    const LeaseId id = open_only();
    ASSERT_TRUE(apply(world_.close(kFirst, 0, id), {kFirst}).ok());
    EXPECT_EQ(end(id, 0), LegEnd::kNotStarted);
    EXPECT_EQ(lost_collateral(kFirst), kStartForfeit);
    pass_window();
    ASSERT_TRUE(apply(expire(id), {kStranger}).ok());
    EXPECT_EQ(end(id, 1), LegEnd::kVoided);
}

TEST_F(LeaseEnd, ARenterWhoGoesBackBeforeTheStartBlamesNobody) {
    const LeaseId id = open_only();
    ASSERT_TRUE(apply(world_.close(kFirst, 0, id, {final_voucher(id, 0, 0)}), {kFirst}).ok());
    EXPECT_EQ(end(id, 0), LegEnd::kCompleted);
    EXPECT_EQ(lost_collateral(kFirst), 0);
    ASSERT_TRUE(apply(world_.close(kRenter, 1, id), {kRenter}).ok());
    ASSERT_TRUE(apply(world_.close(kSecond, 0, id), {kSecond}).ok());
    EXPECT_EQ(end(id, 1), LegEnd::kCompleted);
    EXPECT_EQ(lost_collateral(kSecond), 0);
}

TEST_F(LeaseEnd, AVoidedLegIsPaidWhatTheRenterSigned) {
    const LeaseId id = open_only();
    ASSERT_TRUE(apply(start(kSecond, id), {kSecond}).ok());
    now_ms_ += 30'000;
    ASSERT_TRUE(apply(start(kFirst, id, false), {kFirst}).ok());
    ASSERT_TRUE(apply(world_.claim(kSecond, 1, some(id, 1)), {kSecond}).ok());
    pass_window();
    ASSERT_TRUE(apply(expire(id), {kStranger}).ok());
    EXPECT_EQ(end(id, 1), LegEnd::kCompleted);
    EXPECT_EQ(leg(id, 1).payment.units, kPaid);
}

TEST_F(LeaseEnd, WhoNeverStartsLosesItsCollateral) {
    const LeaseId id = open_only();
    ASSERT_TRUE(apply(start(kSecond, id), {kSecond}).ok());
    now_ms_ += world_.genesis.params.start_window_ms - 1;
    expect_refused(expire(id), {kStranger}, ErrorCode::kConflict, "due");
    ++now_ms_;
    ASSERT_TRUE(apply(expire(id), {kStranger}).ok());
    EXPECT_TRUE(leg(id, 0).accused);
    EXPECT_FALSE(leg(id, 1).accused);
    pass_window();
    ASSERT_TRUE(apply(expire(id), {kStranger}).ok());
    EXPECT_EQ(end(id, 0), LegEnd::kNeverSeen);
    EXPECT_EQ(end(id, 1), LegEnd::kVoided);
    EXPECT_EQ(lost_collateral(kFirst), kCollateral);
    EXPECT_EQ(lost_collateral(kSecond), 0);
    EXPECT_EQ(account(kRenter).balance.units, kStartUnits);
}

TEST_F(LeaseEnd, ALateStarterAnswers) {
    const LeaseId id = open_only();
    pass_start_window();
    ASSERT_TRUE(apply(expire(id), {kStranger}).ok());
    ASSERT_TRUE(apply(start(kFirst, id), {kFirst}).ok());
    // To close without having started is to say that one does not.
    ASSERT_TRUE(apply(world_.close(kSecond, 0, id), {kSecond}).ok());
    EXPECT_EQ(end(id, 1), LegEnd::kNotStarted);
    pass_window();
    ASSERT_TRUE(apply(expire(id), {kStranger}).ok());
    EXPECT_EQ(end(id, 0), LegEnd::kVoided);
    EXPECT_EQ(lost_collateral(kFirst), 0);
    EXPECT_EQ(lost_collateral(kSecond), kStartForfeit);
}

TEST_F(LeaseEnd, AVoucherIsAsGoodAsAReport) {
    const LeaseId id = open_only();
    ASSERT_TRUE(apply(start(kSecond, id), {kSecond}).ok());
    now_ms_ += 60'000;
    ASSERT_TRUE(apply(world_.claim(kStranger, 0, some(id, 0)), {kStranger}).ok());
    pass_start_window();
    ASSERT_TRUE(apply(expire(id), {kStranger}).ok()) << "it is also past its expiry";
    EXPECT_EQ(end(id, 0), LegEnd::kExpired);
    EXPECT_EQ(lost_collateral(kFirst), -(kPaid - kBurned));
}

TEST_F(LeaseEnd, ExpiryBlamesNobody) {
    const LeaseId id = open();
    now_ms_ = state_.lease(id)->expires_at_ms;
    ASSERT_TRUE(apply(expire(id), {kStranger}).ok());
    EXPECT_EQ(end(id, 0), LegEnd::kExpired);
    EXPECT_EQ(lost_collateral(kFirst), 0);
    EXPECT_EQ(reputation(kFirst).failed.units, 0);
}

// ---- ratings

wire::TxBody rating(wire::TxBody body, const LeaseId &id, wire::Satisfaction satisfaction,
                    wire::AuditResult audit = wire::AUDIT_RESULT_UNSPECIFIED,
                    bool left_early = false) {
    wire::Rate *action = body.mutable_rate();
    action->set_lease_id(to_bytes(id));
    action->set_leg(0);
    action->set_satisfaction(satisfaction);
    action->set_audit(audit);
    action->set_left_early(left_early);
    return body;
}

TEST_F(LeaseEnd, ARatingWeighsWhatItCost) {
    const LeaseId id = open();
    expect_refused(rating(from(kRenter), id, wire::SATISFACTION_SATISFIED), {kRenter},
                   ErrorCode::kConflict, "once it is settled");
    ASSERT_TRUE(apply(world_.close(kFirst, 0, id, {final_voucher(id, 0)}), {kFirst}).ok());
    expect_refused(rating(from(kFirst), id, wire::SATISFACTION_SATISFIED), {kFirst},
                   ErrorCode::kPermission, "only the renter");
    expect_refused(rating(from(kRenter), id, wire::SATISFACTION_UNSPECIFIED), {kRenter},
                   ErrorCode::kInvalidInput, "says nothing");
    expect_refused(rating(from(kRenter), id, static_cast<wire::Satisfaction>(7)), {kRenter},
                   ErrorCode::kInvalidInput, "no known satisfaction");
    expect_refused(
        rating(from(kRenter), id, wire::SATISFACTION_SATISFIED, static_cast<wire::AuditResult>(7)),
        {kRenter}, ErrorCode::kInvalidInput, "no known result");
    ASSERT_TRUE(apply(rating(from(kRenter), id, wire::SATISFACTION_DISSATISFIED,
                             wire::AUDIT_RESULT_PASSED, true),
                      {kRenter})
                    .ok());
    EXPECT_EQ(reputation(kFirst).dissatisfied.units, kBurned);
    EXPECT_EQ(reputation(kFirst).audit_score, incentive::kAuditPoints);
    EXPECT_EQ(reputation(kFirst).late.units, 0) << "the renter had agreed to the end";
    expect_refused(rating(from(kRenter), id, wire::SATISFACTION_SATISFIED), {kRenter},
                   ErrorCode::kConflict, "rated already");
}

TEST_F(LeaseEnd, WhoDidNotPayHasNoSay) {
    const LeaseId id = open();
    ASSERT_TRUE(apply(world_.close(kFirst, 0, id), {kFirst}).ok());
    expect_refused(rating(from(kRenter), id, wire::SATISFACTION_DISSATISFIED), {kRenter},
                   ErrorCode::kPermission, "not paid");
}

TEST_F(LeaseEnd, RatingsHaveTheirTime) {
    const LeaseId id = open();
    ASSERT_TRUE(apply(world_.close(kFirst, 0, id, {some(id, 0)}), {kFirst}).ok());
    now_ms_ += world_.genesis.params.rate_window_ms;
    const auto late = rating(from(kRenter), id, wire::SATISFACTION_UNSPECIFIED,
                             wire::AUDIT_RESULT_UNSPECIFIED, true);
    ++now_ms_;
    expect_refused(late, {kRenter}, ErrorCode::kConflict, "has passed");
    --now_ms_;
    ASSERT_TRUE(apply(late, {kRenter}).ok());
    EXPECT_EQ(reputation(kFirst).late.units, kBurned);
}

// ---- collateral

TEST_F(LeaseEnd, MoreCollateralThanAskedIsWell) {
    wire::TxBody body = right_lease();
    body.mutable_open_lease()->mutable_legs(0)->set_collateral(kCollateral + 1);
    ASSERT_TRUE(apply(body, {kRenter, kFirst, kSecond}).ok());
    EXPECT_EQ(account(kFirst).collateral.units, kCollateral + 1);
}

TEST_F(LeaseEnd, ReputationLowersTheCollateralToTheFloor) {
    incentive::Reputation best;
    best.shares = 1ULL << 60;
    best.burned_as_provider = best.burned_as_renter = best.done = best.on_time = best.satisfied =
        Amount{1'000'000'000'000'000};
    best.audit_score = incentive::kAuditScoreMax;
    state_.put_reputation(world_.keys[kFirst].public_key(), best);
    // What ten seconds of two slots of 2 GHz earn: a sixth of the escrow, rounded up.
    constexpr std::int64_t kFloor = 333'334;
    wire::TxBody body = right_lease();
    body.mutable_open_lease()->mutable_legs(0)->set_collateral(kFloor - 1);
    expect_refused(body, {kRenter, kFirst, kSecond}, ErrorCode::kInvalidInput, "at least 333334");
    body.mutable_open_lease()->mutable_legs(0)->set_collateral(kFloor);
    ASSERT_TRUE(apply(body, {kRenter, kFirst, kSecond}).ok());
}

}  // namespace
}  // namespace chain::ledger
