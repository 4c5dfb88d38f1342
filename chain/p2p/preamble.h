// SPDX-License-Identifier: BSD-3-Clause
//
// Preamble: what a connection that somebody waits for begins with, in the clear, before TLS: eight
// bytes that no TLS record begins with, and a token that was told over a session. Who sends it
// comes back to a peer that asked for it, or is to be spliced with another connection.
#pragma once

#include <algorithm>
#include <string_view>

#include "chain/base/bytes.h"

namespace chain::p2p {

inline constexpr std::string_view kPreambleMagic = "ompimeet";
inline constexpr std::size_t kPreambleBytes = kPreambleMagic.size() + sizeof(Bytes32);

inline Bytes format_preamble(const Bytes32 &token) {
    return Bytes(kPreambleMagic) + to_bytes(token);
}

// Whether what was read so far may become one.
inline bool may_be_preamble(std::string_view bytes) {
    const std::size_t common = std::min(bytes.size(), kPreambleMagic.size());
    return bytes.substr(0, common) == kPreambleMagic.substr(0, common);
}

// Precondition: kPreambleBytes that may_be_preamble().
inline Bytes32 token_of(std::string_view preamble) {
    return to_bytes32(preamble.substr(kPreambleMagic.size()), "token").value();
}

inline Bytes32 new_token() {
    Bytes32 token;
    fill_random(token.data(), token.size());
    return token;
}

}  // namespace chain::p2p
