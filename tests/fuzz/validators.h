// SPDX-License-Identifier: BSD-3-Clause
//
// The small world of the targets that know consensus: a chain of four validators and two strangers,
// three blocks high, of which nothing is final yet. Made once for each kind of rule; targets add
// headers and votes to an engine of their own, and never a block, so the chain stays as it is.
#pragma once

#include "chain/consensus/engine.h"
#include "tests/fuzz/fill.h"
#include "tests/fuzz/target.h"

namespace chain::fuzz {

inline constexpr unsigned kValidators = 4;
inline constexpr unsigned kVoters = 6;  // with strangers

struct Validators {
    // Precondition: kPoa or kPor.
    static const Validators &get(ledger::ConsensusKind kind);

    std::unique_ptr<consensus::Engine> make_engine() const;
    // A header on `parent` as its sealer would draft it, but for what the choices change.
    wire::SignedBlock pick_header(Choices &choices, const consensus::BlockTree::Node &parent) const;
    wire::SignedBlock seal(const wire::BlockHeader &header, unsigned sealer) const;

    std::vector<KeyPair> keys;
    ledger::Genesis genesis;
    std::shared_ptr<const consensus::Rule> rule;
    std::unique_ptr<ledger::Chain> chain;
    std::vector<Bytes> blocks;  // from height 1 on
    ledger::ValidatorSet set;   // at each height
    Hints hints;                // with accounts and blocks as names

private:
    explicit Validators(ledger::ConsensusKind kind);
    void grow();
    Hints make_hints() const;

    wire::BlockHeader first_header_;
};

// Aborts unless the tree is what add() promises.
void check_tree(const consensus::BlockTree &tree);

// True if the header of Engine::take_header names the error.
bool is_refused_header(const Error &error);

}  // namespace chain::fuzz
