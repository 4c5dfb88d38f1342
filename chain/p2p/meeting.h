// SPDX-License-Identifier: BSD-3-Clause
//
// Meetings: how a node key is reached that cannot be dialled (docs/peer_protocol.md). The seeker
// asks peers of its own for one that has a session with the sought, and has it arrange a meeting:
// the sought calls back if the seeker can be called, and else both connect to the meeting point,
// whose relay splices them. Either way the seeker is the TLS client, and the sought the server.
//
// MeetingNetwork is what the three roles (seeker.h, meeting_point.h, sought.h) need of their
// network. Owner of all: the loop's thread.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "chain/base/file.h"
#include "chain/identity/keys.h"
#include "chain/p2p/peer_address.h"
#include "chain/wire/meeting.pb.h"

namespace chain::p2p {

// A connected socket on which somebody waits; the preamble has been said.
struct MetSocket {
    FileDescriptor socket;
    PeerAddress remote{};            // its other end; of no meaning where there is a relay
    std::string address;             // for people
    std::optional<PublicKey> relay;  // whose
};

class MeetingNetwork {
public:
    virtual ~MeetingNetwork() = default;
    // Errors: kPeerLost, kTooLarge.
    virtual Status send_meeting(const PublicKey &peer, const wire::MeetingMessage &message) = 0;
    // Peers with a session to whom a further connection can be made, and where.
    virtual std::vector<PublicKey> meeting_points() const = 0;
    virtual std::optional<PeerAddress> reached_at(const PublicKey &peer) const = 0;
    // From where the session with this peer comes, unless that is a relay.
    virtual std::optional<PeerAddress> seen_at(const PublicKey &peer) const = 0;
    // At which others than peers could connect to this node; 0: nowhere.
    virtual std::uint16_t call_port() const = 0;
    virtual bool relays() const = 0;
    // The TLS server's side of a connection with `seeker`. `done`: whether the seeker proved its
    // key there; from the loop.
    virtual void serve(MetSocket met, const PublicKey &seeker, std::function<void(bool)> done) = 0;
};

// Keys and tokens have their length, and texts theirs. Errors: kProtocol, kTooLarge.
Result<wire::MeetingMessage> parse_meeting_message(std::string_view payload);

// Of fields that parse_meeting_message has checked.
PublicKey key_of(const std::string &field);

}  // namespace chain::p2p
