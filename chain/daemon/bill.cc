// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/bill.h"

namespace chain::daemon {
namespace {

std::string_view leg_state_name(ledger::LegState state) {
    switch (state) {
        case ledger::LegState::kOpen: return "running";
        case ledger::LegState::kClosing: return "closing";
        case ledger::LegState::kSettled: return "settled";
    }
    CHAIN_CHECK(false);
}

}  // namespace

std::string_view meter_class_name(wire::MeterClass meter_class) {
    switch (meter_class) {
        case wire::METER_CLASS_HW: return "hw";
        case wire::METER_CLASS_SAMPLED: return "sampled";
        case wire::METER_CLASS_CALIBRATED: return "calibrated";
        default: return "none";
    }
}

void bring_bill_up_to(const ledger::Lease &lease, wire::Bill &bill) {
    bill.set_lease_id(to_hex(lease.id));
    bill.set_price_per_ghz_h(lease.price_per_ghz_h.units);
    bill.set_starts_at_ms(lease.starts_at_ms);
    if (bill.started_at_ms() == 0 && !lease.is_reserved())
        bill.set_started_at_ms(lease.opened_at_ms);
    while (bill.legs_size() < static_cast<int>(lease.legs.size())) bill.add_legs();
    std::int64_t escrow = 0;
    for (std::size_t i = 0; i < lease.legs.size(); ++i) {
        const ledger::Leg &leg = lease.legs[i];
        wire::BillLeg &entry = *bill.mutable_legs(static_cast<int>(i));
        entry.set_provider(to_address(leg.provider));
        entry.set_slots(leg.slot_count);
        entry.set_free(leg.free);
        entry.set_state(std::string(leg_state_name(leg.state)));
        escrow += leg.escrow.units;
        if (leg.state == ledger::LegState::kSettled || leg.payment.units >= entry.paid()) {
            entry.set_cycles(leg.cycles);
            entry.set_waited_cycles(leg.waited_cycles);
            entry.set_paid(leg.payment.units);
            entry.set_burned(leg.burned.units);
        }
        entry.set_penalty(leg.penalty.units);
        entry.set_forfeit(leg.forfeit.units);
        if (leg.state == ledger::LegState::kSettled)
            entry.set_end(std::string(ledger::leg_end_name(leg.end)));
        if (leg.meter_class != wire::METER_CLASS_UNSPECIFIED)
            bill.set_meter_class(std::string(meter_class_name(leg.meter_class)));
    }
    bill.set_escrow(escrow);
    if (lease.settled()) {
        if (bill.state() != "failed" && bill.state() != "expired") bill.set_state("settled");
        if (bill.ended_at_ms() == 0) bill.set_ended_at_ms(lease.ended_at_ms);
    }
    sum_bill(bill);
}

void sum_bill(wire::Bill &bill) {
    std::int64_t paid = 0;
    std::int64_t burned = 0;
    std::int64_t penalty = 0;
    for (const auto &leg : bill.legs()) {
        paid += leg.paid();
        burned += leg.burned();
        penalty += leg.penalty();
    }
    bill.set_paid(paid);
    bill.set_burned(burned);
    bill.set_penalty(penalty);
    bill.set_refunded(bill.escrow() - paid - penalty);
    if (bill.meter_class().empty()) bill.set_meter_class("none");
}

}  // namespace chain::daemon
