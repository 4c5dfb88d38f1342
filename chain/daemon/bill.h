// SPDX-License-Identifier: BSD-3-Clause
//
// Bill: what the ledger says of a lease, in the form that people and --chain-report get.
#pragma once

#include "chain/ledger/types.h"
#include "chain/wire/control.pb.h"

namespace chain::daemon {

std::string_view meter_class_name(wire::MeterClass meter_class);

// Brings `bill` up to the ledger: state, amounts, cycles. Keeps what only this node knows: hosts,
// ranks, reasons, notices. Legs of `bill` that are missing are added.
void bring_bill_up_to(const ledger::Lease &lease, wire::Bill &bill);

// Sets escrow, paid, burned, refunded and the meter class from the legs.
void sum_bill(wire::Bill &bill);

}  // namespace chain::daemon
