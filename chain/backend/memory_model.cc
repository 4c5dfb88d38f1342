// SPDX-License-Identifier: BSD-3-Clause
#include "chain/backend/memory_model.h"

#include <algorithm>

#include "chain/wire/frame.h"
#include "incentive/mining.h"
#include "incentive/rewards.h"
#include "incentive/split.h"

namespace chain {
namespace {

using ledger::Account;

constexpr std::size_t kCoinNameMax = 16;

Error invalid(std::string_view why) {
    return make_error(ErrorCode::kInvalidInput, why);
}

bool is_coin_name(std::string_view name) {
    return !name.empty() && name.size() <= kCoinNameMax &&
           std::all_of(name.begin(), name.end(),
                       [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); });
}

}  // namespace

MemoryModel::MemoryModel(const ledger::Genesis &genesis)
    : genesis_(&genesis), now_ms_(genesis.time_ms) {
    for (const auto &[who, amount] : genesis.allocations) accounts_[who].balance = amount;
    pool_.reward_left = Amount{static_cast<std::int64_t>(genesis.params.reward_pool_units)};
}

Status MemoryModel::move_in(Amount &to, Amount amount) {
    CHAIN_ASSIGN(to, add(to, amount));
    return ok_status();
}

Status MemoryModel::move_out(Amount &from, Amount amount) {
    CHAIN_ASSIGN(from, subtract(from, amount));
    return ok_status();
}

Account MemoryModel::account(const PublicKey &who) const {
    const auto found = accounts_.find(who);
    return found == accounts_.end() ? Account{} : found->second;
}

incentive::Reputation MemoryModel::reputation(const PublicKey &who, std::uint64_t time_ms) const {
    const auto found = reputations_.find(who);
    const incentive::Reputation known =
        found == reputations_.end() ? incentive::Reputation{} : found->second;
    return incentive::faded_to(known, ledger::decay_step(*genesis_, time_ms));
}

Status MemoryModel::apply_block(const ledger::Tx &tx, std::uint64_t time_ms,
                                ledger::SignatureCache *signatures) {
    CHAIN_CHECK(time_ms > now_ms_);
    MemoryModel next = *this;
    next.height_ += 1;
    next.now_ms_ = time_ms;
    next.signatures_ = signatures;
    if (tx.body.nonce() != next.accounts_[tx.sender].nonce)
        return make_error(ErrorCode::kConflict, "the nonce is ", tx.body.nonce(), ", not ",
                          next.accounts_[tx.sender].nonce);
    CHAIN_TRY(next.act(tx));
    next.accounts_[tx.sender].nonce += 1;
    CHAIN_TRY(next.pay_fee(tx));
    CHAIN_TRY(next.pay_block_reward(now_ms_));
    next.signatures_ = nullptr;
    *this = std::move(next);
    return ok_status();
}

Status MemoryModel::act(const ledger::Tx &tx) {
    const wire::TxBody &body = tx.body;
    switch (body.action_case()) {
        case wire::TxBody::kTransfer: return transfer(tx.sender, body.transfer());
        case wire::TxBody::kPublishResource:
            return publish_resource(tx.sender, body.publish_resource());
        case wire::TxBody::kOpenLease: return open_lease(tx);
        case wire::TxBody::kClaimVoucher: return claim_voucher(tx.sender, body.claim_voucher());
        case wire::TxBody::kCloseLease: return close_lease(tx.sender, body.close_lease());
        case wire::TxBody::kExpireLease: return expire_lease(body.expire_lease());
        case wire::TxBody::kReportStart: return report_start(tx.sender, body.report_start());
        case wire::TxBody::kReclaimNotice: return reclaim_notice(tx.sender, body.reclaim_notice());
        case wire::TxBody::kRate: return rate(tx.sender, body.rate());
        case wire::TxBody::kStake: return stake(tx.sender, body.stake());
        case wire::TxBody::kUnstake: return unstake(tx.sender, body.unstake());
        case wire::TxBody::kWithdrawStake: return withdraw_stake(tx.sender);
        case wire::TxBody::kMiningPayout: return mining_payout(tx.sender, body.mining_payout());
        case wire::TxBody::kVote: return vote(body.vote());
        case wire::TxBody::kEvidence: return evidence(tx.sender, body.evidence());
        case wire::TxBody::kCommitShares:
        case wire::TxBody::kOpenShares:
        case wire::TxBody::kShareFault:
            return invalid("shares are counted where work seals, not by one key");
        case wire::TxBody::ACTION_NOT_SET: break;
    }
    return make_error(ErrorCode::kProtocol, "the transaction says nothing to do");
}

Status MemoryModel::pay_fee(const ledger::Tx &tx) {
    const std::uint64_t per_byte = params().fee_per_byte_units;
    CHAIN_ASSIGN(const Amount fee, scale_down(Amount{static_cast<std::int64_t>(per_byte)},
                                              tx.signed_bytes.size(), 1));
    CHAIN_TRY(move_out(accounts_[tx.sender].balance, fee));
    return move_in(pool_.burned, fee);
}

Status MemoryModel::pay_block_reward(std::uint64_t parent_ms) {
    const Amount reward = incentive::block_reward(params(), parent_ms - genesis_->time_ms,
                                                  now_ms_ - genesis_->time_ms);
    CHAIN_TRY(move_out(pool_.reward_left, reward));
    return move_in(accounts_[genesis_->sealer].balance, reward);
}

Status MemoryModel::transfer(const PublicKey &sender, const wire::Transfer &action) {
    CHAIN_ASSIGN(const PublicKey to, to_bytes32(action.to(), "receiver"));
    CHAIN_ASSIGN(const Amount amount, amount_from_units(action.amount()));
    if (amount == Amount{}) return invalid("a transfer moves something");
    if (!is_valid_public_key(to)) return invalid("no key opens the receiver's account");
    CHAIN_TRY(move_out(accounts_[sender].balance, amount));
    return move_in(accounts_[to].balance, amount);
}

Status MemoryModel::publish_resource(const PublicKey &sender, const wire::PublishResource &action) {
    CHAIN_ASSIGN(const PublicKey node_key, to_bytes32(action.node_key(), "node key"));
    if (!wire::is_valid_host_name(action.host())) return invalid("not a host name");
    if (action.slot_count() == 0 || action.slot_count() > params().slots_per_leg_max)
        return invalid("no slots, or too many");
    if (action.hz() == 0 || action.hz() > ledger::kHzMax) return invalid("no hertz, or too many");
    if (!action.replaces().empty()) {
        CHAIN_ASSIGN(const PublicKey old_key, to_bytes32(action.replaces(), "replaced node key"));
        if (old_key == node_key) return invalid("a machine in place of itself");
        if (resources_.erase({sender, old_key}) == 0)
            return make_error(ErrorCode::kNotFound, "there is no such resource to replace");
    }
    resources_[{sender, node_key}] = {node_key, action.host(), action.slot_count(), action.hz(),
                                      action.memory_bytes()};
    const auto mine = std::count_if(resources_.begin(), resources_.end(),
                                    [&](const auto &entry) { return entry.first.first == sender; });
    if (mine > ledger::kResourcesPerAccountMax)
        return make_error(ErrorCode::kTooLarge, "too many resources of one account");
    accounts_[sender].resource_count = static_cast<std::uint32_t>(mine);
    return ok_status();
}

Status MemoryModel::mining_payout(const PublicKey &sender, const wire::MiningPayout &action) {
    CHAIN_ASSIGN(const Bytes32 round, to_bytes32(action.round_id(), "round id"));
    if (!is_coin_name(action.coin())) return invalid("not the name of a coin");
    if (payouts_.contains({sender, round}))
        return make_error(ErrorCode::kConflict, "this round was paid already");
    CHAIN_ASSIGN(const Amount reward,
                 incentive::tokens_bought(action.income_units(), action.coin_price()));
    if (action.reward() != reward.units || reward == Amount{})
        return invalid("the reward is not what the income buys");
    if (action.shares().empty()) return invalid("nobody has a share");
    if (static_cast<std::uint32_t>(action.shares_size()) > params().payout_shares_max)
        return make_error(ErrorCode::kTooLarge, "too many shares");
    std::vector<PublicKey> receivers;
    std::vector<Cycles> cycles;
    for (const wire::PayoutShare &share : action.shares()) {
        CHAIN_ASSIGN(const PublicKey receiver, to_bytes32(share.account(), "a share's account"));
        if (!receivers.empty() && receiver <= receivers.back())
            return invalid("the shares are not sorted by account");
        if (share.cycles() == 0) return invalid("a share of nothing");
        if (!is_valid_public_key(receiver)) return invalid("no key opens a receiver's account");
        receivers.push_back(receiver);
        cycles.push_back(share.cycles());
    }
    CHAIN_ASSIGN(const std::vector<Amount> parts, incentive::split(reward, cycles));
    CHAIN_TRY(move_out(accounts_[sender].balance, reward));
    ledger::Payout payout{reward, 0, static_cast<std::uint32_t>(parts.size()), now_ms_};
    for (std::size_t i = 0; i < parts.size(); ++i) {
        CHAIN_TRY(move_in(accounts_[receivers[i]].balance, parts[i]));
        payout.cycles += cycles[i];
    }
    payouts_[{sender, round}] = payout;
    return ok_status();
}

namespace {

// What an entry that is as if it had never been would be: without a record.
bool is_nothing(incentive::Reputation reputation) {
    reputation.step = 0;
    return reputation == incentive::Reputation{};
}

}  // namespace

Bytes32 MemoryModel::state_digest() const {
    ledger::StateDigest digest;
    for (const auto &[who, account] : accounts_)
        if (account != Account{})
            digest.add(ledger::account_key(who), ledger::encode_account(account));
    for (const auto &[id, entry] : leases_) {
        const ledger::Lease &lease = entry.lease;
        digest.add(ledger::lease_key(id), ledger::encode_lease(lease));
        if (!lease.settled()) digest.add(ledger::expiry_index_key(lease), to_bytes(id));
        std::vector<PublicKey> parties{lease.renter};
        for (const ledger::Leg &leg : lease.legs) parties.push_back(leg.provider);
        std::sort(parties.begin(), parties.end());
        parties.erase(std::unique(parties.begin(), parties.end()), parties.end());
        for (const PublicKey &party : parties)
            digest.add(ledger::lease_index_key(party, entry.height, 0), to_bytes(id));
    }
    for (const auto &[key, resource] : resources_)
        digest.add(ledger::resource_key(key.first, key.second), ledger::encode_resource(resource));
    for (const auto &[who, reputation] : reputations_)
        if (!is_nothing(reputation))
            digest.add(ledger::reputation_key(who), ledger::encode_reputation(reputation));
    for (const auto &[who, validator] : validators_)
        digest.add(ledger::validator_key(who), ledger::encode_validator(validator));
    for (const auto &[key, payout] : payouts_)
        digest.add(ledger::payout_key(key.first, key.second), ledger::encode_payout(payout));
    if (pool_ != ledger::Pool{}) digest.add(ledger::pool_key(), ledger::encode_pool(pool_));
    return digest.digest();
}

ledger::Totals MemoryModel::totals() const {
    ledger::Totals totals;
    const auto count = [](Amount &sum, Amount amount) { CHAIN_CHECK(move_in(sum, amount).ok()); };
    for (const auto &[who, amount] : genesis_->allocations) count(totals.minted, amount);
    count(totals.minted, Amount{static_cast<std::int64_t>(params().reward_pool_units)});
    for (const auto &[who, account] : accounts_) {
        count(totals.balances, account.balance);
        count(totals.escrow, account.escrow);
        count(totals.collateral, account.collateral);
        count(totals.stake, account.staked);
        count(totals.stake, account.unbonding);
    }
    for (const auto &[id, entry] : leases_) {
        for (const ledger::Leg &leg : entry.lease.legs) {
            count(totals.burned, leg.burned);
            count(totals.burned, leg.forfeit);
            count(totals.burned, leg.penalty);
        }
    }
    count(totals.burned, pool_.burned);
    totals.pool = pool_.reward_left;
    return totals;
}

}  // namespace chain
