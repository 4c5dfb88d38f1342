// SPDX-License-Identifier: BSD-3-Clause
//
// Hello: the first frame of each side. Its signature covers the role, the TLS exporter and every
// other field, so that it holds for this channel and this direction only: no reflection (roles
// differ), no relay through somebody's two TLS sessions (exporters differ).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "chain/identity/keys.h"

namespace chain::p2p {

enum class Role : std::uint8_t { kClient = 1, kServer = 2 };  // who dialled is the client

struct Greeting {
    PublicKey node_key{};
    std::string software;
    std::uint16_t listen_port = 0;
    Bytes channel;  // what the connection is for; empty: a session
};

// A serialised wire::Hello. Longer `software` is cut to kMaxSoftwareBytes. `channel`: at most
// kMaxChannelLabelBytes.
Bytes make_hello(Role own_role, const Bytes32 &channel_secret, const Bytes32 &chain_id,
                 const KeyPair &node_key, std::uint16_t listen_port, std::string_view software,
                 std::string_view channel = {});

// What the other side, whose role is `their_role`, says of itself. Errors: kProtocol (malformed,
// another protocol version, another network, `expected` key does not match, ourselves),
// kBadSignature (not signed over this channel), kTooLarge.
Result<Greeting> check_hello(std::string_view payload, Role their_role,
                             const Bytes32 &channel_secret, const Bytes32 &chain_id,
                             const PublicKey &own_key, const std::optional<PublicKey> &expected);

// `text` fit for logs and tables: what is not printable ASCII becomes '?', cut to `limit_bytes`.
std::string printable(std::string_view text, std::size_t limit_bytes);

}  // namespace chain::p2p
