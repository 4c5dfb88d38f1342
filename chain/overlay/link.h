// SPDX-License-Identifier: BSD-3-Clause
//
// Link: packets over one channel. On it, each packet is {u32 length, little-endian; packet}; a
// length of 0 asks whether the other side is there, kHereMark answers.
//
// Owner: the engine's thread. Limits: kPacketBytesMax a packet, kLinkQueueBytesMax that wait to be
// sent; a packet that finds no room is lost, as on any line.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "chain/base/round_trip.h"
#include "chain/p2p/channel.h"

namespace chain::overlay {

inline constexpr std::size_t kLengthBytes = 4;
// More than what one TCP connection of Linux has under way by default.
inline constexpr std::size_t kLinkQueueBytesMax = 8u << 20;
inline constexpr std::size_t kLinkReadBytes = 128u << 10;
inline constexpr std::uint32_t kHereMark = UINT32_MAX;  // in place of a length

class Link {
public:
    explicit Link(p2p::Channel channel);

    int fd() const { return channel_.fd(); }

    // `room`: kLengthBytes that may be written to, and behind them the packet. False: it was lost.
    // Errors: kPeerLost, as of the others.
    Result<bool> send(char *room, std::size_t packet_bytes);
    // Asks, unless an answer is still to come.
    Status ping();
    // Of pings: also that the other side has taken the channel, and answers.
    const RoundTrip &round_trip() const { return round_trip_; }
    // Once the socket takes bytes again.
    Status flush();
    bool has_queue() const { return sent_to_ < queue_.size(); }
    std::size_t queued_bytes() const { return queue_.size() - sent_to_; }

    // Hands out every packet that is there; false: there was nothing, not even a ping. Errors: also
    // kProtocol. `input`, of kLinkReadBytes, is worked in: of a link that waits no memory is held.
    // The packet is good until the call returns, and stands behind kLengthBytes that may be written
    // to.
    Result<bool> receive(std::span<char> input,
                         const std::function<void(char *room, std::size_t packet_bytes)> &take);

private:
    Status mark(std::uint32_t length);

    Bytes queue_;
    std::size_t sent_to_ = 0;  // of the queue
    Bytes rest_;               // a packet whose end has not come
    RoundTrip round_trip_;
    p2p::Channel channel_;
};

}  // namespace chain::overlay
