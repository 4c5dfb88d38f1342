// SPDX-License-Identifier: BSD-3-Clause
//
// Validators: who they are, as the state keeps it, and what each block adds to that.
#include <algorithm>

#include "chain/ledger/shares.h"
#include "chain/ledger/transition.h"

namespace chain::ledger {
namespace {

void put_candidates(Overlay &state, const std::vector<PublicKey> &accounts) {
    if (accounts.empty())
        state.remove_raw(candidates_key());
    else
        state.put_raw(candidates_key(), encode_candidates(accounts));
}

// The one with the least stake; of several the last. Precondition: there is one.
Result<std::pair<Amount, std::size_t>> weakest_of(const StateReader &state,
                                                  const std::vector<PublicKey> &accounts) {
    std::pair<Amount, std::size_t> weakest{Amount{kMaxAmountUnits}, 0};
    for (std::size_t i = 0; i < accounts.size(); ++i) {
        CHAIN_ASSIGN(const Account account, state.account(accounts[i]));
        if (account.staked <= weakest.first) weakest = {account.staked, i};
    }
    return weakest;
}

Result<ValidatorSet> present_set(const StateReader &state, std::uint64_t step,
                                 const incentive::Params &params) {
    CHAIN_ASSIGN(const std::vector<PublicKey> accounts, state.candidates());
    std::vector<ValidatorEntry> entries;
    for (const PublicKey &account : accounts) {
        CHAIN_ASSIGN(const Account record, state.account(account));
        CHAIN_ASSIGN(const incentive::Reputation reputation, state.reputation(account, step));
        entries.push_back({account, record.staked, incentive::quality_q16(reputation, params)});
    }
    return ValidatorSet(std::move(entries));
}

// Shares are of blocks that follow this chain's, and are drawn by the id of one.
void note_recent_block(Overlay &state, const Tip &tip, const ConsensusParams &params) {
    const std::uint64_t kept = kShareEpochsKept * params.share_epoch_blocks;
    state.put_raw(recent_block_key(tip.height), to_bytes(tip.id));
    if (tip.height >= kept) state.remove_raw(recent_block_key(tip.height - kept));
}

}  // namespace

Status note_stake(Overlay &state, const PublicKey &account, Amount staked,
                  const ConsensusParams &params) {
    if (params.kind == ConsensusKind::kSolo) return ok_status();
    CHAIN_ASSIGN(std::vector<PublicKey> accounts, state.candidates());
    auto at = std::lower_bound(accounts.begin(), accounts.end(), account);
    const bool is_candidate = at != accounts.end() && *at == account;
    const bool has_enough = staked.units > 0 && static_cast<std::uint64_t>(staked.units) >=
                                                    params.validator_stake_min_units;
    if (has_enough == is_candidate) return ok_status();
    if (is_candidate) {
        accounts.erase(at);
    } else {
        if (accounts.size() >= params.validators_max) {
            CHAIN_ASSIGN(const auto weakest, weakest_of(state, accounts));
            if (staked <= weakest.first) return ok_status();
            accounts.erase(accounts.begin() + static_cast<std::ptrdiff_t>(weakest.second));
            at = std::lower_bound(accounts.begin(), accounts.end(), account);
        }
        accounts.insert(at, account);
    }
    put_candidates(state, accounts);
    return ok_status();
}

Status note_validators(Overlay &state, std::uint64_t height, std::uint64_t time_ms,
                       const Genesis &genesis) {
    CHAIN_ASSIGN(const ValidatorSet set,
                 present_set(state, decay_step(genesis, time_ms), genesis.params));
    state.put_raw(validator_set_key(height), encode_validator_set(set));
    return ok_status();
}

Status end_block(Overlay &state, const Tip &parent, const NextBlock &block,
                 const Genesis &genesis) {
    CHAIN_TRY(apply_block_reward(state, genesis, block.sealer, parent.time_ms, block.time_ms));
    const ConsensusParams &params = genesis.consensus;
    if (params.kind == ConsensusKind::kSolo) return ok_status();
    const std::uint64_t height = parent.height + 1;
    if (params.kind == ConsensusKind::kPor)
        state.put_raw(sealed_key(block.sealer), encode_sealed(height));
    if (params.counts_shares()) note_recent_block(state, parent, params);
    if (is_checkpoint(height, params))
        CHAIN_TRY(note_validators(state, height, block.time_ms, genesis));
    // What is voted for from now on descends from the final checkpoint, and is decided by the sets
    // that stand in its header, or later ones.
    for (std::uint64_t old = parent.finality.final.previous_final_height;
         old < block.finality.final.previous_final_height; old += params.epoch_blocks)
        state.remove_raw(validator_set_key(old));
    return ok_status();
}

constexpr std::uint64_t kWithdrawLagEpochs = 16;

Status check_lag(const Tx &tx, const TxContext &context) {
    const ConsensusParams &params = context.genesis.consensus;
    const std::uint64_t lag = context.height - context.final_height;
    if (params.kind == ConsensusKind::kSolo) return ok_status();
    // Who holds up finality with a stake that he has unbonded does not get it back meanwhile.
    if (tx.body.has_withdraw_stake() &&
        lag > std::min<std::uint64_t>(kWithdrawLagEpochs * params.epoch_blocks + params.vote_depth,
                                      params.lag_blocks_max))
        return make_error(
            ErrorCode::kNotYet, "block ", context.height, " is ", lag,
            " blocks above the final one: stake is withdrawn when blocks become final "
            "again");
    if (lag <= params.lag_blocks_max) return ok_status();
    switch (tx.body.action_case()) {
        case wire::TxBody::kVote:
        case wire::TxBody::kEvidence:
        case wire::TxBody::kShareFault:
        case wire::TxBody::kUnstake:
        case wire::TxBody::kClaimVoucher:
        case wire::TxBody::kCloseLease:
        case wire::TxBody::kReclaimNotice: return ok_status();
        default: break;
    }
    return make_error(ErrorCode::kNotYet, "block ", context.height, " is ", lag,
                      " blocks above the final one: until validators agree, blocks take only "
                      "votes, evidence and what ends leases and takes stake out; try again then "
                      "(ompi-chain validator list)");
}

}  // namespace chain::ledger
