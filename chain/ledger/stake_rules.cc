// SPDX-License-Identifier: BSD-3-Clause
//
// Stake: tokens that stand behind an account's votes, and the votes that cost them.
#include "chain/base/clock.h"
#include "chain/ledger/transition.h"

namespace chain::ledger {
namespace {

Result<Amount> positive(std::int64_t units) {
    CHAIN_ASSIGN(const Amount amount, amount_from_units(units));
    if (amount.units == 0) return refused("the amount must be more than nothing");
    return amount;
}

std::uint64_t spent_through(const DecodedVote &a, const DecodedVote &b) {
    return std::max(a.link.target_height, b.link.target_height);
}

}  // namespace

Status stake(Overlay &state, const Tx &tx, const TxContext &context) {
    CHAIN_ASSIGN(const Amount amount, positive(tx.body.stake().amount()));
    CHAIN_ASSIGN(Account account, state.account(tx.sender));
    CHAIN_ASSIGN(account.balance, subtract(account.balance, amount));
    CHAIN_ASSIGN(account.staked, add(account.staked, amount));
    state.put_account(tx.sender, account);
    return note_stake(state, tx.sender, account.staked, context.genesis.consensus);
}

Status unstake(Overlay &state, const Tx &tx, const TxContext &context) {
    CHAIN_ASSIGN(const Amount amount, positive(tx.body.unstake().amount()));
    CHAIN_ASSIGN(Account account, state.account(tx.sender));
    if (account.staked < amount)
        return make_error(ErrorCode::kInsufficientFunds, format_tokens(account.staked),
                          " tokens are staked, ", format_tokens(amount), " cannot be unstaked");
    CHAIN_ASSIGN(account.staked, subtract(account.staked, amount));
    CHAIN_ASSIGN(account.unbonding, add(account.unbonding, amount));
    account.unbonds_at_ms = context.time_ms + context.params().unbonding_ms;
    state.put_account(tx.sender, account);
    return note_stake(state, tx.sender, account.staked, context.genesis.consensus);
}

Status withdraw_stake(Overlay &state, const Tx &tx, const TxContext &context) {
    CHAIN_ASSIGN(Account account, state.account(tx.sender));
    if (account.unbonding.units == 0)
        return make_error(ErrorCode::kConflict, "nothing of this account is unbonding");
    if (context.time_ms < account.unbonds_at_ms)
        return make_error(ErrorCode::kConflict, "the stake can be withdrawn from ",
                          format_utc(account.unbonds_at_ms), " on; this block is of ",
                          format_utc(context.time_ms));
    CHAIN_ASSIGN(account.balance, add(account.balance, account.unbonding));
    account.unbonding = Amount{};
    account.unbonds_at_ms = 0;
    state.put_account(tx.sender, account);
    return ok_status();
}

Status vote(Overlay &state, const Tx &tx, const TxContext &context) {
    CHAIN_ASSIGN(const DecodedVote vote,
                 decode_vote(tx.body.vote().vote(), context.genesis.chain_id, context.signatures));
    if (vote.link.target_height >= context.height)
        return make_error(ErrorCode::kInvalidInput, "a vote in block ", context.height,
                          " cannot be for a checkpoint at ", vote.link.target_height);
    CHAIN_ASSIGN(const Account account, state.account(vote.validator));
    if (account.staked.units == 0)
        return make_error(ErrorCode::kPermission, to_address(vote.validator),
                          " has no stake, so it has no vote");
    CHAIN_ASSIGN(Validator validator, state.validator(vote.validator));
    if (validator.last_vote) {
        CHAIN_ASSIGN(
            const DecodedVote last,
            decode_vote(*validator.last_vote, context.genesis.chain_id, context.signatures));
        if (incentive::offence_of(last.link, vote.link) != incentive::Offence::kNone)
            return make_error(ErrorCode::kConflict,
                              "the vote contradicts the validator's recorded one: both together "
                              "are evidence");
        if (vote.link.target_height <= last.link.target_height)
            return make_error(ErrorCode::kConflict, "a vote for height ", last.link.target_height,
                              " is recorded already");
    }
    validator.last_vote = vote.signed_vote;
    state.put_validator(vote.validator, validator);
    return ok_status();
}

Status evidence(Overlay &state, const Tx &tx, const TxContext &context) {
    const wire::Evidence &action = tx.body.evidence();
    const Bytes32 &chain_id = context.genesis.chain_id;
    CHAIN_ASSIGN(const DecodedVote first,
                 decode_vote(action.first(), chain_id, context.signatures));
    CHAIN_ASSIGN(const DecodedVote second,
                 decode_vote(action.second(), chain_id, context.signatures));
    if (first.validator != second.validator)
        return refused("the two votes are of different validators");
    if (incentive::offence_of(first.link, second.link) == incentive::Offence::kNone)
        return refused("the two votes do not contradict each other");
    CHAIN_ASSIGN(Validator validator, state.validator(first.validator));
    // Stake that was bonded anew answers for later votes, and for those about what is to come.
    if (spent_through(first, second) <= validator.slashed_through_height)
        return make_error(ErrorCode::kConflict, "evidence about votes up to height ",
                          validator.slashed_through_height, " has done its work already");
    CHAIN_TRY(slash_stake(state, first.validator, tx.sender, context));
    // Votes for what may be one day spend nothing of what is to come: else whoever has himself
    // slashed for a stake of nothing has every later offence for free.
    validator.slashed_through_height = std::min(spent_through(first, second), context.height);
    state.put_validator(first.validator, validator);
    return ok_status();
}

Status slash_stake(Overlay &state, const PublicKey &offending, const PublicKey &reporting,
                   const TxContext &context) {
    CHAIN_ASSIGN(Account offender, state.account(offending));
    CHAIN_ASSIGN(const Amount at_stake, add(offender.staked, offender.unbonding));
    if (at_stake.units == 0)
        return make_error(ErrorCode::kConflict, to_address(offending),
                          " has no stake left to slash");
    CHAIN_ASSIGN(const incentive::Slash slash, incentive::slash(at_stake, context.params()));
    offender.staked = offender.unbonding = Amount{};
    offender.unbonds_at_ms = 0;
    state.put_account(offending, offender);
    CHAIN_TRY(note_stake(state, offending, Amount{}, context.genesis.consensus));
    // Read after the offender's is written: both may be the same account.
    CHAIN_ASSIGN(Account reporter, state.account(reporting));
    CHAIN_ASSIGN(reporter.balance, add(reporter.balance, slash.to_reporter));
    state.put_account(reporting, reporter);
    return burn(state, slash.burned);
}

}  // namespace chain::ledger
