// SPDX-License-Identifier: BSD-3-Clause
//
// LedgerBranch: a ledger::Chain as the branch that Consensus moves, and the blocks beside it.
//
// Owner: one thread. The chain outlives it.
#pragma once

#include "chain/consensus/consensus.h"
#include "chain/ledger/chain.h"

namespace chain::consensus {

class LedgerBranch final : public Branch {
public:
    // Blocks that are not on the chain: of other branches, or that wait for one before them. Beyond
    // this no more are taken until some have found their place.
    static constexpr std::size_t kWaitingBytesMax = 64u << 20;
    static constexpr std::size_t kWaitingBytesPerSealerMax = 8u
                                                             << 20;  // one that withholds a parent

    // `folder`: where "finality" is kept; empty: in memory (tests).
    LedgerBranch(ledger::Chain &chain, std::string folder)
        : chain_(chain), folder_(std::move(folder)) {}
    Result<KnownFinality> load() const;

    Appended append(std::span<const BlockId> blocks) override;
    Status take_back() override;
    const ledger::Finality &proved() const override { return chain_.tip().finality; }
    Result<ledger::ValidatorSet> validator_set(std::uint64_t height) const override {
        return chain_.state().validator_set(height);
    }
    std::vector<DecodedVote> votes_in(const BlockId &block) const override;
    Status save(const KnownFinality &known) override;

    // False: there is no room.
    bool keep(ledger::Block block);
    const ledger::Block *waiting(const BlockId &id) const;
    void forget(const BlockId &id);
    // Blocks that were appended, or taken back, since the last call: to tell of them.
    std::vector<ledger::Block> take_appended() { return std::exchange(appended_, {}); }
    std::vector<ledger::Block> take_taken_back() { return std::exchange(taken_back_, {}); }

private:
    ledger::Chain &chain_;
    const std::string folder_;
    std::unordered_map<BlockId, ledger::Block, Bytes32Hash> waiting_;
    std::size_t waiting_bytes_ = 0;
    std::vector<ledger::Block> appended_, taken_back_;
};

}  // namespace chain::consensus
