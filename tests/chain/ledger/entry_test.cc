// SPDX-License-Identifier: BSD-3-Clause
//
// The ledger's entries and what strangers bring to them: each kind of bad input has its error code,
// and leaves the state, its digest and the pending pool as they were (docs/ledger_rules.md, "Bad
// input").
#include "chain/backend/ledger_backend.h"
#include "chain/identity/keystore.h"
#include "chain/wire/frame.h"
#include "tests/chain/ledger/ledger_fixture.h"

namespace chain {
namespace {

using ledger::Block;
using ledger::kGenesisTimeMs;
using ledger::kStartUnits;
using ledger::LeaseId;
using ledger::World;

const Bytes kUnknownField = "\x7a\x01x";  // number 15: no message here has it

struct Case {
    std::string what;
    Bytes input;
    ErrorCode code;
};

// The last `cut` bytes are missing.
Bytes truncated(Bytes bytes, std::size_t cut = 7) {
    bytes.resize(bytes.size() - cut);
    return bytes;
}

// The same message with the length of its first field written in two more bytes than it needs.
Bytes padded(const Bytes &bytes) {
    std::size_t end = 1;
    while (static_cast<unsigned char>(bytes[end]) >= 0x80) ++end;
    Bytes out = bytes.substr(0, end);
    out += static_cast<char>(bytes[end] | 0x80);
    out += "\x80";
    out += '\0';
    return out + bytes.substr(end + 1);
}

class Entries : public testing::Test {
protected:
    Entries() : clock_(kGenesisTimeMs + 500) {
        sealer_ = open(numbered(999));
        follower_ = open(std::nullopt);
        // Something to stand on: one block, with a transfer and a lease.
        submit(world_.transfer(0, 0, 1, 5), {0});
        const wire::TxBody lease = world_.open_lease(0, 1, {1}, now_ms());
        lease_ = ledger::tx_id(lease.SerializeAsString());
        submit(lease, {0, 1});
        run_until([&] { return sealer_->mempool_count() == 0 && sealer_->height() > 0; });
        const auto blocks = sealer_->blocks_from(1, 100);
        for (const Bytes &block : *blocks) {
            const auto taken = follower_->accept_block(block);
            EXPECT_TRUE(taken.ok()) << taken.error().message;
        }
        EXPECT_EQ(follower_->height(), sealer_->height());
    }

    static KeyPair numbered(unsigned number) { return ledger::numbered_key(number); }
    std::uint64_t now_ms() const { return clock_.unix_ms(); }

    std::unique_ptr<LedgerBackend> open(std::optional<KeyPair> key) {
        auto backend = LedgerBackend::open(loop_, clock_, make_memory_store(), world_.genesis,
                                           std::move(key), {.block_spacing_ms = 2});
        CHAIN_CHECK(backend.ok());
        return std::move(backend).value();
    }
    void submit(const wire::TxBody &body, const std::vector<unsigned> &signers) {
        const auto taken = sealer_->submit(world_.sign(body, signers));
        CHAIN_CHECK(taken.ok());
    }
    void run_until(const std::function<bool()> &done) {
        const LoopHandle poll = loop_.every_ms(1, [&] {
            if (done()) loop_.stop();
        });
        loop_.run();
    }

    Bytes tx(const wire::TxBody &body, const std::vector<unsigned> &signers) const {
        return world_.sign(body, signers).SerializeAsString();
    }
    // A transaction of account 2, whose next nonce is 0.
    Bytes transfer(const std::function<void(wire::TxBody &)> &spoil) const {
        wire::TxBody body = world_.transfer(2, 0, 3, 5);
        spoil(body);
        return tx(body, {2});
    }
    Bytes claim(const wire::SignedVoucher &voucher) const {
        return tx(world_.claim(2, 0, voucher), {2});
    }
    Bytes claim(const std::function<void(wire::VoucherBody &)> &spoil) const {
        wire::VoucherBody body = world_.voucher_body(lease_, 0, 1, 1'000);
        spoil(body);
        return claim(ledger::sign_voucher(body, world_.keys[0]));
    }

    // Refused with its code, whoever is asked; and nothing has changed.
    template <class Give>
    void expect_refusals(const std::vector<Case> &cases, const Give &give) {
        for (const Case &c : cases) {
            for (LedgerBackend *backend : {sealer_.get(), follower_.get()}) {
                const Bytes32 digest = backend->state_digest();
                const std::uint64_t height = backend->height();
                const std::size_t pending = backend->mempool_count();
                const Status status = give(*backend, c.input);
                ASSERT_FALSE(status.ok()) << c.what;
                EXPECT_EQ(status.error().code, c.code) << c.what << ": " << status.error().message;
                EXPECT_FALSE(status.error().message.empty()) << c.what;
                EXPECT_EQ(backend->state_digest(), digest) << c.what;
                EXPECT_EQ(backend->height(), height) << c.what;
                EXPECT_EQ(backend->mempool_count(), pending) << c.what;
                EXPECT_TRUE(backend->verify_all()->ok) << c.what;
            }
        }
    }
    static Status give_tx(LedgerBackend &backend, const Bytes &input) {
        const auto taken = backend.accept_tx(input);
        return taken.ok() ? ok_status() : Status(taken.error());
    }

    World world_;
    World other_{3};  // another chain
    Loop loop_;
    ManualClock clock_;
    std::unique_ptr<LedgerBackend> sealer_, follower_;
    LeaseId lease_{};
};

TEST_F(Entries, Transactions) {
    const Bytes right = transfer([](auto &) {});

    const Bytes elsewhere = other_.sign(other_.transfer(2, 0, 1, 5), {2}).SerializeAsString();
    const auto amount = [](std::int64_t units) {
        return [units](wire::TxBody &body) { body.mutable_transfer()->set_amount(units); };
    };
    wire::TxBody dear = world_.open_lease(2, 0, {3}, now_ms());
    dear.mutable_open_lease()->set_price_per_ghz_h(kMaxAmountUnits);
    const std::uint64_t week_ms = world_.genesis.params.lease_duration_max_ms;
    dear.mutable_open_lease()->set_duration_ms(week_ms);
    dear.mutable_open_lease()->set_expires_at_ms(now_ms() + week_ms + 60'000);
    dear.mutable_open_lease()->mutable_legs(0)->set_cycles_max(
        incentive::cycles_bound(2, 2'000'000'000, week_ms));
    expect_refusals(
        {
            {"nothing", {}, ErrorCode::kProtocol},
            {"oversized", Bytes(wire::kMaxTxBytes + 1, 'x'), ErrorCode::kTooLarge},
            {"truncated", truncated(right), ErrorCode::kProtocol},
            {"unknown field outside", right + kUnknownField, ErrorCode::kProtocol},
            {"unknown field inside", transfer([](auto &body) {
                 body.GetReflection()->MutableUnknownFields(&body)->AddVarint(15, 1);
             }),
             ErrorCode::kProtocol},
            {"padded encoding", padded(right), ErrorCode::kProtocol},
            {"another chain's", elsewhere, ErrorCode::kInvalidInput},
            {"another one with a nonce that was used", tx(world_.transfer(0, 0, 1, 6), {0}),
             ErrorCode::kConflict},
            {"nonce of the future", tx(world_.transfer(2, 1, 3, 5), {2}), ErrorCode::kConflict},
            {"more than it has", transfer(amount(kStartUnits + 1)), ErrorCode::kInsufficientFunds},
            {"more than there can be", transfer(amount(kMaxAmountUnits + 1)),
             ErrorCode::kInvalidInput},
            {"2^63 - 1", transfer(amount(std::numeric_limits<std::int64_t>::max())),
             ErrorCode::kInvalidInput},
            {"below zero", transfer(amount(-1)), ErrorCode::kInvalidInput},
            {"an escrow beyond all amounts", tx(dear, {2, 3}), ErrorCode::kTooLarge},
            {"somebody else's key", tx(world_.transfer(2, 0, 3, 5), {3}), ErrorCode::kProtocol},
        },
        give_tx);
    // The very one that is in a block: known, and not applied a second time.
    const Bytes replayed = tx(world_.transfer(0, 0, 1, 5), {0});
    const Bytes32 digest = sealer_->state_digest();
    const auto again = sealer_->accept_tx(replayed);
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_FALSE(*again);
    EXPECT_EQ(sealer_->mempool_count(), 0u);
    EXPECT_EQ(sealer_->state_digest(), digest);
}

TEST_F(Entries, ReservationsAndFreeLegs) {
    const auto lease = [&](unsigned provider, const std::function<void(wire::OpenLease &)> &spoil) {
        wire::TxBody body = world_.open_lease(2, 0, {provider}, now_ms());
        spoil(*body.mutable_open_lease());
        return tx(body, provider == 2 ? std::vector<unsigned>{2} : std::vector<unsigned>{2, 3});
    };
    const auto starts_at = [&](std::uint64_t starts_at_ms) {
        return lease(3, [=](auto &action) {
            action.set_starts_at_ms(starts_at_ms);
            action.set_expires_at_ms(starts_at_ms + 180'000);
        });
    };
    const std::uint64_t ahead_ms = world_.genesis.params.reservation_ahead_max_ms;
    expect_refusals(
        {
            {"a reservation of the past", starts_at(kGenesisTimeMs), ErrorCode::kInvalidInput},
            {"one too far ahead", starts_at(now_ms() + 2 * ahead_ms), ErrorCode::kInvalidInput},
            {"one beyond all times", starts_at(~0ULL), ErrorCode::kInvalidInput},
            {"one that expires before it starts",
             lease(3, [&](auto &action) { action.set_starts_at_ms(now_ms() + 3'600'000); }),
             ErrorCode::kInvalidInput},
            {"a free leg with an escrow",
             lease(3,
                   [](auto &action) {
                       action.mutable_legs(0)->set_free(true);
                       action.mutable_legs(0)->set_collateral(0);
                   }),
             ErrorCode::kInvalidInput},
            {"a free leg with collateral",
             lease(2,
                   [](auto &action) {
                       action.mutable_legs(0)->set_free(true);
                       action.mutable_legs(0)->set_escrow(0);
                   }),
             ErrorCode::kInvalidInput},
            {"a lease with oneself that is not free", lease(2, [](auto &) {}),
             ErrorCode::kInvalidInput},
        },
        give_tx);
}

TEST_F(Entries, Vouchers) {
    const wire::SignedVoucher right = world_.voucher(0, lease_, 0, 1, 1'000);
    const auto spoiled = [&](const std::function<void(wire::SignedVoucher &)> &spoil) {
        wire::SignedVoucher voucher = right;
        spoil(voucher);
        return claim(voucher);
    };
    const auto cycles = [](Cycles count) {
        return [count](wire::VoucherBody &body) { body.set_cycles(count); };
    };
    expect_refusals(
        {
            {"oversized",
             spoiled([](auto &v) { v.set_body(v.body() + Bytes(wire::kMaxVoucherBytes, 'x')); }),
             ErrorCode::kTooLarge},
            {"truncated", spoiled([](auto &v) { v.set_body(truncated(v.body(), 1)); }),
             ErrorCode::kProtocol},
            {"unknown field", spoiled([](auto &v) { v.set_body(v.body() + kUnknownField); }),
             ErrorCode::kProtocol},
            {"of no lease here", claim([](auto &body) { body.set_lease_id(Bytes(32, 'x')); }),
             ErrorCode::kNotFound},
            {"not the renter's",
             claim(ledger::sign_voucher(world_.voucher_body(lease_, 0, 1, 1'000), world_.keys[1])),
             ErrorCode::kBadSignature},
            {"of a leg that is none", claim([](auto &body) { body.set_leg(1); }),
             ErrorCode::kInvalidInput},
            {"more cycles than fit", claim(cycles(~0ULL)), ErrorCode::kInvalidInput},
            {"more cycles than there was time for", claim(cycles(240'000'000'000)),
             ErrorCode::kInvalidInput},
            {"another amount than its cycles cost",
             claim([](auto &body) { body.set_amount(kMaxAmountUnits); }), ErrorCode::kInvalidInput},
        },
        give_tx);
}

TEST_F(Entries, Votes) {
    const auto vote = [&](const std::function<void(wire::VoteBody &)> &spoil) {
        wire::VoteBody body;
        body.set_chain_id(to_bytes(world_.genesis.chain_id));
        body.set_validator(to_bytes(world_.keys[2].public_key()));
        body.set_source(Bytes(32, 's'));
        body.set_target_height(1);
        body.set_target(Bytes(32, 't'));
        spoil(body);
        wire::TxBody out = world_.body(2, 0);
        *out.mutable_vote()->mutable_vote() = ledger::sign_vote(body, world_.keys[2]);
        return tx(out, {2});
    };
    expect_refusals(
        {
            {"without stake", vote([](auto &) {}), ErrorCode::kPermission},
            {"for a height of the future", vote([](auto &v) { v.set_target_height(1'000); }),
             ErrorCode::kInvalidInput},
            {"for another chain", vote([](auto &v) { v.set_chain_id(Bytes(32, 'x')); }),
             ErrorCode::kInvalidInput},
            {"unknown field",
             vote([](auto &v) { v.GetReflection()->MutableUnknownFields(&v)->AddVarint(15, 1); }),
             ErrorCode::kProtocol},
            {"a block id of 31 bytes", vote([](auto &v) { v.set_target(Bytes(31, 't')); }),
             ErrorCode::kProtocol},
        },
        give_tx);
}

TEST_F(Entries, Blocks) {
    const Bytes newest = sealer_->blocks_from(sealer_->height(), 1)->front();
    wire::SignedBlock signed_block;
    ASSERT_TRUE(signed_block.ParseFromString(newest));
    wire::BlockHeader header;
    ASSERT_TRUE(header.ParseFromString(signed_block.header()));
    const auto sealed = [&](const std::function<void(wire::BlockHeader &)> &spoil,
                            const KeyPair &by) {
        wire::BlockHeader changed = header;
        spoil(changed);
        wire::SignedBlock block = signed_block;
        block.set_header(changed.SerializeAsString());
        block.set_signature(to_bytes(by.sign(sign_tag::kBlock, block.header())));
        return block.SerializeAsString();
    };
    const KeyPair sealer = numbered(999);
    const auto next = [&](wire::BlockHeader &h) {
        h.set_height(header.height() + 1);
        h.set_previous(to_bytes(sealer_->tip().id));
        h.set_time_ms(header.time_ms() + 1);
    };
    const auto give = [](LedgerBackend &backend, const Bytes &input) -> Status {
        const auto receipt = backend.accept_block(input);
        return receipt.ok() ? ok_status() : Status(receipt.error());
    };
    expect_refusals(
        {
            {"nothing", {}, ErrorCode::kProtocol},
            {"oversized", Bytes(wire::kMaxBlockBytes + 1, 'x'), ErrorCode::kTooLarge},
            {"truncated", truncated(newest), ErrorCode::kProtocol},
            {"unknown field", newest + kUnknownField, ErrorCode::kProtocol},
            {"another chain's", sealed([](auto &h) { h.set_chain_id(Bytes(32, 'x')); }, sealer),
             ErrorCode::kInvalidInput},
            {"not the sealer's", sealed(next, world_.keys[0]), ErrorCode::kBadSignature},
            {"another one of a height that is final",
             sealed([](auto &h) { h.set_time_ms(h.time_ms() + 1); }, sealer), ErrorCode::kConflict},
            {"the transactions of the last one once more", sealed(next, sealer),
             ErrorCode::kConflict},
            {"of no later time than its parent",
             sealed(
                 [&](auto &h) {
                     next(h);
                     h.set_time_ms(header.time_ms());
                 },
                 sealer),
             ErrorCode::kInvalidInput},
        },
        give);
    // One of the future is no error: what comes before it is asked for, and nothing is applied.
    const Bytes future = sealed([](auto &h) { h.set_height(h.height() + 9); }, sealer);
    const Bytes32 digest = follower_->state_digest();
    const auto receipt = follower_->accept_block(future);
    ASSERT_TRUE(receipt.ok()) << receipt.error().message;
    EXPECT_EQ(receipt->kind, BlockReceipt::Kind::kGap);
    EXPECT_EQ(receipt->need_from_height, follower_->height() + 1);
    EXPECT_EQ(follower_->state_digest(), digest);
    const auto again = follower_->accept_block(newest);  // replayed: known, and applied once
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->kind, BlockReceipt::Kind::kKnown);
    EXPECT_EQ(follower_->state_digest(), digest);
}

TEST_F(Entries, GenesisFiles) {
    const Bytes right = ledger::format_genesis(world_.genesis);
    const auto replaced = [&](const std::string &from, const std::string &to) {
        Bytes text = right;
        const auto at = text.find(from);
        CHAIN_CHECK(at != Bytes::npos);
        return text.replace(at, from.size(), to);
    };
    const std::vector<Case> cases = {
        {"nothing", {}, ErrorCode::kCorrupt},
        {"oversized", Bytes(64u << 20, ' '), ErrorCode::kTooLarge},
        {"truncated", truncated(right), ErrorCode::kCorrupt},
        {"unknown field", replaced("{", "{\"surprise\": 1, "), ErrorCode::kCorrupt},
        {"more than there can be",
         replaced(std::to_string(kStartUnits), std::to_string(kMaxAmountUnits + 1)),
         ErrorCode::kCorrupt},
    };
    for (const Case &c : cases) {
        const auto parsed = ledger::parse_genesis(c.input);
        ASSERT_FALSE(parsed.ok()) << c.what;
        EXPECT_EQ(parsed.error().code, c.code) << c.what << ": " << parsed.error().message;
    }
}

TEST_F(Entries, Wallets) {
    TemporaryFolder folder;
    const std::string path = folder.path() + "/wallet.json";
    ASSERT_TRUE(create_wallet(path, world_.keys[0], "secret").ok());
    const Bytes right = *read_file(path, 64u << 10);
    const std::vector<Case> cases = {
        {"nothing", {}, ErrorCode::kCorrupt},
        {"truncated", truncated(right), ErrorCode::kCorrupt},
        {"unknown field", Bytes("{\"surprise\": 1, ") + right.substr(1), ErrorCode::kCorrupt},
        {"not JSON", "wallet", ErrorCode::kCorrupt},
    };
    for (const Case &c : cases) {
        const auto parsed = parse_wallet_address(path, c.input);
        ASSERT_FALSE(parsed.ok()) << c.what;
        EXPECT_EQ(parsed.error().code, c.code) << c.what << ": " << parsed.error().message;
    }
    ASSERT_TRUE(write_file_atomic(path, Bytes(1u << 20, ' '), 0600).ok());
    EXPECT_EQ(read_wallet_address(path).error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace chain
