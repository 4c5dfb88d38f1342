// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <ostream>

#include <sys/un.h>
#include <unistd.h>

#include "chain/cli/cli.h"
#include "chain/cli/devnet.h"
#include "chain/client/json.h"
#include "chain/client/text.h"

namespace chain::cli {
namespace {

using client::Align;
using client::Json;

constexpr char kDefaultAsk[] = "0.01";
constexpr char kDevnetTokens[] = "1000";
constexpr int kStatusTimeoutMs = 2000;
constexpr std::size_t kTemporaryPathMax = 60;

std::string default_folder(const Invocation &invocation) {
    const char *named = std::getenv("OMPI_CHAIN_DEVNET");
    if (named != nullptr && *named != '\0' && !invocation.arguments.has("data")) return named;
    return invocation.data_folder() + "/devnet";
}

// Daemons work in "/": the folder must not depend on where the command was typed.
std::string folder_of(const Invocation &invocation) {
    const std::string given = invocation.arguments.value("folder");
    std::error_code error;
    auto path =
        std::filesystem::absolute(given.empty() ? default_folder(invocation) : given, error);
    std::string folder = path.lexically_normal().string();
    while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
    return folder;
}

Result<DevnetPlan> plan_of(const Invocation &invocation) {
    const Arguments &arguments = invocation.arguments;
    DevnetPlan plan;
    const auto number = [&arguments](const char *option, std::uint64_t least, std::uint64_t most,
                                     unsigned fallback) -> Result<unsigned> {
        if (!arguments.has(option)) return fallback;
        CHAIN_ASSIGN(const std::uint64_t value, parse_integer(arguments.value(option), least, most,
                                                              "--" + std::string(option)));
        return static_cast<unsigned>(value);
    };
    const auto tokens = [&arguments](const char *option, const char *fallback) {
        return parse_tokens(arguments.has(option) ? arguments.value(option) : fallback);
    };
    CHAIN_ASSIGN(plan.provider_count,
                 number("providers", 1, kDevnetProvidersMax, plan.provider_count));
    // Two slots each even on a small machine, so that examples with two ranks a node run.
    const long cores = std::max(1L, sysconf(_SC_NPROCESSORS_ONLN));
    const unsigned share = static_cast<unsigned>(cores) / plan.provider_count;
    CHAIN_ASSIGN(plan.slot_count, number("slots", 1, kDevnetSlotsMax, std::max(2u, share)));
    CHAIN_ASSIGN(plan.port_base, number("port-base", 1024, 65535 - kDevnetProvidersMax - 2, 0));
    CHAIN_ASSIGN(plan.ask_per_ghz_h, tokens("ask", kDefaultAsk));
    CHAIN_ASSIGN(plan.tokens, tokens("tokens", kDevnetTokens));
    if (arguments.has("scratch-size")) {
        plan.scratch_size = arguments.value("scratch-size");
        CHAIN_TRY(parse_size_bytes(plan.scratch_size));
    }
    if (const auto rules = arguments.options.find("rule"); rules != arguments.options.end())
        for (const std::string &rule : rules->second) {
            const std::size_t equals = std::min(rule.find('='), rule.size());
            CHAIN_ASSIGN(plan.rules[rule.substr(0, equals)],
                         parse_integer(rule.substr(std::min(equals + 1, rule.size())), 0, INT64_MAX,
                                       "--rule " + rule + ": what follows NAME="));
        }
    return plan;
}

Result<DevnetStart> start_of(const Invocation &invocation) {
    DevnetStart how;
    CHAIN_ASSIGN(how.daemon_path, find_daemon());
    if (invocation.arguments.has("log-level"))
        how.log_level = invocation.arguments.value("log-level");
    if (invocation.arguments.has("peer-silence")) {
        how.peer_silence = invocation.arguments.value("peer-silence");
        CHAIN_TRY(parse_duration_ms(how.peer_silence));
    }
    if (invocation.arguments.has("timeout")) {
        CHAIN_ASSIGN(const std::uint64_t timeout_ms,
                     parse_duration_ms(invocation.arguments.value("timeout")));
        constexpr std::uint64_t kTimeoutMaxMs = 3'600'000;
        how.timeout_ms = static_cast<int>(std::min(timeout_ms, kTimeoutMaxMs));
    }
    return how;
}

Status check_same_plan(const Invocation &invocation, const Devnet &devnet) {
    CHAIN_ASSIGN(const DevnetPlan wanted, plan_of(invocation));
    const DevnetPlan &there = devnet.plan();
    const Arguments &arguments = invocation.arguments;
    const bool differs =
        (arguments.has("providers") && wanted.provider_count != there.provider_count) ||
        (arguments.has("slots") && wanted.slot_count != there.slot_count) ||
        (arguments.has("ask") && wanted.ask_per_ghz_h != there.ask_per_ghz_h) ||
        (arguments.has("tokens") && wanted.tokens != there.tokens) ||
        (arguments.has("scratch-size") && wanted.scratch_size != there.scratch_size) ||
        (arguments.has("rule") && wanted.rules != there.rules) ||
        (arguments.has("port-base") && wanted.port_base != there.port_base);
    if (!differs) return ok_status();
    return make_error(ErrorCode::kConflict, "the devnet in ", devnet.folder(), " has ",
                      there.provider_count, " providers with ", there.slot_count, " slots each at ",
                      format_tokens(there.ask_per_ghz_h),
                      "\nForget it with `ompi-chain devnet down --purge`, or choose another folder "
                      "with --folder DIR.");
}

std::string folder_option(const Invocation &invocation, const Devnet &devnet) {
    if (!invocation.arguments.has("folder")) return {};
    return " --folder " + shell_quoted(devnet.folder());
}

void print_usage(const Invocation &invocation, const Devnet &devnet, bool was_running) {
    const DevnetPlan &plan = devnet.plan();
    const std::string folder = folder_option(invocation, devnet);
    Console &console = invocation.console;
    if (invocation.json()) {
        Json json = {{"folder", devnet.folder()},
                     {"already_running", was_running},
                     {"providers", plan.provider_count},
                     {"slots", plan.slot_count},
                     {"ask_per_ghz_h", client::json_amount(plan.ask_per_ghz_h.units)}};
        Json environment = Json::object();
        for (const auto &[name, value] : renter_environment(devnet)) environment[name] = value;
        json["environment"] = std::move(environment);
        console.out << client::json_text(json);
        return;
    }
    console.out << "The devnet in " << devnet.folder()
                << (was_running ? " runs already: " : " runs: ") << plan.provider_count
                << (plan.provider_count == 1 ? " provider, " : " providers, ") << plan.slot_count
                << " slots each, at " << format_tokens(plan.ask_per_ghz_h)
                << " tokens per GHz·h.\n\n"
                << "  eval \"$(ompi-chain devnet env" << folder
                << ")\"   # this shell rents\n"
                   "  mpirun --chain-lease "
                << plan.provider_count * plan.slot_count
                << " hostname\n"
                   "  ompi-chain lease list --all\n"
                   "  ompi-chain devnet down"
                << folder << "            # stop; --purge forgets it\n";
}

Result<int> run_up(Invocation &invocation) {
    const std::string folder = folder_of(invocation);
    std::ostream &talk = invocation.console.err;
    const InterruptGuard guard;
    CHAIN_ASSIGN(const DevnetStart how, start_of(invocation));
    Result<Devnet> devnet = Devnet::open(folder);
    if (!devnet.ok() && devnet.error().code != ErrorCode::kNotFound) return devnet.error();
    if (!devnet.ok()) {
        CHAIN_ASSIGN(const DevnetPlan plan, plan_of(invocation));
        devnet = Devnet::create(folder, plan, talk);
        if (!devnet.ok()) return devnet.error();
    }
    CHAIN_TRY(check_same_plan(invocation, *devnet));
    CHAIN_ASSIGN(const FileDescriptor lock, devnet->lock());
    const bool was_running = devnet->running();
    if (!was_running) {
        CHAIN_TRY(devnet->complete(talk));
        CHAIN_TRY(devnet->start(how, talk));
    }
    print_usage(invocation, *devnet, was_running);
    return 0;
}

Result<int> run_down(Invocation &invocation) {
    const std::string folder = folder_of(invocation);
    Result<Devnet> devnet = Devnet::open(folder);
    if (!devnet.ok() && devnet.error().code == ErrorCode::kNotFound) {
        invocation.console.err << "There is no devnet in " << folder << ": nothing to stop.\n";
        return 0;
    }
    if (!devnet.ok()) return devnet.error();
    CHAIN_ASSIGN(const FileDescriptor lock, devnet->lock());
    const unsigned running = devnet->running_count();
    CHAIN_TRY(devnet->stop(invocation.console.err));
    if (invocation.arguments.has("purge")) CHAIN_TRY(devnet->purge());
    invocation.console.err << (running == 0 ? "The devnet was not running"
                                            : "The devnet is stopped")
                           << (invocation.arguments.has("purge") ? " and deleted.\n" : ".\n");
    return 0;
}

struct NodeLine {
    std::optional<ProcessIdentity> process;
    std::optional<wire::NodeStatus> status;
    std::optional<std::int64_t> balance;
};

NodeLine look_at(const DevnetNode &node) {
    NodeLine line;
    line.process = node.process();
    if (!line.process) return line;
    wire::ControlRequest status, wallet;
    status.mutable_node_status();
    wallet.mutable_wallet_show();
    if (const auto reply = ask_node(node, status, kStatusTimeoutMs); reply.ok())
        line.status = reply->node_status();
    if (const auto reply = ask_node(node, wallet, kStatusTimeoutMs); reply.ok())
        line.balance = reply->wallet().balance();
    return line;
}

std::string state_of(const NodeLine &line) {
    if (!line.process) return "stopped";
    return line.status ? "running" : "silent";
}

Json json_node(const DevnetNode &node, const NodeLine &line) {
    return {{"name", node.name},
            {"state", state_of(line)},
            {"pid", line.process ? Json(line.process->pid) : Json(nullptr)},
            {"height", line.status ? Json(line.status->height()) : Json(nullptr)},
            {"peers", line.status ? Json(line.status->peer_count()) : Json(nullptr)},
            {"balance", line.balance ? client::json_amount(*line.balance) : Json(nullptr)},
            {"address", line.status ? Json(line.status->listen_address()) : Json(nullptr)},
            {"data_folder", node.data_folder},
            {"socket", node.socket_path()},
            {"log", node.log_path()}};
}

Result<int> devnet_status(Invocation &invocation) {
    CHAIN_ASSIGN(const Devnet devnet, Devnet::open(folder_of(invocation)));
    client::Table table({{"node", Align::kLeft},
                         {"state", Align::kLeft},
                         {"pid", Align::kRight},
                         {"height", Align::kRight},
                         {"balance", Align::kPoint},
                         {"address", Align::kLeft},
                         {"socket", Align::kLeft, 110}});
    Json nodes = Json::array();
    for (const DevnetNode &node : devnet.nodes()) {
        const NodeLine line = look_at(node);
        nodes.push_back(json_node(node, line));
        table.add_row({node.name, state_of(line),
                       line.process ? std::to_string(line.process->pid) : "-",
                       line.status ? std::to_string(line.status->height()) : "-",
                       line.balance ? client::format_units(*line.balance) : "-",
                       line.status ? line.status->listen_address() : "-", node.socket_path()});
    }
    if (invocation.json())
        invocation.console.out << client::json_text({{"folder", devnet.folder()},
                                                     {"running", devnet.running()},
                                                     {"nodes", std::move(nodes)}});
    else
        invocation.console.out << table.format();
    return 0;
}

Result<int> run_env(Invocation &invocation) {
    CHAIN_ASSIGN(const Devnet devnet, Devnet::open(folder_of(invocation)));
    if (!devnet.renter().process())
        return make_error(
            ErrorCode::kDaemonNotRunning, "the devnet in ", devnet.folder(),
            devnet.running_count() == 0 ? " does not run" : " has no renter: its node has ended",
            "\nStart it with `ompi-chain devnet up", folder_option(invocation, devnet), "`.");
    if (!devnet.running())
        invocation.console.err << devnet.running_count() << " of " << devnet.nodes().size()
                               << " nodes run; `ompi-chain devnet up"
                               << folder_option(invocation, devnet) << "` starts the others.\n";
    for (const auto &[name, value] : renter_environment(devnet))
        invocation.console.out << "export " << name << "=" << shell_quoted(value) << "\n";
    return 0;
}

// $TMPDIR if sockets below it fit, else /tmp.
Result<std::string> temporary_folder(std::ostream &talk) {
    const char *named = std::getenv("TMPDIR");
    std::string parent = named == nullptr || *named == '\0' ? "/tmp" : named;
    if (parent.size() > kTemporaryPathMax) {
        talk << "$TMPDIR is too long for the paths of Unix sockets (" << parent.size() << " of "
             << kTemporaryPathMax << " bytes): /tmp is taken\n";
        parent = "/tmp";
    }
    std::string path = parent + "/ompi-devnet-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) return errno_error(errno, "make a folder in " + parent);
    return std::filesystem::absolute(path).string();
}

// Up, the program, down; the folder stays for the caller to remove.
Result<int> run_in(const Invocation &invocation, const std::string &folder, std::ostream &talk) {
    CHAIN_ASSIGN(const DevnetPlan plan, plan_of(invocation));
    CHAIN_ASSIGN(DevnetStart how, start_of(invocation));
    how.dies_with_parent = true;
    Result<Devnet> devnet = Error{};
    {
        const InterruptGuard guard;
        devnet = Devnet::create(folder, plan, talk);
        if (!devnet.ok()) return devnet.error();
        CHAIN_TRY(devnet->start(how, talk));
    }
    const Result<int> code = run_program(invocation.arguments.program, renter_environment(*devnet));
    const InterruptGuard guard;
    CHAIN_TRY(devnet->stop(talk));
    return code;
}

Result<int> run_run(Invocation &invocation) {
    std::ostream &talk = invocation.console.err;
    CHAIN_ASSIGN(const std::string folder, temporary_folder(talk));
    const Result<int> code = run_in(invocation, folder, talk);
    if (invocation.arguments.has("keep")) {
        talk << "The devnet's folder is kept: " << folder << "\n";
        return code;
    }
    const Status removed = remove_tree(folder);
    if (!removed.ok()) talk << removed.error().to_text() << "\n";
    return code;
}

std::vector<Option> plan_options() {
    return {{"providers", "N", "how many machines to lease (default: 2)"},
            {"slots", "N", "that each lends (default: its share of the cores, at least 2)"},
            {"ask", "PRICE", "tokens per GHz·h that each asks (default: 0.01)"},
            {"tokens", "T", "that each node starts with (default: 1000)"},
            {"log-level", "LEVEL", "of the daemons: debug, note, warning, error"},
            {"timeout", "T", "how long it may take to start (default: 60s)"}};
}

std::vector<Option> up_options() {
    std::vector<Option> options = plan_options();
    options.push_back({"port-base", "PORT", "first of the ports (default: any that are free)"});
    options.push_back({"folder", "DIR", "where (default: devnet in the data folder)"});
    options.push_back(
        {"peer-silence", "T", "after which a peer of a lease is lost (default: 2.7s)"});
    options.push_back({"scratch-size", "SIZE", "of disk for each lease (default: 4G)"});
    options.push_back({"rule", "NAME=N", "a number of the genesis' params, as often as need be"});
    return options;
}

std::vector<Option> run_options() {
    std::vector<Option> options = plan_options();
    options.push_back({"keep", "", "leave the folder with ledgers and logs"});
    return options;
}

constexpr Option kFolder = {"folder", "DIR", "where it is (default: devnet in the data folder)"};

}  // namespace

std::vector<Command> devnet_commands() {
    return {
        {.noun = "devnet",
         .verb = "up",
         .summary = "Start a private network on this machine",
         .examples = "  ompi-chain devnet up --providers 2\n"
                     "  eval \"$(ompi-chain devnet env)\" && mpirun --chain-lease 4 hostname\n",
         .details = "A sealer, a renter and N providers, each a daemon with its own wallet, on "
                    "loopback only.\nStarts again on the old ledger after `devnet down`, a crash "
                    "or a reboot.\n",
         .options = up_options(),
         .run = run_up},
        {.noun = "devnet",
         .verb = "down",
         .summary = "Stop it; fine if it does not run",
         .examples = "  ompi-chain devnet down\n"
                     "  ompi-chain devnet down --purge    # and forget its ledger and wallets\n",
         .options = {kFolder, {"purge", "", "delete the folder"}},
         .run = run_down},
        {.noun = "devnet",
         .verb = "status",
         .summary = "Its nodes, heights and balances",
         .examples = "  ompi-chain devnet status\n"
                     "  ompi-chain devnet status --json | jq '.nodes[].height'\n",
         .options = {kFolder},
         .run = devnet_status},
        {.noun = "devnet",
         .verb = "env",
         .summary = "Shell commands that make a shell its renter",
         .examples = "  eval \"$(ompi-chain devnet env)\"\n",
         .options = {kFolder},
         .run = run_env},
        {.noun = "devnet",
         .verb = "run",
         .arguments = "[--] COMMAND…",
         .runs_program = true,
         .summary = "Run COMMAND in a network of its own, which is removed at the end",
         .examples = "  ompi-chain devnet run --providers 2 -- mpirun --chain-lease 4 hostname\n"
                     "  ompi-chain devnet run --keep -- make check-system\n",
         .details = "Signals are passed on. The exit code is COMMAND's; 128 + n if signal n ended "
                    "it.\n",
         .options = run_options(),
         .run = run_run},
    };
}

}  // namespace chain::cli
