// SPDX-License-Identifier: BSD-3-Clause
//
// Frames in libevent's buffers: {u32 length LE, counting topic and payload; u8 topic; payload}.
// Lengths are judged before anything is allocated for them.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "chain/base/result.h"
#include "chain/wire/frame.h"

struct evbuffer;

namespace chain::p2p {

inline constexpr std::size_t kFrameHeadBytes = 5;

struct FrameView {
    wire::Topic topic;
    std::string_view payload;  // into the buffer: valid until it is changed
    std::size_t size_bytes() const { return kFrameHeadBytes + payload.size(); }
};

// The frame at the front of `input`, which stays there (drain size_bytes() when done with it), or
// nothing while it is incomplete. `limit_bytes` bounds topic and payload.
// Errors: kProtocol (no topic in it, or one that does not exist), kTooLarge.
Result<std::optional<FrameView>> front_frame(evbuffer *input, std::size_t limit_bytes);

// Precondition: payload.size() < kMaxPeerFrameBytes. Copies the payload once.
void append_frame(evbuffer *output, wire::Topic topic, std::string_view payload);

}  // namespace chain::p2p
