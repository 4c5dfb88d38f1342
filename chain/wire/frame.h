// SPDX-License-Identifier: BSD-3-Clause
//
// Frames, limits, and strict parsing of what came from outside.
#pragma once

#include <cstdint>
#include <string_view>

#include <google/protobuf/message_lite.h>

#include "chain/base/bytes.h"

namespace google::protobuf {
class Message;
}

namespace chain::wire {

// Frames between daemons: {u32 length LE, counting topic and payload; u8 topic; payload}.
enum class Topic : std::uint8_t {
    kHello = 1,
    kPing = 2,
    kPong = 3,
    kGossip = 4,
    kSync = 5,
    kTrade = 6,
    kBye = 7,  // why the sender ends the session, as text
    kAddresses = 8,
    kMeeting = 9  // how peers that cannot be dialled are reached
};

inline constexpr std::size_t kMaxPeerFrameBytes = 2u << 20;
inline constexpr std::size_t kMaxControlFrameBytes = 4u << 20;
inline constexpr std::size_t kMaxTxBytes = 64u << 10;
inline constexpr std::size_t kMaxBlockBytes = 1u << 20;
inline constexpr std::size_t kMaxOfferBytes = 4u << 10;
inline constexpr std::size_t kMaxVoucherBytes = 512;
inline constexpr std::size_t kStageChunkBytes = 256u << 10;
inline constexpr std::size_t kStreamPieceBytes = 64u << 10;
inline constexpr std::size_t kStreamWindowBytes = 1u << 20;  // sent and not taken yet
inline constexpr std::size_t kMaxHostNameBytes = 63;

// Parses `bytes` into `message`: rejects more than `limit_bytes`, malformed input and unknown
// fields at any depth (a hash would cover bytes that nobody reads).
// Errors: kTooLarge, kProtocol; `what` names the message.
Status parse_strict(std::string_view bytes, std::size_t limit_bytes, std::string_view what,
                    google::protobuf::Message &message);

// Host names of leased nodes: letters, digits, '-' inside, 1..63. They reach host lists and logs.
bool is_valid_host_name(std::string_view host);

}  // namespace chain::wire
