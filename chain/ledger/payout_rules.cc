// SPDX-License-Identifier: BSD-3-Clause
//
// Mining payout: what the mining of idle compute earned in one round, split on the ledger.
#include <algorithm>

#include "chain/ledger/transition.h"
#include "incentive/mining.h"

namespace chain::ledger {
namespace {

constexpr std::size_t kCoinNameMax = 16;

bool is_coin_name(std::string_view name) {
    return !name.empty() && name.size() <= kCoinNameMax &&
           std::all_of(name.begin(), name.end(),
                       [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); });
}

struct Shares {
    std::vector<PublicKey> accounts;
    std::vector<Cycles> cycles;
};

Result<Shares> read_shares(const wire::MiningPayout &action, const TxContext &context) {
    const std::uint32_t most = context.params().payout_shares_max;
    if (static_cast<std::uint32_t>(action.shares_size()) > most)
        return make_error(ErrorCode::kTooLarge, "a payout has at most ", most, " shares, not ",
                          action.shares_size());
    Shares shares;
    for (const wire::PayoutShare &share : action.shares()) {
        CHAIN_ASSIGN(const PublicKey account, to_bytes32(share.account(), "a share's account"));
        if (!is_valid_public_key(account))
            return refused("a share is for no account: no key opens it");
        if (!shares.accounts.empty() && account <= shares.accounts.back())
            return refused("the shares must be sorted by account, each account once");
        if (share.cycles() == 0) return refused("a share must be of more than no cycles");
        shares.accounts.push_back(account);
        shares.cycles.push_back(share.cycles());
    }
    return shares;
}

}  // namespace

Status mining_payout(Overlay &state, const Tx &tx, const TxContext &context) {
    const wire::MiningPayout &action = tx.body.mining_payout();
    CHAIN_ASSIGN(const Bytes32 round_id, to_bytes32(action.round_id(), "round id"));
    if (!is_coin_name(action.coin()))
        return make_error(ErrorCode::kInvalidInput, "a coin is named by 1 to ", kCoinNameMax,
                          " capital letters and digits, such as BTC");
    CHAIN_ASSIGN(const auto paid, state.payout(tx.sender, round_id));
    if (paid)
        return make_error(ErrorCode::kConflict, "round ", short_hex(round_id),
                          " was paid out already");
    CHAIN_ASSIGN(const Amount reward,
                 incentive::tokens_bought(action.income_units(), action.coin_price()));
    if (reward.units == 0) return refused("the income buys less than the smallest unit of token");
    if (action.reward() != reward.units)
        return make_error(ErrorCode::kInvalidInput, "the reward must be ", reward.units,
                          " units, not ", action.reward());
    CHAIN_ASSIGN(const Shares shares, read_shares(action, context));
    CHAIN_ASSIGN(const std::vector<Amount> parts, incentive::split(reward, shares.cycles));
    CHAIN_ASSIGN(Account sender, state.account(tx.sender));
    CHAIN_ASSIGN(sender.balance, subtract(sender.balance, reward));
    state.put_account(tx.sender, sender);
    Payout payout{.reward = reward,
                  .share_count = static_cast<std::uint32_t>(parts.size()),
                  .paid_at_ms = context.time_ms};
    for (std::size_t i = 0; i < parts.size(); ++i) {
        payout.cycles += shares.cycles[i];  // split() has refused a sum that does not fit
        if (parts[i].units == 0) continue;  // makes no account
        CHAIN_ASSIGN(Account miner, state.account(shares.accounts[i]));
        CHAIN_ASSIGN(miner.balance, add(miner.balance, parts[i]));
        state.put_account(shares.accounts[i], miner);
    }
    state.put_payout(tx.sender, round_id, payout);
    return ok_status();
}

}  // namespace chain::ledger
