// SPDX-License-Identifier: BSD-3-Clause
//
// block, tx: what stands in the ledger.
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

constexpr std::uint64_t kBlocksShown = 20;
constexpr std::uint64_t kBlocksMax = 1000;
constexpr int kVerifyTimeoutMs = 4 * 3'600'000;  // a long chain on a slow machine

Json json_block(const wire::BlockView &block) {
    return {{"height", block.height()},
            {"block", block.block_id()},
            {"previous", block.previous()},
            {"time", client::json_time(block.time_ms())},
            {"state_digest", block.state_digest()},
            {"sealer", block.sealer()},
            {"tx_count", block.tx_count()},
            {"final", block.is_final()}};
}

Json json_tx(const wire::TxView &tx) {
    return {{"tx", tx.tx_id()}, {"kind", tx.kind()}, {"sender", tx.sender()}, {"text", tx.text()}};
}

Result<int> run_block_list(Invocation &invocation) {
    const Arguments &arguments = invocation.arguments;
    wire::ControlRequest request;
    std::uint64_t count = kBlocksShown;
    if (arguments.has("count")) {
        CHAIN_ASSIGN(count, parse_integer(arguments.value("count"), 1, kBlocksMax, "--count"));
    }
    request.mutable_block_list()->set_count(static_cast<std::uint32_t>(count));
    if (arguments.has("before")) {
        CHAIN_ASSIGN(const std::uint64_t before,
                     parse_integer(arguments.value("before"), 1,
                                   std::numeric_limits<std::int64_t>::max(), "--before"));
        request.mutable_block_list()->set_before_height(before);
    }
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    if (invocation.json()) {
        Json list = Json::array();
        for (const auto &block : reply.blocks().blocks()) list.push_back(json_block(block));
        invocation.console.out << client::json_text({{"blocks", std::move(list)}});
        return 0;
    }
    client::Table table({{"height", Align::kRight},
                         {"time", Align::kLeft},
                         {"txs", Align::kRight},
                         {"block", Align::kLeft},
                         {"state", Align::kLeft},
                         {"sealer", Align::kLeft},
                         {"", Align::kLeft}});
    for (const auto &block : reply.blocks().blocks())
        table.add_row({std::to_string(block.height()), format_utc(block.time_ms()),
                       std::to_string(block.tx_count()), client::short_id(block.block_id()),
                       client::short_id(block.state_digest()), short_address(block.sealer()),
                       block.is_final() ? "final" : ""});
    invocation.console.out << table.format();
    return 0;
}

Result<int> run_block_show(Invocation &invocation) {
    const std::string &which = invocation.arguments.words[0];
    wire::ControlRequest request;
    // Digits alone are a height, but for a whole id that has no letter.
    const auto height =
        parse_integer(which, 0, std::numeric_limits<std::int64_t>::max(), "the height");
    if (height.ok())
        request.mutable_block_show()->set_height(*height);
    else
        request.mutable_block_show()->set_block_id(which);
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    const wire::BlockView &block = reply.block();
    if (invocation.json()) {
        Json json = json_block(block);
        Json txs = Json::array();
        for (const auto &tx : block.txs()) txs.push_back(json_tx(tx));
        json["txs"] = std::move(txs);
        invocation.console.out << client::json_text(json);
        return 0;
    }
    invocation.console.out << format_fields({{"height", std::to_string(block.height())},
                                             {"block", block.block_id()},
                                             {"previous", block.previous()},
                                             {"time", format_utc(block.time_ms())},
                                             {"state", block.state_digest()},
                                             {"sealer", block.sealer()},
                                             {"final", block.is_final() ? "yes" : "not yet"},
                                             {"transactions", std::to_string(block.tx_count())}});
    client::Table table({{"", Align::kLeft}, {"", Align::kLeft}, {"", Align::kLeft, 100}});
    for (const auto &tx : block.txs())
        table.add_row({client::short_id(tx.tx_id()), short_address(tx.sender()), tx.text()});
    if (!table.empty()) invocation.console.out << "\n" << table.format("  ");
    return 0;
}

Result<int> run_block_verify(Invocation &invocation) {
    // The replay may take hours; that a daemon answers at all does not.
    wire::ControlRequest hello;
    hello.mutable_node_status();
    CHAIN_TRY(invocation.call(hello));
    wire::ControlRequest request;
    request.mutable_block_verify();
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request, kVerifyTimeoutMs));
    const wire::BlockVerification &found = reply.block_verification();
    std::ostream &out = invocation.console.out;
    if (invocation.json()) {
        out << client::json_text(
            {{"ok", found.ok()},
             {"height", found.height()},
             {"tip", found.tip_id()},
             {"state_digest", found.state_digest()},
             {"wrong_height", found.ok() ? Json(nullptr) : Json(found.wrong_height())},
             {"reason", found.reason()}});
    } else if (found.ok()) {
        out << "Blocks 0 to " << found.height() << " are right: replayed from the genesis they "
            << "make the state that is stored,\n"
            << client::printable(found.state_digest()) << ".\n";
    } else {
        out << "Block " << found.wrong_height()
            << " is wrong: " << client::printable(found.reason()) << "\n";
    }
    return found.ok() ? 0 : 1;
}

// What somebody who waits for a payment does next.
std::string_view what_follows(std::string_view state) {
    if (state == "pending") return " (it waits for a block: do not send it again)";
    if (state == "included" || state == "justified")
        return " (in a block that may still be replaced: do not send it again)";
    return "";
}

Result<int> run_tx_show(Invocation &invocation) {
    wire::ControlRequest request;
    request.mutable_tx_show()->set_tx_id(invocation.arguments.words[0]);
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    const wire::TxState &found = reply.tx_state();
    const wire::TxView &tx = found.tx();
    const bool in_block = !found.block_id().empty();
    if (invocation.json()) {
        Json json = json_tx(tx);
        json["state"] = found.state();
        json["height"] = in_block ? Json(found.height()) : Json(nullptr);
        json["block"] = in_block ? Json(found.block_id()) : Json(nullptr);
        json["time"] = in_block ? client::json_time(found.block_time_ms()) : Json(nullptr);
        json["reason"] = found.reason();
        invocation.console.out << client::json_text(json);
        return 0;
    }
    std::vector<std::pair<std::string, std::string>> fields{
        {"transaction", tx.tx_id()},
        {"state", found.state() + std::string(what_follows(found.state()))}};
    if (!found.reason().empty()) fields.emplace_back("reason", client::printable(found.reason()));
    if (!tx.sender().empty()) {
        fields.emplace_back("sender", tx.sender());
        fields.emplace_back("what", tx.text());
    }
    if (in_block) {
        fields.emplace_back("block", std::to_string(found.height()) + ", " + found.block_id());
        fields.emplace_back("time", format_utc(found.block_time_ms()));
    }
    invocation.console.out << format_fields(fields);
    return 0;
}

}  // namespace

std::vector<Command> block_commands() {
    return {
        {.noun = "block",
         .verb = "list",
         .summary = "The latest blocks",
         .examples = "  ompi-chain block list\n"
                     "  ompi-chain block list --count 100 --before 5000\n",
         .options = {{"count", "N", "how many (default: 20, at most 1000)"},
                     {"before", "HEIGHT", "older than this one"}},
         .run = run_block_list},
        {.noun = "block",
         .verb = "show",
         .arguments = "HEIGHT|BLOCK",
         .arguments_min = 1,
         .arguments_max = 1,
         .summary = "One block and its transactions",
         .examples = "  ompi-chain block show 42\n"
                     "  ompi-chain block show 5f1c09ab\n",
         .details = "BLOCK is a block's id, or the first of its hex digits, eight at least.\n",
         .run = run_block_show},
        {.noun = "block",
         .verb = "verify",
         .summary = "Replay every block from the genesis and compare with what is stored",
         .examples = "  ompi-chain block verify\n",
         .details = "Checks every signature and every balance; the daemon goes on meanwhile. Exit "
                    "code 1: a block is\nwrong.\n",
         .run = run_block_verify},
        {.noun = "tx",
         .verb = "show",
         .arguments = "TX",
         .arguments_min = 1,
         .arguments_max = 1,
         .summary = "What became of one transaction",
         .examples = "  ompi-chain tx show 5f1c09ab\n",
         .details =
             "TX is a transaction's id, or the first of its hex digits, eight at least; all of "
             "them while it is in\nno block. States: pending, included, justified (two "
             "thirds have voted for its block), final; and\nrefused, which this daemon "
             "remembers for a while, with the reason.\n",
         .run = run_tx_show},
    };
}

}  // namespace chain::cli
