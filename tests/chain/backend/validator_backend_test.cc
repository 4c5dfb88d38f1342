// SPDX-License-Identifier: BSD-3-Clause
//
// Four validators on one loop, the wire between them made of function calls: they take turns,
// agree, are cut apart and come together again, and are killed and started from what is on disk.
#include "tests/chain/ledger/ledger_fixture.h"

#include "chain/backend/ledger_backend.h"

namespace chain {
namespace {

using ledger::numbered_key;

constexpr std::size_t kNodes = 4;
constexpr std::uint64_t kSpacingMs = 1'000;

class ValidatorBackendTest : public testing::Test {
protected:
    ValidatorBackendTest() : clock_(ledger::kGenesisTimeMs + 500) {
        ledger::Genesis made;
        made.chain_name = "validators";
        made.time_ms = ledger::kGenesisTimeMs;
        made.consensus.kind = ledger::ConsensusKind::kPoa;
        made.consensus.spacing_ms = kSpacingMs;
        made.consensus.turn_ms = kSpacingMs;
        made.consensus.epoch_blocks = 2;
        made.consensus.vote_depth = 0;
        made.consensus.lag_blocks_max = 16;
        for (unsigned i = 0; i < kNodes; ++i) {
            made.allocations.emplace_back(numbered_key(i + 1).public_key(),
                                          Amount{ledger::kStartUnits});
            made.validators.emplace_back(numbered_key(i + 1).public_key(),
                                         Amount{1'000'000'000'000});
        }
        genesis_ = ledger::parse_genesis(ledger::format_genesis(made)).value();
        for (std::size_t i = 0; i < kNodes; ++i) start(i);
        // 40 ms for each turn of the loop: a block takes 25.
        ticker_ = loop_.every_ms(1, [this] { clock_.advance_ms(40); });
    }
    ~ValidatorBackendTest() override {
        for (auto &node : nodes_) node.reset();
    }

    std::string folder_of(std::size_t i) const { return folder_.path() + "/" + std::to_string(i); }

    void start(std::size_t i) {
        const std::string folder = folder_of(i);
        ASSERT_TRUE(make_folders(folder + "/consensus", 0700).ok());
        LedgerOptions options;
        options.consensus_folder = folder + "/consensus";
        options.consensus_every_ms = 1;
        options.announce_again_ms = 20;
        auto opened =
            LedgerBackend::open(loop_, clock_, open_leveldb_store(folder + "/ledger").value(),
                                genesis_, numbered_key(static_cast<unsigned>(i + 1)), options);
        ASSERT_TRUE(opened.ok()) << opened.error().message;
        nodes_[i] = std::move(opened).value();
        nodes_[i]->on_block([this, i](const Bytes &block) {
            each_peer(i, [&](std::size_t to) { give_block(i, to, block); });
        });
        nodes_[i]->on_vote([this, i](const wire::SignedVote &vote) { pass_on(i, vote); });
        later([this, i] {  // a new session: both say where they are
            if (nodes_[i] != nullptr) each_peer(i, [&](std::size_t peer) { catch_up(peer, i); });
        });
        nodes_[i]->on_tx_accepted([this, i](const Bytes &tx) {
            each_peer(i, [&](std::size_t to) { static_cast<void>(nodes_[to]->accept_tx(tx)); });
        });
    }

    template <class Visit>
    void each_peer(std::size_t from, Visit visit) {
        for (std::size_t to = 0; to < kNodes; ++to)
            if (to != from && nodes_[to] != nullptr && side_[from] == side_[to]) visit(to);
    }

    // On the loop's next turn, as a network would.
    void later(std::function<void()> what) { loop_.post(std::move(what)); }
    void give_block(std::size_t from, std::size_t to, const Bytes &block) {
        later([this, from, to, block] {
            if (nodes_[to] == nullptr || nodes_[from] == nullptr || side_[from] != side_[to])
                return;
            const auto receipt = nodes_[to]->accept_block(block);
            ASSERT_TRUE(receipt.ok()) << receipt.error().message;
            if (receipt->kind == BlockReceipt::Kind::kGap) catch_up(from, to);
            fetch_missing(from, to);
        });
    }
    // Headers first, then the blocks that are missing.
    void catch_up(std::size_t from, std::size_t to) {
        const auto headers = nodes_[from]->headers_after(nodes_[to]->locator(), 1'000);
        ASSERT_TRUE(headers.ok());
        const auto taken = nodes_[to]->accept_headers(*headers);
        if (!taken.ok() && taken.error().code == ErrorCode::kNotFound) {
            // A branch that is below what is final here: the other one has to be told.
            return later([this, from, to] {
                if (nodes_[from] != nullptr && nodes_[to] != nullptr && from != to)
                    catch_up(to, from);
            });
        }
        ASSERT_TRUE(taken.ok()) << taken.error().message;
        fetch_missing(from, to);
    }
    void fetch_missing(std::size_t from, std::size_t to) {
        for (;;) {
            const auto missing = nodes_[to]->missing_blocks(7);
            if (missing.empty()) return;
            std::vector<Bytes> blocks;
            for (const auto &id : missing) blocks.push_back(nodes_[from]->block_bytes(id).value());
            const std::vector<std::string_view> views(blocks.begin(), blocks.end());
            ASSERT_TRUE(nodes_[to]->accept_blocks(views).ok());
        }
    }
    void pass_on(std::size_t from, const wire::SignedVote &vote) {
        each_peer(from, [&](std::size_t to) {
            later([this, from, to, vote] {
                if (nodes_[to] == nullptr || side_[from] != side_[to]) return;
                const auto taken = nodes_[to]->accept_vote(vote);
                if (taken.ok() && *taken) pass_on(to, vote);
            });
        });
    }

    bool run_until(const std::function<bool()> &done, std::uint64_t limit_ms = 8'000) {
        bool in_time = true;
        const LoopHandle poll = loop_.every_ms(1, [&] {
            if (done()) loop_.stop();
        });
        const LoopHandle limit = loop_.after_ms(limit_ms, [&] {
            in_time = false;
            loop_.stop();
        });
        loop_.run();
        return in_time;
    }

    wire::SignedTx transfer(unsigned from, std::uint64_t nonce, unsigned to, std::int64_t units) {
        wire::TxBody body;
        body.set_chain_id(to_bytes(genesis_.chain_id));
        body.set_sender(to_bytes(numbered_key(from + 1).public_key()));
        body.set_nonce(nonce);
        body.mutable_transfer()->set_to(to_bytes(numbered_key(to + 1).public_key()));
        body.mutable_transfer()->set_amount(units);
        return ledger::sign_tx(body, numbered_key(from + 1));
    }
    std::int64_t balance(std::size_t node, unsigned account) {
        return nodes_[node]->account(numbered_key(account + 1).public_key())->balance.units;
    }
    bool all_final(const ledger::TxId &id, std::vector<std::size_t> which = {0, 1, 2, 3}) {
        return std::all_of(which.begin(), which.end(), [&](std::size_t i) {
            return nodes_[i]->outcome(id).status == TxStatus::kFinal;
        });
    }
    std::string describe() const {
        std::string text;
        for (std::size_t i = 0; i < kNodes; ++i) {
            if (nodes_[i] == nullptr) continue;
            const auto &consensus = nodes_[i]->engine()->consensus();
            text += "node " + std::to_string(i) + ": height " +
                    std::to_string(nodes_[i]->height()) + " " + short_hex(nodes_[i]->tip().id) +
                    ", justified " + std::to_string(consensus.votes().justified().height) +
                    ", final " + std::to_string(consensus.votes().final().height) + ", tree " +
                    std::to_string(consensus.tree().size()) + ", votes " +
                    std::to_string(consensus.votes().size()) + ", clock is " +
                    std::to_string(static_cast<std::int64_t>(clock_.unix_ms()) -
                                   static_cast<std::int64_t>(nodes_[i]->tip().time_ms)) +
                    " ms after the tip, work " + consensus::to_text(consensus.tip().total_work) +
                    ", pending " + std::to_string(nodes_[i]->mempool_count()) + "\n";
        }
        return text;
    }

    const TemporaryFolder folder_;
    ledger::Genesis genesis_;
    Loop loop_;
    ManualClock clock_;
    LoopHandle ticker_;
    std::array<std::unique_ptr<LedgerBackend>, kNodes> nodes_;
    std::array<int, kNodes> side_{};
};

TEST_F(ValidatorBackendTest, ATransferBecomesFinalEverywhere) {
    const auto id = nodes_[2]->submit(transfer(2, 0, 0, 5));
    ASSERT_TRUE(id.ok()) << id.error().message;
    ASSERT_TRUE(run_until([&] { return all_final(*id); })) << describe();
    for (std::size_t i = 0; i < kNodes; ++i) {
        EXPECT_EQ(balance(i, 0), ledger::kStartUnits + 5);
        EXPECT_TRUE(nodes_[i]->is_sealer());
        EXPECT_TRUE(nodes_[i]->verify_all()->ok);
    }
    // Idle: no block for nothing.
    const std::uint64_t height = nodes_[0]->height();
    EXPECT_FALSE(run_until([&] { return nodes_[0]->height() > height + 4; }, 300));
}

// A header costs a stranger a signature: 16,000 of them filled the tree, and no block was taken any
// more.
TEST_F(ValidatorBackendTest, HeadersOfWhoHasNoTurnAreNotKept) {
    const auto id = nodes_[0]->submit(transfer(0, 0, 1, 5)).value();
    ASSERT_TRUE(run_until([&] { return all_final(id); })) << describe();
    const std::size_t size = nodes_[0]->engine()->consensus().tree().size();
    wire::BlockHeader header;
    const ledger::Tip tip = nodes_[0]->tip();
    const KeyPair stranger = numbered_key(99), liar = numbered_key(2);
    header.set_version(ledger::kBlockVersion);
    header.set_height(tip.height + 1);
    header.set_previous(to_bytes(tip.id));
    header.set_chain_id(to_bytes(genesis_.chain_id));
    header.set_time_ms(tip.time_ms + kSpacingMs);
    header.set_tx_root(to_bytes(ledger::tx_root(wire::SignedBlock())));
    header.set_state_digest(Bytes(32, 'x'));
    header.set_sealer(to_bytes(stranger.public_key()));
    header.set_weight(kNodes);
    header.set_justified_height(tip.finality.justified.height);
    header.set_final_height(tip.finality.final.height);
    header.set_previous_final_height(tip.finality.previous_final_height);
    const ledger::Block block = ledger::sign_block(header, {}, stranger);
    EXPECT_EQ(nodes_[0]->accept_block(block.signed_bytes).error().code, ErrorCode::kProtocol);
    EXPECT_EQ(nodes_[0]->accept_headers({&block.signed_block, 1}).error().code,
              ErrorCode::kProtocol);
    EXPECT_EQ(nodes_[0]->engine()->consensus().tree().size(), size);
    // Who has a turn, and says something wrong: whoever told of it shall hear of it.
    header.set_sealer(to_bytes(liar.public_key()));
    const ledger::Block wrong = ledger::sign_block(header, {}, liar);
    EXPECT_EQ(nodes_[0]->accept_block(wrong.signed_bytes)->kind, BlockReceipt::Kind::kWrong);
    EXPECT_EQ(nodes_[0]->tip().id, tip.id);
}

TEST_F(ValidatorBackendTest, ThreeGoOnWithoutTheFourthWhichCatchesUp) {
    nodes_[3].reset();
    std::optional<ledger::TxId> last;
    for (std::uint64_t nonce = 0; nonce < 6; ++nonce) {
        last = nodes_[0]->submit(transfer(0, nonce, 1, 1)).value();
        ASSERT_TRUE(run_until([&] { return all_final(*last, {0, 1, 2}); })) << describe();
    }
    start(3);
    ASSERT_TRUE(run_until([&] { return all_final(*last); })) << describe();
    EXPECT_EQ(balance(3, 1), ledger::kStartUnits + 6);
}

TEST_F(ValidatorBackendTest, TwoHalvesMakeNothingFinalAndAgreeAgain) {
    side_ = {0, 0, 1, 1};
    const auto left = nodes_[0]->submit(transfer(0, 0, 2, 7)).value();
    const auto right = nodes_[2]->submit(transfer(2, 0, 0, 9)).value();
    ASSERT_TRUE(run_until([&] {
        return nodes_[1]->outcome(left).status == TxStatus::kIncluded &&
               nodes_[3]->outcome(right).status == TxStatus::kIncluded;
    })) << describe();
    EXPECT_FALSE(run_until([&] { return nodes_[0]->is_final(1) || nodes_[2]->is_final(1); }, 400));
    EXPECT_NE(nodes_[0]->tip().id, nodes_[2]->tip().id);
    side_ = {};
    ASSERT_TRUE(run_until([&] { return all_final(left) && all_final(right); })) << describe();
    for (std::size_t i = 0; i < kNodes; ++i) {
        EXPECT_EQ(balance(i, 0), ledger::kStartUnits - 7 + 9);
        EXPECT_EQ(balance(i, 2), ledger::kStartUnits + 7 - 9);
        EXPECT_TRUE(nodes_[i]->check_recount().ok());
        EXPECT_TRUE(nodes_[i]->verify_all()->ok);
    }
}

// Half of them away until nothing but votes is taken any more. Once they are back what is final is
// known to all, but the chain says so only in further blocks, for which there is no transaction.
TEST_F(ValidatorBackendTest, TakesPaymentsAgainAfterALongTimeWithoutFinality) {
    // The next nonce is asked for: what waited when the last block was taken is dropped.
    const auto send = [&] {
        const auto nonce = nodes_[0]->next_nonce(numbered_key(1).public_key()).value();
        return nodes_[0]->submit(transfer(0, nonce, 1, 1));
    };
    const auto id = send().value();
    ASSERT_TRUE(run_until([&] { return all_final(id); })) << describe();
    side_ = {0, 0, 1, 1};
    std::vector<ledger::TxId> sent_meanwhile;
    ASSERT_TRUE(run_until([&] {
        const auto sent = send();
        if (sent.ok()) sent_meanwhile.push_back(*sent);
        return !sent.ok() && sent.error().code == ErrorCode::kNotYet;
    })) << describe();
    side_ = {};
    const auto tips_agree = [&] {
        return std::all_of(nodes_.begin(), nodes_.end(), [&](const auto &node) {
            return node->tip().id == nodes_[0]->tip().id &&
                   node->engine()->final().height + 4 >= node->height();
        });
    };
    ASSERT_TRUE(run_until(tips_agree)) << describe();
    std::optional<ledger::TxId> sent_at_last;
    std::string refusal;
    ASSERT_TRUE(run_until([&] {
        if (const auto sent = send(); sent.ok())
            sent_at_last = *sent;
        else
            refusal = sent.error().message;
        return sent_at_last.has_value();
    })) << refusal
        << "\n"
        << describe();
    ASSERT_TRUE(run_until([&] { return all_final(*sent_at_last); })) << describe();
    // Each payment is in a block, or its sender is told what became of it.
    for (const ledger::TxId &one : sent_meanwhile) {
        const TxOutcome outcome = nodes_[0]->outcome(one);
        if (outcome.status == TxStatus::kFinal) continue;
        EXPECT_EQ(outcome.status, TxStatus::kRejected);
        EXPECT_NE(outcome.reason.find("try again"), std::string::npos) << outcome.reason;
    }
}

TEST_F(ValidatorBackendTest, EachIsKilledInTurnAndNothingFinalIsLost) {
    std::uint64_t nonce = 0;
    for (std::size_t round = 0; round < 8; ++round) {
        SCOPED_TRACE(round);
        const auto id = nodes_[(round + 1) % kNodes]->submit(transfer(0, nonce++, 1, 1)).value();
        const std::size_t victim = round % kNodes;
        ASSERT_TRUE(run_until([&] { return nodes_[victim]->height() > 0; }));
        const auto final_before = nodes_[victim]->engine()->final();
        nodes_[victim].reset();
        std::vector<std::size_t> others;
        for (std::size_t i = 0; i < kNodes; ++i)
            if (i != victim) others.push_back(i);
        ASSERT_TRUE(run_until([&] { return all_final(id, others); })) << describe();
        start(victim);
        EXPECT_GE(nodes_[victim]->engine()->final().height, final_before.height);
        ASSERT_TRUE(run_until([&] { return all_final(id); })) << describe();
    }
    for (std::size_t i = 0; i < kNodes; ++i)
        EXPECT_EQ(balance(i, 1), ledger::kStartUnits + static_cast<std::int64_t>(nonce));
}

// A validator seals a block that breaks a rule of what may be done by whom: in it somebody rates a
// lease who has no part in it, or it comes before its turn. The others see it, leave it, and go on.
TEST_F(ValidatorBackendTest, ABlockThatIsNotPermittedStopsNobody) {
    const auto rule = consensus::Rule::make(genesis_).value();
    const auto chain = ledger::Chain::open(make_memory_store(), genesis_, rule).value();
    const auto first = nodes_[0]->submit(transfer(0, 0, 1, 5)).value();
    ASSERT_TRUE(run_until([&] { return all_final(first); })) << describe();
    std::uint64_t nonce = 1;
    for (int kind = 0; kind < 2; ++kind) {
        const auto bytes = nodes_[1]->blocks_from(chain->tip().height + 1, 100).value();
        for (const Bytes &one : bytes)
            ASSERT_TRUE(chain->apply(ledger::decode_block(one, genesis_).value()).ok());
        // The one whose turn comes last, and so nobody's yet.
        unsigned liar = 0;
        consensus::Turn turn;
        for (unsigned i = 0; i < kNodes; ++i) {
            const auto turns =
                rule->turns(numbered_key(i + 1).public_key(), chain->tip(), chain->state()).value();
            if (turns[0].not_before_ms > turn.not_before_ms) {
                turn = turns[0];
                liar = i;
            }
        }
        if (kind == 0) turn.not_before_ms = chain->tip().time_ms + 1;
        auto drafted =
            consensus::draft_block(*chain, numbered_key(liar + 1).public_key(), turn, {}, {}, 0)
                .value();
        if (kind == 1) {
            const unsigned other = (liar + 1) % kNodes;
            wire::TxBody body;
            body.set_chain_id(to_bytes(genesis_.chain_id));
            body.set_sender(to_bytes(numbered_key(other + 1).public_key()));
            body.set_nonce(nodes_[0]->next_nonce(numbered_key(other + 1).public_key()).value());
            wire::SignedVote &vote = *body.mutable_vote()->mutable_vote();
            const auto says =  // of an account without stake
                ledger::vote_body(genesis_.chain_id, numbered_key(77).public_key(),
                                  {0, tagged_hash("test", "s"), 1, tagged_hash("test", "t")});
            vote = ledger::sign_vote(says, numbered_key(77));
            const Bytes tx = ledger::sign_tx(body, numbered_key(other + 1)).SerializeAsString();
            drafted.draft.txs = {ledger::decode_tx(tx, genesis_.chain_id).value()};
            drafted.header.set_tx_count(1);
            drafted.header.set_tx_root(
                to_bytes(ledger::tx_root(ledger::tx_hashes(drafted.draft.txs))));
        }
        const auto block =
            ledger::sign_block(drafted.header, drafted.draft, numbered_key(liar + 1));
        for (auto &node : nodes_) static_cast<void>(node->accept_block(block.signed_bytes));
        const auto id = nodes_[2]->submit(transfer(0, nonce++, 1, 1)).value();
        ASSERT_TRUE(run_until([&] { return all_final(id); })) << "kind " << kind << "\n"
                                                              << describe();
        for (auto &node : nodes_) EXPECT_NE(node->tip().id, block.id);
    }
}

// A peer that sent one message of headers, even an empty one, ended the daemon.
TEST(SoloBackendTest, WhatIsForValidatorsBreaksTheProtocol) {
    Loop loop;
    const ManualClock clock(ledger::kGenesisTimeMs);
    ledger::Genesis made;
    made.chain_name = "solo";
    made.time_ms = ledger::kGenesisTimeMs;
    made.sealer = numbered_key(1).public_key();
    made.allocations.emplace_back(made.sealer, Amount{ledger::kStartUnits});
    const auto genesis = ledger::parse_genesis(ledger::format_genesis(made)).value();
    const auto node =
        LedgerBackend::open(loop, clock, make_memory_store(), genesis, std::nullopt).value();
    EXPECT_EQ(node->accept_headers({}).error().code, ErrorCode::kProtocol);
    EXPECT_EQ(node->accept_headers({{wire::SignedBlock()}}).error().code, ErrorCode::kProtocol);
    EXPECT_EQ(node->accept_vote(wire::SignedVote()).error().code, ErrorCode::kProtocol);
}

}  // namespace
}  // namespace chain
