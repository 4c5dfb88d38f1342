// SPDX-License-Identifier: BSD-3-Clause
//
// Fills any protobuf message by reflection from the fuzzer's choices: no transaction has to be
// named here, so a new one is covered from the day it is in ledger.proto.
#pragma once

#include <functional>
#include <vector>

#include <google/protobuf/message.h>

#include "tests/fuzz/choices.h"

namespace chain::fuzz {

// What makes a random message mean something in the world that it is for.
struct Hints {
    std::vector<Bytes> names;  // of accounts, leases, …: what a `bytes` field may hold
    std::uint64_t now_ms = 0;
    // Called with each message that is inside another as signed bytes (SignedVoucher holds a
    // VoucherBody), before it is serialised: makes it plausible, or leaves it.
    std::function<void(google::protobuf::Message &body, const Hints &hints)> repair;
    // The signature over `body_bytes` that a message of this type (its short name) carries.
    std::function<Bytes(std::string_view type, std::string_view body_bytes, Choices &choices)> sign;
};

void fill(google::protobuf::Message &message, Choices &choices, const Hints &hints);

}  // namespace chain::fuzz
