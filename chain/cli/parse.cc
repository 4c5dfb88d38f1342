// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cctype>

#include "chain/cli/cli.h"

namespace chain::cli {
namespace {

// Edits (insert, delete, replace) that make `b` of `a`.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, replace});
        }
    }
    return row[b.size()];
}

std::string call_of(const Command &command) {
    return "ompi-chain " + std::string(command.noun) +
           (command.verb.empty() ? "" : " " + std::string(command.verb));
}

Error usage_error(const Command &command, const std::string &what) {
    return make_error(ErrorCode::kInvalidInput, what, "\nSee `", call_of(command), " --help`.");
}

const Option *find_option(const Command &command, std::string_view name) {
    for (const Option &option : command.options)
        if (option.name == name) return &option;
    for (const Option &option : global_options())
        if (option.name == name) return &option;
    return nullptr;
}

Error unknown_option(const Command &command, std::string_view name) {
    std::vector<std::string_view> known;
    for (const Option &option : command.options) known.push_back(option.name);
    for (const Option &option : global_options()) known.push_back(option.name);
    return usage_error(command, "`" + call_of(command) + "` has no option --" + std::string(name) +
                                    suggestion(name, known));
}

// Takes one option, and its value if it has one, from words[at].
Status take_option(const Command &command, const std::vector<std::string> &words, std::size_t &at,
                   Arguments &arguments) {
    std::string name = words[at];
    if (name == "-h")
        name = "--help";
    else if (name == "-y")
        name = "--yes";
    if (name.size() > 1 && std::isdigit(static_cast<unsigned char>(name[1])))
        return usage_error(command, "no number here may be negative: " + name);
    if (name.size() < 3 || name.compare(0, 2, "--") != 0)
        return usage_error(command, "there is no short option " + name);
    name.erase(0, 2);
    const std::size_t equals = name.find('=');
    const bool joined = equals != std::string::npos;
    std::string value = joined ? name.substr(equals + 1) : "";
    if (joined) name.resize(equals);
    const Option *option = find_option(command, name);
    if (option == nullptr) return unknown_option(command, name);
    if (option->value.empty() && joined)
        return usage_error(command, "--" + name + " takes no value");
    if (!option->value.empty() && !joined) {
        if (at + 1 == words.size())
            return usage_error(command,
                               "--" + name + " needs a value, " + std::string(option->value));
        value = words[++at];
    }
    arguments.options[name].push_back(std::move(value));
    return ok_status();
}

}  // namespace

std::string Arguments::value(std::string_view option) const {
    const auto found = options.find(option);
    return found == options.end() ? std::string() : found->second.back();
}

std::string suggestion(std::string_view word, const std::vector<std::string_view> &known) {
    std::string_view nearest;
    std::size_t nearest_edits = 0;
    for (const std::string_view candidate : known) {
        const std::size_t edits = edit_distance(word, candidate);
        const std::size_t edits_max = std::max<std::size_t>(1, candidate.size() / 2);
        if (edits > std::min<std::size_t>(edits_max, 3)) continue;
        if (!nearest.empty() && edits >= nearest_edits) continue;
        nearest = candidate;
        nearest_edits = edits;
    }
    return nearest.empty() ? std::string() : "; did you mean `" + std::string(nearest) + "`?";
}

Result<Arguments> parse_arguments(const Command &command, const std::vector<std::string> &words) {
    Arguments arguments;
    for (std::size_t at = 0; at < words.size(); ++at) {
        const std::string &word = words[at];
        const bool dashes = word == "--";
        const bool is_option = !dashes && word.size() > 1 && word.front() == '-';
        if (command.runs_program && !is_option) {
            const auto first = words.begin() + static_cast<std::ptrdiff_t>(at + (dashes ? 1 : 0));
            arguments.program.assign(first, words.end());
            break;
        }
        if (dashes) {
            arguments.words.insert(arguments.words.end(),
                                   words.begin() + static_cast<std::ptrdiff_t>(at + 1),
                                   words.end());
            break;
        }
        if (is_option)
            CHAIN_TRY(take_option(command, words, at, arguments));
        else
            arguments.words.push_back(word);
    }
    if (arguments.has("help")) return arguments;
    const std::string takes =
        command.arguments.empty() ? "no further words" : std::string(command.arguments);
    if (arguments.words.size() < command.arguments_min ||
        arguments.words.size() > command.arguments_max)
        return usage_error(
            command,
            "`" + call_of(command) + "` takes " + takes + ", not " +
                (arguments.words.empty() ? "nothing" : "`" + arguments.words.back() + "`"));
    if (command.runs_program && arguments.program.empty())
        return usage_error(command, "`" + call_of(command) + "` needs a command to run");
    return arguments;
}

}  // namespace chain::cli
