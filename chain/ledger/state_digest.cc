// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/state_digest.h"

#include <memory>

#include <openssl/evp.h>

namespace chain::ledger {
namespace {

constexpr std::string_view kEntryTag = "ompi-chain/state-entry";
constexpr std::string_view kDigestTag = "ompi-chain/state";

using LaneBytes = std::array<unsigned char, StateDigest::kLaneBytes>;

struct CipherDeleter {
    void operator()(EVP_CIPHER_CTX *context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, CipherDeleter>;

constexpr unsigned char kCounterAndNonce[16] = {};

// With the algorithm set: looking it up costs as much as half an expansion.
Cipher new_cipher() {
    Cipher cipher(EVP_CIPHER_CTX_new());
    static constexpr unsigned char kAnyKey[32] = {};
    CHAIN_CHECK(cipher != nullptr && EVP_EncryptInit_ex(cipher.get(), EVP_chacha20(), nullptr,
                                                        kAnyKey, kCounterAndNonce) == 1);
    return cipher;
}

// The key stream of ChaCha20 under the entry's hash, counter and nonce zero.
void expand(std::string_view key, std::string_view value, LaneBytes &stream) {
    thread_local Bytes entry;
    entry.clear();
    append_u32_le(entry, static_cast<std::uint32_t>(key.size()));  // no key runs into its value
    entry += key;
    entry += value;
    const Bytes32 seed = tagged_hash(kEntryTag, entry);

    thread_local const Cipher cipher = new_cipher();
    static constexpr LaneBytes kZeros = {};
    int size = 0;
    CHAIN_CHECK(EVP_EncryptInit_ex(cipher.get(), nullptr, nullptr, seed.data(), kCounterAndNonce) ==
                    1 &&
                EVP_EncryptUpdate(cipher.get(), stream.data(), &size, kZeros.data(),
                                  static_cast<int>(kZeros.size())) == 1 &&
                size == static_cast<int>(stream.size()));
}

std::uint16_t lane_of(const unsigned char *bytes) {
    return static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8);
}

}  // namespace

void StateDigest::add(std::string_view key, std::string_view value) {
    LaneBytes stream;
    expand(key, value, stream);
    for (std::size_t i = 0; i < kLanes; ++i)
        lanes_[i] = static_cast<std::uint16_t>(lanes_[i] + lane_of(&stream[2 * i]));
}

void StateDigest::remove(std::string_view key, std::string_view value) {
    LaneBytes stream;
    expand(key, value, stream);
    for (std::size_t i = 0; i < kLanes; ++i)
        lanes_[i] = static_cast<std::uint16_t>(lanes_[i] - lane_of(&stream[2 * i]));
}

void StateDigest::add(const StateDigest &other) {
    for (std::size_t i = 0; i < kLanes; ++i)
        lanes_[i] = static_cast<std::uint16_t>(lanes_[i] + other.lanes_[i]);
}

Bytes StateDigest::lane_bytes() const {
    Bytes bytes;
    bytes.reserve(kLaneBytes);
    for (const std::uint16_t lane : lanes_) {
        bytes += static_cast<char>(lane);
        bytes += static_cast<char>(lane >> 8);
    }
    return bytes;
}

Bytes32 StateDigest::digest() const {
    return tagged_hash(kDigestTag, lane_bytes());
}

Result<StateDigest> StateDigest::from_lane_bytes(std::string_view bytes) {
    if (bytes.size() != kLaneBytes)
        return make_error(ErrorCode::kCorrupt, "a state digest has ", bytes.size(),
                          " bytes of lanes instead of ", kLaneBytes);
    StateDigest digest;
    for (std::size_t i = 0; i < kLanes; ++i)
        digest.lanes_[i] = lane_of(reinterpret_cast<const unsigned char *>(&bytes[2 * i]));
    return digest;
}

}  // namespace chain::ledger
