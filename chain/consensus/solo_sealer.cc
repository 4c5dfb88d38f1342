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
    ledger::BlockDraft draft;
    draft.txs = txs;
    draft.time_ms = std::max(now_ms, chain.tip().time_ms + 1);
    draft.sealer = key_->public_key();
    CHAIN_ASSIGN(const wire::BlockHeader header, chain.draft_header(draft));
    return ledger::sign_block(header, draft, *key_);
}

bool SoloSealer::is_final(const ledger::Chain &chain, std::uint64_t height) const {
    return height <= chain.tip().height;  // the chain holds durable blocks only
}

}  // namespace chain::consensus
