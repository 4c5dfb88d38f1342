// SPDX-License-Identifier: BSD-3-Clause
//
// Attacks on consensus that once worked: headers, blocks and votes.
#include "tests/attack/attack_node.h"

namespace chain::consensus {
namespace {

// With as much work as its weight asks for.
ledger::Block mined_by_a_stranger(const ValidatorChain &world, HeaderWords words) {
    const Target base = world.turns(1)[0].base;
    const PowFunction &work = *world.rule().work_function();
    for (;; ++words.nonce) {
        ledger::Block block = made_up_block(world.genesis(), words, key_of(200));
        if (hash_meets(*work.hash(block.signed_block.header()), base, words.weight)) return block;
    }
}

// Upon that one, each header by another of ten keys, as many as a tree can hold.
std::vector<ledger::Block> branch_by_strangers(const ValidatorChain &world, HeaderWords words,
                                               const ledger::Block &first) {
    words.parent = first.id;
    ++words.height;
    ++words.time_ms;
    return made_up_branch(world.genesis(), words, BlockTree::kNodesMax,
                          {200, 201, 202, 203, 204, 205, 206, 207, 208, 209});
}

// A stranger without stake: one header whose time is a year ahead takes a little work, and all upon
// it none, as the target has become the easiest. What nobody agrees to in time has no children.
TEST_F(ConsensusAttack, AStrangerCannotFillTheTreeOfHeaders) {
    ValidatorChain world(ConsensusKind::kPor);
    world.grow_to(10);
    start(world.genesis());
    give_all(world);
    const std::size_t before = consensus().tree().size();
    HeaderWords words = words_on(world.chain().tip());
    words.time_ms += 365ull * 24 * 3600 * 1000;
    words.weight = world.genesis().params.boost_max * incentive::kQ16;
    const ledger::Block first = mined_by_a_stranger(world, words);
    give_headers({first});
    ASSERT_EQ(consensus().tree().size(), before + 1) << "its time may come";
    // Keys are free, so that a limit for each of them does not help.
    give_headers(branch_by_strangers(world, words, first));
    EXPECT_EQ(consensus().tree().size(), before + 1);
    expect_honest_blocks_go_on(world);
}

// One validator of four, where blocks take no work: a branch as long as it likes. Its headers have
// a place, those of others have another.
TEST_F(ConsensusAttack, OneValidatorCannotFillTheTreeOfHeaders) {
    ValidatorChain world(ConsensusKind::kPoa);
    world.grow_to(10);
    start(world.genesis());
    give_all(world);
    const std::size_t before = consensus().tree().size();
    clock_.advance_ms(BlockTree::kNodesMax);  // until none is ahead of its time
    give_headers(made_up_branch(world.genesis(), words_on(world.chain().tip()),
                                BlockTree::kNodesMax, {kLiar}));
    EXPECT_GT(consensus().tree().size(), before);
    EXPECT_LE(consensus().tree().size(), before + BlockTree::kPerSealerMax);
    expect_honest_blocks_go_on(world, false);
}

// The same with blocks, all of which wait for one that the validator withholds.
TEST_F(ConsensusAttack, OneValidatorCannotFillTheRoomForBlocks) {
    ValidatorChain world(ConsensusKind::kPoa);
    world.grow_to(10);
    start(world.genesis());
    give_all(world);
    HeaderWords words = words_on(world.chain().tip());
    const ledger::Block withheld = made_up_block(world.genesis(), words, key_of(kLiar), "junk");
    const wire::SignedBlock header = header_of(withheld);
    ASSERT_TRUE(node_->accept_headers({&header, 1}).ok());
    std::size_t kept_bytes = 0;
    words.parent = withheld.id;
    // Large ones, and then smaller ones for the gap that they leave.
    for (const auto &[size_bytes, count] :
         {std::pair{1'000'000, 67}, {60'000, 12}, {8'000, 12}, {1'000, 12}, {100, 12}})
        for (int i = 0; i < count; ++i) {
            ++words.height;
            ++words.time_ms;
            const ledger::Block block =
                made_up_block(world.genesis(), words, key_of(kLiar),
                              Bytes(static_cast<std::size_t>(size_bytes), 'j'));
            const auto taken = node_->accept_block(block.signed_bytes);
            ASSERT_TRUE(taken.ok()) << taken.error().message;
            if (taken->kind == BlockReceipt::Kind::kApplied)
                kept_bytes += block.signed_bytes.size();
            words.parent = block.id;
        }
    EXPECT_GT(kept_bytes, LedgerBranch::kWaitingBytesPerSealerMax / 2);
    EXPECT_LE(kept_bytes, LedgerBranch::kWaitingBytesPerSealerMax);
    expect_honest_blocks_go_on(world);
}

// A header with a wrong nonce costs its sender nothing, and whoever looks at it a hash that is made
// to be slow. So who sends one is told apart from who is merely late, and sends no second one.
TEST_F(ConsensusAttack, AHeaderWithoutWorkIsItsSendersFault) {
    ledger::Genesis made = ValidatorChain(ConsensusKind::kPor).genesis();
    made.consensus.first_target_bits = 40;
    const auto genesis = ledger::parse_genesis(ledger::format_genesis(made)).value();
    start(genesis);
    clock_at(genesis.time_ms + 10'000);
    HeaderWords words = words_on(node_->tip());
    words.time_ms = genesis.time_ms + 5'000;
    words.weight = incentive::kQ16;
    const auto header = header_of(made_up_block(genesis, words, key_of(200)));
    const auto taken = node_->accept_headers({&header, 1});
    ASSERT_FALSE(taken.ok());
    EXPECT_EQ(taken.error().code, ErrorCode::kProtocol) << taken.error().message;
}

// A validator tells of ever more branches, each longer than the honest one and, by its own words,
// justified, and brings no block of them. A node that is behind soon asks for those of others.
TEST_F(ConsensusAttack, AValidatorThatWithholdsItsBlocksIsPassedOver) {
    ValidatorChain world(ConsensusKind::kPoa);
    std::vector<ledger::Block> honest;
    while (honest.size() < 12) honest.push_back(next_of_others(world));
    start(world.genesis());
    clock_at(world.chain().tip().time_ms);
    const ledger::Tip root = node_->tip();
    std::uint64_t branches = 0;
    const auto tell_of_a_branch = [&] {
        HeaderWords words = words_on(root);
        words.time_ms = world.genesis().time_ms + ++branches;
        words.weight = world.genesis().consensus.validators_max;
        const auto branch =
            made_up_branch(world.genesis(), words, 40, {kLiar},
                           [](HeaderWords &next) { next.says.justified_height = next.height - 1; });
        ASSERT_TRUE(node_->accept_headers(headers_of(branch)).ok());
    };
    for (int i = 0; i < 6; ++i) tell_of_a_branch();
    ASSERT_TRUE(node_->accept_headers(headers_of(honest)).ok());
    std::uint64_t waited_ms = 0, asked_in_vain = 0;
    for (; node_->height() < 12 && waited_ms < 120'000; waited_ms += 1'000) {
        clock_.advance_ms(1'000);
        if (waited_ms % 10'000 == 0) tell_of_a_branch();
        static_cast<void>(node_->accept_blocks({}));  // as the loop does: the engine looks
        for (const BlockId &id : node_->missing_blocks(64)) {
            const auto found =
                std::find_if(honest.begin(), honest.end(),
                             [&](const ledger::Block &block) { return block.id == id; });
            if (found == honest.end())
                ++asked_in_vain;
            else
                static_cast<void>(node_->accept_block(found->signed_bytes));
        }
    }
    EXPECT_GT(asked_in_vain, 0u) << "the lies were not even believed";
    EXPECT_EQ(node_->height(), 12u) << "after " << waited_ms << " ms";
}

// ---- votes

// Who decides about a block stands in its header. Whose headers are counted before anybody has
// executed their blocks names a set of the past in which it was nearly alone.
TEST_F(ConsensusAttack, AHeaderCannotNameWhoDecidesAboutIt) {
    ValidatorChain world(ConsensusKind::kPoa);
    stake_for_one_block(world);
    start(world.genesis());
    give_all(world);
    for (const auto &vote : world.votes_for(8)) ASSERT_TRUE(node_->accept_vote(vote).ok());
    ASSERT_EQ(justified().height, 8u);
    name_that_set(world);
    EXPECT_EQ(justified().height, 8u);
    EXPECT_EQ(final().height, 0u);
    world.append({}, world.votes_for(8));
    world.grow_to(30);
    for (const bool restarts : {false, true}) {
        if (restarts) start(world.genesis());
        give_all(world, 9);
        EXPECT_TRUE(node_->is_final(12)) << "restarted: " << restarts;
        EXPECT_EQ(final().id, world.chain().checkpoint_at(final().height)->id);
    }
}

// The same told to an honest validator: it would wait with its votes for a branch that has no
// blocks. With a third of the weight silenced like this, nothing would be final again.
TEST_F(ConsensusAttack, HonestValidatorsGoOnVoting) {
    ValidatorChain world(ConsensusKind::kPoa);
    stake_for_one_block(world);
    start(world.genesis(), key_of(1));
    give_all(world);
    for (const auto &vote : world.votes_for(8)) static_cast<void>(node_->accept_vote(vote));
    ASSERT_EQ(justified().height, 8u);
    name_that_set(world);
    for (const bool restarts : {false, true}) {
        if (restarts) start(world.genesis(), key_of(1));
        own_votes_ = 0;
        for (std::uint32_t i = 0; i < 3 * kEpoch; ++i) {
            world.append({}, consensus().votes_for_next_block());
            give(world.blocks().back());
            // The other honest ones, 2 and 3, vote as always.
            const std::uint64_t tip = world.chain().tip().height;
            if (tip % kEpoch != 1) continue;
            const auto all = world.votes_for(tip - 1);
            for (const auto &vote : {all[1], all[2]}) EXPECT_TRUE(node_->accept_vote(vote).ok());
        }
        EXPECT_EQ(own_votes_, 3) << "restarted: " << restarts;
        EXPECT_EQ(node_->height(), world.chain().tip().height);
        EXPECT_GE(final().height + 2 * kEpoch, node_->height());
    }
}

// One validator's votes for checkpoints of which nobody has heard: each was new, and went to
// everybody.
TEST_F(ConsensusAttack, VotesForTheFarFutureAreNotPassedOn) {
    ValidatorChain world(ConsensusKind::kPoa);
    world.grow_to(10);
    start(world.genesis());
    give_all(world);
    const std::size_t before = consensus().votes().size();
    for (std::uint64_t i = 0; i < 200; ++i) {
        const CheckpointVote link{1'000 + i, block_id(7), 1'001 + i, block_id(7)};
        const auto is_new = node_->accept_vote(vote_of(world.genesis(), kLiar, link));
        ASSERT_TRUE(is_new.ok()) << "no fault of who passes it on: " << is_new.error().message;
        EXPECT_FALSE(*is_new) << "vote " << i;
    }
    EXPECT_EQ(consensus().votes().size(), before);
}

// ---- stake

// A third of the validators is away for a night, and more blocks come than the tree holds of
// others. They are the node's own: when all are back, their votes count and the chain goes on.
TEST_F(ConsensusAttack, TheChainGoesOnAfterANightWithoutFinality) {
    ValidatorChain world(ConsensusKind::kPoa);
    const std::uint64_t dawn = BlockTree::kNodesMax + 5;
    std::vector<ledger::Block> night;
    while (night.size() < dawn) {
        night.push_back(world.seal(1, world.turns(1)[0]));
        ASSERT_TRUE(world.chain().apply(night.back()).ok());
    }
    {
        const auto chain =
            ledger::Chain::open(open_store(), world.genesis(), Rule::make(world.genesis()).value())
                .value();
        constexpr std::size_t kAtOnce = ledger::Chain::kBlocksPerCallMax;
        for (std::size_t at = 0; at < dawn; at += kAtOnce)
            ASSERT_TRUE(
                chain->apply_all(std::span(night).subspan(at, std::min(kAtOnce, dawn - at))).ok());
    }
    clock_at(world.chain().tip().time_ms);
    start(world.genesis());
    std::uint64_t newest = (dawn - 1) / kEpoch * kEpoch;
    for (std::uint32_t i = 0; i < 3 * kEpoch; ++i) {
        const std::uint64_t tip = world.chain().tip().height;
        if (tip % kEpoch == 1) newest = tip - 1;
        const bool is_due = i == 0 || tip % kEpoch == 1;
        const auto votes = is_due ? world.votes_for(newest) : std::vector<wire::SignedVote>();
        for (const auto &vote : votes) ASSERT_TRUE(node_->accept_vote(vote).ok());
        world.append({}, votes);
        give(world.blocks().back());
    }
    EXPECT_EQ(node_->height(), dawn + 3 * kEpoch);
    EXPECT_GT(final().height, dawn);
    start(world.genesis());
    world.append();
    give(world.blocks().back());
    EXPECT_EQ(node_->height(), dawn + 3 * kEpoch + 1) << "after a restart";
}

// Nobody has sealed for a day where blocks take work: a stranger's headers are nearly free, and not
// ahead of their time.
TEST_F(ConsensusAttack, StrangersCannotFillTheTreeOfAnIdleChain) {
    ValidatorChain world(ConsensusKind::kPor);
    world.grow_to(10);
    start(world.genesis());
    give_all(world);
    clock_.advance_ms(24ull * 3600 * 1000);
    HeaderWords words = words_on(world.chain().tip());
    words.time_ms = clock_.unix_ms() - 100'000;
    words.weight = world.genesis().params.boost_max * incentive::kQ16;
    const ledger::Block first = mined_by_a_stranger(world, words);
    give_headers({first});
    give_headers(branch_by_strangers(world, words, first));
    expect_honest_blocks_go_on(world);
}

// The liar fills its place in one node's tree, and seals blocks that all others take.
TEST_F(ConsensusAttack, OneValidatorCannotFillTheTreeThoughItSealsToo) {
    ValidatorChain world(ConsensusKind::kPoa);
    world.grow_to(10);
    start(world.genesis());
    give_all(world);
    clock_.advance_ms(BlockTree::kNodesMax);
    give_headers(made_up_branch(world.genesis(), words_on(world.chain().tip()),
                                BlockTree::kNodesMax, {kLiar}));
    expect_honest_blocks_go_on(world);
}

// Six branches, told once, by one who has sealed blocks of the honest chain, too.
TEST_F(ConsensusAttack, WhoWithholdsBlocksAndSealsOthersIsNoObstacle) {
    ValidatorChain world(ConsensusKind::kPoa);
    world.grow_to(12);
    start(world.genesis());
    clock_at(world.chain().tip().time_ms);
    const ledger::Tip root = node_->tip();
    for (std::uint64_t branch = 1; branch <= 6; ++branch) {
        HeaderWords words = words_on(root);
        words.time_ms = world.genesis().time_ms + branch;
        words.weight = world.genesis().consensus.validators_max;
        ASSERT_TRUE(
            node_
                ->accept_headers(headers_of(made_up_branch(
                    world.genesis(), words, 40, {kLiar},
                    [](HeaderWords &next) { next.says.justified_height = next.height - 1; })))
                .ok());
    }
    ASSERT_TRUE(node_->accept_headers(headers_of(world.blocks())).ok());
    for (std::uint64_t s = 0; node_->height() < 12 && s < 4 * 3600; ++s) {
        clock_.advance_ms(1'000);
        static_cast<void>(node_->accept_blocks({}));
        for (const BlockId &id : node_->missing_blocks(64))
            for (const auto &block : world.blocks())
                if (block.id == id) static_cast<void>(node_->accept_block(block.signed_bytes));
    }
    EXPECT_EQ(node_->height(), 12u);
}

}  // namespace
}  // namespace chain::consensus
