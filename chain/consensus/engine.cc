// SPDX-License-Identifier: BSD-3-Clause
#include "chain/consensus/engine.h"

#include "chain/base/log.h"
#include "chain/base/units.h"

namespace chain::consensus {

constexpr std::uint64_t kLookForWithheldMs = 1'000;
// A full answer on a line of 1 Mbit/s takes 13 s.
constexpr std::uint64_t kWithheldMs = 30'000;
constexpr std::uint64_t kPassedOverMs = 120'000;
constexpr unsigned kPassedOverDoublings = 5;  // about an hour

Result<std::unique_ptr<Engine>> Engine::open(ledger::Chain &chain, std::shared_ptr<const Rule> rule,
                                             const std::string &folder,
                                             const std::optional<KeyPair> &key,
                                             std::optional<TrustedBlock> trusted) {
    const auto copy_of = [](const KeyPair &from) { return KeyPair::from_secret(from.secret()); };
    std::optional<KeyPair> own;
    std::unique_ptr<Voter> voter;
    if (key) {
        CHAIN_ASSIGN(KeyPair sealing, copy_of(*key));
        own.emplace(std::move(sealing));
    }
    if (key && !folder.empty()) {
        const Bytes32 &chain_id = chain.genesis().chain_id;
        CHAIN_ASSIGN(auto store, open_vote_file(folder + "/votes", chain_id, key->public_key()));
        CHAIN_ASSIGN(KeyPair voting, copy_of(*key));
        CHAIN_ASSIGN(voter, Voter::open(std::move(voting), chain_id, std::move(store)));
        if (!voter->last() && chain.tip().height > 0)
            log(LogLevel::kNote, "consensus", "no votes of this account are kept in ", folder,
                ": a validator that has voted from elsewhere must go on from there");
    }
    std::unique_ptr<Engine> engine(
        new Engine(chain, std::move(rule), folder, std::move(own), trusted));
    CHAIN_TRY(engine->check_trusted());
    CHAIN_TRY(engine->restore(std::move(voter)));
    return engine;
}

Result<TrustedBlock> parse_trusted_block(std::string_view text) {
    const std::size_t colon = text.find(':');
    const auto height =
        parse_integer(text.substr(0, colon), 1, ~std::uint64_t{0}, "height of the checkpoint");
    const auto id = bytes32_from_hex(
        colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1), "block id");
    if (!height.ok() || !id.ok())
        return make_error(ErrorCode::kInvalidInput, "--checkpoint \"", text.substr(0, 100),
                          "\": write HEIGHT:ID, as `ompi-chain node status` shows it on a machine "
                          "that you trust");
    return TrustedBlock{*height, *id};
}

Status Engine::check_trusted() const {
    if (!trusted_ || chain_.tip().height < trusted_->height) return ok_status();
    CHAIN_ASSIGN(const Checkpoint ours, chain_.checkpoint_at(trusted_->height));
    if (ours.id == trusted_->id) return ok_status();
    return make_error(ErrorCode::kConflict, "block ", trusted_->height,
                      " of this node's ledger is ", to_hex(ours.id), ", and the checkpoint says ",
                      to_hex(trusted_->id),
                      ": one of the two is of another history. Ask others which one is theirs. To "
                      "give up this node's, start it once with --override-finality");
}

bool Engine::knows_trusted() const {
    return !trusted_ || chain_.tip().height >= trusted_->height;
}

Result<BlockSummary> Engine::summary_at(std::uint64_t height) const {
    CHAIN_ASSIGN(const ledger::Block block, chain_.block_at(height));
    std::uint64_t parent_time_ms = chain_.genesis().time_ms;
    if (height > 1) {
        CHAIN_ASSIGN(const ledger::Block parent, chain_.block_at(height - 1));
        parent_time_ms = parent.header.time_ms();
    }
    CHAIN_ASSIGN(const Work work, rule_->work_of(block, parent_time_ms));
    return summary_of(block, work);
}

// From what is on disk: the chain above what is final.
Status Engine::restore(std::unique_ptr<Voter> voter) {
    CHAIN_ASSIGN(KnownFinality known, branch_.load());
    const ledger::Tip &tip = chain_.tip();
    // What this node knows to be final may lie on a branch that it has not got yet.
    Checkpoint root = tip.finality.final;
    if (known.final.height > root.height && known.final.height <= tip.height) {
        CHAIN_ASSIGN(const Checkpoint ours, chain_.checkpoint_at(known.final.height));
        if (ours.id == known.final.id) root = ours;
    }
    if (known.final.height < root.height) known = {};
    std::uint64_t root_time_ms = chain_.genesis().time_ms;
    if (root.height > 0) {
        CHAIN_ASSIGN(const ledger::Block block, chain_.block_at(root.height));
        root_time_ms = block.header.time_ms();
    }
    consensus_ = std::make_unique<Consensus>(branch_, chain_.genesis().consensus, root,
                                             root_time_ms, std::move(known), std::move(voter));
    std::vector<BlockSummary> above;
    for (std::uint64_t height = root.height + 1; height <= tip.height; ++height) {
        CHAIN_ASSIGN(above.emplace_back(), summary_at(height));
    }
    return consensus_->restore(above);
}

// Where a header costs a signature and nothing else, strangers' would fill the tree. Members of a
// set that cannot be known yet are judged by the sets that are.
Status Engine::check_sealer(const ledger::Block &block, const BlockTree::Node &parent) {
    if (!rule_->is_free(block)) return ok_status();
    CHAIN_ASSIGN(const PublicKey sealer, to_bytes32(block.header.sealer(), "sealer"));
    const std::uint64_t height = parent.summary.block.previous_final_height;
    if (height <= consensus_->tree().root().height()) {
        const auto set = chain_.state().validator_set(height);
        if (set.ok() && set->find(sealer) == nullptr)
            return make_error(ErrorCode::kProtocol, "block ", block.header.height(), " (",
                              short_hex(block.id), ") is of somebody who has no turn");
        if (set.ok()) return ok_status();
    }
    if (consensus_->is_validator(sealer)) return ok_status();
    return make_error(ErrorCode::kNotYet, "whether the sealer of block ", block.header.height(),
                      " has a turn is not known yet");
}

Status Engine::take_header(const ledger::Block &block, BlockTree::Origin origin,
                           std::uint64_t now_ms) {
    const BlockTree &tree = consensus_->tree();
    if (tree.find(block.id) != nullptr)
        return make_error(ErrorCode::kConflict, "block ", short_hex(block.id), " is known already");
    CHAIN_ASSIGN(const BlockId parent_id, to_bytes32(block.header.previous(), "the parent's id"));
    const BlockTree::Node *const parent = tree.find(parent_id);
    if (parent == nullptr)
        return make_error(ErrorCode::kNotFound, "the parent of block ", block.header.height(), " (",
                          short_hex(block.id), ") is not known");
    if (trusted_ && block.header.height() == trusted_->height && block.id != trusted_->id) {
        if (!other_than_trusted_)
            log(LogLevel::kWarning, "consensus", "others have ", to_hex(block.id), " as block ",
                trusted_->height, ", and --checkpoint says ", to_hex(trusted_->id),
                ": ask whoever gave it to you, and others, which is right");
        other_than_trusted_ = block.id;
        return make_error(ErrorCode::kRefused, "block ", trusted_->height, " ", short_hex(block.id),
                          " is not the one of the checkpoint");
    }
    CHAIN_TRY(check_sealer(block, *parent));
    CHAIN_ASSIGN(const Work work, rule_->work_of(block, parent->summary.time_ms));
    // Clocks differ by less than a block; whose is further ahead waits for the others'.
    const std::uint64_t ahead_ms = chain_.genesis().consensus.spacing_ms;
    const std::uint64_t not_before_ms =
        block.header.time_ms() > now_ms + ahead_ms ? block.header.time_ms() - ahead_ms : 0;
    return consensus_->add_header(summary_of(block, work), origin, not_before_ms);
}

Status Engine::take_block(ledger::Block block, BlockTree::Origin origin, std::uint64_t now_ms) {
    const BlockId id = block.id;
    if (const Status header = take_header(block, origin, now_ms);
        !header.ok() && header.error().code != ErrorCode::kConflict)
        return header;
    const BlockTree::Node *const node = consensus_->tree().find(id);
    if (node->has_body)
        return make_error(ErrorCode::kConflict, "block ", short_hex(id), " is known already");
    if (!branch_.keep(std::move(block)))
        return make_error(ErrorCode::kNoRoom, "too many blocks wait for their place");
    consensus_->add_body(id);
    return ok_status();
}

Result<bool> Engine::take_vote(const wire::SignedVote &vote) {
    CHAIN_ASSIGN(const DecodedVote decoded,
                 ledger::decode_vote(vote, chain_.genesis().chain_id, &chain_.signatures()));
    return consensus_->add_vote(decoded);
}

// A header says what it likes of work and votes before its block is here. Who sends one and keeps
// the block must not keep others from the branch that there is.
void Engine::look_for_withheld(std::uint64_t now_ms) {
    if (now_ms < missing_.looked_ms + kLookForWithheldMs && now_ms >= missing_.looked_ms) return;
    missing_.looked_ms = now_ms;
    const std::vector<BlockId> missing = missing_blocks(now_ms, 1);
    const BlockId first = missing.empty() ? BlockId{} : missing.front();
    if (missing.empty() || first != missing_.id) {
        missing_.id = first;
        missing_.since_ms = now_ms;
    } else if (now_ms >= missing_.since_ms + kWithheldMs) {
        const PublicKey sealer = consensus_->tree().find(first)->summary.sealer;
        if (withheld_.size() >= kWithheldMax) withheld_.clear();
        const std::uint64_t wait_ms = kPassedOverMs
                                      << std::min(withheld_[sealer]++, kPassedOverDoublings);
        log(LogLevel::kNote, "consensus", "nobody has block ", short_hex(first),
            ", whose header is here: what ", short_hex(sealer),
            " sealed and did not bring is "
            "passed over for ",
            wait_ms / 1'000, " s");
        consensus_->pass_over(first, now_ms + wait_ms);
        missing_.id = {};
    }
}

Engine::Outcome Engine::run(std::uint64_t now_ms) {
    look_for_withheld(now_ms);
    consensus_->hold_votes(!knows_trusted());
    Consensus::Outcome moved = consensus_->run(now_ms);
    for (const BlockId &id : moved.dropped) {
        // What gave way may have come again.
        const BlockTree::Node *const node = consensus_->tree().find(id);
        if (node == nullptr || node->is_invalid) branch_.forget(id);
    }
    return {branch_.take_taken_back(), branch_.take_appended(), std::move(moved.own_votes),
            moved.is_final_new, std::move(moved.status)};
}

Result<std::vector<Turn>> Engine::turns() const {
    if (!key_ || !knows_trusted()) return std::vector<Turn>();
    return turns_of(key_->public_key());
}

Result<std::vector<Turn>> Engine::turns_of(const PublicKey &account) const {
    return rule_->turns(account, chain_.tip(), chain_.state());
}

Result<DraftedBlock> Engine::draft(const Turn &turn, const ledger::TxList &txs,
                                   std::uint64_t now_ms) {
    CHAIN_CHECK(key_);
    return draft_block(chain_, key_->public_key(), turn, txs, consensus_->votes_for_next_block(),
                       now_ms);
}

Status Engine::seal(const Turn &turn, const ledger::TxList &txs, std::uint64_t now_ms) {
    CHAIN_CHECK(!turn.needs_work);
    CHAIN_ASSIGN(const DraftedBlock drafted, draft(turn, txs, now_ms));
    return take_block(ledger::sign_block(drafted.header, drafted.draft, *key_),
                      BlockTree::Origin::kAsked, now_ms);
}

Status Engine::take_found(const DraftedBlock &drafted, std::uint64_t nonce, std::uint64_t now_ms) {
    wire::BlockHeader header = drafted.header;
    header.set_nonce(nonce);
    return take_block(ledger::sign_block(header, drafted.draft, *key_), BlockTree::Origin::kAsked,
                      now_ms);
}

bool Engine::is_final(std::uint64_t height) const {
    const Checkpoint &known = final();
    if (height > known.height || height > chain_.tip().height || !knows_trusted()) return false;
    if (height <= chain_.tip().finality.final.height) return true;
    const auto ours = chain_.checkpoint_at(known.height);
    return ours.ok() && ours->id == known.id;
}

bool Engine::is_justified(std::uint64_t height) const {
    if (is_final(height)) return true;
    const Checkpoint &justified = consensus_->votes().justified();
    if (height > justified.height || justified.height > chain_.tip().height) return false;
    const auto ours = chain_.checkpoint_at(justified.height);
    return ours.ok() && ours->id == justified.id;
}

std::vector<BlockId> Engine::missing_blocks(std::uint64_t now_ms, std::size_t count_max) const {
    const BlockTree &tree = consensus_->tree();
    const BlockTree::Node *const wanted = tree.wanted(consensus_->votes().justified(), now_ms);
    std::vector<BlockId> missing;
    if (wanted == nullptr) return missing;
    for (const BlockTree::Node *const node : tree.path(consensus_->tip(), *wanted).up) {
        if (missing.size() == count_max) break;
        if (!node->has_body) missing.push_back(node->id());
    }
    return missing;
}

}  // namespace chain::consensus
