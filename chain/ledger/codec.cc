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
                     PointCache *points) {
    const auto is_right = [&](const PublicKey &signer, std::string_view body,
                              const SignatureBytes &signature) {
        return points != nullptr ? points->verify(sign_tag::kTx, body, signer, signature)
                                 : verify(sign_tag::kTx, body, signer, signature);
    };
    wire::SignedTx signed_tx;
    CHAIN_TRY(wire::parse_strict(signed_tx_bytes, wire::kMaxTxBytes, "transaction", signed_tx));
    // Nobody on the way may make it longer: the sender's fee goes by its size.
    if (signed_tx.ByteSizeLong() != signed_tx_bytes.size()) return bad("is longer than it need be");
    Tx tx;
    CHAIN_TRY(wire::parse_strict(signed_tx.body(), wire::kMaxTxBytes, "transaction", tx.body));
    CHAIN_ASSIGN(const Bytes32 its_chain, to_bytes32(tx.body.chain_id(), "chain id"));
    if (its_chain != chain_id)
        return make_error(ErrorCode::kInvalidInput, "transaction: is for chain ", to_hex(its_chain),
                          ", this is chain ", to_hex(chain_id));
    if (tx.body.action_case() == wire::TxBody::ACTION_NOT_SET) return bad("says nothing to do");
    CHAIN_ASSIGN(tx.sender, to_bytes32(tx.body.sender(), "sender"));
    CHAIN_TRY(check_signers(signed_tx, tx));
    for (int i = 0; i < signed_tx.signatures_size(); ++i) {
        CHAIN_ASSIGN(const SignatureBytes signature,
                     to_bytes64(signed_tx.signatures(i).signature(), "signature"));
        const PublicKey &signer = tx.signers[static_cast<std::size_t>(i)];
        if (!is_right(signer, signed_tx.body(), signature))
            return make_error(ErrorCode::kBadSignature, "transaction: the signature of ",
                              to_address(signer), " is wrong");
    }
    // Costs a square root, so it is done here, where it may be done on any core.
    if (tx.body.has_transfer()) {
        const auto receiver = to_bytes32(tx.body.transfer().to(), "receiver");
        tx.receiver_is_key =
            receiver.ok() && (points != nullptr ? points->is_valid_public_key(*receiver)
                                                : is_valid_public_key(*receiver));
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

Result<DecodedVote> decode_vote(const wire::SignedVote &vote, const Bytes32 &chain_id,
                                SignatureCache *cache) {
    wire::VoteBody body;
    CHAIN_TRY(wire::parse_strict(vote.body(), wire::kMaxVoucherBytes, "vote", body));
    CHAIN_ASSIGN(const Bytes32 its_chain, to_bytes32(body.chain_id(), "chain id"));
    if (its_chain != chain_id)
        return make_error(ErrorCode::kInvalidInput, "vote: is for chain ", to_hex(its_chain),
                          ", this is chain ", to_hex(chain_id));
    DecodedVote decoded;
    CHAIN_ASSIGN(decoded.validator, to_bytes32(body.validator(), "validator"));
    decoded.link.source_height = body.source_height();
    decoded.link.target_height = body.target_height();
    CHAIN_ASSIGN(decoded.link.source, to_bytes32(body.source(), "source of a vote"));
    CHAIN_ASSIGN(decoded.link.target, to_bytes32(body.target(), "target of a vote"));
    if (decoded.link.source_height >= decoded.link.target_height)
        return make_error(ErrorCode::kInvalidInput, "vote: its target ", body.target_height(),
                          " is not later than its source ", body.source_height());
    CHAIN_ASSIGN(const SignatureBytes signature,
                 to_bytes64(vote.signature(), "a vote's signature"));
    if (!verify_cached(cache, sign_tag::kVote, vote.body(), decoded.validator, signature))
        return make_error(ErrorCode::kBadSignature, "the vote is not signed by the validator ",
                          to_address(decoded.validator));
    decoded.signed_vote = vote;
    return decoded;
}

wire::VoteBody vote_body(const Bytes32 &chain_id, const PublicKey &validator,
                         const incentive::CheckpointVote &link) {
    wire::VoteBody body;
    body.set_chain_id(to_bytes(chain_id));
    body.set_validator(to_bytes(validator));
    body.set_source_height(link.source_height);
    body.set_source(to_bytes(link.source));
    body.set_target_height(link.target_height);
    body.set_target(to_bytes(link.target));
    return body;
}

wire::SignedVote sign_vote(const wire::VoteBody &body, const KeyPair &validator) {
    wire::SignedVote vote;
    vote.set_body(body.SerializeAsString());
    vote.set_signature(to_bytes(validator.sign(sign_tag::kVote, vote.body())));
    return vote;
}

bool Lease::due_at(std::uint64_t time_ms) const {
    return std::any_of(legs.begin(), legs.end(), [&](const Leg &leg) {
        return (leg.state == LegState::kClosing && time_ms >= leg.closes_at_ms) ||
               (leg.state == LegState::kOpen && time_ms >= expires_at_ms);
    });
}

bool Lease::settled() const {
    return std::all_of(legs.begin(), legs.end(),
                       [](const Leg &leg) { return leg.state == LegState::kSettled; });
}

}  // namespace chain::ledger
