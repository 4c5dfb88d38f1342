// SPDX-License-Identifier: BSD-3-Clause
#include "chain/client/lease_spec.h"

#include <set>

#include "chain/base/bytes.h"
#include "chain/base/split.h"
#include "chain/base/units.h"
#include "chain/client/start_time.h"
#include "chain/client/tries.h"
#include "chain/stage/s3.h"
#include "chain/stage/staged_file.h"

namespace chain::client {
namespace {

constexpr std::size_t kSpecBytesMax = 4096;
constexpr std::size_t kNameBytesMax = 128;
constexpr std::size_t kListItemsMax = 1024;
constexpr std::uint64_t kDefaultDurationMs = 3'600'000;
constexpr std::uint64_t kDefaultStageMaxBytes = 4ULL << 30;
constexpr std::string_view kSpecForm =
    "The form is "
    "SLOTS[,mem=SIZE][,ghz=N][,gpu=N][,notice=TIME][,image=FILE][,region=NAME][,provider=NAME[+"
    "NAME...]], as in "
    "--chain-lease 16,mem=2G,ghz=2.5.";

Error spec_error(std::string_view part, std::string_view why) {
    return make_error(ErrorCode::kInvalidInput, "--chain-lease: \"", part, "\": ", why, "\n",
                      kSpecForm);
}

Error flag_error(std::string_view flag, std::string_view text, const Error &cause,
                 std::string_view form) {
    return make_error(ErrorCode::kInvalidInput, flag, " \"", text, "\": ", cause.message, "\n",
                      form);
}

// Names of regions, hosts and accounts: what a person types, and never more.
bool is_plain_name(std::string_view name) {
    if (name.empty() || name.size() > kNameBytesMax) return false;
    for (const char c : name) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_') return false;
    }
    return true;
}

Status set_providers(std::string_view part, std::string_view value, wire::LeaseSpec &spec) {
    const auto names = split(value, '+');
    if (names.size() > kLeaseProvidersMax) return spec_error(part, "too many providers");
    for (const std::string_view name : names) {
        if (!is_plain_name(name))
            return spec_error(part, "a provider is an account's address or a host's name");
        spec.add_providers(std::string(name));
    }
    return ok_status();
}

Status set_condition(std::string_view part, std::string_view key, std::string_view value,
                     wire::LeaseSpec &spec) {
    if (value.empty()) return spec_error(part, "the value is missing");
    if (key == "mem") {
        const auto size = parse_size_bytes(value);
        if (!size.ok()) return spec_error(part, size.error().message);
        if (*size == 0) return spec_error(part, "a slot needs some memory");
        spec.set_memory_bytes_per_slot(*size);
    } else if (key == "ghz") {
        const auto hz = parse_ghz_as_hz(value);
        if (!hz.ok()) return spec_error(part, hz.error().message);
        spec.set_hz_min(*hz);
    } else if (key == "notice") {
        const auto notice = parse_duration_ms(value);
        if (!notice.ok()) return spec_error(part, notice.error().message);
        spec.set_notice_ms_min(*notice);
    } else if (key == "gpu") {
        const auto gpus = parse_integer(value, 1, kGpusPerSlotMax, "the number of GPUs");
        if (!gpus.ok()) return spec_error(part, gpus.error().message);
        spec.set_gpus_per_slot(static_cast<std::uint32_t>(*gpus));
    } else if (key == "image") {
        spec.set_image(std::string(value));
    } else if (key == "region") {
        if (!is_plain_name(value)) return spec_error(part, "a region is one plain word");
        spec.set_region(std::string(value));
    } else if (key == "provider") {
        return set_providers(part, value, spec);
    } else if (key == "reputation") {
        if (value != "0" && value != "0.0")
            return make_error(ErrorCode::kNotYet, "--chain-lease: \"", part,
                              "\": peers have no reputation yet in this version; leave it out.");
    } else {
        return spec_error(part, "there is no such condition");
    }
    return ok_status();
}

Result<std::vector<std::string>> parse_list(std::string_view flag, std::string_view text) {
    std::vector<std::string> items;
    if (text.empty()) return items;
    for (const std::string_view item : split(text, ',')) {
        if (item.empty())
            return make_error(ErrorCode::kInvalidInput, flag, " \"", text,
                              "\": there is nothing between two commas.");
        if (item.find('\0') != std::string_view::npos || items.size() >= kListItemsMax)
            return make_error(ErrorCode::kInvalidInput, flag, ": more than ", kListItemsMax,
                              " items, or an item that is no name.");
        items.emplace_back(item);
    }
    return items;
}

Status check_net(const LeaseFlags &flags) {
    if (!flags.net.empty() && flags.net != "auto" && flags.net != "tunnel" && flags.net != "plain")
        return make_error(ErrorCode::kInvalidInput, "--chain-net \"", flags.net,
                          "\": there is no such network; take tunnel (which auto means: an "
                          "encrypted network of the lease's own), or plain (the peers' networks as "
                          "they are).");
    return ok_status();
}

Status set_money_and_time(const LeaseFlags &flags, wire::LeaseSpec &spec) {
    if (!flags.max_price.empty()) {
        const auto price = parse_tokens(flags.max_price);
        if (!price.ok())
            return flag_error("--chain-max-price", flags.max_price, price.error(),
                              "It is a number of tokens per GHz·h, as in --chain-max-price 0.03.");
        if (price->units == 0)
            return make_error(ErrorCode::kInvalidInput,
                              "--chain-max-price 0: nobody lends for nothing.");
        spec.set_max_price_per_ghz_h(price->units);
    }
    if (!flags.budget.empty()) {
        const auto budget = parse_tokens(flags.budget);
        if (!budget.ok())
            return flag_error("--chain-budget", flags.budget, budget.error(),
                              "It is a number of tokens for the whole job, as in "
                              "--chain-budget 5.");
        if (budget->units == 0)
            return make_error(ErrorCode::kInvalidInput, "--chain-budget 0: nothing can run.");
        spec.set_budget(budget->units);
    }
    if (!flags.home.empty()) {
        const auto slots = parse_integer(flags.home, 0, kHomeSlotsMax, "the number of slots");
        if (!slots.ok())
            return flag_error("--chain-home", flags.home, slots.error(),
                              "It is how many ranks this machine runs itself, besides those that "
                              "are leased, as in --chain-home 2.");
        if (*slots > 0 && !spec.image().empty())
            return make_error(ErrorCode::kInvalidInput, "--chain-home ", flags.home,
                              " with image=", spec.image(),
                              ": an image is for peers; ranks of this machine run in no other "
                              "system than its own. Leave out one of the two.");
        spec.set_home_slots(static_cast<std::uint32_t>(*slots));
    }
    spec.set_duration_ms(kDefaultDurationMs);
    if (!flags.time.empty()) {
        const auto time = parse_duration_ms(flags.time);
        if (!time.ok() || *time == 0)
            return flag_error(
                "--chain-time", flags.time,
                time.ok() ? Error{ErrorCode::kInvalidInput, "nothing can run"} : time.error(),
                "It is a time, as in --chain-time 1h30m.");
        spec.set_duration_ms(*time);
    }
    if (!flags.wait.empty()) {
        const auto wait = parse_duration_ms(flags.wait);
        if (!wait.ok())
            return flag_error("--chain-wait", flags.wait, wait.error(),
                              "It is a time, as in --chain-wait 10m; 0 does not wait.");
        spec.set_wait_ms(*wait);
    }
    return ok_status();
}

// A reservation's terms were agreed when it was made; flags that would say others are a mistake.
Status take_reservation(const LeaseFlags &flags, LeaseOrder &order) {
    const struct {
        std::string_view flag;
        bool given;
    } terms[] = {
        {"--chain-lease", !flags.lease.empty()},   {"--chain-start", !flags.start.empty()},
        {"--chain-budget", !flags.budget.empty()}, {"--chain-max-price", !flags.max_price.empty()},
        {"--chain-explain", flags.explain},
    };
    for (const auto &row : terms)
        if (row.given)
            return make_error(ErrorCode::kInvalidInput, row.flag, " and --chain-reservation: what ",
                              "is reserved has its terms already; leave one of them out.");
    if (!flags.relaunch.empty() && flags.relaunch != "0")
        return make_error(ErrorCode::kInvalidInput,
                          "--chain-relaunch and --chain-reservation: a reservation begins once; "
                          "leave one of them out.");
    CHAIN_TRY(check_reservation(flags.reservation));
    order.reservation = flags.reservation;
    return ok_status();
}

Status set_start(const LeaseFlags &flags, std::uint64_t now_ms, wire::LeaseSpec &spec) {
    if (flags.start.empty()) return ok_status();
    const auto start_ms = parse_start_time(flags.start, now_ms);
    if (!start_ms.ok())
        return make_error(ErrorCode::kInvalidInput, "--chain-start ", start_ms.error().message);
    spec.set_starts_at_ms(*start_ms);
    return ok_status();
}

}  // namespace

Status check_reservation(std::string_view text) {
    const bool is_id = !text.empty() && text.size() <= 2 * sizeof(Bytes32) &&
                       text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
    if (is_id || text == "next") return ok_status();
    return make_error(ErrorCode::kInvalidInput, "--chain-reservation \"", text,
                      "\": it is the number of a reservation, the beginning of it, or next.\n"
                      "`ompi-chain lease list` shows them.");
}

Result<wire::LeaseSpec> parse_lease_spec(std::string_view text) {
    if (text.empty()) return spec_error(text, "the number of slots is missing");
    if (text.size() > kSpecBytesMax) return spec_error(text.substr(0, 40), "this is too long");
    const auto parts = split(text, ',');
    wire::LeaseSpec spec;
    const auto slots = parse_integer(parts[0], 1, kLeaseSlotsMax, "the number of slots");
    if (!slots.ok()) return spec_error(parts[0], slots.error().message);
    spec.set_slot_count(static_cast<std::uint32_t>(*slots));

    std::set<std::string_view> seen;
    for (std::size_t i = 1; i < parts.size(); ++i) {
        const std::string_view part = parts[i];
        const std::size_t equals = part.find('=');
        if (part.empty()) return spec_error(text, "there is nothing between two commas");
        if (equals == std::string_view::npos)
            return spec_error(part, "a condition is written NAME=VALUE");
        const std::string_view key = part.substr(0, equals);
        if (!seen.insert(key).second) return spec_error(part, "this condition is there twice");
        CHAIN_TRY(set_condition(part, key, part.substr(equals + 1), spec));
    }
    return spec;
}

Result<LeaseOrder> parse_lease_flags(const LeaseFlags &flags, std::uint64_t now_ms) {
    LeaseOrder order;
    if (!flags.reservation.empty()) {
        CHAIN_TRY(take_reservation(flags, order));
    } else {
        CHAIN_ASSIGN(order.spec, parse_lease_spec(flags.lease));
    }
    CHAIN_TRY(check_net(flags));
    CHAIN_TRY(set_start(flags, now_ms, order.spec));
    CHAIN_TRY(set_money_and_time(flags, order.spec));
    order.spec.set_plain_network(flags.net == "plain");
    order.spec.set_tolerate_loss(flags.tolerate_loss);
    if (!flags.relaunch.empty()) {
        const auto again = parse_integer(flags.relaunch, 0, kTriesMax, "number");
        if (!again.ok())
            return flag_error("--chain-relaunch", flags.relaunch, again.error(),
                              "It is how often the job may start again, as in --chain-relaunch 3.");
        order.relaunch = static_cast<unsigned>(*again);
    }
    CHAIN_ASSIGN(order.stage_in, parse_list("--chain-stage-in", flags.stage_in));
    CHAIN_ASSIGN(order.stage_out, parse_list("--chain-stage-out", flags.stage_out));
    for (auto glob = order.stage_out.begin(); glob != order.stage_out.end();) {
        if (!stage::is_s3_url(*glob)) {
            ++glob;
            continue;
        }
        if (!order.results_url.empty())
            return make_error(ErrorCode::kInvalidInput, "--chain-stage-out ", *glob,
                              ": results go to one place, and ", order.results_url,
                              " is named already.");
        if (const auto object = stage::parse_s3_url(*glob); !object.ok())
            return flag_error("--chain-stage-out", *glob, object.error(),
                              "As in --chain-stage-out '*.png,s3://BUCKET/run-1/'.");
        order.results_url = *glob;
        glob = order.stage_out.erase(glob);
    }
    if (const Status globs = stage::check_globs(order.stage_out); !globs.ok())
        return flag_error("--chain-stage-out", flags.stage_out, globs.error(),
                          "As in --chain-stage-out '*.png,out/*'.");
    if (order.stage_in.size() == 1 && order.stage_in[0] == "none") {
        order.stage_in.clear();
        order.stage_program_only = true;
    }
    order.stage_max_bytes = kDefaultStageMaxBytes;
    if (!flags.stage_max.empty()) {
        const auto size = parse_size_bytes(flags.stage_max);
        if (!size.ok())
            return flag_error("--chain-stage-max", flags.stage_max, size.error(),
                              "It is a size, as in --chain-stage-max 512M.");
        order.stage_max_bytes = *size;
    }
    order.explain = flags.explain;
    order.report_path = flags.report;
    return order;
}

}  // namespace chain::client
