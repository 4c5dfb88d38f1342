// SPDX-License-Identifier: BSD-3-Clause
#include "chain/consensus/rule.h"

namespace chain::consensus {

Result<std::shared_ptr<const Rule>> Rule::make(const ledger::Genesis &genesis) {
    switch (genesis.consensus.kind) {
        case ledger::ConsensusKind::kSolo: break;
        case ledger::ConsensusKind::kPoa: return make_poa_rule(genesis);
        case ledger::ConsensusKind::kPor: return make_por_rule(genesis);
    }
    return make_error(ErrorCode::kNotFound, "where one key seals there is no rule of turns");
}

std::uint32_t Rule::rank_of(const PublicKey &account, const ledger::ValidatorSet &set,
                            std::uint64_t height) {
    const std::size_t first = height % set.size();
    return static_cast<std::uint32_t>((set.index_of(account) + set.size() - first) % set.size());
}

Status Rule::check(const ledger::Block &block, const ledger::Tip &parent,
                   const ledger::StateReader &state) const {
    CHAIN_ASSIGN(const PublicKey sealer, to_bytes32(block.header.sealer(), "sealer"));
    CHAIN_ASSIGN(const std::vector<Turn> turns, turns(sealer, parent, state));
    const std::uint64_t height = block.header.height();
    for (const Turn &turn : turns) {
        if (turn.weight != block.header.weight()) continue;
        if (block.header.time_ms() < turn.not_before_ms)
            return make_error(ErrorCode::kPermission, "block ", height, " of ", to_address(sealer),
                              " comes ", turn.not_before_ms - block.header.time_ms(),
                              " ms before its turn");
        const auto worked = work_of(block, parent.time_ms);
        return worked.ok() ? ok_status() : Status(worked.error());
    }
    if (turns.empty())
        return make_error(ErrorCode::kPermission, "block ", height, ": ", to_address(sealer),
                          " may not seal");
    return make_error(ErrorCode::kInvalidInput, "block ", height, " says weight ",
                      block.header.weight(), ", and its sealer's is ", turns[0].weight);
}

Result<Bytes32> Rule::work_of_header(std::string_view header_bytes) const {
    if (work_function() == nullptr)
        return make_error(ErrorCode::kInvalidInput, "blocks take no work in this network");
    return work_function()->hash(header_bytes);
}

Result<DraftedBlock> draft_block(ledger::Chain &chain, const PublicKey &account, const Turn &turn,
                                 ledger::TxList txs, std::vector<wire::SignedVote> votes,
                                 std::uint64_t now_ms) {
    DraftedBlock drafted;
    drafted.draft.txs = std::move(txs);
    drafted.draft.time_ms = std::max(now_ms, turn.not_before_ms);
    drafted.draft.sealer = account;
    drafted.draft.weight = turn.weight;
    drafted.draft.votes = std::move(votes);
    CHAIN_ASSIGN(drafted.header, chain.draft_header(drafted.draft));
    return drafted;
}

BlockSummary summary_of(const ledger::Block &block, Work work) {
    BlockSummary summary;
    summary.block = ledger::checkpoint_of(block.header, block.id);
    const auto parent = to_bytes32(block.header.previous(), "the parent's id");
    const auto sealer = to_bytes32(block.header.sealer(), "sealer");
    CHAIN_CHECK(parent.ok() && sealer.ok());  // as decoding has found
    summary.parent = *parent;
    summary.sealer = *sealer;
    summary.time_ms = block.header.time_ms();
    summary.work = work;
    return summary;
}

}  // namespace chain::consensus
