// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/chain.h"

#include "chain/base/log.h"
#include "chain/ledger/state.pb.h"

namespace chain::ledger {
namespace {

// Beside the state's "s": blocks by height, heights by block id, undo records by height, places of
// transactions by id, the tip, and the chain that all this belongs to.
constexpr std::string_view kTipKey = "mtip";
constexpr std::string_view kChainIdKey = "mchain";

Bytes numbered(char prefix, std::uint64_t height) {
    Bytes key(1, prefix);
    append_u64_be(key, height);
    return key;
}
Bytes block_key(std::uint64_t height) {
    return numbered('b', height);
}
Bytes undo_key(std::uint64_t height) {
    return numbered('u', height);
}
Bytes block_id_key(const BlockId &id) {
    return "h" + to_bytes(id);
}
Bytes tx_key(const TxId &id) {
    return "t" + to_bytes(id);
}

Bytes encode_tip(const Tip &tip) {
    record::TipRecord out;
    out.set_height(tip.height);
    out.set_block_id(to_bytes(tip.id));
    out.set_time_ms(tip.time_ms);
    out.set_lanes(tip.digest.lane_bytes());
    out.set_minted(tip.totals.minted.units);
    out.set_balances(tip.totals.balances.units);
    out.set_escrow(tip.totals.escrow.units);
    out.set_collateral(tip.totals.collateral.units);
    out.set_burned(tip.totals.burned.units);
    out.set_stake(tip.totals.stake.units);
    out.set_pool(tip.totals.pool.units);
    return out.SerializeAsString();
}

void put_changes(const Overlay::Changes &changes, WriteBatch &batch) {
    for (const auto &[key, value] : changes) {
        if (value)
            batch.put(key, *value);
        else
            batch.remove(key);
    }
}

Bytes encode_height(std::uint64_t height) {
    Bytes bytes;
    append_u64_be(bytes, height);
    return bytes;
}

Error corrupt(std::string_view what) {
    return make_error(ErrorCode::kCorrupt, "the ledger's store is damaged: ", what);
}

}  // namespace

Result<std::unique_ptr<Chain>> Chain::open(std::unique_ptr<KeyValueStore> store, Genesis genesis) {
    std::unique_ptr<Chain> chain(new Chain(std::move(store), std::move(genesis)));
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
    CHAIN_TRY(chain->load_tip(*tip));
    CHAIN_TRY(chain->check_recount());
    CHAIN_TRY(chain->make_index());
    return chain;
}

Status Chain::begin() {
    CHAIN_ASSIGN(Execution execution, execute_genesis(genesis_));
    WriteBatch batch;
    put_changes(execution.changes, batch);
    batch.put(Bytes(kTipKey), encode_tip(execution.tip));
    batch.put(Bytes(kChainIdKey), to_bytes(genesis_.chain_id));
    CHAIN_TRY(index_block(*store_, reader_,
                          {0, BlockId{}, genesis_.time_ms, execution.trail, execution.changes},
                          batch));
    CHAIN_TRY(store_->write(batch, true));
    tip_ = std::move(execution.tip);
    return ok_status();
}

Status Chain::load_tip(std::string_view tip_bytes) {
    record::TipRecord in;
    if (!in.ParseFromArray(tip_bytes.data(), static_cast<int>(tip_bytes.size())))
        return corrupt("its tip is unreadable");
    tip_.height = in.height();
    CHAIN_ASSIGN(tip_.id, to_bytes32(in.block_id(), "block id"));
    tip_.time_ms = in.time_ms();
    CHAIN_ASSIGN(tip_.digest, StateDigest::from_lane_bytes(in.lanes()));
    CHAIN_ASSIGN(tip_.totals.minted, amount_from_units(in.minted()));
    CHAIN_ASSIGN(tip_.totals.balances, amount_from_units(in.balances()));
    CHAIN_ASSIGN(tip_.totals.escrow, amount_from_units(in.escrow()));
    CHAIN_ASSIGN(tip_.totals.collateral, amount_from_units(in.collateral()));
    CHAIN_ASSIGN(tip_.totals.burned, amount_from_units(in.burned()));
    CHAIN_ASSIGN(tip_.totals.stake, amount_from_units(in.stake()));
    CHAIN_ASSIGN(tip_.totals.pool, amount_from_units(in.pool()));
    return ok_status();
}

Status Chain::check_recount() const {
    CHAIN_ASSIGN(Recount counted, recount(*store_));
    counted.totals.minted = tip_.totals.minted;
    if (counted.digest != tip_.digest) return corrupt("the state does not have the tip's digest");
    if (counted.totals != tip_.totals) return corrupt("the state does not have the tip's totals");
    if (const Status conserved = check_conservation(tip_.totals); !conserved.ok())
        return corrupt(conserved.error().message);
    if (tip_.height == 0) return ok_status();
    CHAIN_ASSIGN(const Block block, block_at(tip_.height));
    if (block.id != tip_.id || block.header.state_digest() != to_bytes(tip_.digest.digest()))
        return corrupt("the newest block is not the tip's");
    return ok_status();
}

Result<std::vector<Tx>> Chain::decode_txs(const Block &block) {
    std::vector<Tx> txs;
    txs.reserve(static_cast<std::size_t>(block.signed_block.txs_size()));
    for (const auto &bytes : block.signed_block.txs()) {
        CHAIN_ASSIGN(Tx tx, decode_tx(bytes, genesis_.chain_id, &signatures_));
        txs.push_back(std::move(tx));
    }
    return txs;
}

Status Chain::write_undo(const Overlay::Changes &changes, std::uint64_t height, WriteBatch &batch) {
    record::UndoRecord undo;
    for (const auto &[key, value] : changes) {
        CHAIN_ASSIGN(const auto old_value, store_->get(key));
        auto *entry = undo.add_entries();
        entry->set_key(key);
        entry->set_existed(old_value.has_value());
        if (old_value) entry->set_value(*old_value);
    }
    batch.put(undo_key(height), undo.SerializeAsString());
    return ok_status();
}

Status Chain::apply(const Block &block) {
    const wire::BlockHeader &header = block.header;
    if (header.height() != tip_.height + 1 || header.previous() != to_bytes(tip_.id))
        return make_error(ErrorCode::kConflict, "block ", header.height(), " (",
                          short_hex(block.id), ") does not attach to the tip ", tip_.height, " (",
                          short_hex(tip_.id), ")");
    if (header.time_ms() <= tip_.time_ms)
        return make_error(ErrorCode::kInvalidInput, "block ", header.height(), ": its time ",
                          header.time_ms(), " is not later than its parent's ", tip_.time_ms);
    CHAIN_ASSIGN(const std::vector<Tx> txs, decode_txs(block));
    CHAIN_ASSIGN(Execution execution,
                 execute(reader_, tip_, genesis_, header.time_ms(), txs, &signatures_));
    if (header.state_digest() != to_bytes(execution.tip.digest.digest()))
        return make_error(ErrorCode::kInvalidInput, "block ", header.height(),
                          ": the state after it does not have the digest that it says");
    execution.tip.id = block.id;

    WriteBatch batch;
    CHAIN_TRY(write_undo(execution.changes, header.height(), batch));
    CHAIN_TRY(index_block(
        *store_, reader_,
        {header.height(), block.id, header.time_ms(), execution.trail, execution.changes}, batch));
    put_changes(execution.changes, batch);
    batch.put(block_key(header.height()), block.signed_bytes);
    batch.put(block_id_key(block.id), encode_height(header.height()));
    for (std::size_t i = 0; i < execution.tx_ids.size(); ++i) {
        record::TxPlaceRecord place;
        place.set_height(header.height());
        place.set_index(static_cast<std::uint32_t>(i));
        batch.put(tx_key(execution.tx_ids[i]), place.SerializeAsString());
    }
    batch.put(Bytes(kTipKey), encode_tip(execution.tip));
    CHAIN_TRY(store_->write(batch, true));
    tip_ = std::move(execution.tip);
    for (const Tx &tx : txs)
        log(LogLevel::kDebug, "ledger", "block ", tip_.height, " tx ", short_hex(tx.id), ": ",
            to_address(tx.sender), " ", describe_tx(tx.body));
    return ok_status();
}

Status Chain::undo_tip() {
    if (tip_.height == 0) return make_error(ErrorCode::kNotFound, "there is no block to take back");
    CHAIN_ASSIGN(const Block block, block_at(tip_.height));
    CHAIN_ASSIGN(const auto undo_bytes, store_->get(undo_key(tip_.height)));
    record::UndoRecord undo;
    if (!undo_bytes || !undo.ParseFromString(*undo_bytes)) return corrupt("an undo record");
    Overlay::Changes changes;
    for (const auto &entry : undo.entries())
        changes[entry.key()] = entry.existed() ? std::optional<Bytes>(entry.value()) : std::nullopt;

    Tip parent = tip_;
    CHAIN_TRY(account_for(reader_, changes, parent.digest, parent.totals));
    parent.height = tip_.height - 1;
    CHAIN_ASSIGN(parent.id, to_bytes32(block.header.previous(), "the parent's id"));
    parent.time_ms = genesis_.time_ms;
    if (parent.height > 0) {
        CHAIN_ASSIGN(const Block parent_block, block_at(parent.height));
        parent.time_ms = parent_block.header.time_ms();
        if (parent_block.header.state_digest() != to_bytes(parent.digest.digest()))
            return corrupt("an undo record does not lead back to the parent's state");
    }

    WriteBatch batch;
    put_changes(changes, batch);
    CHAIN_TRY(unindex_block(*store_, tip_.height, parent.id, batch));
    batch.remove(block_key(tip_.height));
    batch.remove(block_id_key(block.id));
    batch.remove(undo_key(tip_.height));
    for (const auto &tx_bytes : block.signed_block.txs()) {
        wire::SignedTx tx;
        if (!tx.ParseFromString(tx_bytes)) return corrupt("a transaction of a block");
        batch.remove(tx_key(tx_id(tx.body())));
    }
    batch.put(Bytes(kTipKey), encode_tip(parent));
    CHAIN_TRY(store_->write(batch, true));
    tip_ = std::move(parent);
    return ok_status();
}

Result<wire::BlockHeader> Chain::draft_header(const std::vector<Tx> &txs, std::uint64_t time_ms) {
    CHAIN_ASSIGN(const Execution execution,
                 execute(reader_, tip_, genesis_, time_ms, txs, &signatures_));
    wire::BlockHeader header;
    header.set_version(kBlockVersion);
    header.set_height(tip_.height + 1);
    header.set_previous(to_bytes(tip_.id));
    header.set_chain_id(to_bytes(genesis_.chain_id));
    header.set_time_ms(time_ms);
    header.set_state_digest(to_bytes(execution.tip.digest.digest()));
    header.set_sealer(to_bytes(genesis_.sealer));
    header.set_tx_count(static_cast<std::uint32_t>(txs.size()));
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

Result<std::uint64_t> Chain::height_of(const BlockId &id) const {
    CHAIN_ASSIGN(const auto bytes, store_->get(block_id_key(id)));
    if (!bytes) return make_error(ErrorCode::kNotFound, "there is no block ", short_hex(id));
    if (bytes->size() != sizeof(std::uint64_t)) return corrupt("a block's height");
    return read_u64_be(*bytes);
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
        CHAIN_ASSIGN(Lease lease, reader_.lease(id));
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

Result<Chain::Verification> Chain::replay_to(const Tip &tip, const std::atomic<bool> &stop) const {
    CHAIN_ASSIGN(const auto twin, Chain::open(make_memory_store(), genesis_));
    for (std::uint64_t height = 1; height <= tip.height; ++height) {
        if (stop) return make_error(ErrorCode::kCancelled, "stopped at block ", height);
        CHAIN_ASSIGN(const Bytes bytes, block_bytes_at(height));
        const auto block = decode_block(bytes, genesis_);
        if (!block.ok()) return Verification{false, height, block.error().message};
        const Status applied = twin->apply(*block);
        if (!applied.ok()) return Verification{false, height, applied.error().message};
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
