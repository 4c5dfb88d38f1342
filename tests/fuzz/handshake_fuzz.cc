// SPDX-License-Identifier: BSD-3-Clause
//
// Hello: what a stranger says of itself before anything else is taken from it. It proves a key for
// one channel and one direction, and no change of it does.
#include "chain/p2p/hello.h"

#include "chain/p2p/limits.h"
#include "chain/wire/frame.h"
#include "chain/wire/peer.pb.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/world.h"

namespace chain::fuzz {
namespace {

struct Channel {
    p2p::Role their_role = p2p::Role::kClient;
    Bytes32 secret{};
    std::optional<PublicKey> expected;
};

Result<p2p::Greeting> check(std::string_view payload, const Channel &channel) {
    static const Bytes32 chain_id = tagged_hash("ompi-chain/fuzz", "chain");
    static const PublicKey own = numbered_key(0).public_key();
    return p2p::check_hello(payload, channel.their_role, channel.secret, chain_id, own,
                            channel.expected);
}

Bytes make(unsigned key, const Channel &channel, std::uint16_t port, std::string_view software) {
    static const Bytes32 chain_id = tagged_hash("ompi-chain/fuzz", "chain");
    static const std::vector<KeyPair> keys = [] {
        std::vector<KeyPair> made;
        for (unsigned i = 0; i < kAccounts; ++i) made.push_back(numbered_key(i));
        return made;
    }();
    return p2p::make_hello(channel.their_role, channel.secret, chain_id, keys[key % kAccounts],
                           port, software);
}

void check_bounds(const p2p::Greeting &greeting) {
    CHAIN_CHECK(greeting.software.size() <= p2p::kMaxSoftwareBytes);
    CHAIN_CHECK(p2p::printable(greeting.software, p2p::kMaxSoftwareBytes) == greeting.software);
}

// It holds for nothing but the channel and the direction that it was signed for.
void check_bound_to_channel(std::string_view payload, const Channel &channel) {
    Channel reflected = channel;
    reflected.their_role =
        channel.their_role == p2p::Role::kClient ? p2p::Role::kServer : p2p::Role::kClient;
    CHAIN_CHECK(!check(payload, reflected).ok());
    Channel relayed = channel;
    relayed.secret[0] ^= 1;
    CHAIN_CHECK(!check(payload, relayed).ok());
    Channel other = channel;
    other.expected = numbered_key(kSealer).public_key();
    CHAIN_CHECK(!check(payload, other).ok());
}

void offer(std::string_view payload, const Channel &channel) {
    const auto greeting = check(payload, channel);
    if (greeting.ok()) {
        check_bounds(*greeting);
        check_bound_to_channel(payload, channel);
    } else {
        CHAIN_CHECK(is_one_of(greeting.error(), {ErrorCode::kProtocol, ErrorCode::kBadSignature,
                                                 ErrorCode::kTooLarge}));
    }
}

// A right one, and then changed: what is accepted all the same says the same.
void offer_changed(Choices &choices, const Channel &channel) {
    const unsigned key = choices.byte() % kAccounts;
    const auto port = static_cast<std::uint16_t>(choices.number(2));
    const Bytes software = choices.bytes(choices.byte() % 80);
    const Bytes right = make(key, channel, port, software);
    const auto greeting = check(right, channel);
    const bool is_expected =
        !channel.expected || numbered_key(key).public_key() == channel.expected;
    CHAIN_CHECK(greeting.ok() == (key != 0 && is_expected));
    if (greeting.ok()) CHAIN_CHECK(greeting->listen_port == port);
    wire::Hello hello;
    CHAIN_CHECK(hello.ParseFromString(right));
    wire::Hello other;
    Hints hints;
    hints.names = {hello.node_key(), hello.chain_id(), hello.signature(),
                   to_bytes(numbered_key(2).public_key())};
    fill(other, choices, hints);
    std::vector<const google::protobuf::FieldDescriptor *> fields;
    other.GetReflection()->ListFields(other, &fields);
    for (const auto *field : fields)
        if (choices.one_in(4)) hello.GetReflection()->SwapFields(&hello, &other, {field});
    Bytes changed = hello.SerializePartialAsString();
    if (choices.one_in(4) && !changed.empty())
        changed[choices.number(2) % changed.size()] ^= static_cast<char>(1 + choices.byte() % 255);
    if (!greeting.ok()) return offer(changed, channel);
    const auto still = check(changed, channel);
    if (still.ok()) {
        CHAIN_CHECK(still->node_key == greeting->node_key &&
                    still->software == greeting->software &&
                    still->listen_port == greeting->listen_port);
    }
    offer(changed, channel);
}

}  // namespace

CHAIN_FUZZ_TARGET(handshake) {
    Choices choices(input);
    const unsigned mode = choices.byte();
    Channel channel;
    if (mode % 2 == 1) channel.their_role = p2p::Role::kServer;
    if (mode / 2 % 4 == 3) channel.expected = numbered_key(2).public_key();
    channel.secret[1] = static_cast<std::uint8_t>(mode / 8 % 2);
    if (mode >= 128)
        offer(choices.rest(), channel);
    else
        offer_changed(choices, channel);
}

}  // namespace chain::fuzz
