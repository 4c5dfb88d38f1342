// SPDX-License-Identifier: BSD-3-Clause
#include "chain/market/offer_book.h"

#include <algorithm>

#include "chain/wire/frame.h"

namespace chain::market {
namespace {

constexpr std::string_view kOfferIdTag = "ompi-chain/offer-id";
constexpr std::size_t kAddressBytesMax = 300;
constexpr std::size_t kRegionBytesMax = 64;
constexpr std::uint32_t kSlotsMax = 4096;
constexpr std::uint64_t kHzMax = 1'000'000'000'000ULL;
constexpr std::uint32_t kChainsMax = 100'000;

Status check_body(const wire::OfferBody &body, const Bytes32 &chain_id, std::uint64_t now_ms) {
    const auto bad = [&](std::string_view why) {
        return make_error(ErrorCode::kInvalidInput, "offer of \"", body.host(), "\" ", why);
    };
    if (!wire::is_valid_host_name(body.host())) return bad("has no valid host name");
    if (body.chain_id() != to_bytes(chain_id)) return bad("is for another network");
    if (body.address().size() > kAddressBytesMax || body.region().size() > kRegionBytesMax)
        return bad("has an address or region that is too long");
    if (body.slot_count() > kSlotsMax || body.slot_total() > kSlotsMax)
        return bad("has more than 4096 slots");
    if (body.hz() == 0 || body.hz() > kHzMax) return bad("has no believable frequency");
    const wire::Calibration &calibration = body.calibration();
    if (calibration.spread_ppm() > kPpm || calibration.chain_count() > kChainsMax ||
        calibration.measured_at_ms() > now_ms + kClockSkewMaxMs)
        return bad("has no believable calibration");
    if (body.ask_per_ghz_h() <= 0 || body.ask_per_ghz_h() > kMaxAmountUnits)
        return bad("has no price above zero");
    if (body.isolation() != "full" && body.isolation() != "partial")
        return bad("does not say how it isolates");
    if (body.free_for_size() > static_cast<int>(kFreeForMax))
        return bad("is free for too many accounts");
    if (body.gpus_size() > static_cast<int>(kGpusPerOfferMax)) return bad("has too many GPUs");
    for (const wire::GpuOffer &gpu : body.gpus())
        if (gpu.units() == 0 || gpu.units() > kGpuUnitsMax || gpu.hz() == 0 || gpu.hz() > kHzMax ||
            gpu.model().size() > kGpuModelBytesMax)
            return bad("has a GPU that cannot be");
    if (!wire::MeterClass_IsValid(body.meter_class()) ||
        body.meter_class() == wire::METER_CLASS_UNSPECIFIED)
        return bad("does not say how it meters");
    if (body.expires_at_ms() <= now_ms) return bad("has expired");
    if (body.issued_at_ms() > now_ms + kClockSkewMaxMs) return bad("comes from the future");
    if (body.expires_at_ms() > now_ms + kOfferLifeMaxMs + kClockSkewMaxMs)
        return bad("lives longer than ten minutes");
    return ok_status();
}

}  // namespace

bool Offer::is_free_for(const PublicKey &renter) const {
    return std::find(free_for.begin(), free_for.end(), renter) != free_for.end();
}

wire::SignedOffer sign_offer(const wire::OfferBody &body, const KeyPair &provider) {
    wire::SignedOffer signed_offer;
    signed_offer.set_body(body.SerializeAsString());
    signed_offer.set_signature(to_bytes(provider.sign(sign_tag::kOffer, signed_offer.body())));
    return signed_offer;
}

Result<Offer> decode_offer(const wire::SignedOffer &signed_offer, const Bytes32 &chain_id,
                           std::uint64_t now_ms) {
    wire::OfferBody body;
    CHAIN_TRY(wire::parse_strict(signed_offer.body(), wire::kMaxOfferBytes, "offer", body));
    CHAIN_TRY(check_body(body, chain_id, now_ms));
    Offer offer;
    CHAIN_ASSIGN(offer.provider, to_bytes32(body.provider(), "offer's provider"));
    CHAIN_ASSIGN(offer.node_key, to_bytes32(body.node_key(), "offer's node key"));
    CHAIN_ASSIGN(const SignatureBytes signature,
                 to_bytes64(signed_offer.signature(), "offer's signature"));
    if (!verify(sign_tag::kOffer, signed_offer.body(), offer.provider, signature))
        return make_error(ErrorCode::kBadSignature, "offer of \"", body.host(),
                          "\" is not signed by its provider");
    offer.id = tagged_hash(kOfferIdTag, signed_offer.body());
    offer.address = body.address();
    offer.host = body.host();
    offer.slot_count = body.slot_count();
    offer.slot_total = body.slot_total();
    offer.hz = body.hz();
    offer.calibration = body.calibration();
    offer.memory_bytes = body.memory_bytes();
    offer.ask_per_ghz_h = Amount{body.ask_per_ghz_h()};
    for (const std::string &account : body.free_for()) {
        CHAIN_ASSIGN(const PublicKey renter, to_bytes32(account, "account that pays nothing"));
        offer.free_for.push_back(renter);
    }
    offer.region = body.region();
    offer.isolation = body.isolation();
    for (const wire::GpuOffer &gpu : body.gpus())
        offer.gpus.push_back({gpu.model(), gpu.memory_bytes(), gpu.units(), gpu.hz()});
    offer.lease_network = body.lease_network();
    offer.plain_network = body.plain_network();
    offer.reclaim_window_ms = body.reclaim_window_ms();
    offer.meter_class = body.meter_class();
    offer.sequence = body.sequence();
    offer.expires_at_ms = body.expires_at_ms();
    offer.signed_offer = signed_offer;
    return offer;
}

Result<bool> OfferBook::accept(const wire::SignedOffer &signed_offer) {
    CHAIN_ASSIGN(Offer offer, decode_offer(signed_offer, chain_id_, clock_.unix_ms()));
    const auto known = by_provider_.find(offer.provider);
    if (known != by_provider_.end()) {
        if (known->second.sequence >= offer.sequence) return false;
        known->second = std::move(offer);
        return true;
    }
    drop_expired();
    if (by_provider_.size() >= kOffersMax && !make_room_for(offer.provider))
        return make_error(ErrorCode::kNoRoom, "the offer book is full");
    const PublicKey provider = offer.provider;
    by_provider_.emplace(provider, std::move(offer));
    return true;
}

bool OfferBook::make_room_for(const PublicKey &provider) {
    if (!has_funds_ || !has_funds_(provider)) return false;
    for (auto at = by_provider_.begin(); at != by_provider_.end(); ++at) {
        if (has_funds_(at->first)) continue;
        by_provider_.erase(at);
        return true;
    }
    return false;
}

bool OfferBook::has_address(const PublicKey &node_key, const std::string &address) const {
    return std::any_of(by_provider_.begin(), by_provider_.end(), [&](const auto &entry) {
        return entry.second.node_key == node_key && entry.second.address == address;
    });
}

std::vector<Offer> OfferBook::offers() {
    drop_expired();
    std::vector<Offer> live;
    for (const auto &[provider, offer] : by_provider_)
        if (offer.slot_count > 0) live.push_back(offer);
    return live;
}

std::vector<Offer> OfferBook::offers_ahead() {
    drop_expired();
    std::vector<Offer> live;
    for (const auto &[provider, offer] : by_provider_) {
        if (offer.slot_total == 0) continue;
        live.push_back(offer);
        live.back().slot_count = offer.slot_total;
    }
    return live;
}

std::optional<Offer> OfferBook::offer_of(const PublicKey &provider) {
    drop_expired();
    const auto found = by_provider_.find(provider);
    return found == by_provider_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<wire::SignedOffer> OfferBook::signed_offers() {
    drop_expired();
    std::vector<wire::SignedOffer> live;
    for (const auto &[provider, offer] : by_provider_) live.push_back(offer.signed_offer);
    return live;
}

void OfferBook::drop_expired() {
    const std::uint64_t now_ms = clock_.unix_ms();
    std::erase_if(by_provider_,
                  [&](const auto &entry) { return entry.second.expires_at_ms <= now_ms; });
}

}  // namespace chain::market
