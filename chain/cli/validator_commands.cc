// SPDX-License-Identifier: BSD-3-Clause
//
// validator: who keeps the ledger, and whether they do.
#include <ostream>

#include "chain/base/units.h"
#include "chain/cli/cli.h"
#include "chain/client/json.h"
#include "chain/client/text.h"

namespace chain::cli {
namespace {

using client::Align;
using client::Json;

constexpr std::uint32_t kQ16 = 1u << 16;

std::string percent(std::uint32_t ppm) {
    const std::uint32_t tenths = (ppm + 500) / 1'000;
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " %";
}

// "1.25", rounded down; "-" for 0.
std::string hundredths(std::uint32_t q16) {
    if (q16 == 0) return "-";
    const std::uint32_t fraction = (q16 % kQ16) * 100 / kQ16;
    return std::to_string(q16 / kQ16) + (fraction < 10 ? ".0" : ".") + std::to_string(fraction);
}

std::string height_or_dash(std::uint64_t height) {
    return height == 0 ? "-" : std::to_string(height);
}

Result<int> list_validators(Invocation &invocation) {
    wire::ControlRequest request;
    request.mutable_validator_list();
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request));
    const wire::ValidatorList &list = reply.validators();
    if (invocation.json()) {
        Json validators = Json::array();
        for (const auto &validator : list.validators())
            validators.push_back({{"address", validator.address()},
                                  {"stake", client::json_amount(validator.stake())},
                                  {"weight_ppm", validator.weight_ppm()},
                                  {"quality_q16", validator.quality_q16()},
                                  {"multiplier_q16", validator.multiplier_q16()},
                                  {"voted_height", validator.voted_height()},
                                  {"sealed_height", validator.sealed_height()},
                                  {"mine", validator.mine()}});
        invocation.console.out << client::json_text(
            {{"height", list.height()},
             {"final_height", list.final_height()},
             {"justified_height", list.justified_height()},
             {"stake_min", client::json_amount(list.stake_min())},
             {"validators", std::move(validators)}});
        return 0;
    }
    client::Table table({{"validator", Align::kLeft},
                         {"stake", Align::kRight},
                         {"weight", Align::kRight},
                         {"m", Align::kRight},
                         {"voted for", Align::kRight},
                         {"sealed", Align::kRight},
                         {"", Align::kLeft}});
    for (const auto &validator : list.validators())
        table.add_row({short_address(validator.address()), format_tokens(Amount{validator.stake()}),
                       percent(validator.weight_ppm()), hundredths(validator.multiplier_q16()),
                       height_or_dash(validator.voted_height()),
                       height_or_dash(validator.sealed_height()), validator.mine() ? "mine" : ""});
    invocation.console.out << table.format() << "Height " << list.height() << ", final up to "
                           << list.final_height() << ". A validator has a stake of at least "
                           << format_tokens(Amount{list.stake_min()}) << " tokens.\n";
    return 0;
}

}  // namespace

std::vector<Command> validator_commands() {
    return {
        {.noun = "validator",
         .verb = "list",
         .summary = "Who keeps the ledger: stake, weight, votes and blocks",
         .examples = "  ompi-chain validator list\n",
         .details = "`weight` is the part of all votes; `m` is how many times easier than others a "
                    "validator finds a block,\nwhere blocks take work: it grows with stake, with "
                    "leases that ended well, and with the blocks since its\nown last one. `voted "
                    "for` is the newest block for which this node has seen the vote, "
                    "`sealed` the newest of the\nlast blocks that it made. Blocks become final "
                    "when two thirds of the weight have voted.\n",
         .run = list_validators},
    };
}

}  // namespace chain::cli
