// SPDX-License-Identifier: BSD-3-Clause
//
// Params: the numbers of the rules of money. They stand in the genesis file, so all nodes of a
// network agree on them; each has its reason beside it.
#pragma once

#include <cstdint>

#include "chain/base/units.h"

namespace incentive {

struct Params {
    // ---- payment

    // Part of each payment that is burned: the only input of reputation volume, so that reputation
    // costs money (ledger.md 4). Rounded up, at the provider's cost.
    std::uint32_t burn_ppm = 50'000;

    // Burned for each byte of a transaction, at its sender's cost. 0 where the sealer knows its
    // users; above 0 on an open network, where nothing else limits what strangers make all store.
    std::uint64_t fee_per_byte_units = 0;

    // ---- collateral (EUB talk: "gas"; docs/money_rules.md, Collateral)

    // Part of a leg's escrow that a provider without reputation puts up, and one with all of it.
    // The second is the floor: what a provider can win by cheating is one voucher's interval, not a
    // share of the whole lease.
    std::uint32_t collateral_max_ppm = 200'000;
    std::uint32_t collateral_min_ppm = 50'000;

    // Never less than what the leg earns in this time: a cheat is at most one voucher interval
    // (2 s) ahead of the renter's checks, so the collateral always exceeds it (5 times).
    std::uint64_t collateral_at_risk_ms = 10'000;

    // Of the collateral, burned when a leg does not start and its provider says so; when it does
    // not start and nobody says so, or the provider is lost, lost_forfeit_ppm. Saying so is
    // cheaper.
    std::uint32_t start_forfeit_ppm = 100'000;
    std::uint32_t lost_forfeit_ppm = 1'000'000;

    // Work that its provider did and its renter never signed for: at most this long, the provider's
    // patience (three readings of 2 s, and one under way). A leg that ends in disagreement costs
    // the renter as much as it could have saved by not signing; it burns, so the provider gains
    // nothing.
    std::uint64_t unsigned_work_ms = 8'000;

    // ---- times of a lease

    // From opening: a leg that has not reported its start by then lets anybody void the lease.
    std::uint64_t start_window_ms = 120'000;

    // After a renter's one-sided close, how long the provider may bring a higher voucher, or show
    // that it is not lost. Longer than a restart of a daemon takes.
    std::uint64_t challenge_window_ms = 30'000;

    // From the end of the agreed running time until anyone may settle with what is on the ledger.
    std::uint64_t settle_grace_ms = 120'000;

    // After a leg's settlement, how long the renter may rate it.
    std::uint64_t rate_window_ms = 7ULL * 24 * 3600 * 1000;

    // ---- reservations: leases for a time to come. Genesis files from before there were any rely
    // on these defaults.

    // How far ahead: a provider's collateral and a renter's escrow are locked for so long.
    std::uint64_t reservation_ahead_max_ms = 30ULL * 24 * 3600 * 1000;
    // Until so long before the start its renter cancels for nothing: long enough for the providers
    // to lend the time to somebody else.
    std::uint64_t reservation_notice_ms = 3'600'000;
    // Of a leg's escrow: the least that a renter owes who cancels later, or does not come.
    std::uint32_t deposit_ppm = 100'000;

    // ---- stake

    // From unstaking until the tokens are free: evidence of a vote that breaks a rule has this long
    // to arrive.
    std::uint64_t unbonding_ms = 7ULL * 24 * 3600 * 1000;

    // Of a slashed stake, to who reported it (1/16); the rest burns. Small, so that reporting
    // oneself saves nothing that matters.
    std::uint32_t slash_reporter_ppm = 62'500;

    // ---- supply

    // Set aside at genesis for sealers; 0 on a network whose sealer is not paid. Half of what is
    // left is paid out in each halving period, evenly in time: the supply is fixed.
    std::uint64_t reward_pool_units = 0;
    std::uint64_t reward_halving_ms = 4ULL * 366 * 24 * 3600 * 1000;

    // ---- reputation and the resource coefficient (incentive/reputation.h)

    // One step of decay; 16 steps halve what was earned. 7 days: half after 16 weeks.
    std::uint64_t decay_step_ms = 7ULL * 24 * 3600 * 1000;
    // Burned fees, and proved shares, at which the volume is half of its most.
    std::uint64_t volume_half_units = 1'000'000'000;
    std::uint64_t shares_half = 1'000'000;
    // Burned fees of doubt in each ratio: so much good work is believed by half.
    std::uint64_t prior_units = 10'000'000;
    // An audit, passed or not, counts only on a leg that burned at least this.
    std::uint64_t audit_fee_min_units = 1'000;
    // Stake above this buys no more frequency.
    std::uint64_t stake_full_units = 1'000'000'000'000;
    // The coefficient is 1 to this. Above 4, plain per-node targets weaken PoW (ledger.md 5.3).
    std::uint32_t boost_max = 4;
    // Blocks over which a sealer's boost comes back after it has sealed.
    std::uint64_t recovery_blocks = 200;

    // ---- bounds on what one transaction or block can make everybody store

    std::uint32_t legs_max = 256;
    std::uint32_t slots_per_leg_max = 4096;
    std::uint64_t lease_duration_max_ms = 7ULL * 24 * 3600 * 1000;
    std::uint32_t payout_shares_max = 1'024;
    std::uint32_t block_txs_max = 10'000;
};

}  // namespace incentive
