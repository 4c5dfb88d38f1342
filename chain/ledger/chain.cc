// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/chain.h"

#include "chain/base/log.h"
#include "chain/ledger/block_writer.h"
#include "chain/ledger/chain_records.h"
#include "chain/ledger/state.pb.h"

namespace chain::ledger {
namespace {

// Blocks that a replay takes together: what they change is kept in memory meanwhile.
constexpr std::size_t kReplayGroupBytes = 4u << 20;

Error corrupt(std::string_view what) {
    return make_error(ErrorCode::kCorrupt, "the ledger's store is damaged: ", what);
}

// The one key of `prefix` and an id that begins with `hex`.
Result<Bytes32> find_id(const KeyValueStore &store, std::string_view prefix, std::string_view hex,
                        std::string_view what) {
    constexpr std::size_t kDigits = 2 * sizeof(Bytes32);
    const std::size_t open_digits = kDigits - std::min(kDigits, hex.size());
    const auto first = bytes32_from_hex(Bytes(hex) + Bytes(open_digits, '0'), what);
    const auto last = bytes32_from_hex(Bytes(hex) + Bytes(open_digits, 'f'), what);
    if (hex.size() < Chain::kIdDigitsMin || !first.ok() || !last.ok())
        return make_error(ErrorCode::kInvalidInput, "\"", hex.substr(0, 80), "\" is no id of a ",
                          what, ": it has ", kDigits, " hex digits, of which the first ",
                          Chain::kIdDigitsMin, " may be enough");
    std::vector<Bytes32> found;
    CHAIN_TRY(store.scan_from(prefix, Bytes(prefix) + to_bytes(*first),
                              [&](std::string_view key, std::string_view) {
                                  const auto id = to_bytes32(key.substr(prefix.size()), what);
                                  if (!id.ok() || *id > *last) return false;
                                  found.push_back(*id);
                                  return found.size() < 2;
                              }));
    if (found.empty())
        return make_error(ErrorCode::kNotFound, "there is no ", what, " ", hex, " here");
    if (found.size() > 1)
        return make_error(ErrorCode::kConflict, "the ids of several begin with ", hex, ", among ",
                          "them ", to_hex(found[0]), " and ", to_hex(found[1]),
                          ": give more digits");
    return found[0];
}

}  // namespace

Result<std::unique_ptr<Chain>> Chain::open(std::unique_ptr<KeyValueStore> store, Genesis genesis,
                                           std::shared_ptr<const SealRule> rule) {
    std::unique_ptr<Chain> chain(new Chain(std::move(store), std::move(genesis), std::move(rule)));
    CHAIN_CHECK((chain->rule_ != nullptr) ==
                (chain->genesis_.consensus.kind != ConsensusKind::kSolo));
    CHAIN_ASSIGN(const auto its_chain, chain->store_->get(kChainIdKey));
    if (!its_chain) {
        CHAIN_TRY(chain->begin());
        return chain;
    }
    if (*its_chain != to_bytes(chain->genesis_.chain_id))
        return make_error(ErrorCode::kConflict, "the ledger's store belongs to chain ",
                          to_hex(*its_chain).substr(0, 8), ", the genesis file is of chain ",
                          short_hex(chain->genesis_.chain_id));
    CHAIN_ASSIGN(const auto tip, chain->store_->get(kTipKey));
    if (!tip) return corrupt("it has no tip");
    CHAIN_ASSIGN(chain->tip_, decode_tip(*tip));
    CHAIN_TRY(chain->check_recount());
    if (chain->tip_.height > 0) {
        CHAIN_ASSIGN(const Block newest, chain->block_at(chain->tip_.height));
        CHAIN_ASSIGN(chain->tip_.finality, chain->stored_finality(newest.header));
    }
    CHAIN_TRY(chain->make_index());
    CHAIN_TRY(chain->state_.fill());
    return chain;
}

Status Chain::begin() {
    CHAIN_ASSIGN(Execution execution, execute_genesis(genesis_));
    WriteBatch batch;
    Overlay prices(state_);
    CHAIN_TRY(index_block(to_index(execution), prices, batch));
    put_changes(prices.take_changes(), batch);
    put_changes(execution.changes, batch);
    batch.put(kTipKey, encode_tip(execution.tip));
    batch.put(kChainIdKey, to_bytes(genesis_.chain_id));
    CHAIN_TRY(store_->write(batch, true));
    tip_ = std::move(execution.tip);
    return state_.fill();
}

Status Chain::check_recount() const {
    CHAIN_ASSIGN(Recount counted, recount(*store_));
    counted.totals.minted = tip_.totals.minted;
    if (counted.digest != tip_.digest) return corrupt("the state does not have the tip's digest");
    if (counted.totals != tip_.totals) return corrupt("the state does not have the tip's totals");
    if (const Status conserved = check_conservation(tip_.totals); !conserved.ok())
        return corrupt(conserved.error().message);
    CHAIN_TRY(state_.check());
    if (tip_.height == 0) return ok_status();
    const auto block = block_at(tip_.height);
    if (!block.ok() && block.error().code == ErrorCode::kNotFound)
        return corrupt("the newest block is missing");
    if (!block.ok()) return block.error();
    if (block->id != tip_.id || block->header.state_digest() != to_bytes(tip_.digest.digest()))
        return corrupt("the newest block is not the tip's");
    return ok_status();
}

// Where the new block lies on `parent`.
Status Chain::check_attaches(const Block &block, const Tip &parent) {
    const wire::BlockHeader &header = block.header;
    if (header.height() != parent.height + 1 || header.previous() != to_bytes(parent.id))
        return make_error(ErrorCode::kConflict, "block ", header.height(), " (",
                          short_hex(block.id), ") does not attach to the tip ", parent.height, " (",
                          short_hex(parent.id), ")");
    if (header.time_ms() <= parent.time_ms)
        return make_error(ErrorCode::kInvalidInput, "block ", header.height(), ": its time ",
                          header.time_ms(), " is not later than its parent's ", parent.time_ms);
    return ok_status();
}

std::unique_ptr<DecodeBatch> Chain::begin_decoding(const Block &block) {
    const auto &txs = block.signed_block.txs();
    std::vector<Bytes32> hashes;
    if (block.tx_hashes.size() == static_cast<std::size_t>(txs.size())) hashes = block.tx_hashes;
    return std::make_unique<DecodeBatch>(std::vector<std::string_view>(txs.begin(), txs.end()),
                                         std::move(hashes), genesis_.chain_id, &txs_);
}

Result<TxList> Chain::finish_decoding(DecodeBatch &batch) {
    TxList txs;
    std::vector<Result<TxRef>> decoded = batch.finish();
    txs.reserve(decoded.size());
    for (std::size_t i = 0; i < decoded.size(); ++i) {
        if (!decoded[i].ok())
            return make_error(decoded[i].error().code, "transaction ", i,
                              " of the block: ", decoded[i].error().message);
        txs.push_back(std::move(decoded[i]).value());
    }
    return txs;
}

// True if `block` is the one that was drafted last, transaction by transaction.
bool Chain::is_drafted(const Block &block) const {
    if (!drafted_ || drafted_->parent != tip_.id ||
        static_cast<int>(drafted_->txs.size()) != block.signed_block.txs_size())
        return false;
    wire::BlockHeader header = block.header;
    header.clear_nonce();
    if (header.SerializeAsString() != drafted_->header.SerializeAsString()) return false;
    for (std::size_t i = 0; i < drafted_->txs.size(); ++i)
        if (drafted_->txs[i].signed_bytes != block.signed_block.txs(static_cast<int>(i)))
            return false;
    return true;
}

static Status check_digest(const Block &block, const Execution &execution) {
    if (block.header.state_digest() == to_bytes(execution.tip.digest.digest())) return ok_status();
    return make_error(ErrorCode::kInvalidInput, "block ", block.header.height(),
                      ": the state after it does not have the digest that it says");
}

static void log_txs(const TxList &txs, std::uint64_t height) {
    if (!log_enabled(LogLevel::kDebug)) return;  // the texts cost more than the transactions
    for (const Tx &tx : txs)
        log(LogLevel::kDebug, "ledger", "block ", height, " tx ", short_hex(tx.id), ": ",
            to_address(tx.sender), " ", describe_tx(tx.body));
}

Status Chain::apply(const Block &block) {
    CHAIN_TRY(check_attaches(block, tip_));
    ExecutedBlock executed{&block, {}};
    if (is_drafted(block)) {
        if (rule_ != nullptr) CHAIN_TRY(rule_->check(block, tip_, state_));
        executed.execution = std::move(drafted_->execution);
        executed.execution.tip.id = block.id;
        log_txs(drafted_->txs, block.header.height());
        drafted_.reset();
    } else {
        Overlay state(state_, Overlay::Reads::kRemembered);
        const auto txs = finish_decoding(*begin_decoding(block));
        CHAIN_ASSIGN(executed.execution, execute_next(state, tip_, block, txs, {}));
    }
    CHAIN_ASSIGN(const WriteBatch batch, batch_of(*store_, {&executed, 1}));
    CHAIN_TRY(store_->write(batch, true));
    Execution &done = executed.execution;
    state_.put(done.changes);
    last_applied_ = {tip_.id, block.id, std::move(done.tx_ids), std::move(done.changes)};
    tip_ = std::move(done.tip);
    return ok_status();
}

Status Chain::apply_all(std::span<const Block> blocks) {
    CHAIN_CHECK(blocks.size() <= kBlocksPerCallMax);
    Overlay state(state_, Overlay::Reads::kRemembered);  // after the blocks so far
    Tip tip = tip_;
    Status status = ok_status();
    BlockWriter writer(*store_);
    std::unique_ptr<DecodeBatch> decoding, ahead;
    for (std::size_t i = 0; i < blocks.size() && status.ok(); ++i) {
        decoding = ahead != nullptr ? std::move(ahead) : begin_decoding(blocks[i]);
        const auto txs = finish_decoding(*decoding);
        // While this block is executed, the other cores begin with the next one.
        if (i + 1 < blocks.size()) ahead = begin_decoding(blocks[i + 1]);
        auto execution = execute_next(state, tip, blocks[i], txs, blocks.first(i));
        if (!execution.ok()) {
            status = execution.error();
            break;
        }
        tip = execution->tip;
        state_.put(execution->changes);  // `state` does not look there for these again
        if (!writer.add({&blocks[i], std::move(execution).value()})) break;
    }
    BlockWriter::Outcome written = writer.finish();
    if (written.tip) {
        tip_ = std::move(*written.tip);
        last_applied_ = {};
        drafted_.reset();
    }
    if (written.status.ok()) return status;
    state_.forget_all();  // it has what was not written
    return written.status;
}

static Status check_finality(const wire::BlockHeader &header, const Finality &finality) {
    if (header.justified_height() == finality.justified.height &&
        header.final_height() == finality.final.height &&
        header.previous_final_height() == finality.previous_final_height)
        return ok_status();
    return make_error(ErrorCode::kInvalidInput, "block ", header.height(),
                      ": does not say what its votes have made final");
}

Result<Execution> Chain::execute_next(Overlay &state, const Tip &parent, const Block &block,
                                      const Result<TxList> &txs, std::span<const Block> recent) {
    CHAIN_TRY(check_attaches(block, parent));
    if (rule_ != nullptr) CHAIN_TRY(rule_->check(block, parent, state));
    if (!txs.ok()) return txs.error();
    NextBlock next{.time_ms = block.header.time_ms(), .sealer = {}, .finality = {}};
    CHAIN_ASSIGN(next.sealer, to_bytes32(block.header.sealer(), "sealer"));
    CHAIN_ASSIGN(next.finality, finality_after(block.signed_block.votes(), parent, state, recent));
    CHAIN_TRY(check_finality(block.header, next.finality));
    CHAIN_ASSIGN(Execution execution,
                 execute_on(state, parent, genesis_, next, *txs, &signatures_, rule_.get()));
    CHAIN_TRY(check_digest(block, execution));
    execution.tip.id = block.id;
    log_txs(*txs, execution.tip.height);
    return execution;
}

Status Chain::undo_tip() {
    if (tip_.height == 0) return make_error(ErrorCode::kNotFound, "there is no block to take back");
    CHAIN_ASSIGN(const Block block, block_at(tip_.height));
    CHAIN_ASSIGN(const auto undo_bytes, store_->get(undo_key(tip_.height)));
    record::UndoRecord undo;
    if (!undo_bytes || !undo.ParseFromString(*undo_bytes)) return corrupt("an undo record");
    std::vector<Changes::Entry> entries;
    for (const auto &entry : undo.entries())
        entries.emplace_back(entry.key(),
                             entry.existed() ? std::optional<Bytes>(entry.value()) : std::nullopt);
    const Changes changes(std::move(entries));
    CHAIN_ASSIGN(const auto old_values, values_under(state_, changes));

    Tip parent = tip_;
    CHAIN_TRY(account_for(changes, old_values, parent.digest, parent.totals));
    parent.height = tip_.height - 1;
    CHAIN_ASSIGN(parent.id, to_bytes32(block.header.previous(), "the parent's id"));
    parent.time_ms = genesis_.time_ms;
    parent.finality = {};
    if (parent.height > 0) {
        CHAIN_ASSIGN(const Block parent_block, block_at(parent.height));
        parent.time_ms = parent_block.header.time_ms();
        CHAIN_ASSIGN(parent.finality, stored_finality(parent_block.header));
        if (parent_block.header.state_digest() != to_bytes(parent.digest.digest()))
            return corrupt("an undo record does not lead back to the parent's state");
    }

    WriteBatch batch;
    put_changes(changes, batch);
    CHAIN_TRY(unindex_block(*store_, tip_.height, parent.id, batch));
    batch.remove(block_key(tip_.height));
    batch.remove(header_key(tip_.height));
    batch.remove(block_id_key(block.id));
    batch.remove(undo_key(tip_.height));
    for (const auto &tx_bytes : block.signed_block.txs()) {
        wire::SignedTx tx;
        if (!tx.ParseFromString(tx_bytes)) return corrupt("a transaction of a block");
        batch.remove(tx_key(tx_id(tx.body())));
    }
    batch.put(kTipKey, encode_tip(parent));
    CHAIN_TRY(store_->write(batch, true));
    state_.put(changes);
    tip_ = std::move(parent);
    last_applied_ = {};
    drafted_.reset();
    return ok_status();
}

Result<wire::BlockHeader> Chain::draft_header(const BlockDraft &draft) {
    drafted_.reset();
    wire::SignedBlock parts;
    for (const wire::SignedVote &vote : draft.votes) *parts.add_votes() = vote;
    NextBlock next{.time_ms = draft.time_ms, .sealer = draft.sealer, .finality = {}};
    CHAIN_ASSIGN(next.finality, finality_after(parts.votes(), tip_, state_, {}));
    CHAIN_ASSIGN(Execution execution,
                 execute(state_, tip_, genesis_, next, draft.txs, &signatures_, rule_.get()));
    wire::BlockHeader header;
    header.set_version(kBlockVersion);
    header.set_height(tip_.height + 1);
    header.set_previous(to_bytes(tip_.id));
    header.set_chain_id(to_bytes(genesis_.chain_id));
    header.set_time_ms(draft.time_ms);
    header.set_tx_root(to_bytes(tx_root(tx_hashes(draft.txs))));
    header.set_state_digest(to_bytes(execution.tip.digest.digest()));
    header.set_sealer(to_bytes(draft.sealer));
    header.set_tx_count(static_cast<std::uint32_t>(draft.txs.size()));
    header.set_weight(draft.weight);
    header.set_justified_height(next.finality.justified.height);
    header.set_final_height(next.finality.final.height);
    header.set_previous_final_height(next.finality.previous_final_height);
    header.set_votes_root(votes_root_bytes(parts));
    drafted_ = Drafted{tip_.id, header, draft.txs, std::move(execution)};
    return header;
}

Result<Bytes> Chain::block_bytes_at(std::uint64_t height) const {
    CHAIN_ASSIGN(auto bytes, store_->get(block_key(height)));
    if (!bytes) return make_error(ErrorCode::kNotFound, "there is no block ", height);
    return std::move(*bytes);
}

Result<Block> Chain::block_at(std::uint64_t height) const {
    CHAIN_ASSIGN(Bytes bytes, block_bytes_at(height));
    Block block;
    if (!block.signed_block.ParseFromString(bytes) ||
        !block.header.ParseFromString(block.signed_block.header()))
        return corrupt("a block is unreadable");
    block.id = tagged_hash(kBlockIdTag, block.signed_block.header());
    block.signed_bytes = std::move(bytes);
    return block;
}

Result<wire::SignedBlock> Chain::header_at(std::uint64_t height) const {
    CHAIN_ASSIGN(const auto bytes, store_->get(header_key(height)));
    wire::SignedBlock header;
    if (bytes) {
        if (!header.ParseFromString(*bytes)) return corrupt("a header is unreadable");
        return header;
    }
    // Of a store that an earlier version wrote.
    CHAIN_ASSIGN(const Block block, block_at(height));
    return only_header(block.signed_block);
}

Result<std::uint64_t> Chain::height_of(const BlockId &id) const {
    CHAIN_ASSIGN(const auto bytes, store_->get(block_id_key(id)));
    if (!bytes) return make_error(ErrorCode::kNotFound, "there is no block ", short_hex(id));
    if (bytes->size() != sizeof(std::uint64_t)) return corrupt("a block's height");
    return read_u64_be(*bytes);
}

Result<BlockId> Chain::find_block(std::string_view hex) const {
    return find_id(*store_, kBlockIdPrefix, hex, "block");
}

Result<TxId> Chain::find_tx(std::string_view hex) const {
    return find_id(*store_, kTxPrefix, hex, "transaction");
}

Result<std::optional<TxPlace>> Chain::place_of(const TxId &id) const {
    CHAIN_ASSIGN(const auto bytes, store_->get(tx_key(id)));
    if (!bytes) return std::optional<TxPlace>();
    record::TxPlaceRecord place;
    if (!place.ParseFromString(*bytes)) return corrupt("a transaction's place");
    return std::optional<TxPlace>({place.height(), place.index()});
}

Result<std::vector<Lease>> Chain::leases_of(const PublicKey &account, std::size_t count_max) const {
    std::vector<Bytes> ids;
    if (count_max == 0) return std::vector<Lease>();
    CHAIN_TRY(store_->scan(lease_index_prefix(account), [&](std::string_view, std::string_view id) {
        ids.emplace_back(id);
        return ids.size() < count_max;
    }));
    std::vector<Lease> leases;
    for (const Bytes &bytes : ids) {
        CHAIN_ASSIGN(const LeaseId id, to_bytes32(bytes, "lease id"));
        CHAIN_ASSIGN(Lease lease, state_.lease(id));
        leases.push_back(std::move(lease));
    }
    return leases;
}

Result<std::vector<LeaseId>> Chain::expired_leases(std::uint64_t time_ms,
                                                   std::size_t count_max) const {
    std::vector<Bytes> found;
    const std::size_t prefix_bytes = expiry_index_prefix().size();
    CHAIN_TRY(store_->scan(expiry_index_prefix(), [&](std::string_view key, std::string_view id) {
        if (found.size() >= count_max || read_u64_be(key.substr(prefix_bytes)) > time_ms)
            return false;
        found.emplace_back(id);
        return true;
    }));
    std::vector<LeaseId> ids;
    for (const Bytes &bytes : found) {
        CHAIN_ASSIGN(const LeaseId id, to_bytes32(bytes, "lease id"));
        ids.push_back(id);
    }
    return ids;
}

static std::optional<Chain::Verification> apply_to_twin(Chain &twin,
                                                        const std::vector<Block> &blocks) {
    const Status applied = twin.apply_all(blocks);
    if (applied.ok()) return std::nullopt;
    return Chain::Verification{false, twin.tip().height + 1, applied.error().message};
}

Result<Chain::Verification> Chain::replay_to(const Tip &tip, const std::atomic<bool> &stop) const {
    CHAIN_ASSIGN(const auto twin, Chain::open(make_memory_store(), genesis_, rule_));
    std::uint64_t height = 1;
    while (height <= tip.height) {
        std::vector<Block> blocks;
        std::size_t size_bytes = 0;
        while (height + blocks.size() <= tip.height && blocks.size() < kBlocksPerCallMax &&
               size_bytes < kReplayGroupBytes) {
            const std::uint64_t at = height + blocks.size();
            if (stop) return make_error(ErrorCode::kCancelled, "stopped at block ", at);
            const auto bytes = block_bytes_at(at);
            if (!bytes.ok() && bytes.error().code != ErrorCode::kNotFound) return bytes.error();
            auto block = bytes.ok() ? decode_block(*bytes, genesis_) : bytes.error();
            if (!block.ok()) {
                // What is wrong in the blocks before it comes first.
                if (const auto wrong = apply_to_twin(*twin, blocks)) return *wrong;
                return Verification{false, at, block.error().message};
            }
            size_bytes += bytes->size();
            blocks.push_back(std::move(block).value());
        }
        if (const auto wrong = apply_to_twin(*twin, blocks)) return *wrong;
        height += blocks.size();
    }
    if (twin->tip().id != tip.id || twin->tip().digest != tip.digest ||
        twin->tip().totals != tip.totals)
        return Verification{false, tip.height, "the stored state is not what the blocks make"};
    return Verification{true, 0, {}};
}

Result<Chain::Verification> Chain::verify_all() const {
    CHAIN_ASSIGN(const Verification replayed, replay_to(tip_, false));
    if (!replayed.ok) return replayed;
    if (const Status counted = check_recount(); !counted.ok())
        return Verification{false, tip_.height, counted.error().message};
    return Verification{true, 0, {}};
}

}  // namespace chain::ledger
