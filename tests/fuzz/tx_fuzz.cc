// SPDX-License-Identifier: BSD-3-Clause
//
// Transactions: decode_tx, describe_tx, and what they do to a small state. The first byte says how
// the rest is read: as a SignedTx, as the body of one that is then signed, or as choices for a row
// of transactions of any kind.
#include "chain/wire/frame.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/world.h"

namespace chain::fuzz {
namespace {

constexpr unsigned kTxsMax = 4;

class Run {
public:
    Run() : world_(World::get()), state_(world_.state()), tip_(world_.tip()) {}

    void apply(const ledger::Tx &tx) {
        if (index_ == 0) CHAIN_CHECK(!ledger::describe_tx(tx.body).empty());
        CHAIN_CHECK(!ledger::tx_kind(tx.body).empty());
        // Heights and places differ, as they do on a chain: indexes are made of them.
        const ledger::TxContext context{world_.genesis, tip_.height + 1, index_++, now_ms_,
                                        nullptr};
        if (apply_checked(state_, tip_, tx, context).ok() && tx.body.has_open_lease())
            hints_.names.push_back(to_bytes(tx.id));
    }

    void apply_row(Choices &choices) {
        for (unsigned i = 0; i < kTxsMax && !choices.exhausted(); ++i) {
            now_ms_ += std::uint64_t{choices.byte()} * 2'000;
            hints_.now_ms = now_ms_;
            const auto body = world_.pick_body(choices, state_, hints_);
            const auto tx = world_.sign_and_decode(body);
            if (!tx.ok()) continue;
            // Slower than applying it: for one of a row.
            if (i == 1) check_decoded(tx, tx->signed_bytes, world_.genesis.chain_id);
            apply(*tx);
        }
    }

    void finish() const { world_.check_recount(state_.changes(), tip_); }

private:
    const World &world_;
    ledger::Overlay state_;
    ledger::Tip tip_;
    std::uint64_t now_ms_ = kGenesisTimeMs + 10'000;
    std::uint32_t index_ = 0;
    Hints hints_ = world_.hints(state_, now_ms_);
};

}  // namespace

CHAIN_FUZZ_TARGET(tx) {
    const World &world = World::get();
    Choices choices(input);
    Run run;
    switch (choices.below(4)) {
        case 0: {
            const auto tx = ledger::decode_tx(choices.rest(), world.genesis.chain_id);
            check_decoded(tx, choices.rest(), world.genesis.chain_id);
            if (tx.ok()) run.apply(*tx);
            return;
        }
        case 1: {
            wire::TxBody body;
            if (!wire::parse_strict(choices.rest(), wire::kMaxTxBytes, "body", body).ok()) return;
            (void)ledger::describe_tx(body);
            const Bytes signed_bytes = world.sign(Bytes(choices.rest()), body).SerializeAsString();
            const auto tx = ledger::decode_tx(signed_bytes, world.genesis.chain_id);
            check_decoded(tx, signed_bytes, world.genesis.chain_id);
            if (tx.ok()) run.apply(*tx);
            return;
        }
        default: run.apply_row(choices);
    }
    // Counting anew is slow: for some inputs, by their length.
    if (input.size() % 64 == 1) run.finish();
}

}  // namespace chain::fuzz
