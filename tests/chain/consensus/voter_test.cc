// SPDX-License-Identifier: BSD-3-Clause
//
// Voter: whatever branches it is shown, and however often it is started again, no two of its votes
// contradict each other.
#include "chain/consensus/voter.h"

#include <random>

#include <gtest/gtest.h>

#include "chain/base/file.h"
#include "tests/chain/base/temporary_folder.h"
#include "tests/chain/consensus/trees.h"

namespace chain::consensus {
namespace {

class VoterTest : public testing::Test {
protected:
    VoterTest() {
        ledger::ValidatorSet set({{key_of(1).public_key(), Amount{100}, 0}});
        sets_ = {set, set};
        params_.kind = ledger::ConsensusKind::kPoa;
        params_.epoch_blocks = 2;
        params_.vote_depth = 1;
    }
    std::unique_ptr<Voter> open() {
        auto store = open_vote_file(path_, Bytes32{}, key_of(1).public_key());
        return Voter::open(key_of(1), Bytes32{}, std::move(*store)).value();
    }
    std::optional<wire::SignedVote> vote(Voter &voter, const BlockTree::Node &tip) {
        return voter.vote(tree_.tree(), tip, params_, [this](const Checkpoint &) { return &sets_; })
            .value();
    }

    const TemporaryFolder folder_;
    const std::string path_ = folder_.path() + "/votes";
    ledger::ConsensusParams params_;
    ledger::VotingSets sets_;
    RandomTree tree_;
};

TEST_F(VoterTest, NeverContradictsItself) {
    std::size_t count = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        SCOPED_TRACE(seed);
        static_cast<void>(::remove(path_.c_str()));
        std::mt19937_64 random(seed);
        RandomTree forest(random, 120, params_.epoch_blocks);
        auto voter = open();
        std::vector<DecodedVote> votes;
        for (int turn = 0; turn < 150; ++turn) {
            if (random() % 8 == 0) voter = open();  // killed
            const auto signed_vote = voter
                                         ->vote(forest.tree(), forest.pick(random), params_,
                                                [this](const Checkpoint &) { return &sets_; })
                                         .value();
            if (!signed_vote) continue;
            votes.push_back(ledger::decode_vote(*signed_vote, Bytes32{}).value());
            for (std::size_t i = 0; i + 1 < votes.size(); ++i)
                ASSERT_EQ(incentive::offence_of(votes[i].link, votes.back().link),
                          incentive::Offence::kNone);
        }
        count += votes.size();
    }
    EXPECT_GT(count, 120u) << "too few votes to contradict each other";
}

TEST_F(VoterTest, VotesForTheNewestCheckpointThatIsDeepEnough) {
    auto voter = open();
    EXPECT_FALSE(vote(*voter, tree_.grow(2)));  // not deep enough
    const auto &tip = tree_.grow(3);
    const auto first = vote(*voter, tip);
    ASSERT_TRUE(first);
    const auto decoded = ledger::decode_vote(*first, Bytes32{}).value();
    EXPECT_EQ(decoded.link.target_height, 2u);
    EXPECT_EQ(decoded.link.target, tree_.tree().ancestor(tip, 2)->id());
    EXPECT_EQ(decoded.link.source_height, 0u);
    EXPECT_FALSE(vote(*voter, tip)) << "once";
    sets_ = {};
    EXPECT_FALSE(vote(*voter, tree_.grow(5))) << "no member of any set";
}

TEST_F(VoterTest, KnowsItsVotesAfterARestartAndRefusesADamagedMemory) {
    const auto &tip = tree_.grow(7);
    const auto first = vote(*open(), tip);
    ASSERT_TRUE(first);
    auto again = open();
    EXPECT_EQ(again->last()->body(), first->body());
    EXPECT_FALSE(vote(*again, tip));
    ASSERT_TRUE(write_file_atomic(path_, "nonsense", 0600).ok());
    auto store = open_vote_file(path_, Bytes32{}, key_of(1).public_key());
    const auto damaged = Voter::open(key_of(1), Bytes32{}, std::move(*store));
    ASSERT_FALSE(damaged.ok());
    EXPECT_EQ(damaged.error().code, ErrorCode::kCorrupt);
}

// Bytes that a bad disk has altered mostly still parse: without a limit it would vote twice.
TEST_F(VoterTest, RefusesAMemoryThatDoesNotSayWhatItsLastVoteSays) {
    static_cast<void>(vote(*open(), tree_.grow(7)));
    const PublicKey validator = key_of(1).public_key();
    const Bytes right = read_file(path_, 4'096).value();
    const VoteMemory memory = parse_vote_memory(path_, right, Bytes32{}, validator).value();
    EXPECT_EQ(format_vote_memory(memory, Bytes32{}, validator), right);
    for (std::size_t at = 0; at < right.size(); ++at) {
        Bytes flipped = right;
        flipped[at] = static_cast<char>(flipped[at] ^ 1);
        for (const Bytes &wrong : {flipped, right.substr(0, at)})
            EXPECT_FALSE(parse_vote_memory(path_, wrong, Bytes32{}, validator).ok()) << at;
    }
}

TEST_F(VoterTest, RefusesAnothersMemory) {
    static_cast<void>(vote(*open(), tree_.grow(7)));
    for (const auto &[chain_id, number] :
         {std::pair<Bytes32, std::uint8_t>{Bytes32{1}, 1}, {Bytes32{}, 2}}) {
        auto store = open_vote_file(path_, chain_id, key_of(number).public_key());
        const auto opened = Voter::open(key_of(number), chain_id, std::move(*store));
        ASSERT_FALSE(opened.ok());
        EXPECT_EQ(opened.error().code, ErrorCode::kConflict);
    }
}

class FullStore final : public VoteStore {
public:
    Result<std::optional<VoteMemory>> load() override { return std::optional<VoteMemory>(); }
    Status save(const VoteMemory &) override {
        return make_error(ErrorCode::kDiskFull, "no space");
    }
};

TEST_F(VoterTest, SaysNothingThatItCannotRemember) {
    const auto voter = Voter::open(key_of(1), Bytes32{}, std::make_unique<FullStore>()).value();
    const auto refused = voter->vote(tree_.tree(), tree_.grow(7), params_,
                                     [this](const Checkpoint &) { return &sets_; });
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kDiskFull);
    EXPECT_FALSE(voter->last());
}

TEST_F(VoterTest, StopsWhenSomebodyElseVotesWithItsKey) {
    auto voter = open();
    const auto &tip = tree_.grow(7);
    const auto own = ledger::decode_vote(*vote(*voter, tip), Bytes32{}).value();
    EXPECT_FALSE(voter->is_impostor(own));
    DecodedVote other = own;
    other.validator = key_of(2).public_key();
    EXPECT_FALSE(voter->is_impostor(other)) << "another validator's";
    wire::VoteBody body;
    body.ParseFromString(own.signed_vote.body());
    body.set_target(Bytes(32, 'x'));
    const auto twin = ledger::decode_vote(ledger::sign_vote(body, key_of(1)), Bytes32{}).value();
    EXPECT_TRUE(voter->is_impostor(twin));
    EXPECT_TRUE(voter->has_stopped());
    EXPECT_FALSE(vote(*voter, tree_.grow(11)));
}

}  // namespace
}  // namespace chain::consensus
