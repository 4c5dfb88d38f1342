// SPDX-License-Identifier: BSD-3-Clause
#include "chain/cli/cli.h"
#include "chain/client/text.h"

namespace chain::cli {
namespace {

std::string options_text(const std::vector<Option> &options) {
    client::Table table({{"", client::Align::kLeft}, {"", client::Align::kLeft, 100}});
    for (const Option &option : options) {
        std::string left = "--" + std::string(option.name);
        if (!option.value.empty()) left += " " + std::string(option.value);
        table.add_row({std::move(left), std::string(option.help)});
    }
    return table.format("  ");
}

std::string verbs_text(std::string_view noun) {
    client::Table table({{"", client::Align::kLeft}, {"", client::Align::kLeft, 100}});
    for (const Command &command : commands()) {
        if (command.noun != noun) continue;
        std::string left(command.verb);
        if (!command.arguments.empty()) left += " " + std::string(command.arguments);
        table.add_row({std::move(left), std::string(command.summary)});
    }
    return table.format("  ");
}

}  // namespace

std::string general_help() {
    std::string out =
        "ompi-chain: idle computers as MPI ranks, rented by a flag of mpirun\n"
        "\n"
        "Examples:\n"
        "  ompi-chain devnet up --providers 2      # a private network on this machine\n"
        "  ompi-chain offer list --all             # who lends what, at which price\n"
        "  ompi-chain lease explain 4,mem=1G       # what a lease would cost, and why\n"
        "  ompi-chain lease list                   # my leases of now\n"
        "  ompi-chain wallet show                  # my address and balance\n"
        "\n"
        "Usage: ompi-chain NOUN VERB [OPTION]…\n"
        "\n";
    client::Table table({{"", client::Align::kLeft}, {"", client::Align::kLeft, 100}});
    for (const Noun &noun : nouns()) {
        std::string verbs;
        for (const Command &command : commands())
            if (command.noun == noun.name && !command.verb.empty())
                verbs += (verbs.empty() ? ": " : ", ") + std::string(command.verb);
        table.add_row({std::string(noun.name), std::string(noun.summary) + verbs});
    }
    return out + table.format("  ") + "\nOptions of every command:\n" +
           options_text(global_options()) +
           "\n"
           "Exit codes: 0 ok, 1 failed, 2 cancelled, 3 nothing matched, 4 no key.\n"
           "More: `ompi-chain NOUN --help`, `ompi-chain NOUN VERB --help`, man ompi-chain.\n";
}

std::string noun_help(std::string_view noun) {
    std::string out;
    for (const Noun &each : nouns())
        if (each.name == noun)
            out = "ompi-chain " + std::string(noun) + ": " + std::string(each.summary) + "\n\n";
    out += "Examples:\n";
    for (const Command &command : commands())
        if (command.noun == noun)
            out += std::string(command.examples.substr(0, command.examples.find('\n'))) + "\n";
    return out + "\nVerbs:\n" + verbs_text(noun) + "\nMore: `ompi-chain " + std::string(noun) +
           " VERB --help`.\n";
}

std::string command_help(const Command &command) {
    std::string out = "Examples:\n" + std::string(command.examples) + "\n";
    out += "Usage: ompi-chain " + std::string(command.noun);
    if (!command.verb.empty()) out += " " + std::string(command.verb);
    if (!command.options.empty()) out += " [OPTION]…";
    if (!command.arguments.empty()) out += " " + std::string(command.arguments);
    out += "\n\n" + std::string(command.summary) + ".\n";
    if (!command.details.empty()) out += "\n" + std::string(command.details);
    if (!command.options.empty()) out += "\nOptions:\n" + options_text(command.options);
    return out + "\nOptions of every command:\n" + options_text(global_options());
}

}  // namespace chain::cli
