// SPDX-License-Identifier: BSD-3-Clause
#include "chain/backend/ledger_backend.h"

#include <algorithm>

#include "chain/backend/call_all.h"
#include "chain/base/log.h"
#include "chain/wire/frame.h"

namespace chain {
namespace {

// Leaves room for the header and the framing of each transaction.
constexpr std::size_t kSoloBlockTxBytesMax = wire::kMaxBlockBytes / 16 * 15;

Result<wire::TxView> to_view(std::string_view signed_tx) {
    wire::SignedTx tx;
    wire::TxBody body;
    if (!tx.ParseFromArray(signed_tx.data(), static_cast<int>(signed_tx.size())) ||
        !body.ParseFromString(tx.body()))
        return make_error(ErrorCode::kCorrupt, "the ledger holds an unreadable transaction");
    wire::TxView view;
    view.set_tx_id(to_hex(ledger::tx_id(tx.body())));
    view.set_kind(std::string(ledger::tx_kind(body)));
    CHAIN_ASSIGN(const PublicKey sender, to_bytes32(body.sender(), "sender"));
    view.set_sender(to_address(sender));
    view.set_text(ledger::describe_tx(body));
    return view;
}

Result<wire::BlockView> to_view(const ledger::Block &block, bool with_txs) {
    wire::BlockView view;
    view.set_height(block.header.height());
    view.set_block_id(to_hex(block.id));
    view.set_previous(to_hex(block.header.previous()));
    view.set_time_ms(block.header.time_ms());
    view.set_state_digest(to_hex(block.header.state_digest()));
    CHAIN_ASSIGN(const PublicKey sealer, to_bytes32(block.header.sealer(), "sealer"));
    view.set_sealer(to_address(sealer));
    view.set_tx_count(block.header.tx_count());
    if (!with_txs) return view;
    for (const auto &bytes : block.signed_block.txs()) {
        CHAIN_ASSIGN(*view.add_txs(), to_view(bytes));
    }
    return view;
}

}  // namespace

Result<std::unique_ptr<LedgerBackend>> LedgerBackend::open(Loop &loop, const Clock &clock,
                                                           std::unique_ptr<KeyValueStore> store,
                                                           ledger::Genesis genesis,
                                                           std::optional<KeyPair> sealer_key,
                                                           LedgerOptions options) {
    std::unique_ptr<LedgerBackend> backend(new LedgerBackend(loop, clock, options));
    std::shared_ptr<const consensus::Rule> rule;
    if (genesis.consensus.kind != ledger::ConsensusKind::kSolo) {
        CHAIN_ASSIGN(rule, consensus::Rule::make(genesis));
    }
    CHAIN_ASSIGN(backend->chain_, ledger::Chain::open(std::move(store), std::move(genesis), rule));
    backend->mempool_ = std::make_unique<ledger::Mempool>(*backend->chain_);
    if (rule != nullptr)
        CHAIN_TRY(backend->open_engine(std::move(rule), std::move(sealer_key)));
    else
        backend->sealer_ = std::make_unique<consensus::SoloSealer>(std::move(sealer_key));
    LedgerBackend *self = backend.get();
    self->announce_timer_ =
        loop.every_ms(options.announce_again_ms, [self] { self->announce_again(); });
    return backend;
}

std::uint64_t LedgerBackend::chain_time_ms() const {
    return std::max(clock_.unix_ms(), chain_->tip().time_ms);
}

Result<ledger::Account> LedgerBackend::account(const PublicKey &account) const {
    return chain_->state().account(account);
}

Result<std::uint64_t> LedgerBackend::next_nonce(const PublicKey &account) const {
    return mempool_->next_nonce(account);
}

Result<incentive::Reputation> LedgerBackend::reputation(const PublicKey &account) const {
    return chain_->state().reputation(account, ledger::decay_step(genesis(), chain_time_ms()));
}

Result<LockedFunds> LedgerBackend::locked(const PublicKey &account) const {
    CHAIN_ASSIGN(const ledger::Account found, chain_->state().account(account));
    return LockedFunds{found.escrow, found.collateral};
}

Result<ledger::Lease> LedgerBackend::lease(const ledger::LeaseId &id) const {
    return chain_->state().lease(id);
}

Result<std::vector<ledger::LeaseId>> LedgerBackend::expired_leases(std::size_t count_max) const {
    return chain_->expired_leases(chain_time_ms(), count_max);
}

Result<std::vector<ledger::Lease>> LedgerBackend::leases_of(const PublicKey &account,
                                                            std::size_t count_max) const {
    return chain_->leases_of(account, count_max);
}

Result<ledger::TxRef> LedgerBackend::decode(std::string_view signed_tx_bytes) {
    return ledger::decode_tx_cached(signed_tx_bytes, ledger::tx_bytes_hash(signed_tx_bytes),
                                    chain_id(), chain_->tx_cache());
}

Result<bool> LedgerBackend::admit(const ledger::TxRef &tx) {
    if (const Status added = mempool_->add(tx, clock_.unix_ms()); !added.ok()) {
        // Looked up only now: new ones, which are most, are found nowhere.
        if (mempool_->contains(tx->id)) return false;
        CHAIN_ASSIGN(const auto place, chain_->place_of(tx->id));
        if (place) return false;
        return added.error();
    }
    schedule_seal();
    call_all(tx_fns_, tx->signed_bytes);
    return true;
}

Result<ledger::TxId> LedgerBackend::submit(const wire::SignedTx &tx) {
    CHAIN_ASSIGN(const ledger::TxRef decoded, decode(tx.SerializeAsString()));
    CHAIN_TRY(admit(decoded));
    return decoded->id;
}

Result<bool> LedgerBackend::accept_tx(std::string_view signed_tx_bytes) {
    CHAIN_ASSIGN(const ledger::TxRef decoded, decode(signed_tx_bytes));
    return admit(decoded);
}

std::vector<Result<bool>> LedgerBackend::accept_txs(std::span<const std::string_view> signed_txs) {
    ledger::DecodeBatch batch({signed_txs.begin(), signed_txs.end()}, {}, chain_id(),
                              &chain_->tx_cache());
    std::vector<Result<bool>> outcomes;
    outcomes.reserve(signed_txs.size());
    // The other cores verify while this one admits what is verified.
    for (std::size_t i = 0; i < signed_txs.size(); ++i) {
        const Result<ledger::TxRef> &decoded = batch.at(i);
        outcomes.push_back(decoded.ok() ? admit(*decoded) : Result<bool>(decoded.error()));
    }
    return outcomes;
}

void LedgerBackend::accept_tx_soon(Bytes signed_tx,
                                   std::function<void(const Result<bool> &)> done) {
    if (arrivals_.empty()) arrivals_timer_ = loop_.after_ms(0, [this] { admit_arrivals(); });
    arrival_bytes_ += signed_tx.size();
    arrivals_.push_back({std::move(signed_tx), std::move(done)});
    if (arrivals_.size() >= kArrivalsMax || arrival_bytes_ >= kArrivalBytesMax) admit_arrivals();
}

void LedgerBackend::admit_arrivals() {
    arrivals_timer_.cancel();
    std::vector<Arrival> arrived;
    arrived.swap(arrivals_);
    arrival_bytes_ = 0;
    std::vector<std::string_view> views;
    for (const Arrival &arrival : arrived) views.push_back(arrival.signed_tx);
    const std::vector<Result<bool>> outcomes = accept_txs(views);
    for (std::size_t i = 0; i < arrived.size(); ++i) arrived[i].done(outcomes[i]);
}

TxOutcome LedgerBackend::outcome(const ledger::TxId &id) const {
    const auto place = chain_->place_of(id);
    if (place.ok() && *place) {
        const std::uint64_t height = (*place)->height;
        TxStatus status = TxStatus::kIncluded;
        if (engine_ != nullptr && engine_->is_justified(height)) status = TxStatus::kJustified;
        if (is_final(height)) status = TxStatus::kFinal;
        return {status, height, {}};
    }
    if (mempool_->contains(id)) return {TxStatus::kPending, 0, {}};
    if (const auto reason = mempool_->rejection(id)) return {TxStatus::kRejected, 0, *reason};
    return {};
}

void LedgerBackend::on_new_block(std::function<void(std::uint64_t height)> fn) {
    new_block_fns_.push_back(std::move(fn));
}

void LedgerBackend::on_tx_accepted(std::function<void(const Bytes &)> fn) {
    tx_fns_.push_back(std::move(fn));
}

void LedgerBackend::on_block(std::function<void(const Bytes &)> fn) {
    block_fns_.push_back(std::move(fn));
}

bool LedgerBackend::is_sealer() const {
    if (engine_ == nullptr) return sealer_->may_seal(*chain_);
    const auto turns = engine_->turns();
    return turns.ok() && !turns->empty();
}

bool LedgerBackend::is_final(std::uint64_t height) const {
    return engine_ != nullptr ? engine_->is_final(height) : sealer_->is_final(*chain_, height);
}

void LedgerBackend::judge_again(const ledger::TxList &first) {
    judged_steady_ms_ = clock_.steady_ms();
    if (const Status rebuilt = mempool_->rebuild(clock_.unix_ms(), first); !rebuilt.ok())
        log(LogLevel::kError, "ledger",
            "what waits for a block cannot be judged now: ", rebuilt.error().message);
}

void LedgerBackend::announce_again() {
    if (engine_ != nullptr)
        for (const wire::SignedVote &vote : engine_->votes_to_tell()) call_all(vote_fns_, vote);
    if (mempool_->count() == 0) return;
    if (clock_.steady_ms() - judged_steady_ms_ >= options_.judge_again_ms) judge_again();
    for (const Bytes &bytes : mempool_->pending_bytes(kAnnounceAgainMax)) call_all(tx_fns_, bytes);
}

void LedgerBackend::schedule_seal() {
    std::uint64_t delay_ms = 0;
    if (last_seal_steady_ms_) {
        const std::uint64_t next_ms = *last_seal_steady_ms_ + options_.block_spacing_ms;
        const std::uint64_t now_ms = clock_.steady_ms();
        if (next_ms > now_ms) delay_ms = next_ms - now_ms;
    }
    schedule_seal_in(delay_ms);
}

void LedgerBackend::schedule_seal_in(std::uint64_t delay_ms) {
    if (engine_ != nullptr || seal_scheduled_ || !is_sealer()) return;
    seal_scheduled_ = true;
    // Never here and now: what else comes in this turn of the loop shares the block.
    seal_timer_ = loop_.after_ms(delay_ms, [this] { seal_pending(); });
}

Result<ledger::Block> LedgerBackend::draft_block(std::uint64_t now_ms) {
    const auto take = [this] {
        return mempool_->take(params().block_txs_max, kSoloBlockTxBytesMax);
    };
    auto block = sealer_->seal(*chain_, take(), now_ms);
    if (block.ok()) return block;
    if (is_of_store(block.error())) return block;
    // What applied when it came may not at this block's time: weed out and try once more.
    CHAIN_TRY(mempool_->rebuild(now_ms));
    if (mempool_->count() == 0) return block;
    return sealer_->seal(*chain_, take(), now_ms);
}

void LedgerBackend::seal_pending() {
    seal_scheduled_ = false;
    if (mempool_->count() == 0) return;
    last_seal_steady_ms_ = clock_.steady_ms();
    const auto block = draft_block(clock_.unix_ms());
    const Status applied = block.ok() ? chain_->apply(*block) : Status(block.error());
    if (!applied.ok()) {
        if (mempool_->count() == 0) return;
        log(LogLevel::kError, "ledger", "no block was sealed: ", applied.error().message);
        schedule_seal_in(options_.seal_retry_ms);
        return;
    }
    after_blocks({&*block, 1});
    if (mempool_->count() > 0) schedule_seal();
}

void LedgerBackend::after_blocks(std::span<const ledger::Block> blocks) {
    if (blocks.empty()) return;
    judge_again();
    for (const ledger::Block &block : blocks) {
        log(LogLevel::kDebug, "ledger", "block ", block.header.height(), " ", short_hex(block.id),
            " with ", block.header.tx_count(), " transactions");
        call_all(block_fns_, block.signed_bytes);
        call_all(new_block_fns_, block.header.height());
    }
    look_at_watches();
}

// A block at a height that the chain has already.
Result<BlockReceipt> LedgerBackend::check_known(const ledger::Block &block) const {
    const std::uint64_t height = block.header.height();
    CHAIN_ASSIGN(const ledger::Block ours, chain_->block_at(height));
    if (ours.id == block.id) return BlockReceipt{BlockReceipt::Kind::kKnown, 0};
    return make_error(ErrorCode::kConflict, "block ", height, " (", short_hex(block.id),
                      ") contradicts the final block ", short_hex(ours.id));
}

Status LedgerBackend::apply_blocks(const std::vector<ledger::Block> &blocks) {
    if (blocks.empty()) return ok_status();
    const std::uint64_t before = height();
    const Status applied =
        blocks.size() == 1 ? chain_->apply(blocks[0]) : chain_->apply_all(blocks);
    after_blocks(std::span(blocks).first(static_cast<std::size_t>(height() - before)));
    return applied;
}

Result<BlockReceipt> LedgerBackend::accept_block(std::string_view signed_block_bytes) {
    return accept_blocks({&signed_block_bytes, 1});
}

Result<BlockReceipt> LedgerBackend::accept_blocks(std::span<const std::string_view> signed_blocks) {
    if (engine_ != nullptr) return accept_by_engine(signed_blocks);
    Result<BlockReceipt> receipt = BlockReceipt{BlockReceipt::Kind::kKnown, 0};
    std::vector<ledger::Block> fresh;
    for (const std::string_view bytes : signed_blocks) {
        auto block = ledger::decode_block(bytes, genesis(), &chain_->signatures());
        const std::uint64_t next = tip().height + fresh.size() + 1;
        if (!block.ok())
            receipt = block.error();
        else if (block->header.height() > next)
            receipt = BlockReceipt{BlockReceipt::Kind::kGap, next};
        else if (block->header.height() <= tip().height)
            receipt = check_known(*block);
        else if (block->header.height() == next) {
            fresh.push_back(std::move(block).value());
            receipt = BlockReceipt{BlockReceipt::Kind::kApplied, 0};
        }
        // One that is twice in the same list is left out.
        if (!receipt.ok() || receipt->kind == BlockReceipt::Kind::kGap) break;
        if (fresh.size() < ledger::Chain::kBlocksPerCallMax) continue;
        CHAIN_TRY(apply_blocks(fresh));
        fresh.clear();
    }
    CHAIN_TRY(apply_blocks(fresh));
    return receipt;
}

Result<std::vector<Bytes>> LedgerBackend::blocks_from(std::uint64_t from_height,
                                                      std::size_t count_max) const {
    std::vector<Bytes> blocks;
    std::size_t size_bytes = 0;
    const std::size_t limit = std::min(count_max, kBlocksPerAnswerMax);
    for (std::uint64_t height = std::max<std::uint64_t>(from_height, 1);
         height <= tip().height && blocks.size() < limit; ++height) {
        CHAIN_ASSIGN(Bytes bytes, chain_->block_bytes_at(height));
        size_bytes += bytes.size();
        if (!blocks.empty() && size_bytes > kAnswerBytesMax) break;
        blocks.push_back(std::move(bytes));
    }
    return blocks;
}

std::vector<Bytes> LedgerBackend::pending_txs(std::size_t count_max) const {
    return mempool_->pending_bytes(count_max);
}

Result<std::vector<wire::BlockView>> LedgerBackend::block_views(std::uint64_t before_height,
                                                                std::size_t count_max) const {
    std::vector<wire::BlockView> views;
    std::uint64_t height = tip().height;
    if (before_height > 0) height = std::min(height, before_height - 1);
    for (; height > 0 && views.size() < count_max; --height) {
        CHAIN_ASSIGN(const ledger::Block block, chain_->block_at(height));
        CHAIN_ASSIGN(wire::BlockView view, to_view(block, false));
        view.set_is_final(is_final(height));
        views.push_back(std::move(view));
    }
    return views;
}

Result<wire::BlockView> LedgerBackend::block_view(std::uint64_t height) const {
    CHAIN_ASSIGN(const ledger::Block block, chain_->block_at(height));
    CHAIN_ASSIGN(wire::BlockView view, to_view(block, true));
    view.set_is_final(is_final(height));
    return view;
}

Result<wire::BlockView> LedgerBackend::block_view(std::string_view hex) const {
    CHAIN_ASSIGN(const ledger::BlockId id, chain_->find_block(hex));
    CHAIN_ASSIGN(const std::uint64_t at, chain_->height_of(id));
    return block_view(at);
}

Result<wire::TxState> LedgerBackend::tx_state(std::string_view hex) const {
    wire::TxState state;
    const auto found = chain_->find_tx(hex);
    const auto whole = bytes32_from_hex(hex, "transaction id");
    if (!found.ok() && !whole.ok()) return found.error();
    const ledger::TxId id = found.ok() ? *found : *whole;
    const TxOutcome known = outcome(id);
    state.set_state(std::string(to_text(known.status)));
    if (known.status == TxStatus::kUnknown) return found.error();
    if (known.status == TxStatus::kPending) {
        CHAIN_ASSIGN(*state.mutable_tx(), to_view(mempool_->find(id)->signed_bytes));
        return state;
    }
    if (known.status == TxStatus::kRejected) {
        state.mutable_tx()->set_tx_id(to_hex(id));
        state.set_reason(known.reason);
        return state;
    }
    CHAIN_ASSIGN(const auto place, chain_->place_of(id));
    CHAIN_CHECK(place);
    CHAIN_ASSIGN(const ledger::Block block, chain_->block_at(place->height));
    CHAIN_ASSIGN(*state.mutable_tx(),
                 to_view(block.signed_block.txs(static_cast<int>(place->index))));
    state.set_height(place->height);
    state.set_block_id(to_hex(block.id));
    state.set_block_time_ms(block.header.time_ms());
    return state;
}

}  // namespace chain
