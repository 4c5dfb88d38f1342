// SPDX-License-Identifier: BSD-3-Clause
#include <filesystem>
#include <ostream>

#include "chain/base/clock.h"
#include "chain/base/units.h"
#include "chain/cli/cli.h"
#include "chain/client/json.h"
#include "chain/client/lease_spec.h"
#include "chain/client/start_time.h"
#include "chain/client/text.h"

namespace chain::cli {
namespace {

using client::Align;
using client::Json;

constexpr int kFetchTimeoutMs = -1;  // the daemon says when it gives up

// Why it waits or ended, else what runs in it.
std::string last_column(const wire::Bill &bill) {
    if (!bill.reason().empty() && bill.reason() != client::kJobEnded)
        return bill.ended_by().empty() ? bill.reason() : bill.ended_by() + ": " + bill.reason();
    return bill.command().empty() ? bill.title() : bill.command();
}

std::string start_column(const wire::Bill &bill, std::uint64_t now_ms) {
    return bill.state() == "reserved" ? client::format_local(bill.starts_at_ms())
                                      : client::format_ago(bill.started_at_ms(), now_ms);
}

Result<int> list_leases(Invocation &invocation) {
    const bool all = invocation.arguments.has("all");
    wire::ControlRequest request;
    request.mutable_lease_list()->set_all(all);
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    Console &console = invocation.console;
    if (invocation.json()) {
        Json list = Json::array();
        for (const auto &bill : reply.leases().leases()) list.push_back(client::json_bill(bill));
        console.out << client::json_text({{"leases", std::move(list)}});
        return 0;
    }
    const std::uint64_t now_ms = system_clock().unix_ms();
    client::Table table({{"lease", Align::kLeft},
                         {"state", Align::kLeft},
                         {"as", Align::kLeft},
                         {"started", Align::kLeft},
                         {"slots", Align::kRight},
                         {"GHz·h", Align::kPoint},
                         {"paid", Align::kPoint},
                         {"what", Align::kLeft, 30}});
    for (const auto &bill : reply.leases().leases()) {
        std::uint64_t slots = 0;
        Cycles cycles = 0;
        for (const auto &leg : bill.legs()) {
            slots += leg.slots();
            cycles += leg.cycles();
        }
        table.add_row({client::short_id(bill.lease_id()), bill.state(), bill.role(),
                       start_column(bill, now_ms), std::to_string(slots), format_ghz_hours(cycles),
                       client::format_units(bill.paid()), last_column(bill)});
    }
    if (!table.empty())
        console.out << table.format();
    else
        console.err << (all ? "No lease yet.\n"
                            : "No lease now. `ompi-chain lease list --all` shows past ones.\n");
    return 0;
}

Result<int> show_lease(Invocation &invocation) {
    wire::ControlRequest request;
    request.mutable_lease_show()->set_lease_id(invocation.arguments.words[0]);
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    invocation.console.out << (invocation.json()
                                   ? client::format_bill_json(reply.bill())
                                   : client::format_bill_text(reply.bill(),
                                                              invocation.arguments.has("ranks")));
    return 0;
}

Json json_explanation(const wire::Explanation &explanation) {
    Json peers = Json::array();
    for (const auto &verdict : explanation.verdicts()) {
        Json reasons = Json::array();
        for (const auto &reason : verdict.reasons()) reasons.push_back(reason);
        peers.push_back({{"host", verdict.host()},
                         {"provider", verdict.provider()},
                         {"slots_offered", verdict.slots_offered()},
                         {"slots_taken", verdict.slots_taken()},
                         {"ask_per_ghz_h", client::json_amount(verdict.ask_per_ghz_h())},
                         {"round_trip_us", verdict.round_trip_us()},
                         {"matches", verdict.matches()},
                         {"reasons", std::move(reasons)}});
    }
    return {{"clears", explanation.cleared()},
            {"price_per_ghz_h", client::json_amount(explanation.price_per_ghz_h())},
            {"escrow", client::json_amount(explanation.escrow())},
            {"summary", explanation.summary()},
            {"peers", std::move(peers)}};
}

Result<int> run_explain(Invocation &invocation) {
    constexpr int kNothingMatched = 3;
    const Arguments &arguments = invocation.arguments;
    client::LeaseFlags flags;
    flags.lease = arguments.words[0];
    flags.max_price = arguments.value("max-price");
    flags.budget = arguments.value("budget");
    flags.time = arguments.value("time");
    CHAIN_ASSIGN(const client::LeaseOrder order,
                 client::parse_lease_flags(flags, system_clock().unix_ms()));
    wire::ControlRequest request;
    *request.mutable_lease_explain()->mutable_spec() = order.spec;
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    const wire::Explanation &explanation = reply.explanation();
    invocation.console.out << (invocation.json() ? client::json_text(json_explanation(explanation))
                                                 : client::format_explanation_text(explanation));
    return explanation.cleared() ? 0 : kNothingMatched;
}

Result<int> run_fetch(Invocation &invocation) {
    const Arguments &arguments = invocation.arguments;
    wire::ControlRequest request;
    request.mutable_lease_fetch()->set_lease_id(arguments.words[0]);
    if (arguments.has("into")) {
        std::error_code error;
        const auto folder = std::filesystem::canonical(arguments.value("into"), error);
        if (error)
            return make_error(ErrorCode::kNotFound, "--into ", arguments.value("into"), ": ",
                              error.message());
        request.mutable_lease_fetch()->set_into_folder(folder.string());
    }
    if (arguments.has("stage-max")) {
        CHAIN_ASSIGN(const std::uint64_t bytes, parse_size_bytes(arguments.value("stage-max")));
        request.mutable_lease_fetch()->set_stage_max_bytes(bytes);
    }
    CHAIN_ASSIGN(client::Client client, invocation.connect());
    CHAIN_ASSIGN(wire::ControlReply reply, client.call(std::move(request), kFetchTimeoutMs));
    Console &console = invocation.console;
    while (reply.has_lease_progress()) {
        console.err << client::printable(reply.lease_progress().detail()) << "\n";
        CHAIN_ASSIGN(reply, client.next_reply(reply.id(), kFetchTimeoutMs));
    }
    if (invocation.json())
        console.out << client::json_text({{"fetched", true}});
    else
        console.out << "All results of the lease are here.\n";
    return 0;
}

}  // namespace

std::vector<Command> lease_commands() {
    return {
        {.noun = "lease",
         .verb = "list",
         .summary = "My leases that run now or are reserved; with --all past ones, too",
         .examples = "  ompi-chain lease list\n"
                     "  ompi-chain lease list --all\n",
         .details = "The last column says why a lease waits or ended, else what runs in it.\n",
         .options = {{"all", "", "past leases, too"}},
         .run = list_leases},
        {.noun = "lease",
         .verb = "show",
         .arguments = "LEASE",
         .arguments_min = 1,
         .arguments_max = 1,
         .summary = "The bill of a lease",
         .examples = "  ompi-chain lease show 3f9a1c2e\n"
                     "  ompi-chain lease show 3f9a1c2e --ranks        # and each rank's share\n"
                     "  ompi-chain lease show 3f9a1c2e --json\n",
         .details = "LEASE is its number or the beginning of it.\n",
         .options = {{"ranks", "", "GHz·h and waiting of each rank"}},
         .run = show_lease},
        {.noun = "lease",
         .verb = "fetch",
         .arguments = "LEASE",
         .arguments_min = 1,
         .arguments_max = 1,
         .summary = "Get results that did not come back when the job ended",
         .examples = "  ompi-chain lease fetch 3f9a1c2e\n"
                     "  ompi-chain lease fetch 3f9a1c2e --into results\n",
         .details = "For when a connection broke or this daemon was stopped: peers keep results "
                    "for a day. What has\ncome already is not sent again. Files go where the job "
                    "was started, never over one that changed\nmeanwhile.\n",
         .options = {{"into", "DIR", "another folder, which exists"},
                     {"stage-max", "SIZE", "of all of them, at most (default: as in the lease)"}},
         .run = run_fetch},
        {.noun = "lease",
         .verb = "explain",
         .arguments = "SPEC",
         .arguments_min = 1,
         .arguments_max = 1,
         .summary = "What a lease would cost now, and why each peer does or does not match",
         .examples = "  ompi-chain lease explain 4\n"
                     "  ompi-chain lease explain 16,mem=2G,ghz=2.5 --max-price 0.03 --budget 5\n",
         .details = "SPEC is what mpirun takes as --chain-lease. Nothing is leased. Exit code 3: "
                    "no price at\nwhich it could be.\n",
         .options = {{"max-price", "P", "tokens per GHz·h, at most"},
                     {"budget", "B", "tokens in all, at most"},
                     {"time", "T", "how long at most (default: 1h)"}},
         .run = run_explain},
    };
}

}  // namespace chain::cli
