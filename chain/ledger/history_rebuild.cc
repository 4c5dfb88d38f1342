// SPDX-License-Identifier: BSD-3-Clause
//
// Chain: the index of a store that has none, or one that is behind (an older program appended
// blocks): made anew from the stored blocks. The state while replaying lies in the same store,
// under a prefix of its own, so memory stays that of a block; it is gone before the index counts as
// whole.
#include "chain/base/log.h"
#include "chain/ledger/chain.h"

namespace chain::ledger {
namespace {

constexpr std::string_view kScratchPrefix = "r";
constexpr std::uint64_t kHeightsPerLine = 10'000;

Bytes scratch_key(std::string_view key) {
    return Bytes(kScratchPrefix) + Bytes(key);
}

class ScratchState final : public StateReader {
public:
    explicit ScratchState(const KeyValueStore &store) : store_(store) {}
    Result<std::optional<Bytes>> get(std::string_view key) const override {
        return store_.get(scratch_key(key));
    }

private:
    const KeyValueStore &store_;
};

// What was verified before it was stored: signatures are not verified again.
Result<TxList> stored_txs(const Block &block) {
    const auto damaged = [&] {
        return make_error(ErrorCode::kCorrupt, "block ", block.header.height(),
                          " holds a damaged transaction");
    };
    TxList txs;
    for (const auto &bytes : block.signed_block.txs()) {
        wire::SignedTx signed_tx;
        Tx tx;
        tx.signed_bytes = bytes;  // the fee goes by their number
        if (!signed_tx.ParseFromString(bytes) || !tx.body.ParseFromString(signed_tx.body()))
            return damaged();
        for (const auto &signature : signed_tx.signatures()) {
            CHAIN_ASSIGN(const PublicKey signer, to_bytes32(signature.public_key(), "signer"));
            tx.signers.push_back(signer);
        }
        if (tx.signers.empty()) return damaged();
        tx.sender = tx.signers[0];
        tx.id = tx_id(signed_tx.body());
        txs.push_back(std::make_shared<const Tx>(std::move(tx)));
    }
    return txs;
}

// The block's part of the index, and the state after it.
Status write_block(KeyValueStore &store, const Execution &execution) {
    const StoreReader indexes(store);
    Overlay prices(indexes);
    WriteBatch batch;
    CHAIN_TRY(add_block(to_index(execution), prices, batch));
    put_changes(prices.take_changes(), batch);
    for (const auto &[key, value] : execution.changes) batch.set(scratch_key(key), value);
    return store.write(batch, false);
}

}  // namespace

Status Chain::make_index() {
    CHAIN_ASSIGN(const bool whole, is_indexed(*store_, tip_.id));
    if (whole) return ok_status();
    log(LogLevel::kNote, "ledger", "makes the history of accounts and prices from the ",
        tip_.height, " blocks stored");
    CHAIN_TRY(drop_index(*store_));
    CHAIN_TRY(remove_all(*store_, kScratchPrefix));
    const ScratchState state(*store_);
    CHAIN_ASSIGN(Execution execution, execute_genesis(genesis_));
    CHAIN_TRY(write_block(*store_, execution));
    for (std::uint64_t height = 1; height <= tip_.height; ++height) {
        CHAIN_ASSIGN(const Block block, block_at(height));
        CHAIN_ASSIGN(const TxList txs, stored_txs(block));
        const Tip parent = execution.tip;
        NextBlock next{.time_ms = block.header.time_ms(), .sealer = {}, .finality = {}};
        CHAIN_ASSIGN(next.sealer, to_bytes32(block.header.sealer(), "sealer"));
        CHAIN_ASSIGN(next.finality, stored_finality(block.header));
        CHAIN_ASSIGN(execution, execute(state, parent, genesis_, next, txs, nullptr));
        execution.tip.id = block.id;
        CHAIN_TRY(write_block(*store_, execution));
        if (height % kHeightsPerLine == 0)
            log(LogLevel::kNote, "ledger", "history: block ", height, " of ", tip_.height);
    }
    if (execution.tip.digest != tip_.digest)
        return make_error(ErrorCode::kCorrupt,
                          "the ledger's store is damaged: its blocks do not make its state");
    CHAIN_TRY(remove_all(*store_, kScratchPrefix));
    WriteBatch batch;
    mark_indexed(tip_.id, batch);
    CHAIN_TRY(store_->write(batch, true));
    log(LogLevel::kNote, "ledger", "the history is made");
    return ok_status();
}

}  // namespace chain::ledger
