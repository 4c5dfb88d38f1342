// SPDX-License-Identifier: BSD-3-Clause
#include <limits>
#include <set>

#include <nlohmann/json.hpp>

#include "chain/ledger/types.h"
#include "chain/wire/frame.h"

namespace chain::ledger {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kDayMs = 24ULL * 3600 * 1000;
constexpr std::uint64_t kLatestTimeMs = 1ULL << 47;  // the year 6429: sums of times fit

Error bad(std::string_view field, std::string_view why) {
    return make_error(ErrorCode::kCorrupt, "genesis file: field \"", field, "\" ", why);
}

// One row per number: parsing, bounds and writing agree because they read the same table.
template <class Visit>
void for_each_param(incentive::Params &params, const Visit &visit) {
    using U64 = std::uint64_t;
    const auto most = static_cast<U64>(kMaxAmountUnits);
    visit("burn_ppm", params.burn_ppm, 0u, kPpm);
    visit("fee_per_byte_units", params.fee_per_byte_units, U64{0}, U64{1'000'000'000});
    visit("collateral_max_ppm", params.collateral_max_ppm, 0u, kPpm);
    visit("collateral_min_ppm", params.collateral_min_ppm, 0u, kPpm);
    visit("collateral_at_risk_ms", params.collateral_at_risk_ms, U64{0}, kDayMs);
    visit("start_forfeit_ppm", params.start_forfeit_ppm, 0u, kPpm);
    visit("lost_forfeit_ppm", params.lost_forfeit_ppm, 0u, kPpm);
    visit("unsigned_work_ms", params.unsigned_work_ms, U64{0}, kDayMs);
    visit("start_window_ms", params.start_window_ms, U64{1}, kDayMs);
    visit("challenge_window_ms", params.challenge_window_ms, U64{1}, 30 * kDayMs);
    visit("settle_grace_ms", params.settle_grace_ms, U64{0}, 30 * kDayMs);
    visit("rate_window_ms", params.rate_window_ms, U64{0}, 366 * kDayMs);
    visit("unbonding_ms", params.unbonding_ms, U64{0}, 366 * kDayMs);
    visit("slash_reporter_ppm", params.slash_reporter_ppm, 0u, kPpm);
    visit("reward_pool_units", params.reward_pool_units, U64{0}, most);
    visit("reward_halving_ms", params.reward_halving_ms, U64{1}, 36'600 * kDayMs);
    visit("decay_step_ms", params.decay_step_ms, U64{1}, 3'660 * kDayMs);
    visit("volume_half_units", params.volume_half_units, U64{1}, most);
    visit("shares_half", params.shares_half, U64{1}, most);
    visit("prior_units", params.prior_units, U64{1}, most / 4);
    visit("audit_fee_min_units", params.audit_fee_min_units, U64{0}, most);
    visit("stake_full_units", params.stake_full_units, U64{1}, most);
    visit("boost_max", params.boost_max, 1u, 4u);
    visit("recovery_blocks", params.recovery_blocks, U64{1}, U64{1'000'000});
    visit("legs_max", params.legs_max, 1u, static_cast<std::uint32_t>(kLegsPerLeaseMax));
    visit("slots_per_leg_max", params.slots_per_leg_max, 1u, 1u << 16);
    visit("lease_duration_max_ms", params.lease_duration_max_ms, U64{1}, 366 * kDayMs);
    visit("payout_shares_max", params.payout_shares_max, 1u, 1'024u);
    visit("block_txs_max", params.block_txs_max, 1u, 100'000u);
}

Result<std::uint64_t> read_number(const Json &json, const char *field, std::uint64_t minimum,
                                  std::uint64_t maximum) {
    if (!json.contains(field) || !json[field].is_number_unsigned())
        return bad(field, "is not a whole number");
    const auto number = json[field].get<std::uint64_t>();
    if (number < minimum || number > maximum)
        return bad(field, "is outside " + std::to_string(minimum) + ".." + std::to_string(maximum));
    return number;
}

Result<PublicKey> read_account(const Json &json, const char *field) {
    if (!json.contains(field) || !json[field].is_string()) return bad(field, "is not an address");
    const auto account = parse_address(json[field].get<std::string>());
    if (!account.ok() || !is_valid_public_key(*account)) return bad(field, "is not an address");
    return account;
}

// A misspelt field must not silently become a default.
Status refuse_other_fields(const Json &json, const std::set<std::string> &known) {
    for (const auto &[field, value] : json.items())
        if (!known.contains(field)) return bad(field.substr(0, 64), "is not known");
    return ok_status();
}

Status read_params(const Json &json, incentive::Params &params) {
    if (!json.is_object()) return bad("params", "is not an object");
    std::set<std::string> known;
    Status status = ok_status();
    for_each_param(params, [&](const char *field, auto &number, auto minimum, auto maximum) {
        known.insert(field);
        const auto read = read_number(json, field, minimum, maximum);
        if (read.ok())
            number = static_cast<std::decay_t<decltype(number)>>(*read);
        else if (status.ok())
            status = read.error();
    });
    CHAIN_TRY(status);
    return refuse_other_fields(json, known);
}

Status read_allocations(const Json &json, Genesis &genesis) {
    if (!json.is_array()) return bad("allocations", "is not a list");
    std::set<PublicKey> seen;
    Amount sum{static_cast<std::int64_t>(genesis.params.reward_pool_units)};
    for (const Json &entry : json) {
        if (!entry.is_object()) return bad("allocations", "holds something that is no object");
        CHAIN_TRY(refuse_other_fields(entry, {"address", "units"}));
        CHAIN_ASSIGN(const PublicKey account, read_account(entry, "address"));
        CHAIN_ASSIGN(const std::uint64_t units, read_number(entry, "units", 1, kMaxAmountUnits));
        if (!seen.insert(account).second) return bad("allocations", "names an account twice");
        const Amount amount{static_cast<std::int64_t>(units)};
        const auto more = add(sum, amount);
        if (!more.ok()) return bad("allocations", "add up to more than the ledger can hold");
        sum = *more;
        genesis.allocations.emplace_back(account, amount);
    }
    return ok_status();
}

}  // namespace

std::uint64_t decay_step(const Genesis &genesis, std::uint64_t time_ms) {
    return time_ms <= genesis.time_ms ? 0
                                      : (time_ms - genesis.time_ms) / genesis.params.decay_step_ms;
}

Result<Genesis> parse_genesis(std::string_view text) {
    if (text.size() > kMaxGenesisBytes)
        return make_error(ErrorCode::kTooLarge, "genesis file: is larger than ", kMaxGenesisBytes,
                          " bytes");
    const Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded() || !json.is_object())
        return make_error(ErrorCode::kCorrupt, "genesis file: is not a JSON object");
    CHAIN_TRY(
        refuse_other_fields(json, {"chain_name", "time_ms", "sealer", "allocations", "params"}));
    Genesis genesis;
    if (!json.contains("chain_name") || !json["chain_name"].is_string())
        return bad("chain_name", "is not a text");
    genesis.chain_name = json["chain_name"].get<std::string>();
    if (!wire::is_valid_host_name(genesis.chain_name))
        return bad("chain_name", "must be 1 to 63 letters, digits and inner hyphens");
    CHAIN_ASSIGN(genesis.time_ms, read_number(json, "time_ms", 0, kLatestTimeMs));
    CHAIN_ASSIGN(genesis.sealer, read_account(json, "sealer"));
    if (!json.contains("params")) return bad("params", "is missing");
    CHAIN_TRY(read_params(json["params"], genesis.params));
    if (!json.contains("allocations")) return bad("allocations", "is missing");
    if (genesis.params.collateral_min_ppm > genesis.params.collateral_max_ppm)
        return bad("collateral_min_ppm", "is above collateral_max_ppm");
    CHAIN_TRY(read_allocations(json["allocations"], genesis));
    genesis.chain_id = tagged_hash(kGenesisTag, text);
    return genesis;
}

std::string format_genesis(const Genesis &genesis) {
    Json json;
    json["chain_name"] = genesis.chain_name;
    json["time_ms"] = genesis.time_ms;
    json["sealer"] = to_address(genesis.sealer);
    json["allocations"] = Json::array();
    for (const auto &[account, amount] : genesis.allocations)
        json["allocations"].push_back({{"address", to_address(account)},
                                       {"units", static_cast<std::uint64_t>(amount.units)}});
    incentive::Params params = genesis.params;
    for_each_param(params, [&](const char *field, auto &number, auto, auto) {
        json["params"][field] = number;
    });
    return json.dump(2) + "\n";
}

}  // namespace chain::ledger
