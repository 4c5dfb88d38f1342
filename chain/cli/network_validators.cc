// SPDX-License-Identifier: BSD-3-Clause
//
// `network new --validators`: a network of several organisations' machines. One file for each of
// them, with the genesis, its wallet and where the others are; and one for everybody else.
#include "chain/cli/network_validators.h"

#include <algorithm>
#include <cstdio>
#include <ostream>
#include <set>

#include "chain/base/clock.h"
#include "chain/base/file.h"
#include "chain/client/join_file.h"
#include "chain/client/json.h"
#include "chain/client/text.h"
#include "chain/identity/keystore.h"
#include "chain/ledger/types.h"
#include "chain/wire/frame.h"

namespace chain::cli {
namespace {

constexpr char kPort[] = "7660";
constexpr char kDefaultTokens[] = "1000000";  // of each validator
constexpr std::size_t kValidatorsMax = 256;
// A tenth of a validator's tokens is its stake.
constexpr std::int64_t kStakePart = 10;

struct Founder {
    std::string name;
    std::string address;  // host:port
    PublicKey account{};
    bool has_own_wallet = false;
    std::string wallet;  // the file's text, where it was made here
};

// NAME@HOST[:PORT] or NAME=ADDRESS@HOST[:PORT].
Result<Founder> parse_founder(const std::string &text) {
    const auto bad = [&](std::string_view why) {
        return make_error(ErrorCode::kInvalidInput, "--validators \"", client::printable(text),
                          "\": ", why,
                          "\nWrite NAME@HOST:PORT for each, with commas between them.");
    };
    const std::size_t at = text.find('@');
    if (at == std::string::npos) return bad("there is no @HOST");
    Founder founder;
    founder.name = text.substr(0, at);
    founder.address = text.substr(at + 1);
    if (const std::size_t equals = founder.name.find('='); equals != std::string::npos) {
        const auto account = parse_address(founder.name.substr(equals + 1));
        if (!account.ok()) return bad(account.error().message);
        founder.account = *account;
        founder.has_own_wallet = true;
        founder.name.resize(equals);
    }
    if (!wire::is_valid_host_name(founder.name))
        return bad("a name has letters, digits and inner dashes");
    const bool is_bare = founder.address.find(':') == std::string::npos ||
                         (founder.address.front() == '[' && founder.address.back() == ']');
    if (founder.address.empty()) return bad("the host is missing");
    if (is_bare) founder.address += std::string(":") + kPort;
    return founder;
}

Result<std::vector<Founder>> parse_founders(const std::string &list) {
    std::vector<Founder> founders;
    std::set<std::string> names, addresses;
    for (std::size_t from = 0; from <= list.size();) {
        const std::size_t comma = std::min(list.find(',', from), list.size());
        CHAIN_ASSIGN(const Founder founder, parse_founder(list.substr(from, comma - from)));
        if (!names.insert(founder.name).second || !addresses.insert(founder.address).second)
            return make_error(ErrorCode::kInvalidInput, "--validators: \"", founder.name, "\" or ",
                              founder.address, " stands there twice");
        founders.push_back(founder);
        from = comma + 1;
    }
    if (founders.size() > kValidatorsMax)
        return make_error(ErrorCode::kInvalidInput, "--validators: at most ", kValidatorsMax);
    return founders;
}

// Made in the folder of the output, read, and removed: its text goes into the validator's file.
Status make_wallet(Founder &founder, const std::string &path, std::string_view password) {
    const KeyPair key = KeyPair::generate();
    founder.account = key.public_key();
    CHAIN_TRY(create_wallet(path, key, password));
    const auto text = read_private_file(path, 1u << 20, ErrorCode::kNoWallet, "wallet");
    if (std::remove(path.c_str()) != 0) return make_error(ErrorCode::kIo, "cannot remove ", path);
    if (!text.ok()) return text.error();
    founder.wallet = *text;
    return ok_status();
}

std::string port_of(const std::string &address) {
    return address.substr(address.rfind(':') + 1);
}

// Blocks may come several times in a second: "300ms".
Result<std::uint64_t> parse_spacing_ms(const std::string &text) {
    if (!text.ends_with("ms")) return parse_duration_ms(text);
    return parse_integer(text.substr(0, text.size() - 2), 10, 1'000'000, "--spacing");
}

Result<ledger::Genesis> make_genesis(const Invocation &invocation,
                                     const std::vector<Founder> &founders) {
    const Arguments &arguments = invocation.arguments;
    ledger::Genesis genesis;
    genesis.chain_name = arguments.has("name") ? arguments.value("name") : "cloud";
    if (!wire::is_valid_host_name(genesis.chain_name))
        return make_error(ErrorCode::kInvalidInput, "--name \"",
                          client::printable(genesis.chain_name),
                          "\": letters, digits and inner dashes, 63 at most");
    genesis.time_ms = system_clock().unix_ms();
    ledger::ConsensusParams &consensus = genesis.consensus;
    const std::string kind = arguments.has("consensus") ? arguments.value("consensus") : "poa";
    if (kind != "poa" && kind != "por")
        return make_error(ErrorCode::kInvalidInput, "--consensus \"", client::printable(kind),
                          "\": it is poa (validators take turns) or por (proof of resource)");
    const bool by_work = kind == "por";
    consensus.kind = by_work ? ledger::ConsensusKind::kPor : ledger::ConsensusKind::kPoa;
    consensus.spacing_ms = by_work ? 15'000 : 1'000;
    if (arguments.has("spacing")) {
        CHAIN_ASSIGN(consensus.spacing_ms, parse_spacing_ms(arguments.value("spacing")));
    }
    consensus.turn_ms = 2 * consensus.spacing_ms;
    if (by_work) {
        consensus.epoch_blocks = 8;
        consensus.vote_depth = 4;
        consensus.half_life_ms = 30 * consensus.spacing_ms;
        if (arguments.has("proof-of-work"))
            consensus.proof_of_work = arguments.value("proof-of-work");
        // A share about every ten seconds of a thread.
        consensus.share_bits = consensus.proof_of_work == "randomx" ? 8 : 22;
        if (arguments.has("share-epoch")) {
            CHAIN_ASSIGN(const std::uint64_t blocks, parse_integer(arguments.value("share-epoch"),
                                                                   0, 100'000, "--share-epoch"));
            consensus.share_epoch_blocks = static_cast<std::uint32_t>(blocks);
        }
    } else {
        consensus.epoch_blocks = 1;
        consensus.vote_depth = 0;
    }
    CHAIN_ASSIGN(
        const Amount tokens,
        parse_tokens(arguments.has("tokens") ? arguments.value("tokens") : kDefaultTokens));
    const Amount stake{tokens.units / kStakePart};
    if (stake.units == 0)
        return make_error(ErrorCode::kInvalidInput, "--tokens is too little: a tenth is staked");
    consensus.validator_stake_min_units = static_cast<std::uint64_t>(stake.units);
    for (const Founder &founder : founders) {
        genesis.allocations.emplace_back(founder.account, Amount{tokens.units - stake.units});
        genesis.validators.emplace_back(founder.account, stake);
    }
    // What the file would say is what must be right.
    return ledger::parse_genesis(ledger::format_genesis(genesis));
}

// Everything is checked before the first file is written.
Status check_output(const std::string &folder, const std::vector<Founder> &founders,
                    const std::string &chain_name) {
    for (const Founder &founder : founders)
        if (founder.name == "member")
            return make_error(ErrorCode::kInvalidInput,
                              "--validators: \"member\" is the name of everybody else's file");
    if (path_exists(folder + "/" + chain_name + "-member.join"))
        return make_error(ErrorCode::kConflict, folder,
                          " holds such a network already\nName "
                          "another folder with --output DIR.");
    return ok_status();
}

}  // namespace

Result<int> found_validators(Invocation &invocation) {
    const Arguments &arguments = invocation.arguments;
    CHAIN_ASSIGN(std::vector<Founder> founders, parse_founders(arguments.value("validators")));
    const std::string folder = arguments.value("output");
    if (folder.empty())
        return make_error(ErrorCode::kInvalidInput,
                          "say in which folder the files go: --output cloud");
    const std::string chain_name = arguments.has("name") ? arguments.value("name") : "cloud";
    CHAIN_TRY(check_output(folder, founders, chain_name));
    const bool makes_wallets = std::any_of(founders.begin(), founders.end(),
                                           [](const auto &one) { return !one.has_own_wallet; });
    CHAIN_TRY(make_folders(folder, 0700));
    if (makes_wallets) {
        CHAIN_ASSIGN(std::string password,
                     read_password(invocation, "Password of the new wallets: ", true));
        Status made = ok_status();
        for (Founder &founder : founders)
            if (made.ok() && !founder.has_own_wallet)
                made = make_wallet(founder, folder + "/" + founder.name + ".wallet", password);
        wipe(password);
        CHAIN_TRY(made);
    }
    CHAIN_ASSIGN(const ledger::Genesis genesis, make_genesis(invocation, founders));
    const std::string text = ledger::format_genesis(genesis);
    const auto path_of = [&](const std::string &name) {
        return folder + "/" + chain_name + "-" + name + ".join";
    };
    client::JoinFile member;
    member.genesis = text;
    for (const Founder &founder : founders) member.seeds.push_back(founder.address);
    for (const Founder &founder : founders) {
        client::JoinFile join;
        join.genesis = text;
        join.wallet = founder.wallet;
        join.listen_address = "0.0.0.0:" + port_of(founder.address);
        join.announce_address = founder.address;
        for (const std::string &seed : member.seeds)
            if (seed != founder.address) join.seeds.push_back(seed);
        join.seal = true;
        CHAIN_TRY(write_file_atomic(path_of(founder.name), client::format_join_file(join), 0600));
    }
    CHAIN_TRY(write_file_atomic(path_of("member"), client::format_join_file(member), 0644));

    std::ostream &out = invocation.console.out;
    const std::size_t liars = (founders.size() - 1) / 3;
    if (invocation.json()) {
        client::Json files;
        for (const Founder &founder : founders) files[founder.name] = path_of(founder.name);
        out << client::json_text({{"chain_name", chain_name},
                                  {"chain_id", to_hex(genesis.chain_id)},
                                  {"tolerates", liars},
                                  {"validators", files},
                                  {"member", path_of("member")}});
        return 0;
    }
    out << "The network \"" << chain_name << "\" of " << founders.size() << " validators: " << liars
        << " of them may be away or lie" << (liars == 0 ? ". With four, one might.\n" : ".\n")
        << "\nOne file for each, which holds its wallet: give it to nobody else.\n";
    for (const Founder &founder : founders)
        out << "  " << founder.name << ": ompi-chaind --join "
            << shell_quoted(path_of(founder.name)) << " --password-file PASSWORD-FILE\n";
    out << "\nEverybody else:\n  ompi-chaind --join " << shell_quoted(path_of("member")) << "\n";
    return 0;
}

}  // namespace chain::cli
