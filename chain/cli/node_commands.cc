// SPDX-License-Identifier: BSD-3-Clause
//
// node, peer: what the daemon says about itself and its peers.
#include <algorithm>
#include <limits>
#include <ostream>

#include "chain/base/clock.h"
#include "chain/base/units.h"
#include "chain/cli/cli.h"
#include "chain/client/json.h"
#include "chain/client/text.h"

namespace chain::cli {
namespace {

using client::Align;
using client::Json;

Json json_status(const wire::NodeStatus &status) {
    return {{"software", status.software()},
            {"pid", status.pid()},
            {"started_at", client::json_time(status.started_at_ms())},
            {"node_key", status.node_key()},
            {"data_folder", status.data_folder()},
            {"listen_address", status.listen_address()},
            {"chain_id", status.chain_id()},
            {"chain_name", status.chain_name()},
            {"consensus", status.consensus()},
            {"height", status.height()},
            {"final_height", status.final_height()},
            {"final_block", status.final_id()},
            {"justified_height", status.justified_height()},
            {"validators", status.validator_count()},
            {"is_validator", status.is_validator()},
            {"lag", status.lag()},
            {"tip", status.tip_id()},
            {"tip_time", client::json_time(status.tip_time_ms())},
            {"state_digest", status.state_digest()},
            {"is_sealer", status.is_sealer()},
            {"peers", status.peer_count()},
            {"mempool", status.mempool_count()},
            {"wallet_state", status.wallet_state()},
            {"provider_state", status.provider_state()},
            {"slots_offered", status.slots_offered()},
            {"slots_leased", status.slots_leased()},
            {"meter_class", status.meter_class()},
            {"hz", status.hz()},
            {"sandbox", status.sandbox()},
            {"not_held",
             Json(std::vector<std::string>(status.not_held().begin(), status.not_held().end()))},
            {"mines", status.mines()},
            {"hashes_per_s", status.hashes_per_s()},
            {"shares", status.shares()},
            {"mining_paused", status.mining_paused()},
            {"votes", status.votes()}};
}

std::string network_text(const wire::NodeStatus &status) {
    if (status.validator_count() == 0) return status.is_sealer() ? ", this node seals" : "";
    return ", " + status.consensus() + " of " + std::to_string(status.validator_count()) +
           " validators" + (status.is_validator() ? ", this node is one" : "");
}

std::string finality_text(const wire::NodeStatus &status) {
    if (status.validator_count() == 0) return {};
    return "; final up to " + std::to_string(status.final_height());
}

Result<int> node_status(Invocation &invocation) {
    wire::ControlRequest request;
    request.mutable_node_status();
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    const wire::NodeStatus &status = reply.node_status();
    if (invocation.json()) {
        invocation.console.out << client::json_text(json_status(status));
        return 0;
    }
    const std::uint64_t now_ms = system_clock().unix_ms();
    std::string lends = status.provider_state();
    if (status.slots_offered() != 0)
        lends += ", " + std::to_string(status.slots_leased()) + " of " +
                 std::to_string(status.slots_offered()) + " slots leased";
    const std::string waiting = std::to_string(status.mempool_count());
    std::vector<std::pair<std::string, std::string>> fields = {
        {"daemon", status.software() + ", process " + std::to_string(status.pid()) + ", started " +
                       client::format_ago(status.started_at_ms(), now_ms)},
        {"data", status.data_folder()},
        {"node key", status.node_key()},
        {"listens", status.listen_address().empty() ? "no" : status.listen_address()},
        {"network", status.chain_name() + network_text(status)},
        {"chain id", status.chain_id()},
        {"height", std::to_string(status.height()) + ", block " +
                       client::short_id(status.tip_id()) + ", " +
                       client::format_ago(status.tip_time_ms(), now_ms) + ", " + waiting +
                       " transactions waiting" + finality_text(status)},
        {"peers", std::to_string(status.peer_count())},
        {"wallet", status.wallet_state()},
        {"lends", lends},
        {"meter", status.meter_class() +
                      (status.hz() == 0 ? ", measured when something is lent"
                                        : ", " + client::format_ghz(status.hz()) + " GHz a slot")},
        {"sandbox", status.sandbox()}};
    if (status.not_held().empty() && status.hz() > 0)
        fields.emplace_back("not held", "nothing: leases are isolated in full");
    for (const std::string &one : status.not_held())
        fields.emplace_back("not held", client::printable(one));
    if (!status.final_id().empty())
        fields.emplace_back("checkpoint",
                            std::to_string(status.final_height()) + ":" + status.final_id());
    if (status.mines())
        fields.emplace_back("mines", status.mining_paused().empty()
                                         ? std::to_string(status.hashes_per_s()) + " hashes/s, " +
                                               std::to_string(status.shares()) +
                                               " shares in this epoch"
                                         : "no: " + status.mining_paused());
    if (!status.votes().empty()) fields.emplace_back("votes", status.votes());
    if (!status.lag().empty()) fields.emplace_back("lags", status.lag());
    invocation.console.out << format_fields(fields);
    return 0;
}

Result<int> run_stop(Invocation &invocation) {
    wire::ControlRequest request;
    request.mutable_node_stop();
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    invocation.console.err << "The daemon stops: leases are closed and settled first.\n";
    return 0;
}

Result<int> run_policy(Invocation &invocation) {
    wire::ControlRequest request;
    request.mutable_node_policy();
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    const wire::NodePolicy &policy = reply.node_policy();
    if (invocation.json()) {
        invocation.console.out << client::json_text(
            {{"state", policy.state()},
             {"reason", policy.reason()},
             {"reason_name", policy.reason_name()},
             {"rule", policy.rule()},
             {"change", policy.change()},
             {"leave_in_ms", policy.leave_in_ms()},
             {"input_sources", policy.input_sources()},
             {"input_idle_ms", policy.has_input() ? Json(policy.input_idle_ms()) : Json(nullptr)},
             {"load_permille", policy.load_permille()},
             {"memory_stall_permille", policy.memory_stall_permille()},
             {"on_battery", policy.on_battery()},
             {"paused", policy.paused()}});
        return 0;
    }
    std::vector<std::pair<std::string, std::string>> fields = {
        {"lending",
         policy.state() + (policy.reason() == 0 ? ""
                                                : ", reason " + std::to_string(policy.reason()) +
                                                      " (" + policy.reason_name() + ")")},
        {"because", policy.rule()},
        {"changes with", policy.change()}};
    if (!policy.input_sources().empty()) {
        const std::string seen =
            policy.has_input()
                ? "; last one " + std::to_string(policy.input_idle_ms() / 1000) + " s ago"
                : "";
        fields.emplace_back("input", policy.input_sources() + seen);
        fields.emplace_back(
            "load", format_permille(policy.load_permille()) + " cores busy with other programs");
    }
    invocation.console.out << format_fields(fields);
    return 0;
}

Result<int> pause_or_resume(Invocation &invocation, bool pause) {
    wire::ControlRequest request;
    request.mutable_node_pause()->set_pause(pause);
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    return run_policy(invocation);
}

Result<int> run_pause(Invocation &invocation) {
    return pause_or_resume(invocation, true);
}

Result<int> run_resume(Invocation &invocation) {
    return pause_or_resume(invocation, false);
}

Result<int> run_rotate_key(Invocation &invocation) {
    CHAIN_TRY(confirm(invocation, "Replace the node key for good? Sessions are cut for a moment."));
    wire::ControlRequest request;
    request.mutable_node_rotate_key();
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    const wire::NodeKeyChange &change = reply.node_key_change();
    if (invocation.json())
        invocation.console.out << client::json_text(
            {{"old_node_key", change.old_node_key()}, {"new_node_key", change.new_node_key()}});
    else
        invocation.console.out << format_fields(
            {{"old node key", change.old_node_key()}, {"new node key", change.new_node_key()}});
    invocation.console.err << "The old key is gone. Peers are greeted anew, and what this machine "
                              "lends is offered again.\n";
    return 0;
}

Result<int> run_peer_list(Invocation &invocation) {
    wire::ControlRequest request;
    request.mutable_peer_list();
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    Console &console = invocation.console;
    if (invocation.json()) {
        Json list = Json::array();
        for (const auto &peer : reply.peers().peers())
            list.push_back({{"node_key", peer.node_key()},
                            {"address", peer.address()},
                            {"inbound", peer.inbound()},
                            {"connected_at", client::json_time(peer.connected_at_ms())},
                            {"heard_at", client::json_time(peer.heard_at_ms())},
                            {"received_bytes", peer.received_bytes()},
                            {"sent_bytes", peer.sent_bytes()},
                            {"round_trip_us", peer.round_trip_us()},
                            {"software", peer.software()}});
        console.out << client::json_text({{"peers", std::move(list)}});
        return 0;
    }
    const std::uint64_t now_ms = system_clock().unix_ms();
    client::Table table({{"node", Align::kLeft},
                         {"address", Align::kLeft, 28},
                         {"way", Align::kLeft},
                         {"connected", Align::kLeft},
                         {"ms", Align::kPoint},
                         {"received", Align::kRight},
                         {"sent", Align::kRight},
                         {"software", Align::kLeft, 20}});
    for (const auto &peer : reply.peers().peers())
        table.add_row({client::short_id(peer.node_key()), peer.address(),
                       peer.inbound() ? "in" : "out",
                       client::format_ago(peer.connected_at_ms(), now_ms),
                       client::format_round_trip(peer.round_trip_us()),
                       client::format_size(peer.received_bytes()),
                       client::format_size(peer.sent_bytes()), peer.software()});
    if (!table.empty())
        console.out << table.format();
    else
        console.err << "No peer. Add one with `ompi-chain peer connect HOST:PORT`.\n";
    return 0;
}

Result<int> run_peer_connect(Invocation &invocation) {
    wire::ControlRequest request;
    request.mutable_peer_connect()->set_address(invocation.arguments.words[0]);
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    return run_peer_list(invocation);
}

}  // namespace

std::vector<Command> node_commands() {
    return {
        {.noun = "node",
         .verb = "status",
         .summary = "What the daemon does, and in which network",
         .examples = "  ompi-chain node status\n"
                     "  ompi-chain node status --json | jq .height\n",
         .run = node_status},
        {.noun = "node",
         .verb = "stop",
         .summary = "Stop the daemon",
         .examples = "  ompi-chain node stop\n",
         .details = "Leases that run are ended, with the reason, and settled.\n",
         .run = run_stop},
        {.noun = "node",
         .verb = "policy",
         .summary = "Whether this machine is lent now, why, and what would change it",
         .examples = "  ompi-chain node policy\n",
         .details = "The owner comes first: by the rules of `ompi-chaind --owner-rules`, machines "
                    "are lent while nobody uses\nthem, and leases give way when somebody does.\n",
         .run = run_policy},
        {.noun = "node",
         .verb = "pause",
         .summary = "Lend nothing until `node resume`; leases are given notice",
         .examples = "  ompi-chain node pause\n",
         .details =
             "Kept over restarts. Renters get the notice that the offer promised; it costs no "
             "collateral.\n",
         .run = run_pause},
        {.noun = "node",
         .verb = "resume",
         .summary = "Lend again, as the owner's rules say",
         .examples = "  ompi-chain node resume\n",
         .run = run_resume},
        {.noun = "node",
         .verb = "rotate-key",
         .summary = "Give the daemon a new node key",
         .examples = "  ompi-chain node rotate-key\n",
         .details = "Peers know this daemon by its node key; it moves no money. At once, without a "
                    "restart: peers are\ngreeted anew and the offer is issued again. Refused while "
                    "leases run.\n",
         .run = run_rotate_key},
    };
}

std::vector<Command> peer_commands() {
    return {
        {.noun = "peer",
         .verb = "list",
         .summary = "Daemons connected now",
         .examples = "  ompi-chain peer list\n",
         .run = run_peer_list},
        {.noun = "peer",
         .verb = "connect",
         .arguments = "HOST:PORT",
         .arguments_min = 1,
         .arguments_max = 1,
         .summary = "Connect to a daemon, and stay connected",
         .examples = "  ompi-chain peer connect 192.0.2.7:7411\n",
         .run = run_peer_connect},
    };
}

}  // namespace chain::cli
