// SPDX-License-Identifier: BSD-3-Clause
#include <ostream>

#include "chain/base/clock.h"
#include "chain/base/file.h"
#include "chain/base/units.h"
#include "chain/cli/cli.h"
#include "chain/client/json.h"
#include "chain/client/text.h"
#include "chain/identity/keystore.h"

namespace chain::cli {
namespace {

// Stretching a password takes about a second, on a busy machine several.
constexpr int kPasswordTimeoutMs = 60'000;

// "0.2345": of 65536, cut off after four places.
std::string format_quality(std::uint32_t quality_q16) {
    constexpr std::uint64_t kPlaces = 10'000, kOne = 65'536;
    const std::string places = std::to_string(quality_q16 * kPlaces / kOne % kPlaces);
    return std::to_string(quality_q16 / kOne) + "." + std::string(4 - places.size(), '0') + places;
}

Result<int> print_wallet(const Invocation &invocation, const std::string &address) {
    wire::ControlRequest request;
    request.mutable_wallet_show()->set_address(address);
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    const wire::WalletView &wallet = reply.wallet();
    if (invocation.json()) {
        invocation.console.out << client::json_text(
            {{"address", wallet.address()},
             {"state", wallet.state()},
             {"balance", client::json_amount(wallet.balance())},
             {"locked_escrow", client::json_amount(wallet.locked_escrow())},
             {"locked_collateral", client::json_amount(wallet.locked_collateral())},
             {"staked", client::json_amount(wallet.staked())},
             {"unbonding", client::json_amount(wallet.unbonding())},
             {"unbonds_at", client::json_time(wallet.unbonds_at_ms())},
             {"quality", format_quality(wallet.quality_q16())},
             {"nonce", wallet.nonce()},
             {"waiting", wallet.waiting_count()}});
        return 0;
    }
    std::vector<std::pair<std::string, std::string>> fields = {
        {"address", wallet.address()},
        {"balance", client::format_units(wallet.balance()) + " tokens"},
    };
    if (wallet.locked_escrow() != 0)
        fields.emplace_back("in escrow",
                            client::format_units(wallet.locked_escrow()) + " (open leases)");
    if (wallet.locked_collateral() != 0)
        fields.emplace_back("collateral", client::format_units(wallet.locked_collateral()) +
                                              " (machines leased out)");
    if (wallet.staked() != 0) fields.emplace_back("staked", client::format_units(wallet.staked()));
    if (wallet.unbonding() != 0)
        fields.emplace_back("unbonding", client::format_units(wallet.unbonding()) + " (until " +
                                             format_utc(wallet.unbonds_at_ms()) + ")");
    if (wallet.quality_q16() != 0)
        fields.emplace_back("quality", format_quality(wallet.quality_q16()) +
                                           " of 1 (as a provider: it lowers collateral)");
    if (wallet.waiting_count() != 0)
        fields.emplace_back(
            "waiting", std::to_string(wallet.waiting_count()) +
                           (wallet.waiting_count() == 1 ? " transaction is" : " transactions are") +
                           " in no block yet");
    if (!wallet.state().empty()) fields.emplace_back("state", wallet.state());
    invocation.console.out << format_fields(fields);
    return 0;
}

// For whoever needs an address before there is a network to belong to, as a founder of one.
Status make_without_daemon(const Invocation &invocation, std::string_view password) {
    const std::string path = invocation.wallet_path();
    const KeyPair key = KeyPair::generate();
    CHAIN_TRY(make_folders(path.substr(0, path.rfind('/')), 0700));
    CHAIN_TRY(create_wallet(path, key, password));
    const std::string address = to_address(key.public_key());
    invocation.console.err << "No daemon runs here: the wallet was made in " << path
                           << ". Nobody can restore its\npassword: keep it. And write down the "
                              "words that `ompi-chain wallet backup` shows.\n";
    if (invocation.json())
        invocation.console.out << client::json_text({{"address", address}, {"wallet", path}});
    else
        invocation.console.out << format_fields({{"address", address}});
    return ok_status();
}

Result<int> new_wallet(Invocation &invocation) {
    CHAIN_ASSIGN(std::string password,
                 read_password(invocation, "Password of the new wallet: ", true));
    wire::ControlRequest request;
    request.mutable_wallet_new()->set_password(password);
    const auto reply = invocation.call(request, kPasswordTimeoutMs);
    wipe(*request.mutable_wallet_new()->mutable_password());
    if (!reply.ok() && reply.error().code == ErrorCode::kDaemonNotRunning) {
        const Status made = make_without_daemon(invocation, password);
        wipe(password);
        CHAIN_TRY(made);
        return 0;
    }
    wipe(password);
    if (!reply.ok()) return reply.error();
    invocation.console.err << "The wallet is made. Nobody can restore its password: keep it. And "
                              "write down the words\nthat `ompi-chain wallet backup` shows.\n";
    return print_wallet(invocation, {});
}

Result<int> run_unlock(Invocation &invocation) {
    CHAIN_ASSIGN(std::string password, read_password(invocation, "Password: ", false));
    wire::ControlRequest request;
    request.mutable_wallet_unlock()->set_password(password);
    const auto reply = invocation.call(request, kPasswordTimeoutMs);
    wipe(password);
    wipe(*request.mutable_wallet_unlock()->mutable_password());
    if (!reply.ok()) return reply.error();
    return print_wallet(invocation, {});
}

Result<int> show_wallet(Invocation &invocation) {
    const auto &words = invocation.arguments.words;
    return print_wallet(invocation, words.empty() ? std::string() : words[0]);
}

Result<int> run_send(Invocation &invocation) {
    const std::string &to = invocation.arguments.words[0];
    CHAIN_ASSIGN(const Amount amount, parse_tokens(invocation.arguments.words[1]));
    if (amount.units == 0)
        return make_error(ErrorCode::kInvalidInput, "the amount is 0: there is nothing to send");
    CHAIN_TRY(confirm(
        invocation, "Send " + format_tokens(amount) + " tokens to " + client::printable(to) + "?"));
    wire::ControlRequest request;
    request.mutable_wallet_send()->set_to_address(to);
    request.mutable_wallet_send()->set_amount(amount.units);
    request.mutable_wallet_send()->set_wait_final(invocation.arguments.has("wait-final"));
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request, kInclusionTimeoutMs));
    if (invocation.json())
        invocation.console.out << client::json_text(
            {{"tx", reply.tx().tx_id()},
             {"height", reply.tx().height()},
             {"final", reply.tx().is_final()},
             {"to", to},
             {"amount", client::json_amount(amount.units)}});
    else
        invocation.console.out << "sent " << format_tokens(amount) << included_text(reply.tx())
                               << "\n";
    return 0;
}

}  // namespace

std::vector<Command> wallet_commands() {
    return {
        {.noun = "wallet",
         .verb = "new",
         .summary = "Make the wallet of this daemon, under a password",
         .examples = "  ompi-chain wallet new\n"
                     "  ompi-chain wallet new --password-file ~/.wallet-password\n",
         .details = "The key is made by the daemon and never leaves its data folder; without a "
                    "daemon it is made\nthere by this command. A wallet that exists is not "
                    "overwritten.\n",
         .options = {kPasswordFile},
         .run = new_wallet},
        {.noun = "wallet",
         .verb = "show",
         .arguments = "[ADDRESS]",
         .arguments_max = 1,
         .summary = "Address and balance: mine, or ADDRESS's",
         .examples = "  ompi-chain wallet show\n"
                     "  ompi-chain wallet show --json | jq -r .balance.tokens\n",
         .run = show_wallet},
        {.noun = "wallet",
         .verb = "send",
         .arguments = "ADDRESS AMOUNT",
         .arguments_min = 2,
         .arguments_max = 2,
         .summary = "Send AMOUNT tokens to ADDRESS",
         .examples = "  ompi-chain wallet send ompc1… 2.5\n"
                     "  ompi-chain wallet send ompc1… 0.01 --yes   # without the question\n",
         .details = "Returns when the transfer stands in a block. There is no way back. Where "
                    "validators keep the\nledger, a block that is not final yet may still be left "
                    "for another one: the transfer then waits\nfor a block again.\n",
         .options = {{"wait-final", "", "return when the block is final"}},
         .run = run_send},
        {.noun = "wallet",
         .verb = "unlock",
         .summary = "Let the daemon sign, until it stops",
         .examples = "  ompi-chain wallet unlock\n"
                     "  ompi-chain wallet unlock --password-file -   # from standard input\n",
         .options = {kPasswordFile},
         .run = run_unlock},
    };
}

}  // namespace chain::cli
