// SPDX-License-Identifier: BSD-3-Clause
#include "chain/market/offer_book.h"

#include <gtest/gtest.h>

namespace chain::market {
namespace {

class OfferBookTest : public ::testing::Test {
protected:
    OfferBookTest() { chain_id_.fill(7); }

    wire::OfferBody body(const KeyPair &provider) const {
        wire::OfferBody body;
        body.set_chain_id(to_bytes(chain_id_));
        body.set_provider(to_bytes(provider.public_key()));
        body.set_node_key(to_bytes(provider.public_key()));
        body.set_address("127.0.0.1:7660");
        body.set_host("lab-1");
        body.set_slot_count(2);
        body.set_hz(3'000'000'000);
        body.set_ask_per_ghz_h(10'000'000);
        body.set_isolation("partial");
        body.set_meter_class(wire::METER_CLASS_CALIBRATED);
        body.set_sequence(1);
        body.set_issued_at_ms(clock_.unix_ms());
        body.set_expires_at_ms(clock_.unix_ms() + kOfferLifeMs);
        return body;
    }

    Bytes32 chain_id_{};
    ManualClock clock_;
    KeyPair provider_ = KeyPair::generate();
};

TEST_F(OfferBookTest, KeepsTheNewestOfAProviderUntilItExpires) {
    OfferBook book(chain_id_, clock_);
    wire::OfferBody first = body(provider_);
    EXPECT_TRUE(*book.accept(sign_offer(first, provider_)));
    EXPECT_FALSE(*book.accept(sign_offer(first, provider_))) << "known: not passed on again";
    first.set_sequence(2);
    first.set_slot_count(1);
    EXPECT_TRUE(*book.accept(sign_offer(first, provider_)));
    ASSERT_EQ(book.offers().size(), 1u);
    EXPECT_EQ(book.offers()[0].slot_count, 1u);
    first.set_sequence(1);
    EXPECT_FALSE(*book.accept(sign_offer(first, provider_))) << "an old one does not come back";
    EXPECT_EQ(book.offers()[0].slot_count, 1u);
    clock_.advance_ms(kOfferLifeMs + 1);
    EXPECT_TRUE(book.offers().empty());
}

TEST_F(OfferBookTest, AWithdrawnOfferIsKeptForPeersButNotCleared) {
    OfferBook book(chain_id_, clock_);
    wire::OfferBody withdrawn = body(provider_);
    withdrawn.set_slot_count(0);
    EXPECT_TRUE(*book.accept(sign_offer(withdrawn, provider_)));
    EXPECT_TRUE(book.offers().empty());
    EXPECT_EQ(book.signed_offers().size(), 1u);
}

TEST_F(OfferBookTest, WhatIsLentInAllCanBeReserved) {
    OfferBook book(chain_id_, clock_);
    wire::OfferBody busy = body(provider_);
    busy.set_slot_count(0);
    busy.set_slot_total(4);
    EXPECT_TRUE(*book.accept(sign_offer(busy, provider_)));
    EXPECT_TRUE(book.offers().empty());
    ASSERT_EQ(book.offers_ahead().size(), 1u);
    EXPECT_EQ(book.offers_ahead()[0].slot_count, 4u);
    ASSERT_TRUE(book.offer_of(provider_.public_key()).has_value());
    EXPECT_EQ(book.offer_of(provider_.public_key())->slot_count, 0u);
    EXPECT_FALSE(book.offer_of(KeyPair::generate().public_key()).has_value());
    // One that says nothing of it lends nothing ahead: an older daemon, or one that stops.
    busy.set_sequence(2);
    busy.set_slot_count(2);
    busy.set_slot_total(0);
    EXPECT_TRUE(*book.accept(sign_offer(busy, provider_)));
    EXPECT_EQ(book.offers().size(), 1u);
    EXPECT_TRUE(book.offers_ahead().empty());
    clock_.advance_ms(kOfferLifeMs + 1);
    EXPECT_FALSE(book.offer_of(provider_.public_key()).has_value());
}

TEST_F(OfferBookTest, RefusesWhatIsNotSoundOrNotSigned) {
    OfferBook book(chain_id_, clock_);
    const auto refused = [&](auto change) {
        wire::OfferBody changed = body(provider_);
        change(changed);
        return !book.accept(sign_offer(changed, provider_)).ok();
    };
    EXPECT_TRUE(refused([](auto &b) { b.set_host("-rm -rf"); }));
    EXPECT_TRUE(refused([](auto &b) { b.set_host("a,b"); }));
    EXPECT_TRUE(refused([](auto &b) { b.set_chain_id("another"); }));
    EXPECT_TRUE(refused([](auto &b) { b.set_hz(0); }));
    EXPECT_TRUE(refused([](auto &b) { b.set_ask_per_ghz_h(0); }));
    EXPECT_TRUE(refused([](auto &b) { b.set_ask_per_ghz_h(-5); }));
    EXPECT_TRUE(refused([](auto &b) { b.set_slot_count(5000); }));
    EXPECT_TRUE(refused([](auto &b) { b.set_slot_total(5000); }));
    EXPECT_TRUE(refused([](auto &b) { b.set_isolation("sure"); }));
    EXPECT_TRUE(refused([&](auto &b) { b.set_expires_at_ms(clock_.unix_ms()); }));
    EXPECT_TRUE(refused([&](auto &b) { b.set_expires_at_ms(clock_.unix_ms() + 3'600'000); }));
    EXPECT_TRUE(refused([&](auto &b) { b.set_issued_at_ms(clock_.unix_ms() + 3'600'000); }));
    EXPECT_TRUE(refused([](auto &b) { b.mutable_calibration()->set_spread_ppm(kPpm + 1); }));
    EXPECT_TRUE(refused([](auto &b) { b.mutable_calibration()->set_chain_count(1'000'000); }));
    EXPECT_TRUE(refused([&](auto &b) {
        b.mutable_calibration()->set_measured_at_ms(clock_.unix_ms() + 3'600'000);
    }));
    const KeyPair thief = KeyPair::generate();
    const auto forged = book.accept(sign_offer(body(provider_), thief));
    ASSERT_FALSE(forged.ok());
    EXPECT_EQ(forged.error().code, ErrorCode::kBadSignature);
    EXPECT_TRUE(book.offers().empty());
}

}  // namespace
}  // namespace chain::market
