// SPDX-License-Identifier: BSD-3-Clause
//
// OfferBook: the offers that this node has heard of and that still live: soft state, never on the
// ledger, because a machine turns idle and busy too often for that (trade.md 3).
//
// Owner: the daemon's loop thread. Limits: kOffersMax offers, one per provider's account; an offer
// lives kOfferLifeMaxMs at most.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "chain/base/clock.h"
#include "chain/base/units.h"
#include "chain/identity/keys.h"
#include "chain/market/gpu.h"
#include "chain/wire/ledger.pb.h"

namespace chain::market {

inline constexpr std::size_t kOffersMax = 10'000;
inline constexpr std::uint64_t kOfferLifeMs = 60'000;  // of ours; refreshed at half of it
inline constexpr std::uint64_t kOfferLifeMaxMs = 10 * 60'000;
inline constexpr std::uint64_t kClockSkewMaxMs = 60'000;
inline constexpr std::size_t kFreeForMax = 16;

struct Offer {
    Bytes32 id{};  // hash of the signed body
    PublicKey provider{};
    PublicKey node_key{};
    std::string address;
    std::string host;
    std::uint32_t slot_count = 0;  // free now
    std::uint32_t slot_total = 0;  // lent in all: what can be reserved
    std::uint64_t hz = 0;
    std::uint64_t memory_bytes = 0;
    Amount ask_per_ghz_h;
    std::vector<PublicKey> free_for;  // accounts that pay nothing: its owner's other machines
    std::string region;
    wire::Calibration calibration;  // of hz, by the provider's word
    std::string isolation;
    std::vector<Gpu> gpus;                // free, in the order in which they are leased
    bool lease_network = false;           // which networks ranks can have: the lease's own,
    bool plain_network = false;           // the machine's
    std::uint64_t reclaim_window_ms = 0;  // notice when the owner is back
    wire::MeterClass meter_class = wire::METER_CLASS_UNSPECIFIED;
    std::uint64_t sequence = 0;
    std::uint64_t expires_at_ms = 0;
    wire::SignedOffer signed_offer;
    std::uint32_t round_trip_us = 0;  // not of the offer: what this node measured; 0: not known

    bool is_free_for(const PublicKey &renter) const;
};

wire::SignedOffer sign_offer(const wire::OfferBody &body, const KeyPair &provider);

// Errors: kTooLarge, kProtocol, kBadSignature, kInvalidInput (another network, a bad host name, no
// price, a life that is over or too long).
Result<Offer> decode_offer(const wire::SignedOffer &signed_offer, const Bytes32 &chain_id,
                           std::uint64_t now_ms);

class OfferBook {
public:
    // `has_funds`: of an account that could put up collateral. When the book is full, offers of
    // others make room for its own: an offer costs a stranger nothing but a signature.
    OfferBook(const Bytes32 &chain_id, const Clock &clock,
              std::function<bool(const PublicKey &)> has_funds = nullptr)
        : chain_id_(chain_id), clock_(clock), has_funds_(std::move(has_funds)) {}

    // True: new or newer, worth passing on; false: known already. Errors: those of decode_offer,
    // kNoRoom when the book is full.
    Result<bool> accept(const wire::SignedOffer &signed_offer);

    // An offer that lives names that address for that node.
    bool has_address(const PublicKey &node_key, const std::string &address) const;
    // Live offers that have free slots, in the order of their providers' keys.
    std::vector<Offer> offers();
    // The same of those that lend at all, for a time to come: all that is lent counts as free.
    std::vector<Offer> offers_ahead();
    // The live one of that account, also if nothing is free now; nullopt: there is none.
    std::optional<Offer> offer_of(const PublicKey &provider);
    // Everything live, also withdrawn ones (no slots), for peers that ask.
    std::vector<wire::SignedOffer> signed_offers();

private:
    void drop_expired();
    bool make_room_for(const PublicKey &provider);

    Bytes32 chain_id_;
    const Clock &clock_;
    std::function<bool(const PublicKey &)> has_funds_;
    std::map<PublicKey, Offer> by_provider_;
};

}  // namespace chain::market
