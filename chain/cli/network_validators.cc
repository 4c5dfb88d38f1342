// SPDX-License-Identifier: BSD-3-Clause
//
// `network new --validators`: a network of several organisations' machines. One file for each of
// them, with the genesis, its wallet and where the others are; and one for everybody else.
#include "chain/cli/network_validators.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <ostream>
#include <set>

#include <arpa/inet.h>

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

constexpr char kValidatorTokens[] = "1000000";
constexpr char kDefaultRewards[] = "1000000";  // of the network, for those who seal by work
constexpr std::size_t kValidatorsMax = 256;
// A tenth of a validator's tokens is its stake.
constexpr std::int64_t kStakePart = 10;

struct Founder {
    std::string name;
    std::string address;  // host:port
    PublicKey account{};
    bool has_own_wallet = false;
    std::optional<KeyPair> key;  // of a wallet that is made here
    std::string wallet;          // the file's text
};

// What is written there reaches a machine: a name or an address, and a port.
bool is_reachable(const std::string &address) {
    const std::size_t colon = address.rfind(':');
    if (colon == std::string::npos) return false;
    std::string host = address.substr(0, colon);
    const auto port = parse_integer(address.substr(colon + 1), 1, 65'535, "port");
    if (!port.ok()) return false;
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        in6_addr ignored{};
        return inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &ignored) == 1;
    }
    if (host.find_first_not_of("0123456789.") == std::string::npos) {
        in_addr ignored{};
        return inet_pton(AF_INET, host.c_str(), &ignored) == 1;
    }
    for (std::size_t from = 0; from <= host.size();) {
        const std::size_t dot = std::min(host.find('.', from), host.size());
        if (!wire::is_valid_host_name(host.substr(from, dot - from))) return false;
        from = dot + 1;
    }
    return true;
}

// Where the daemon listens that is reached as `address`: on every interface, but for what stays on
// this machine.
std::string listen_address_for(const std::string &address) {
    const std::size_t colon = address.rfind(':');
    const std::string host = address.substr(0, colon);
    const bool is_loopback = host.starts_with("127.") || host == "localhost" || host == "[::1]";
    return (is_loopback ? host : "0.0.0.0") + address.substr(colon);
}

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
    if (is_bare) founder.address += std::string(":") + kDefaultPort;
    if (!is_reachable(founder.address))
        return bad("HOST is a name or an IP address, PORT 1 to 65535");
    if (!founder.has_own_wallet) {
        founder.key = KeyPair::generate();
        founder.account = founder.key->public_key();
    }
    return founder;
}

Result<std::vector<Founder>> parse_founders(const std::string &list) {
    std::vector<Founder> founders;
    std::set<std::string> names, addresses, accounts;
    const auto once = [](std::set<std::string> &seen, const std::string &what) -> Status {
        if (seen.insert(what).second) return ok_status();
        return make_error(ErrorCode::kInvalidInput, "--validators: ", what,
                          " stands there twice; each validator has a name, a machine and a wallet "
                          "of its own");
    };
    if (list.find_first_not_of(", ") == std::string::npos)
        return make_error(ErrorCode::kInvalidInput,
                          "--validators names nobody\nWrite NAME@HOST:PORT for each, with commas "
                          "between them.");
    for (std::size_t from = 0; from <= list.size();) {
        const std::size_t comma = std::min(list.find(',', from), list.size());
        if (comma == from)
            return make_error(ErrorCode::kInvalidInput,
                              "--validators: there is nothing before or after a comma");
        CHAIN_ASSIGN(Founder founder, parse_founder(list.substr(from, comma - from)));
        CHAIN_TRY(once(names, founder.name));
        CHAIN_TRY(once(addresses, founder.address));
        CHAIN_TRY(once(accounts, to_address(founder.account)));
        founders.push_back(std::move(founder));
        from = comma + 1;
    }
    if (founders.size() > kValidatorsMax)
        return make_error(ErrorCode::kInvalidInput, "--validators: at most ", kValidatorsMax);
    return founders;
}

// Made in the folder of the output, read, and removed: its text goes into the validator's file.
Status make_wallet(Founder &founder, const std::string &path, std::string_view password) {
    CHAIN_TRY(create_wallet(path, *founder.key, password));
    const auto text = read_private_file(path, 1u << 20, ErrorCode::kNoWallet, "wallet");
    if (std::remove(path.c_str()) != 0) return make_error(ErrorCode::kIo, "cannot remove ", path);
    if (!text.ok()) return text.error();
    founder.wallet = *text;
    return ok_status();
}

std::string path_in(std::string folder, const std::string &name) {
    while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
    return folder + "/" + name;
}

// Blocks may come several times in a second: "300ms".
Result<std::uint64_t> parse_spacing_ms(const std::string &text) {
    constexpr std::uint64_t kLeastMs = 10, kMostMs = 24 * 3'600'000;
    std::uint64_t ms = 0;
    if (text.ends_with("ms")) {
        const auto number = parse_integer(text.substr(0, text.size() - 2), 0, kMostMs, "--spacing");
        if (number.ok()) ms = *number;
    } else if (const auto parsed = parse_duration_ms(text); parsed.ok()) {
        ms = *parsed;
    }
    if (ms < kLeastMs || ms > kMostMs)
        return make_error(ErrorCode::kInvalidInput, "--spacing \"", client::printable(text),
                          "\": from 10ms to 24h, as in 300ms, 1s, 15s, 2m");
    return ms;
}

// Of the target at the beginning: that one thread finds a block in about a spacing. It follows the
// miners there are within some half-lives.
std::uint32_t first_bits(const std::string &proof_of_work, std::uint64_t spacing_ms) {
    const std::uint64_t hashes_per_s = proof_of_work == "randomx" ? 8 : 1u << 18;
    std::uint32_t bits = 1;
    for (std::uint64_t hashes = hashes_per_s * spacing_ms / 1'000; hashes > 1; hashes /= 2) ++bits;
    return bits;
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
        if (consensus.proof_of_work != "sha256d" && consensus.proof_of_work != "randomx")
            return make_error(ErrorCode::kInvalidInput, "--proof-of-work \"",
                              client::printable(consensus.proof_of_work),
                              "\": it is sha256d or randomx");
        consensus.first_target_bits = first_bits(consensus.proof_of_work, consensus.spacing_ms);
        // A share about every ten seconds of a thread.
        consensus.share_bits = consensus.proof_of_work == "randomx" ? 8 : 22;
        if (arguments.has("share-epoch")) {
            CHAIN_ASSIGN(const std::uint64_t blocks, parse_integer(arguments.value("share-epoch"),
                                                                   0, 100'000, "--share-epoch"));
            consensus.share_epoch_blocks = static_cast<std::uint32_t>(blocks);
        }
    } else {
        for (const std::string_view option : {"proof-of-work", "share-epoch", "rewards"})
            if (arguments.has(option))
                return make_error(ErrorCode::kInvalidInput, "--", option,
                                  " goes with --consensus por");
        consensus.epoch_blocks = 1;
        consensus.vote_depth = 0;
    }
    CHAIN_ASSIGN(
        const Amount tokens,
        parse_tokens(arguments.has("tokens") ? arguments.value("tokens") : kValidatorTokens));
    const Amount stake{tokens.units / kStakePart};
    if (stake.units == 0)
        return make_error(ErrorCode::kInvalidInput, "--tokens is too little: a tenth is staked");
    consensus.validator_stake_min_units = static_cast<std::uint64_t>(stake.units);
    if (by_work) {
        CHAIN_ASSIGN(
            const Amount pool,
            parse_tokens(arguments.has("rewards") ? arguments.value("rewards") : kDefaultRewards));
        genesis.params.reward_pool_units = static_cast<std::uint64_t>(pool.units);
    }
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

// What was founded, and where it is written.
struct Cloud {
    const std::string &folder;
    const std::string &chain_name;
    const ledger::Genesis &genesis;
    const std::vector<Founder> &founders;
    std::string path_of(const std::string &name) const {
        return path_in(folder, chain_name + "-" + name + ".join");
    }
};

Status write_join_files(const Cloud &cloud) {
    client::JoinFile member;
    member.genesis = ledger::format_genesis(cloud.genesis);
    for (const Founder &founder : cloud.founders) member.seeds.push_back(founder.address);
    for (const Founder &founder : cloud.founders) {
        client::JoinFile join;
        join.genesis = member.genesis;
        join.wallet = founder.wallet;
        join.listen_address = listen_address_for(founder.address);
        join.announce_address = founder.address;
        for (const std::string &seed : member.seeds)
            if (seed != founder.address) join.seeds.push_back(seed);
        join.seal = true;
        CHAIN_TRY(
            write_file_atomic(cloud.path_of(founder.name), client::format_join_file(join), 0600));
    }
    return write_file_atomic(cloud.path_of("member"), client::format_join_file(member), 0644);
}

void print_cloud(const Invocation &invocation, const Cloud &cloud) {
    std::ostream &out = invocation.console.out;
    const std::vector<Founder> &founders = cloud.founders;
    const std::size_t liars = (founders.size() - 1) / 3;
    if (invocation.json()) {
        client::Json files;
        for (const Founder &founder : founders) files[founder.name] = cloud.path_of(founder.name);
        out << client::json_text({{"chain_name", cloud.chain_name},
                                  {"chain_id", to_hex(cloud.genesis.chain_id)},
                                  {"tolerates", liars},
                                  {"validators", files},
                                  {"member", cloud.path_of("member")}});
        return;
    }
    out << "The network \"" << cloud.chain_name << "\" of " << founders.size()
        << (founders.size() == 1 ? " validator: " : " validators: ");
    if (liars == 0)
        out << "none of them may be away or lie; with four, one might.\n";
    else
        out << liars << " of them may be away or lie.\n";
    const bool holds_wallets = std::any_of(founders.begin(), founders.end(),
                                           [](const auto &one) { return !one.wallet.empty(); });
    out << "\nOne file for each"
        << (holds_wallets
                ? ", which holds its wallet under the password: bring it to that machine by "
                  "a way that you\ntrust, give it to nobody else, and remove it here"
                : ", to be brought to its machine")
        << ".\n";
    const bool by_work = cloud.genesis.consensus.kind == ledger::ConsensusKind::kPor;
    for (const Founder &founder : founders)
        out << "  " << founder.name << ": ompi-chaind --join "
            << shell_quoted(cloud.path_of(founder.name)) << " --password-file PASSWORD-FILE"
            << (by_work ? " --mine 1" : "") << "\n";
    out << "\nEverybody else:\n  ompi-chaind --join " << shell_quoted(cloud.path_of("member"))
        << "\n";
    if (by_work)
        out << "\nBlocks are found by work: whoever has a wallet may mine, too (--mine THREADS "
               "--password-file FILE).\n";
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
    // Everything that can be refused is refused before a folder is made.
    CHAIN_ASSIGN(const ledger::Genesis genesis, make_genesis(invocation, founders));
    std::string password;
    if (makes_wallets) {
        CHAIN_ASSIGN(password, read_password(invocation, "Password of the new wallets: ", true));
    }
    Status made = make_folders(folder, 0700);
    for (Founder &founder : founders)
        if (made.ok() && founder.key)
            made = make_wallet(founder, path_in(folder, founder.name + ".wallet"), password);
    wipe(password);
    CHAIN_TRY(made);
    const Cloud cloud{folder, chain_name, genesis, founders};
    CHAIN_TRY(write_join_files(cloud));
    print_cloud(invocation, cloud);
    return 0;
}

}  // namespace chain::cli
