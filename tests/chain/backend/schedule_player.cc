// SPDX-License-Identifier: BSD-3-Clause
#include "tests/chain/backend/schedule_player.h"

#include <algorithm>

#include "incentive/mining.h"

namespace chain {
namespace {

constexpr unsigned kAccounts = 4;
constexpr std::uint64_t kSecondMs = 1'000, kMinuteMs = 60'000, kDayMs = 86'400'000;

// How often a kind comes, in the order of StepKind: mostly leases, mostly stake, and the lives of
// one or two leases.
constexpr std::array<std::array<unsigned, 16>, 3> kWeights = {{
    {7, 6, 7, 8, 6, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2, 8},
    {1, 0, 1, 1, 1, 0, 1, 1, 1, 5, 3, 4, 6, 7, 2, 5},
    {1, 8, 4, 6, 5, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 3},
}};

Bytes32 hash_of(std::uint64_t number) {
    Bytes32 out{};
    out[0] = static_cast<std::uint8_t>(number);
    return out;
}

std::int64_t some_units(Dice &dice, Amount held) {
    switch (dice.below(8)) {
        case 0: return 0;
        case 1: return held.units;
        case 2: return held.units + 1;
        case 3: return -static_cast<std::int64_t>(dice.below(3));
        case 4: return 1;
        default: break;
    }
    return held.units > 0
               ? static_cast<std::int64_t>(dice.below(static_cast<std::uint64_t>(held.units)))
               : 5;
}

}  // namespace

std::uint64_t Dice::number() {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
}

std::vector<Step> random_steps(std::mt19937_64 &random) {
    const std::uint64_t mood = random() % 8;
    const auto &weights = kWeights[mood < 2 ? 1 : mood < 5 ? 2 : 0];
    unsigned sum = 0;
    for (const unsigned weight : weights) sum += weight;
    std::vector<Step> steps(10 + random() % 25);
    for (Step &step : steps) {
        auto left = static_cast<unsigned>(random() % sum);
        std::uint8_t kind = 0;
        while (left >= weights[kind]) left -= weights[kind++];
        step = {static_cast<StepKind>(kind), random()};
    }
    steps[0].kind = StepKind::kOpen;
    return steps;
}

const wire::SignedVote &VoteBook::vote(unsigned validator, unsigned signer, std::uint64_t source,
                                       std::uint64_t target, unsigned fork) {
    const auto [found, is_new] = votes_.try_emplace({validator, signer, source, target, fork});
    if (is_new) {
        const auto body =
            ledger::vote_body(world_.genesis.chain_id, world_.keys[validator].public_key(),
                              {source, hash_of(source), target, hash_of(target * 2 + fork)});
        found->second = ledger::sign_vote(body, world_.keys[signer]);
    }
    return found->second;
}

ledger::World schedule_world(unsigned variant) {
    ledger::World world(kAccounts);
    ledger::Genesis made = world.genesis;
    incentive::Params &params = made.params;
    if (variant == 1) {
        // Fees, rewards, and reputation that comes and fades quickly.
        params.fee_per_byte_units = 1'000;
        params.reward_pool_units = 10'000'000'000;
        params.reward_halving_ms = 10 * kMinuteMs;
        params.decay_step_ms = 20 * kSecondMs;
        params.volume_half_units = 10'000;
        params.prior_units = 1'000;
        params.audit_fee_min_units = 20'000;
        params.rate_window_ms = 2 * kMinuteMs;
        params.unbonding_ms = kMinuteMs;
        params.reservation_ahead_max_ms = 10 * kMinuteMs;
        params.reservation_notice_ms = 30 * kSecondMs;
        made.sealer = world.keys[0].public_key();
    } else if (variant == 2) {
        // Windows that overlap; forfeits of a part; low bounds.
        params.start_window_ms = 40 * kSecondMs;
        params.challenge_window_ms = 3 * kMinuteMs;
        params.settle_grace_ms = 0;
        params.burn_ppm = 333'333;
        params.collateral_min_ppm = 0;
        params.collateral_max_ppm = 1'000'000;
        params.collateral_at_risk_ms = 0;
        params.start_forfeit_ppm = 1;
        params.lost_forfeit_ppm = 500'000;
        params.slash_reporter_ppm = 999'999;
        params.rate_window_ms = 0;
        params.unbonding_ms = 0;
        // The whole escrow; cancelled in time whenever it is cancelled.
        params.reservation_ahead_max_ms = kMinuteMs;
        params.reservation_notice_ms = 0;
        params.deposit_ppm = 1'000'000;
        params.legs_max = 2;
        params.slots_per_leg_max = 4;
        params.payout_shares_max = 2;
        made.allocations.pop_back();  // an account that begins with nothing
    }
    auto parsed = ledger::parse_genesis(ledger::format_genesis(made));
    CHAIN_CHECK(parsed.ok());
    world.genesis = *parsed;
    return world;
}

PublicKey Player::pick_account(Dice &dice) const {
    return world_.keys[dice.below(kAccounts)].public_key();
}

unsigned Player::pick_holder(Dice &dice, const MemoryModel &model,
                             Amount ledger::Account::*held) const {
    std::vector<unsigned> holders;
    for (unsigned i = 0; i < kAccounts; ++i)
        if (model.account(world_.keys[i].public_key()).*held != Amount{}) holders.push_back(i);
    if (holders.empty() || dice.one_in(8)) return static_cast<unsigned>(dice.below(kAccounts));
    return holders[dice.below(holders.size())];
}

const KeyPair &Player::key_of(const PublicKey &account) const {
    for (const KeyPair &key : world_.keys)
        if (key.public_key() == account) return key;
    return world_.keys[0];
}

const ledger::Lease *Player::pick_lease(Dice &dice, const MemoryModel &model) const {
    std::vector<const Lease *> there;
    for (const ledger::LeaseId &id : opened_) {
        const auto found = model.leases().find(id);
        if (found != model.leases().end()) there.push_back(&found->second.lease);
    }
    if (there.empty()) return nullptr;
    return dice.one_in(2) ? there.back() : there[dice.below(there.size())];
}

std::optional<ledger::Tx> Player::play(const Step &step, const MemoryModel &model) {
    Dice dice(step.seed);
    now_ms = std::max(now_ms, model.now_ms() + 1);
    if (step.kind == StepKind::kWait) {
        wait(dice, model);
        return std::nullopt;
    }
    if (dice.one_in(3)) now_ms += dice.below(20 * kSecondMs);
    wire::TxBody body;
    body.set_chain_id(to_bytes(world_.genesis.chain_id));
    body.set_sender(to_bytes(pick_account(dice)));
    if (!fill(body, step, dice, model)) return std::nullopt;
    ledger::Tx tx;
    tx.sender = *to_bytes32(body.sender(), "sender");
    std::uint64_t nonce = model.account(tx.sender).nonce;
    if (dice.one_in(64)) nonce += dice.one_of<std::uint64_t>({1, 2, ~0ULL});
    body.set_nonce(nonce);
    tx.signers.push_back(tx.sender);
    for (const auto &leg : body.open_lease().legs())
        tx.signers.push_back(*to_bytes32(leg.provider(), "provider"));
    tx.signed_bytes = body.SerializeAsString();
    tx.id = ledger::tx_id(tx.signed_bytes);
    tx.body = std::move(body);
    if (step.kind == StepKind::kOpen) opened_.push_back(tx.id);
    return tx;
}

bool Player::fill(wire::TxBody &body, const Step &step, Dice &dice, const MemoryModel &model) {
    using ledger::Account;
    if (step.kind == StepKind::kUnstake)
        body.set_sender(
            to_bytes(world_.keys[pick_holder(dice, model, &Account::staked)].public_key()));
    if (step.kind == StepKind::kWithdraw)
        body.set_sender(
            to_bytes(world_.keys[pick_holder(dice, model, &Account::unbonding)].public_key()));
    const Account held = model.account(*to_bytes32(body.sender(), "sender"));
    switch (step.kind) {
        case StepKind::kOpen: open(body, dice, model); return true;
        case StepKind::kStart:
        case StepKind::kClaim:
        case StepKind::kClose:
        case StepKind::kExpire:
        case StepKind::kReclaim:
        case StepKind::kRate: return on_lease(body, step.kind, dice, model);
        case StepKind::kTransfer:
            body.mutable_transfer()->set_to(dice.one_in(16) ? Bytes(32, '\xff')
                                                            : to_bytes(pick_account(dice)));
            body.mutable_transfer()->set_amount(some_units(dice, held.balance));
            return true;
        case StepKind::kPublish: publish(body, dice); return true;
        case StepKind::kStake:
            body.mutable_stake()->set_amount(some_units(dice, held.balance));
            return true;
        case StepKind::kUnstake:
            body.mutable_unstake()->set_amount(some_units(dice, held.staked));
            return true;
        case StepKind::kWithdraw: body.mutable_withdraw_stake(); return true;
        case StepKind::kVote:
            *body.mutable_vote()->mutable_vote() =
                vote(pick_holder(dice, model, &Account::staked), dice, model.height() + 1);
            return true;
        case StepKind::kEvidence: {
            const unsigned validator = pick_holder(dice, model, &Account::staked);
            const unsigned other = dice.one_in(8) ? (validator + 1) % kAccounts : validator;
            *body.mutable_evidence()->mutable_first() = vote(validator, dice, 5);
            *body.mutable_evidence()->mutable_second() = vote(other, dice, 5);
            return true;
        }
        case StepKind::kPayout: payout(body, dice); return true;
        case StepKind::kWait: break;
    }
    return false;
}

// Often to the very moment, or one before or after it, at which something becomes due.
void Player::wait(Dice &dice, const MemoryModel &model) {
    const incentive::Params &params = world_.genesis.params;
    const Lease *lease = pick_lease(dice, model);
    const ledger::Account waiting = model.account(
        world_.keys[pick_holder(dice, model, &ledger::Account::unbonding)].public_key());
    if (waiting.unbonds_at_ms > 0 && dice.one_in(2)) {
        now_ms = std::max(now_ms, waiting.unbonds_at_ms - 1 + dice.below(3));
        return;
    }
    if (lease == nullptr || dice.one_in(3)) {
        now_ms += dice.one_of<std::uint64_t>({1, 5 * kSecondMs, 31 * kSecondMs, 121 * kSecondMs,
                                              10 * kMinuteMs, 7 * kDayMs, 8 * kDayMs});
        return;
    }
    const ledger::Leg &leg = lease->legs[dice.below(lease->legs.size())];
    const std::uint64_t begins_at_ms = lease->begins_at_ms();
    if (now_ms < begins_at_ms && dice.one_in(2)) {
        const std::uint64_t notice_ms = std::min(params.reservation_notice_ms, begins_at_ms);
        now_ms = std::max(now_ms, begins_at_ms - (dice.one_in(4) ? notice_ms : 0) - 1 +
                                      dice.below(dice.one_in(2) ? 3 : 10 * kSecondMs));
        return;
    }
    const std::uint64_t due = dice.one_of<std::uint64_t>(
        {begins_at_ms + params.start_window_ms, lease->expires_at_ms, leg.closes_at_ms,
         leg.closes_at_ms, begins_at_ms + lease->duration_ms,
         leg.settled_at_ms + params.rate_window_ms});
    if (due > 0) now_ms = std::max(now_ms, due - 1 + dice.below(3));
}

void Player::open(wire::TxBody &body, Dice &dice, const MemoryModel &model) {
    const incentive::Params &params = world_.genesis.params;
    wire::OpenLease *action = body.mutable_open_lease();
    action->set_price_per_ghz_h(dice.one_of<std::int64_t>(
        {30'000'000, 30'000'000, 30'000'000, 30'000'000, 3'000'000'000, 70'001, 1, 0,
         4'000'000'000'000, dice.one_in(8) ? -1 : 7'777'777}));
    action->set_duration_ms(dice.one_of<std::uint64_t>(
        {60 * kSecondMs, 60 * kSecondMs, 60 * kSecondMs, 10 * kSecondMs, 10 * kMinuteMs,
         dice.one_in(8) ? params.lease_duration_max_ms + dice.below(2) : kSecondMs}));
    const std::uint64_t begins_at_ms = dice.one_in(2) ? start(*action, dice) : now_ms;
    const std::uint64_t earliest = begins_at_ms + action->duration_ms();
    const std::uint64_t latest =
        begins_at_ms + params.lease_duration_max_ms + params.settle_grace_ms;
    action->set_expires_at_ms(dice.one_of<std::uint64_t>(
        {earliest + params.settle_grace_ms, earliest + params.settle_grace_ms, earliest,
         earliest + 5 * kSecondMs, earliest + 5 * kMinuteMs,
         dice.one_in(3) ? latest + dice.below(2) : earliest - dice.below(2)}));
    std::uint64_t leg_count = 1 + dice.below(std::min<std::uint64_t>(params.legs_max, 3));
    if (dice.one_in(32)) leg_count = dice.one_in(2) ? 0 : std::uint64_t{params.legs_max} + 1;
    const auto renter = dice.below(kAccounts);
    body.set_sender(to_bytes(world_.keys[renter].public_key()));
    for (std::uint64_t i = 0; i < leg_count; ++i) {
        const bool free = dice.one_in(6);
        const bool own = dice.one_in(free ? 2 : 64);
        const auto provider = (renter + (own ? 0 : 1 + dice.below(3))) % kAccounts;
        wire::LeaseLeg &added = *action->add_legs();
        added = leg(*action, world_.keys[provider].public_key(), dice, model);
        if (!free) continue;
        added.set_free(true);
        added.set_escrow(dice.one_in(32) ? 1 : 0);
        added.set_collateral(dice.one_in(32) ? 1 : 0);
    }
}

// Makes a reservation of it; when it starts. Mostly soon, so that it does.
std::uint64_t Player::start(wire::OpenLease &action, Dice &dice) const {
    const incentive::Params &params = world_.genesis.params;
    const std::uint64_t most = params.reservation_ahead_max_ms;
    std::uint64_t ahead_ms = dice.one_of<std::uint64_t>(
        {1, 30 * kSecondMs, 30 * kSecondMs, 45 * kSecondMs, kMinuteMs,
         params.reservation_notice_ms - 1 + dice.below(3), params.reservation_notice_ms * 2, most});
    ahead_ms = std::min(ahead_ms, most);
    if (dice.one_in(12)) ahead_ms = most + 1;
    action.set_starts_at_ms(now_ms + ahead_ms);
    if (dice.one_in(32)) action.set_starts_at_ms(now_ms - dice.below(2));
    if (dice.one_in(64)) action.set_starts_at_ms(~std::uint64_t{0} - dice.below(2));
    return action.starts_at_ms();
}

wire::LeaseLeg Player::leg(const wire::OpenLease &action, const PublicKey &provider, Dice &dice,
                           const MemoryModel &model) const {
    const incentive::Params &params = world_.genesis.params;
    const bool wrong = dice.one_in(24);
    wire::LeaseLeg out;
    out.set_provider(to_bytes(provider));
    out.set_slot_count(static_cast<std::uint32_t>(1 + dice.below(3)));
    out.set_hz_max(dice.one_of<std::uint64_t>({2'000'000'000, 2'000'000'000, 1'234'567'891, 1}));
    if (wrong && dice.one_in(3))
        out.set_slot_count(dice.one_in(2) ? 0 : params.slots_per_leg_max + 1);
    if (wrong && dice.one_in(3)) out.set_hz_max(dice.one_in(2) ? 0 : ledger::kHzMax + 1);
    const Cycles bound =
        incentive::cycles_bound(out.slot_count(), out.hz_max(), action.duration_ms());
    out.set_cycles_max(dice.one_of<Cycles>({bound, bound, bound, bound / 2, 1}));
    if (wrong && dice.one_in(3)) out.set_cycles_max(dice.one_in(2) ? 0 : bound + 1);
    const Amount price{std::max<std::int64_t>(action.price_per_ghz_h(), 0)};
    const auto escrow = incentive::escrow(price, out.cycles_max());
    out.set_escrow(escrow.ok() ? escrow->units : 0);
    const std::uint32_t quality =
        dice.one_in(3) ? 0 : incentive::quality_q16(model.reputation(provider, now_ms), params);
    const auto collateral = incentive::collateral(
        {price, out.slot_count(), out.hz_max(), out.cycles_max()}, quality, params);
    out.set_collateral(collateral.ok() ? collateral->units : 0);
    if (dice.one_in(8)) out.set_collateral(out.collateral() + 1'000);
    if (wrong && dice.one_in(3)) out.set_escrow(out.escrow() + dice.one_of({1, -1}));
    if (wrong && dice.one_in(3)) out.set_collateral(out.collateral() - 1);
    return out;
}

}  // namespace chain
