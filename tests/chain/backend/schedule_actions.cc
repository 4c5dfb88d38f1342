// SPDX-License-Identifier: BSD-3-Clause
//
// The player's transactions about leases, votes and payouts.
#include <algorithm>

#include "incentive/mining.h"
#include "tests/chain/backend/schedule_player.h"

namespace chain {

bool Player::on_lease(wire::TxBody &body, StepKind kind, Dice &dice, const MemoryModel &model) {
    const Lease *lease = pick_lease(dice, model);
    if (lease == nullptr) return false;
    const std::uint32_t leg = pick_leg(*lease, dice);
    // What happens to a reservation mostly happens once it has begun.
    if (now_ms < lease->begins_at_ms() && kind != StepKind::kClose && !dice.one_in(4))
        now_ms = lease->begins_at_ms() + dice.below(3) * 5'000;
    // Who may do it, mostly; the sender is somebody already.
    const bool by_renter = kind == StepKind::kRate || (kind == StepKind::kClose && dice.one_in(2));
    if (!dice.one_in(16))
        body.set_sender(to_bytes(by_renter ? lease->renter : lease->legs[leg].provider));
    const Bytes id = dice.one_in(100) ? Bytes(32, 'x') : to_bytes(lease->id);
    switch (kind) {
        case StepKind::kStart:
            body.mutable_report_start()->set_lease_id(id);
            body.mutable_report_start()->set_started(!dice.one_in(4));
            return true;
        case StepKind::kClaim:
            *body.mutable_claim_voucher()->mutable_voucher() = voucher(*lease, leg, dice);
            if (dice.one_in(5)) body.set_sender(to_bytes(pick_account(dice)));
            return true;
        case StepKind::kClose:
            body.mutable_close_lease()->set_lease_id(id);
            close(body, *lease, dice);
            return true;
        case StepKind::kExpire:
            body.mutable_expire_lease()->set_lease_id(id);
            if (dice.one_in(2)) body.set_sender(to_bytes(pick_account(dice)));
            return true;
        case StepKind::kReclaim: body.mutable_reclaim_notice()->set_lease_id(id); return true;
        case StepKind::kRate:
            body.mutable_rate()->set_lease_id(id);
            rate(body, *lease, dice);
            return true;
        default: break;
    }
    return false;
}

// Mostly one that can still come to something: accused, not started, or else open.
std::uint32_t Player::pick_leg(const Lease &lease, Dice &dice) {
    const auto any = static_cast<std::uint32_t>(dice.below(lease.legs.size()));
    if (dice.one_in(4)) return any;
    std::uint32_t best = any;
    const auto rank = [&](std::uint32_t i) {
        const ledger::Leg &leg = lease.legs[i];
        if (leg.state == ledger::LegState::kSettled) return 0;
        return leg.accused ? 3 : leg.started ? 1 : 2;
    };
    for (std::uint32_t i = 0; i < lease.legs.size(); ++i)
        if (rank(i) > rank(best)) best = i;
    return best;
}

wire::SignedVoucher Player::voucher(const Lease &lease, std::uint32_t leg_index, Dice &dice) const {
    const ledger::Leg &leg = lease.legs[leg_index];
    const std::uint64_t elapsed_ms = now_ms - std::min(now_ms, lease.begins_at_ms());
    const Cycles possible =
        std::min(leg.cycles_max, incentive::cycles_bound(leg.slot_count, leg.hz_max, elapsed_ms));
    Cycles cycles = dice.one_of<Cycles>({possible, possible / 2, possible / 8 * dice.below(8),
                                         leg.cycles, leg.cycles + 1, leg.cycles / 2});
    cycles = std::min(cycles, possible);
    const bool wrong = dice.one_in(8);
    if (wrong && dice.one_in(5)) cycles = possible + 1;
    if (wrong && dice.one_in(16)) cycles = ~Cycles{0};
    const std::uint64_t sequence =
        leg.voucher_sequence + dice.one_of<std::uint64_t>({1, 1, 1, 2, 10, 0});
    wire::VoucherBody body;
    body.set_lease_id(to_bytes(lease.id));
    body.set_leg(leg_index);
    body.set_sequence(dice.one_in(8) ? 1 : sequence);
    body.set_cycles(cycles);
    body.set_waited_cycles(dice.one_of<Cycles>({0, cycles / 3, cycles}));
    const bool is_free = leg.free != (wrong && dice.one_in(8));
    const auto payment = incentive::payment(is_free ? Amount{} : lease.price_per_ghz_h, cycles);
    body.set_amount(payment.ok() ? payment->units : 0);
    body.set_meter_class(dice.one_of(
        {wire::METER_CLASS_HW, wire::METER_CLASS_SAMPLED, wire::METER_CLASS_CALIBRATED}));
    body.set_final(dice.one_in(4));
    if (wrong && dice.one_in(5)) body.set_sequence(0);
    if (wrong && dice.one_in(5)) body.set_amount(body.amount() + dice.one_of({1, -1}));
    if (wrong && dice.one_in(5)) body.set_waited_cycles(cycles + 1);
    if (wrong && dice.one_in(5))
        body.set_meter_class(static_cast<wire::MeterClass>(dice.one_of({0, 4, -1})));
    if (wrong && dice.one_in(5)) body.set_leg(static_cast<std::uint32_t>(lease.legs.size()));
    if (wrong && dice.one_in(8)) body.set_lease_id(Bytes(32, 'y'));
    if (wrong && dice.one_in(16)) body.set_lease_id("short");
    if (wrong && dice.one_in(8) && !opened_.empty())
        body.set_lease_id(to_bytes(opened_[dice.below(opened_.size())]));
    const bool forged = wrong && dice.one_in(5);
    return ledger::sign_voucher(body, key_of(forged ? leg.provider : lease.renter));
}

void Player::close(wire::TxBody &body, const Lease &lease, Dice &dice) {
    wire::CloseLease *action = body.mutable_close_lease();
    std::uint64_t count = dice.below(3);
    if (dice.one_in(64)) count = lease.legs.size() + 1;
    if (count > lease.legs.size() && !dice.one_in(16)) count = lease.legs.size();
    for (std::uint64_t i = 0; i < count; ++i)
        *action->add_vouchers() =
            voucher(lease, static_cast<std::uint32_t>(dice.below(lease.legs.size())), dice);
    const bool by_renter = body.sender() == to_bytes(lease.renter);
    action->set_disputed(dice.one_in(by_renter ? 24 : 5));
    if (!dice.one_in(by_renter ? 2 : 24)) return;
    for (std::uint32_t i = 0; i < lease.legs.size(); ++i)
        if (dice.one_in(2)) action->add_lost_legs(i);
    if (!dice.one_in(12)) return;
    action->add_lost_legs(
        static_cast<std::uint32_t>(dice.one_in(2) ? lease.legs.size() : dice.below(2)));
}

void Player::rate(wire::TxBody &body, const Lease &lease, Dice &dice) {
    wire::Rate *action = body.mutable_rate();
    action->set_leg(static_cast<std::uint32_t>(dice.below(lease.legs.size())));
    for (std::uint32_t i = 0; i < lease.legs.size() && !dice.one_in(4); ++i)
        if (lease.legs[i].burned != Amount{} && !lease.legs[i].rated) action->set_leg(i);
    // The very last moment, or the one after it.
    const ledger::Leg &leg = lease.legs[action->leg()];
    if (leg.settled_at_ms > 0 && dice.one_in(8))
        now_ms = std::max(now_ms,
                          leg.settled_at_ms + world_.genesis.params.rate_window_ms + dice.below(2));
    if (dice.one_in(32)) action->set_leg(static_cast<std::uint32_t>(lease.legs.size()));
    action->set_satisfaction(static_cast<wire::Satisfaction>(dice.below(3)));
    action->set_audit(static_cast<wire::AuditResult>(dice.below(3)));
    action->set_left_early(dice.one_in(3));
    if (dice.one_in(32)) action->set_satisfaction(static_cast<wire::Satisfaction>(3));
    if (dice.one_in(32)) action->set_audit(static_cast<wire::AuditResult>(-1));
}

void Player::publish(wire::TxBody &body, Dice &dice) {
    wire::PublishResource *action = body.mutable_publish_resource();
    action->set_node_key(Bytes(32, static_cast<char>('a' + dice.below(3))));
    action->set_host(dice.one_in(16) ? "not a host" : "node-1");
    action->set_slot_count(static_cast<std::uint32_t>(dice.one_in(16) ? 0 : 1 + dice.below(4)));
    if (dice.one_in(32)) action->set_slot_count(world_.genesis.params.slots_per_leg_max + 1);
    action->set_hz(dice.one_in(16) ? 0 : 2'000'000'000);
    if (dice.one_in(32)) action->set_hz(ledger::kHzMax + dice.below(2));
    action->set_memory_bytes(dice.number());
    if (dice.one_in(3)) action->set_replaces(Bytes(32, static_cast<char>('a' + dice.below(3))));
    if (dice.one_in(48)) action->set_replaces("short");
}

void Player::payout(wire::TxBody &body, Dice &dice) {
    wire::MiningPayout *action = body.mutable_mining_payout();
    const bool wrong = dice.one_in(4);
    action->set_round_id(Bytes(32, static_cast<char>(dice.below(3))));
    action->set_coin(wrong && dice.one_in(4) ? dice.one_of({"", "btc", "ABCDEFGHIJKLMNOPQ"})
                                             : dice.one_of({"BTC", "ABCDEFGHIJKLMNO9"}));
    action->set_income_units(dice.below(100'000));
    action->set_coin_price(1 + dice.below(1'000'000'000));
    if (dice.one_in(4)) {  // a few units, of which some get one and some none
        action->set_income_units(1 + dice.below(4));
        action->set_coin_price(1'000'000'000 - dice.below(600'000'000));
    }
    if (wrong && dice.one_in(6)) action->set_income_units(~std::uint64_t{0} - dice.below(2));
    const auto bought = incentive::tokens_bought(action->income_units(), action->coin_price());
    action->set_reward(bought.ok() ? bought->units : 1);
    if (wrong && dice.one_in(6)) action->set_coin_price(0);
    if (wrong && dice.one_in(4)) action->set_reward(action->reward() + dice.one_of({1, -1}));
    std::vector<Bytes> accounts;
    for (const KeyPair &key : world_.keys)
        if (dice.one_in(2)) accounts.push_back(to_bytes(key.public_key()));
    if (wrong && dice.one_in(6)) accounts.emplace_back(32, '\xff');
    if (!(wrong && dice.one_in(6))) std::sort(accounts.begin(), accounts.end());
    if (wrong && dice.one_in(6) && !accounts.empty()) accounts.push_back(accounts.back());
    const std::size_t shares_max = world_.genesis.params.payout_shares_max;
    if (accounts.size() > shares_max && !wrong) accounts.resize(shares_max);
    for (const Bytes &account : accounts) {
        wire::PayoutShare *share = action->add_shares();
        share->set_account(account);
        share->set_cycles(1 + dice.below(dice.one_in(2) ? 4 : 1'000'000));
        if (wrong && dice.one_in(6)) share->set_cycles(dice.one_in(2) ? 0 : 1ULL << 63);
    }
}

const wire::SignedVote &Player::vote(unsigned validator, Dice &dice, std::uint64_t target_max) {
    const unsigned signer = dice.one_in(48) ? (validator + 1) % 4 : validator;
    const std::uint64_t target = dice.below(target_max + 1);
    const std::uint64_t source = target == 0 || dice.one_in(24) ? target : dice.below(target);
    return votes_.vote(validator, signer, source, target, static_cast<unsigned>(dice.below(2)));
}

}  // namespace chain
