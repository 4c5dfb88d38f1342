// SPDX-License-Identifier: BSD-3-Clause
#include "chain/identity/keys.h"

#include <algorithm>
#include <cctype>

#include "chain/identity/bech32m.h"
#include "chain/identity/schnorr.h"

namespace chain {

KeyPair KeyPair::generate() {
    for (;;) {
        Bytes32 secret;
        fill_random(secret.data(), secret.size());
        auto pair = from_secret(secret);
        wipe(secret.data(), secret.size());
        if (pair.ok()) return std::move(pair).value();
    }
}

Result<KeyPair> KeyPair::from_secret(const Bytes32 &secret) {
    const auto public_key = schnorr::public_key_of(secret);
    if (!public_key)
        return make_error(ErrorCode::kInvalidInput, "these 32 bytes are not a secret key");
    KeyPair pair;
    pair.secret_ = secret;
    pair.public_key_ = *public_key;
    return pair;
}

KeyPair::KeyPair(KeyPair &&other) noexcept
    : secret_(other.secret_), public_key_(other.public_key_) {
    wipe(other.secret_.data(), other.secret_.size());
}

KeyPair &KeyPair::operator=(KeyPair &&other) noexcept {
    if (this != &other) {
        secret_ = other.secret_;
        public_key_ = other.public_key_;
        wipe(other.secret_.data(), other.secret_.size());
    }
    return *this;
}

KeyPair::~KeyPair() {
    wipe(secret_.data(), secret_.size());
}

SignatureBytes KeyPair::sign(std::string_view tag, std::string_view bytes) const {
    Bytes32 auxiliary;
    fill_random(auxiliary.data(), auxiliary.size());
    return schnorr::sign(secret_, tagged_hash(tag, bytes), auxiliary);
}

bool verify(std::string_view tag, std::string_view bytes, const PublicKey &key,
            const SignatureBytes &signature) {
    return schnorr::verify(key, view_of(tagged_hash(tag, bytes)), signature);
}

bool is_valid_public_key(const PublicKey &key) {
    return schnorr::is_public_key(key);
}

std::string to_address(const PublicKey &account) {
    return bech32m::encode(kAddressPrefix, bech32m::to_groups(to_bytes(account)));
}

// Begins with the prefix, in small letters or in capitals.
static bool is_like_address(std::string_view text) {
    const std::string prefix = std::string(kAddressPrefix) + "1";
    if (text.size() < prefix.size()) return false;
    return std::equal(prefix.begin(), prefix.end(), text.begin(), [](char wanted, char c) {
        return std::tolower(static_cast<unsigned char>(c)) == wanted;
    });
}

Result<PublicKey> parse_address(std::string_view address) {
    const auto bad = [&](std::string_view why) {
        return make_error(ErrorCode::kInvalidInput, "address \"", address.substr(0, 100),
                          "\": ", why);
    };
    if (!is_like_address(address))
        return bad("an address begins with \"" + std::string(kAddressPrefix) + "1\"");
    const auto decoded = bech32m::decode(address);
    if (!decoded.ok()) return bad(decoded.error().message);
    if (decoded->prefix != kAddressPrefix)
        return bad("it starts with \"" + decoded->prefix + "1\" instead of \"ompc1\"");
    const auto bytes = bech32m::from_groups(decoded->groups);
    if (!bytes.ok()) return bad(bytes.error().message);
    if (bytes->size() != sizeof(PublicKey))
        return bad("it names " + std::to_string(bytes->size()) + " bytes instead of 32");
    return to_bytes32(*bytes, "address");
}

}  // namespace chain
