// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "chain/consensus/sealer.h"

namespace chain::consensus {

bool SoloSealer::may_seal(const ledger::Chain &chain) const {
    return key_ && key_->public_key() == chain.genesis().sealer;
}

Result<ledger::Block> SoloSealer::seal(ledger::Chain &chain, const ledger::TxList &txs,
                                       std::uint64_t now_ms) const {
    if (!may_seal(chain))
        return make_error(ErrorCode::kPermission, "this node does not hold the sealer's key");
    const std::uint64_t time_ms = std::max(now_ms, chain.tip().time_ms + 1);
    ledger::Block block;
    CHAIN_ASSIGN(block.header, chain.draft_header(txs, time_ms));
    for (const ledger::Tx &tx : txs) block.signed_block.add_txs(tx.signed_bytes);
    block.tx_hashes = ledger::tx_hashes(block.signed_block);
    block.header.set_tx_root(to_bytes(ledger::tx_root(block.tx_hashes)));
    const Bytes header_bytes = block.header.SerializeAsString();
    block.signed_block.set_header(header_bytes);
    block.signed_block.set_signature(to_bytes(key_->sign(sign_tag::kBlock, header_bytes)));
    block.id = tagged_hash(ledger::kBlockIdTag, header_bytes);
    block.signed_bytes = block.signed_block.SerializeAsString();
    return block;
}

bool SoloSealer::is_final(const ledger::Chain &chain, std::uint64_t height) const {
    return height <= chain.tip().height;  // the chain holds durable blocks only
}

}  // namespace chain::consensus
