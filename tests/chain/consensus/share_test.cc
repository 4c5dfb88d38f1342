// SPDX-License-Identifier: BSD-3-Clause
//
// Shares on a real chain with real work: found, committed to, opened by lot, counted; and what
// becomes of those that are false.
#include "chain/consensus/share_keeper.h"

#include <algorithm>
#include <random>

#include "chain/consensus/share_auditor.h"
#include "tests/chain/consensus/validator_chain.h"
#include "tests/chain/ledger/ledger_fixture.h"

namespace chain::consensus {
namespace {

constexpr std::uint32_t kEpoch = 16;
constexpr std::size_t kOpenings = 16;
constexpr std::uint8_t kMiner = 1, kWatcher = 2;

// ---- the tree

ledger::ShareLeaf leaf_of(std::uint64_t number) {
    return {block_id(number), block_id(~number)};
}

std::vector<ledger::ShareLeaf> sorted_leaves(std::uint64_t count) {
    std::vector<ledger::ShareLeaf> leaves;
    for (std::uint64_t i = 0; i < count; ++i) leaves.push_back(leaf_of(1'000 * count + i));
    std::sort(leaves.begin(), leaves.end());
    return leaves;
}

TEST(ShareTree, EachLeafLeadsToTheRootAndNoOtherDoes) {
    std::mt19937_64 random(7);
    for (std::uint64_t count = 1; count <= 40; ++count) {
        const auto leaves = sorted_leaves(count);
        const ledger::ShareTree tree(leaves);
        for (std::uint64_t i = 0; i < count; ++i) {
            std::vector<ledger::ShareStep> path = tree.path(i);
            EXPECT_EQ(ledger::share_root_by(leaves[i], i, count, path), tree.root());
            EXPECT_NE(ledger::share_root_by(leaf_of(1), i, count, path), tree.root());
            EXPECT_EQ(ledger::share_root_by(leaves[i], count, count, path), std::nullopt);
            for (std::uint64_t other = 0; other < count; ++other) {
                const auto root = ledger::share_root_by(leaves[i], other, count, path);
                EXPECT_EQ(root == tree.root(), other == i);
            }
            path.push_back({});
            EXPECT_EQ(ledger::share_root_by(leaves[i], i, count, path), std::nullopt);
            path.pop_back();
            if (path.empty()) continue;
            path[random() % path.size()].beside = block_id(3);
            EXPECT_NE(ledger::share_root_by(leaves[i], i, count, path), tree.root());
            path.pop_back();
            EXPECT_EQ(ledger::share_root_by(leaves[i], i, count, path), std::nullopt);
        }
    }
}

// However a list with shares that stand in it several times is arranged, no more places of it can
// be shown than there are different shares.
TEST(ShareTree, OfSharesThatStandTwiceOnlyOneCanBeShown) {
    std::mt19937_64 random(8);
    for (int round = 0; round < 200; ++round) {
        const std::uint64_t distinct = 1 + random() % 20;
        const auto once = sorted_leaves(distinct);
        std::vector<ledger::ShareLeaf> leaves = once;
        for (std::uint64_t more = random() % 40; more > 0; --more)
            leaves.push_back(once[random() % distinct]);
        if (round % 3 == 1) std::sort(leaves.begin(), leaves.end());
        if (round % 3 == 2) std::shuffle(leaves.begin(), leaves.end(), random);
        const ledger::ShareTree tree(leaves);
        std::uint64_t shown = 0;
        for (std::uint64_t i = 0; i < leaves.size(); ++i)
            shown +=
                ledger::share_root_by(leaves[i], i, leaves.size(), tree.path(i)) == tree.root();
        EXPECT_LE(shown, distinct) << "round " << round;
        if (leaves == once) {
            EXPECT_EQ(shown, distinct);
        }
    }
}

// ---- the life of shares

class Shares : public testing::Test {
protected:
    Shares() : world_(ledger::ConsensusKind::kPor, kEpoch), pow_(make_pow("sha256d", {}).value()) {
        open();
    }

    void open() {
        auto opened = ShareKeeper::open(folder_.path() + "/shares", world_.genesis().consensus,
                                        key_of(kMiner).public_key());
        ASSERT_TRUE(opened.ok()) << opened.error().message;
        keeper_ = std::move(opened).value();
    }

    // Nonces of a header on the tip: about one in eight is a share.
    void mine(int nonces = 64) {
        const Turn turn = world_.turns(kMiner)[0];
        auto drafted = draft_block(world_.chain(), key_of(kMiner).public_key(), turn, {}, {},
                                   world_.chain().tip().time_ms + 1'000)
                           .value();
        for (int i = 0; i < nonces; ++i) {
            drafted.header.set_nonce(++nonce_);
            const Bytes bytes = drafted.header.SerializeAsString();
            const Bytes32 hash = pow_->hash(bytes).value();
            if (!ledger::has_leading_zero_bits(hash, world_.genesis().consensus.share_bits))
                continue;
            ASSERT_TRUE(keeper_->add(drafted.header, bytes, hash).ok());
            ++found_;
        }
    }
    // Finds shares on the way, and no block of its own.
    void mine_to(std::uint64_t height) {
        while (world_.chain().tip().height < height) {
            mine();
            world_.grow_to(world_.chain().tip().height + 1);
        }
    }
    std::optional<wire::TxBody> due() {
        const ledger::Tip &tip = world_.chain().tip();
        auto body = keeper_->due(world_.chain().state(), tip.height, tip.finality.final.height);
        EXPECT_TRUE(body.ok()) << body.error().message;
        return body.ok() ? *body : std::nullopt;
    }
    // Goes on until something is due, at most up to `height`.
    std::optional<wire::TxBody> wait_due(std::uint64_t height) {
        for (;;) {
            if (auto body = due()) return body;
            if (world_.chain().tip().height >= height) return std::nullopt;
            world_.grow_to(world_.chain().tip().height + 1);
        }
    }
    Status apply(std::uint8_t number, const wire::TxBody &body) {
        const ledger::Tx tx = world_.sign(number, body);
        const std::uint8_t sealer = world_.next_sealer();
        const auto drafted =
            draft_block(world_.chain(), key_of(sealer).public_key(), world_.turns(sealer)[0], {tx},
                        {}, world_.chain().tip().time_ms + 1'000);
        if (!drafted.ok()) return drafted.error();
        world_.append({tx});
        return ok_status();
    }
    void expect_refused(const wire::TxBody &body, ErrorCode code, std::string_view why) {
        const Status status = apply(kMiner, body);
        ASSERT_FALSE(status.ok()) << "not refused: " << why;
        EXPECT_EQ(status.error().code, code) << status.error().message;
        EXPECT_NE(status.error().message.find(why), std::string::npos) << status.error().message;
    }
    std::uint64_t counted() const {
        return world_.chain().state().reputation(key_of(kMiner).public_key(), 0)->shares;
    }
    ledger::Account account(std::uint8_t number) const {
        return world_.chain().state().account(key_of(number).public_key()).value();
    }
    // Up to an opening that is right.
    wire::TxBody opening() {
        mine_to(kEpoch);
        const auto commitment = wait_due(2 * kEpoch);
        EXPECT_TRUE(commitment && apply(kMiner, *commitment).ok());
        auto body = wait_due(3 * kEpoch);
        CHAIN_CHECK(body && body->has_open_shares());
        return *body;
    }

    const TemporaryFolder folder_;
    mutable ValidatorChain world_;
    const std::unique_ptr<PowFunction> pow_;
    std::unique_ptr<ShareKeeper> keeper_;
    std::uint64_t nonce_ = 0;
    std::uint32_t found_ = 0;
};

TEST_F(Shares, AreCommittedToOpenedAndCounted) {
    mine_to(kEpoch);
    EXPECT_EQ(keeper_->count_at(kEpoch), found_);
    ASSERT_GT(found_, 50u);
    open();  // killed and started again: they are on disk
    EXPECT_EQ(keeper_->count_at(kEpoch), found_);
    const auto commitment = wait_due(2 * kEpoch);
    ASSERT_TRUE(commitment && commitment->has_commit_shares());
    EXPECT_GE(world_.chain().tip().finality.final.height, kEpoch) << "not before they are final";
    EXPECT_EQ(commitment->commit_shares().count(), found_);
    EXPECT_FALSE(due()) << "once";
    open();
    ASSERT_TRUE(due()) << "again, as nobody knows what became of it";
    ASSERT_TRUE(apply(kMiner, *commitment).ok());
    expect_refused(*commitment, ErrorCode::kConflict, "committed to already");
    const std::uint32_t committed = found_;
    mine();  // of another epoch
    EXPECT_EQ(counted(), 0u);

    open();
    const auto opening = wait_due(3 * kEpoch);
    ASSERT_TRUE(opening && opening->has_open_shares());
    EXPECT_GT(world_.chain().tip().height, 2 * kEpoch);
    ASSERT_TRUE(apply(kMiner, *opening).ok());
    EXPECT_EQ(counted(), committed);
    expect_refused(*opening, ErrorCode::kConflict, "opened already");
    EXPECT_EQ(counted(), committed) << "not twice";
    const auto verified = world_.chain().verify_all().value();
    EXPECT_TRUE(verified.ok) << verified.reason;
    // Back through all of it and forth again.
    const auto digest = world_.chain().tip().digest;
    while (world_.chain().tip().height > 0) ASSERT_TRUE(world_.chain().undo_tip().ok());
    ASSERT_TRUE(world_.chain().apply_all(world_.blocks()).ok());
    EXPECT_EQ(world_.chain().tip().digest, digest);
}

TEST_F(Shares, OldBlocksAndFilesAreForgotten) {
    mine_to(6 * kEpoch);
    EXPECT_FALSE(*world_.chain().state().recent_block(kEpoch));
    EXPECT_TRUE(*world_.chain().state().recent_block(3 * kEpoch));
    static_cast<void>(due());
    EXPECT_EQ(keeper_->count_at(kEpoch), 0u);
    open();
    EXPECT_EQ(keeper_->count_at(kEpoch), 0u);
    EXPECT_GT(keeper_->count_at(6 * kEpoch), 0u);
}

TEST_F(Shares, ATornFileIsGoodUpToThere) {
    mine(200);
    const std::string path = folder_.path() + "/shares/found-0";
    Bytes bytes = read_file(path, 1u << 20).value();
    for (const std::size_t size : {bytes.size() - 1, bytes.size() - 100, std::size_t{5}}) {
        bytes.resize(size);
        ASSERT_TRUE(write_file_atomic(path, bytes, 0600).ok());
        open();
        EXPECT_LT(keeper_->count_at(1), found_);
    }
    EXPECT_EQ(keeper_->count_at(1), 0u);
}

TEST_F(Shares, OfABranchThatWasLeftAreNotCommittedTo) {
    mine_to(kEpoch / 2);
    const std::uint32_t before = found_;
    // What is found on a tip that is taken back is of no use.
    mine(200);
    ASSERT_GT(found_, before);
    ASSERT_TRUE(world_.chain().undo_tip().ok());
    world_.append({world_.stake(5, 0, 2'000)});
    const auto commitment = wait_due(2 * kEpoch);
    ASSERT_TRUE(commitment);
    EXPECT_EQ(commitment->commit_shares().count(), before);
}

TEST_F(Shares, WrongCommitmentsAreRefused) {
    mine_to(kEpoch);
    const auto right = wait_due(2 * kEpoch);
    ASSERT_TRUE(right);
    const auto with = [&](auto change) {
        wire::TxBody body = *right;
        change(*body.mutable_commit_shares());
        return body;
    };
    using Commit = wire::CommitShares;
    expect_refused(with([](Commit &c) { c.set_epoch(1); }), ErrorCode::kConflict, "epoch before");
    expect_refused(with([](Commit &c) { c.set_count(0); }), ErrorCode::kInvalidInput, "no shares");
    expect_refused(with([](Commit &c) { c.set_count(ledger::kSharesMax + 1); }),
                   ErrorCode::kTooLarge, "at most");
    expect_refused(with([](Commit &c) { c.set_root("short"); }), ErrorCode::kProtocol, "root");
    // Without a stake there is nothing to lose.
    const Status poor = apply(5, *right);
    ASSERT_FALSE(poor.ok());
    EXPECT_EQ(poor.error().code, ErrorCode::kPermission);
    EXPECT_TRUE(apply(kMiner, *right).ok());
}

TEST_F(Shares, WrongOpeningsAreRefused) {
    const wire::TxBody right = opening();
    const auto with = [&](auto change) {
        wire::TxBody body = right;
        change(*body.mutable_open_shares());
        return body;
    };
    using Open = wire::OpenShares;
    expect_refused(with([](Open &o) { o.set_epoch(1); }), ErrorCode::kNotFound, "no shares");
    expect_refused(with([](Open &o) { o.mutable_openings()->RemoveLast(); }),
                   ErrorCode::kInvalidInput, "are drawn, not");
    expect_refused(with([](Open &o) { o.mutable_openings(0)->set_index(1'000'000); }),
                   ErrorCode::kInvalidInput, "not the one that was drawn");
    expect_refused(with([](Open &o) { o.mutable_openings(0)->set_work(Bytes(32, '\0')); }),
                   ErrorCode::kInvalidInput, "not the one that was committed to");
    expect_refused(with([](Open &o) { o.mutable_openings(1)->mutable_header()->back() ^= 1; }),
                   ErrorCode::kInvalidInput, "not the one that was committed to");
    expect_refused(with([](Open &o) { o.mutable_openings(0)->mutable_path()->RemoveLast(); }),
                   ErrorCode::kInvalidInput, "not the one that was committed to");
    expect_refused(with([](Open &o) { o.mutable_openings(0)->set_header(Bytes(2'000, 'x')); }),
                   ErrorCode::kTooLarge, "header");
    EXPECT_EQ(counted(), 0u);
    world_.grow_to(3 * kEpoch);
    expect_refused(right, ErrorCode::kConflict, "are opened in epoch 2");
}

// Half of the places of such a list cannot be shown; sixteen are drawn.
TEST_F(Shares, AllOfThemTwiceAreNotOpened) {
    mine_to(kEpoch);
    auto commitment = wait_due(2 * kEpoch);
    ASSERT_TRUE(commitment);
    // The committed list, as it stands on disk, with all of it twice.
    const std::string path = folder_.path() + "/shares/committed-0";
    const Bytes once = read_file(path, 1u << 20).value();
    ASSERT_TRUE(write_file_atomic(path, once + once, 0600).ok());
    open();
    commitment = due();
    ASSERT_TRUE(commitment);
    EXPECT_EQ(commitment->commit_shares().count(), 2 * found_);
    ASSERT_TRUE(apply(kMiner, *commitment).ok());
    const auto opening = wait_due(3 * kEpoch);
    ASSERT_TRUE(opening);
    expect_refused(*opening, ErrorCode::kInvalidInput, "not the one that was committed to");
    EXPECT_EQ(counted(), 0u);
}

// Another daemon with this wallet may have committed; here the file of what was is empty.
TEST_F(Shares, WithNothingLeftNothingIsOpened) {
    mine_to(kEpoch);
    const auto commitment = wait_due(2 * kEpoch);
    ASSERT_TRUE(commitment && apply(kMiner, *commitment).ok());
    ASSERT_TRUE(write_file_atomic(folder_.path() + "/shares/committed-0", "", 0600).ok());
    open();
    EXPECT_FALSE(wait_due(2 * kEpoch + kEpoch / 2 + 4));
}

// What a cheat would do: claim a hash that the header has not. It counts, until somebody looks.
TEST_F(Shares, AFalseOneCostsTheStakeOfWhoeverOpensIt) {
    Turn turn = world_.turns(kMiner)[0];
    auto drafted =
        draft_block(world_.chain(), key_of(kMiner).public_key(), turn, {}, {}, 0).value();
    for (int i = 0; i < 100; ++i) {
        drafted.header.set_nonce(++nonce_);
        Bytes32 invented = block_id(nonce_);
        invented[0] = 0;
        ASSERT_TRUE(
            keeper_->add(drafted.header, drafted.header.SerializeAsString(), invented).ok());
    }
    const auto commitment = wait_due(2 * kEpoch);
    ASSERT_TRUE(commitment && apply(kMiner, *commitment).ok());
    const auto opening = wait_due(3 * kEpoch);
    ASSERT_TRUE(opening && apply(kMiner, *opening).ok());
    EXPECT_EQ(counted(), 100u);

    Loop loop;
    std::vector<wire::ShareFault> faults;
    {
        ShareAuditor auditor(loop, *pow_, [&](const wire::ShareFault &fault) {
            faults.push_back(fault);
            if (faults.size() == kOpenings) loop.stop();
        });
        auditor.look_at(key_of(kMiner).public_key(), opening->open_shares());
        const LoopHandle limit = loop.after_ms(10'000, [&] { loop.stop(); });
        loop.run();
    }
    ASSERT_EQ(faults.size(), kOpenings);
    wire::TxBody accusation;
    *accusation.mutable_share_fault() = faults[0];
    const std::int64_t before = account(kWatcher).balance.units;
    const std::int64_t stake = account(kMiner).staked.units;
    // Rubbish first: no such leaf.
    wire::TxBody other = accusation;
    other.mutable_share_fault()->mutable_leaf()->set_work(Bytes(32, '\1'));
    EXPECT_EQ(apply(kWatcher, other).error().code, ErrorCode::kInvalidInput);
    ASSERT_TRUE(apply(kWatcher, accusation).ok());
    EXPECT_EQ(counted(), 0u);
    EXPECT_EQ(account(kMiner).staked.units, 0);
    EXPECT_EQ(account(kWatcher).balance.units, before + stake / 16);
    *accusation.mutable_share_fault() = faults[1];
    EXPECT_EQ(apply(kWatcher, accusation).error().code, ErrorCode::kConflict);
    const auto verified = world_.chain().verify_all().value();
    EXPECT_TRUE(verified.ok) << verified.reason;
}

TEST_F(Shares, WhatIsRightIsNotFoundFalse) {
    const wire::TxBody right = opening();
    ASSERT_TRUE(apply(kMiner, right).ok());
    wire::TxBody accusation;
    wire::ShareFault &fault = *accusation.mutable_share_fault();
    fault.set_account(to_bytes(key_of(kMiner).public_key()));
    *fault.mutable_leaf() = right.open_shares().openings(0);
    const Status status = apply(kWatcher, accusation);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kProtocol) << "who says so is no honest peer";
    world_.grow_to(4 * kEpoch);
    fault.mutable_leaf()->set_work(Bytes(32, '\0'));
    EXPECT_EQ(apply(kWatcher, accusation).error().code, ErrorCode::kConflict) << "too late";
    EXPECT_EQ(account(kMiner).staked.units, 10'000);
}

}  // namespace
}  // namespace chain::consensus
