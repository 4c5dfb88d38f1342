// SPDX-License-Identifier: BSD-3-Clause
//
// What a provider says on the ledger of a leg that was reserved, on a model of the ledger and by a
// clock that the test moves.
#include "chain/daemon/bookings.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "chain/backend/memory_backend.h"
#include "chain/base/file.h"
#include "chain/identity/keystore.h"
#include "incentive/settlement.h"

namespace chain::daemon {
namespace {

constexpr std::uint64_t kNowMs = 1'800'000'000'000;
constexpr std::uint64_t kAheadMs = 3 * 3'600'000;
constexpr std::uint64_t kDurationMs = 3'600'000;

// Once for all tests: a wallet is slow to open, on purpose.
struct Lender {
    Lender() {
        char name[] = "/tmp/ompi-bookings-XXXXXX";
        CHAIN_CHECK(mkdtemp(name) != nullptr);
        folder = name;
        wallet.emplace(folder + "/wallet.json");
        CHAIN_CHECK(create_wallet(folder + "/wallet.json", key, "secret").ok());
        CHAIN_CHECK(wallet->unlock("secret").ok());
    }
    ~Lender() { static_cast<void>(remove_tree(folder)); }

    const KeyPair key = KeyPair::generate();
    std::string folder;
    std::optional<Wallet> wallet;
};

class BookingsTest : public testing::Test {
protected:
    static void SetUpTestSuite() { lender_ = std::make_unique<Lender>(); }
    static void TearDownTestSuite() { lender_.reset(); }

    BookingsTest() {
        ledger::Genesis genesis;
        genesis.chain_name = "bookings";
        genesis.time_ms = kNowMs - 1'000;
        genesis.sealer = provider_.public_key();
        genesis.allocations = {{provider_.public_key(), Amount{1'000'000'000'000}},
                               {renter_.public_key(), Amount{1'000'000'000'000}},
                               {other_.public_key(), Amount{1'000'000'000'000}}};
        auto parsed = ledger::parse_genesis(ledger::format_genesis(genesis));
        backend_ = std::move(*MemoryBackend::open(clock_, std::move(*parsed)));
        network_ = std::move(*p2p::Network::start(loop_, node_key_, {.listen = false}));
        book_.emplace(backend_->chain_id(), clock_);
        static int number = 0;
        journal_.emplace(
            std::move(*Journal::open(lender_->folder + "/journal" + std::to_string(++number))));
        node_.emplace(Node{loop_, workers_, workers_, clock_, *backend_, *network_, *book_,
                           *journal_, *lender_->wallet, node_key_, lender_->folder});
        bookings_.emplace(*node_, [this] { return is_lent_; });
    }
    ~BookingsTest() override {
        bookings_.reset();
        journal_.reset();
        network_.reset();
    }

    // On the ledger, and promised. `gang`: another provider has a leg, too.
    LegKey reserve(bool gang = false, bool is_funded = true) {
        wire::TxBody body;
        wire::OpenLease &open = *body.mutable_open_lease();
        open.set_price_per_ghz_h(10'000'000);
        open.set_starts_at_ms(clock_.unix_ms() + kAheadMs);
        open.set_duration_ms(kDurationMs);
        open.set_expires_at_ms(open.starts_at_ms() + kDurationMs +
                               backend_->params().settle_grace_ms);
        add_leg(open, provider_);
        if (gang) add_leg(open, other_);
        body.set_chain_id(to_bytes(backend_->chain_id()));
        body.set_sender(to_bytes(renter_.public_key()));
        body.set_nonce(*backend_->next_nonce(renter_.public_key()));
        wire::SignedTx tx = ledger::sign_tx(body, renter_);
        ledger::add_signature(tx, provider_);
        if (gang) ledger::add_signature(tx, other_);
        const LegKey key{ledger::tx_id(tx.body()), 0};
        wire::BookingRecord record;
        record.set_starts_at_ms(open.starts_at_ms());
        record.set_duration_ms(kDurationMs);
        record.set_slot_count(2);
        record.set_billed_slots(2);
        record.set_memory_bytes(100);
        record.set_renter(to_bytes(renter_.public_key()));
        record.set_renter_node(to_bytes(renter_node_.public_key()));
        record.set_agreed_at_ms(clock_.unix_ms());
        CHAIN_CHECK(bookings_->add(key, record).ok());
        if (is_funded) {
            const auto taken = backend_->submit(tx);
            EXPECT_TRUE(taken.ok()) << taken.error().message;
        }
        look();
        return key;
    }

    void add_leg(wire::OpenLease &open, const KeyPair &provider) const {
        wire::LeaseLeg &leg = *open.add_legs();
        const Cycles cycles = incentive::cycles_bound(2, 1'000'000'000, kDurationMs);
        const Amount price{open.price_per_ghz_h()};
        leg.set_provider(to_bytes(provider.public_key()));
        leg.set_slot_count(2);
        leg.set_hz_max(1'000'000'000);
        leg.set_cycles_max(cycles);
        leg.set_escrow(incentive::escrow(price, cycles)->units);
        leg.set_collateral(
            backend_->collateral(provider.public_key(), {price, 2, 1'000'000'000, cycles})->units);
    }

    Result<ledger::TxId> say(const KeyPair &who, wire::TxBody body) {
        body.set_chain_id(to_bytes(backend_->chain_id()));
        body.set_sender(to_bytes(who.public_key()));
        body.set_nonce(*backend_->next_nonce(who.public_key()));
        return backend_->submit(ledger::sign_tx(body, who));
    }

    // Often enough that whatever there is to say has been said.
    void look() {
        for (int i = 0; i < 3; ++i) bookings_->look();
    }
    void look_at(std::uint64_t ms) {
        ASSERT_GE(ms, clock_.unix_ms());
        clock_.advance_ms(ms - clock_.unix_ms());
        look();
    }
    ledger::Leg leg(const LegKey &key) const { return backend_->lease(key.lease)->legs[key.leg]; }
    std::uint64_t window_ms() const { return backend_->params().start_window_ms; }
    Amount deposit(const LegKey &key) const {
        return *incentive::deposit(leg(key).escrow, backend_->params());
    }

    static std::unique_ptr<Lender> lender_;
    const KeyPair &provider_ = lender_->key;
    const KeyPair renter_ = KeyPair::generate();
    const KeyPair other_ = KeyPair::generate();
    const KeyPair node_key_ = KeyPair::generate();
    const KeyPair renter_node_ = KeyPair::generate();
    ManualClock clock_{kNowMs};
    Loop loop_;
    WorkerPool workers_{loop_, 1};
    std::unique_ptr<MemoryBackend> backend_;
    std::unique_ptr<p2p::Network> network_;
    std::optional<market::OfferBook> book_;
    std::optional<Journal> journal_;
    std::optional<Node> node_;
    bool is_lent_ = true;
    std::optional<Bookings> bookings_;
};

std::unique_ptr<Lender> BookingsTest::lender_;

TEST_F(BookingsTest, ReportsTheStartAtTheStart) {
    const LegKey key = reserve();
    const std::uint64_t start_ms = kNowMs + kAheadMs;
    EXPECT_TRUE(bookings_->find(key)->funded());
    look_at(start_ms - 1);
    EXPECT_FALSE(leg(key).started);
    EXPECT_EQ(leg(key).state, ledger::LegState::kOpen);
    look_at(start_ms);
    EXPECT_TRUE(leg(key).started);
    EXPECT_TRUE(bookings_->awaits_renter(key));
}

TEST_F(BookingsTest, AMachineThatIsNotLentSaysSoByHalfOfTheWindow) {
    const LegKey key = reserve();
    is_lent_ = false;
    const std::uint64_t start_ms = kNowMs + kAheadMs;
    look_at(start_ms + window_ms() / 2 - 1);
    EXPECT_EQ(leg(key).state, ledger::LegState::kOpen) << "its owner may yet leave";
    look_at(start_ms + window_ms() / 2);
    EXPECT_EQ(leg(key).end, ledger::LegEnd::kNotStarted);
    EXPECT_EQ(bookings_->find(key), nullptr);
    EXPECT_TRUE(journal_->bookings().empty());
}

TEST_F(BookingsTest, OneThatIsLentAgainInTimeStarts) {
    const LegKey key = reserve();
    is_lent_ = false;
    look_at(kNowMs + kAheadMs + window_ms() / 4);
    EXPECT_FALSE(leg(key).started);
    is_lent_ = true;
    look();
    EXPECT_TRUE(leg(key).started);
}

TEST_F(BookingsTest, WhoGivesUpSaysWhatCostsLeast) {
    const LegKey before = reserve();
    look_at(kNowMs + kAheadMs - 1);
    bookings_->give_up(before);
    EXPECT_EQ(leg(before).state, ledger::LegState::kOpen) << "before the start it is not asked";
    is_lent_ = false;
    look_at(kNowMs + kAheadMs);
    EXPECT_EQ(leg(before).end, ledger::LegEnd::kNotStarted);
    is_lent_ = true;
    const LegKey after = reserve();
    look_at(clock_.unix_ms() + kAheadMs);
    ASSERT_TRUE(leg(after).started);
    is_lent_ = false;
    bookings_->give_up(after);
    look();
    EXPECT_EQ(leg(after).end, ledger::LegEnd::kReclaimed);
    EXPECT_EQ(leg(after).forfeit.units, 0);
}

TEST_F(BookingsTest, NobodyCame) {
    const LegKey key = reserve();
    const std::uint64_t start_ms = kNowMs + kAheadMs;
    look_at(start_ms);
    look_at(start_ms + window_ms() + kNoShowPatienceMs - 1);
    EXPECT_EQ(leg(key).state, ledger::LegState::kOpen) << "the renter's daemon goes first";
    look_at(start_ms + window_ms() + kNoShowPatienceMs);
    EXPECT_EQ(leg(key).end, ledger::LegEnd::kNoShow);
    EXPECT_EQ(leg(key).penalty, deposit(key));
    EXPECT_EQ(leg(key).forfeit.units, 0);
    EXPECT_EQ(bookings_->count(), 0u);
}

TEST_F(BookingsTest, AGangOfWhichOneIsMissingIsVoid) {
    const LegKey key = reserve(true);
    const std::uint64_t start_ms = kNowMs + kAheadMs;
    look_at(start_ms);
    EXPECT_TRUE(leg(key).started);
    look_at(start_ms + window_ms());
    EXPECT_EQ(leg(key).end, ledger::LegEnd::kVoided);
    EXPECT_EQ(leg(key).payment.units + leg(key).penalty.units + leg(key).forfeit.units, 0);
    EXPECT_TRUE(leg({key.lease, 1}).accused);
}

TEST_F(BookingsTest, FollowsTheRenterWhoCloses) {
    const LegKey early = reserve();
    wire::TxBody close;
    close.mutable_close_lease()->set_lease_id(to_bytes(early.lease));
    ASSERT_TRUE(say(renter_, close).ok());
    look();
    EXPECT_EQ(leg(early).end, ledger::LegEnd::kCancelled);
    EXPECT_EQ(leg(early).payment.units, 0);
    EXPECT_EQ(bookings_->count(), 0u);
    const LegKey late = reserve();
    look_at(clock_.unix_ms() + kAheadMs);
    close.mutable_close_lease()->set_lease_id(to_bytes(late.lease));
    ASSERT_TRUE(say(renter_, close).ok());
    look();
    EXPECT_EQ(leg(late).end, ledger::LegEnd::kCancelled);
    EXPECT_EQ(leg(late).payment, deposit(late));
    EXPECT_EQ(bookings_->count(), 0u);
}

TEST_F(BookingsTest, AreThereAgainAfterAKill) {
    const LegKey waits = reserve();
    const LegKey begun = reserve();
    const LegKey paid = reserve();
    ASSERT_TRUE(bookings_->begin(begun).ok());
    ASSERT_TRUE(bookings_->begin(paid).ok());
    wire::ProviderRecord record;
    record.mutable_voucher()->set_body("one");
    ASSERT_TRUE(journal_->put_provider(paid.lease, paid.leg, record).ok());
    bookings_.reset();
    bookings_.emplace(*node_, [this] { return is_lent_; });
    bookings_->recover();
    EXPECT_EQ(bookings_->count(), 3u);
    EXPECT_TRUE(bookings_->awaits_renter(waits));
    EXPECT_TRUE(bookings_->awaits_renter(begun)) << "nothing was done in it: it may begin again";
    EXPECT_FALSE(bookings_->awaits_renter(paid)) << "what was done in it is to be settled";
    market::Timetable timetable;
    bookings_->add_to(timetable);
    EXPECT_EQ(timetable.peak({0, UINT64_MAX}), (market::Load{4, 200}));
}

TEST_F(BookingsTest, WhatIsNotFundedIsForgotten) {
    const LegKey key = reserve(false, false);
    EXPECT_TRUE(bookings_->awaits_funding(renter_node_.public_key(), key));
    EXPECT_FALSE(bookings_->awaits_funding(node_key_.public_key(), key)) << "another peer";
    look_at(kNowMs + 29'000);
    EXPECT_EQ(bookings_->count(), 1u);
    look_at(kNowMs + 31'000);
    EXPECT_EQ(bookings_->count(), 0u);
    EXPECT_TRUE(journal_->bookings().empty());
    const LegKey cancelled = reserve(false, false);
    bookings_->cancel(cancelled);
    EXPECT_EQ(bookings_->count(), 0u);
    const LegKey funded = reserve();
    EXPECT_FALSE(bookings_->awaits_funding(renter_node_.public_key(), funded));
    bookings_->cancel(funded);
    EXPECT_EQ(bookings_->count(), 1u) << "the ledger has it";
}

TEST_F(BookingsTest, ARenterHasSoManyAndAllTogetherSoMany) {
    wire::BookingRecord record;
    record.set_renter(to_bytes(renter_.public_key()));
    record.set_agreed_at_ms(kNowMs);
    LegKey key;
    for (std::size_t i = 0; i < kBookingsPerRenterMax; ++i) {
        ASSERT_TRUE(bookings_->check_limits(renter_.public_key()).ok()) << i;
        key.lease[0] = static_cast<std::uint8_t>(i);
        ASSERT_TRUE(bookings_->add(key, record).ok());
    }
    EXPECT_EQ(bookings_->check_limits(renter_.public_key()).error().code, ErrorCode::kRefused);
    EXPECT_TRUE(bookings_->check_limits(other_.public_key()).ok());
    for (std::size_t i = kBookingsPerRenterMax; i < kBookingsMax; ++i) {
        ASSERT_TRUE(bookings_->check_limits(other_.public_key()).ok()) << i;
        record.set_renter("another one " + std::to_string(i));
        key.lease[0] = static_cast<std::uint8_t>(i);
        key.lease[1] = 1;
        ASSERT_TRUE(bookings_->add(key, record).ok());
    }
    EXPECT_FALSE(bookings_->check_limits(other_.public_key()).ok());
}

TEST_F(BookingsTest, BeginsForOneSessionAndItsFilesOnly) {
    const LegKey key{Bytes32{1}, 2};
    const Bytes bytes = begin_bytes(key, renter_node_.public_key(), Bytes(32, 'f'));
    EXPECT_EQ(bytes.size(), 32u + 4u + 32u + 32u);
    EXPECT_NE(bytes, begin_bytes({Bytes32{1}, 3}, renter_node_.public_key(), Bytes(32, 'f')));
    EXPECT_NE(bytes, begin_bytes({Bytes32{2}, 2}, renter_node_.public_key(), Bytes(32, 'f')));
    EXPECT_NE(bytes, begin_bytes(key, node_key_.public_key(), Bytes(32, 'f')));
    EXPECT_NE(bytes, begin_bytes(key, renter_node_.public_key(), Bytes(32, 'g')));
}

}  // namespace
}  // namespace chain::daemon
