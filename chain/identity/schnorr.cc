// SPDX-License-Identifier: BSD-3-Clause
#include "chain/identity/schnorr.h"

#include <bit>

#include <secp256k1.h>
#include <secp256k1_extrakeys.h>
#include <secp256k1_schnorrsig.h>

namespace chain::schnorr {
namespace {

// Blinded once, const afterwards: libsecp256k1 allows concurrent use of a const context. Never
// destroyed, so that threads that outlive main() may still verify.
const secp256k1_context *context() {
    static const secp256k1_context *const made = [] {
        secp256k1_context *fresh =
            secp256k1_context_create(SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);
        Bytes32 seed;
        fill_random(seed.data(), seed.size());
        CHAIN_CHECK(secp256k1_context_randomize(fresh, seed.data()) == 1);
        wipe(seed.data(), seed.size());
        return fresh;
    }();
    return made;
}

// A key pair in libsecp256k1's own form, wiped at the end of its scope.
struct WipedPair {
    secp256k1_keypair pair{};
    ~WipedPair() { wipe(&pair, sizeof pair); }
};

}  // namespace

std::optional<Bytes32> public_key_of(const Bytes32 &secret) {
    WipedPair pair;
    if (secp256k1_keypair_create(context(), &pair.pair, secret.data()) != 1) return std::nullopt;
    secp256k1_xonly_pubkey point;
    CHAIN_CHECK(secp256k1_keypair_xonly_pub(context(), &point, nullptr, &pair.pair) == 1);
    Bytes32 bytes;
    CHAIN_CHECK(secp256k1_xonly_pubkey_serialize(context(), bytes.data(), &point) == 1);
    return bytes;
}

Bytes64 sign(const Bytes32 &secret, const Bytes32 &message, const Bytes32 &auxiliary) {
    WipedPair pair;
    CHAIN_CHECK(secp256k1_keypair_create(context(), &pair.pair, secret.data()) == 1);
    Bytes64 signature;
    CHAIN_CHECK(secp256k1_schnorrsig_sign32(context(), signature.data(), message.data(), &pair.pair,
                                            auxiliary.data()) == 1);
    return signature;
}

static bool verify(const secp256k1_xonly_pubkey &point, std::string_view message,
                   const Bytes64 &signature) {
    return secp256k1_schnorrsig_verify(context(), signature.data(),
                                       reinterpret_cast<const unsigned char *>(message.data()),
                                       message.size(), &point) == 1;
}

bool verify(const Bytes32 &public_key, std::string_view message, const Bytes64 &signature) {
    secp256k1_xonly_pubkey point;
    if (secp256k1_xonly_pubkey_parse(context(), &point, public_key.data()) != 1) return false;
    return verify(point, message, signature);
}

std::optional<Point> point_of(const Bytes32 &public_key) {
    secp256k1_xonly_pubkey point;
    if (secp256k1_xonly_pubkey_parse(context(), &point, public_key.data()) != 1)
        return std::nullopt;
    return std::bit_cast<Point>(point);
}

bool verify(const Point &point, std::string_view message, const Bytes64 &signature) {
    return verify(std::bit_cast<secp256k1_xonly_pubkey>(point), message, signature);
}

bool is_public_key(const Bytes32 &public_key) {
    return point_of(public_key).has_value();
}

}  // namespace chain::schnorr
