// SPDX-License-Identifier: BSD-3-Clause
//
// The processes of a devnet: start, wait until the network is whole, stop.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <ostream>
#include <set>

#include <unistd.h>

#include "chain/base/clock.h"
#include "chain/cli/devnet.h"
#include "chain/client/layout.h"
#include "chain/client/text.h"

namespace chain::cli {
namespace {

constexpr std::uint64_t kPollMs = 50;
constexpr std::uint64_t kPauseMsPerNode = 12;  // before all are asked again
constexpr int kAskTimeoutMs = 2000;
constexpr std::uint64_t kStopMs = 15'000;  // a provider packs, a renter settles
constexpr std::uint64_t kTermMs = 5000;
constexpr std::uint64_t kKillMs = 5000;
constexpr std::size_t kAddressBytesMax = 256;
constexpr std::size_t kLogBytesMax = 64u << 20;
constexpr std::size_t kLogLinesShown = 5;
constexpr std::uint64_t kFreeBytesNeeded = 64u << 10;

std::uint64_t now_ms() {
    return system_clock().steady_ms();
}

std::string listen_address(const DevnetPlan &plan, const DevnetNode &node) {
    const unsigned port = plan.port_base == 0 ? 0 : plan.port_base + node.index;
    return "127.0.0.1:" + std::to_string(port);
}

// The last lines of a log, indented.
std::string log_tail(const std::string &path) {
    const auto text = read_file(path, kLogBytesMax);
    if (!text.ok()) return {};
    std::string_view left = *text;
    while (!left.empty() && left.back() == '\n') left.remove_suffix(1);
    if (left.empty()) return {};
    std::size_t begin = left.size();
    for (std::size_t lines = 0; lines < kLogLinesShown && begin != std::string_view::npos; ++lines)
        begin = begin == 0 ? std::string_view::npos : left.rfind('\n', begin - 1);
    left.remove_prefix(begin == std::string_view::npos ? 0 : begin + 1);
    std::string out;
    while (!left.empty()) {
        const std::size_t end = std::min(left.find('\n'), left.size());
        out += "\n    " + client::printable(left.substr(0, end));
        left.remove_prefix(std::min(end + 1, left.size()));
    }
    return out;
}

Result<wire::NodeStatus> status_of(const DevnetNode &node) {
    wire::ControlRequest request;
    request.mutable_node_status();
    CHAIN_ASSIGN(const wire::ControlReply reply, ask_node(node, request, kAskTimeoutMs));
    return reply.node_status();
}

Error cancelled() {
    return make_error(ErrorCode::kCancelled, "interrupted; nothing was left running");
}

}  // namespace

Result<wire::ControlReply> ask_node(const DevnetNode &node, const wire::ControlRequest &request,
                                    int timeout_ms) {
    CHAIN_ASSIGN(client::Client daemon, client::Client::connect(node.socket_path()));
    return daemon.call(request, timeout_ms);
}

std::vector<std::string> Devnet::command_line(const DevnetNode &node, const DevnetStart &how,
                                              const std::string &connect_to) const {
    std::vector<std::string> argv = {how.daemon_path,
                                     "--data",
                                     node.data_folder,
                                     "--genesis",
                                     folder_ + "/genesis.json",
                                     "--listen",
                                     listen_address(plan_, node),
                                     "--password-file",
                                     node.password_path(),
                                     "--host-name",
                                     node.name,
                                     "--log-level",
                                     how.log_level};
    const auto add = [&argv](std::initializer_list<std::string> words) {
        argv.insert(argv.end(), words);
    };
    if (!connect_to.empty()) add({"--connect", connect_to});
    if (!how.peer_silence.empty()) add({"--peer-silence", how.peer_silence});
    switch (node.role) {
        case DevnetNode::Role::kSealer: add({"--seal"}); break;
        case DevnetNode::Role::kRenter: break;
        case DevnetNode::Role::kProvider:
            // All of it, for whoever tries it out watches just this.
            add({"--forget-results", "--lend", std::to_string(plan_.slot_count), "--lend-cap",
                 "100", "--ask", format_tokens(plan_.ask_per_ghz_h)});
            if (!plan_.scratch_size.empty()) add({"--scratch-size", plan_.scratch_size});
            break;
    }
    return argv;
}

Status Devnet::launch(const DevnetNode &node, const DevnetStart &how,
                      const std::string &connect_to) {
    // What a dead daemon left would be taken for the new one's.
    for (const char *file : {client::layout::kListenAddress, client::layout::kControlSocket})
        unlink(node.path(file).c_str());
    const auto process = spawn_daemon({command_line(node, how, connect_to), node.log_path(),
                                       node.pid_path(), how.dies_with_parent});
    return process.ok() ? ok_status() : process.error();
}

Error Devnet::ended_early(const DevnetNode &node, const ProcessIdentity &process) const {
    const std::string how = how_it_ended(process);
    const std::string tail = log_tail(node.log_path());
    std::error_code error;
    const auto space = std::filesystem::space(folder_, error);
    // Then the log is cut short, too.
    if (!error && space.available < kFreeBytesNeeded)
        return make_error(ErrorCode::kDiskFull, node.name,
                          " ended while the devnet started: No space left on device for ", folder_,
                          tail);
    return make_error(ErrorCode::kIo, node.name, " ended while the devnet started",
                      how.empty() ? "" : " (" + how + ")", "; its log ", node.log_path(),
                      " ends with:", tail);
}

Status Devnet::wait_ready(const DevnetNode &node, std::uint64_t until_ms) const {
    const std::optional<ProcessIdentity> process = node.process();
    if (!process) {
        const auto text = read_file(node.pid_path(), kAddressBytesMax);
        const pid_t pid = text.ok() ? std::atoi(text->c_str()) : 0;
        return ended_early(node, {pid, 0, {}});
    }
    for (;;) {
        if (interrupted()) return cancelled();
        if (path_exists(node.path(client::layout::kListenAddress)) && status_of(node).ok())
            return ok_status();
        if (!is_running(*process)) return ended_early(node, *process);
        if (now_ms() >= until_ms)
            return make_error(ErrorCode::kTimeout, node.name,
                              " did not get ready in time; its log ", node.log_path(),
                              " ends with:", log_tail(node.log_path()));
        usleep(kPollMs * 1000);
    }
}

Result<std::string> Devnet::missing() const {
    std::set<std::uint64_t> heights;
    for (const DevnetNode &node : nodes_) {
        CHAIN_ASSIGN(const wire::NodeStatus status, status_of(node));
        heights.insert(status.height());
        const std::size_t peers_needed =
            node.role == DevnetNode::Role::kSealer ? nodes_.size() - 1 : 1;
        if (status.peer_count() < peers_needed)
            return node.name + " has " + std::to_string(status.peer_count()) + " of " +
                   std::to_string(peers_needed) + " peers";
    }
    if (heights.size() != 1) return std::string("the nodes are at different heights");
    wire::ControlRequest request;
    request.mutable_offer_list();
    CHAIN_ASSIGN(const wire::ControlReply reply, ask_node(renter(), request, kAskTimeoutMs));
    std::set<std::string> hosts;
    for (const auto &offer : reply.offers().offers()) hosts.insert(offer.host());
    if (hosts.size() >= plan_.provider_count) return std::string();
    const std::string lacking = "the renter sees " + std::to_string(hosts.size()) + " of " +
                                std::to_string(plan_.provider_count) + " offers";
    for (const DevnetNode &node : nodes_) {
        if (node.role != DevnetNode::Role::kProvider || hosts.contains(node.name)) continue;
        return lacking + "; not that of " + node.name + ", whose log " + node.log_path() +
               " ends with:" + log_tail(node.log_path());
    }
    return lacking;
}

Status Devnet::wait_network(std::uint64_t until_ms) const {
    for (;;) {
        if (interrupted()) return cancelled();
        const Result<std::string> lacking = missing();
        if (lacking.ok() && lacking->empty()) return ok_status();
        for (const DevnetNode &node : nodes_)
            if (!node.process())
                return make_error(ErrorCode::kIo, node.name,
                                  " ended while the devnet started; its log ", node.log_path(),
                                  " ends with:", log_tail(node.log_path()));
        if (now_ms() >= until_ms)
            return make_error(ErrorCode::kTimeout, "the devnet is not whole in time: ",
                              lacking.ok() ? *lacking : lacking.error().message, "\nThe logs are ",
                              folder_, "/*/ompi-chaind.log.");
        usleep(static_cast<useconds_t>(kPauseMsPerNode * nodes_.size() * 1000));
    }
}

Status Devnet::start_these(const std::vector<const DevnetNode *> &nodes, const DevnetStart &how,
                           std::uint64_t until_ms) {
    if (nodes.front() == &sealer()) CHAIN_TRY(launch(sealer(), how, {}));
    CHAIN_TRY(wait_ready(sealer(), until_ms));
    CHAIN_ASSIGN(std::string sealer_address,
                 read_file(sealer().path(client::layout::kListenAddress), kAddressBytesMax));
    sealer_address.resize(std::min(sealer_address.find('\n'), sealer_address.size()));
    for (const DevnetNode *node : nodes)
        if (node != &sealer()) CHAIN_TRY(launch(*node, how, sealer_address));
    for (const DevnetNode *node : nodes) CHAIN_TRY(wait_ready(*node, until_ms));
    return wait_network(until_ms);
}

Status Devnet::start(const DevnetStart &how, std::ostream &talk) {
    // Ports change with each start: who joins has to find the sealer, and the others him.
    if (!sealer().process()) CHAIN_TRY(stop(talk));
    std::vector<const DevnetNode *> nodes;
    for (const DevnetNode &node : nodes_)
        if (!node.process()) nodes.push_back(&node);
    if (nodes.empty()) return ok_status();
    talk << "Starting " << nodes.size() << (nodes.size() == 1 ? " node" : " nodes") << std::endl;
    const Status started =
        start_these(nodes, how, now_ms() + static_cast<std::uint64_t>(how.timeout_ms));
    if (started.ok()) return started;
    const Status stopped = stop_nodes(nodes, talk);
    if (!stopped.ok()) talk << stopped.error().to_text() << "\n";
    return started;
}

Status Devnet::stop(std::ostream &talk) {
    std::vector<const DevnetNode *> first;
    for (const DevnetNode &node : nodes_)
        if (node.role != DevnetNode::Role::kSealer) first.push_back(&node);
    const Status others = stop_nodes(first, talk);
    const Status last = stop_nodes({&sealer()}, talk);
    return others.ok() ? last : others;
}

Status Devnet::stop_nodes(const std::vector<const DevnetNode *> &nodes, std::ostream &talk) {
    struct Running {
        const DevnetNode *node;
        ProcessIdentity process;
    };
    std::vector<Running> running;
    for (const DevnetNode *node : nodes) {
        if (const auto process = node->process())
            running.push_back({node, *process});
        else
            unlink(node->pid_path().c_str());
    }
    const auto drop_gone = [&running](std::uint64_t timeout_ms) {
        const std::uint64_t until_ms = now_ms() + timeout_ms;
        std::erase_if(running, [until_ms](const Running &each) {
            const std::uint64_t now = now_ms();
            if (!wait_until_gone(each.process, until_ms > now ? until_ms - now : 0)) return false;
            unlink(each.node->pid_path().c_str());
            return true;
        });
    };
    std::vector<Running> deaf;
    for (const Running &each : running) {
        wire::ControlRequest request;
        request.mutable_node_stop();
        if (!ask_node(*each.node, request, kAskTimeoutMs).ok()) deaf.push_back(each);
    }
    for (const Running &each : deaf) send_signal(each.process, SIGTERM);
    drop_gone(kStopMs);
    for (const Running &each : running) send_signal(each.process, SIGTERM);
    if (!running.empty()) drop_gone(kTermMs);
    for (const Running &each : running) {
        talk << each.node->name << " does not stop: killed" << std::endl;
        send_signal(each.process, SIGKILL);
    }
    if (!running.empty()) drop_gone(kKillMs);
    if (running.empty()) return ok_status();
    return make_error(ErrorCode::kTimeout, running[0].node->name, ", process ",
                      running[0].process.pid, ", cannot be ended");
}

}  // namespace chain::cli
