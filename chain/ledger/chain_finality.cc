// SPDX-License-Identifier: BSD-3-Clause
//
// Chain: what the votes in its blocks prove.
#include <set>

#include "chain/ledger/chain.h"

namespace chain::ledger {

Result<Checkpoint> Chain::checkpoint_at(std::uint64_t height) const {
    if (height == 0) return Checkpoint{};
    CHAIN_ASSIGN(const Block block, block_at(height));
    return checkpoint_of(block.header, block.id);
}

// The accounts that signed `votes`, which are all for `link`.
Result<std::vector<PublicKey>> Chain::voters_of(const Votes &votes,
                                                const incentive::CheckpointVote &link) {
    std::vector<PublicKey> voters;
    std::set<PublicKey> seen;
    for (const wire::SignedVote &signed_vote : votes) {
        CHAIN_ASSIGN(const DecodedVote vote,
                     decode_vote(signed_vote, genesis_.chain_id, &signatures_));
        if (vote.link != link)
            return make_error(ErrorCode::kInvalidInput, "the block's votes are for several links");
        if (!seen.insert(vote.validator).second)
            return make_error(ErrorCode::kInvalidInput, "the block holds two votes of ",
                              to_address(vote.validator));
        voters.push_back(vote.validator);
    }
    return voters;
}

Result<Finality> Chain::finality_after(const Votes &votes, const Tip &parent,
                                       const StateReader &state, std::span<const Block> recent) {
    if (votes.empty()) return parent.finality;
    const auto ancestor = [&](std::uint64_t height) -> Result<Checkpoint> {
        for (const Block &block : recent)
            if (block.header.height() == height) return checkpoint_of(block.header, block.id);
        return checkpoint_at(height);
    };
    CHAIN_ASSIGN(const DecodedVote first, decode_vote(votes[0], genesis_.chain_id, &signatures_));
    const incentive::CheckpointVote &link = first.link;
    const auto elsewhere = [&] {
        return make_error(ErrorCode::kInvalidInput, "the block's votes are for checkpoint ",
                          link.target_height, " of another chain");
    };
    if (link.target_height > parent.height) return elsewhere();
    CHAIN_ASSIGN(const Checkpoint target, ancestor(link.target_height));
    CHAIN_ASSIGN(const Checkpoint source, ancestor(link.source_height));
    if (target.id != link.target || source.id != link.source) return elsewhere();
    CHAIN_ASSIGN(const Finality after, advance(parent.finality, link, target, genesis_.consensus));
    CHAIN_ASSIGN(const std::vector<PublicKey> voters, voters_of(votes, link));
    VotingSets sets;
    CHAIN_ASSIGN(sets.present, state.validator_set(target.final_height));
    CHAIN_ASSIGN(sets.previous, state.validator_set(target.previous_final_height));
    if (!is_supermajority(voters, sets))
        return make_error(ErrorCode::kInvalidInput, "the block's votes for checkpoint ",
                          link.target_height, " are fewer than two thirds");
    return after;
}

// Of the tip, or the block that becomes it: everything that it names is in the store.
Result<Finality> Chain::stored_finality(const wire::BlockHeader &header) const {
    Finality finality;
    CHAIN_ASSIGN(finality.justified, checkpoint_at(header.justified_height()));
    CHAIN_ASSIGN(finality.final, checkpoint_at(header.final_height()));
    finality.previous_final_height = header.previous_final_height();
    return finality;
}

}  // namespace chain::ledger
