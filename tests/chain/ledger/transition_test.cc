// SPDX-License-Identifier: BSD-3-Clause
//
// Each rule of the ledger, and each refusal, one at a time.
#include "tests/chain/ledger/transition_fixture.h"

namespace chain::ledger {
namespace {

TEST_F(Transition, TransferMovesExactly) {
    ASSERT_TRUE(apply(world_.transfer(0, 0, 1, 5), {0}).ok());
    EXPECT_EQ(account(0), (Account{.balance = Amount{kStartUnits - 5}, .nonce = 1}));
    EXPECT_EQ(account(1), (Account{.balance = Amount{kStartUnits + 5}}));
    ASSERT_TRUE(apply(world_.transfer(0, 1, 0, kStartUnits - 5), {0}).ok());  // to oneself
    EXPECT_EQ(account(0).balance.units, kStartUnits - 5);
    ASSERT_TRUE(apply(world_.transfer(0, 2, 1, kStartUnits - 5), {0}).ok());  // all of it
    EXPECT_EQ(account(0), (Account{.nonce = 3}));
}

TEST_F(Transition, TransferRefusals) {
    expect_refused(world_.transfer(0, 0, 1, 0), {0}, ErrorCode::kInvalidInput, "nothing");
    expect_refused(world_.transfer(0, 0, 1, -1), {0}, ErrorCode::kInvalidInput, "outside");
    expect_refused(world_.transfer(0, 0, 1, std::numeric_limits<std::int64_t>::min()), {0},
                   ErrorCode::kInvalidInput, "outside");
    expect_refused(world_.transfer(0, 0, 1, kStartUnits + 1), {0}, ErrorCode::kInsufficientFunds,
                   "needed");
    expect_refused(world_.transfer(0, 1, 1, 1), {0}, ErrorCode::kConflict, "nonce 1");
    wire::TxBody nowhere = world_.transfer(0, 0, 1, 1);
    nowhere.mutable_transfer()->set_to(Bytes(32, '\0'));
    expect_refused(nowhere, {0}, ErrorCode::kInvalidInput, "no key");
    nowhere.mutable_transfer()->set_to("short");
    expect_refused(nowhere, {0}, ErrorCode::kProtocol, "5 bytes");
    ASSERT_TRUE(apply(world_.transfer(0, 0, 1, 1), {0}).ok());
    expect_refused(world_.transfer(0, 0, 1, 1), {0}, ErrorCode::kConflict, "next is 1");
}

TEST_F(Transition, PublishResource) {
    const auto publish = [&](std::uint64_t number, unsigned node) {
        wire::TxBody body = world_.body(0, number);
        wire::PublishResource *action = body.mutable_publish_resource();
        action->set_node_key(to_bytes(numbered_key(node + 1).public_key()));
        action->set_host("host-1");
        action->set_slot_count(8);
        action->set_hz(3'000'000'000);
        action->set_memory_bytes(1 << 30);
        return body;
    };
    for (unsigned i = 0; i < kResourcesPerAccountMax; ++i)
        ASSERT_TRUE(apply(publish(i, i), {0}).ok());
    EXPECT_EQ(account(0).resource_count, kResourcesPerAccountMax);
    std::uint64_t next = kResourcesPerAccountMax;
    ASSERT_TRUE(apply(publish(next++, 0), {0}).ok()) << "replacing is not adding";
    EXPECT_EQ(account(0).resource_count, kResourcesPerAccountMax);
    expect_refused(publish(next, kResourcesPerAccountMax), {0}, ErrorCode::kTooLarge, "at most 64");
    wire::TxBody bad = publish(next, 0);
    bad.mutable_publish_resource()->set_host("a\nb");
    expect_refused(bad, {0}, ErrorCode::kInvalidInput, "host name");
    bad = publish(next, 0);
    bad.mutable_publish_resource()->set_slot_count(0);
    expect_refused(bad, {0}, ErrorCode::kInvalidInput, "slots");
    bad = publish(next, 0);
    bad.mutable_publish_resource()->set_hz(kHzMax + 1);
    expect_refused(bad, {0}, ErrorCode::kInvalidInput, "Hz");
}

TEST_F(Transition, OpenLeaseLocksEscrowAndCollateral) {
    const LeaseId id = open();
    EXPECT_EQ(account(kRenter), (Account{.balance = Amount{kStartUnits - 2 * kEscrow},
                                         .nonce = 1,
                                         .escrow = Amount{2 * kEscrow}}));
    EXPECT_EQ(account(kFirst), (Account{.balance = Amount{kStartUnits - kCollateral},
                                        .collateral = Amount{kCollateral}}));
    const Lease lease = *state_.lease(id);
    EXPECT_EQ(lease.opened_at_ms, now_ms_ - 60'000);
    EXPECT_EQ(lease.legs.size(), 2u);
    EXPECT_FALSE(lease.settled());
}

TEST_F(Transition, OpenLeaseRefusesWrongTerms) {
    const struct {
        const char *why;
        ErrorCode code;
        void (*spoil)(wire::OpenLease &);
    } cases[] = {
        {"at least one leg", ErrorCode::kInvalidInput, [](auto &a) { a.clear_legs(); }},
        {"runs 1 to", ErrorCode::kInvalidInput, [](auto &a) { a.set_duration_ms(0); }},
        {"runs 1 to", ErrorCode::kInvalidInput,
         [](auto &a) { a.set_duration_ms(7ULL * 24 * 3600 * 1000 + 1); }},
        {"expiry", ErrorCode::kInvalidInput,
         [](auto &a) { a.set_expires_at_ms(kGenesisTimeMs + 60'000); }},
        {"expiry", ErrorCode::kInvalidInput, [](auto &a) { a.set_expires_at_ms(~0ULL); }},
        {"expiry", ErrorCode::kInvalidInput,
         [](auto &a) {
             a.set_expires_at_ms(kGenesisTimeMs + 1 + 7ULL * 24 * 3600 * 1000 + 120'001);
         }},
        {"outside", ErrorCode::kInvalidInput, [](auto &a) { a.set_price_per_ghz_h(-1); }},
        {"escrow must be", ErrorCode::kInvalidInput,
         [](auto &a) { a.set_price_per_ghz_h(a.price_per_ghz_h() + 1); }},
        {"escrow must be 2000000", ErrorCode::kInvalidInput,
         [](auto &a) { a.mutable_legs(1)->set_escrow(kEscrow - 1); }},
        {"escrow must be 2000000", ErrorCode::kInvalidInput,
         [](auto &a) { a.mutable_legs(1)->set_escrow(kEscrow + 1); }},
        {"collateral must be at least 400000", ErrorCode::kInvalidInput,
         [](auto &a) { a.mutable_legs(1)->set_collateral(kCollateral - 1); }},
        {"slots", ErrorCode::kInvalidInput, [](auto &a) { a.mutable_legs(1)->set_slot_count(0); }},
        {"slots", ErrorCode::kInvalidInput,
         [](auto &a) { a.mutable_legs(1)->set_slot_count(4097); }},
        {"Hz", ErrorCode::kInvalidInput, [](auto &a) { a.mutable_legs(1)->set_hz_max(0); }},
        {"Hz", ErrorCode::kInvalidInput,
         [](auto &a) { a.mutable_legs(1)->set_hz_max(kHzMax + 1); }},
        {"cycles", ErrorCode::kInvalidInput, [](auto &a) { a.mutable_legs(1)->set_cycles_max(0); }},
        {"cycles", ErrorCode::kInvalidInput,
         [](auto &a) { a.mutable_legs(1)->set_cycles_max(a.legs(1).cycles_max() + 1); }},
        {"manifest", ErrorCode::kProtocol, [](auto &a) { a.set_manifest_hash("short"); }},
        {"offer id", ErrorCode::kProtocol,
         [](auto &a) { a.mutable_legs(0)->set_offer_id("short"); }},
    };
    for (const auto &c : cases) {
        wire::TxBody body = right_lease();
        c.spoil(*body.mutable_open_lease());
        const bool has_legs = body.open_lease().legs_size() > 0;
        expect_refused(body,
                       has_legs ? std::vector<unsigned>{kRenter, kFirst, kSecond}
                                : std::vector<unsigned>{kRenter},
                       c.code, c.why);
    }
}

TEST_F(Transition, OpenLeaseBoundaries) {
    wire::TxBody body = right_lease();
    body.mutable_open_lease()->set_expires_at_ms(now_ms_ + 60'000);
    EXPECT_TRUE(apply(body, {kRenter, kFirst, kSecond}).ok());
    body = right_lease();
    body.mutable_open_lease()->set_expires_at_ms(now_ms_ + 7ULL * 24 * 3600 * 1000 + 120'000);
    EXPECT_TRUE(apply(body, {kRenter, kFirst, kSecond}).ok());
    // Two legs of one provider: it signs once. A price of nothing locks nothing.
    body = world_.open_lease(kRenter, nonce(kRenter), {kFirst, kFirst}, now_ms_, 0);
    const Amount before = account(kFirst).balance;
    EXPECT_TRUE(apply(body, {kRenter, kFirst}).ok());
    EXPECT_EQ(account(kFirst).balance, before);
}

TEST_F(Transition, NobodyLeasesFromThemselves) {
    const wire::TxBody body = world_.open_lease(kRenter, 0, {kRenter, kFirst}, now_ms_);
    expect_refused(body, {kRenter, kFirst}, ErrorCode::kInvalidInput, "themselves");
}

TEST_F(Transition, OpenLeaseIsAllBalancesOrNothing) {
    ASSERT_TRUE(
        apply(world_.transfer(kSecond, 0, kStranger, kStartUnits - kCollateral + 1), {kSecond})
            .ok());
    expect_refused(right_lease(), {kRenter, kFirst, kSecond}, ErrorCode::kInsufficientFunds,
                   "locks");
    EXPECT_EQ(account(kFirst), (Account{.balance = Amount{kStartUnits}}));
    ASSERT_TRUE(apply(world_.transfer(kStranger, 0, kSecond, 1), {kStranger}).ok());
    ASSERT_TRUE(
        apply(world_.transfer(kRenter, 0, kStranger, kStartUnits - 2 * kEscrow + 1), {kRenter})
            .ok());
    expect_refused(right_lease(), {kRenter, kFirst, kSecond}, ErrorCode::kInsufficientFunds,
                   "locks");
    ASSERT_TRUE(apply(world_.transfer(kStranger, 1, kRenter, 1), {kStranger}).ok());
    open();
    EXPECT_EQ(account(kRenter).balance.units, 0);
    EXPECT_EQ(account(kSecond).balance.units, 0);
}

TEST_F(Transition, ClaimsAreCumulativeAndTheHighestPays) {
    const LeaseId id = open();
    ASSERT_TRUE(apply(world_.claim(kStranger, 0, some(id, 0)), {kStranger}).ok());
    EXPECT_EQ(leg(id, 0).payment.units, kPaid);
    EXPECT_EQ(leg(id, 0).waited_cycles, kSome / 3);
    EXPECT_EQ(account(kFirst).balance.units, kStartUnits - kCollateral) << "paid at settlement";
    expect_refused(world_.claim(kStranger, 1, some(id, 0)), {kStranger}, ErrorCode::kConflict,
                   "not higher");
    expect_refused(world_.claim(kStranger, 1, some(id, 0, 2, kSome - 1)), {kStranger},
                   ErrorCode::kConflict, "not higher");
    ASSERT_TRUE(apply(world_.claim(kFirst, 0, some(id, 0, 7, 2 * kSome)), {kFirst}).ok());
    EXPECT_EQ(leg(id, 0).payment.units, 2 * kPaid);
    // Numbers on vouchers are the renter's: more cycles are a promise, whatever number stands
    // there.
    ASSERT_TRUE(apply(world_.claim(kFirst, 1, some(id, 0, 3, 3 * kSome)), {kFirst}).ok());
    EXPECT_EQ(leg(id, 0).payment.units, 3 * kPaid);
    EXPECT_EQ(leg(id, 1).payment.units, 0) << "another leg's voucher is another leg's";
}

TEST_F(Transition, ClaimRefusals) {
    const LeaseId id = open();
    const struct {
        const char *why;
        ErrorCode code;
        void (*spoil)(wire::VoucherBody &);
    } cases[] = {
        {"exceed the leg's", ErrorCode::kInvalidInput,
         [](auto &v) { v.set_cycles(4 * kSome + 1); }},
        {"numbered from 1", ErrorCode::kInvalidInput, [](auto &v) { v.set_sequence(0); }},
        {"waited", ErrorCode::kInvalidInput, [](auto &v) { v.set_waited_cycles(kSome + 1); }},
        {"class of meter", ErrorCode::kInvalidInput,
         [](auto &v) { v.set_meter_class(wire::METER_CLASS_UNSPECIFIED); }},
        {"class of meter", ErrorCode::kInvalidInput,
         [](auto &v) { v.set_meter_class(static_cast<wire::MeterClass>(9)); }},
        {"amount must be 500000", ErrorCode::kInvalidInput,
         [](auto &v) { v.set_amount(kPaid + 1); }},
        {"amount must be 500000", ErrorCode::kInvalidInput,
         [](auto &v) { v.set_amount(kPaid - 1); }},
        {"there is no leg 2", ErrorCode::kInvalidInput, [](auto &v) { v.set_leg(2); }},
        {"no lease", ErrorCode::kNotFound, [](auto &v) { v.set_lease_id(Bytes(32, 'x')); }},
        {"5 bytes", ErrorCode::kProtocol, [](auto &v) { v.set_lease_id("short"); }},
    };
    for (const auto &c : cases) {
        wire::VoucherBody body = world_.voucher_body(id, 0, 1, kSome);
        c.spoil(body);
        expect_refused(world_.claim(kFirst, 0, sign_voucher(body, world_.keys[kRenter])), {kFirst},
                       c.code, c.why);
    }
    const auto forged = sign_voucher(world_.voucher_body(id, 0, 1, kSome), world_.keys[kFirst]);
    expect_refused(world_.claim(kFirst, 0, forged), {kFirst}, ErrorCode::kBadSignature,
                   "not signed by the renter");
    EXPECT_EQ(leg(id, 0).payment.units, 0);
}

TEST_F(Transition, NobodyHasUsedMoreThanThereWasTimeFor) {
    const LeaseId id = open_only();
    now_ms_ += 15'000;  // kSome is two slots of 2 GHz for just so long
    expect_refused(world_.claim(kFirst, 0, some(id, 0, 1, kSome + 1)), {kFirst},
                   ErrorCode::kInvalidInput, "by now");
    ASSERT_TRUE(apply(world_.claim(kFirst, 0, some(id, 0, 1, kSome)), {kFirst}).ok());
}

TEST_F(Transition, AProvidersCloseSettlesItsLegsAtOnce) {
    const LeaseId id = open();
    ASSERT_TRUE(apply(world_.close(kFirst, 0, id, {some(id, 0)}), {kFirst}).ok());
    EXPECT_EQ(leg(id, 0).state, LegState::kSettled);
    EXPECT_EQ(leg(id, 0).burned.units, kBurned);
    EXPECT_EQ(leg(id, 1).state, LegState::kOpen);
    EXPECT_EQ(account(kFirst),
              (Account{.balance = Amount{kStartUnits + kPaid - kBurned}, .nonce = 1}));
    EXPECT_EQ(account(kRenter).balance.units, kStartUnits - kEscrow - kPaid);
    EXPECT_EQ(account(kRenter).escrow.units, kEscrow);
    EXPECT_EQ(state_.lease(id)->ended_at_ms, 0u);
    expect_refused(world_.close(kFirst, 1, id), {kFirst}, ErrorCode::kConflict, "settled already");
    expect_refused(world_.claim(kFirst, 1, some(id, 0, 2, 2 * kSome)), {kFirst},
                   ErrorCode::kConflict, "settled already");
    now_ms_ += 1000;
    ASSERT_TRUE(apply(world_.close(kSecond, 0, id), {kSecond}).ok());
    EXPECT_EQ(state_.lease(id)->ended_at_ms, now_ms_);
    EXPECT_EQ(account(kSecond).balance.units, kStartUnits) << "nothing used, nothing paid";
    EXPECT_EQ(account(kRenter).escrow.units, 0);
    expect_refused(world_.close(kRenter, 1, id), {kRenter}, ErrorCode::kConflict,
                   "settled already");
}

TEST_F(Transition, ARentersCloseOpensTheChallengeWindow) {
    const LeaseId id = open();
    ASSERT_TRUE(apply(world_.close(kRenter, 1, id, {some(id, 0)}), {kRenter}).ok());
    const std::uint64_t closes_at_ms = now_ms_ + world_.genesis.params.challenge_window_ms;
    EXPECT_EQ(leg(id, 0).closes_at_ms, closes_at_ms);
    EXPECT_EQ(leg(id, 1).closes_at_ms, closes_at_ms);
    now_ms_ += 10'000;
    ASSERT_TRUE(apply(world_.close(kRenter, 2, id), {kRenter}).ok());
    EXPECT_EQ(leg(id, 0).closes_at_ms, closes_at_ms) << "a second close prolongs nothing";
    // Within the window the provider brings a higher voucher.
    ASSERT_TRUE(apply(world_.claim(kFirst, 0, some(id, 0, 2, 2 * kSome)), {kFirst}).ok());
    now_ms_ = closes_at_ms - 1;
    expect_refused(world_.expire(kStranger, 0, id), {kStranger}, ErrorCode::kConflict, "due");
    now_ms_ = closes_at_ms;
    ASSERT_TRUE(apply(world_.expire(kStranger, 0, id), {kStranger}).ok());
    EXPECT_TRUE(state_.lease(id)->settled());
    EXPECT_EQ(state_.lease(id)->ended_at_ms, now_ms_);
    EXPECT_EQ(account(kFirst).balance.units, kStartUnits + 2 * kPaid - 2 * kBurned);
    EXPECT_EQ(account(kRenter).balance.units, kStartUnits - 2 * kPaid);
    expect_refused(world_.expire(kStranger, 1, id), {kStranger}, ErrorCode::kConflict, "due");
}

TEST_F(Transition, AnyoneSettlesAfterExpiry) {
    const LeaseId id = open();
    ASSERT_TRUE(apply(world_.claim(kSecond, 0, some(id, 1)), {kSecond}).ok());
    now_ms_ = state_.lease(id)->expires_at_ms - 1;
    expect_refused(world_.expire(kStranger, 0, id), {kStranger}, ErrorCode::kConflict, "due");
    ++now_ms_;
    ASSERT_TRUE(apply(world_.expire(kStranger, 0, id), {kStranger}).ok());
    EXPECT_EQ(account(kSecond).balance.units, kStartUnits + kPaid - kBurned);
    EXPECT_EQ(account(kFirst).balance.units, kStartUnits);
    EXPECT_EQ(account(kRenter).balance.units, kStartUnits - kPaid);
}

TEST_F(Transition, CloseRefusals) {
    const LeaseId id = open();
    const LeaseId other = open();
    expect_refused(world_.close(kStranger, 0, id), {kStranger}, ErrorCode::kPermission, "no part");
    expect_refused(world_.close(kFirst, 0, Bytes32{}), {kFirst}, ErrorCode::kNotFound, "no lease");
    expect_refused(world_.close(kFirst, 0, id, {some(other, 0)}), {kFirst},
                   ErrorCode::kInvalidInput, "another lease");
    expect_refused(world_.close(kFirst, 0, id, {some(id, 0), some(id, 0), some(id, 0)}), {kFirst},
                   ErrorCode::kTooLarge, "one voucher per leg");
    ASSERT_TRUE(apply(world_.claim(kStranger, 0, some(id, 0, 5)), {kStranger}).ok());
    // A lower one is no reason to refuse: it may be what the provider had at hand.
    ASSERT_TRUE(apply(world_.close(kFirst, 0, id, {some(id, 0, 4, kSome - 1)}), {kFirst}).ok());
    EXPECT_EQ(leg(id, 0).payment.units, kPaid);
    // Nor is one for a leg that is settled already; it changes nothing.
    ASSERT_TRUE(
        apply(world_.close(kRenter, 2, id, {some(id, 0, 9, 4 * kSome), some(id, 1)}), {kRenter})
            .ok());
    EXPECT_EQ(leg(id, 0).payment.units, kPaid);
    EXPECT_EQ(leg(id, 1).payment.units, kPaid);
}

TEST_F(Transition, ALeasesFullEscrowCanBeUsedToTheLastUnit) {
    const LeaseId id = open();
    ASSERT_TRUE(apply(world_.close(kFirst, 0, id, {some(id, 0, 1, 4 * kSome)}), {kFirst}).ok());
    EXPECT_EQ(leg(id, 0).payment.units, kEscrow);
    EXPECT_EQ(account(kFirst).balance.units, kStartUnits + kEscrow - kEscrow / 20);
}

}  // namespace
}  // namespace chain::ledger
