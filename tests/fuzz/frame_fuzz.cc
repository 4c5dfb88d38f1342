// SPDX-License-Identifier: BSD-3-Clause
//
// What comes over a session: bytes cut into frames wherever the network cuts them, and the payload
// of each frame as the message that its topic says.
#include <memory>

#include <event2/buffer.h>

#include "chain/p2p/address_exchange.h"
#include "chain/p2p/frames.h"
#include "chain/p2p/limits.h"
#include "chain/p2p/meeting.h"
#include "chain/wire/peer.pb.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/target.h"

namespace chain::fuzz {
namespace {

struct Free {
    void operator()(evbuffer *buffer) const { evbuffer_free(buffer); }
};
using Buffer = std::unique_ptr<evbuffer, Free>;

Buffer new_buffer() {
    Buffer buffer(evbuffer_new());
    CHAIN_CHECK(buffer != nullptr);
    return buffer;
}

Bytes all_of(evbuffer *buffer) {
    Bytes bytes(evbuffer_get_length(buffer), '\0');
    CHAIN_CHECK(evbuffer_copyout(buffer, bytes.data(), bytes.size()) ==
                static_cast<ev_ssize_t>(bytes.size()));
    return bytes;
}

// What is accepted has no field that is unknown, so it means the same when it is written anew.
template <class Message>
void check_message(std::string_view payload) {
    Message message;
    const Status parsed = wire::parse_strict(payload, wire::kMaxPeerFrameBytes, "message", message);
    if (!parsed.ok()) {
        CHAIN_CHECK(is_one_of(parsed.error(), {ErrorCode::kTooLarge, ErrorCode::kProtocol}));
        return;
    }
    Message again;
    CHAIN_CHECK(
        wire::parse_strict(message.SerializeAsString(), wire::kMaxPeerFrameBytes, "message", again)
            .ok());
    CHAIN_CHECK(again.SerializeAsString() == message.SerializeAsString());
}

void check_addresses(std::string_view payload) {
    const auto message = p2p::parse_address_message(payload);
    if (!message.ok()) {
        CHAIN_CHECK(is_one_of(message.error(), {ErrorCode::kTooLarge, ErrorCode::kProtocol}));
        return;
    }
    const Bytes written = p2p::format_address_message(*message);
    const auto again = p2p::parse_address_message(written);
    CHAIN_CHECK(again.ok() && again->index() == message->index());
    CHAIN_CHECK(p2p::format_address_message(*again) == written);
    if (const auto *answer = std::get_if<p2p::AddressesAnswered>(&*message))
        CHAIN_CHECK(answer->addresses.size() <= p2p::kMaxAnswerAddresses);
}

// What is accepted can be written anew, and its keys and tokens be used without another look.
void check_meeting(std::string_view payload) {
    const auto message = p2p::parse_meeting_message(payload);
    if (!message.ok()) {
        CHAIN_CHECK(is_one_of(message.error(), {ErrorCode::kTooLarge, ErrorCode::kProtocol}));
        return;
    }
    const Bytes written = message->SerializeAsString();
    CHAIN_CHECK(written.size() <= p2p::kMaxMeetingMessageBytes);
    const auto again = p2p::parse_meeting_message(written);
    CHAIN_CHECK(again.ok() && again->SerializeAsString() == written);
    if (message->has_meet())
        CHAIN_CHECK(message->meet().meeting().size() == sizeof(Bytes32) &&
                    message->meet().node_key().size() == sizeof(PublicKey));
}

void check_payload(wire::Topic topic, std::string_view payload) {
    switch (topic) {
        case wire::Topic::kGossip: check_message<wire::Gossip>(payload); return;
        case wire::Topic::kSync: check_message<wire::SyncMessage>(payload); return;
        case wire::Topic::kTrade: check_message<wire::TradeMessage>(payload); return;
        case wire::Topic::kAddresses: check_addresses(payload); return;
        case wire::Topic::kMeeting: check_meeting(payload); return;
        case wire::Topic::kHello:
        case wire::Topic::kPing:
        case wire::Topic::kPong:
        case wire::Topic::kBye: return;
    }
    CHAIN_CHECK(false && "a topic that is none");
}

}  // namespace

// {u8 limit; u8 size of the pieces; bytes of the session}
CHAIN_FUZZ_TARGET(frame) {
    Choices choices(input);
    const std::size_t limit_bytes =
        choices.byte() % 2 == 0 ? p2p::kMaxHelloFrameBytes : wire::kMaxPeerFrameBytes;
    const std::size_t piece_bytes = 1 + choices.byte();
    const Buffer session = new_buffer();
    for (std::string_view left = choices.rest(); !left.empty();) {
        const std::string_view piece = left.substr(0, piece_bytes);
        left.remove_prefix(piece.size());
        CHAIN_CHECK(evbuffer_add(session.get(), piece.data(), piece.size()) == 0);
        for (;;) {
            const Bytes before = all_of(session.get());
            const auto front = p2p::front_frame(session.get(), limit_bytes);
            CHAIN_CHECK(all_of(session.get()) == before);
            if (!front.ok()) {
                CHAIN_CHECK(is_one_of(front.error(), {ErrorCode::kProtocol, ErrorCode::kTooLarge}));
                return;  // the session ends
            }
            if (!*front) {
                CHAIN_CHECK(before.size() < wire::kMaxPeerFrameBytes + p2p::kFrameHeadBytes);
                break;
            }
            const p2p::FrameView &frame = **front;
            CHAIN_CHECK(frame.payload.size() < limit_bytes);
            CHAIN_CHECK(frame.size_bytes() <= before.size());
            const Buffer written = new_buffer();
            p2p::append_frame(written.get(), frame.topic, frame.payload);
            CHAIN_CHECK(all_of(written.get()) == before.substr(0, frame.size_bytes()));
            check_payload(frame.topic, frame.payload);
            CHAIN_CHECK(evbuffer_drain(session.get(), frame.size_bytes()) == 0);
        }
    }
}

}  // namespace chain::fuzz
