// SPDX-License-Identifier: BSD-3-Clause
//
// The worked examples: their inputs stand here, what comes of them in golden/money_rules.json.
// tests/incentive/examples.py computes them anew from that file's inputs, by the formulas as the
// documents state them, and holds the tables in docs/ to it. GOLDEN_WRITE=1 writes the file.
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "incentive/mining.h"
#include "incentive/reputation.h"
#include "incentive/rewards.h"
#include "incentive/settlement.h"
#include "incentive/slashing.h"
#include "incentive/split.h"

namespace incentive {
namespace {

constexpr std::int64_t kToken = chain::kUnitsPerToken;
constexpr std::uint64_t kDayMs = 24ULL * 3600 * 1000;

struct Value {
    std::string json;
    Value(const char *text) : json('"' + std::string(text) + '"') {}
    Value(Amount amount) : json(std::to_string(amount.units)) {}
    Value(std::int64_t number) : json(std::to_string(number)) {}
    Value(std::uint64_t number) : json(std::to_string(number)) {}
    Value(std::uint32_t number) : json(std::to_string(number)) {}
};
using Row = std::vector<std::pair<const char *, Value>>;

// {"table": [one row a line]}: text that compares and merges by line.
class Golden {
public:
    void table(const char *name) {
        text_ += (text_.empty() ? "{\n\"" : "\n],\n\"") + std::string(name) + "\": [";
        first_ = true;
    }
    void row(const Row &row) {
        text_ += first_ ? "\n  {" : ",\n  {";
        first_ = false;
        const char *comma = "";
        for (const auto &[name, value] : row) {
            text_ += comma + ('"' + std::string(name) + "\": ") + value.json;
            comma = ", ";
        }
        text_ += "}";
    }
    std::string text() const { return text_ + "\n]\n}\n"; }

private:
    std::string text_;
    bool first_ = true;
};

// Two slots of 2.5 GHz at 0.03 tokens per GHz·h.
constexpr Amount kPrice{30'000'000};
constexpr std::uint32_t kSlots = 2;
constexpr std::uint64_t kHz = 2'500'000'000;

LegTerms leg_for(std::uint64_t duration_ms) {
    return {kPrice, kSlots, kHz, cycles_bound(kSlots, kHz, duration_ms)};
}
const Cycles kUsed = 4'321'000'123'456;

void payments(Golden &golden, const Params &params) {
    golden.table("payment");
    const LegTerms hour = leg_for(3'600'000);
    for (const Cycles cycles : {Cycles{0}, Cycles{1}, Cycles{120'000}, kUsed, hour.cycles_max}) {
        const Amount locked = *escrow(kPrice, hour.cycles_max), paid = *payment(kPrice, cycles);
        const auto parts = *settle_leg(locked, paid, Amount{}, LegEnd::kCompleted, params);
        golden.row({{"price_per_ghz_h", kPrice},
                    {"cycles_max", hour.cycles_max},
                    {"cycles", cycles},
                    {"escrow", locked},
                    {"payment", paid},
                    {"burned", parts.burned},
                    {"to_provider", parts.to_provider},
                    {"refund", parts.refund}});
    }
}

void collaterals(Golden &golden, const Params &params) {
    golden.table("collateral");
    const struct {
        const char *leg;
        std::uint64_t duration_ms;
        std::uint32_t quality_q16;
    } cases[] = {
        {"an hour", 3'600'000, 0},      {"an hour", 3'600'000, 16'384},
        {"an hour", 3'600'000, 32'768}, {"an hour", 3'600'000, 49'152},
        {"an hour", 3'600'000, 65'536}, {"a minute", 60'000, 0},
        {"a minute", 60'000, 65'536},   {"five seconds", 5'000, 65'536},
    };
    for (const auto &c : cases) {
        const LegTerms leg = leg_for(c.duration_ms);
        golden.row({{"leg", c.leg},
                    {"price_per_ghz_h", kPrice},
                    {"slots", kSlots},
                    {"hz_max", kHz},
                    {"cycles_max", leg.cycles_max},
                    {"quality_q16", c.quality_q16},
                    {"escrow", *escrow(kPrice, leg.cycles_max)},
                    {"earned_in_2_s", *payment(kPrice, cycles_bound(kSlots, kHz, 2'000))},
                    {"collateral", *collateral(leg, c.quality_q16, params)}});
    }
}

void forfeits(Golden &golden, const Params &params) {
    golden.table("forfeit");
    const LegTerms hour = leg_for(3'600'000);
    const Amount locked = *escrow(kPrice, hour.cycles_max), paid = *payment(kPrice, kUsed);
    const Amount put_up = *collateral(hour, 0, params);
    const Amount not_signed = *unsigned_work(hour, kUsed, params);
    const std::pair<const char *, LegEnd> ends[] = {
        {"completed", LegEnd::kCompleted},  {"left", LegEnd::kLeft},
        {"reclaimed", LegEnd::kReclaimed},  {"lost", LegEnd::kLost},
        {"expired", LegEnd::kExpired},      {"not started", LegEnd::kNotStarted},
        {"never seen", LegEnd::kNeverSeen}, {"voided", LegEnd::kVoided},
        {"disputed", LegEnd::kDisputed},
    };
    for (const auto &[name, end] : ends) {
        const auto parts = *settle_leg(locked, paid, put_up, end, params, not_signed);
        golden.row({{"end", name},
                    {"escrow", locked},
                    {"payment", paid},
                    {"price_per_ghz_h", kPrice},
                    {"slots", kSlots},
                    {"hz_max", kHz},
                    {"cycles_max", hour.cycles_max},
                    {"cycles", kUsed},
                    {"put_up", put_up},
                    {"to_provider", parts.to_provider},
                    {"burned", parts.burned},
                    {"refund", parts.refund},
                    {"penalty", parts.penalty},
                    {"collateral", parts.collateral},
                    {"forfeit", parts.forfeit}});
    }
}

// The leg of the hour, reserved: what its renter signed for, and how it ended.
void deposits(Golden &golden, const Params &params) {
    golden.table("deposit");
    const LegTerms hour = leg_for(3'600'000);
    const Amount locked = *escrow(kPrice, hour.cycles_max);
    const Amount least = *deposit(locked, params);
    constexpr Cycles kFew = 500'000'000'000;
    using To = DueDeposit::To;
    const struct {
        const char *what, *due_to;
        LegEnd end;
        DueDeposit due;
        Cycles cycles;
    } cases[] = {
        {"cancelled in time", "", LegEnd::kCancelled, {}, 0},
        {"cancelled later", "provider", LegEnd::kCancelled, {least, To::kProvider}, 0},
        {"no-show", "nobody", LegEnd::kNoShow, {least, To::kBurned}, 0},
        {"completed", "provider", LegEnd::kCompleted, {least, To::kProvider}, kFew},
        {"completed", "provider", LegEnd::kCompleted, {least, To::kProvider}, kUsed},
        {"accused, and answered", "nobody", LegEnd::kCompleted, {least, To::kBurned}, kFew},
        {"accused, and answered", "nobody", LegEnd::kCompleted, {least, To::kBurned}, kUsed},
        {"disputed", "nobody", LegEnd::kDisputed, {least, To::kBurned}, kFew},
        {"disputed", "nobody", LegEnd::kDisputed, {least, To::kBurned}, kUsed},
    };
    for (const auto &c : cases) {
        const Amount paid = *payment(kPrice, c.cycles);
        const auto parts = *settle_leg(locked, paid, Amount{}, c.end, params,
                                       *unsigned_work(hour, c.cycles, params), c.due);
        golden.row({{"end", c.what},
                    {"due_to", c.due_to},
                    {"escrow", locked},
                    {"payment", paid},
                    {"price_per_ghz_h", kPrice},
                    {"slots", kSlots},
                    {"hz_max", kHz},
                    {"cycles_max", hour.cycles_max},
                    {"cycles", c.cycles},
                    {"deposit", least},
                    {"to_provider", parts.to_provider},
                    {"burned", parts.burned},
                    {"refund", parts.refund},
                    {"penalty", parts.penalty}});
    }
}

// One row for each node: what it provided of all, and its income.
void split_rows(Golden &golden, const char *table, Amount total) {
    golden.table(table);
    constexpr Cycles kGhzHour = chain::kCyclesPerGhzHour;
    const std::vector<Cycles> cycles{5 * kGhzHour, 7 * kGhzHour, 9 * kGhzHour};
    const auto parts = *split(total, cycles);
    for (std::size_t i = 0; i < cycles.size(); ++i)
        golden.row({{"node", std::uint64_t{i + 1}},
                    {"total", total},
                    {"cycles", cycles[i]},
                    {"income", parts[i]}});
}

void mining(Golden &golden) {
    golden.table("mining");
    const std::pair<std::uint64_t, std::uint64_t> cases[] = {
        {125'000, 40}, {125'000, 37}, {1, 2'000'000'000}};
    for (const auto &[income, price] : cases)
        golden.row({{"income_satoshi", income},
                    {"satoshi_per_token", price},
                    {"tokens", *tokens_bought(income, price)}});
    split_rows(golden, "mining_split", *tokens_bought(125'000, 37));
    golden.table("ask_floor");
    for (const std::uint32_t margin_ppm : {0u, 52'632u, 100'000u}) {
        const Amount mined = *tokens_bought(125'000, 37);
        const Cycles cycles = 90'000 * chain::kCyclesPerGhzHour;
        golden.row({{"mined", mined},
                    {"cycles", cycles},
                    {"margin_ppm", margin_ppm},
                    {"floor_per_ghz_h", *ask_floor_per_ghz_h(mined, cycles, margin_ppm)}});
    }
}

void rewards(Golden &golden, Params params) {
    golden.table("rewards");
    params.reward_pool_units = static_cast<std::uint64_t>(1'000'000 * kToken);
    const Amount pool{static_cast<std::int64_t>(params.reward_pool_units)};
    const std::uint64_t halving_ms = params.reward_halving_ms;
    const std::uint64_t halves[] = {0, 1, 2, 4, 6, 8, 10, 20, 40, 80, 100};
    for (const std::uint64_t half : halves) {
        const std::uint64_t elapsed_ms = halving_ms / 2 * half;
        const Amount out = emitted(pool, halving_ms, elapsed_ms);
        golden.row({{"pool", pool},
                    {"halving_ms", halving_ms},
                    {"elapsed_ms", elapsed_ms},
                    {"emitted", out},
                    {"left", Amount{pool.units - out.units}},
                    {"next_day", block_reward(params, elapsed_ms, elapsed_ms + kDayMs)}});
    }
}

void slashes(Golden &golden, const Params &params) {
    golden.table("slash");
    for (const std::int64_t stake : {std::int64_t{15}, std::int64_t{1'000}, 1'000 * kToken}) {
        const Slash parts = *slash(Amount{stake}, params);
        golden.row(
            {{"stake", stake}, {"to_reporter", parts.to_reporter}, {"burned", parts.burned}});
    }
}

void decay(Golden &golden) {
    golden.table("decay");
    const std::uint64_t value = 1'000'000'000;
    for (const std::uint64_t steps : {0, 1, 2, 4, 8, 16, 17, 32, 64, 160, 512})
        golden.row({{"value", value}, {"steps", steps}, {"faded", faded(value, steps)}});
}

// Tokens in thousandths, so that an example is one line.
Amount milli(std::int64_t tokens) {
    return Amount{tokens * (kToken / 1000)};
}

Reputation record(std::uint64_t shares, std::int64_t provided, std::int64_t rented,
                  std::int64_t failed, std::uint64_t audits, std::int64_t satisfied) {
    Reputation r;
    r.shares = shares;
    r.burned_as_provider = r.done = r.on_time = milli(provided);
    r.burned_as_renter = milli(rented);
    r.failed = r.late = milli(failed);
    r.audit_score = audits * kAuditPoints;
    r.satisfied = milli(satisfied);
    return r;
}

void coefficient_row(Golden &golden, const char *who, const Reputation &r, Amount stake,
                     std::uint64_t blocks, const Params &params) {
    const Coefficient c = coefficient(r, stake, blocks, params);
    golden.row({{"who", who},
                {"shares", r.shares},
                {"burned_as_provider", r.burned_as_provider},
                {"burned_as_renter", r.burned_as_renter},
                {"done", r.done},
                {"failed", r.failed},
                {"on_time", r.on_time},
                {"late", r.late},
                {"audit_score", r.audit_score},
                {"satisfied", r.satisfied},
                {"dissatisfied", r.dissatisfied},
                {"stake", stake},
                {"blocks_since_own", blocks},
                {"volume_q16", c.volume},
                {"completion_q16", c.completion},
                {"run_time_q16", c.run_time},
                {"verification_q16", c.verification},
                {"satisfaction_q16", c.satisfaction},
                {"quality_q16", c.quality},
                {"stake_q16", c.stake},
                {"recovery_q16", c.recovery},
                {"multiplier_q16", c.multiplier},
                {"collateral", *collateral(leg_for(3'600'000), c.quality, params)}});
}

void coefficients(Golden &golden, const Params &params) {
    golden.table("coefficient");
    const auto row = [&](const char *who, const Reputation &r, std::int64_t stake_tokens,
                         std::uint64_t blocks = 200) {
        coefficient_row(golden, who, r, Amount{stake_tokens * kToken}, blocks, params);
    };
    const Reputation solid = record(1'000'000, 1'000, 200, 5, 100, 500);
    const Reputation whale = record(1'000'000'000, 1'000'000, 1'000'000, 0, 1'000'000, 1'000'000);
    row("newcomer", {}, 0);
    row("newcomer with a full stake", {}, 1'000);
    row("miner who never lent", record(1'000'000'000, 0, 0, 0, 0, 0), 1'000);
    row("modest provider", record(100'000, 100, 20, 1, 10, 50), 100);
    row("solid provider", solid, 500);
    Reputation other = solid;
    other.dissatisfied = milli(2'000);
    row("solid, bad-mouthed", other, 500);
    other = solid;
    for (int i = 0; i < 3; ++i)
        note_rating(other, {{}, Audit::kFault}, LegEnd::kCompleted, milli(1), params);
    row("solid, three faults in audits", other, 500);
    other = solid;
    note_leg_as_provider(other, LegEnd::kLost, Amount{}, milli(1'000));
    row("solid, lost a large leg", other, 500);
    row("solid, idle for 16 weeks", faded_to(solid, 16), 500);
    row("perfect whale", whale, 1'000);
    row("perfect whale, 50 blocks after its own", whale, 1'000, 50);
    row("perfect whale, just sealed", whale, 1'000, 0);
    other = whale;
    other.failed = other.late = milli(1'000'000);
    row("bad whale: half of it failed", other, 1'000);
}

void cuts(Golden &golden, const Params &params) {
    golden.table("cutting");
    const auto row = [&](const char *who, const Reputation &r, std::int64_t stake_tokens,
                         std::uint64_t blocks = 200) {
        coefficient_row(golden, who, r, Amount{stake_tokens * kToken}, blocks, params);
    };
    row("as one", record(4'000'000, 4'000, 1'000, 1'000, 400, 2'000), 1'000);
    row("half of everything", record(2'000'000, 2'000, 500, 500, 200, 1'000), 500);
    row("a quarter of everything", record(1'000'000, 1'000, 250, 250, 100, 500), 250);
    row("half, without the failures", record(2'000'000, 2'000, 500, 0, 200, 1'000), 500);
    row("half, with all the failures", record(2'000'000, 2'000, 500, 1'000, 200, 1'000), 500);
    row("left behind: a new account", {}, 1'000);
    row("one of two that trade with each other", record(0, 10'000, 10'000, 0, 10'000, 10'000),
        1'000);
    row("4,000 staked as one, 50 blocks", record(400'000'000, 400'000, 400'000, 0, 4'000, 400'000),
        4'000, 50);
    row("a quarter of that, 200 blocks", record(100'000'000, 100'000, 100'000, 0, 1'000, 100'000),
        1'000, 200);

    // docs/adr/0010: the ratio that we have, and one that starts from a half, when cut.
    golden.table("ratio");
    for (const std::uint64_t parts : {1, 2, 4, 16, 64}) {
        const std::uint64_t done = 100'000'000 / parts, failed = 1'000'000'000 / parts;
        const std::uint64_t whole = done + failed + params.prior_units;
        golden.row({{"parts", parts},
                    {"done", done},
                    {"failed", failed},
                    {"from_nothing_q16", done * kQ16 / whole},
                    {"from_a_half_q16", (done + params.prior_units / 2) * kQ16 / whole}});
    }
}

TEST(Golden, TheWorkedExamples) {
    const Params params;
    Golden golden;
    golden.table("params");
    golden.row({{"burn_ppm", params.burn_ppm},
                {"collateral_max_ppm", params.collateral_max_ppm},
                {"collateral_min_ppm", params.collateral_min_ppm},
                {"collateral_at_risk_ms", params.collateral_at_risk_ms},
                {"unsigned_work_ms", params.unsigned_work_ms},
                {"start_forfeit_ppm", params.start_forfeit_ppm},
                {"lost_forfeit_ppm", params.lost_forfeit_ppm},
                {"deposit_ppm", params.deposit_ppm},
                {"slash_reporter_ppm", params.slash_reporter_ppm},
                {"volume_half_units", params.volume_half_units},
                {"shares_half", params.shares_half},
                {"prior_units", params.prior_units},
                {"stake_full_units", params.stake_full_units},
                {"boost_max", params.boost_max},
                {"recovery_blocks", params.recovery_blocks}});
    payments(golden, params);
    collaterals(golden, params);
    forfeits(golden, params);
    deposits(golden, params);
    split_rows(golden, "split", Amount{kToken});
    mining(golden);
    rewards(golden, params);
    slashes(golden, params);
    decay(golden);
    coefficients(golden, params);
    cuts(golden, params);

    const std::string path = TEST_SOURCE_DIR "/tests/incentive/golden/money_rules.json";
    if (std::getenv("GOLDEN_WRITE") != nullptr) {
        std::ofstream(path) << golden.text();
        return;
    }
    std::ifstream file(path);
    std::stringstream expected;
    expected << file.rdbuf();
    std::string line, expected_line;
    std::istringstream lines(golden.text());
    for (int number = 1; std::getline(lines, line); ++number) {
        std::getline(expected, expected_line);
        ASSERT_EQ(line, expected_line) << path << ":" << number;
    }
    EXPECT_FALSE(std::getline(expected, expected_line)) << path << " goes on: " << expected_line;
}

}  // namespace
}  // namespace incentive
