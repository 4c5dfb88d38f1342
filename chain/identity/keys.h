// SPDX-License-Identifier: BSD-3-Clause
//
// Keys: secp256k1 pairs, BIP 340 Schnorr signatures, bech32m addresses.
//
// An account and a node are each named by a 32-byte x-only public key. The address of an account is
// bech32m (BIP 350) over that key, human-readable part "ompc".
#pragma once

#include <string>
#include <string_view>

#include "chain/base/bytes.h"

namespace chain {

using PublicKey = Bytes32;
using SignatureBytes = Bytes64;

inline constexpr std::string_view kAddressPrefix = "ompc";

// What a signature is about: the tag of the BIP 340 tagged hash that is signed, so that a signature
// over one kind of bytes never passes for another kind.
namespace sign_tag {
inline constexpr std::string_view kTx = "ompi-chain/tx";
inline constexpr std::string_view kVoucher = "ompi-chain/voucher";
inline constexpr std::string_view kVote = "ompi-chain/vote";
inline constexpr std::string_view kOffer = "ompi-chain/offer";
inline constexpr std::string_view kBlock = "ompi-chain/block";
inline constexpr std::string_view kChannel = "ompi-chain/channel";
inline constexpr std::string_view kBegin = "ompi-chain/begin";
}  // namespace sign_tag

// A secret key and its public key. The secret is wiped on destruction; movable, not copyable.
// Thread-safe once made.
class KeyPair {
public:
    static KeyPair generate();
    // Errors: kInvalidInput when the 32 bytes are no valid secret key.
    static Result<KeyPair> from_secret(const Bytes32 &secret);

    KeyPair(KeyPair &&other) noexcept;
    KeyPair &operator=(KeyPair &&other) noexcept;
    KeyPair(const KeyPair &) = delete;
    KeyPair &operator=(const KeyPair &) = delete;
    ~KeyPair();

    const PublicKey &public_key() const { return public_key_; }
    // For the keystore alone.
    const Bytes32 &secret() const { return secret_; }

    SignatureBytes sign(std::string_view tag, std::string_view bytes) const;

private:
    KeyPair() = default;
    Bytes32 secret_{};
    PublicKey public_key_{};
};

// True if `signature` is `key`'s over `bytes` under `tag`. Thread-safe.
bool verify(std::string_view tag, std::string_view bytes, const PublicKey &key,
            const SignatureBytes &signature);

// True if the 32 bytes are the x coordinate of a point: money sent to others could never move
// again.
bool is_valid_public_key(const PublicKey &key);

std::string to_address(const PublicKey &account);
// Errors: kInvalidInput: wrong prefix, checksum or length, said in words.
Result<PublicKey> parse_address(std::string_view address);

}  // namespace chain
