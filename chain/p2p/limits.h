// SPDX-License-Identifier: BSD-3-Clause
//
// What a stranger can make grow in chain/p2p, and where each of these ends. docs/peer_protocol.md
// explains them to people.
#pragma once

#include <cstddef>
#include <cstdint>

namespace chain::p2p {

inline constexpr std::uint32_t kProtocolVersion = 4;

// A Hello takes about 180 bytes: all that is read from somebody who has not proved a key.
inline constexpr std::size_t kMaxHelloFrameBytes = 512;
inline constexpr std::size_t kMaxSoftwareBytes = 64;
inline constexpr std::size_t kMaxChannelLabelBytes = 64;
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
// Peers that broke the protocol: for how long nothing is had to do with their hosts, and how many
// hosts are remembered.
inline constexpr std::uint64_t kDiscourageMs = 24ULL * 3600 * 1000;
inline constexpr std::size_t kDiscouragedMax = 4096;
// A session over which we said something about a lease so lately is not ended to make room.
inline constexpr std::uint64_t kTradeHoldsMs = 60'000;
// One that is not of any lease is pinged so many times less often, and given up so much later.
inline constexpr std::uint64_t kCalmFactor = 5;

// The address book: 9216 addresses, of which one network group holds at most 64 tried ones, and one
// group of tellers fills at most a 32nd of the new ones.
inline constexpr std::size_t kBucketAddresses = 16;
inline constexpr std::uint32_t kTriedBuckets = 64;
inline constexpr std::uint32_t kTriedBucketsPerGroup = 4;
inline constexpr std::uint32_t kNewBuckets = 512;
inline constexpr std::uint32_t kNewBucketsPerSource = 16;
inline constexpr std::uint32_t kNewBucketsPerGroupOfSource = 4;
inline constexpr std::size_t kMaxAddressBookBytes = 2u << 20;
inline constexpr std::uint64_t kAddressBookSaveMs = 60'000;
// An address of which nobody spoke for so long, or which did not answer so often, makes room.
inline constexpr std::uint64_t kAddressStaleMs = 30ULL * 24 * 3600 * 1000;
inline constexpr std::uint32_t kNewFailuresMax = 3;
// One that has answered before is forgotten after more failures, and a longer time.
inline constexpr std::uint32_t kTriedFailuresMax = 10;
inline constexpr std::uint64_t kTriedKeptMs = 7ULL * 24 * 3600 * 1000;
// Pause before an address is tried again: after a session that stood, and after none, doubled with
// each failure, so many times at most.
inline constexpr std::uint64_t kAddressAgainMs = 1'000;
inline constexpr std::uint64_t kAddressRetryMs = 10'000;
inline constexpr std::uint32_t kAddressRetryDoublings = 9;

// What daemons tell each other of addresses.
inline constexpr std::size_t kMaxAnswerAddresses = 250;
inline constexpr std::size_t kMaxAddressMessageBytes = 8u << 10;
inline constexpr std::size_t kAnnouncePassedOnTo = 2;
inline constexpr std::uint64_t kAnnouncesBurst = 8;        // taken from one peer at once
inline constexpr std::uint64_t kAnnounceEveryMs = 10'000;  // and in the long run
inline constexpr std::uint64_t kAnnounceOwnMs = 24ULL * 3600 * 1000;

// Who dials on its own: the pause between two dials, how many are under way, and how long it rests
// when there was nobody to dial.
inline constexpr std::uint64_t kDialPauseMs = 200;
inline constexpr std::size_t kDialsAtOnce = 2;
inline constexpr std::uint64_t kDialRestMs = 5'000;
// So many dials in a row without a session, and a seed is tried before the book again.
inline constexpr std::size_t kMissesBeforeSeed = 8;
inline constexpr std::uint64_t kSeedPauseFirstMs = 1'000;
inline constexpr std::uint64_t kSeedPauseLastMs = 600'000;
// Addresses found on the local network that wait to be dialled.
inline constexpr std::size_t kFoundMax = 16;

// The local network: the frame of an Ethernet, records of one packet, packets that are read (of a
// stranger's worst ones each takes milliseconds), interfaces, addresses found in a minute.
inline constexpr std::size_t kMaxLanPacketBytes = 1500;
inline constexpr std::size_t kMaxLanRecords = 32;
inline constexpr std::uint64_t kLanPacketsPerSecond = 20;
inline constexpr std::uint64_t kLanPacketsBurst = 60;
inline constexpr std::size_t kLanInterfacesMax = 8;
inline constexpr std::size_t kLanFoundPerMinute = 16;
inline constexpr std::uint64_t kLanQueryMs = 60'000;
inline constexpr std::uint64_t kLanAnswerEveryMs = 1'000;

// A port of the router: for how long it is asked for, how long an answer may take, when to ask
// again after none, and how often at most, whatever lifetime the router gives.
inline constexpr std::uint32_t kMappingLifetimeS = 3600;
inline constexpr std::uint64_t kMappingAnswerMs = 2'000;
inline constexpr std::uint64_t kMappingRetryMs = 300'000;
inline constexpr std::uint64_t kMappingPauseMinMs = 10'000;

// Meetings, by role. The seeker: how many it asks about one peer, how many searches at once, what
// a direct dial has as a head start, how long answers may take, and when a peer that was not to be
// met is sought again.
inline constexpr std::size_t kMaxMeetingMessageBytes = 512;
inline constexpr std::size_t kMeetingPointsMax = 64;
inline constexpr std::size_t kSearchesMax = 128;
inline constexpr std::uint64_t kMeetingHeadStartMs = 500;
inline constexpr unsigned kMeetingHeadStarts = 4;  // so many, where something has answered
inline constexpr std::uint64_t kFoundWaitMs = 1'500;
inline constexpr std::uint64_t kArrangedWaitMs = 3'000;
inline constexpr std::uint64_t kSearchAgainMs = 1'000;
// Until a payment for a relay is on the ledger.
inline constexpr std::uint64_t kPaymentWaitMs = 20'000;
inline constexpr std::size_t kVainSearchesMax = 1'024;  // remembered
// For the sought to call back, before both go by the relay.
inline constexpr std::uint64_t kCallBackMs = 1'000;
// A session through a relay over which the seeker said nothing about a lease for so long is ended:
// it takes a place, and may cost money. Longer than a renter waits for results.
inline constexpr std::uint64_t kRelayedIdleMs = 40 * 60'000;
// The meeting point: questions of one peer, meetings of one peer with another, meetings and pairs
// that are remembered.
inline constexpr std::uint64_t kMeetingQuestionsPerSecond = 16;
inline constexpr std::uint64_t kMeetingQuestionsBurst = 256;
inline constexpr std::uint64_t kMeetingsOfPairBurst = 8;
inline constexpr std::uint64_t kMeetingsOfPairEveryMs = 2'000;
inline constexpr std::size_t kMeetingsRememberedMax = 1'024;
inline constexpr std::size_t kMeetingPairsMax = 4'096;
// The sought: invitations of one meeting point, and of all that are being answered.
inline constexpr std::uint64_t kInvitationsPerSecond = 8;
inline constexpr std::uint64_t kInvitationsBurst = 64;
inline constexpr std::size_t kInvitationsMax = 64;
// Relays: until when both sides must have come, what waits to be sent to one side, and how long
// the rest may take when the other side is gone.
inline constexpr std::uint64_t kRelayTokenMs = 10'000;
inline constexpr std::size_t kRelayQueueBytes = 128u << 10;
inline constexpr std::size_t kRelayBatchBytes = 64u << 10;

// No file descriptor left: listening rests for so long.
inline constexpr std::uint64_t kAcceptPauseMs = 200;

}  // namespace chain::p2p
