// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/transition.h"

#include "chain/wire/frame.h"
#include "incentive/rewards.h"

namespace chain::ledger {
namespace {

Status transfer(Overlay &state, const Tx &tx) {
    const wire::Transfer &action = tx.body.transfer();
    CHAIN_ASSIGN(const PublicKey to, to_bytes32(action.to(), "receiver"));
    if (!tx.receiver_is_key && !is_valid_public_key(to))
        return refused("the receiver is not an account: no key opens it");
    CHAIN_ASSIGN(const Amount amount, amount_from_units(action.amount()));
    if (amount.units == 0) return refused("a transfer must send more than nothing");
    CHAIN_ASSIGN(Account sender, state.account(tx.sender));
    CHAIN_ASSIGN(sender.balance, subtract(sender.balance, amount));
    state.put_account(tx.sender, sender);
    // Read after the sender's is written: both may be the same account.
    CHAIN_ASSIGN(Account receiver, state.account(to));
    CHAIN_ASSIGN(receiver.balance, add(receiver.balance, amount));
    state.put_account(to, receiver);
    return ok_status();
}

// A node whose key was changed: its record moves.
Status remove_replaced(Overlay &state, const Tx &tx, const Resource &resource) {
    const Bytes &replaces = tx.body.publish_resource().replaces();
    if (replaces.empty()) return ok_status();
    CHAIN_ASSIGN(const PublicKey old_key, to_bytes32(replaces, "replaced node key"));
    if (old_key == resource.node_key) return refused("a resource cannot replace itself");
    CHAIN_ASSIGN(const auto old, state.resource(tx.sender, old_key));
    if (!old)
        return make_error(ErrorCode::kNotFound, "no resource of this account has the node key ",
                          short_hex(old_key));
    state.remove_resource(tx.sender, old_key);
    CHAIN_ASSIGN(Account sender, state.account(tx.sender));
    --sender.resource_count;
    state.put_account(tx.sender, sender);
    return ok_status();
}

Status publish_resource(Overlay &state, const Tx &tx, const TxContext &context) {
    const wire::PublishResource &action = tx.body.publish_resource();
    Resource resource;
    CHAIN_ASSIGN(resource.node_key, to_bytes32(action.node_key(), "node key"));
    resource.host = action.host();
    resource.slot_count = action.slot_count();
    resource.hz = action.hz();
    resource.memory_bytes = action.memory_bytes();
    if (!wire::is_valid_host_name(resource.host))
        return refused("the host name must be 1 to 63 letters, digits and inner hyphens");
    if (resource.slot_count == 0 || resource.slot_count > context.params().slots_per_leg_max)
        return make_error(ErrorCode::kInvalidInput, "a resource has 1 to ",
                          context.params().slots_per_leg_max, " slots, not ", resource.slot_count);
    if (resource.hz == 0 || resource.hz > kHzMax)
        return make_error(ErrorCode::kInvalidInput, "a slot runs at 1 to ", kHzMax, " Hz, not ",
                          resource.hz);
    CHAIN_TRY(remove_replaced(state, tx, resource));
    CHAIN_ASSIGN(const auto known, state.resource(tx.sender, resource.node_key));
    if (!known) {
        CHAIN_ASSIGN(Account sender, state.account(tx.sender));
        if (sender.resource_count >= kResourcesPerAccountMax)
            return make_error(ErrorCode::kTooLarge, "an account publishes at most ",
                              kResourcesPerAccountMax, " resources");
        ++sender.resource_count;
        state.put_account(tx.sender, sender);
    }
    state.put_resource(tx.sender, resource);
    return ok_status();
}

Status apply_action(Overlay &state, const Tx &tx, const TxContext &context) {
    switch (tx.body.action_case()) {
        case wire::TxBody::kTransfer: return transfer(state, tx);
        case wire::TxBody::kPublishResource: return publish_resource(state, tx, context);
        case wire::TxBody::kOpenLease: return open_lease(state, tx, context);
        case wire::TxBody::kClaimVoucher: return claim_voucher(state, tx, context);
        case wire::TxBody::kCloseLease: return close_lease(state, tx, context);
        case wire::TxBody::kExpireLease: return expire_lease(state, tx, context);
        case wire::TxBody::kReportStart: return report_start(state, tx, context);
        case wire::TxBody::kReclaimNotice: return reclaim_notice(state, tx, context);
        case wire::TxBody::kRate: return rate(state, tx, context);
        case wire::TxBody::kStake: return stake(state, tx, context);
        case wire::TxBody::kUnstake: return unstake(state, tx, context);
        case wire::TxBody::kWithdrawStake: return withdraw_stake(state, tx, context);
        case wire::TxBody::kMiningPayout: return mining_payout(state, tx, context);
        case wire::TxBody::kVote: return vote(state, tx, context);
        case wire::TxBody::kEvidence: return evidence(state, tx, context);
        case wire::TxBody::kCommitShares: return commit_shares(state, tx, context);
        case wire::TxBody::kOpenShares: return open_shares(state, tx, context);
        case wire::TxBody::kShareFault: return share_fault(state, tx, context);
        case wire::TxBody::ACTION_NOT_SET: break;
    }
    return make_error(ErrorCode::kProtocol, "the transaction says nothing to do");
}

// After the action, so that a provider without a token left can still close its lease.
Status charge_fee(Overlay &state, const Tx &tx, const TxContext &context) {
    const std::uint64_t per_byte = context.params().fee_per_byte_units;
    if (per_byte == 0) return ok_status();
    // At most 64 KiB x a bound in the genesis: fits.
    const Amount fee{static_cast<std::int64_t>(per_byte * tx.signed_bytes.size())};
    CHAIN_ASSIGN(Account sender, state.account(tx.sender));
    const auto left = subtract(sender.balance, fee);
    if (!left.ok())
        return make_error(ErrorCode::kInsufficientFunds, "the transaction costs a fee of ",
                          format_tokens(fee), " tokens, and ", to_address(tx.sender), " has ",
                          format_tokens(sender.balance));
    sender.balance = *left;
    state.put_account(tx.sender, sender);
    return burn(state, fee);
}

}  // namespace

Status burn(Overlay &state, Amount amount) {
    if (amount.units == 0) return ok_status();
    CHAIN_ASSIGN(Pool pool, state.pool());
    CHAIN_ASSIGN(pool.burned, add(pool.burned, amount));
    state.put_pool(pool);
    return ok_status();
}

Status apply_block_reward(Overlay &state, const Genesis &genesis, const PublicKey &sealer,
                          std::uint64_t parent_time_ms, std::uint64_t time_ms) {
    if (genesis.params.reward_pool_units == 0) return ok_status();
    const Amount reward = incentive::block_reward(genesis.params, parent_time_ms - genesis.time_ms,
                                                  time_ms - genesis.time_ms);
    if (reward.units == 0) return ok_status();
    CHAIN_ASSIGN(Pool pool, state.pool());
    CHAIN_ASSIGN(pool.reward_left, subtract(pool.reward_left, reward));
    state.put_pool(pool);
    CHAIN_ASSIGN(Account account, state.account(sealer));
    CHAIN_ASSIGN(account.balance, add(account.balance, reward));
    state.put_account(sealer, account);
    return ok_status();
}

Status apply_tx(Overlay &state, const Tx &tx, const TxContext &context) {
    CHAIN_TRY(check_lag(tx, context));
    Overlay::Attempt attempt(state);
    CHAIN_ASSIGN(Account sender, state.account(tx.sender));
    if (tx.body.nonce() != sender.nonce)
        return make_error(ErrorCode::kConflict, "the transaction has nonce ", tx.body.nonce(),
                          ", but the account's next is ", sender.nonce);
    ++sender.nonce;
    state.put_account(tx.sender, sender);
    CHAIN_TRY(apply_action(state, tx, context));
    CHAIN_TRY(charge_fee(state, tx, context));
    attempt.keep();
    if (context.trail != nullptr) context.trail->note(context.tx_index, state);
    return ok_status();
}

}  // namespace chain::ledger
