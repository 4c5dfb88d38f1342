// SPDX-License-Identifier: BSD-3-Clause
//
// The folder of a devnet: plan, wallets, genesis. The processes are in devnet_start.cc.
#include "chain/cli/devnet.h"

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <ostream>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/un.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "chain/base/clock.h"
#include "chain/client/layout.h"
#include "chain/identity/keystore.h"
#include "chain/ledger/types.h"
#include "chain/provider/lease_folder.h"

namespace chain::cli {
namespace {

constexpr char kPlanFile[] = "devnet.json";
constexpr char kGenesisFile[] = "genesis.json";
constexpr char kLockFile[] = "devnet.lock";
constexpr char kDevnetFormat[] = "ompi-chain devnet 1";
constexpr std::size_t kPlanBytesMax = 64u << 10;
constexpr std::size_t kPasswordBytes = 32;
constexpr std::uint64_t kLockTimeoutMs = 30'000;
constexpr std::uint64_t kLockPollMs = 50;
constexpr std::size_t kSocketPathMax = sizeof(sockaddr_un::sun_path) - 1;
// Short, so that a person who tries things out sees a settlement at once.
constexpr std::uint64_t kChallengeWindowMs = 3000;
constexpr std::uint64_t kSettleGraceMs = 10'000;

std::string plan_text(const DevnetPlan &plan) {
    nlohmann::ordered_json json = {{"format", kDevnetFormat},
                                   {"providers", plan.provider_count},
                                   {"slots", plan.slot_count},
                                   {"ask_per_ghz_h", format_tokens(plan.ask_per_ghz_h)},
                                   {"tokens", format_tokens(plan.tokens)},
                                   {"port_base", plan.port_base}};
    if (!plan.scratch_size.empty()) json["scratch_size"] = plan.scratch_size;
    if (!plan.rules.empty()) json["rules"] = plan.rules;
    return json.dump(2) + "\n";
}

Result<DevnetPlan> parse_plan(const std::string &path, const std::string &text) {
    const auto corrupt = [&path](std::string_view what) {
        return make_error(ErrorCode::kCorrupt, path, " is damaged: ", what);
    };
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object() || json.value("format", nlohmann::json()) != kDevnetFormat)
        return corrupt("it is no plan of a devnet");
    DevnetPlan plan;
    const auto number = [&json](const char *name, std::uint64_t least, std::uint64_t most,
                                unsigned &value) {
        const auto found = json.find(name);
        if (found == json.end() || !found->is_number_unsigned()) return false;
        const auto read = found->get<std::uint64_t>();
        value = static_cast<unsigned>(read);
        return read >= least && read <= most;
    };
    const auto amount = [&json](const char *name, Amount &value) {
        const auto found = json.find(name);
        if (found == json.end() || !found->is_string()) return false;
        const auto read = parse_tokens(found->get<std::string>());
        if (read.ok()) value = *read;
        return read.ok();
    };
    if (!number("providers", 1, kDevnetProvidersMax, plan.provider_count))
        return corrupt("providers");
    if (!number("slots", 1, kDevnetSlotsMax, plan.slot_count)) return corrupt("slots");
    if (!number("port_base", 0, 65535, plan.port_base)) return corrupt("port_base");
    if (!amount("ask_per_ghz_h", plan.ask_per_ghz_h)) return corrupt("ask_per_ghz_h");
    if (!amount("tokens", plan.tokens)) return corrupt("tokens");
    const auto scratch = json.value("scratch_size", nlohmann::json(""));
    if (!scratch.is_string()) return corrupt("scratch_size");
    plan.scratch_size = scratch.get<std::string>();
    const auto rules = json.value("rules", nlohmann::json::object());
    if (!rules.is_object()) return corrupt("rules");
    for (const auto &[name, value] : rules.items()) {
        if (!value.is_number_unsigned()) return corrupt("rules");
        plan.rules[name] = value.get<std::uint64_t>();
    }
    return plan;
}

// The genesis with the rules that were asked for. Errors: kInvalidInput, with the rule that is
// none.
Result<std::string> genesis_text(const ledger::Genesis &genesis,
                                 const std::map<std::string, std::uint64_t> &rules) {
    std::string text = ledger::format_genesis(genesis);
    if (rules.empty()) return text;
    auto json = nlohmann::ordered_json::parse(text);
    for (const auto &[name, value] : rules) json["params"][name] = value;
    text = json.dump(2) + "\n";
    if (const auto parsed = ledger::parse_genesis(text); !parsed.ok())
        return make_error(ErrorCode::kInvalidInput, "--rule: ", parsed.error().message);
    return text;
}

Status check_socket_paths(const std::vector<DevnetNode> &nodes) {
    for (const DevnetNode &node : nodes) {
        const std::string path = node.socket_path();
        if (path.size() > kSocketPathMax)
            return make_error(ErrorCode::kInvalidInput, "the folder's name is too long: ", path,
                              " has ", path.size(), " bytes, and a Unix socket's path at most ",
                              kSocketPathMax, "\nChoose a shorter one with --folder DIR.");
    }
    return ok_status();
}

Result<bool> is_empty_folder(const std::string &folder) {
    std::error_code error;
    const bool empty = std::filesystem::is_empty(folder, error);
    if (error) return errno_error(error.value(), "read the folder " + folder);
    return empty;
}

// The node's wallet, made if it is not there; its public key.
Result<PublicKey> make_wallet(const DevnetNode &node) {
    const std::string wallet_path = node.path(client::layout::kWallet);
    if (!path_exists(wallet_path)) {
        std::array<char, kPasswordBytes> random{};
        fill_random(random.data(), random.size());
        std::string password = to_hex(std::string_view(random.data(), random.size()));
        CHAIN_TRY(write_file_atomic(node.password_path(), password + "\n", 0600));
        const Status made = create_wallet(wallet_path, KeyPair::generate(), password);
        wipe(random.data(), random.size());
        wipe(password);
        CHAIN_TRY(made);
    }
    CHAIN_ASSIGN(const std::string address, read_wallet_address(wallet_path));
    return parse_address(address);
}

volatile std::sig_atomic_t interrupted_flag = 0;
struct sigaction actions_before[3];
constexpr int kInterrupts[] = {SIGINT, SIGTERM, SIGHUP};

void note_interrupt(int) {
    interrupted_flag = 1;
}

}  // namespace

std::string DevnetNode::socket_path() const {
    return path(client::layout::kControlSocket);
}
std::string DevnetNode::pid_path() const {
    return path("ompi-chaind.pid");
}
std::string DevnetNode::log_path() const {
    return path("ompi-chaind.log");
}
std::string DevnetNode::password_path() const {
    return path("wallet.password");
}

Devnet::Devnet(std::string folder, const DevnetPlan &plan)
    : folder_(std::move(folder)), plan_(plan) {
    const auto add = [this](DevnetNode::Role role, const std::string &name) {
        nodes_.push_back({role, name, folder_ + "/" + name, static_cast<unsigned>(nodes_.size())});
    };
    add(DevnetNode::Role::kSealer, "sealer");
    add(DevnetNode::Role::kRenter, "renter");
    for (unsigned i = 1; i <= plan_.provider_count; ++i)
        add(DevnetNode::Role::kProvider, "provider-" + std::to_string(i));
}

Result<Devnet> Devnet::open(const std::string &folder) {
    const std::string path = folder + "/" + kPlanFile;
    const auto text = read_file(path, kPlanBytesMax);
    if (!text.ok() && text.error().code == ErrorCode::kNotFound)
        return make_error(ErrorCode::kNotFound, "there is no devnet in ", folder,
                          "\nMake one with `ompi-chain devnet up`.");
    if (!text.ok()) return text.error();
    CHAIN_ASSIGN(const DevnetPlan plan, parse_plan(path, *text));
    return Devnet(folder, plan);
}

Result<Devnet> Devnet::create(const std::string &folder, const DevnetPlan &plan,
                              std::ostream &talk) {
    Devnet devnet(folder, plan);
    CHAIN_TRY(check_socket_paths(devnet.nodes_));
    CHAIN_TRY(make_folders(folder, 0700));
    CHAIN_ASSIGN(const bool empty, is_empty_folder(folder));
    if (!empty)
        return make_error(ErrorCode::kConflict, folder,
                          " is not empty and holds no devnet\nChoose another one with --folder "
                          "DIR.");
    CHAIN_TRY(write_file_atomic(folder + "/" + kPlanFile, plan_text(plan), 0600));
    CHAIN_TRY(devnet.complete(talk));
    return devnet;
}

Status Devnet::complete(std::ostream &talk) {
    CHAIN_TRY(check_socket_paths(nodes_));
    const std::string genesis_path = folder_ + "/" + kGenesisFile;
    if (path_exists(genesis_path)) return ok_status();
    talk << "Making " << nodes_.size() << " wallets and the genesis in " << folder_ << std::endl;
    ledger::Genesis genesis;
    genesis.chain_name = "devnet";
    genesis.time_ms = system_clock().unix_ms();
    genesis.params.challenge_window_ms = kChallengeWindowMs;
    genesis.params.settle_grace_ms = kSettleGraceMs;
    for (const DevnetNode &node : nodes_) {
        if (interrupted()) return make_error(ErrorCode::kCancelled, "interrupted");
        CHAIN_TRY(make_folders(node.data_folder, 0700));
        CHAIN_ASSIGN(const PublicKey key, make_wallet(node));
        if (node.role == DevnetNode::Role::kSealer) genesis.sealer = key;
        genesis.allocations.emplace_back(key, plan_.tokens);
    }
    CHAIN_ASSIGN(const std::string text, genesis_text(genesis, plan_.rules));
    return write_file_atomic(genesis_path, text, 0600);
}

unsigned Devnet::running_count() const {
    unsigned count = 0;
    for (const DevnetNode &node : nodes_) count += node.process() ? 1 : 0;
    return count;
}

Result<FileDescriptor> Devnet::lock() const {
    const std::string path = folder_ + "/" + kLockFile;
    FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file.valid()) return errno_error(errno, "write " + path);
    const std::uint64_t until_ms = system_clock().steady_ms() + kLockTimeoutMs;
    while (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
        if (interrupted()) return make_error(ErrorCode::kCancelled, "interrupted");
        if (errno != EWOULDBLOCK && errno != EINTR) return errno_error(errno, "lock " + path);
        if (system_clock().steady_ms() >= until_ms)
            return make_error(ErrorCode::kConflict, "another `ompi-chain devnet` works on ",
                              folder_);
        usleep(kLockPollMs * 1000);
    }
    return file;
}

Status Devnet::purge() {
    CHAIN_CHECK(running_count() == 0);
    // Of a provider that was killed, nobody else would take away what it ran and kept: its next
    // start will not come.
    for (const DevnetNode &node : nodes_) {
        const std::string path = node.path(client::layout::kNodeKey);
        if (node.role != DevnetNode::Role::kProvider || !path_exists(path)) continue;
        CHAIN_ASSIGN(const KeyPair key, load_or_create_node_key(path));
        CHAIN_ASSIGN(const std::string scratch, provider::default_scratch_root(key.public_key()));
        if (!path_exists(scratch)) continue;
        provider::forget_results(scratch);
        CHAIN_TRY(provider::reap_leftovers(scratch));
    }
    return remove_tree(folder_);
}

InterruptGuard::InterruptGuard() {
    interrupted_flag = 0;
    struct sigaction action {};
    action.sa_handler = note_interrupt;
    for (std::size_t i = 0; i < std::size(kInterrupts); ++i)
        sigaction(kInterrupts[i], &action, &actions_before[i]);
}

InterruptGuard::~InterruptGuard() {
    for (std::size_t i = 0; i < std::size(kInterrupts); ++i)
        sigaction(kInterrupts[i], &actions_before[i], nullptr);
}

bool interrupted() {
    return interrupted_flag != 0;
}

}  // namespace chain::cli
