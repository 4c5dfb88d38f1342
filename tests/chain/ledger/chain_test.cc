// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/chain.h"

#include <filesystem>

#include "chain/ledger/chain_records.h"
#include "chain/ledger/mempool.h"
#include "chain/wire/frame.h"
#include "tests/chain/ledger/ledger_fixture.h"

namespace chain::ledger {
namespace {

class ChainTest : public testing::Test {
protected:
    ChainTest() : chain_(world_.open_chain(make_memory_store())) {}

    std::vector<Tx> txs(std::uint64_t first_nonce, int count) {
        std::vector<Tx> out;
        for (int i = 0; i < count; ++i)
            out.push_back(world_.decode(world_.sign(
                world_.transfer(0, first_nonce + static_cast<unsigned>(i), 1, 10 + i), {0})));
        return out;
    }
    Block seal(const TxList &list) {
        auto block = world_.sealer().seal(*chain_, list, now_ms_);
        if (!block.ok()) ADD_FAILURE() << block.error().message;
        return *block;
    }
    // Signs a header that was changed by hand, so that only the chain's own checks are left.
    Block resign(const Block &block, const wire::BlockHeader &header) {
        wire::SignedBlock changed = block.signed_block;
        changed.set_header(header.SerializeAsString());
        changed.set_signature(to_bytes(world_.sealer_key.sign(sign_tag::kBlock, changed.header())));
        auto decoded = decode_block(changed.SerializeAsString(), world_.genesis);
        if (!decoded.ok()) ADD_FAILURE() << decoded.error().message;
        return *decoded;
    }

    World world_;
    std::unique_ptr<Chain> chain_;
    std::uint64_t now_ms_ = kGenesisTimeMs + 1000;
};

TEST_F(ChainTest, BlocksAndTransactionsAreFoundAgain) {
    const auto list = txs(0, 3);
    const Block first = seal(list);
    ASSERT_TRUE(chain_->apply(first).ok());
    const Block second = seal(txs(3, 1));
    ASSERT_TRUE(chain_->apply(second).ok());
    EXPECT_EQ(second.header.time_ms(), first.header.time_ms() + 1) << "later than its parent";
    EXPECT_EQ(chain_->block_at(1)->signed_bytes, first.signed_bytes);
    EXPECT_EQ(*chain_->height_of(second.id), 2u);
    const auto place = *chain_->place_of(list[2].id);
    ASSERT_TRUE(place);
    EXPECT_EQ(place->height, 1u);
    EXPECT_EQ(place->index, 2u);
    EXPECT_FALSE(*chain_->place_of(Bytes32{}));
    EXPECT_EQ(chain_->block_at(3).error().code, ErrorCode::kNotFound);
    ASSERT_TRUE(chain_->undo_tip().ok());
    EXPECT_FALSE(chain_->block_at(2).ok());
    EXPECT_FALSE(chain_->height_of(second.id).ok());
    ASSERT_TRUE(chain_->apply(second).ok()) << "what was taken back can be applied again";
}

TEST_F(ChainTest, FindsByTheFirstDigitsOfAnId) {
    auto store = make_memory_store();
    KeyValueStore &kept = *store;
    const auto chain = Chain::open(std::move(store), world_.genesis).value();
    const auto list = txs(0, 20);
    const Block block = seal(list);
    ASSERT_TRUE(chain->apply(block).ok());
    for (std::size_t i = 0; i < list.size(); ++i) {
        const std::string hex = to_hex(list[i].id);
        for (std::size_t digits = Chain::kIdDigitsMin; digits <= hex.size(); ++digits)
            ASSERT_EQ(chain->find_tx(hex.substr(0, digits)).value(), list[i].id) << digits;
    }
    std::string upper = to_hex(block.id);
    std::transform(upper.begin(), upper.end(), upper.begin(), ::toupper);
    EXPECT_EQ(chain->find_block(upper).value(), block.id);
    EXPECT_EQ(chain->find_block(upper.substr(0, 9)).value(), block.id);

    std::string other = to_hex(block.id);
    other.back() = other.back() == '0' ? '1' : '0';
    EXPECT_EQ(chain->find_block(other).error().code, ErrorCode::kNotFound);
    WriteBatch batch;
    batch.put(block_id_key(bytes32_from_hex(other, "id").value()), encode_height(1));
    ASSERT_TRUE(kept.write(batch, false).ok());
    EXPECT_EQ(chain->find_block(other.substr(0, 63)).error().code, ErrorCode::kConflict);
    EXPECT_EQ(chain->find_block(other.substr(0, 8)).error().code, ErrorCode::kConflict);
    EXPECT_EQ(to_hex(chain->find_block(other).value()), other);

    for (const std::string &unfit :
         {std::string(), other.substr(0, 7), other + "0", std::string(64, 'g'), std::string(9, '-'),
          other.substr(0, 8) + " ", std::string(8, '\0')})
        EXPECT_EQ(chain->find_tx(unfit).error().code, ErrorCode::kInvalidInput) << unfit;
}

// A peer asks for a thousand: what they cost must not depend on what the blocks hold.
TEST_F(ChainTest, HeadersAreFoundWithoutTheirBlocks) {
    auto store = make_memory_store();
    KeyValueStore &kept = *store;
    const auto chain = Chain::open(std::move(store), world_.genesis).value();
    const Block first = seal(txs(0, 3));
    ASSERT_TRUE(chain->apply(first).ok());
    const auto is_headers = [&](const wire::SignedBlock &header) {
        return header.header() == first.signed_block.header() &&
               header.signature() == first.signed_block.signature() && header.txs_size() == 0;
    };
    WriteBatch without_block, without_header;
    without_block.remove(block_key(1));
    without_header.put(block_key(1), first.signed_bytes);
    without_header.remove(header_key(1));
    ASSERT_TRUE(kept.write(without_block, false).ok());
    EXPECT_TRUE(is_headers(chain->header_at(1).value()));
    ASSERT_TRUE(kept.write(without_header, false).ok());
    EXPECT_TRUE(is_headers(chain->header_at(1).value())) << "as an earlier version left it";
    ASSERT_TRUE(chain->undo_tip().ok());
    ASSERT_TRUE(chain->apply(first).ok());
    EXPECT_TRUE(kept.get(header_key(1))->has_value());
    ASSERT_TRUE(chain->undo_tip().ok());
    EXPECT_FALSE(kept.get(header_key(1))->has_value());
    EXPECT_EQ(chain->header_at(1).error().code, ErrorCode::kNotFound);
}

TEST_F(ChainTest, RefusesBlocksThatDoNotFit) {
    const Block right = seal(txs(0, 2));
    const auto wrong = [&](auto change) {
        wire::BlockHeader header = right.header;
        change(header);
        const Status applied = chain_->apply(resign(right, header));
        EXPECT_FALSE(applied.ok());
        EXPECT_EQ(chain_->tip().height, 0u);
        return applied.ok() ? std::string() : applied.error().message;
    };
    EXPECT_NE(wrong([](auto &h) { h.set_height(2); }).find("attach"), std::string::npos);
    EXPECT_NE(wrong([](auto &h) { h.set_previous(Bytes(32, 'x')); }).find("attach"),
              std::string::npos);
    EXPECT_NE(wrong([](auto &h) { h.set_time_ms(kGenesisTimeMs); }).find("not later"),
              std::string::npos);
    EXPECT_NE(wrong([](auto &h) { h.set_state_digest(Bytes(32, 'x')); }).find("digest"),
              std::string::npos);
    ASSERT_TRUE(chain_->apply(right).ok());
    EXPECT_EQ(chain_->apply(right).error().code, ErrorCode::kConflict);
}

TEST_F(ChainTest, DecodingRefusesWhatTheSealerDidNotSeal) {
    const Block right = seal(txs(0, 2));
    const auto refused = [&](auto change) {
        wire::SignedBlock block = right.signed_block;
        change(block);
        return decode_block(block.SerializeAsString(), world_.genesis).error().code;
    };
    EXPECT_EQ(refused([](auto &b) { b.mutable_txs()->RemoveLast(); }), ErrorCode::kProtocol);
    EXPECT_EQ(refused([](auto &b) { b.mutable_txs()->SwapElements(0, 1); }), ErrorCode::kProtocol);
    EXPECT_EQ(refused([](auto &b) { b.mutable_signature()->at(5) ^= 1; }),
              ErrorCode::kBadSignature);
    EXPECT_EQ(refused([&](auto &b) {
                  b.set_signature(to_bytes(world_.keys[0].sign(sign_tag::kBlock, b.header())));
              }),
              ErrorCode::kBadSignature);
    EXPECT_EQ(refused([&](auto &b) {
                  wire::BlockHeader header = right.header;
                  header.set_sealer(to_bytes(world_.keys[0].public_key()));
                  b.set_header(header.SerializeAsString());
                  b.set_signature(to_bytes(world_.keys[0].sign(sign_tag::kBlock, b.header())));
              }),
              ErrorCode::kBadSignature);
    EXPECT_EQ(refused([&](auto &b) { b.add_txs(Bytes(wire::kMaxBlockBytes, 'x')); }),
              ErrorCode::kTooLarge);
    World other(3);
    EXPECT_EQ(decode_block(right.signed_bytes, other.genesis).error().code,
              ErrorCode::kInvalidInput);
}

TEST_F(ChainTest, ABlockWithOneWrongTransactionChangesNothing) {
    std::vector<Tx> list = txs(0, 2);
    const Block right = seal(list);
    list.push_back(world_.decode(world_.sign(world_.transfer(0, 9, 1, 1), {0})));
    EXPECT_FALSE(chain_->draft_header({list, now_ms_, world_.genesis.sealer, 0, {}}).ok());
    wire::SignedBlock block = right.signed_block;
    block.add_txs(list[2].signed_bytes);
    wire::BlockHeader header = right.header;
    header.set_tx_count(3);
    header.set_tx_root(to_bytes(tx_root(block)));
    Block wrong = right;
    wrong.signed_block = block;
    const Status applied = chain_->apply(resign(wrong, header));
    ASSERT_FALSE(applied.ok());
    EXPECT_EQ(applied.error().code, ErrorCode::kConflict);
    EXPECT_NE(applied.error().message.find("transaction 2"), std::string::npos);
    EXPECT_TRUE(chain_->check_recount().ok());
}

TEST_F(ChainTest, KnownSignaturesAreNotVerifiedAgain) {
    const KeyPair &renter = world_.keys[0];
    SignatureCache small(3);
    wire::VoucherBody body;
    body.set_lease_id(Bytes(32, 'l'));
    const wire::SignedVoucher first = sign_voucher(body, renter);
    for (int turn = 0; turn < 2; ++turn)
        ASSERT_TRUE(decode_voucher(first, renter.public_key(), &small).ok());
    EXPECT_EQ(small.hit_count(), 1u);
    for (std::uint64_t i = 1; i < 6; ++i) {
        body.set_sequence(i);
        ASSERT_TRUE(decode_voucher(sign_voucher(body, renter), renter.public_key(), &small).ok());
    }
    EXPECT_EQ(small.size(), 3u);
}

TEST_F(ChainTest, LeasesOfAnAccountNewestFirst) {
    std::vector<LeaseId> ids;
    for (std::uint64_t i = 0; i < 3; ++i) {
        const wire::TxBody body = world_.open_lease(0, i, {1, 2}, now_ms_ + 10);
        ids.push_back(tx_id(body.SerializeAsString()));
        ASSERT_TRUE(chain_->apply(seal({world_.decode(world_.sign(body, {0, 1, 2}))})).ok());
    }
    const auto found = chain_->leases_of(world_.keys[1].public_key(), 2);
    ASSERT_TRUE(found.ok());
    ASSERT_EQ(found->size(), 2u);
    EXPECT_EQ((*found)[0].id, ids[2]);
    EXPECT_EQ((*found)[1].id, ids[1]);
    EXPECT_EQ(chain_->leases_of(world_.keys[0].public_key(), 10)->size(), 3u);
    EXPECT_EQ(chain_->leases_of(world_.keys[3].public_key(), 10)->size(), 0u);
}

TEST_F(ChainTest, ExpiredLeasesAreFoundUntilTheyAreSettled) {
    const wire::TxBody body = world_.open_lease(0, 0, {1, 2}, now_ms_ + 10);
    const LeaseId id = tx_id(body.SerializeAsString());
    ASSERT_TRUE(chain_->apply(seal({world_.decode(world_.sign(body, {0, 1, 2}))})).ok());
    const std::uint64_t expiry_ms = body.open_lease().expires_at_ms();
    EXPECT_TRUE(chain_->expired_leases(expiry_ms - 1, 10)->empty());
    ASSERT_EQ(chain_->expired_leases(expiry_ms, 10)->size(), 1u);
    EXPECT_EQ(chain_->expired_leases(expiry_ms, 10)->front(), id);
    EXPECT_TRUE(chain_->expired_leases(expiry_ms, 0)->empty());
    // Its legs never started: first they may answer, then they are settled.
    now_ms_ = expiry_ms;
    EXPECT_TRUE(chain_->state().lease(id)->due_at(expiry_ms));
    const wire::TxBody accuse = world_.expire(3, 0, id);
    ASSERT_TRUE(chain_->apply(seal({world_.decode(world_.sign(accuse, {3}))})).ok());
    EXPECT_FALSE(chain_->state().lease(id)->due_at(expiry_ms));
    EXPECT_EQ(chain_->expired_leases(expiry_ms, 10)->size(), 1u);
    now_ms_ = expiry_ms + world_.genesis.params.challenge_window_ms;
    const wire::TxBody expire = world_.expire(3, 1, id);
    ASSERT_TRUE(chain_->apply(seal({world_.decode(world_.sign(expire, {3}))})).ok());
    EXPECT_TRUE(chain_->expired_leases(~0ULL, 10)->empty());
    ASSERT_TRUE(chain_->undo_tip().ok());
    EXPECT_EQ(chain_->expired_leases(expiry_ms, 10)->size(), 1u) << "undone: due again";
}

// A store whose bytes rot is found out, and verify_all names the height.
TEST(DamagedStore, IsFoundAtOpeningAndByVerifyAll) {
    const World world;
    const TemporaryFolder folder;
    const std::string path = folder.path() + "/chain";
    {
        const auto chain = world.open_chain(std::move(open_leveldb_store(path)).value());
        for (std::uint64_t i = 0; i < 3; ++i) {
            const Tx tx = world.decode(world.sign(world.transfer(0, i, 1, 5), {0}));
            ASSERT_TRUE(chain->apply(*world.sealer().seal(*chain, {tx}, kGenesisTimeMs)).ok());
        }
        EXPECT_EQ(open_leveldb_store(path).error().code, ErrorCode::kConflict);
    }
    Bytes block_key = "b";
    append_u64_be(block_key, 2);
    {
        auto store = std::move(open_leveldb_store(path)).value();
        Bytes block = **store->get(block_key);
        block[block.size() - 10] ^= 1;
        WriteBatch batch;
        batch.put(block_key, block);
        ASSERT_TRUE(store->write(batch, true).ok());
        const auto chain = world.open_chain(std::move(store));
        const auto verified = chain->verify_all();
        ASSERT_TRUE(verified.ok());
        EXPECT_FALSE(verified->ok);
        EXPECT_EQ(verified->wrong_height, 2u);
    }
    auto store = std::move(open_leveldb_store(path)).value();
    WriteBatch batch;
    batch.put(account_key(world.keys[3].public_key()), encode_account({.balance = Amount{7}}));
    ASSERT_TRUE(store->write(batch, true).ok());
    EXPECT_EQ(Chain::open(std::move(store), world.genesis).error().code, ErrorCode::kCorrupt);
    const World other(2);
    EXPECT_EQ(Chain::open(std::move(open_leveldb_store(path)).value(), other.genesis).error().code,
              ErrorCode::kConflict);
}

TEST(DamagedStore, AMissingBlockIsNamed) {
    const World world;
    for (const std::uint64_t missing : {1u, 2u, 3u}) {
        auto memory = make_memory_store();
        KeyValueStore &store = *memory;
        const auto chain = world.open_chain(std::move(memory));
        for (std::uint64_t i = 0; i < 3; ++i) {
            const Tx tx = world.decode(world.sign(world.transfer(0, i, 1, 5), {0}));
            ASSERT_TRUE(chain->apply(*world.sealer().seal(*chain, {tx}, kGenesisTimeMs)).ok());
        }
        WriteBatch batch;
        Bytes block_key = "b";
        append_u64_be(block_key, missing);
        batch.remove(block_key);
        ASSERT_TRUE(store.write(batch, true).ok());
        const auto verified = chain->verify_all();
        ASSERT_TRUE(verified.ok()) << verified.error().message;
        EXPECT_FALSE(verified->ok);
        EXPECT_EQ(verified->wrong_height, missing);
        EXPECT_EQ(verified->reason, "there is no block " + std::to_string(missing));
        const Status counted = chain->check_recount();
        ASSERT_EQ(counted.ok(), missing != 3);
        if (missing == 3) {
            EXPECT_EQ(counted.error().code, ErrorCode::kCorrupt);
        }
    }
}

// What a loss of power may leave: logs of LevelDB that it had left for a newer one were never
// synced. (Found out without the store's care only if LevelDB has not made a table of the log
// meanwhile.)
TEST(DurableWrite, HoldsWhatWasWrittenBefore) {
    constexpr int kEntries = 42;  // LevelDB's memory table is full after it, and not before
    const Bytes value(100'000, 'v');
    const TemporaryFolder folder;
    const auto store = std::move(open_leveldb_store(folder.path() + "/chain")).value();
    for (int i = 0; i < kEntries; ++i) {
        WriteBatch batch;
        batch.put("entry" + std::to_string(i), value);
        ASSERT_TRUE(store->write(batch, false).ok());
    }
    WriteBatch last;
    last.put("mark", "whole");
    ASSERT_TRUE(store->write(last, true).ok());
    const std::string after = folder.path() + "/after";
    std::filesystem::copy(folder.path() + "/chain", after);
    std::vector<std::filesystem::path> logs;
    for (const auto &entry : std::filesystem::directory_iterator(after))
        if (entry.path().extension() == ".log") logs.push_back(entry.path());
    std::sort(logs.begin(), logs.end());
    ASSERT_FALSE(logs.empty());
    logs.pop_back();
    for (const auto &log : logs) std::filesystem::resize_file(log, 0);
    const auto found = std::move(open_leveldb_store(after)).value();
    EXPECT_EQ(*found->get("mark"), Bytes("whole"));
    for (int i = 0; i < kEntries; ++i)
        EXPECT_EQ(*found->get("entry" + std::to_string(i)), value) << i << " is lost";
}

TEST_F(ChainTest, MempoolJudgesByWhatIsPending) {
    Mempool pool(*chain_);
    const auto add = [&](const wire::TxBody &body) {
        return pool.add(world_.decode(world_.sign(body, {0})), now_ms_);
    };
    ASSERT_TRUE(add(world_.transfer(0, 0, 1, kStartUnits)).ok());
    EXPECT_EQ(*pool.next_nonce(world_.keys[0].public_key()), 1u);
    const Status poor = add(world_.transfer(0, 1, 1, 1));
    ASSERT_FALSE(poor.ok());
    EXPECT_EQ(poor.error().code, ErrorCode::kInsufficientFunds);
    const TxId poor_id = tx_id(world_.transfer(0, 1, 1, 1).SerializeAsString());
    EXPECT_EQ(pool.rejection(poor_id), poor.error().message);
    EXPECT_EQ(add(world_.transfer(0, 0, 1, kStartUnits)).error().code, ErrorCode::kConflict);
    const auto taken = pool.take(10, 1 << 20);
    ASSERT_EQ(taken.size(), 1u);
    ASSERT_TRUE(chain_->apply(seal(taken)).ok());
    EXPECT_TRUE(pool.rebuild(now_ms_).ok());
    EXPECT_EQ(pool.count(), 0u);
    EXPECT_EQ(pool.size_bytes(), 0u);
    EXPECT_EQ(pool.record_bytes(), 0u);
}

TEST_F(ChainTest, MempoolIsBounded) {
    Mempool pool(*chain_);
    std::uint64_t nonce = 0;
    for (; nonce < Mempool::kTxsPerSenderMax; ++nonce) {
        Tx tx;  // not signed: the pool takes what decode_tx gave, and that is tested elsewhere
        tx.body = world_.transfer(0, nonce, 1, 1);
        tx.signed_bytes = tx.body.SerializeAsString();
        tx.id = tx_id(tx.signed_bytes);
        tx.sender = world_.keys[0].public_key();
        tx.signers = {tx.sender};
        ASSERT_TRUE(pool.add(tx, now_ms_).ok());
    }
    const Status full =
        pool.add(world_.decode(world_.sign(world_.transfer(0, nonce, 1, 1), {0})), now_ms_);
    ASSERT_FALSE(full.ok());
    EXPECT_EQ(full.error().code, ErrorCode::kNoRoom);
    EXPECT_TRUE(
        pool.add(world_.decode(world_.sign(world_.transfer(1, 0, 2, 1), {1})), now_ms_).ok())
        << "one sender's flood does not shut out the others";
    for (unsigned i = 0; i < Mempool::kRejectionsMax + 10; ++i) {
        Tx tx;
        tx.body = world_.transfer(2, 77, 1, 1 + i);
        tx.id = tx_id(tx.body.SerializeAsString());
        tx.sender = world_.keys[2].public_key();
        tx.signers = {tx.sender};
        EXPECT_FALSE(pool.add(tx, now_ms_).ok());
    }
    EXPECT_FALSE(pool.rejection(tx_id(world_.transfer(2, 77, 1, 1).SerializeAsString())));
    EXPECT_TRUE(pool.rejection(
        tx_id(world_.transfer(2, 77, 1, Mempool::kRejectionsMax + 10).SerializeAsString())));
}

}  // namespace
}  // namespace chain::ledger
