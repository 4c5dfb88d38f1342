// SPDX-License-Identifier: BSD-3-Clause
//
// Clearing: one bid against the book (trade.md 3.2; HPIPS white paper, section 7, "bidding").
//
// Pure and deterministic: the same offers in any order and the same demand give the same awards.
// One uniform price per bid: the highest ask accepted. Machines that are free for the renter come
// first, and cost nothing whatever the price. Of equal asks the nearer ones come first
// (placement.h). Explains every offer that it dropped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chain/market/offer_book.h"
#include "incentive/params.h"

namespace chain::market {

// A budget that does not pay for all slots for so long is refused: a job would hardly start.
inline constexpr std::uint64_t kBudgetCoversAtLeastMs = 60'000;

struct Demand {
    PublicKey renter{};
    std::uint32_t slot_count = 0;
    std::uint64_t memory_bytes_per_slot = 0;
    std::uint64_t hz_min = 0;
    std::uint64_t notice_ms_min = 0;  // when the owner of a peer is back
    std::string region;               // empty: any
    std::uint32_t gpus_per_slot = 0;
    bool plain_network = false;          // the peers' own networks instead of the lease's
    std::vector<std::string> providers;  // addresses or host names; empty: any
    std::vector<std::string> avoid;      // addresses that are not to be taken
    Amount max_price_per_ghz_h;          // 0: none
    Amount budget;                       // 0: none
    std::uint64_t duration_ms = 0;
};

struct Award {
    Offer offer;
    std::uint32_t slot_count = 0;
    Cycles cycles_max = 0;
    Amount escrow;
    std::uint32_t gpu_count = 0;  // the first of the offer's
    bool is_free = false;         // a machine of the renter's own: nothing is locked or paid
    Amount price_of(Amount lease_price_per_ghz_h) const {
        return is_free ? Amount{0} : lease_price_per_ghz_h;
    }
    // Slots that they equalled when they were reserved; nullopt: as the offer has them.
    std::optional<std::uint32_t> reserved_gpu_slots;
    // What the ledger counts: with the slots that the GPUs equal.
    std::uint32_t billed_slots() const {
        return slot_count + (reserved_gpu_slots
                                 ? *reserved_gpu_slots
                                 : gpu_slots(std::span(offer.gpus).first(gpu_count), offer.hz));
    }
};

struct Verdict {
    Offer offer;
    std::uint32_t slots_taken = 0;
    std::vector<std::string> reasons;  // each condition that failed, in words; empty: it matches
};

struct Clearing {
    Amount price_per_ghz_h;
    std::vector<Award> awards;  // in the order of the legs
    std::vector<Offer> standbys;
    std::vector<Verdict> verdicts;  // one per offer, cheapest first
    Amount escrow;                  // of all legs
    std::string failure;            // why nothing was awarded; empty: awarded
    ErrorCode failure_code = ErrorCode::kNothingMatched;
    bool cleared() const { return failure.empty(); }
};

// Offers with equal asks share the slots evenly. With a budget, the cycles of all legs are cut in
// proportion so that the escrow fits: a hard stop. Errors: kTooLarge (amounts out of range).
Result<Clearing> clear(const Demand &demand, std::vector<Offer> offers,
                       const incentive::Params &params);

// Errors: kInvalidInput, with the field in words.
Result<Demand> demand_from_spec(const PublicKey &renter, std::uint32_t slot_count,
                                std::uint64_t memory_bytes_per_slot, std::uint64_t hz_min,
                                std::int64_t max_price_per_ghz_h, std::int64_t budget,
                                std::uint64_t duration_ms, const incentive::Params &params);

}  // namespace chain::market
