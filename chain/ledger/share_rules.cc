// SPDX-License-Identifier: BSD-3-Clause
//
// Shares: an account's proof of what it computes, committed to, opened by lot, and found false.
#include <algorithm>

#include "chain/ledger/seal_rule.h"
#include "chain/ledger/shares.h"
#include "chain/ledger/transition.h"
#include "chain/wire/frame.h"

namespace chain::ledger {
namespace {

// The share epoch of the block that the transaction is in.
Result<std::uint64_t> present_epoch(const TxContext &context) {
    const ConsensusParams &params = context.genesis.consensus;
    if (!params.counts_shares()) return refused("this network counts no shares");
    return share_epoch_of(context.height, params.share_epoch_blocks);
}

Result<ShareRecord> record_of(const StateReader &state, const PublicKey &account,
                              std::uint64_t epoch) {
    CHAIN_ASSIGN(const auto record, state.shares(account, epoch));
    if (!record || record->epoch != epoch)
        return make_error(ErrorCode::kNotFound, to_address(account),
                          " has committed to no shares of epoch ", epoch);
    if (record->is_false)
        return make_error(ErrorCode::kConflict, "the shares of epoch ", epoch, " of ",
                          to_address(account), " were shown to be false");
    return *record;
}

// That the header of an opened leaf is one that the account worked on in `epoch`, on this chain.
Status check_header(const StateReader &state, const Bytes &bytes, const PublicKey &account,
                    std::uint64_t epoch, const Genesis &genesis) {
    wire::BlockHeader header;
    CHAIN_TRY(wire::parse_strict(bytes, kShareHeaderBytesMax, "header of a share", header));
    if (header.chain_id() != to_bytes(genesis.chain_id) || header.sealer() != to_bytes(account))
        return refused("a share is of another chain's or another account's block");
    if (header.height() == 0 ||
        share_epoch_of(header.height(), genesis.consensus.share_epoch_blocks) != epoch)
        return make_error(ErrorCode::kInvalidInput, "a share of block ", header.height(),
                          " is not of epoch ", epoch);
    CHAIN_ASSIGN(const auto parent, state.recent_block(header.height() - 1));
    if (!parent || header.previous() != to_bytes(*parent))
        return make_error(ErrorCode::kInvalidInput, "a share of block ", header.height(),
                          " does not follow this chain's block before it");
    return ok_status();
}

Status check_opening(const StateReader &state, const wire::ShareOpening &opening,
                     const PublicKey &account, const ShareRecord &record, const Genesis &genesis) {
    CHAIN_ASSIGN(const ShareLeaf leaf, opened_leaf(opening, record));
    if (!has_leading_zero_bits(leaf.work, genesis.consensus.share_bits))
        return refused("a share has not enough work");
    return check_header(state, opening.header(), account, record.epoch, genesis);
}

}  // namespace

Status commit_shares(Overlay &state, const Tx &tx, const TxContext &context) {
    const wire::CommitShares &action = tx.body.commit_shares();
    CHAIN_ASSIGN(const std::uint64_t now, present_epoch(context));
    if (action.epoch() + 1 != now)
        return make_error(ErrorCode::kConflict, "block ", context.height,
                          " takes the shares of the epoch before ", now, ", not those of ",
                          action.epoch());
    // The id of that block draws: whoever seals it would choose among commitments of his own.
    if (context.height >=
        share_draw_height(action.epoch(), context.genesis.consensus.share_epoch_blocks))
        return make_error(ErrorCode::kConflict, "block ", context.height,
                          " draws of the shares of epoch ", action.epoch(),
                          ": they are committed to before");
    if (action.count() == 0) return refused("there are no shares to commit to");
    if (action.count() > kSharesMax)
        return make_error(ErrorCode::kTooLarge, "an account commits to at most ", kSharesMax,
                          " shares of an epoch, not ", action.count());
    ShareRecord record{.epoch = action.epoch(), .count = action.count()};
    CHAIN_ASSIGN(record.root, to_bytes32(action.root(), "root of the shares"));
    CHAIN_ASSIGN(const auto known, state.shares(tx.sender, action.epoch()));
    if (known && known->epoch == action.epoch())
        return make_error(ErrorCode::kConflict, "the shares of epoch ", action.epoch(),
                          " are committed to already");
    CHAIN_ASSIGN(const Account account, state.account(tx.sender));
    const std::uint64_t stake_min = context.genesis.consensus.validator_stake_min_units;
    if (static_cast<std::uint64_t>(account.staked.units) < stake_min)
        return make_error(ErrorCode::kPermission, "shares need a stake that answers for them: ",
                          format_tokens(account.staked), " tokens are staked, it takes ",
                          format_tokens(Amount{static_cast<std::int64_t>(stake_min)}));
    state.put_shares(tx.sender, record);
    return ok_status();
}

Status open_shares(Overlay &state, const Tx &tx, const TxContext &context) {
    const wire::OpenShares &action = tx.body.open_shares();
    const ConsensusParams &params = context.genesis.consensus;
    CHAIN_ASSIGN(const std::uint64_t now, present_epoch(context));
    CHAIN_ASSIGN(ShareRecord record, record_of(state, tx.sender, action.epoch()));
    if (record.opened)
        return make_error(ErrorCode::kConflict, "the shares of epoch ", action.epoch(),
                          " are opened already");
    CHAIN_ASSIGN(const auto drawing,
                 state.recent_block(share_draw_height(action.epoch(), params.share_epoch_blocks)));
    if (action.epoch() + 2 != now || !drawing)
        return make_error(ErrorCode::kConflict, "shares of epoch ", action.epoch(),
                          " are opened in epoch ", action.epoch() + 2,
                          ", after its first block; block ", context.height, " is of epoch ", now);
    if (action.openings_size() != static_cast<int>(params.share_openings))
        return make_error(ErrorCode::kInvalidInput, params.share_openings,
                          " shares are drawn, not ", action.openings_size());
    for (std::uint32_t draw = 0; draw < params.share_openings; ++draw) {
        const wire::ShareOpening &opening = action.openings(static_cast<int>(draw));
        if (opening.index() != drawn_share(*drawing, tx.sender, draw, record.count))
            return make_error(ErrorCode::kInvalidInput, "share ", opening.index(),
                              " is not the one that was drawn");
        CHAIN_TRY(check_opening(state, opening, tx.sender, record, context.genesis));
    }
    record.opened = true;
    state.put_shares(tx.sender, record);
    CHAIN_ASSIGN(incentive::Reputation reputation, state.reputation(tx.sender, context.step()));
    reputation.shares =
        std::min(reputation.shares + record.count, static_cast<std::uint64_t>(kMaxAmountUnits));
    state.put_reputation(tx.sender, reputation);
    return ok_status();
}

// Only what is false on every branch costs stake: a share of a block that this chain left is
// refused when it is opened, and nothing more.
Status share_fault(Overlay &state, const Tx &tx, const TxContext &context) {
    const wire::ShareFault &action = tx.body.share_fault();
    CHAIN_ASSIGN(const std::uint64_t now, present_epoch(context));
    CHAIN_ASSIGN(const PublicKey account, to_bytes32(action.account(), "account"));
    CHAIN_ASSIGN(ShareRecord record, record_of(state, account, action.epoch()));
    if (now >= action.epoch() + kShareEpochsKept)
        return make_error(ErrorCode::kConflict, "it is too late to accuse shares of epoch ",
                          action.epoch());
    CHAIN_ASSIGN(const ShareLeaf leaf, opened_leaf(action.leaf(), record));
    CHAIN_CHECK(context.rule != nullptr);
    CHAIN_ASSIGN(const Bytes32 work, context.rule->work_of_header(action.leaf().header()));
    if (work == leaf.work)
        return make_error(ErrorCode::kProtocol, "the share that is said to be false is right");
    record.is_false = true;
    state.put_shares(account, record);
    CHAIN_ASSIGN(incentive::Reputation reputation, state.reputation(account, context.step()));
    reputation.shares = 0;
    state.put_reputation(account, reputation);
    CHAIN_ASSIGN(const Account offender, state.account(account));
    CHAIN_ASSIGN(const Amount at_stake, add(offender.staked, offender.unbonding));
    return at_stake.units == 0 ? ok_status() : slash_stake(state, account, tx.sender, context);
}

}  // namespace chain::ledger
