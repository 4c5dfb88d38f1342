// SPDX-License-Identifier: BSD-3-Clause
//
// Replays a vector on a back end, one block per accepted transaction, and compares what the file
// says with what is there.
#pragma once

#include <functional>
#include <memory>

#include "chain/backend/backend.h"
#include "chain/store/store.h"
#include "tests/chain/backend/vectors.h"

namespace chain::vectors {

// A back end with a clock that stands still, and what the interface of back ends does not tell.
class Subject {
public:
    virtual ~Subject() = default;
    virtual Backend &backend() = 0;
    // Puts the transaction into a block of this time, later than the one before.
    // Errors: the rule's that refuses it.
    virtual Result<ledger::TxId> play(const wire::SignedTx &tx, std::uint64_t time_ms) = 0;
    virtual Bytes32 state_digest() const = 0;
    virtual ledger::Totals totals() const = 0;
};

std::unique_ptr<Subject> memory_subject(const ledger::Genesis &genesis);
// The embedded ledger on a store. Errors: those of LedgerBackend::open.
Result<std::unique_ptr<Subject>> ledger_subject(const ledger::Genesis &genesis,
                                                std::unique_ptr<KeyValueStore> store,
                                                const KeyPair &sealer);

struct Outcome {
    std::vector<std::string> wrong;  // each with its step; empty: all is as the file says
    std::map<std::string, std::string> accounts;  // at the end: text of each AccountRecord
    Bytes32 state_digest{};
};

Outcome replay(const Vector &vector, Subject &subject);

}  // namespace chain::vectors
