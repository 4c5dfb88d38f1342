// SPDX-License-Identifier: BSD-3-Clause
//
// ProviderAgent: what renters propose, and why it is refused.
#include "chain/base/log.h"
#include "chain/daemon/log_categories.h"
#include "chain/daemon/provider_agent.h"
#include "chain/host/scratch_volume.h"
#include "chain/provider/lease_folder.h"
#include "chain/wire/frame.h"
#include "incentive/settlement.h"

namespace chain::daemon {
namespace {

constexpr std::size_t kClosingLegsMax = 256;  // that hold no slots any more

}  // namespace

bool ProviderAgent::disk_has_room() const {
    const auto free_bytes = host::free_disk_bytes(options_.scratch_folder);
    return !free_bytes.ok() || *free_bytes / 2 >= provider::kScratchBytesMin;
}

// Slots are not reserved for somebody who cannot pay.
Status ProviderAgent::check_funds(const wire::OpenLease &open, const PublicKey &renter) const {
    Amount escrow{0};
    for (const wire::LeaseLeg &leg : open.legs()) {
        CHAIN_ASSIGN(const Amount part, amount_from_units(leg.escrow()));
        CHAIN_ASSIGN(escrow, add(escrow, part));
    }
    CHAIN_ASSIGN(const ledger::Account account, node_.backend.account(renter));
    if (account.balance < escrow)
        return make_error(ErrorCode::kRefused, "the renter's account does not cover the escrow");
    return ok_status();
}

Result<ProviderAgent::Proposal> ProviderAgent::read_proposal(const LegKey &key,
                                                             const wire::Propose &propose) const {
    CHAIN_ASSIGN(const KeyPair *own, node_.wallet.key());
    wire::TxBody body;
    CHAIN_TRY(wire::parse_strict(propose.tx_body(), wire::kMaxTxBytes, "proposal", body));
    if (ledger::tx_id(propose.tx_body()) != key.lease || !body.has_open_lease() ||
        body.chain_id() != to_bytes(node_.backend.chain_id()))
        return make_error(ErrorCode::kProtocol, "the proposal is not what it says it is");
    CHAIN_ASSIGN(const PublicKey renter, to_bytes32(body.sender(), "renter"));
    CHAIN_ASSIGN(const SignatureBytes signature,
                 to_bytes64(propose.renter_signature(), "renter's signature"));
    if (!verify(sign_tag::kTx, propose.tx_body(), renter, signature))
        return make_error(ErrorCode::kBadSignature, "the renter did not sign the proposal");
    const wire::OpenLease &open = body.open_lease();
    if (key.leg >= static_cast<std::uint32_t>(open.legs_size()))
        return make_error(ErrorCode::kProtocol, "the proposal has no leg ", key.leg);
    const wire::LeaseLeg &leg = open.legs(static_cast<int>(key.leg));
    if (leg.provider() != to_bytes(own->public_key()))
        return make_error(ErrorCode::kProtocol, "the leg is another provider's");
    const TxStatus known = node_.backend.outcome(key.lease).status;
    if (known != TxStatus::kUnknown && known != TxStatus::kRejected)
        return make_error(ErrorCode::kConflict, "the lease is on the ledger already");
    return Proposal{renter, open, leg};
}

// Whether anything can begin here now.
Status ProviderAgent::check_place() const {
    if (results_.is_full())
        return make_error(ErrorCode::kRefused, "too many results wait for their renters here");
    if (!disk_has_room())
        return make_error(ErrorCode::kRefused, "this machine has no disk left for a lease");
    if (!is_open())
        return make_error(ErrorCode::kRefused, "this machine is not lent now: ",
                          policy_ ? policy_->decision().rule : "it has just started");
    if (legs_.size() >= options_.slot_count + kClosingLegsMax)
        return make_error(ErrorCode::kRefused, "too many leases wait to be settled here");
    return ok_status();
}

// What a slot of the leg costs; what is locked follows from it, and both sides have it.
Result<Amount> ProviderAgent::check_price(const Proposal &proposal) const {
    const auto &[renter, open, leg] = proposal;
    if (leg.free()) {
        const auto &free_for = options_.free_for;
        if (std::find(free_for.begin(), free_for.end(), renter) == free_for.end())
            return make_error(ErrorCode::kRefused, "I am not free for this account");
        return Amount{0};  // and the ledger takes it only if nothing is locked
    }
    if (open.price_per_ghz_h() < options_.ask_per_ghz_h.units)
        return make_error(ErrorCode::kRefused, "the price is below what I ask");
    CHAIN_ASSIGN(const KeyPair *own, node_.wallet.key());
    CHAIN_ASSIGN(const Amount price, amount_from_units(open.price_per_ghz_h()));
    CHAIN_ASSIGN(const Amount escrow, incentive::escrow(price, leg.cycles_max()));
    CHAIN_ASSIGN(const Amount collateral,
                 node_.backend.collateral(
                     own->public_key(), {price, leg.slot_count(), leg.hz_max(), leg.cycles_max()}));
    if (leg.escrow() != escrow.units || leg.collateral() != collateral.units)
        return make_error(ErrorCode::kRefused, "escrow or collateral do not follow the rules");
    CHAIN_TRY(check_funds(open, renter));
    CHAIN_ASSIGN(const ledger::Account account, node_.backend.account(own->public_key()));
    if (account.balance < collateral)
        return make_error(ErrorCode::kRefused, "the collateral is more than I have");
    return price;
}

Status ProviderAgent::agree_on_money(const Proposal &proposal, LegTerms &terms) const {
    const auto &[renter, open, leg] = proposal;
    if (leg.hz_max() != hz_)
        return make_error(ErrorCode::kRefused, "the frequency is not the one I offer");
    CHAIN_ASSIGN(terms.price_per_ghz_h, check_price(proposal));
    terms.renter = renter;
    terms.hz_max = leg.hz_max();
    terms.cycles_max = leg.cycles_max();
    terms.duration_ms = open.duration_ms();
    terms.expires_at_ms = open.expires_at_ms();
    terms.memory_bytes = options_.memory_bytes / options_.slot_count * terms.slot_count;
    terms.host = options_.host;
    terms.begins_at = options_.begins_at;
    return ok_status();
}

// Which network the ranks have, and who is in it.
Status ProviderAgent::join_network(const LegKey &key, const wire::Propose &propose,
                                   std::size_t leg_count, LegTerms &terms) const {
    if (propose.has_network() ? !has_lease_networks_ : !options_.plain_network)
        return make_error(ErrorCode::kRefused, propose.has_network()
                                                   ? "no lease can have a network of its own here"
                                                   : "no lease is let into this machine's network");
    if (!propose.has_network()) return ok_status();
    CHAIN_ASSIGN(terms.members,
                 parse_members(propose.network(), static_cast<std::uint32_t>(leg_count)));
    terms.renter_has_ranks = propose.network().renter_has_ranks();
    if (terms.members[overlay::member_of_leg(key.leg)].node_key != node_.node_key.public_key())
        return make_error(ErrorCode::kProtocol, "the leg is another node's");
    return ok_status();
}

Result<LegTerms> ProviderAgent::check_proposal(const LegKey &key, const Proposal &proposal,
                                               const wire::Propose &propose) const {
    CHAIN_TRY(check_place());
    LegTerms terms;
    CHAIN_TRY(take_gpus(propose.gpu_count(), proposal.leg.slot_count(), terms));
    const std::uint32_t leased = slots_leased();
    if (terms.slot_count == 0 || terms.slot_count + leased > options_.slot_count)
        return make_error(ErrorCode::kRefused, "only ",
                          options_.slot_count > leased ? options_.slot_count - leased : 0,
                          " slots are free");
    CHAIN_TRY(
        join_network(key, propose, static_cast<std::size_t>(proposal.open.legs_size()), terms));
    CHAIN_TRY(agree_on_money(proposal, terms));
    CHAIN_TRY(check_room({node_.clock.unix_ms(), terms.expires_at_ms}, terms));
    CHAIN_ASSIGN(terms.manifest_hash, to_bytes32(proposal.open.manifest_hash(), "manifest hash"));
    return terms;
}

void ProviderAgent::propose(const PublicKey &peer, const LegKey &key,
                            const wire::Propose &propose) {
    if (legs_.contains(key)) return;  // the same proposal again
    if (!disk_has_room()) results_.make_room();
    const auto taken = propose.begins_reservation() ? begin_booking(peer, key, propose)
                                                    : take_proposal(peer, key, propose);
    if (taken.ok()) return publish_offer();
    const Error &error = taken.error();
    log(LogLevel::kDebug, kProviderLog, "refused lease ", short_hex(key.lease), ": ",
        error.message);
    wire::TradeMessage answer = trade_message(key);
    answer.mutable_refuse()->set_code(std::string(error_traits(error.code).name));
    answer.mutable_refuse()->set_reason(error.message);
    static_cast<void>(node_.send_trade(peer, answer));
}

Status ProviderAgent::take_proposal(const PublicKey &peer, const LegKey &key,
                                    const wire::Propose &propose) {
    CHAIN_ASSIGN(const KeyPair *own, node_.wallet.key());
    CHAIN_ASSIGN(const Proposal proposal, read_proposal(key, propose));
    const bool is_ahead = proposal.open.starts_at_ms() > 0;
    LegTerms terms;
    if (is_ahead) {
        CHAIN_ASSIGN(terms, check_booking(key, proposal, propose));
        CHAIN_TRY(bookings_.add(key, make_booking(peer, proposal, terms)));
    } else {
        CHAIN_ASSIGN(terms, check_proposal(key, proposal, propose));
    }
    log(LogLevel::kNote, kProviderLog, "agreed to lease ", short_hex(key.lease), ": ",
        terms.slot_count, " slots at ", format_tokens(terms.price_per_ghz_h), " per GHz·h",
        is_ahead ? ", from " + format_utc(proposal.open.starts_at_ms()) + " on" : std::string());
    if (!is_ahead) add_leg(peer, key, std::move(terms));
    wire::TradeMessage answer = trade_message(key);
    answer.mutable_agree()->set_signature(to_bytes(own->sign(sign_tag::kTx, propose.tx_body())));
    static_cast<void>(node_.send_trade(peer, answer));
    return ok_status();
}

ProviderLeg &ProviderAgent::add_leg(const PublicKey &peer, const LegKey &key, LegTerms terms) {
    auto leg = std::make_unique<ProviderLeg>(
        node_, *groups_, gpus_.get(), results_, key, peer, std::move(terms),
        ScratchPlan{options_.scratch_folder, options_.scratch_bytes, has_volumes_, cache_,
                    options_.stores},
        [this, key] { drop_leg(key); });
    return *legs_.emplace(key, std::move(leg)).first->second;
}

}  // namespace chain::daemon
