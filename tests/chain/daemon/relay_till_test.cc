// SPDX-License-Identifier: BSD-3-Clause
//
// Relays that are paid: prices, payments on a ledger, credit, and those who want to be carried for
// nothing.
#include <gtest/gtest.h>
#include <unistd.h>

#include "chain/backend/memory_backend.h"
#include "chain/base/file.h"
#include "chain/daemon/relay_till.h"
#include "chain/identity/keystore.h"

namespace chain::daemon {
namespace {

using wire::MeetingMessage;

constexpr std::int64_t kPricePerGib = 400;
constexpr std::int64_t kQuotaCost = 100;  // of 256 MiB

class RelayTillTest : public testing::Test {
protected:
    // A daemon's money and keys; what it says goes to `other`.
    struct Party {
        Party(const std::string &folder, const std::string &name)
            : wallet(folder + "/" + name), node_key(KeyPair::generate()) {
            EXPECT_TRUE(wallet.create("password").ok());
        }
        PublicKey account() const { return wallet.account().value(); }
        Wallet wallet;
        KeyPair node_key;
        std::optional<RelayTill> till;
        std::vector<MeetingMessage> said;
    };

    RelayTillTest() {
        char path[] = "/tmp/relay-till-XXXXXX";
        folder_ = mkdtemp(path);
        point_.emplace(folder_, "point");
        seeker_.emplace(folder_, "seeker");
        ledger::Genesis genesis;
        genesis.chain_name = "till";
        genesis.sealer = point_->account();
        genesis.allocations = {{point_->account(), Amount{1'000'000}},
                               {seeker_->account(), Amount{1'000'000}}};
        std::sort(genesis.allocations.begin(), genesis.allocations.end());
        genesis.params.burn_ppm = 0;
        genesis = ledger::parse_genesis(ledger::format_genesis(genesis)).value();
        backend_ = MemoryBackend::open(clock_, std::move(genesis)).value();
        sells_.price_per_gib = Amount{kPricePerGib};
        buys_.pay_per_gib_most = Amount{kPricePerGib};
        buys_.pay_most = Amount{3 * kQuotaCost};
        open();
    }
    ~RelayTillTest() override { (void)remove_tree(folder_).ok(); }

    void open() {
        point_->till.emplace(sells_, *backend_, point_->wallet, point_->node_key);
        seeker_->till.emplace(buys_, *backend_, seeker_->wallet, seeker_->node_key);
        for (Party *party : {&*point_, &*seeker_})
            party->till->send_with([party](const PublicKey &, const MeetingMessage &message) {
                party->said.push_back(message);
                return ok_status();
            });
    }
    const PublicKey &key_of_seeker() const { return seeker_->node_key.public_key(); }
    const PublicKey &key_of_point() const { return point_->node_key.public_key(); }
    wire::RelayTerms terms() { return point_->till->terms(key_of_seeker()); }
    void restart_point() {
        point_->till.emplace(sells_, *backend_, point_->wallet, point_->node_key);
        point_->till->send_with([this](const PublicKey &, const MeetingMessage &message) {
            point_->said.push_back(message);
            return ok_status();
        });
    }
    // Passes on what was said until nobody has anything to say.
    void talk() {
        while (!point_->said.empty() || !seeker_->said.empty()) {
            for (const MeetingMessage &message : std::exchange(seeker_->said, {}))
                EXPECT_TRUE(point_->till->take(key_of_seeker(), message).ok());
            for (const MeetingMessage &message : std::exchange(point_->said, {}))
                EXPECT_TRUE(seeker_->till->take(key_of_point(), message).ok());
        }
    }
    // What came of it; empty: paid.
    std::optional<std::string> pay() {
        std::optional<std::string> outcome;
        seeker_->till->pay(key_of_point(), terms(), [&](const Status &paid) {
            outcome = paid.ok() ? std::string() : paid.error().message;
        });
        talk();
        return outcome;
    }
    // As the relay does: both ends count it.
    bool carry(std::uint64_t bytes) {
        if (const auto counter = seeker_->till->counter(key_of_point())) *counter += bytes;
        return point_->till->carried(key_of_seeker(), bytes);
    }
    void ask_for_more() {
        MeetingMessage low;
        low.mutable_credit();
        EXPECT_TRUE(seeker_->till->take(key_of_point(), low).ok());
        talk();
    }
    std::int64_t balance(const Party &party) {
        return backend_->account(party.account())->balance.units;
    }
    // What the point answers to a payment by hand.
    std::string answer_to(const wire::TxBody &body, const KeyPair &payer, const PublicKey &named) {
        MeetingMessage message;
        const wire::SignedTx tx = ledger::sign_tx(body, payer);
        message.mutable_payment()->set_signed_tx(tx.SerializeAsString());
        message.mutable_payment()->set_claim(
            to_bytes(payer.sign(kRelayClaimTag, relay_claim(ledger::tx_id(tx.body()), named))));
        point_->said.clear();
        const Status taken = point_->till->take(key_of_seeker(), message);
        if (!taken.ok()) return "violation: " + taken.error().message;
        if (point_->said.empty()) return "nothing";
        return point_->said.back().credit().refused();
    }
    wire::TxBody transfer(const PublicKey &to, std::int64_t units) {
        wire::TxBody body;
        body.set_chain_id(to_bytes(backend_->chain_id()));
        body.set_sender(to_bytes(seeker_->account()));
        body.set_nonce(backend_->next_nonce(seeker_->account()).value());
        body.mutable_transfer()->set_to(to_bytes(to));
        body.mutable_transfer()->set_amount(units);
        return body;
    }
    const KeyPair &payer() { return *seeker_->wallet.key().value(); }

    ManualClock clock_;
    std::string folder_;
    std::optional<Party> point_, seeker_;
    provider::RelaySettings sells_, buys_;
    std::unique_ptr<MemoryBackend> backend_;
};

TEST_F(RelayTillTest, WhatIsFreeNeedsNoMoney) {
    sells_ = {};
    buys_ = {};
    open();
    EXPECT_EQ(terms().price_per_gib(), 0);
    EXPECT_TRUE(seeker_->till->accepts(terms()).ok());
    EXPECT_EQ(pay(), "");
    EXPECT_TRUE(point_->till->may_carry(key_of_seeker()).ok());
    EXPECT_TRUE(point_->till->carried(key_of_seeker(), 1ULL << 50));
    EXPECT_EQ(seeker_->till->spent(), Amount{});
}

TEST_F(RelayTillTest, AQuotaIsPaidInAdvanceAndThenCarried) {
    EXPECT_EQ(terms().price_per_gib(), kPricePerGib);
    EXPECT_TRUE(seeker_->till->accepts(terms()).ok());
    EXPECT_FALSE(point_->till->may_carry(key_of_seeker()).ok());
    EXPECT_FALSE(point_->till->carried(key_of_seeker(), 1));
    const std::int64_t before = balance(*point_);
    EXPECT_EQ(pay(), "");
    EXPECT_EQ(balance(*point_), before + kQuotaCost);
    EXPECT_EQ(seeker_->till->spent(), Amount{kQuotaCost});
    EXPECT_EQ(terms().credit_bytes(), kRelayQuotaBytes);
    EXPECT_TRUE(point_->till->may_carry(key_of_seeker()).ok());
    EXPECT_FALSE(point_->till->may_carry(key_of_point()).ok());  // another one
    // Nothing more is due while there is credit.
    EXPECT_EQ(pay(), "");
    EXPECT_EQ(seeker_->till->spent(), Amount{kQuotaCost});
}

TEST_F(RelayTillTest, ItPaysAgainBeforeItIsUsedUp) {
    EXPECT_EQ(pay(), "");
    EXPECT_TRUE(carry(kRelayQuotaBytes / 2 - 1));
    EXPECT_TRUE(point_->said.empty());
    EXPECT_TRUE(carry(1));
    ASSERT_EQ(point_->said.size(), 1u);
    talk();
    EXPECT_EQ(seeker_->till->spent(), Amount{2 * kQuotaCost});
    EXPECT_EQ(terms().credit_bytes(), kRelayQuotaBytes / 2 + kRelayQuotaBytes);
    // Never more than the most in all.
    EXPECT_TRUE(carry(kRelayQuotaBytes));
    talk();
    EXPECT_TRUE(carry(kRelayQuotaBytes));
    talk();
    EXPECT_EQ(seeker_->till->spent(), Amount{3 * kQuotaCost});
    EXPECT_FALSE(carry(kRelayQuotaBytes / 2));
    EXPECT_FALSE(point_->till->may_carry(key_of_seeker()).ok());
    EXPECT_NE(seeker_->till->accepts(terms()).error().message.find("is used up"),
              std::string::npos);
}

// Who takes money for nothing gets it twice: it may have been restarted once.
TEST_F(RelayTillTest, WhoDoesNotCarryIsNotPaidOn) {
    buys_.pay_most = Amount{100 * kQuotaCost};
    open();
    EXPECT_EQ(pay(), "");
    for (int i = 0; i < 5; ++i) ask_for_more();
    EXPECT_EQ(seeker_->till->spent(), Amount{kQuotaCost});
    // It carries, and wants to be paid too early again.
    EXPECT_TRUE(carry(kRelayQuotaBytes / 2));
    talk();
    for (int i = 0; i < 5; ++i) ask_for_more();
    EXPECT_EQ(seeker_->till->spent(), Amount{2 * kQuotaCost});
}

TEST_F(RelayTillTest, WhoForgetsWhatWasPaidIsPaidOnceMore) {
    buys_.pay_most = Amount{100 * kQuotaCost};
    open();
    for (const bool is_paid : {true, true, false, false}) {
        const Amount before = seeker_->till->spent();
        const auto outcome = pay();
        ASSERT_TRUE(outcome.has_value());
        EXPECT_EQ(outcome->empty(), is_paid) << *outcome;
        EXPECT_EQ(seeker_->till->spent() != before, is_paid);
        restart_point();
    }
}

// It goes on to be paid when it runs low, and by what it lost once nothing is lost again.
TEST_F(RelayTillTest, WhoCarriesMayBeRestarted) {
    buys_.pay_most = Amount{100 * kQuotaCost};
    open();
    EXPECT_EQ(pay(), "");
    EXPECT_TRUE(carry(100ULL << 20));
    restart_point();
    EXPECT_EQ(pay(), "");
    for (std::int64_t quotas = 3; quotas < 20; ++quotas) {
        EXPECT_TRUE(carry(quotas == 3 ? kRelayQuotaBytes / 2 : kRelayQuotaBytes));
        talk();
        EXPECT_EQ(seeker_->till->spent(), Amount{quotas * kQuotaCost});
    }
    // After a top-up, the worst moment: more than a quota is lost.
    restart_point();
    EXPECT_EQ(pay(), "");
}

TEST_F(RelayTillTest, SmallQuotasHaveNoSlackToLiveOn) {
    buys_.pay_most = Amount{1'000};
    open();
    wire::RelayTerms small = terms();
    small.set_quota_bytes(kRelayQuotaBytesMin);
    small.clear_credit_bytes();  // it always says so
    for (int i = 0; i < 50; ++i) {
        seeker_->till->pay(key_of_point(), small, [](const Status &) {});
        if (seeker_->said.empty()) continue;
        // It takes the money.
        MeetingMessage taken;
        const wire::SignedTx tx = [&] {
            wire::SignedTx parsed;
            EXPECT_TRUE(parsed.ParseFromString(seeker_->said.back().payment().signed_tx()));
            return parsed;
        }();
        seeker_->said.clear();
        taken.mutable_credit()->set_tx_id(to_bytes(ledger::tx_id(tx.body())));
        EXPECT_TRUE(seeker_->till->take(key_of_point(), taken).ok());
    }
    EXPECT_EQ(seeker_->till->spent(), Amount{2});  // a quota's price, rounded up, twice
}

TEST_F(RelayTillTest, WhatIsTooDearIsNotPaid) {
    wire::RelayTerms dear = terms();
    dear.set_price_per_gib(kPricePerGib + 1);
    EXPECT_NE(seeker_->till->accepts(dear).error().message.find("for a GiB"), std::string::npos);
    for (const std::uint64_t quota :
         {std::uint64_t{0}, kRelayQuotaBytesMin - 1, kRelayQuotaBytesMax + 1, UINT64_MAX}) {
        wire::RelayTerms odd = terms();
        odd.set_quota_bytes(quota);
        EXPECT_FALSE(seeker_->till->accepts(odd).ok()) << quota;
    }
    dear.set_price_per_gib(INT64_MAX);
    EXPECT_FALSE(seeker_->till->accepts(dear).ok());
    buys_ = {};
    open();
    EXPECT_FALSE(seeker_->till->accepts(terms()).ok());
    EXPECT_NE(pay()->find("at most 0 are allowed"), std::string::npos);
    EXPECT_EQ(seeker_->till->spent(), Amount{});
}

// A payment is asked for once, whatever the meeting point says or does not say.
TEST_F(RelayTillTest, AtMostOneQuotaIsAtRisk) {
    int outcomes = 0;
    for (int i = 0; i < 5; ++i)
        seeker_->till->pay(key_of_point(), terms(), [&](const Status &) { ++outcomes; });
    EXPECT_EQ(seeker_->said.size(), 5u);  // the same one again and again
    for (int i = 0; i < 5; ++i) {
        MeetingMessage low;
        low.mutable_credit();
        EXPECT_TRUE(seeker_->till->take(key_of_point(), low).ok());
    }
    EXPECT_EQ(seeker_->till->spent(), Amount{kQuotaCost});
    EXPECT_EQ(outcomes, 0);
    talk();
    EXPECT_EQ(outcomes, 5);
    EXPECT_EQ(terms().credit_bytes(), kRelayQuotaBytes);
    // Somebody who was never paid asks for more: nobody hears it.
    MeetingMessage low;
    low.mutable_credit();
    EXPECT_TRUE(seeker_->till->take(key_of_seeker(), low).ok());
    EXPECT_TRUE(seeker_->said.empty());
}

TEST_F(RelayTillTest, PaymentsThatAreNoneAreRefused) {
    const PublicKey &own = key_of_seeker();
    EXPECT_EQ(answer_to(transfer(seeker_->account(), kQuotaCost), payer(), own),
              "it is no transfer to this node's account");
    EXPECT_NE(answer_to(transfer(point_->account(), kQuotaCost - 1), payer(), own).find("it pays"),
              std::string::npos);
    // Somebody else's, seen on the ledger.
    EXPECT_EQ(answer_to(transfer(point_->account(), kQuotaCost), payer(), key_of_point()),
              "who paid does not say that it was for this peer");
    // More than the account has.
    EXPECT_NE(answer_to(transfer(point_->account(), 2'000'000), payer(), own), "");
    wire::TxBody other_chain = transfer(point_->account(), kQuotaCost);
    other_chain.set_chain_id(Bytes(32, 'x'));
    EXPECT_TRUE(answer_to(other_chain, payer(), own).starts_with("violation"));
    EXPECT_FALSE(point_->till->may_carry(own).ok());
    // A right one, and once only.
    const wire::TxBody right = transfer(point_->account(), kQuotaCost);
    EXPECT_EQ(answer_to(right, payer(), own), "");
    EXPECT_EQ(answer_to(right, payer(), own), "it was used already");
    EXPECT_EQ(terms().credit_bytes(), kRelayQuotaBytes);
    // Not by a daemon that has started since, either: it knows nothing of it.
    open();
    EXPECT_EQ(answer_to(right, payer(), own), "it was paid long ago");
    EXPECT_EQ(terms().credit_bytes(), 0u);
}

TEST_F(RelayTillTest, ALockedWalletPaysNothing) {
    const Wallet locked(folder_ + "/seeker");
    seeker_->till.emplace(buys_, *backend_, locked, seeker_->node_key);
    EXPECT_EQ(seeker_->till->accepts(terms()).error().code, ErrorCode::kWalletLocked);
}

}  // namespace
}  // namespace chain::daemon
