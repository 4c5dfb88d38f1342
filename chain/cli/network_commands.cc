// SPDX-License-Identifier: BSD-3-Clause
//
// `network new`: a network whose founder holds every token and seals the blocks.
#include <cstdlib>
#include <filesystem>
#include <ostream>

#include "chain/base/clock.h"
#include "chain/base/file.h"
#include "chain/cli/cli.h"
#include "chain/cli/devnet.h"
#include "chain/cli/network_validators.h"
#include "chain/client/json.h"
#include "chain/client/layout.h"
#include "chain/client/text.h"
#include "chain/identity/keystore.h"
#include "chain/ledger/types.h"
#include "chain/wire/frame.h"

namespace chain::cli {
namespace {

constexpr char kDefaultTokens[] = "1000000";

struct Founding {
    std::string chain_name;
    Amount tokens;
    std::string genesis_path;  // as typed
    std::string data_folder;
};

// Everything that can be refused is refused before a wallet is made.
Result<Founding> founding_of(const Invocation &invocation) {
    const Arguments &arguments = invocation.arguments;
    Founding founding;
    founding.data_folder = invocation.data_folder();
    founding.chain_name = arguments.has("name") ? arguments.value("name") : "friends";
    if (!wire::is_valid_host_name(founding.chain_name))
        return make_error(ErrorCode::kInvalidInput, "--name \"",
                          client::printable(founding.chain_name),
                          "\": letters, digits and inner dashes, 63 at most");
    CHAIN_ASSIGN(founding.tokens, parse_tokens(arguments.has("tokens") ? arguments.value("tokens")
                                                                       : kDefaultTokens));
    if (founding.tokens.units == 0)
        return make_error(ErrorCode::kInvalidInput,
                          "--tokens must be above 0: no token is made later");
    founding.genesis_path = arguments.value("output");
    if (founding.genesis_path.empty())
        return make_error(ErrorCode::kInvalidInput,
                          "say where the genesis file goes: --output net.json");
    if (path_exists(founding.genesis_path))
        return make_error(ErrorCode::kConflict, founding.genesis_path,
                          " is there already and is not overwritten\nName another file with "
                          "--output FILE.");
    if (path_exists(founding.data_folder + "/genesis.json"))
        return make_error(ErrorCode::kConflict, founding.data_folder,
                          " belongs to a network already\nUse another data folder with --data "
                          "DIR.");
    return founding;
}

// The account of this machine's wallet, which is made if there is none.
Result<PublicKey> founder_account(const Invocation &invocation, const Founding &founding) {
    const std::string path = founding.data_folder + "/" + client::layout::kWallet;
    if (!path_exists(path)) {
        CHAIN_ASSIGN(std::string password,
                     read_password(invocation, "Password of the new wallet: ", true));
        Status made = make_folders(founding.data_folder, 0700);
        if (made.ok()) made = create_wallet(path, KeyPair::generate(), password);
        wipe(password);
        CHAIN_TRY(made);
        invocation.console.err
            << "Made the wallet " << path
            << ". Nobody can restore its password: keep it, and write down the words\n"
               "that `ompi-chain wallet backup` shows.\n";
    } else if (invocation.arguments.has("password-file")) {
        // A wrong password would show only when the sealer is to start.
        CHAIN_ASSIGN(std::string password, read_password(invocation, {}, false));
        const auto key = unlock_wallet(path, password);
        wipe(password);
        if (!key.ok()) return key.error();
    }
    CHAIN_ASSIGN(const std::string address, read_wallet_address(path));
    return parse_address(address);
}

// " --data DIR" where the daemon's own default is another folder.
std::string data_option(const Invocation &invocation, const Founding &founding) {
    if (!invocation.arguments.has("data")) return {};
    std::error_code error;
    return " --data " +
           shell_quoted(std::filesystem::absolute(founding.data_folder, error).string());
}

struct NextCommands {
    std::string founder;
    std::string friend_daemon;
    std::string friend_wallet;
    std::string pay_friend;
};

NextCommands next_commands(const Invocation &invocation, const Founding &founding) {
    const std::string genesis = shell_quoted(founding.genesis_path);
    const std::string file_name =
        shell_quoted(std::filesystem::path(founding.genesis_path).filename().string());
    const std::string password_file = invocation.arguments.value("password-file");
    const bool has_file = !password_file.empty() && password_file != "-";
    const std::string data = data_option(invocation, founding);
    return {
        .founder = "ompi-chaind" + data + " --genesis " + genesis +
                   " --seal --listen 0.0.0.0:" + kDefaultPort + " --password-file " +
                   (has_file ? shell_quoted(password_file) : "PASSWORD-FILE"),
        .friend_daemon = "ompi-chaind --genesis " + file_name + " --connect you:" + kDefaultPort,
        .friend_wallet = "ompi-chain wallet new",
        .pay_friend = "ompi-chain" + data + " wallet send ADDRESS 1000"};
}

void print_network(const Invocation &invocation, const Founding &founding,
                   const ledger::Genesis &genesis) {
    const NextCommands next = next_commands(invocation, founding);
    std::ostream &out = invocation.console.out;
    if (invocation.json()) {
        out << client::json_text({{"genesis", founding.genesis_path},
                                  {"chain_name", genesis.chain_name},
                                  {"chain_id", to_hex(genesis.chain_id)},
                                  {"sealer", to_address(genesis.sealer)},
                                  {"tokens", client::json_amount(founding.tokens.units)},
                                  {"data_folder", founding.data_folder},
                                  {"next",
                                   {{"founder", next.founder},
                                    {"friend_daemon", next.friend_daemon},
                                    {"friend_wallet", next.friend_wallet},
                                    {"pay_friend", next.pay_friend}}}});
        return;
    }
    out << "The network \"" << genesis.chain_name << "\" is written to " << founding.genesis_path
        << ": " << format_tokens(founding.tokens)
        << " tokens, all yours, and you seal its blocks.\n"
        << "\nHere:\n  " << next.founder << "\n"
        << "\nA friend, who has a copy of " << founding.genesis_path
        << " and knows this machine as `you`:\n  " << next.friend_daemon << "\n  "
        << next.friend_wallet << "            # and tells you the address\n"
        << "\nHere, so that the friend can pay or put up collateral:\n  " << next.pay_friend
        << "\n";
}

Result<int> found_network(Invocation &invocation) {
    if (invocation.arguments.has("validators")) return found_validators(invocation);
    for (const std::string_view option :
         {"spacing", "consensus", "proof-of-work", "share-epoch", "rewards"})
        if (invocation.arguments.has(option))
            return make_error(ErrorCode::kInvalidInput, "--", option, " goes with --validators");
    CHAIN_ASSIGN(const Founding founding, founding_of(invocation));
    CHAIN_ASSIGN(const PublicKey account, founder_account(invocation, founding));
    const auto node_key =
        load_or_create_node_key(founding.data_folder + "/" + client::layout::kNodeKey);
    if (!node_key.ok()) return node_key.error();
    ledger::Genesis genesis;
    genesis.chain_name = founding.chain_name;
    genesis.time_ms = system_clock().unix_ms();
    genesis.sealer = account;
    genesis.allocations.emplace_back(account, founding.tokens);
    const std::string text = ledger::format_genesis(genesis);
    CHAIN_ASSIGN(genesis, ledger::parse_genesis(text));
    CHAIN_TRY(write_file_atomic(founding.genesis_path, text, 0644));
    print_network(invocation, founding, genesis);
    return 0;
}

}  // namespace

std::vector<Command> network_commands() {
    return {
        {.noun = "network",
         .verb = "new",
         .summary = "Found a network for yourself and friends",
         .examples =
             "  ompi-chain network new --name friends --output net.json\n"
             "  ompi-chain network new --output net.json --tokens 5000 --password-file ~/.pw\n"
             "  ompi-chain network new --name lab --output lab/ "
             "--validators a@10.0.0.1,b@10.0.0.2,c@10.0.0.3,d@10.0.0.4\n",
         .details =
             "Makes this machine's wallet and node key, if they are missing, and the genesis "
             "file, which\neverybody who takes part needs a copy of. All tokens are this "
             "wallet's, and its daemon\nseals the blocks. Nothing is overwritten. Prints "
             "the commands that come next.\n"
             "\nWith --validators, machines of several owners keep the ledger together: NAME@HOST "
             "or\nNAME@HOST:PORT for each. --output is a folder then, with a file for each of "
             "them, which\nholds its wallet, and one for everybody else; each joins by "
             "`ompi-chaind --join FILE`. With\nNAME=ADDRESS@HOST a validator keeps the wallet "
             "that it has (`ompi-chain wallet new\n--data DIR` makes one before there is a "
             "network), "
             "and whoever founds the network knows none of\ntheir keys. Four validators go on when "
             "one "
             "is away or lies, three do not.\n",
         .options =
             {{"output", "FILE", "the genesis file"},
              {"name", "NAME", "of the network (default: friends; with --validators: cloud)"},
              {"tokens", "T", "that there will ever be; of each validator (default: 1000000)"},
              {"validators", "LIST", "who keeps the ledger: NAME@HOST, with commas"},
              {"spacing", "TIME",
               "between two blocks of validators, 10ms to 24h (default: 1s; por: 15s)"},
              {"consensus", "KIND", "of validators: poa (turns; the default) or por (work)"},
              {"proof-of-work", "NAME", "of por: sha256d (default) or randomx"},
              {"share-epoch", "BLOCKS",
               "of por: shares are counted by so many (default 1024; 0: not)"},
              {"rewards", "T",
               "of por: tokens for those who seal, over the years (default 1000000)"},
              {"password-file", "FILE", "read the password from FILE; `-`: from standard input"}},
         .run = found_network},
    };
}

}  // namespace chain::cli
