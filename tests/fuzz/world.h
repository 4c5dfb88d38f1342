// SPDX-License-Identifier: BSD-3-Clause
//
// The small world of the targets that know the ledger: four accounts, a sealer, and a chain whose
// first block has two leases (one open, one closing) and a resource. Made once, and the same in
// every process; targets work on layers above it, or put it back.
#pragma once

#include <memory>

#include "chain/consensus/sealer.h"
#include "chain/ledger/chain.h"
#include "tests/fuzz/fill.h"
#include "tests/fuzz/target.h"

namespace chain::fuzz {

inline constexpr unsigned kAccounts = 4;
inline constexpr std::uint64_t kGenesisTimeMs = 1'700'000'000'000;

struct World {
    static const World &get();

    // A chain of its own on a store in memory, at height 1.
    std::unique_ptr<ledger::Chain> make_chain() const;
    // The state at height 1, to lay an Overlay on.
    const ledger::StateReader &state() const { return *reader_; }
    const ledger::Tip &tip() const { return tip_; }
    // Aborts if digest and totals of it with `changes`, counted anew, are not those of `tip`.
    void check_recount(const ledger::Changes &changes, const ledger::Tip &tip) const;

    // With the accounts, the leases and a node key as names; signatures by any account.
    Hints hints(const ledger::StateReader &state, std::uint64_t now_ms) const;
    // A transaction from the fuzzer's choices: of any kind, by any account, mostly with the nonce
    // and the sums that the ledger asks for.
    wire::TxBody pick_body(Choices &choices, const ledger::StateReader &state,
                           const Hints &hints) const;
    // Signed by the body's sender, if that is one of the accounts, and by all whom it names.
    wire::SignedTx sign(const Bytes &body_bytes, const wire::TxBody &body) const;
    // As decode_tx, for a body that only its sender need sign and for one that all must sign.
    Result<ledger::Tx> sign_and_decode(const wire::TxBody &body) const;

    std::vector<KeyPair> keys;
    std::optional<consensus::SoloSealer> sealer;
    ledger::Genesis genesis;
    std::vector<ledger::LeaseId> leases;  // the open one, the closing one

private:
    World();
    const KeyPair *key_of(std::string_view public_key) const;
    void write(const ledger::Changes &changes);

    Bytes first_block_bytes_;
    std::unique_ptr<KeyValueStore> store_;
    std::optional<ledger::StoreReader> reader_;
    ledger::Tip tip_;
};

inline constexpr unsigned kSealer = 99;
KeyPair numbered_key(unsigned number);

// True if apply_tx's header names the error.
bool is_refusal(const Error &error);

// Aborts unless `tx` is either a transaction of exactly `signed_bytes`, which decodes to the same
// once more and whose body means the same when it is written anew, or an error that decode_tx's
// header names.
void check_decoded(const Result<ledger::Tx> &tx, std::string_view signed_bytes,
                   const Bytes32 &chain_id);

// Applies `tx` to `state`. Aborts if the state is changed although it is refused, if the refusal
// is none that apply_tx's header names, if afterwards the books do not add up, or if a changed
// record is not the same when it is read and written again.
// `tip` is what `state` stands on, and is moved on.
Status apply_checked(ledger::Overlay &state, ledger::Tip &tip, const ledger::Tx &tx,
                     const ledger::TxContext &context);

}  // namespace chain::fuzz
