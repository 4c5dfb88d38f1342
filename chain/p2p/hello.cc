// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/hello.h"

#include "chain/p2p/limits.h"
#include "chain/wire/frame.h"
#include "chain/wire/peer.pb.h"

namespace chain::p2p {
namespace {

// What is signed: fixed widths first, a field with its length, and the only other variable one
// last, so that no two Hellos give the same bytes.
Bytes signed_bytes(Role role, const Bytes32 &channel_secret, const wire::Hello &hello) {
    Bytes bytes;
    bytes.push_back(static_cast<char>(role));
    bytes += to_bytes(channel_secret);
    append_u32_le(bytes, hello.protocol_version());
    append_u32_le(bytes, hello.listen_port());
    bytes += hello.chain_id();
    bytes += hello.node_key();
    append_u32_le(bytes, static_cast<std::uint32_t>(hello.channel().size()));
    bytes += hello.channel();
    bytes += hello.software();
    return bytes;
}

}  // namespace

std::string printable(std::string_view text, std::size_t limit_bytes) {
    std::string shown(text.substr(0, limit_bytes));
    for (char &letter : shown)
        if (letter < ' ' || letter > '~') letter = '?';
    return shown;
}

Bytes make_hello(Role own_role, const Bytes32 &channel_secret, const Bytes32 &chain_id,
                 const KeyPair &node_key, std::uint16_t listen_port, std::string_view software,
                 std::string_view channel) {
    CHAIN_CHECK(channel.size() <= kMaxChannelLabelBytes);
    wire::Hello hello;
    hello.set_protocol_version(kProtocolVersion);
    hello.set_chain_id(to_bytes(chain_id));
    hello.set_node_key(to_bytes(node_key.public_key()));
    hello.set_listen_port(listen_port);
    hello.set_software(printable(software, kMaxSoftwareBytes));
    hello.set_channel(std::string(channel));
    hello.set_signature(
        to_bytes(node_key.sign(sign_tag::kChannel, signed_bytes(own_role, channel_secret, hello))));
    return hello.SerializeAsString();
}

Result<Greeting> check_hello(std::string_view payload, Role their_role,
                             const Bytes32 &channel_secret, const Bytes32 &chain_id,
                             const PublicKey &own_key, const std::optional<PublicKey> &expected) {
    wire::Hello hello;
    CHAIN_TRY(wire::parse_strict(payload, kMaxHelloFrameBytes, "the peer's Hello", hello));
    if (hello.protocol_version() != kProtocolVersion)
        return make_error(ErrorCode::kProtocol, "the peer speaks protocol version ",
                          hello.protocol_version(), ", this program version ", kProtocolVersion);
    CHAIN_ASSIGN(const Bytes32 their_chain_id, to_bytes32(hello.chain_id(), "Hello.chain_id"));
    if (their_chain_id != chain_id)
        return make_error(ErrorCode::kProtocol, "the peer belongs to another network: chain ",
                          short_hex(their_chain_id), ", ours is ", short_hex(chain_id));
    CHAIN_ASSIGN(const PublicKey key, to_bytes32(hello.node_key(), "Hello.node_key"));
    CHAIN_ASSIGN(const SignatureBytes signature, to_bytes64(hello.signature(), "Hello.signature"));
    if (hello.software().size() > kMaxSoftwareBytes || hello.listen_port() > 65535 ||
        hello.channel().size() > kMaxChannelLabelBytes)
        return make_error(ErrorCode::kProtocol, "the peer's Hello is out of bounds");
    if (key == own_key) return make_error(ErrorCode::kProtocol, "the peer is this daemon itself");
    if (!verify(sign_tag::kChannel, signed_bytes(their_role, channel_secret, hello), key,
                signature))
        return make_error(ErrorCode::kBadSignature, "the peer does not hold key ", short_hex(key),
                          ", or somebody stands between: its signature is not over this channel");
    if (expected && key != *expected)
        return make_error(ErrorCode::kProtocol, "the peer has key ", short_hex(key),
                          ", expected was ", short_hex(*expected));
    return Greeting{key, printable(hello.software(), kMaxSoftwareBytes),
                    static_cast<std::uint16_t>(hello.listen_port()), hello.channel()};
}

}  // namespace chain::p2p
