// SPDX-License-Identifier: BSD-3-Clause
//
// BlockTree: what it refuses, and which branch is the best one.
#include <gtest/gtest.h>

#include "tests/chain/consensus/trees.h"

namespace chain::consensus {
namespace {

class BlockTreeTest : public testing::Test {
protected:
    BlockTree &tree() { return forest_.tree(); }
    const BlockTree::Node &add(const BlockTree::Node &parent, std::uint64_t number,
                               std::uint64_t work = 1, std::uint64_t justified = 0) {
        BlockSummary summary = child_of(parent, number, work);
        summary.block.justified_height = std::max(justified, parent.summary.block.justified_height);
        return *forest_.add(summary);
    }
    const BlockId &best(const Checkpoint &justified = {}, std::uint64_t now_ms = 0) {
        return tree().best(justified, now_ms).id();
    }
    ErrorCode refusal(BlockSummary summary) {
        const auto added = tree().add(summary, BlockTree::Origin::kTold);
        return added.ok() ? ErrorCode::kInternal : added.error().code;
    }
    RandomTree forest_;
};

TEST_F(BlockTreeTest, RefusesWhatDoesNotFit) {
    const auto &a = add(tree().root(), 1, 1);
    const auto &b = add(a, 2, 1, 1);
    const auto with = [&](auto change) {
        BlockSummary summary = child_of(b, 3);
        change(summary);
        return refusal(summary);
    };
    EXPECT_EQ(with([](BlockSummary &s) { s.block.id = block_id(1); }), ErrorCode::kConflict);
    EXPECT_EQ(with([](BlockSummary &s) { s.parent = block_id(9); }), ErrorCode::kNotFound);
    EXPECT_EQ(with([](BlockSummary &s) { ++s.block.height; }), ErrorCode::kInvalidInput);
    EXPECT_EQ(with([](BlockSummary &s) { s.time_ms = 2; }), ErrorCode::kInvalidInput);
    EXPECT_EQ(with([](BlockSummary &s) { s.block.justified_height = 0; }),
              ErrorCode::kInvalidInput);
    EXPECT_EQ(with([](BlockSummary &s) { s.block.justified_height = 3; }),
              ErrorCode::kInvalidInput);
    EXPECT_EQ(with([](BlockSummary &s) { s.block.final_height = 2; }), ErrorCode::kInvalidInput);
    EXPECT_EQ(with([](BlockSummary &s) { s.block.previous_final_height = 1; }),
              ErrorCode::kInvalidInput);
    EXPECT_EQ(with([](BlockSummary &) {}), ErrorCode::kInternal) << "this one fits";
    tree().set_invalid(a.id());
    EXPECT_EQ(refusal(child_of(b, 4)), ErrorCode::kInvalidInput);
}

TEST_F(BlockTreeTest, OneSealerFillsNoHeight) {
    for (std::uint64_t number = 1; number <= BlockTree::kPerSealerAndHeightMax; ++number)
        EXPECT_EQ(refusal(child_of(tree().root(), number)), ErrorCode::kInternal);
    EXPECT_EQ(refusal(child_of(tree().root(), 99)), ErrorCode::kNoRoom);
    // What others have built upon is asked for.
    EXPECT_TRUE(tree().add(child_of(tree().root(), 99), BlockTree::Origin::kAsked).ok());
    BlockSummary other = child_of(tree().root(), 100);
    other.sealer[0] = 1;
    EXPECT_EQ(refusal(other), ErrorCode::kInternal);
}

// What is beside this node's own chain; of one sealer, too.
TEST_F(BlockTreeTest, NobodyFillsIt) {
    const auto add_of = [&](std::uint8_t sealer, const BlockTree::Node &parent,
                            std::uint64_t number) {
        BlockSummary summary = child_of(parent, number);
        summary.sealer[0] = sealer;
        return tree().add(summary, BlockTree::Origin::kAsked);
    };
    const BlockTree::Node *from = *add_of(200, tree().root(), 1);
    std::uint64_t number = 1'000;
    const auto fill = [&](std::uint8_t sealer) {
        std::size_t count = 0;
        for (const BlockTree::Node *parent = from;; ++count) {
            const auto added = add_of(sealer, *parent, ++number);
            if (!added.ok()) {
                EXPECT_EQ(added.error().code, ErrorCode::kNoRoom);
                return count;
            }
            parent = *added;
        }
    };
    EXPECT_EQ(fill(1), BlockTree::kPerSealerMax);
    EXPECT_EQ(fill(1), 0u);
    const BlockTree::Node &own = **add_of(2, tree().root(), 2);
    tree().set_body(own.id());
    tree().set_on_chain(own.id(), true);
    EXPECT_EQ(fill(2), BlockTree::kPerSealerMax) << "what was executed does not count";
    std::size_t all = 1 + 2 * BlockTree::kPerSealerMax;
    for (std::uint8_t sealer = 3; sealer < 20; ++sealer) all += fill(sealer);
    EXPECT_EQ(all, BlockTree::kNodesMax);
    // But for the next block of this node's own chain, whoever seals it: of many the latest.
    const auto upon_own = [&](std::uint64_t one) { return tree().find(block_id(one)) != nullptr; };
    for (const std::uint64_t one : {3, 4, 5}) EXPECT_TRUE(add_of(1, own, one).ok());
    EXPECT_TRUE(!upon_own(3) && upon_own(4) && upon_own(5));
    EXPECT_EQ(tree().take_evicted(), std::vector<BlockId>{block_id(3)});
    tree().set_body(block_id(4));
    tree().set_body(block_id(5));
    EXPECT_EQ(add_of(1, own, 6).error().code, ErrorCode::kNoRoom);
    tree().set_invalid(block_id(4));
    EXPECT_TRUE(add_of(1, own, 7).ok());
    EXPECT_TRUE(add_of(40, own, 8).ok());
    tree().prune(own.id());
    from = &own;
    EXPECT_EQ(fill(1), BlockTree::kPerSealerMax - 2) << "there is room again";
}

TEST_F(BlockTreeTest, NothingIsBuiltUponATimeThatNobodyHasAgreedTo) {
    const BlockSummary far = child_of(tree().root(), 1);
    const auto added = tree().add(far, BlockTree::Origin::kTold, 1'000);
    ASSERT_TRUE(added.ok());
    const BlockSummary further = child_of(**added, 2);
    EXPECT_EQ(tree().add(further, BlockTree::Origin::kAsked, 1'001).error().code,
              ErrorCode::kNotYet);
    EXPECT_TRUE(tree().add(further, BlockTree::Origin::kAsked).ok()) << "the time has come";
}

TEST_F(BlockTreeTest, MostWorkThenFirstSeen) {
    EXPECT_EQ(best(), BlockId{});
    const auto &a = add(tree().root(), 1, 2);
    EXPECT_EQ(best(), a.id());
    add(tree().root(), 2, 2);
    EXPECT_EQ(best(), a.id()) << "as much work, and later";
    const auto &c = add(tree().root(), 3, 3);
    EXPECT_EQ(best(), c.id());
    const auto &d = add(a, 4, 2);
    EXPECT_EQ(best(), d.id()) << "the sum counts";
}

TEST_F(BlockTreeTest, JustifiedBeforeWork) {
    const auto &a = add(tree().root(), 1, 100);
    const auto &b = add(tree().root(), 2, 1);
    const auto &c = add(b, 3, 1, 1);  // says that b is justified
    EXPECT_EQ(best(), c.id());
    // Votes that we counted ourselves, of a higher one.
    const auto &d = add(a, 4, 1);
    EXPECT_EQ(best(d.summary.block), d.id());
    EXPECT_EQ(best(), c.id());
}

TEST_F(BlockTreeTest, NeitherWrongNorMissingNorFutureBlocks) {
    const auto &a = add(tree().root(), 1, 1);
    const auto &b = add(a, 2, 9);
    add(b, 3, 9);
    tree().set_invalid(b.id());
    EXPECT_EQ(best(), a.id());
    // A header without its block.
    BlockSummary header = child_of(a, 4, 50);
    ASSERT_TRUE(tree().add(header, BlockTree::Origin::kTold).ok());
    EXPECT_EQ(best(), a.id());
    ASSERT_NE(tree().wanted({}, 0), nullptr);
    EXPECT_EQ(tree().wanted({}, 0)->id(), header.block.id);
    tree().set_body(header.block.id);
    EXPECT_EQ(best(), header.block.id);
    EXPECT_EQ(tree().wanted({}, 0), nullptr);
    // Its time comes at 1000, or when two thirds of the validators hold it for right.
    BlockSummary future = child_of(*tree().find(header.block.id), 5, 50);
    future.sealer[0] = 7;
    ASSERT_TRUE(tree().add(future, BlockTree::Origin::kTold, 1'000).ok());
    tree().set_body(future.block.id);
    EXPECT_EQ(best({}, 999), header.block.id);
    EXPECT_EQ(best({}, 1'000), future.block.id);
    EXPECT_EQ(best(tree().find(future.block.id)->summary.block, 0), future.block.id);
}

// A sealer whose clock was an hour ahead had its block taken, and the network waited an hour.
TEST_F(BlockTreeTest, AFutureBlockIsNotTakenBecauseItsParentIsJustified) {
    const auto &a = add(tree().root(), 1, 1);
    BlockSummary future = child_of(a, 2, 50);
    ASSERT_TRUE(tree().add(future, BlockTree::Origin::kTold, 1'000).ok());
    tree().set_body(future.block.id);
    EXPECT_EQ(best(a.summary.block, 999), a.id());
    EXPECT_EQ(tree().wanted(a.summary.block, 999), nullptr);
    EXPECT_EQ(best(a.summary.block, 1'000), future.block.id);
}

// A header may promise anything; what nobody has stands in nobody's way for ever.
TEST_F(BlockTreeTest, WhatNobodyHasIsPassedOver) {
    const auto &a = add(tree().root(), 1);
    BlockSummary promised = child_of(tree().root(), 2, 1'000);
    ASSERT_TRUE(tree().add(promised, BlockTree::Origin::kAsked).ok());
    BlockSummary more = child_of(a, 4, 900);  // of the same sealer
    ASSERT_TRUE(tree().add(more, BlockTree::Origin::kAsked).ok());
    BlockSummary real = child_of(a, 3);
    real.sealer[0] = 7;
    ASSERT_TRUE(tree().add(real, BlockTree::Origin::kAsked).ok());
    EXPECT_EQ(tree().wanted({}, 0)->id(), promised.block.id);
    tree().pass_over(promised.block.id, 500);
    EXPECT_EQ(tree().wanted({}, 499)->id(), real.block.id);
    EXPECT_EQ(tree().wanted({}, 500)->id(), promised.block.id);
    tree().set_body(promised.block.id);
    tree().pass_over(promised.block.id, 500);
    EXPECT_EQ(best({}, 0), promised.block.id) << "it is here after all";
}

TEST_F(BlockTreeTest, PathsLeadOverTheLastCommonAncestor) {
    const auto &a = add(tree().root(), 1);
    const auto &b = add(a, 2);
    const auto &c = add(b, 3);
    const auto &x = add(a, 4);
    const auto path = tree().path(c, x);
    EXPECT_EQ(path.fork, &a);
    EXPECT_EQ(path.down, (std::vector<const BlockTree::Node *>{&c, &b}));
    EXPECT_EQ(path.up, (std::vector<const BlockTree::Node *>{&x}));
    EXPECT_TRUE(tree().path(c, c).down.empty());
    EXPECT_EQ(tree().path(a, c).up.size(), 2u);
}

TEST_F(BlockTreeTest, PruningKeepsTheFinalBlockAndWhatIsOnIt) {
    const auto &a = add(tree().root(), 1);
    const auto &b = add(a, 2);
    const auto &c = add(b, 3);
    const BlockId side = add(a, 4).id(), old = a.id();
    const auto dropped = tree().prune(b.id());
    EXPECT_EQ(dropped.size(), 3u);  // the genesis, a, and the side branch
    EXPECT_EQ(tree().find(side), nullptr);
    EXPECT_EQ(tree().find(old), nullptr);
    EXPECT_EQ(&tree().root(), &b);
    EXPECT_EQ(best(), c.id());
    EXPECT_EQ(tree().ancestor(c, 1), nullptr);
    EXPECT_TRUE(tree().prune(b.id()).empty());
}

TEST_F(BlockTreeTest, RandomTreesAgreeWithASlowChoice) {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937_64 random(seed);
        RandomTree forest(random, 40, 3);
        // By our own count, a checkpoint of any branch is justified; or none beyond the headers.
        const Checkpoint justified =
            seed % 2 == 0 ? Checkpoint{} : forest.pick(random).summary.block;
        const auto key = [&](const BlockTree::Node &node) {
            const auto *const held = forest.tree().ancestor(node, justified.height);
            const bool holds = held != nullptr && held->id() == justified.id;
            return std::tuple{std::max(node.summary.block.justified_height,
                                       holds ? justified.height : std::uint64_t{0}),
                              node.total_work.hashes, ~node.order};
        };
        const BlockTree::Node *expected = &forest.tree().root();
        forest.tree().each([&](const BlockTree::Node &node) {
            if (key(node) > key(*expected)) expected = &node;
        });
        EXPECT_EQ(forest.tree().best(justified, 0).id(), expected->id());
        EXPECT_EQ(forest.tree().wanted(justified, 0), nullptr) << "all blocks are here";
    }
}

}  // namespace
}  // namespace chain::consensus
