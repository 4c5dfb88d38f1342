// SPDX-License-Identifier: BSD-3-Clause
//
// Does cheating with money pay? Each attack is played on the rules of the ledger, beside the honest
// play of the same work, and the two are compared. What a coalition has in the end:
//
//     wealth (balances, escrow, collateral, stake) + worth of work had - worth of work done
//
// The gain is that of the cheat less that of the honest play, to the unit; it must not be above 0.
// The program prints the table.
#include <cstdio>

#include "chain/daemon/provider_leg.h"
#include "tests/chain/ledger/transition_fixture.h"

namespace chain::ledger {
namespace {

constexpr std::int64_t kPrice = 30'000'000'000;  // dear, so that a few leases make a reputation
constexpr std::uint32_t kSlots = 2;
constexpr std::uint64_t kHz = 2'000'000'000;
// The most that a provider works without a signature (chain/daemon/provider_leg.h).
constexpr std::uint64_t kUnsignedMs =
    daemon::kReadingIntervalMs * std::uint64_t{daemon::kUnsignedReadingsMax};

Cycles cycles_in(std::uint64_t ms) {
    return incentive::cycles_bound(kSlots, kHz, ms);
}

std::int64_t worth(std::uint64_t ms) {
    return incentive::payment(Amount{kPrice}, cycles_in(ms))->units;
}

struct Row {
    std::string attack, cheat;
    std::int64_t gain = 0;
    std::string why;
};

std::vector<Row> &rows() {
    static std::vector<Row> all;
    return all;
}

class PrintsTheTable : public testing::Environment {
public:
    void TearDown() override {
        std::printf("\n%-22s %-58s %14s  %s\n", "attack", "what the cheat does", "gain, units",
                    "because");
        for (const Row &row : rows())
            std::printf("%-22s %-58s %14lld  %s\n", row.attack.c_str(), row.cheat.c_str(),
                        static_cast<long long>(row.gain), row.why.c_str());
        std::printf("\n");
    }
};
const auto *const kTable = testing::AddGlobalTestEnvironment(new PrintsTheTable);

// A world in which one thing is played to its end.
class Play : public Transition {
public:
    using Transition::account;
    using Transition::leg;
    using Transition::reputation;
    void TestBody() override {}

    // Renter 0 leases from `providers`; the legs have reported their start, unless told otherwise.
    LeaseId lease(const std::vector<unsigned> &providers, bool started = true) {
        const wire::TxBody body =
            world_.open_lease(kRenter, nonce(kRenter), providers, now_ms_, kPrice);
        std::vector<unsigned> signers{kRenter};
        signers.insert(signers.end(), providers.begin(), providers.end());
        must(body, signers);
        const LeaseId id = tx_id(body.SerializeAsString());
        for (const unsigned provider : providers)
            if (started) must(start(provider, id), {provider});
        return id;
    }
    // Two minutes ahead: too late to cancel for nothing. `own`: with a free leg of the renter's.
    LeaseId reservation(bool own = false) {
        wire::TxBody body = world_.open_lease(kRenter, nonce(kRenter), {kFirst}, now_ms_, kPrice);
        wire::OpenLease &action = *body.mutable_open_lease();
        action.set_starts_at_ms(now_ms_ + 120'000);
        action.set_expires_at_ms(now_ms_ + 120'000 + 180'000);
        if (own) {
            wire::LeaseLeg &leg = *action.add_legs();
            leg = action.legs(0);
            leg.set_provider(to_bytes(world_.keys[kRenter].public_key()));
            leg.set_free(true);
            leg.set_escrow(0);
            leg.set_collateral(0);
        }
        must(body, {kRenter, kFirst});
        return tx_id(body.SerializeAsString());
    }
    LeaseId begun_reservation() {
        const LeaseId id = reservation();
        pass(120'000);
        must(start(kFirst, id), {kFirst});
        return id;
    }
    void pass(std::uint64_t ms) { now_ms_ += ms; }
    void pass_window() { pass(world_.genesis.params.challenge_window_ms); }

    void must(const wire::TxBody &body, const std::vector<unsigned> &signers) {
        const Status status = apply(body, signers);
        CHAIN_CHECK(status.ok());
    }
    void must_not(const wire::TxBody &body, const std::vector<unsigned> &signers) {
        EXPECT_FALSE(apply(body, signers).ok());
    }

    wire::SignedVoucher voucher(const LeaseId &id, std::uint32_t leg, std::uint64_t ms,
                                std::uint64_t sequence = 1, bool final = false) {
        wire::VoucherBody body = world_.voucher_body(id, leg, sequence, cycles_in(ms), kPrice);
        body.set_final(final);
        return sign_voucher(body, world_.keys[kRenter]);
    }
    void close(unsigned who, const LeaseId &id,
               const std::vector<wire::SignedVoucher> &vouchers = {}, bool disputes = false) {
        wire::TxBody body = world_.close(who, nonce(who), id, vouchers);
        body.mutable_close_lease()->set_disputed(disputes);
        must(body, {who});
    }
    void claim(unsigned who, const wire::SignedVoucher &voucher) {
        must(world_.claim(who, nonce(who), voucher), {who});
    }
    void settle(const LeaseId &id) {
        pass_window();
        if (!state_.lease(id)->settled()) must(expire(id), {kStranger});
    }
    void rate(const LeaseId &id, std::uint32_t leg, bool satisfied) {
        wire::TxBody body = from(kRenter);
        body.mutable_rate()->set_lease_id(to_bytes(id));
        body.mutable_rate()->set_leg(leg);
        body.mutable_rate()->set_satisfaction(satisfied ? wire::SATISFACTION_SATISFIED
                                                        : wire::SATISFACTION_DISSATISFIED);
        must(body, {kRenter});
    }
    // A lease of `ms`, paid in full.
    LeaseId job(const std::vector<unsigned> &providers, std::uint64_t ms) {
        const LeaseId id = lease(providers);
        pass(ms);
        for (std::uint32_t i = 0; i < providers.size(); ++i)
            close(providers[i], id, {voucher(id, i, ms, 9, true)});
        return id;
    }

    std::int64_t wealth(const std::vector<unsigned> &coalition) {
        std::int64_t sum = 0;
        for (const unsigned who : coalition) {
            const Account a = account(who);
            sum += a.balance.units + a.escrow.units + a.collateral.units + a.staked.units +
                   a.unbonding.units;
        }
        return sum - static_cast<std::int64_t>(coalition.size()) * kStartUnits;
    }
    std::int64_t collateral_of(unsigned provider, std::uint64_t ms) {
        const auto quality = incentive::quality_q16(reputation(provider), world_.genesis.params);
        return incentive::collateral({Amount{kPrice}, kSlots, kHz, cycles_in(ms)}, quality,
                                     world_.genesis.params)
            ->units;
    }
    const World &world() const { return world_; }
    using Transition::disputed;
    using Transition::expire;
    using Transition::from;
    using Transition::lost;
    using Transition::nonce;
    using Transition::reclaim;
    using Transition::start;
};

void expect_no_gain(const Row &row) {
    EXPECT_LE(row.gain, 0) << row.attack << ": " << row.cheat;
    rows().push_back(row);
}

// What a renter has that used `ms` of one provider's leg and signed for all of it.
std::int64_t honest_renter(std::uint64_t ms) {
    Play play;
    play.job({kFirst}, ms);
    return play.wealth({kRenter}) + worth(ms);
}
std::int64_t honest_provider(std::uint64_t ms) {
    Play play;
    play.job({kFirst}, ms);
    return play.wealth({kFirst}) - worth(ms);
}

TEST(Gaming, WashTrade) {
    Play play;
    for (int i = 0; i < 8; ++i) play.job({kFirst}, 60'000);
    const std::int64_t burned = play.wealth({kRenter, kFirst});
    EXPECT_GT(incentive::quality_q16(play.reputation(kFirst), play.world().genesis.params), 0u);
    expect_no_gain({"wash trade", "leases its own machine eight times, for the reputation", burned,
                    "5 % of each payment burns"});
    // And now it uses the reputation: paid for one interval without working, then gone.
    const std::int64_t before = play.wealth({kFirst});
    const LeaseId id = play.lease({kFirst});
    play.pass(daemon::kReadingIntervalMs);
    play.claim(kStranger, play.voucher(id, 0, daemon::kReadingIntervalMs));
    play.must(play.lost(id, {0}), {kRenter});
    play.settle(id);
    EXPECT_EQ(play.leg(id, 0).end, LegEnd::kLost);

    expect_no_gain({"wash trade", "then takes the pay of one interval for no work and vanishes",
                    burned + play.wealth({kFirst}) - before,
                    "the collateral's floor is 10 s of pay, whatever the reputation"});
}

TEST(Gaming, SybilSplit) {
    Play one, two;
    for (int i = 0; i < 8; ++i) {
        one.job({kFirst}, 60'000);
        two.job({i % 2 == 0 ? kFirst : kSecond}, 60'000);
    }
    const std::int64_t whole = one.collateral_of(kFirst, 60'000);
    const std::int64_t parts =
        two.collateral_of(kFirst, 30'000) + two.collateral_of(kSecond, 30'000);
    expect_no_gain({"Sybil split", "two accounts share work and leases, to put up less",
                    whole - parts, "quality grows with the record: each half has less of it"});
    Play faulty;
    faulty.job({kFirst}, 60'000);
    const LeaseId id = faulty.lease({kFirst});
    faulty.must(faulty.lost(id, {0}), {kRenter});
    faulty.settle(id);
    expect_no_gain({"Sybil split", "after a fault it goes on under a new account",
                    faulty.collateral_of(kFirst, 60'000) - faulty.collateral_of(kSecond, 60'000),
                    "nobody puts up more than a newcomer"});
}

TEST(Gaming, RefuseToSign) {
    constexpr std::uint64_t kSignedMs = 14'000, kAllMs = kSignedMs + kUnsignedMs;
    const std::int64_t honest = honest_renter(kAllMs);
    {
        Play play;
        const LeaseId id = play.lease({kFirst});
        play.pass(kAllMs);
        play.close(kFirst, id, {play.voucher(id, 0, kSignedMs)}, true);
        expect_no_gain({"refuse to sign", "signs 14 s, uses 20 s: the provider stops after 6 s",
                        play.wealth({kRenter}) + worth(kAllMs) - honest,
                        "a dispute burns 8 s of the escrow"});
    }
    {
        Play play;
        const LeaseId id = play.lease({kFirst});
        play.pass(kUnsignedMs);
        play.close(kRenter, id, {play.voucher(id, 0, 0, 1, true)});
        play.close(kFirst, id, {}, true);
        expect_no_gain({"refuse to sign", "closes first, with a final voucher for nothing",
                        play.wealth({kRenter}) + worth(kUnsignedMs) - honest_renter(kUnsignedMs),
                        "the provider's dispute counts for more"});
    }
    {
        Play play;
        const LeaseId id = play.lease({kFirst});
        play.must(play.reclaim(kFirst, id), {kFirst});
        play.pass(kUnsignedMs);
        play.close(kFirst, id, {}, true);
        expect_no_gain({"refuse to sign", "once the owner has given notice",
                        play.wealth({kRenter}) + worth(kUnsignedMs) - honest_renter(kUnsignedMs),
                        "notice does not take the dispute away"});
    }
    {
        Play play;
        const LeaseId id = play.lease({kFirst});
        play.pass(kAllMs);
        play.close(kFirst, id, {play.voucher(id, 0, kAllMs, 9, true)}, true);
        expect_no_gain({"dispute for nothing", "a provider disputes although all was signed",
                        play.wealth({kFirst}) - worth(kAllMs) - honest_provider(kAllMs),
                        "the penalty burns; the leg earns no credit"});
    }
}

TEST(Gaming, OldVoucher) {
    constexpr std::uint64_t kAllMs = 40'000;
    {
        Play play;
        const LeaseId id = play.lease({kFirst});
        play.pass(kAllMs);
        play.close(kRenter, id, {play.voucher(id, 0, 2'000, 1)});
        play.claim(kFirst, play.voucher(id, 0, kAllMs, 20));
        play.settle(id);
        expect_no_gain({"old voucher", "closes with the first voucher of twenty",
                        play.wealth({kRenter}) + worth(kAllMs) - honest_renter(kAllMs),
                        "in the window the provider shows the highest"});
    }
    {
        Play play;
        const LeaseId id = play.lease({kFirst});
        play.pass(kAllMs);
        play.claim(kFirst, play.voucher(id, 0, kAllMs, 20));
        play.must_not(
            play.world().claim(kStranger, play.nonce(kStranger), play.voucher(id, 0, 2'000, 21)),
            {kStranger});
        play.close(kRenter, id, {play.voucher(id, 0, 2'000, 22, true)});
        play.settle(id);
        expect_no_gain({"old voucher", "signs a later one for less and brings that",
                        play.wealth({kRenter}) + worth(kAllMs) - honest_renter(kAllMs),
                        "most cycles count, not the latest number"});
    }
}

TEST(Gaming, OverClaim) {
    constexpr std::uint64_t kAllMs = 20'000;
    {
        Play play;
        const LeaseId id = play.lease({kFirst});
        play.pass(kAllMs);
        const auto body = play.world().voucher_body(id, 0, 5, cycles_in(2 * kAllMs), kPrice);
        play.must_not(play.world().claim(kFirst, play.nonce(kFirst),
                                         sign_voucher(body, play.world().keys[kFirst])),
                      {kFirst});
        play.close(kFirst, id, {play.voucher(id, 0, kAllMs, 9, true)});
        expect_no_gain({"over-claim", "signs a voucher for itself",
                        play.wealth({kFirst}) - worth(kAllMs) - honest_provider(kAllMs),
                        "vouchers are the renter's"});
    }
    {
        Play play;
        const LeaseId id = play.lease({kFirst});
        play.pass(kAllMs);
        play.must_not(
            play.world().claim(kFirst, play.nonce(kFirst), play.voucher(id, 0, kAllMs + 1'000, 5)),
            {kFirst});
        play.close(kFirst, id, {play.voucher(id, 0, kAllMs, 9, true)});
        expect_no_gain({"over-claim", "has more signed than slots x frequency x time",
                        play.wealth({kFirst}) - worth(kAllMs) - honest_provider(kAllMs),
                        "the ledger knows the bound and the clock"});
    }
    {
        Play play;
        const LeaseId id = play.lease({kFirst});
        play.pass(kAllMs);
        const auto last = play.voucher(id, 0, kAllMs, 9, true);
        play.close(kFirst, id, {last});
        play.must_not(play.world().claim(kFirst, play.nonce(kFirst), last), {kFirst});
        play.must_not(play.world().close(kFirst, play.nonce(kFirst), id, {last}), {kFirst});
        expect_no_gain({"double claim", "is paid and claims again",
                        play.wealth({kFirst}) - worth(kAllMs) - honest_provider(kAllMs),
                        "a settled leg never changes"});
    }
}

TEST(Gaming, FailureFarming) {
    constexpr std::uint64_t kAllMs = 20'000;
    {
        Play play;
        const LeaseId id = play.lease({kFirst});
        play.pass(kAllMs);
        play.must(play.lost(id, {0}), {kRenter});
        play.claim(kFirst, play.voucher(id, 0, kAllMs, 9));
        play.settle(id);
        EXPECT_EQ(play.leg(id, 0).forfeit.units, 0);
        expect_no_gain({"failure farming", "says that a provider is lost which is there",
                        play.wealth({kRenter}) + worth(kAllMs) - honest_renter(kAllMs),
                        "any answer in the window clears it"});
    }
    {
        Play play;
        const LeaseId id = play.lease({kFirst});
        play.pass(kAllMs);
        play.claim(kStranger, play.voucher(id, 0, kAllMs, 9));
        play.must(play.lost(id, {0}), {kRenter});
        play.settle(id);
        EXPECT_GT(play.leg(id, 0).forfeit.units, 0);
        expect_no_gain({"failure farming", "cuts a provider's network, then says that it is lost",
                        play.wealth({kRenter}) + worth(kAllMs) - honest_renter(kAllMs),
                        "forfeits burn: none reaches the renter"});
    }
    {
        Play play;  // kSecond is the renter's, too
        const LeaseId id = play.lease({kFirst, kSecond}, false);
        play.must(play.start(kFirst, id), {kFirst});
        play.pass(kUnsignedMs);
        play.must(play.start(kSecond, id, false), {kSecond});
        play.close(kFirst, id, {}, true);
        play.settle(id);
        expect_no_gain(
            {"failure farming", "its second leg does not start: a void gang is free",
             play.wealth({kRenter, kSecond}) + worth(kUnsignedMs) - honest_renter(kUnsignedMs),
             "work in a void gang is disputed; no start costs collateral"});
    }
    {
        Play play;
        const LeaseId id = play.lease({kFirst}, false);
        play.pass(play.world().genesis.params.start_window_ms);
        play.must(play.expire(id), {kStranger});
        play.settle(id);
        expect_no_gain({"never starting", "holds a renter's escrow and does not come",
                        play.wealth({kFirst}), "never seen: all of the collateral burns"});
    }
}

TEST(Gaming, BreakingAReservation) {
    Play honest;  // cancels, late
    honest.close(kRenter, honest.reservation());
    const std::int64_t cancelled = honest.wealth({kRenter});
    EXPECT_LT(cancelled, 0);
    {
        Play play;
        const LeaseId id = play.begun_reservation();
        play.pass(play.world().genesis.params.start_window_ms);
        play.close(kFirst, id);
        expect_no_gain({"broken reservation", "stays away instead of cancelling",
                        play.wealth({kRenter}) - cancelled, "the deposit burns all the same"});
        expect_no_gain({"broken reservation", "a provider reports its start and is not there",
                        play.wealth({kFirst}), "a deposit that was not agreed to is nobody's"});
    }
    {
        Play play;
        const LeaseId id = play.begun_reservation();
        play.must(play.lost(id, {0}), {kRenter});
        play.must(play.start(kFirst, id), {kFirst});
        play.settle(id);
        expect_no_gain({"broken reservation", "says that the provider is not there",
                        play.wealth({kRenter}) - cancelled, "an answer keeps the deposit due"});
    }
    {
        Play agreed, play;
        const LeaseId used = agreed.begun_reservation();
        agreed.pass(1);
        agreed.close(kFirst, used, {agreed.voucher(used, 0, 1, 9, true)});
        const LeaseId id = play.begun_reservation();
        play.pass(1);
        play.claim(kFirst, play.voucher(id, 0, 1));
        play.must(play.lost(id, {0}), {kRenter});
        play.close(kFirst, id);
        expect_no_gain({"broken reservation", "signs for one millisecond, then accuses",
                        play.wealth({kRenter}) - agreed.wealth({kRenter}),
                        "what the payment lacks of the deposit burns"});
        expect_no_gain({"broken reservation", "a provider stops at once, and answers",
                        play.wealth({kFirst}) - worth(1), "it is paid what was signed for"});
    }
    {
        constexpr std::uint64_t kSignedMs = 2'000, kAllMs = kSignedMs + kUnsignedMs;
        Play worked, play;
        const LeaseId paid = worked.begun_reservation();
        worked.pass(kAllMs);
        worked.close(kFirst, paid, {worked.voucher(paid, 0, kAllMs, 9, true)});
        const LeaseId id = play.begun_reservation();
        play.pass(kAllMs);
        play.close(kFirst, id, {play.voucher(id, 0, kSignedMs)}, true);
        expect_no_gain({"broken reservation", "stops signing after 2 s",
                        play.wealth({kRenter}) - worked.wealth({kRenter}),
                        "a dispute costs the deposit at least"});
    }
    {
        Play play;
        const LeaseId id = play.reservation(true);
        play.must(play.start(kRenter, id, false), {kRenter});
        play.close(kRenter, id);
        expect_no_gain({"broken reservation", "its own machine does not start: is the gang void?",
                        play.wealth({kRenter}) - cancelled, "a free leg voids no gang"});
    }
}

TEST(Gaming, BadMouthing) {
    Play fair, foul;
    fair.rate(fair.job({kFirst}, 60'000), 0, true);
    foul.rate(foul.job({kFirst}, 60'000), 0, false);
    expect_no_gain({"bad-mouthing", "leases from a rival, pays, and is dissatisfied",
                    foul.wealth({kRenter}) - fair.wealth({kRenter}),
                    "a rating moves no money, and weighs what its fee burned"});
    // The most that any amount of it can do: satisfaction is one factor of five, within 0.9 … 1.1.
    const auto most =
        incentive::coefficient(foul.reputation(kFirst), Amount{}, 0, foul.world().genesis.params);
    EXPECT_GE(most.satisfaction, 65'536u * 9 / 10);
    Play free;
    const LeaseId id = free.lease({kFirst});
    free.close(kFirst, id);
    wire::TxBody body = free.from(kRenter);
    body.mutable_rate()->set_lease_id(to_bytes(id));
    body.mutable_rate()->set_satisfaction(wire::SATISFACTION_DISSATISFIED);
    free.must_not(body, {kRenter});
    expect_no_gain({"bad-mouthing", "leases, uses nothing, pays nothing, and rates",
                    free.wealth({kRenter}), "who did not pay has no say"});
}

TEST(Gaming, Stake) {
    Play play;
    const auto vote = [&](char branch) {
        Bytes32 source, target;
        source.fill('s');
        target.fill(static_cast<std::uint8_t>(branch));
        const KeyPair &key = play.world().keys[kFirst];
        return sign_vote(
            vote_body(play.world().genesis.chain_id, key.public_key(), {10, source, 20, target}),
            key);
    };
    wire::TxBody stake = play.from(kFirst);
    stake.mutable_stake()->set_amount(kStartUnits / 10);
    play.must(stake, {kFirst});
    wire::TxBody evidence = play.from(kSecond);
    *evidence.mutable_evidence()->mutable_first() = vote('a');
    *evidence.mutable_evidence()->mutable_second() = vote('b');
    play.must(evidence, {kSecond});
    expect_no_gain({"own evidence", "votes twice and reports itself from a second account",
                    play.wealth({kFirst, kSecond}), "a sixteenth comes back, the rest burns"});
}

}  // namespace
}  // namespace chain::ledger
