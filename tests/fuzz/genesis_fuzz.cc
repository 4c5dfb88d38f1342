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
    CHAIN_CHECK(again->chain_name == genesis.chain_name && again->time_ms == genesis.time_ms);
    const auto begun_again = ledger::execute_genesis(*again);
    CHAIN_CHECK(begun_again.ok() && begun_again->tip.digest == begun->tip.digest);
}

void check(const Result<ledger::Genesis> &genesis) {
    if (genesis.ok())
        check_accepted(*genesis);
    else
        CHAIN_CHECK(is_one_of(genesis.error(), {ErrorCode::kCorrupt, ErrorCode::kTooLarge}));
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
    params.fee_per_byte_units = choices.number(4);
    params.collateral_max_ppm = static_cast<std::uint32_t>(choices.number(3));
    params.collateral_min_ppm =
        params.collateral_max_ppm / static_cast<std::uint32_t>(1 + choices.below(4));
    params.challenge_window_ms = choices.number(4);
    params.reward_pool_units = choices.number(8) >> choices.below(64);
    params.reward_halving_ms = choices.number(6);
    params.decay_step_ms = choices.number(5);
    params.prior_units = choices.number(8) >> choices.below(64);
    params.boost_max = static_cast<std::uint32_t>(choices.below(8));
    params.legs_max = static_cast<std::uint32_t>(choices.number(2));
    params.block_txs_max = static_cast<std::uint32_t>(choices.number(3));
    return genesis;
}

}  // namespace

CHAIN_FUZZ_TARGET(genesis) {
    Choices choices(input);
    if (choices.byte() != 0) {
        check(ledger::parse_genesis(input));
        return;
    }
    ledger::Genesis made = pick_genesis(choices);
    // JSON holds text only: format_genesis is for names that were accepted.
    for (char &c : made.chain_name) c = static_cast<char>(c & 0x7f);
    check(ledger::parse_genesis(ledger::format_genesis(made)));
}

}  // namespace chain::fuzz
