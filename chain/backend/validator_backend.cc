// SPDX-License-Identifier: BSD-3-Clause
//
// LedgerBackend where there are validators: blocks and votes go through consensus::Engine, which
// may take blocks back; this node seals when it is its turn.
#include <algorithm>

#include "chain/backend/call_all.h"
#include "chain/backend/ledger_backend.h"
#include "chain/base/log.h"
#include "chain/wire/frame.h"

namespace chain {
namespace {

constexpr std::size_t kLocatorMax = 32;
// Leaves room for the header, the votes and the framing of each transaction.
constexpr std::size_t kVotedBlockTxBytesMax = wire::kMaxBlockBytes / 16 * 12;

// A block that is known, for which there is no room, or whose turn comes to light later: whoever
// passes it on is not to blame.
bool is_passed_over(const Error &error) {
    return error.code == ErrorCode::kConflict || error.code == ErrorCode::kNoRoom ||
           error.code == ErrorCode::kNotYet;
}

}  // namespace

Status LedgerBackend::open_engine(std::shared_ptr<const consensus::Rule> rule,
                                  std::optional<KeyPair> sealer_key) {
    CHAIN_ASSIGN(engine_,
                 consensus::Engine::open(*chain_, std::move(rule), options_.consensus_folder,
                                         sealer_key, options_.trusted));
    engine_key_ = std::move(sealer_key);
    busy_height_ = chain_->tip().height;
    if (options_.mining_threads > 0 && engine_key_ && engine_->work_function() != nullptr)
        miner_ = std::make_unique<consensus::Miner>(
            loop_, *engine_->work_function(), options_.mining_threads,
            consensus::Miner::Callbacks{
                [this](const consensus::Found &found) { found_nonce(found); },
                [this](const consensus::Found &found) { found_share(found); }});
    if (genesis().consensus.counts_shares() && engine_key_) {
        const std::string &folder = options_.consensus_folder;
        CHAIN_ASSIGN(shares_,
                     consensus::ShareKeeper::open(folder.empty() ? folder : folder + "/shares",
                                                  genesis().consensus, engine_key_->public_key()));
        auditor_ = std::make_unique<consensus::ShareAuditor>(
            loop_, *engine_->work_function(), [this](const wire::ShareFault &fault) {
                log(LogLevel::kWarning, "consensus", "a share of epoch ", fault.epoch(),
                    " was opened and is false");
                wire::TxBody body;
                *body.mutable_share_fault() = fault;
                submit_own(std::move(body), "accusation");
            });
    }
    engine_timer_ = loop_.every_ms(options_.consensus_every_ms, [this] {
        if (const Status ran = run_engine(); !ran.ok())
            log(LogLevel::kError, "consensus",
                "the chain stays where it is: ", ran.error().message);
        seal_in_turn();
    });
    return run_engine();
}

// What the blocks of a branch that was left held: it waits for a block again.
static ledger::TxList txs_of(std::span<const ledger::Block> newest_first, ledger::Chain &chain) {
    ledger::TxList txs;
    for (auto block = newest_first.rbegin(); block != newest_first.rend(); ++block)
        for (const auto &bytes : block->signed_block.txs()) {
            auto tx = ledger::decode_tx_cached(bytes, ledger::tx_bytes_hash(bytes),
                                               chain.genesis().chain_id, chain.tx_cache());
            if (tx.ok()) txs.push_back(std::move(*tx));
        }
    return txs;
}

Status LedgerBackend::run_engine() {
    // A callback below may bring a block or a vote: that is looked at when this is through.
    if (running_engine_) return ok_status();
    running_engine_ = true;
    const std::uint64_t justified_before = engine_->consensus().votes().justified().height;
    const consensus::Engine::Outcome outcome = engine_->run(clock_.unix_ms());
    running_engine_ = false;
    if (!outcome.taken_back.empty()) {
        log(LogLevel::kNote, "consensus", "left a branch of ", outcome.taken_back.size(),
            " blocks for one of ", outcome.appended.size(), "; the tip is ", height());
        judge_again(txs_of(outcome.taken_back, *chain_));
    }
    for (const ledger::Block &block : outcome.appended)
        if (block.header.tx_count() > 0)
            busy_height_ = std::max(busy_height_, block.header.height());
    busy_height_ = std::min(busy_height_, height());
    after_blocks(outcome.appended);
    look_at_shares(outcome.appended);
    if (!outcome.appended.empty() || outcome.is_final_new) count_shares();
    for (const wire::SignedVote &vote : outcome.own_votes) call_all(vote_fns_, vote);
    for (const consensus::VoteEvidence &evidence : engine_->take_evidence()) report(evidence);
    if (outcome.is_final_new)
        log(LogLevel::kDebug, "consensus", "block ", engine_->final().height, " is final");
    if (outcome.is_final_new || engine_->consensus().votes().justified().height != justified_before)
        look_at_watches();
    return outcome.status;
}

// Reports two votes of one validator that contradict each other, for the reward that it brings.
void LedgerBackend::report(const consensus::VoteEvidence &evidence) {
    log(LogLevel::kWarning, "consensus",
        "a validator has signed two votes that contradict each other");
    wire::TxBody body;
    *body.mutable_evidence()->mutable_first() = evidence.first;
    *body.mutable_evidence()->mutable_second() = evidence.second;
    submit_own(std::move(body), "evidence");
}

// Of this node's account, where it has one; what refuses it may well be that another was faster.
void LedgerBackend::submit_own(wire::TxBody body, std::string_view what) {
    if (!engine_key_) return;
    body.set_chain_id(to_bytes(chain_id()));
    body.set_sender(to_bytes(engine_key_->public_key()));
    const auto nonce = next_nonce(engine_key_->public_key());
    if (!nonce.ok()) return;
    body.set_nonce(*nonce);
    if (const auto sent = submit(ledger::sign_tx(body, *engine_key_)); !sent.ok())
        log(LogLevel::kDebug, "consensus", what, ": ", sent.error().message);
}

// The hashes of shares that others have opened: whoever finds a false one is paid for it.
void LedgerBackend::look_at_shares(std::span<const ledger::Block> blocks) {
    if (auditor_ == nullptr) return;
    const std::uint64_t kept = ledger::kShareEpochsKept * genesis().consensus.share_epoch_blocks;
    for (const ledger::Block &block : blocks) {
        if (block.header.tx_count() == 0 || block.header.height() + kept < height()) continue;
        for (const ledger::Tx &tx : txs_of({&block, 1}, *chain_))
            if (tx.body.has_open_shares() && tx.sender != engine_key_->public_key())
                auditor_->look_at(tx.sender, tx.body.open_shares());
    }
}

// Commits to this node's shares, and opens those that were drawn, when it is time.
void LedgerBackend::count_shares() {
    if (shares_ == nullptr) return;
    auto body = shares_->due(chain_->state(), height(), engine_->final().height);
    if (!body.ok())
        log(LogLevel::kError, "consensus", "shares: ", body.error().message);
    else if (*body)
        submit_own(std::move(**body), "shares");
}

// Blocks are for transactions, and to make those before them final; who is idle seals nothing. And
// when what the chain itself proves lags behind what the votes say: while that is far behind, no
// transaction is taken that could ask for a block.
bool LedgerBackend::wants_block() const {
    const std::uint64_t proved = tip().finality.final.height;
    const bool must_prove = engine_->final().height > proved &&
                            height() - proved > genesis().consensus.lag_blocks_max / 2;
    return mempool_->count() > 0 || must_prove ||
           (engine_->final().height < busy_height_ && !is_too_far_ahead());
}

// Of what validators agree on: more empty blocks would only make the way back longer. Those that
// are there are voted for once two thirds are here again, and then there are more.
bool LedgerBackend::is_too_far_ahead() const {
    return height() - engine_->consensus().votes().justified().height >
           genesis().consensus.lag_blocks_max;
}

void LedgerBackend::pause_mining(const std::string &reason) {
    if (miner_ == nullptr || reason == miner_->pause_reason()) return;
    if (reason.empty())
        miner_->resume();
    else
        miner_->pause(reason);
}

// Gives the threads what to look for: a block on the present tip.
void LedgerBackend::mine(const consensus::Turn &turn) {
    if (miner_ == nullptr || !miner_->pause_reason().empty()) return;
    const std::uint64_t now_ms = clock_.steady_ms();
    const MiningJob &present = mining_jobs_[0];
    if (present.id != 0 && present.parent == tip().id &&
        now_ms < present.drafted_steady_ms + options_.mining_job_ms)
        return;
    auto drafted = engine_->draft(
        turn, mempool_->take(params().block_txs_max, kVotedBlockTxBytesMax), clock_.unix_ms());
    if (!drafted.ok()) {
        log(LogLevel::kDebug, "consensus", "nothing to mine: ", drafted.error().message);
        judge_again();
        return;
    }
    mining_jobs_[1] = std::move(mining_jobs_[0]);
    mining_jobs_[0] = {next_mining_job_++, tip().id, now_ms, std::move(*drafted)};
    consensus::Job job;
    job.job_id = mining_jobs_[0].id;
    // The nonce is the header's last field: its tag, and eight bytes.
    constexpr char kNonceTag = 15 << 3 | 1;
    job.header_prefix = mining_jobs_[0].drafted.header.SerializeAsString() + kNonceTag;
    job.base = turn.base;
    job.multiplier_q16 = turn.weight;
    if (shares_ != nullptr)
        job.share_target = consensus::target_of_bits(genesis().consensus.share_bits);
    miner_->set_job(std::move(job));
}

void LedgerBackend::found_nonce(const consensus::Found &found) {
    for (const MiningJob &job : mining_jobs_) {
        if (job.id != found.job_id || job.id == 0) continue;
        keep_share(job, found);
        const Status taken = engine_->take_found(job.drafted, found.nonce, clock_.unix_ms());
        const Status ran = taken.ok() ? run_engine() : taken;
        if (!ran.ok())
            log(LogLevel::kNote, "consensus",
                "a block was found and is of no use: ", ran.error().message);
        mining_jobs_[0].drafted_steady_ms = 0;  // the threads rest until they get another one
        break;
    }
}

void LedgerBackend::found_share(const consensus::Found &found) {
    for (const MiningJob &job : mining_jobs_)
        if (job.id == found.job_id && job.id != 0) return keep_share(job, found);
}

void LedgerBackend::keep_share(const MiningJob &job, const consensus::Found &found) {
    if (shares_ == nullptr ||
        !ledger::has_leading_zero_bits(found.hash, genesis().consensus.share_bits))
        return;
    wire::BlockHeader header = job.drafted.header;
    header.set_nonce(found.nonce);
    if (const Status kept = shares_->add(header, header.SerializeAsString(), found.hash);
        !kept.ok())
        log(LogLevel::kWarning, "consensus", "a share is not on disk: ", kept.error().message);
}

std::optional<LedgerBackend::Mining> LedgerBackend::mining() const {
    if (miner_ == nullptr) return std::nullopt;
    return Mining{miner_->hashes_per_s(), shares_ == nullptr ? 0 : shares_->count_at(height() + 1),
                  miner_->pause_reason()};
}

void LedgerBackend::seal_in_turn() {
    // Looked at many times a second: who is idle and does not mine reads no set of validators.
    if (miner_ == nullptr && !wants_block()) return;
    const auto turns = engine_->turns();
    if (!turns.ok()) return;
    const bool may_mine = mempool_->count() > 0 || !is_too_far_ahead();
    for (const consensus::Turn &turn : *turns)
        if (turn.needs_work && may_mine) mine(turn);
    if (!wants_block()) return;
    const std::uint64_t now_ms = clock_.unix_ms();
    for (const consensus::Turn &turn : *turns) {
        if (turn.needs_work || turn.not_before_ms > now_ms) continue;
        const auto take = [this] {
            return mempool_->take(params().block_txs_max, kVotedBlockTxBytesMax);
        };
        Status sealed = engine_->seal(turn, take(), now_ms);
        if (!sealed.ok() && !is_of_store(sealed.error())) {
            // What applied when it came may not at this block's time: weed out and try once more.
            judge_again();
            sealed = engine_->seal(turn, take(), now_ms);
        }
        if (sealed.ok()) sealed = run_engine();
        if (!sealed.ok())
            log(LogLevel::kError, "consensus", "no block was sealed: ", sealed.error().message);
        return;
    }
}

std::uint64_t LedgerBackend::inclusion_wait_ms() const {
    const ledger::ConsensusParams &params = genesis().consensus;
    switch (params.kind) {
        case ledger::ConsensusKind::kSolo: return 0;
        // Several whose turn it is may be away.
        case ledger::ConsensusKind::kPoa: return params.spacing_ms + 4 * params.turn_ms;
        // Without a block for longer than this, validators seal in turns.
        case ledger::ConsensusKind::kPor:
            return consensus::kRotationAfterSpacings * params.spacing_ms + 4 * params.turn_ms;
    }
    CHAIN_CHECK(false);
}

std::uint64_t LedgerBackend::finality_wait_ms() const {
    const ledger::ConsensusParams &params = genesis().consensus;
    if (params.kind == ledger::ConsensusKind::kSolo) return 0;
    // To its checkpoint, to the next one, and the votes for that; twice, as blocks come at random.
    const std::uint64_t blocks = 2 * std::uint64_t{params.epoch_blocks} + params.vote_depth;
    return 2 * blocks * params.spacing_ms + inclusion_wait_ms();
}

void LedgerBackend::on_vote(std::function<void(const wire::SignedVote &)> fn) {
    vote_fns_.push_back(std::move(fn));
}

Result<bool> LedgerBackend::accept_vote(const wire::SignedVote &vote) {
    if (engine_ == nullptr)
        return make_error(ErrorCode::kProtocol, "a vote where one key seals all blocks");
    CHAIN_ASSIGN(const bool is_new, engine_->take_vote(vote));
    if (is_new) CHAIN_TRY(run_engine());
    return is_new;
}

Result<BlockReceipt> LedgerBackend::accept_by_engine(
    std::span<const std::string_view> signed_blocks) {
    BlockReceipt receipt{BlockReceipt::Kind::kKnown, 0};
    const auto origin = signed_blocks.size() > 1 ? consensus::BlockTree::Origin::kAsked
                                                 : consensus::BlockTree::Origin::kTold;
    Status status = ok_status();
    std::vector<ledger::BlockId> taken_ids;
    for (const std::string_view bytes : signed_blocks) {
        auto block = ledger::decode_block(bytes, genesis(), &chain_->signatures());
        if (!block.ok()) {
            status = block.error();
            break;
        }
        const std::uint64_t block_height = block->header.height();
        if (block_height <= engine_->consensus().tree().root().height()) continue;  // decided
        taken_ids.push_back(block->id);
        const Status taken = engine_->take_block(std::move(*block), origin, clock_.unix_ms());
        if (taken.ok()) {
            receipt = {BlockReceipt::Kind::kApplied, 0};
        } else if (taken.error().code == ErrorCode::kNotFound) {
            receipt = {BlockReceipt::Kind::kGap, engine_->final().height + 1};
            break;
        } else if (!is_passed_over(taken.error())) {
            status = taken;
            break;
        }
    }
    CHAIN_TRY(run_engine());
    CHAIN_TRY(status);
    for (const ledger::BlockId &id : taken_ids) {
        const consensus::BlockTree::Node *const node = engine_->consensus().tree().find(id);
        if (node != nullptr && node->is_invalid) receipt.kind = BlockReceipt::Kind::kWrong;
    }
    return receipt;
}

Result<LedgerBackend::HeadersReceipt> LedgerBackend::accept_headers(
    std::span<const wire::SignedBlock> headers) {
    if (engine_ == nullptr)
        return make_error(ErrorCode::kProtocol, "headers where one key seals all blocks");
    HeadersReceipt receipt;
    for (const wire::SignedBlock &header : headers) {
        CHAIN_ASSIGN(const ledger::Block block,
                     ledger::decode_header(header, genesis(), &chain_->signatures()));
        if (block.header.height() <= engine_->consensus().tree().root().height()) continue;
        const Status taken =
            engine_->take_header(block, consensus::BlockTree::Origin::kAsked, clock_.unix_ms());
        receipt.new_count += taken.ok();
        if (taken.ok()) continue;
        if (taken.error().code == ErrorCode::kNotYet || taken.error().code == ErrorCode::kNoRoom) {
            receipt.has_stopped = true;
            break;
        }
        if (!is_passed_over(taken.error())) return taken.error();
    }
    return receipt;
}

Result<std::vector<wire::SignedBlock>> LedgerBackend::headers_after(
    const std::vector<ledger::BlockId> &known, std::size_t count_max) const {
    std::uint64_t from = 0;
    for (const ledger::BlockId &id : known)
        if (const auto height_of_id = chain_->height_of(id); height_of_id.ok())
            from = std::max(from, *height_of_id);
    std::vector<wire::SignedBlock> headers;
    for (std::uint64_t at = from + 1; at <= height() && headers.size() < count_max; ++at) {
        CHAIN_ASSIGN(wire::SignedBlock header, chain_->header_at(at));
        headers.push_back(std::move(header));
    }
    return headers;
}

std::vector<ledger::BlockId> LedgerBackend::locator() const {
    std::vector<ledger::BlockId> ids;
    const std::uint64_t bottom = engine_->consensus().tree().root().height();
    std::uint64_t step = 1;
    for (std::uint64_t at = height(); ids.size() + 1 < kLocatorMax;) {
        const auto block = chain_->checkpoint_at(at);
        if (!block.ok()) break;
        ids.push_back(block->id);
        if (at <= bottom) break;
        if (ids.size() > 8) step *= 2;
        at = at - bottom > step ? at - step : bottom;
    }
    return ids;
}

std::vector<ledger::BlockId> LedgerBackend::missing_blocks(std::size_t count_max) const {
    return engine_->missing_blocks(clock_.unix_ms(), count_max);
}

Result<Bytes> LedgerBackend::block_bytes(const ledger::BlockId &id) const {
    if (engine_ != nullptr)
        if (const ledger::Block *const waiting = engine_->waiting_block(id))
            return waiting->signed_bytes;
    CHAIN_ASSIGN(const std::uint64_t at, chain_->height_of(id));
    return chain_->block_bytes_at(at);
}

}  // namespace chain
