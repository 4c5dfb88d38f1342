// SPDX-License-Identifier: BSD-3-Clause
//
// BIP 340 signatures over raw messages: what keys.h builds on, and what the published vectors test.
// Thread-safe. Nobody else signs or verifies without a tag.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "chain/base/bytes.h"

namespace chain::schnorr {

// The x-only public key of `secret`; nullopt when `secret` is 0 or not below the group's order.
std::optional<Bytes32> public_key_of(const Bytes32 &secret);
// Precondition: `secret` is valid. `auxiliary` is fresh randomness against side channels.
Bytes64 sign(const Bytes32 &secret, const Bytes32 &message, const Bytes32 &auxiliary);
bool verify(const Bytes32 &public_key, std::string_view message, const Bytes64 &signature);

// A public key's point, in libsecp256k1's own form: for this process alone.
using Point = std::array<unsigned char, 64>;
// nullopt: no point has this x coordinate.
std::optional<Point> point_of(const Bytes32 &public_key);
bool verify(const Point &point, std::string_view message, const Bytes64 &signature);
// True if there is a point with this x coordinate.
bool is_public_key(const Bytes32 &public_key);

}  // namespace chain::schnorr
