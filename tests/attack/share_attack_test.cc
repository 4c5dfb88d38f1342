// SPDX-License-Identifier: BSD-3-Clause
//
// The file of a miner's shares, as bad disks, full ones and cut power leave it. A share that is
// opened and is not what it says costs the whole stake: what cannot be read is lost, and no more.
#include <algorithm>
#include <random>

#include "chain/base/file.h"
#include "chain/consensus/share_keeper.h"
#include "tests/attack/attack.h"
#include "tests/chain/base/temporary_folder.h"

namespace chain::consensus {
namespace {

constexpr std::uint8_t kMiner = 3;  // a validator, so that it has something to lose
constexpr std::uint32_t kEpoch = 16;
constexpr std::size_t kFileBytesMax = 1u << 20;
constexpr std::size_t kDigestBytes = 32;

// A miner that finds shares, is killed, and goes on with what its file says, as a daemon does.
class ShareAttack : public testing::Test {
protected:
    void start_over() {
        pow_ = make_pow("sha256d", {}).value();
        world_.emplace(ledger::ConsensusKind::kPor, kEpoch);
        folder_.emplace();
        nonce_ = 0;
        restart();
    }
    void restart() {
        auto opened = ShareKeeper::open(folder_->path() + "/shares", world_->genesis().consensus,
                                        key_of(kMiner).public_key());
        ASSERT_TRUE(opened.ok()) << opened.error().message;
        keeper_ = std::move(opened).value();
    }
    std::string file(const std::string &name) const { return folder_->path() + "/shares/" + name; }
    void damage(const std::string &name, const std::function<void(Bytes &)> &how) const {
        Bytes bytes = read_file(file(name), kFileBytesMax).value();
        how(bytes);
        ASSERT_TRUE(write_file_atomic(file(name), bytes, 0600).ok());
    }
    // Where each entry ends: length of the header, its work, the header, the digest of all that.
    static std::vector<std::size_t> ends_of_entries(std::string_view bytes) {
        std::vector<std::size_t> ends;
        for (std::size_t at = 0; at < bytes.size();) {
            at += 4 + sizeof(Bytes32) + read_u32_le(bytes.substr(at)) + kDigestBytes;
            ends.push_back(at);
        }
        EXPECT_EQ(ends.back(), bytes.size());
        return ends;
    }

    // Nonces of a header on the tip: about one in eight is a share.
    void mine() {
        const auto &tip = world_->chain().tip();
        auto drafted = draft_block(world_->chain(), key_of(kMiner).public_key(),
                                   world_->turns(kMiner)[0], {}, {}, tip.time_ms + 1'000)
                           .value();
        for (int i = 0; i < 64; ++i) {
            drafted.header.set_nonce(++nonce_);
            const Bytes bytes = drafted.header.SerializeAsString();
            const Bytes32 hash = pow_->hash(bytes).value();
            if (!ledger::has_leading_zero_bits(hash, world_->genesis().consensus.share_bits))
                continue;
            ASSERT_TRUE(keeper_->add(drafted.header, bytes, hash).ok());
        }
    }
    void mine_to(std::uint64_t height) {
        while (world_->chain().tip().height < height) {
            mine();
            world_->grow_to(world_->chain().tip().height + 1);
        }
    }
    std::optional<wire::TxBody> wait_due(std::uint64_t height) {
        for (;;) {
            const ledger::Tip &tip = world_->chain().tip();
            auto body =
                keeper_->due(world_->chain().state(), tip.height, tip.finality.final.height);
            CHAIN_CHECK(body.ok());
            if (*body || tip.height >= height) return *body;
            world_->grow_to(tip.height + 1);
        }
    }
    Status submit(const wire::TxBody &body) {
        return try_append(*world_, {world_->sign(kMiner, body)});
    }
    // Commits to the shares and opens those that are drawn: all are true, and `expected` count.
    void expect_counted(std::size_t expected) {
        const auto commitment = wait_due(2 * kEpoch);
        ASSERT_TRUE(commitment && commitment->has_commit_shares());
        ASSERT_TRUE(submit(*commitment).ok());
        const auto opening = wait_due(3 * kEpoch);
        ASSERT_TRUE(opening && opening->has_open_shares());
        for (const auto &one : opening->open_shares().openings())
            EXPECT_EQ(to_bytes(pow_->hash(one.header()).value()), one.work()) << "a false share";
        const Status opened = submit(*opening);
        ASSERT_TRUE(opened.ok()) << opened.error().message;
        const auto reputation = world_->chain().state().reputation(key_of(kMiner).public_key(), 0);
        EXPECT_EQ(reputation->shares, expected);
    }
    // Rounds, each with a miner's file that `how` damages: it says how many of the entries before
    // the damage are whole, and those are kept and counted.
    using Damage = std::function<std::size_t(Bytes &, const std::vector<std::size_t> &ends,
                                             std::mt19937_64 &)>;
    void expect_whole_ones_counted(std::uint64_t seed, const Damage &how) {
        std::mt19937_64 random(seed);
        for (int round = 0; round < 16; ++round) {
            SCOPED_TRACE("round " + std::to_string(round));
            start_over();
            mine_to(kEpoch);
            std::size_t whole = 0;
            damage("found-0",
                   [&](Bytes &bytes) { whole = how(bytes, ends_of_entries(bytes), random); });
            restart();
            EXPECT_EQ(keeper_->count_at(1), whole);
            expect_counted(whole);
        }
    }

    std::unique_ptr<PowFunction> pow_;
    std::optional<ValidatorChain> world_;
    std::optional<TemporaryFolder> folder_;
    std::unique_ptr<ShareKeeper> keeper_;
    std::uint64_t nonce_ = 0;
};

// One bit of the file turns over, wherever it is: the miner would open a share that is false, and
// anybody who looks at it would take the stake. What comes before that entry still counts.
TEST_F(ShareAttack, OneBitOfTheFileDoesNotCostTheStake) {
    expect_whole_ones_counted(11, [](Bytes &bytes, const auto &ends, auto &random) {
        // In any entry but the first, so that something is left to be opened.
        const std::size_t at = ends[0] + random() % (bytes.size() - ends[0]);
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << random() % 8);
        return static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), at) -
                                        ends.begin());
    });
}

// A full disk takes a part of an entry, and later the whole of the next one: read as if nothing
// had been, the first would have bytes of the second.
TEST_F(ShareAttack, ATornAppendDoesNotCostTheStake) {
    expect_whole_ones_counted(12, [](Bytes &bytes, const auto &ends, auto &random) {
        const std::size_t whole = 1 + random() % (ends.size() - 2);
        const std::size_t lacking = 1 + random() % (ends[whole] - ends[whole - 1] - 1);
        bytes.erase(ends[whole] - lacking, lacking);
        return whole;
    });
}

// Power fails while the last entry is written: all before it are kept, and what is found from then
// on follows them, not the rest of the torn one.
TEST_F(ShareAttack, AfterADamagedLastEntryAllOthersAreKeptAndMoreAreFound) {
    start_over();
    mine_to(kEpoch / 2);
    const std::size_t found = keeper_->count_at(1);
    ASSERT_GT(found, 10u);
    damage("found-0", [](Bytes &bytes) { bytes.back() = static_cast<char>(~bytes.back()); });
    restart();
    EXPECT_EQ(keeper_->count_at(1), found - 1);
    mine_to(kEpoch);
    const std::size_t more = keeper_->count_at(1);
    ASSERT_GT(more, found);
    restart();
    EXPECT_EQ(keeper_->count_at(1), more);
    expect_counted(more);
}

// The file of what was committed to is damaged afterwards: nothing that it says is opened.
TEST_F(ShareAttack, OfADamagedCommitmentNothingIsOpened) {
    start_over();
    mine_to(kEpoch);
    const auto commitment = wait_due(2 * kEpoch);
    ASSERT_TRUE(commitment && submit(*commitment).ok());
    damage("committed-0", [](Bytes &bytes) {
        bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    });
    restart();
    EXPECT_FALSE(wait_due(3 * kEpoch - 4));
}

}  // namespace
}  // namespace chain::consensus
