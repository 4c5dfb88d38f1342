// SPDX-License-Identifier: BSD-3-Clause
//
// MemoryModel: stake, votes and evidence.
#include <algorithm>

#include "chain/backend/memory_model.h"

namespace chain {
namespace {

Error stake_conflict(std::string_view why) {
    return make_error(ErrorCode::kConflict, why);
}

Result<Amount> some_amount(std::int64_t units) {
    CHAIN_ASSIGN(const Amount amount, amount_from_units(units));
    if (amount == Amount{}) return make_error(ErrorCode::kInvalidInput, "an amount of nothing");
    return amount;
}

}  // namespace

Status MemoryModel::stake(const PublicKey &sender, const wire::Stake &action) {
    CHAIN_ASSIGN(const Amount amount, some_amount(action.amount()));
    ledger::Account &account = accounts_[sender];
    CHAIN_TRY(move_out(account.balance, amount));
    return move_in(account.staked, amount);
}

Status MemoryModel::unstake(const PublicKey &sender, const wire::Unstake &action) {
    CHAIN_ASSIGN(const Amount amount, some_amount(action.amount()));
    ledger::Account &account = accounts_[sender];
    CHAIN_TRY(move_out(account.staked, amount));
    CHAIN_TRY(move_in(account.unbonding, amount));
    account.unbonds_at_ms = now_ms_ + params().unbonding_ms;
    return ok_status();
}

Status MemoryModel::withdraw_stake(const PublicKey &sender) {
    ledger::Account &account = accounts_[sender];
    if (account.unbonding == Amount{}) return stake_conflict("nothing is unbonding");
    if (now_ms_ < account.unbonds_at_ms) return stake_conflict("it has not unbonded yet");
    CHAIN_TRY(move_in(account.balance, account.unbonding));
    account.unbonding = {};
    account.unbonds_at_ms = 0;
    return ok_status();
}

Status MemoryModel::vote(const wire::Vote &action) {
    CHAIN_ASSIGN(const ledger::DecodedVote vote,
                 ledger::decode_vote(action.vote(), genesis_->chain_id, signatures_));
    if (vote.link.target_height >= height_)
        return make_error(ErrorCode::kInvalidInput, "a vote for what is not a block yet");
    if (account(vote.validator).staked == Amount{})
        return make_error(ErrorCode::kPermission, "who votes without stake");
    ledger::Validator &validator = validators_[vote.validator];
    if (validator.last_vote) {
        CHAIN_ASSIGN(const ledger::DecodedVote last,
                     ledger::decode_vote(*validator.last_vote, genesis_->chain_id, signatures_));
        if (vote.link.target_height <= last.link.target_height)
            return stake_conflict("the vote is not newer than the one recorded");
        if (incentive::offence_of(vote.link, last.link) != incentive::Offence::kNone)
            return stake_conflict("the vote contradicts the one recorded");
    }
    validator.last_vote = vote.signed_vote;
    return ok_status();
}

Status MemoryModel::evidence(const PublicKey &sender, const wire::Evidence &action) {
    CHAIN_ASSIGN(const ledger::DecodedVote first,
                 ledger::decode_vote(action.first(), genesis_->chain_id, signatures_));
    CHAIN_ASSIGN(const ledger::DecodedVote second,
                 ledger::decode_vote(action.second(), genesis_->chain_id, signatures_));
    if (first.validator != second.validator)
        return make_error(ErrorCode::kInvalidInput, "the votes of two validators");
    if (incentive::offence_of(first.link, second.link) == incentive::Offence::kNone)
        return make_error(ErrorCode::kInvalidInput, "the votes do not contradict each other");
    const std::uint64_t through = std::max(first.link.target_height, second.link.target_height);
    ledger::Validator &validator = validators_[first.validator];
    if (through <= validator.slashed_through_height)
        return stake_conflict("it was slashed for these votes already");
    ledger::Account &offender = accounts_[first.validator];
    CHAIN_ASSIGN(const Amount stake, add(offender.staked, offender.unbonding));
    if (stake == Amount{}) return stake_conflict("there is no stake to slash");
    CHAIN_ASSIGN(const incentive::Slash slash, incentive::slash(stake, params()));
    offender.staked = {};
    offender.unbonding = {};
    offender.unbonds_at_ms = 0;
    validator.slashed_through_height = std::min(through, height_);
    CHAIN_TRY(move_in(accounts_[sender].balance, slash.to_reporter));
    return move_in(pool_.burned, slash.burned);
}

}  // namespace chain
