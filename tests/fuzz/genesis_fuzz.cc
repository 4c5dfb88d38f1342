// SPDX-License-Identifier: BSD-3-Clause
//
// The genesis file: as text, or made from choices and then parsed. What is accepted can be written
// and read again, and its first state adds up.
#include "chain/ledger/block.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/world.h"

namespace chain::fuzz {
namespace {

void check_accepted(const ledger::Genesis &genesis) {
    const auto begun = ledger::execute_genesis(genesis);
    CHAIN_CHECK(begun.ok());
    CHAIN_CHECK(ledger::check_conservation(begun->tip.totals).ok());
    const std::string text = ledger::format_genesis(genesis);
    const auto again = ledger::parse_genesis(text);
    CHAIN_CHECK(again.ok());
    CHAIN_CHECK(ledger::format_genesis(*again) == text);
    CHAIN_CHECK(again->allocations == genesis.allocations && again->sealer == genesis.sealer);
}

ledger::Genesis pick_genesis(Choices &choices) {
    const World &world = World::get();
    ledger::Genesis genesis = world.genesis;
    genesis.allocations.clear();
    genesis.chain_name = choices.bytes(choices.below(16));
    genesis.time_ms = choices.number(8) >> choices.below(64);
    const unsigned count = choices.byte() % 6;
    for (unsigned i = 0; i < count; ++i) {
        PublicKey account = world.keys[choices.below(kAccounts)].public_key();
        if (choices.one_in(8)) account[31] ^= 1;
        genesis.allocations.emplace_back(
            account, Amount{static_cast<std::int64_t>(choices.number(8) >> choices.below(64))});
    }
    incentive::Params &params = genesis.params;
    params.burn_ppm = static_cast<std::uint32_t>(choices.number(3));
    params.collateral_ppm = static_cast<std::uint32_t>(choices.number(3));
    params.challenge_window_ms = choices.number(4);
    params.legs_max = static_cast<std::uint32_t>(choices.number(2));
    params.block_txs_max = static_cast<std::uint32_t>(choices.number(3));
    return genesis;
}

}  // namespace

CHAIN_FUZZ_TARGET(genesis) {
    Choices choices(input);
    if (choices.byte() != 0) {
        const auto genesis = ledger::parse_genesis(input);
        if (genesis.ok()) check_accepted(*genesis);
        return;
    }
    ledger::Genesis made = pick_genesis(choices);
    // JSON holds text only: format_genesis is for names that were accepted.
    for (char &c : made.chain_name) c = static_cast<char>(c & 0x7f);
    const auto genesis = ledger::parse_genesis(ledger::format_genesis(made));
    if (genesis.ok()) check_accepted(*genesis);
}

}  // namespace chain::fuzz
