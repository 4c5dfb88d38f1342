// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/agreement_round.h"

#include <algorithm>
#include <utility>

namespace chain::daemon {

Result<wire::TxBody> lease_body(Node &node, const market::Demand &demand,
                                const market::Clearing &clearing, std::uint64_t starts_at_ms) {
    wire::TxBody body;
    wire::OpenLease &open = *body.mutable_open_lease();
    const std::uint64_t begins_at_ms =
        starts_at_ms > 0 ? starts_at_ms : node.backend.chain_time_ms();
    open.set_price_per_ghz_h(clearing.price_per_ghz_h.units);
    open.set_starts_at_ms(starts_at_ms);
    open.set_duration_ms(demand.duration_ms);
    open.set_expires_at_ms(begins_at_ms + demand.duration_ms +
                           node.backend.params().settle_grace_ms);
    for (const market::Award &award : clearing.awards) {
        wire::LeaseLeg &leg = *open.add_legs();
        leg.set_provider(to_bytes(award.offer.provider));
        leg.set_slot_count(award.billed_slots());
        leg.set_hz_max(award.offer.hz);
        leg.set_cycles_max(award.cycles_max);
        leg.set_escrow(award.escrow.units);
        leg.set_offer_id(to_bytes(award.offer.id));
        leg.set_free(award.is_free);
        if (award.is_free) continue;  // nothing is locked on either side
        CHAIN_ASSIGN(const Amount collateral,
                     node.backend.collateral(award.offer.provider,
                                             {clearing.price_per_ghz_h, award.billed_slots(),
                                              award.offer.hz, award.cycles_max}));
        leg.set_collateral(collateral.units);
    }
    return node.prepare(std::move(body));
}

Status check_escrow(Node &node, const market::Demand &demand, const market::Clearing &clearing) {
    CHAIN_ASSIGN(const ledger::Account account, node.backend.account(demand.renter));
    if (account.balance >= clearing.escrow) return ok_status();
    return make_error(ErrorCode::kInsufficientFunds, "the lease locks up to ",
                      format_tokens(clearing.escrow), " tokens and your account has ",
                      format_tokens(account.balance));
}

wire::Bill first_bill(const ledger::LeaseId &lease, const market::Clearing &clearing,
                      const std::vector<std::string> &hosts) {
    CHAIN_CHECK(hosts.size() == clearing.awards.size());
    wire::Bill bill;
    bill.set_lease_id(to_hex(lease));
    bill.set_role("renter");
    bill.set_price_per_ghz_h(clearing.price_per_ghz_h.units);
    bill.set_escrow(clearing.escrow.units);
    for (std::size_t i = 0; i < hosts.size(); ++i) {
        const market::Award &award = clearing.awards[i];
        wire::BillLeg &entry = *bill.add_legs();
        entry.set_provider(to_address(award.offer.provider));
        entry.set_slots(award.billed_slots());
        entry.set_free(award.is_free);
        entry.set_gpu_count(award.gpu_count);
        entry.set_gpu_slots(award.billed_slots() - award.slot_count);
        entry.set_host(hosts[i]);
    }
    return bill;
}

AgreementRound::AgreementRound(Node &node, Bytes tx_body, std::vector<Party> parties, Events events)
    : node_(node),
      tx_body_(std::move(tx_body)),
      lease_(ledger::tx_id(tx_body_)),
      parties_(std::move(parties)),
      events_(std::move(events)),
      signatures_(parties_.size()),
      asked_at_ms_(parties_.size()) {}

void AgreementRound::start() {
    for (std::uint32_t leg = 0; !is_over_ && leg < parties_.size(); ++leg) ask(leg);
    if (is_over_) return;
    silence_timer_ = node_.loop.every_ms(kAgreeLookMs, [this] { look_for_silence(); });
}

// Who is still being reached is waited for: that has limits of its own, and a relay may have to be
// paid first.
void AgreementRound::look_for_silence() {
    const std::uint64_t now_ms = node_.clock.steady_ms();
    for (std::uint32_t leg = 0; leg < parties_.size(); ++leg)
        if (signatures_[leg].empty() && asked_at_ms_[leg] != 0 &&
            now_ms - asked_at_ms_[leg] >= kAgreeWaitMs)
            return refuse(leg, "no answer in time");
}

void AgreementRound::ask(std::uint32_t leg) {
    const market::Offer &offer = parties_[leg].offer;
    node_.network.connect(
        offer.address, &offer.node_key, [this, leg, alive = alive_](Result<PublicKey> peer) {
            if (!*alive || is_over_) return;
            if (!peer.ok()) return refuse(leg, peer.error().message);
            const auto key = node_.wallet.key();
            if (!key.ok()) return fail(key.error());
            wire::TradeMessage message = trade_message({lease_, leg});
            wire::Propose &propose = *message.mutable_propose();
            propose = parties_[leg].propose;
            propose.set_tx_body(tx_body_);
            propose.set_renter_signature(to_bytes((*key)->sign(sign_tag::kTx, tx_body_)));
            propose.set_renter_node_key(to_bytes(node_.node_key.public_key()));
            asked_at_ms_[leg] = node_.clock.steady_ms();
            if (const Status sent = node_.send_trade(*peer, message); !sent.ok())
                refuse(leg, sent.error().message);
        });
}

bool AgreementRound::has_leg(const PublicKey &peer, const LegKey &key) const {
    return key.lease == lease_ && key.leg < parties_.size() &&
           parties_[key.leg].offer.node_key == peer;
}

void AgreementRound::on_trade(const wire::TradeMessage &message) {
    if (is_over_) return;
    if (message.has_refuse()) return refuse(message.leg(), message.refuse().reason());
    if (!message.has_agree()) return;  // until all have agreed nothing else has a meaning
    if (const Status good = check_agreement(message.leg(), message.agree().signature()); !good.ok())
        return refuse(message.leg(), good.error().message);
    signatures_[message.leg()] = message.agree().signature();
    if (std::none_of(signatures_.begin(), signatures_.end(),
                     [](const Bytes &signature) { return signature.empty(); }))
        agree();
}

// A promise that is worth nothing is this provider's refusal, not the end of the whole lease.
Status AgreementRound::check_agreement(std::uint32_t leg, const Bytes &bytes) const {
    const PublicKey &provider = parties_[leg].offer.provider;
    SignatureBytes signature;
    if (bytes.size() != signature.size())
        return make_error(ErrorCode::kBadSignature, "its signature is none");
    std::copy(bytes.begin(), bytes.end(), signature.begin());
    if (!verify(sign_tag::kTx, tx_body_, provider, signature))
        return make_error(ErrorCode::kBadSignature, "its signature is not right");
    wire::TxBody body;
    if (!body.ParseFromString(tx_body_) ||
        leg >= static_cast<std::uint32_t>(body.open_lease().legs_size()))
        return make_error(ErrorCode::kProtocol, "it has no leg of this lease");
    CHAIN_ASSIGN(const ledger::Account account, node_.backend.account(provider));
    if (account.balance.units < body.open_lease().legs(static_cast<int>(leg)).collateral())
        return make_error(ErrorCode::kInsufficientFunds, "it does not have its collateral");
    return ok_status();
}

void AgreementRound::agree() {
    const auto key = node_.wallet.key();
    if (!key.ok()) return fail(key.error());
    wire::SignedTx tx;
    tx.set_body(tx_body_);
    wire::Signature &renter = *tx.add_signatures();
    renter.set_public_key(to_bytes((*key)->public_key()));
    renter.set_signature(to_bytes((*key)->sign(sign_tag::kTx, tx_body_)));
    for (std::size_t leg = 0; leg < parties_.size(); ++leg) {
        wire::Signature &provider = *tx.add_signatures();
        provider.set_public_key(to_bytes(parties_[leg].offer.provider));
        provider.set_signature(signatures_[leg]);
    }
    finish([fn = events_.on_agreed, tx = std::move(tx)] { fn(tx); });
}

void AgreementRound::refuse(std::uint32_t leg, const std::string &why) {
    finish([fn = events_.on_refused, leg, why] { fn(leg, why); });
}

void AgreementRound::fail(const Error &error) {
    finish([fn = events_.on_failed, error] { fn(error); });
}

// Whoever is told may destroy this, so `event` has nothing of it.
void AgreementRound::finish(std::function<void()> event) {
    if (std::exchange(is_over_, true)) return;
    silence_timer_.cancel();
    node_.loop.post([event = std::move(event), alive = alive_] {
        if (*alive) event();
    });
}

void AgreementRound::cancel(const std::string &why) {
    is_over_ = true;
    *alive_ = false;  // what was to be told by a later event is not true any more
    silence_timer_.cancel();
    for (std::uint32_t leg = 0; leg < parties_.size(); ++leg) {
        wire::TradeMessage message = trade_message({lease_, leg});
        message.mutable_cancel()->set_reason(why);
        static_cast<void>(node_.send_trade(parties_[leg].offer.node_key, message));
    }
}

}  // namespace chain::daemon
