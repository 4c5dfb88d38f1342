// SPDX-License-Identifier: BSD-3-Clause
#include "chain/cli/cli.h"

#include <ostream>

#include "chain/client/json.h"
#include "chain/client/layout.h"
#include "chain/client/text.h"
#include "chain_config.h"

namespace chain::cli {
namespace {

std::vector<Command> all_commands() {
    std::vector<Command> all;
    for (auto part : {wallet_commands(), backup_commands(), transfer_commands(), stake_commands(),
                      offer_commands(), lease_commands(), reserve_commands(), market_commands(),
                      peer_commands(), block_commands(), node_commands(), network_commands(),
                      validator_commands(), devnet_commands(), provide_commands(),
                      bundle_commands(), image_commands()})
        all.insert(all.end(), part.begin(), part.end());
    return all;
}

const Command *find_command(std::string_view noun, std::string_view verb) {
    for (const Command &command : commands())
        if (command.noun == noun && command.verb == verb) return &command;
    return nullptr;
}

bool is_noun(std::string_view word) {
    for (const Noun &noun : nouns())
        if (noun.name == word) return true;
    return false;
}

Error unknown_noun(const std::string &word) {
    std::vector<std::string_view> known{"help"};
    for (const Noun &noun : nouns()) known.push_back(noun.name);
    return make_error(ErrorCode::kInvalidInput, "there is no `", client::printable(word), "`",
                      suggestion(word, known), "\nSee `ompi-chain --help`.");
}

Error unknown_verb(const std::string &noun, const std::string &word) {
    std::vector<std::string_view> known;
    for (const Command &command : commands())
        if (command.noun == noun) known.push_back(command.verb);
    return make_error(ErrorCode::kInvalidInput, "`ompi-chain ", noun, "` has no verb `",
                      client::printable(word), "`", suggestion(word, known), "\nSee `ompi-chain ",
                      noun, " --help`.");
}

int report(const Error &error, bool json, Console &console) {
    const ErrorTraits &traits = error_traits(error.code);
    if (json)
        console.out << client::json_text({{"error",
                                           {{"code", std::string(traits.name)},
                                            {"message", error.message},
                                            {"advice", std::string(traits.advice)}}}});
    console.err << "ompi-chain: " << error.to_text() << "\n";
    return traits.exit_code;
}

bool asks_for_help(const std::string &word) {
    return word == "--help" || word == "-h" || word == "help";
}

Result<int> run_help(const std::vector<std::string> &words, Console &console) {
    if (words.empty()) {
        console.out << general_help();
        return 0;
    }
    if (!is_noun(words[0])) return unknown_noun(words[0]);
    const Command *command = find_command(words[0], "");
    if (command == nullptr && words.size() == 1) {
        console.out << noun_help(words[0]);
        return 0;
    }
    if (command == nullptr) command = find_command(words[0], words[1]);
    if (command == nullptr) return unknown_verb(words[0], words[1]);
    console.out << command_help(*command);
    return 0;
}

// Options may stand before the noun, too: they are moved behind the verb.
std::vector<std::string> noun_first(const std::vector<std::string> &words) {
    std::vector<std::string> options;
    std::size_t at = 0;
    for (; at < words.size() && words[at].size() > 2 && words[at].compare(0, 2, "--") == 0; ++at) {
        options.push_back(words[at]);
        for (const Option &option : global_options())
            if (words[at].substr(2) == option.name && !option.value.empty() &&
                at + 1 < words.size())
                options.push_back(words[++at]);
    }
    std::vector<std::string> ordered(words.begin() + static_cast<std::ptrdiff_t>(at), words.end());
    const bool has_verb = ordered.empty() || find_command(ordered[0], "") == nullptr;
    const std::size_t behind_verb = std::min<std::size_t>(has_verb ? 2 : 1, ordered.size());
    ordered.insert(ordered.begin() + static_cast<std::ptrdiff_t>(behind_verb), options.begin(),
                   options.end());
    return ordered;
}

Result<int> dispatch(const std::vector<std::string> &words, Console &console, bool &json) {
    if (words.empty() || words[0] == "--help" || words[0] == "-h") return run_help({}, console);
    if (words[0] == "--version") {
        console.out << "ompi-chain " << PACKAGE_VERSION << "\n";
        return 0;
    }
    if (words[0] == "help")
        return run_help(std::vector<std::string>(words.begin() + 1, words.end()), console);
    if (!is_noun(words[0])) return unknown_noun(words[0]);
    const Command *command = find_command(words[0], "");  // a noun that is its own verb
    const bool has_verb = command == nullptr;
    if (has_verb) {
        if (words.size() == 1 || asks_for_help(words[1])) return run_help({words[0]}, console);
        command = find_command(words[0], words[1]);
        if (command == nullptr) return unknown_verb(words[0], words[1]);
    }
    const bool is_bare = words.size() == 1 && command->arguments_min > 0;
    if (!has_verb && (is_bare || (words.size() == 2 && asks_for_help(words[1]))))
        return run_help({words[0]}, console);
    const std::vector<std::string> rest(words.begin() + (has_verb ? 2 : 1), words.end());
    CHAIN_ASSIGN(Arguments arguments, parse_arguments(*command, rest));
    if (arguments.has("help")) {
        console.out << command_help(*command);
        return 0;
    }
    json = arguments.has("json");
    Invocation invocation{*command, std::move(arguments), console};
    return command->run(invocation);
}

}  // namespace

const std::vector<Noun> &nouns() {
    static const std::vector<Noun> table = {
        {"wallet", "the key that pays and is paid"},
        {"offer", "what this machine lends, and what others do"},
        {"lease", "leases and their bills"},
        {"market", "what compute is sold for"},
        {"peer", "daemons that this one talks to"},
        {"block", "the ledger, block by block"},
        {"tx", "one transaction"},
        {"node", "the daemon of this machine"},
        {"provide", "lend this machine"},
        {"bundle", "pack a program for peers that lack its libraries"},
        {"image", "pack another system for jobs to run in"},
        {"network", "a network of your own, with friends"},
        {"validator", "who keeps the ledger"},
        {"devnet", "a private network on this machine"},
    };
    return table;
}

const std::vector<Command> &commands() {
    static const std::vector<Command> table = all_commands();
    return table;
}

const std::vector<Option> &global_options() {
    static const std::vector<Option> table = {
        {"json", "", "results as JSON"},
        {"socket", "PATH", "the daemon's control socket (default: $OMPI_CHAIN_SOCKET)"},
        {"data", "DIR", "the data folder (default: $OMPI_CHAIN_DATA)"},
        {"yes", "", "do not ask before tokens are spent or data is deleted"},
        {"help", "", "this text"},
    };
    return table;
}

std::string Invocation::data_folder() const {
    const std::string given = arguments.value("data");
    return given.empty() ? client::default_data_folder() : given;
}

std::string Invocation::socket_path() const {
    if (const std::string given = arguments.value("socket"); !given.empty()) return given;
    if (const std::string data = arguments.value("data"); !data.empty())
        return data + "/" + client::layout::kControlSocket;
    return client::default_socket_path();
}

Result<wire::ControlReply> Invocation::call(const wire::ControlRequest &request,
                                            int timeout_ms) const {
    CHAIN_ASSIGN(client::Client daemon, connect());
    return daemon.call(request, timeout_ms);
}

int run_cli(const std::vector<std::string> &words, Console &console) {
    bool json = false;
    const Result<int> done = dispatch(noun_first(words), console, json);
    if (!done.ok()) return report(done.error(), json, console);
    console.out.flush();
    if (console.out.fail())
        return report(make_error(ErrorCode::kIo, "cannot write to standard output"), false,
                      console);
    return *done;
}

}  // namespace chain::cli
