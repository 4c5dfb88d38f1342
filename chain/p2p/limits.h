// SPDX-License-Identifier: BSD-3-Clause
//
// What a stranger can make grow in chain/p2p, and where each of these ends. docs/peer_protocol.md
// explains them to people.
#pragma once

#include <cstddef>
#include <cstdint>

namespace chain::p2p {

inline constexpr std::uint32_t kProtocolVersion = 1;

// A Hello takes about 180 bytes: all that is read from somebody who has not proved a key.
inline constexpr std::size_t kMaxHelloFrameBytes = 512;
inline constexpr std::size_t kMaxSoftwareBytes = 64;
inline constexpr std::size_t kMaxPingBytes = 16;
inline constexpr std::size_t kMaxByeBytes = 256;
inline constexpr int kMaxCertificateBytes = 4096;
// Inbound connections that have not finished the handshake; more are closed unread.
inline constexpr std::size_t kHandshakesMax = 64;

// Token buckets of a peer. Above them reading pauses: staging in 256 KiB chunks at 1 GiB/s takes
// 4096 frames a second, so that only floods of small frames feel them.
inline constexpr std::uint64_t kReceivedFramesPerSecond = 20'000;
inline constexpr std::uint64_t kReceivedFramesBurst = 40'000;
inline constexpr std::uint64_t kReceivedBytesPerSecond = 2ULL << 30;
inline constexpr std::uint64_t kReceivedBytesBurst = 1ULL << 30;

// What libevent moves in one go: large enough that a TLS record is never cut.
inline constexpr std::size_t kSocketBatchBytes = 256u << 10;

// How long an ended session may take to hand over its Bye.
inline constexpr std::uint64_t kLingerMs = 1000;

// Pauses of keep_connected: doubled from the first to the last, each drawn from its upper half.
inline constexpr std::uint64_t kBackoffFirstMs = 200;
inline constexpr std::uint64_t kBackoffLastMs = 10'000;
// A session that lasted so long counts as good: the pauses start again from the first.
inline constexpr std::uint64_t kGoodSessionMs = 5000;
// No file descriptor left: listening rests for so long.
inline constexpr std::uint64_t kAcceptPauseMs = 200;

}  // namespace chain::p2p
