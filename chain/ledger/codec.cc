// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "chain/ledger/types.h"
#include "chain/wire/frame.h"

namespace chain::ledger {
namespace {

constexpr std::size_t kSignaturesMax = kLegsPerLeaseMax + 1;

Error bad(std::string_view why) {
    return make_error(ErrorCode::kProtocol, "transaction: ", why);
}

std::string text_of(std::string_view key_bytes) {
    const auto key = to_bytes32(key_bytes, "account");
    return key.ok() ? to_address(*key) : "(no account)";
}

std::string short_text_of(std::string_view id_bytes) {
    return to_hex(id_bytes).substr(0, 8);
}

std::string tokens_of(std::int64_t units) {
    const auto amount = amount_from_units(units);
    return amount.ok() ? format_tokens(*amount) : "(no amount)";
}

// Everybody who must sign beside the sender.
Result<std::vector<PublicKey>> providers_of(const wire::TxBody &body) {
    std::vector<PublicKey> providers;
    if (body.action_case() != wire::TxBody::kOpenLease) return providers;
    if (body.open_lease().legs_size() > static_cast<int>(kLegsPerLeaseMax))
        return make_error(ErrorCode::kTooLarge, "transaction: more than ", kLegsPerLeaseMax,
                          " legs");
    for (const auto &leg : body.open_lease().legs()) {
        CHAIN_ASSIGN(const PublicKey provider, to_bytes32(leg.provider(), "a leg's provider"));
        if (std::find(providers.begin(), providers.end(), provider) == providers.end())
            providers.push_back(provider);
    }
    return providers;
}

// Who signed, without looking at the signatures themselves: cheap checks come first.
Status check_signers(const wire::SignedTx &signed_tx, Tx &tx) {
    CHAIN_ASSIGN(const auto providers, providers_of(tx.body));
    if (signed_tx.signatures_size() == 0) return bad("is not signed");
    if (signed_tx.signatures_size() > static_cast<int>(kSignaturesMax))
        return make_error(ErrorCode::kTooLarge, "transaction: more than ", kSignaturesMax,
                          " signatures");
    for (const auto &signature : signed_tx.signatures()) {
        CHAIN_ASSIGN(const PublicKey key, to_bytes32(signature.public_key(), "a signer's key"));
        const bool is_sender = key == tx.sender;
        if (is_sender != tx.signers.empty()) return bad("its sender must sign first, and once");
        if (!is_sender && std::find(providers.begin(), providers.end(), key) == providers.end())
            return bad("is signed by somebody who has no part in it");
        if (std::find(tx.signers.begin(), tx.signers.end(), key) != tx.signers.end())
            return bad("is signed twice by the same key");
        tx.signers.push_back(key);
    }
    for (const PublicKey &provider : providers)
        if (std::find(tx.signers.begin(), tx.signers.end(), provider) == tx.signers.end())
            return make_error(ErrorCode::kBadSignature, "transaction: provider ",
                              to_address(provider), " has not signed the lease");
    return ok_status();
}

}  // namespace

TxId tx_id(std::string_view body_bytes) {
    return tagged_hash(kTxIdTag, body_bytes);
}

Result<Tx> decode_tx(std::string_view signed_tx_bytes, const Bytes32 &chain_id,
                     SignatureCache *cache) {
    wire::SignedTx signed_tx;
    CHAIN_TRY(wire::parse_strict(signed_tx_bytes, wire::kMaxTxBytes, "transaction", signed_tx));
    Tx tx;
    CHAIN_TRY(wire::parse_strict(signed_tx.body(), wire::kMaxTxBytes, "transaction", tx.body));
    CHAIN_ASSIGN(const Bytes32 its_chain, to_bytes32(tx.body.chain_id(), "chain id"));
    if (its_chain != chain_id)
        return make_error(ErrorCode::kInvalidInput, "transaction: is for chain ",
                          short_hex(its_chain), ", this is chain ", short_hex(chain_id));
    if (tx.body.action_case() == wire::TxBody::ACTION_NOT_SET) return bad("says nothing to do");
    CHAIN_ASSIGN(tx.sender, to_bytes32(tx.body.sender(), "sender"));
    CHAIN_TRY(check_signers(signed_tx, tx));
    for (int i = 0; i < signed_tx.signatures_size(); ++i) {
        CHAIN_ASSIGN(const SignatureBytes signature,
                     to_bytes64(signed_tx.signatures(i).signature(), "signature"));
        const PublicKey &signer = tx.signers[static_cast<std::size_t>(i)];
        if (!verify_cached(cache, sign_tag::kTx, signed_tx.body(), signer, signature))
            return make_error(ErrorCode::kBadSignature, "transaction: the signature of ",
                              to_address(signer), " is wrong");
    }
    // Costs a square root, so it is done here, where it may be done on any core.
    if (tx.body.has_transfer()) {
        const auto receiver = to_bytes32(tx.body.transfer().to(), "receiver");
        tx.receiver_is_key = receiver.ok() && is_valid_public_key(*receiver);
    }
    tx.id = tx_id(signed_tx.body());
    tx.signed_bytes = Bytes(signed_tx_bytes);
    return tx;
}

wire::SignedTx sign_tx(const wire::TxBody &body, const KeyPair &sender) {
    wire::SignedTx tx;
    tx.set_body(body.SerializeAsString());
    add_signature(tx, sender);
    return tx;
}

void add_signature(wire::SignedTx &tx, const KeyPair &signer) {
    wire::Signature *signature = tx.add_signatures();
    signature->set_public_key(to_bytes(signer.public_key()));
    signature->set_signature(to_bytes(signer.sign(sign_tag::kTx, tx.body())));
}

Result<Voucher> decode_voucher(const wire::SignedVoucher &voucher, const PublicKey &renter,
                               SignatureCache *cache) {
    Voucher decoded;
    CHAIN_TRY(wire::parse_strict(voucher.body(), wire::kMaxVoucherBytes, "voucher", decoded.body));
    CHAIN_ASSIGN(decoded.lease_id, to_bytes32(decoded.body.lease_id(), "a voucher's lease id"));
    CHAIN_ASSIGN(const SignatureBytes signature,
                 to_bytes64(voucher.signature(), "a voucher's signature"));
    if (!verify_cached(cache, sign_tag::kVoucher, voucher.body(), renter, signature))
        return make_error(ErrorCode::kBadSignature, "voucher ", decoded.body.sequence(),
                          " is not signed by the renter ", to_address(renter));
    decoded.signed_voucher = voucher;
    return decoded;
}

wire::SignedVoucher sign_voucher(const wire::VoucherBody &body, const KeyPair &renter) {
    wire::SignedVoucher voucher;
    voucher.set_body(body.SerializeAsString());
    voucher.set_signature(to_bytes(renter.sign(sign_tag::kVoucher, voucher.body())));
    return voucher;
}

bool Lease::settled() const {
    return std::all_of(legs.begin(), legs.end(),
                       [](const Leg &leg) { return leg.state == LegState::kSettled; });
}

std::string_view tx_kind(const wire::TxBody &body) {
    switch (body.action_case()) {
        case wire::TxBody::kTransfer: return "transfer";
        case wire::TxBody::kPublishResource: return "publish-resource";
        case wire::TxBody::kOpenLease: return "open-lease";
        case wire::TxBody::kClaimVoucher: return "claim-voucher";
        case wire::TxBody::kCloseLease: return "close-lease";
        case wire::TxBody::kExpireLease: return "expire-lease";
        case wire::TxBody::ACTION_NOT_SET: break;
    }
    return "nothing";
}

std::string describe_tx(const wire::TxBody &body) {
    switch (body.action_case()) {
        case wire::TxBody::kTransfer:
            return "sends " + tokens_of(body.transfer().amount()) + " to " +
                   text_of(body.transfer().to());
        case wire::TxBody::kPublishResource:
            // The host name may be anything until the transition has checked it.
            return wire::is_valid_host_name(body.publish_resource().host())
                       ? "lends " + std::to_string(body.publish_resource().slot_count()) +
                             " slots of " + body.publish_resource().host()
                       : "lends a machine without a valid name";
        case wire::TxBody::kOpenLease: {
            std::uint64_t slot_count = 0;
            for (const auto &leg : body.open_lease().legs()) slot_count += leg.slot_count();
            return "leases " + std::to_string(slot_count) + " slots in " +
                   std::to_string(body.open_lease().legs_size()) + " legs at " +
                   tokens_of(body.open_lease().price_per_ghz_h()) + " per GHz·h";
        }
        case wire::TxBody::kClaimVoucher: {
            wire::VoucherBody voucher;
            if (!voucher.ParseFromString(body.claim_voucher().voucher().body()))
                return "claims an unreadable voucher";
            return "claims " + tokens_of(voucher.amount()) + " of leg " +
                   std::to_string(voucher.leg()) + " of lease " + short_text_of(voucher.lease_id());
        }
        case wire::TxBody::kCloseLease:
            return "closes lease " + short_text_of(body.close_lease().lease_id()) + " with " +
                   std::to_string(body.close_lease().vouchers_size()) + " vouchers";
        case wire::TxBody::kExpireLease:
            return "settles what is due of lease " + short_text_of(body.expire_lease().lease_id());
        case wire::TxBody::ACTION_NOT_SET: break;
    }
    return "does nothing";
}

}  // namespace chain::ledger
