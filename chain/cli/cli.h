// SPDX-License-Identifier: BSD-3-Clause
//
// The command line `ompi-chain NOUN VERB`: a table of commands, one parser and one help for all.
// Results go to `out`, talk to `err`. One thread.
#pragma once

#include <iosfwd>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "chain/client/client.h"

namespace chain::cli {

// Where a command talks to its user.
struct Console {
    std::ostream &out;
    std::ostream &err;
    int input_fd = 0;
    bool interactive = false;  // a person sits at input_fd
};

struct Option {
    std::string_view name;   // without "--"
    std::string_view value;  // what stands for it in the help; empty: a switch
    std::string_view help;
};
inline constexpr Option kPasswordFile = {"password-file", "FILE",
                                         "read the password from FILE; `-`: from standard input"};

struct Invocation;

struct Command {
    std::string_view noun;
    std::string_view verb;
    std::string_view arguments;  // "ADDRESS AMOUNT", "[HEIGHT]"
    std::size_t arguments_min = 0;
    std::size_t arguments_max = 0;
    bool runs_program = false;  // the first word that is no option, or "--", begins a command line
    std::string_view summary;   // one line
    std::string_view examples;  // lines of "  ompi-chain …  # why"
    std::string_view details;   // paragraphs; may be empty
    std::vector<Option> options;
    // The exit code, or why it failed (error_traits says which exit code that is).
    Result<int> (*run)(Invocation &) = nullptr;
};

// What was typed, taken apart.
struct Arguments {
    std::vector<std::string> words;    // neither noun, verb nor option
    std::vector<std::string> program;  // of a command that runs one
    std::map<std::string, std::vector<std::string>, std::less<>> options;

    bool has(std::string_view option) const { return options.find(option) != options.end(); }
    // The last one counts; empty if it was not given.
    std::string value(std::string_view option) const;
};

struct Invocation {
    const Command &command;
    Arguments arguments;
    Console &console;

    bool json() const { return arguments.has("json"); }
    std::string data_folder() const;
    std::string socket_path() const;
    // Of the daemon that socket_path() leads to.
    std::string wallet_path() const;
    Result<client::Client> connect() const { return client::Client::connect(socket_path()); }
    // One call on a connection of its own.
    Result<wire::ControlReply> call(const wire::ControlRequest &request,
                                    int timeout_ms = kCallTimeoutMs) const;

    static constexpr int kCallTimeoutMs = 10'000;
};

// For calls that are answered when a block has taken something: the daemon gives up first, and says
// why.
inline constexpr int kInclusionTimeoutMs = 3'600'000;

// Runs what `words` (argv without the program's name) say; returns the exit code of trade.md 2.
int run_cli(const std::vector<std::string> &words, Console &console);

// ---- the table

struct Noun {
    std::string_view name;
    std::string_view summary;
};
const std::vector<Noun> &nouns();
const std::vector<Command> &commands();
const std::vector<Option> &global_options();

std::vector<Command> wallet_commands();
std::vector<Command> backup_commands();
std::vector<Command> transfer_commands();
std::vector<Command> stake_commands();  // and `lease rate`
std::vector<Command> offer_commands();
std::vector<Command> lease_commands();
std::vector<Command> reserve_commands();  // `lease reserve`, `lease cancel`
std::vector<Command> market_commands();   // and `wallet history`
std::vector<Command> peer_commands();
std::vector<Command> block_commands();  // and `tx show`
std::vector<Command> node_commands();
std::vector<Command> network_commands();
std::vector<Command> validator_commands();
std::vector<Command> devnet_commands();
std::vector<Command> provide_commands();
std::vector<Command> bundle_commands();
std::vector<Command> image_commands();

// ---- parsing and help

// The options and words of `command`. Errors: kInvalidInput: unknown option (with the nearest one
// that exists), a missing value, too few or too many words.
Result<Arguments> parse_arguments(const Command &command, const std::vector<std::string> &words);
// ", did you mean `x`?" for the nearest of `known`, empty if none is near.
std::string suggestion(std::string_view word, const std::vector<std::string_view> &known);

std::string general_help();
std::string noun_help(std::string_view noun);
std::string command_help(const Command &command);

// ---- talk

// Ok at once with --yes or without a person there. Errors: kCancelled when the answer is not yes.
Status confirm(const Invocation &invocation, const std::string &question);
// One line, without its end. Errors: kCancelled (the input has ended), kTooLarge, kIo.
Result<std::string> read_line(int fd);
// From --password-file (`-`: the first line of standard input), else asked for without echo;
// `twice` for a new one. Errors: kInvalidInput (empty, the two differ, nobody to ask), kCancelled.
Result<std::string> read_password(const Invocation &invocation, std::string_view prompt,
                                  bool twice);

// One word of a POSIX shell; quoted only where it must be.
std::string shell_quoted(const std::string &text);
// " in block 21, which is not final yet, transaction 3f…".
std::string included_text(const wire::TxReceipt &receipt);
// "ompc1qxy…k2p9": enough of an address to tell it from another in a table.
std::string short_address(std::string_view address);
// Lines of "name  value", the values aligned.
std::string format_fields(const std::vector<std::pair<std::string, std::string>> &fields);

}  // namespace chain::cli
