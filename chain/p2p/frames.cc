// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/frames.h"

#include <event2/buffer.h>

namespace chain::p2p {
namespace {

bool is_topic(unsigned char value) {
    switch (static_cast<wire::Topic>(value)) {
        case wire::Topic::kHello:
        case wire::Topic::kPing:
        case wire::Topic::kPong:
        case wire::Topic::kGossip:
        case wire::Topic::kSync:
        case wire::Topic::kTrade:
        case wire::Topic::kBye:
        case wire::Topic::kAddresses:
        case wire::Topic::kMeeting: return true;
    }
    return false;
}

}  // namespace

Result<std::optional<FrameView>> front_frame(evbuffer *input, std::size_t limit_bytes) {
    constexpr std::size_t kLengthBytes = 4;
    unsigned char head[kFrameHeadBytes];
    const ev_ssize_t got = evbuffer_copyout(input, head, sizeof head);
    if (got < static_cast<ev_ssize_t>(kLengthBytes)) return std::optional<FrameView>();
    const std::size_t length_bytes =
        read_u32_le({reinterpret_cast<const char *>(head), kLengthBytes});
    if (length_bytes == 0) return make_error(ErrorCode::kProtocol, "a frame without a topic");
    if (length_bytes > limit_bytes)
        return make_error(ErrorCode::kTooLarge, "a frame of ", length_bytes,
                          " bytes exceeds the limit of ", limit_bytes);
    if (got < static_cast<ev_ssize_t>(kFrameHeadBytes)) return std::optional<FrameView>();
    if (!is_topic(head[kLengthBytes]))
        return make_error(ErrorCode::kProtocol, "a frame with the unknown topic ",
                          static_cast<unsigned>(head[kLengthBytes]));
    const std::size_t frame_bytes = kLengthBytes + length_bytes;
    if (evbuffer_get_length(input) < frame_bytes) return std::optional<FrameView>();
    const unsigned char *bytes = evbuffer_pullup(input, static_cast<ev_ssize_t>(frame_bytes));
    CHAIN_CHECK(bytes != nullptr);
    return std::optional<FrameView>(
        FrameView{static_cast<wire::Topic>(head[kLengthBytes]),
                  {reinterpret_cast<const char *>(bytes) + kFrameHeadBytes, length_bytes - 1}});
}

void append_frame(evbuffer *output, wire::Topic topic, std::string_view payload) {
    CHAIN_CHECK(payload.size() < wire::kMaxPeerFrameBytes);
    Bytes head;
    append_u32_le(head, static_cast<std::uint32_t>(payload.size() + 1));
    head.push_back(static_cast<char>(topic));
    CHAIN_CHECK(evbuffer_expand(output, kFrameHeadBytes + payload.size()) == 0);
    CHAIN_CHECK(evbuffer_add(output, head.data(), head.size()) == 0);
    CHAIN_CHECK(evbuffer_add(output, payload.data(), payload.size()) == 0);
}

}  // namespace chain::p2p
