// SPDX-License-Identifier: BSD-3-Clause
//
// What comes from outside: every refusal of the decoders, and rubbish of all kinds, which must end
// in an error and never in a crash or in a transaction that nobody signed.
#include "chain/wire/frame.h"
#include "tests/chain/ledger/ledger_fixture.h"

namespace chain::ledger {
namespace {

class Codec : public testing::Test {
protected:
    Error refusal(const wire::SignedTx &tx) {
        const auto decoded = decode_tx(tx.SerializeAsString(), world_.genesis.chain_id);
        EXPECT_FALSE(decoded.ok());
        return decoded.ok() ? Error{} : decoded.error();
    }
    World world_;
};

TEST_F(Codec, TheSenderSignsFirstAndNobodyElseSigns) {
    const wire::TxBody body = world_.transfer(0, 0, 1, 5);
    EXPECT_EQ(refusal(world_.sign(body, {})).code, ErrorCode::kProtocol);
    EXPECT_EQ(refusal(world_.sign(body, {1})).code, ErrorCode::kProtocol);
    EXPECT_EQ(refusal(world_.sign(body, {0, 1})).code, ErrorCode::kProtocol);
    EXPECT_EQ(refusal(world_.sign(body, {0, 0})).code, ErrorCode::kProtocol);
    const wire::TxBody lease = world_.open_lease(0, 0, {1, 2, 1}, kGenesisTimeMs);
    EXPECT_EQ(refusal(world_.sign(lease, {0, 1})).code, ErrorCode::kBadSignature);
    EXPECT_EQ(refusal(world_.sign(lease, {1, 0, 2})).code, ErrorCode::kProtocol);
    EXPECT_EQ(refusal(world_.sign(lease, {0, 1, 2, 3})).code, ErrorCode::kProtocol);
    EXPECT_EQ(refusal(world_.sign(lease, {0, 1, 2, 1})).code, ErrorCode::kProtocol);
    EXPECT_EQ(world_.decode(world_.sign(lease, {0, 2, 1})).signers.size(), 3u);
}

TEST_F(Codec, SignaturesAreForThisBodyAndThisChain) {
    wire::SignedTx tx = world_.sign(world_.transfer(0, 0, 1, 5), {0});
    tx.set_body(world_.transfer(0, 0, 1, 6).SerializeAsString());
    EXPECT_EQ(refusal(tx).code, ErrorCode::kBadSignature);
    const World other(2);
    EXPECT_EQ(refusal(other.sign(other.transfer(0, 0, 1, 5), {0})).code, ErrorCode::kInvalidInput);
    tx = world_.sign(world_.transfer(0, 0, 1, 5), {0});
    tx.mutable_signatures(0)->mutable_signature()->pop_back();
    EXPECT_EQ(refusal(tx).code, ErrorCode::kProtocol);
}

TEST_F(Codec, UnknownFieldsSizesAndNothingToDo) {
    wire::SignedTx tx = world_.sign(world_.transfer(0, 0, 1, 5), {0});
    EXPECT_EQ(decode_tx(tx.SerializeAsString() + "\x7a\x01x", world_.genesis.chain_id).error().code,
              ErrorCode::kProtocol);
    EXPECT_EQ(refusal(world_.sign(world_.body(0, 0), {0})).code, ErrorCode::kProtocol);
    EXPECT_EQ(decode_tx(Bytes(wire::kMaxTxBytes + 1, '\0'), world_.genesis.chain_id).error().code,
              ErrorCode::kTooLarge);
    wire::TxBody lease = world_.open_lease(0, 0, {1}, kGenesisTimeMs);
    while (lease.open_lease().legs_size() <= static_cast<int>(kLegsPerLeaseMax))
        *lease.mutable_open_lease()->add_legs() = lease.open_lease().legs(0);
    EXPECT_EQ(refusal(world_.sign(lease, {0, 1})).code, ErrorCode::kTooLarge);
}

TEST_F(Codec, DescriptionsNeverPrintWhatAStrangerWrote) {
    wire::TxBody body = world_.body(0, 0);
    body.mutable_publish_resource()->set_host("\x1b[31m");
    EXPECT_EQ(describe_tx(body).find('\x1b'), std::string::npos);
    body.mutable_transfer()->set_to("x");
    body.mutable_transfer()->set_amount(-1);
    EXPECT_EQ(describe_tx(body), "sends (no amount) to (no account)");
}

// Only the exact bytes that were signed decode: any flipped bit is refused, or is one of the bits
// that nobody signed and nothing depends on.
TEST_F(Codec, EveryFlippedBitOfATransactionIsRefused) {
    const Bytes good = world_.sign(world_.transfer(0, 0, 1, 5), {0}).SerializeAsString();
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        Bytes bad = good;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ 1 << bit % 8);
        EXPECT_FALSE(decode_tx(bad, world_.genesis.chain_id).ok()) << bit;
    }
    for (std::size_t size = 0; size < good.size(); ++size)
        EXPECT_FALSE(decode_tx(good.substr(0, size), world_.genesis.chain_id).ok());
}

TEST_F(Codec, EveryFlippedBitOfAVoucherIsRefused) {
    const wire::SignedVoucher good = world_.voucher(0, Bytes32{1}, 0, 1, 60'000'000'000);
    const PublicKey renter = world_.keys[0].public_key();
    ASSERT_TRUE(decode_voucher(good, renter).ok());
    for (std::size_t bit = 0; bit < (good.body().size() + 64) * 8; ++bit) {
        wire::SignedVoucher bad = good;
        Bytes *part = bit / 8 < good.body().size() ? bad.mutable_body() : bad.mutable_signature();
        const std::size_t at =
            bit / 8 < good.body().size() ? bit / 8 : bit / 8 - good.body().size();
        (*part)[at] = static_cast<char>((*part)[at] ^ 1 << bit % 8);
        EXPECT_FALSE(decode_voucher(bad, renter).ok()) << bit;
    }
    EXPECT_FALSE(decode_voucher(good, world_.keys[1].public_key()).ok());
    wire::SignedVoucher large = good;
    large.mutable_body()->resize(wire::kMaxVoucherBytes + 1);
    EXPECT_EQ(decode_voucher(large, renter).error().code, ErrorCode::kTooLarge);
}

TEST_F(Codec, RubbishOfAllKindsIsRefused) {
    const std::uint64_t seed = std::random_device{}();
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    const auto chain = world_.open_chain(make_memory_store());
    const Tx tx =
        world_.decode(world_.sign(world_.open_lease(0, 0, {1, 2}, kGenesisTimeMs + 9), {0, 1, 2}));
    const Bytes good_tx = tx.signed_bytes;
    const Bytes good_block = world_.sealer().seal(*chain, {tx}, kGenesisTimeMs + 9)->signed_bytes;
    const Bytes good_genesis = format_genesis(world_.genesis);
    ASSERT_TRUE(decode_block(good_block, world_.genesis).ok());
    const auto mutated = [&](Bytes bytes) {
        const int changes = 1 + static_cast<int>(random() % 4);
        for (int i = 0; i < changes && !bytes.empty(); ++i) {
            const std::size_t at = random() % bytes.size();
            switch (random() % 4) {
                case 0: bytes[at] = static_cast<char>(bytes[at] ^ 1 << random() % 8); break;
                case 1: bytes[at] = static_cast<char>(random()); break;
                case 2: bytes.erase(at, 1 + random() % 8); break;
                default: bytes.insert(at, 1 + random() % 8, static_cast<char>(random())); break;
            }
        }
        return bytes;
    };
    for (int i = 0; i < 3'000; ++i) {
        Bytes noise(random() % 300, '\0');
        for (char &c : noise) c = static_cast<char>(random());
        EXPECT_FALSE(decode_tx(noise, world_.genesis.chain_id).ok());
        EXPECT_FALSE(decode_block(noise, world_.genesis).ok());
        EXPECT_FALSE(parse_genesis(noise).ok());
        const Bytes bad_tx = mutated(good_tx);
        const auto decoded = decode_tx(bad_tx, world_.genesis.chain_id);
        // Another encoding of the same signed bytes is the same transaction.
        if (decoded.ok()) {
            EXPECT_EQ(decoded->id, tx.id) << to_hex(bad_tx);
        }
        const Bytes bad_block = mutated(good_block);
        const auto block = decode_block(bad_block, world_.genesis);
        if (block.ok()) {
            EXPECT_EQ(block->id, decode_block(good_block, world_.genesis)->id);
        }
        const Bytes bad_genesis = mutated(good_genesis);
        const auto genesis = parse_genesis(bad_genesis);
        if (genesis.ok() && bad_genesis != good_genesis) {
            EXPECT_NE(genesis->chain_id, world_.genesis.chain_id);
        }
    }
}

TEST_F(Codec, GenesisRoundTripsAndNamesTheBadField) {
    const Bytes text = format_genesis(world_.genesis);
    const Genesis again = *parse_genesis(text);
    EXPECT_EQ(again.chain_id, world_.genesis.chain_id);
    EXPECT_EQ(again.allocations, world_.genesis.allocations);
    EXPECT_EQ(parse_genesis(text + " ")->chain_id == again.chain_id, false) << "exact bytes";
    const struct {
        const char *from, *to, *why;
    } cases[] = {
        {"\"burn_ppm\": 50000", "\"burn_ppm\": 1000001", "burn_ppm"},
        {"\"burn_ppm\": 50000", "\"burn_ppm\": -1", "burn_ppm"},
        {"\"burn_ppm\": 50000", "\"burn_ppm\": 0.5", "burn_ppm"},
        {"\"burn_ppm\": 50000", "\"burn_ppm\": 4294967297", "burn_ppm"},
        {"\"burn_ppm\": 50000,", "", "burn_ppm"},
        {"\"deposit_ppm\": 100000", "\"deposit_ppm\": 1000001", "deposit_ppm"},
        {"\"deposit_ppm\": 100000", "\"deposit_pm\": 100000", "deposit_pm"},
        {"\"legs_max\": 256", "\"legs_max\": 257", "legs_max"},
        {"\"chain_name\": \"test\"", "\"chain_name\": \"te st\"", "chain_name"},
        {"\"chain_name\": \"test\"", "\"chain_nam\": \"test\"", "chain_nam"},
        {"\"sealer\": \"ompc1", "\"sealer\": \"ompc2", "sealer"},
        {"\"units\": 1000000000000", "\"units\": 0", "units"},
        {"\"units\": 1000000000000", "\"units\": 4000000000000000000", "add up"},
        {"\"units\": 1000000000000", "\"units\": 9223372036854775808", "units"},
        {"\"allocations\": [", "\"allocations\": 1, \"params2\": [", "params2"},
    };
    for (const auto &c : cases) {
        std::string bad = text;
        const std::size_t at = bad.find(c.from);
        ASSERT_NE(at, std::string::npos) << c.from;
        bad.replace(at, std::string_view(c.from).size(), c.to);
        const auto parsed = parse_genesis(bad);
        ASSERT_FALSE(parsed.ok()) << c.to;
        EXPECT_EQ(parsed.error().code, ErrorCode::kCorrupt);
        EXPECT_NE(parsed.error().message.find(c.why), std::string::npos) << parsed.error().message;
    }
    EXPECT_FALSE(parse_genesis(std::string(100'000, '[')).ok());
}

// A network that was founded before there were reservations keeps its file, and so its chain id.
TEST_F(Codec, AGenesisFromBeforeReservationsMeansTheDefaults) {
    std::string text = format_genesis(world_.genesis);
    for (const std::string field :
         {"reservation_ahead_max_ms", "reservation_notice_ms", "deposit_ppm"}) {
        const std::size_t at = text.find("    \"" + field);
        ASSERT_NE(at, std::string::npos);
        text.erase(at, text.find('\n', at) + 1 - at);
    }
    const auto parsed = parse_genesis(text);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(parsed->params.reservation_ahead_max_ms, 30ULL * 24 * 3600 * 1000);
    EXPECT_EQ(parsed->params.reservation_notice_ms, 3'600'000u);
    EXPECT_EQ(parsed->params.deposit_ppm, 100'000u);
}

// The stored bytes enter the digest, so they must never change by themselves.
TEST(Records, BytesArePinned) {
    const Account account{.balance = Amount{300}, .nonce = 2, .escrow = Amount{5}};
    EXPECT_EQ(to_hex(encode_account(account)), "08ac0210021805");
    EXPECT_EQ(encode_account(Account{}), "");
    Lease lease;
    lease.renter[0] = 1;
    lease.price_per_ghz_h = Amount{7};
    lease.legs.resize(1);
    lease.legs[0].provider[31] = 2;
    lease.legs[0].state = LegState::kSettled;
    EXPECT_EQ(to_hex(encode_lease(lease)),
              "0a2001000000000000000000000000000000000000000000000000000000000000001007"
              "3a240a2000000000000000000000000000000000000000000000000000000000000000023802");
    Lease again = *decode_lease(Bytes32{}, encode_lease(lease));
    EXPECT_EQ(again.legs[0].state, LegState::kSettled);
    EXPECT_FALSE(again.is_reserved());
    // What other leases do not have comes after the rest of the record.
    lease.starts_at_ms = 300;
    lease.legs[0].free = lease.legs[0].released = true;
    lease.legs[0].end = LegEnd::kNoShow;
    EXPECT_EQ(to_hex(encode_lease(lease)),
              "0a2001000000000000000000000000000000000000000000000000000000000000001007"
              "3a2d0a2000000000000000000000000000000000000000000000000000000000000000023802"
              "a0010bc80101d00101"
              "40ac02");
    again = *decode_lease(Bytes32{}, encode_lease(lease));
    EXPECT_EQ(again.starts_at_ms, 300u);
    EXPECT_EQ(again.begins_at_ms(), 300u);
    EXPECT_TRUE(again.legs[0].free && again.legs[0].released);
    EXPECT_EQ(again.legs[0].end, LegEnd::kNoShow);
}

TEST(StateDigest, DoesNotDependOnOrderAndRemovingIsTheInverse) {
    StateDigest one, two;
    one.add("a", "1");
    one.add("b", "2");
    two.add("b", "2");
    two.add("c", "3");
    two.add("a", "1");
    EXPECT_NE(one.digest(), two.digest());
    two.remove("c", "3");
    EXPECT_EQ(one.digest(), two.digest());
    StateDigest shifted;
    shifted.add("a", "1");
    shifted.add("", "b2");
    EXPECT_NE(one.digest(), shifted.digest());
    EXPECT_EQ(StateDigest::from_lane_bytes(one.lane_bytes())->digest(), one.digest());
    EXPECT_FALSE(StateDigest::from_lane_bytes("short").ok());
    one.remove("a", "1");
    one.remove("b", "2");
    EXPECT_EQ(one, StateDigest{});
}

}  // namespace
}  // namespace chain::ledger
