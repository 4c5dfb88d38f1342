// SPDX-License-Identifier: BSD-3-Clause
//
// wallet stake, unstake, withdraw-stake; lease rate: what an account stands for, and what a renter
// says of a provider.
#include <ostream>

#include "chain/base/units.h"
#include "chain/cli/cli.h"
#include "chain/client/json.h"
#include "chain/client/text.h"

namespace chain::cli {
namespace {

constexpr std::uint64_t kLegNumberMax = 1'000'000;  // the ledger's limit is lower

Result<int> send(Invocation &invocation, const wire::ControlRequest &request,
                 const std::string &done) {
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request, kInclusionTimeoutMs));
    if (invocation.json())
        invocation.console.out << client::json_text(
            {{"tx", reply.tx().tx_id()}, {"height", reply.tx().height()}});
    else
        invocation.console.out << done << included_text(reply.tx()) << "\n";
    return 0;
}

// What the stake is now good for, where there are validators.
void explain_stake(Invocation &invocation) {
    wire::ControlRequest ask_list, ask_wallet;
    ask_list.mutable_validator_list();
    ask_wallet.mutable_wallet_show();
    const auto list = invocation.call(ask_list);
    const auto wallet = invocation.call(ask_wallet);
    if (invocation.json() || !list.ok() || !wallet.ok()) return;  // one key seals all blocks
    const Amount stake{wallet->wallet().staked()}, least{list->validators().stake_min()};
    std::ostream &err = invocation.console.err;
    err << "This account's stake is " << format_tokens(stake)
        << " tokens; a validator's is at least " << format_tokens(least) << ".\n";
    if (stake >= least)
        err << "It is a validator from the next final checkpoint on, and counts as one that is "
               "away unless its\ndaemon runs with --seal and --password-file (`ompi-chain node "
               "status`).\n";
    else
        err << "It is no validator, or will not be one from the next final checkpoint on.\n";
}

Result<Amount> positive_tokens(const std::string &text) {
    CHAIN_ASSIGN(const Amount amount, parse_tokens(text));
    if (amount.units == 0) return make_error(ErrorCode::kInvalidInput, "the amount is 0");
    return amount;
}

Result<int> run_stake(Invocation &invocation) {
    CHAIN_ASSIGN(const Amount amount, positive_tokens(invocation.arguments.words[0]));
    CHAIN_TRY(confirm(invocation, "Stake " + format_tokens(amount) +
                                      " tokens? They come back only some time after `wallet "
                                      "unstake`."));
    wire::ControlRequest request;
    request.mutable_wallet_stake()->set_bond(amount.units);
    CHAIN_ASSIGN(const int done, send(invocation, request, "staked " + format_tokens(amount)));
    explain_stake(invocation);
    return done;
}

Result<int> run_unstake(Invocation &invocation) {
    CHAIN_ASSIGN(const Amount amount, positive_tokens(invocation.arguments.words[0]));
    wire::ControlRequest request;
    request.mutable_wallet_stake()->set_unbond(amount.units);
    CHAIN_ASSIGN(const int done, send(invocation, request, "unbonding " + format_tokens(amount)));
    explain_stake(invocation);
    return done;
}

Result<int> run_withdraw_stake(Invocation &invocation) {
    wire::ControlRequest request;
    request.mutable_wallet_stake()->set_withdraw(true);
    return send(invocation, request, "withdrawn");
}

Result<int> run_rate(Invocation &invocation) {
    const Arguments &arguments = invocation.arguments;
    const std::string &word = arguments.words[1];
    if (word != "satisfied" && word != "dissatisfied")
        return make_error(ErrorCode::kInvalidInput, "a lease is rated `satisfied` or ",
                          "`dissatisfied`, not \"", client::printable(word), "\"");
    wire::ControlRequest request;
    wire::LeaseRateCall &call = *request.mutable_lease_rate();
    call.set_lease_id(arguments.words[0]);
    call.set_satisfied(word == "satisfied");
    call.set_left_early(arguments.has("left-early"));
    if (const auto legs = arguments.options.find("leg"); legs != arguments.options.end())
        for (const std::string &text : legs->second) {
            CHAIN_ASSIGN(const std::uint64_t leg, parse_integer(text, 0, kLegNumberMax, "leg"));
            call.add_legs(static_cast<std::uint32_t>(leg));
        }
    return send(invocation, request, "rated " + word);
}

}  // namespace

std::vector<Command> stake_commands() {
    return {
        {.noun = "wallet",
         .verb = "stake",
         .arguments = "AMOUNT",
         .arguments_min = 1,
         .arguments_max = 1,
         .summary = "Put AMOUNT tokens behind this account's votes: become a validator",
         .examples = "  ompi-chain wallet stake 100\n",
         .details = "From the least stake on that `ompi-chain validator list` shows, the account "
                    "is a validator: its\ndaemon must run with --seal and --password-file, or it "
                    "counts as one that is away. Blocks become\nfinal by two thirds of all stake. "
                    "Stake of an account that signs two votes that contradict each\nother is lost "
                    "whole. To leave: `ompi-chain wallet unstake`, and let the daemon vote until\n"
                    "`ompi-chain validator list` shows the account no more.\n",
         .run = run_stake},
        {.noun = "wallet",
         .verb = "unstake",
         .arguments = "AMOUNT",
         .arguments_min = 1,
         .arguments_max = 1,
         .summary = "Begin to take AMOUNT of the stake back",
         .examples = "  ompi-chain wallet unstake 100\n"
                     "  ompi-chain wallet show            # from when it can be withdrawn\n",
         .details = "With less than the least stake left the account is no validator any more. It "
                    "unbonds for as\nlong as the network's rules say, counted anew for all that "
                    "unbonds, and\ncan be lost until then.\n",
         .run = run_unstake},
        {.noun = "wallet",
         .verb = "withdraw-stake",
         .summary = "Take what has unbonded back into the balance",
         .examples = "  ompi-chain wallet withdraw-stake\n",
         .run = run_withdraw_stake},
        {.noun = "lease",
         .verb = "rate",
         .arguments = "LEASE WORD",
         .arguments_min = 2,
         .arguments_max = 2,
         .summary = "Say how a paid lease was: satisfied or dissatisfied",
         .examples = "  ompi-chain lease rate 3f9a1c2e satisfied\n"
                     "  ompi-chain lease rate 3f9a1c2e dissatisfied --leg 1 --left-early\n",
         .details = "Once for each leg, while the network's rules allow it. It weighs as much as "
                    "the fee that the\nleg burned, and changes what collateral the provider must "
                    "put up.\n",
         .options = {{"leg", "N", "only leg N; may be repeated (default: all that can be rated)"},
                     {"left-early", "", "the provider left before the end, without notice"}},
         .run = run_rate},
    };
}

}  // namespace chain::cli
