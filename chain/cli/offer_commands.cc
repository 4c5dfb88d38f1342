// SPDX-License-Identifier: BSD-3-Clause
#include <chrono>
#include <limits>
#include <ostream>
#include <thread>

#include "chain/base/clock.h"
#include "chain/base/split.h"
#include "chain/base/units.h"
#include "chain/cli/cli.h"
#include "chain/client/json.h"
#include "chain/client/text.h"
#include "chain/wire/frame.h"

namespace chain::cli {
namespace {

using client::Align;
using client::Json;

Json json_gpus(const wire::OfferView &offer) {
    Json list = Json::array();
    for (const wire::GpuOffer &gpu : offer.gpus())
        list.push_back({{"model", gpu.model()},
                        {"memory_bytes", gpu.memory_bytes()},
                        {"units", gpu.units()},
                        {"hz", gpu.hz()}});
    return list;
}

Json json_offer(const wire::OfferView &offer) {
    return {{"offer", offer.offer_id()},
            {"provider", offer.provider()},
            {"node_key", offer.node_key()},
            {"address", offer.address()},
            {"host", offer.host()},
            {"slots", offer.slot_count()},
            {"hz", offer.hz()},
            {"memory_bytes", offer.memory_bytes()},
            {"ask_per_ghz_h", client::json_amount(offer.ask_per_ghz_h())},
            {"free_for", offer.free_for()},
            {"region", offer.region()},
            {"calibration",
             {{"chains", offer.calibration().chain_count()},
              {"spread_ppm", offer.calibration().spread_ppm()},
              {"measured_at_ms", offer.calibration().measured_at_ms()}}},
            {"gpus", json_gpus(offer)},
            {"isolation", offer.isolation()},
            {"meter_class", offer.meter_class()},
            {"expires_at", client::json_time(offer.expires_at_ms())},
            {"mine", offer.mine()}};
}

Result<int> print_offers(const Invocation &invocation, bool mine) {
    wire::ControlRequest request;
    request.mutable_offer_list()->set_mine(mine);
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    Console &console = invocation.console;
    if (invocation.json()) {
        Json list = Json::array();
        for (const auto &offer : reply.offers().offers()) list.push_back(json_offer(offer));
        console.out << client::json_text({{"offers", std::move(list)}});
        return 0;
    }
    client::Table table({{"host", Align::kLeft, 20},
                         {"slots", Align::kRight},
                         {"GHz", Align::kRight},
                         {"memory", Align::kRight},
                         {"GPUs", Align::kRight},
                         {"ask/GHz·h", Align::kPoint},
                         {"sandbox", Align::kLeft, 10},
                         {"region", Align::kLeft, 10},
                         {"provider", Align::kLeft}});
    for (const auto &offer : reply.offers().offers())
        table.add_row(
            {offer.host() + (offer.mine() && !mine ? "*" : ""), std::to_string(offer.slot_count()),
             client::format_ghz(offer.hz()), client::format_size(offer.memory_bytes()),
             offer.gpus_size() > 0 ? std::to_string(offer.gpus_size()) : "-",
             client::format_units(offer.ask_per_ghz_h()),
             offer.isolation().empty() ? "-" : offer.isolation(),
             offer.region().empty() ? "-" : offer.region(), short_address(offer.provider())});
    if (!table.empty())
        console.out << table.format();
    else if (mine)
        console.err << "This machine offers nothing. Lend with `ompi-chain offer set`; see what "
                       "others offer with\n`ompi-chain offer list --all`.\n";
    else
        console.err << "Nobody offers anything now.\n";
    return 0;
}

Result<int> list_offers(Invocation &invocation) {
    return print_offers(invocation, !invocation.arguments.has("all"));
}

constexpr int kOfferLooks = 50;
constexpr std::chrono::milliseconds kOfferLookEvery{100};

Result<int> run_set(Invocation &invocation) {
    const Arguments &arguments = invocation.arguments;
    if (!arguments.has("slots") || !arguments.has("ask"))
        return make_error(ErrorCode::kInvalidInput,
                          "an offer needs --slots N and --ask PRICE\nSee `ompi-chain offer set "
                          "--help`.");
    wire::ControlRequest request;
    wire::OfferSetCall &offer = *request.mutable_offer_set();
    CHAIN_ASSIGN(const std::uint64_t slot_count,
                 parse_integer(arguments.value("slots"), 1,
                               std::numeric_limits<std::uint16_t>::max(), "--slots"));
    offer.set_slot_count(static_cast<std::uint32_t>(slot_count));
    CHAIN_ASSIGN(const Amount ask, parse_tokens(arguments.value("ask")));
    offer.set_ask_per_ghz_h(ask.units);
    if (arguments.has("memory")) {
        CHAIN_ASSIGN(const std::uint64_t memory_bytes, parse_size_bytes(arguments.value("memory")));
        offer.set_memory_bytes(memory_bytes);
    }
    if (arguments.has("host")) {
        const std::string host = arguments.value("host");
        if (!wire::is_valid_host_name(host))
            return make_error(ErrorCode::kInvalidInput, "--host \"", client::printable(host),
                              "\" is no host name: letters, digits and inner hyphens, at most ",
                              wire::kMaxHostNameBytes);
        offer.set_host(host);
    }
    offer.set_region(arguments.value("region"));
    const std::string free_for = arguments.value("free-for");
    if (!free_for.empty())
        for (const std::string_view account : split(free_for, ','))
            offer.add_free_for(std::string(account));
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    // The first time the daemon measures a core before it offers anything.
    for (int look = 0; look < kOfferLooks; ++look) {
        wire::ControlRequest list;
        list.mutable_offer_list()->set_mine(true);
        CHAIN_ASSIGN(const wire::ControlReply mine, invocation.call(list));
        if (mine.offers().offers_size() > 0) break;
        std::this_thread::sleep_for(kOfferLookEvery);
    }
    return print_offers(invocation, true);
}

Result<int> run_withdraw(Invocation &invocation) {
    wire::ControlRequest request;
    request.mutable_offer_set()->set_slot_count(0);
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    if (invocation.json())
        invocation.console.out << client::json_text({{"offers", Json::array()}});
    else
        invocation.console.err << "Withdrawn. Leases that run go on to their end.\n";
    return 0;
}

}  // namespace

std::vector<Command> offer_commands() {
    return {
        {.noun = "offer",
         .verb = "list",
         .summary = "What this machine lends now; with --all everybody",
         .examples = "  ompi-chain offer list --all      # the market, as this daemon knows it\n"
                     "  ompi-chain offer list            # mine\n",
         .details = "The ask is in tokens per GHz·h; a * behind a host marks an offer of mine. Why "
                    "a peer would\nnot be taken for a lease: `ompi-chain lease explain`.\n",
         .options = {{"all", "", "everybody's offers"}},
         .run = list_offers},
        {.noun = "offer",
         .verb = "set",
         .summary = "Lend slots of this machine, or change the offer",
         .examples = "  ompi-chain offer set --slots 4 --ask 0.01\n"
                     "  ompi-chain offer set --slots 4 --ask 0.01 --memory 8G --region eu\n",
         .details = "Leased programs run in a sandbox with a fraction of the machine; the owner "
                    "comes first.\nWhat isolates them: `ompi-chain node status`.\n",
         .options = {{"slots", "N", "how many ranks fit"},
                     {"ask", "PRICE", "tokens per GHz·h, at least"},
                     {"memory", "SIZE", "of all slots together, as in 8G (default: what is left)"},
                     {"host", "NAME", "the node's name in a job (default: this machine's)"},
                     {"region", "NAME", "where it stands, for `region=` of a lease"},
                     {"free-for", "ADDRESS[,ADDRESS…]",
                      "accounts that pay nothing: yours, for machines of your own"}},
         .run = run_set},
        {.noun = "offer",
         .verb = "withdraw",
         .summary = "Lend no more",
         .examples = "  ompi-chain offer withdraw\n",
         .run = run_withdraw},
    };
}

}  // namespace chain::cli
