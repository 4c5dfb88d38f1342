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
    visit("reservation_ahead_max_ms", params.reservation_ahead_max_ms, U64{0}, 366 * kDayMs);
    visit("reservation_notice_ms", params.reservation_notice_ms, U64{0}, 366 * kDayMs);
    visit("deposit_ppm", params.deposit_ppm, 0u, kPpm);
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

// Came after there were networks. A file that lacks one means the default, which therefore stays.
bool came_later(std::string_view field) {
    return field == "reservation_ahead_max_ms" || field == "reservation_notice_ms" ||
           field == "deposit_ppm";
}

template <class Visit>
void for_each_consensus_number(ConsensusParams &consensus, const Visit &visit) {
    using U64 = std::uint64_t;
    const auto most = static_cast<U64>(kMaxAmountUnits);
    visit("spacing_ms", consensus.spacing_ms, U64{1}, kDayMs);
    visit("turn_ms", consensus.turn_ms, U64{1}, kDayMs);
    visit("epoch_blocks", consensus.epoch_blocks, 1u, 10'000u);
    visit("vote_depth", consensus.vote_depth, 0u, 1'000u);
    visit("lag_blocks_max", consensus.lag_blocks_max, 1u, 1'000'000u);
    visit("validators_max", consensus.validators_max, 1u, 512u);
    visit("validator_stake_min_units", consensus.validator_stake_min_units, U64{1}, most);
    if (consensus.kind != ConsensusKind::kPor) return;
    visit("first_target_bits", consensus.first_target_bits, 0u, 128u);
    visit("half_life_ms", consensus.half_life_ms, U64{1}, 366 * kDayMs);
    visit("share_epoch_blocks", consensus.share_epoch_blocks, 0u, 100'000u);
    visit("share_bits", consensus.share_bits, 0u, 64u);
    visit("share_openings", consensus.share_openings, 1u, 16u);
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

// All numbers that `for_each` visits, but for those that came later, and `known` fields; no others.
template <class ForEach>
Status read_numbers(const Json &json, std::set<std::string> known, const ForEach &for_each) {
    Status status = ok_status();
    for_each([&](const char *field, auto &number, auto minimum, auto maximum) {
        known.insert(field);
        if (came_later(field) && !json.contains(field)) return;
        const auto read = read_number(json, field, minimum, maximum);
        if (read.ok())
            number = static_cast<std::decay_t<decltype(number)>>(*read);
        else if (status.ok())
            status = read.error();
    });
    CHAIN_TRY(status);
    return refuse_other_fields(json, known);
}

Status read_params(const Json &json, incentive::Params &params) {
    if (!json.is_object()) return bad("params", "is not an object");
    return read_numbers(json, {}, [&](const auto &visit) { for_each_param(params, visit); });
}

using Allocations = std::vector<std::pair<PublicKey, Amount>>;

// Adds to `sum`, which stays what the ledger can hold.
Result<Allocations> read_allocations(const Json &json, const char *field, Amount &sum) {
    if (!json.contains(field)) return bad(field, "is missing");
    if (!json[field].is_array()) return bad(field, "is not a list");
    Allocations allocations;
    std::set<PublicKey> seen;
    for (const Json &entry : json[field]) {
        if (!entry.is_object()) return bad(field, "holds something that is no object");
        CHAIN_TRY(refuse_other_fields(entry, {"address", "units"}));
        CHAIN_ASSIGN(const PublicKey account, read_account(entry, "address"));
        CHAIN_ASSIGN(const std::uint64_t units, read_number(entry, "units", 1, kMaxAmountUnits));
        if (!seen.insert(account).second) return bad(field, "names an account twice");
        const Amount amount{static_cast<std::int64_t>(units)};
        const auto more = add(sum, amount);
        if (!more.ok()) return bad(field, "add up to more than the ledger can hold");
        sum = *more;
        allocations.emplace_back(account, amount);
    }
    return allocations;
}

Json to_json(const Allocations &allocations) {
    Json json = Json::array();
    for (const auto &[account, amount] : allocations)
        json.push_back({{"address", to_address(account)},
                        {"units", static_cast<std::uint64_t>(amount.units)}});
    return json;
}

Status read_consensus(const Json &json, ConsensusParams &consensus) {
    if (!json.is_object()) return bad("consensus", "is not an object");
    const std::string kind = json.value("kind", Json()).is_string() ? json["kind"] : Json("");
    if (kind != consensus_name(ConsensusKind::kPoa) && kind != consensus_name(ConsensusKind::kPor))
        return bad("kind", "of consensus is neither \"poa\" nor \"por\"");
    std::set<std::string> known{"kind"};
    consensus.kind = ConsensusKind::kPoa;
    if (kind == consensus_name(ConsensusKind::kPor)) {
        consensus.kind = ConsensusKind::kPor;
        known.insert("proof_of_work");
        if (!json.contains("proof_of_work") || !json["proof_of_work"].is_string())
            return bad("proof_of_work", "is not a text");
        consensus.proof_of_work = json["proof_of_work"].get<std::string>();
        if (consensus.proof_of_work != "sha256d" && consensus.proof_of_work != "randomx")
            return bad("proof_of_work", "is neither \"sha256d\" nor \"randomx\"");
    }
    CHAIN_TRY(read_numbers(
        json, known, [&](const auto &visit) { for_each_consensus_number(consensus, visit); }));
    // Votes for a checkpoint must be in the chain when the next one comes.
    if (consensus.epoch_blocks <= consensus.vote_depth)
        return bad("epoch_blocks", "must be above vote_depth: otherwise nothing becomes final");
    if (consensus.lag_blocks_max < 4 * std::uint64_t{consensus.epoch_blocks})
        return bad("lag_blocks_max", "must be at least 4 x epoch_blocks");
    return ok_status();
}

Status check_validators(const Genesis &genesis) {
    const ConsensusParams &consensus = genesis.consensus;
    if (genesis.validators.empty() || genesis.validators.size() > consensus.validators_max)
        return bad("validators", "holds none, or more than validators_max");
    for (const auto &[account, stake] : genesis.validators)
        if (static_cast<std::uint64_t>(stake.units) < consensus.validator_stake_min_units)
            return bad("validators", "holds a stake below validator_stake_min_units");
    return ok_status();
}

}  // namespace

std::string_view consensus_name(ConsensusKind kind) {
    switch (kind) {
        case ConsensusKind::kSolo: return "solo";
        case ConsensusKind::kPoa: return "poa";
        case ConsensusKind::kPor: return "por";
    }
    CHAIN_CHECK(false && "no such kind");
}

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
    Genesis genesis;
    // Without "consensus" one key seals.
    if (json.contains("consensus")) {
        CHAIN_TRY(refuse_other_fields(
            json, {"chain_name", "time_ms", "consensus", "validators", "allocations", "params"}));
        CHAIN_TRY(read_consensus(json["consensus"], genesis.consensus));
    } else {
        CHAIN_TRY(refuse_other_fields(
            json, {"chain_name", "time_ms", "sealer", "allocations", "params"}));
    }
    if (!json.contains("chain_name") || !json["chain_name"].is_string())
        return bad("chain_name", "is not a text");
    genesis.chain_name = json["chain_name"].get<std::string>();
    if (!wire::is_valid_host_name(genesis.chain_name))
        return bad("chain_name", "must be 1 to 63 letters, digits and inner hyphens");
    CHAIN_ASSIGN(genesis.time_ms, read_number(json, "time_ms", 0, kLatestTimeMs));
    if (genesis.consensus.kind == ConsensusKind::kSolo) {
        CHAIN_ASSIGN(genesis.sealer, read_account(json, "sealer"));
    }
    if (!json.contains("params")) return bad("params", "is missing");
    CHAIN_TRY(read_params(json["params"], genesis.params));
    if (genesis.params.collateral_min_ppm > genesis.params.collateral_max_ppm)
        return bad("collateral_min_ppm", "is above collateral_max_ppm");
    Amount sum{static_cast<std::int64_t>(genesis.params.reward_pool_units)};
    CHAIN_ASSIGN(genesis.allocations, read_allocations(json, "allocations", sum));
    if (genesis.consensus.kind != ConsensusKind::kSolo) {
        CHAIN_ASSIGN(genesis.validators, read_allocations(json, "validators", sum));
        CHAIN_TRY(check_validators(genesis));
    }
    genesis.chain_id = tagged_hash(kGenesisTag, text);
    return genesis;
}

std::string format_genesis(const Genesis &genesis) {
    Json json;
    json["chain_name"] = genesis.chain_name;
    json["time_ms"] = genesis.time_ms;
    ConsensusParams consensus = genesis.consensus;
    if (consensus.kind == ConsensusKind::kSolo) {
        json["sealer"] = to_address(genesis.sealer);
    } else {
        json["consensus"]["kind"] = consensus_name(consensus.kind);
        for_each_consensus_number(consensus, [&](const char *field, auto &number, auto, auto) {
            json["consensus"][field] = number;
        });
        if (consensus.kind == ConsensusKind::kPor)
            json["consensus"]["proof_of_work"] = consensus.proof_of_work;
        json["validators"] = to_json(genesis.validators);
    }
    json["allocations"] = to_json(genesis.allocations);
    incentive::Params params = genesis.params;
    for_each_param(params, [&](const char *field, auto &number, auto, auto) {
        json["params"][field] = number;
    });
    return json.dump(2) + "\n";
}

}  // namespace chain::ledger
