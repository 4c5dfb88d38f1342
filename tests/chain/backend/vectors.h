// SPDX-License-Identifier: BSD-3-Clause
//
// Vectors: whole lives of leases in files that people can read, tests/vectors/*.json, and what must
// come of them on every back end. docs/vectors.md has the format. The parser reads bytes, not
// files, and takes any bytes.
//
// A vector speaks in names. Its transactions are the messages of chain/wire/ledger.proto with names
// in place of keys, ids and hashes, until they are replayed.
#pragma once

#include <map>

#include "chain/ledger/types.h"

namespace chain::vectors {

inline constexpr std::size_t kFileBytesMax = 128u << 10;
inline constexpr std::size_t kAccountsMax = 32;
inline constexpr std::size_t kStepsMax = 256;
inline constexpr std::size_t kNameBytesMax = 32;
inline constexpr std::uint64_t kAtMsMax = 1ULL << 40;  // 34 years

// Some fields of one record, as text: "5", "true", "completed".
using Fields = std::map<std::string, std::string>;

struct Check {
    std::map<std::string, Fields> accounts;             // of AccountRecord
    std::map<std::string, Fields> reputations;          // of ReputationRecord, by account
    std::map<std::string, std::vector<Fields>> leases;  // of LegRecord, by opening step: all legs
    Fields totals;                                      // of ledger::Totals
};

struct Step {
    std::string name;
    std::uint64_t at_ms = 0;  // block time, since the genesis
    std::string by;           // an account
    wire::TxBody body;        // the action, with names
    bool is_refused = false;
    ErrorCode error = ErrorCode::kInternal;  // if it is refused
    Check check;                             // after it
};

struct Vector {
    std::string about;
    ledger::Genesis genesis;
    std::map<std::string, KeyPair> accounts;  // the sealer too
    std::vector<Step> steps;
    Bytes32 state_digest{};  // after the last
};

// Errors: kInvalidInput, with the place in the file and what is wrong there; kTooLarge.
Result<Vector> parse(std::string_view json);

// Of a named account or node, and of a named hash (a round, a manifest, an offer, a block).
KeyPair key_of_name(std::string_view name);
Bytes32 hash_of_name(std::string_view name);

}  // namespace chain::vectors
