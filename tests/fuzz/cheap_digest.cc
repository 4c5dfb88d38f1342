// SPDX-License-Identifier: BSD-3-Clause
//
// Stands in for chain/ledger/state_digest.cc in the programs of libFuzzer: as homomorphic, but only
// the first 16 lanes count. The real one spends most of a run on its 1024 lanes.
#include "chain/ledger/state_digest.h"

namespace chain::ledger {
namespace {

Bytes32 seed_of(std::string_view key, std::string_view value) {
    Bytes entry;
    append_u32_le(entry, static_cast<std::uint32_t>(key.size()));
    entry += key;
    entry += value;
    return tagged_hash("ompi-chain/fuzz-digest", entry);
}

std::uint16_t lane_of(const Bytes32 &seed, std::size_t lane) {
    return static_cast<std::uint16_t>(seed[2 * lane] | seed[2 * lane + 1] << 8);
}

constexpr std::size_t kLanesInUse = sizeof(Bytes32) / sizeof(std::uint16_t);

}  // namespace

void StateDigest::add(std::string_view key, std::string_view value) {
    const Bytes32 seed = seed_of(key, value);
    for (std::size_t i = 0; i < kLanesInUse; ++i)
        lanes_[i] = static_cast<std::uint16_t>(lanes_[i] + lane_of(seed, i));
}

void StateDigest::remove(std::string_view key, std::string_view value) {
    const Bytes32 seed = seed_of(key, value);
    for (std::size_t i = 0; i < kLanesInUse; ++i)
        lanes_[i] = static_cast<std::uint16_t>(lanes_[i] - lane_of(seed, i));
}

void StateDigest::add(const StateDigest &other) {
    for (std::size_t i = 0; i < kLanesInUse; ++i)
        lanes_[i] = static_cast<std::uint16_t>(lanes_[i] + other.lanes_[i]);
}

Bytes32 StateDigest::digest() const {
    Bytes32 bytes{};
    for (std::size_t i = 0; i < kLanesInUse; ++i) {
        bytes[2 * i] = static_cast<std::uint8_t>(lanes_[i]);
        bytes[2 * i + 1] = static_cast<std::uint8_t>(lanes_[i] >> 8);
    }
    return bytes;
}

Bytes StateDigest::lane_bytes() const {
    Bytes bytes = to_bytes(digest());
    bytes.resize(kLaneBytes, '\0');
    return bytes;
}

Result<StateDigest> StateDigest::from_lane_bytes(std::string_view bytes) {
    if (bytes.size() != kLaneBytes)
        return make_error(ErrorCode::kCorrupt, "a state digest of a wrong length");
    StateDigest digest;
    for (std::size_t i = 0; i < kLanesInUse; ++i)
        digest.lanes_[i] =
            static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[2 * i]) |
                                       static_cast<unsigned char>(bytes[2 * i + 1]) << 8);
    return digest;
}

}  // namespace chain::ledger
