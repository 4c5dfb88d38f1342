// SPDX-License-Identifier: BSD-3-Clause
//
// Stands in for chain/identity/schnorr.cc in the programs of libFuzzer: the same keys, but a
// signature is the message and the key, mixed, which anybody could make. A real one costs 70 us to
// make and to verify, more than all that is to be tested. (replay_test has the real ones.)
#include <algorithm>
#include <map>

#include <secp256k1.h>
#include <secp256k1_extrakeys.h>

#include "chain/identity/schnorr.h"

namespace chain::schnorr {
namespace {

constexpr std::size_t kKeysMax = 64;

const secp256k1_context *context() {
    static const secp256k1_context *const made =
        secp256k1_context_create(SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);
    return made;
}

Bytes64 stamp(const Bytes32 &public_key, std::string_view message) {
    CHAIN_CHECK(message.size() == sizeof(Bytes32));  // nobody signs anything but a hash
    Bytes64 whole;
    for (std::size_t i = 0; i < message.size(); ++i) {
        whole[i] = static_cast<std::uint8_t>(public_key[i] ^ static_cast<std::uint8_t>(message[i]));
        whole[i + message.size()] = static_cast<std::uint8_t>(~public_key[i]);
    }
    return whole;
}

}  // namespace

std::optional<Bytes32> public_key_of(const Bytes32 &secret) {
    secp256k1_keypair pair;
    if (secp256k1_keypair_create(context(), &pair, secret.data()) != 1) return std::nullopt;
    secp256k1_xonly_pubkey point;
    CHAIN_CHECK(secp256k1_keypair_xonly_pub(context(), &point, nullptr, &pair) == 1);
    Bytes32 bytes;
    CHAIN_CHECK(secp256k1_xonly_pubkey_serialize(context(), bytes.data(), &point) == 1);
    return bytes;
}

Bytes64 sign(const Bytes32 &secret, const Bytes32 &message, const Bytes32 &) {
    static std::map<Bytes32, Bytes32> keys;
    auto known = keys.find(secret);
    if (known == keys.end()) {
        if (keys.size() >= kKeysMax) keys.clear();
        known = keys.emplace(secret, *public_key_of(secret)).first;
    }
    return stamp(known->second, {reinterpret_cast<const char *>(message.data()), message.size()});
}

bool verify(const Bytes32 &public_key, std::string_view message, const Bytes64 &signature) {
    return stamp(public_key, message) == signature;
}

bool is_public_key(const Bytes32 &public_key) {
    secp256k1_xonly_pubkey point;
    return secp256k1_xonly_pubkey_parse(context(), &point, public_key.data()) == 1;
}

// The key itself.
std::optional<Point> point_of(const Bytes32 &public_key) {
    if (!is_public_key(public_key)) return std::nullopt;
    Point point{};
    std::copy(public_key.begin(), public_key.end(), point.begin());
    return point;
}

bool verify(const Point &point, std::string_view message, const Bytes64 &signature) {
    Bytes32 public_key;
    std::copy_n(point.begin(), public_key.size(), public_key.begin());
    return verify(public_key, message, signature);
}

}  // namespace chain::schnorr
