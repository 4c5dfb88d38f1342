// SPDX-License-Identifier: BSD-3-Clause
//
// Sealer: who may make the next block, and when a block cannot be taken back any more.
//
// Owner: the thread of the chain.
#pragma once

#include "chain/ledger/chain.h"

namespace chain::consensus {

class Sealer {
public:
    virtual ~Sealer() = default;
    // True if this node may seal on the chain's tip.
    virtual bool may_seal(const ledger::Chain &chain) const = 0;
    // A block of `txs` on the tip, signed, with time max(now, parent + 1). Changes nothing.
    // Errors: the first refused transaction's; kPermission when this node may not seal.
    virtual Result<ledger::Block> seal(ledger::Chain &chain, const ledger::TxList &txs,
                                       std::uint64_t now_ms) const = 0;
    // True if the block at `height`, which is in the chain, is final.
    virtual bool is_final(const ledger::Chain &chain, std::uint64_t height) const = 0;
};

// One key seals; a block is final as soon as it is durable. Nodes without the key follow.
class SoloSealer final : public Sealer {
public:
    explicit SoloSealer(std::optional<KeyPair> key) : key_(std::move(key)) {}
    bool may_seal(const ledger::Chain &chain) const override;
    Result<ledger::Block> seal(ledger::Chain &chain, const ledger::TxList &txs,
                               std::uint64_t now_ms) const override;
    bool is_final(const ledger::Chain &chain, std::uint64_t height) const override;

private:
    const std::optional<KeyPair> key_;
};

}  // namespace chain::consensus
