// SPDX-License-Identifier: BSD-3-Clause
//
// Meetings: this node's three roles in them, and the relay, behind one door.
//
// Owner: the loop's thread.
#pragma once

#include "chain/p2p/caller.h"
#include "chain/p2p/meeting_point.h"
#include "chain/p2p/seeker.h"
#include "chain/p2p/sought.h"

namespace chain::p2p {

class Meetings {
public:
    Meetings(Loop &loop, const Clock &clock, MeetingNetwork &network, const RelayOptions &options,
             RelayPolicy &policy);

    // A frame of topic Meeting. An error is a violation, and the session is to be ended with it.
    Status received(const PublicKey &peer, std::string_view payload);
    void peer_came(const PublicKey &peer) { sought_.peer_came(peer); }
    void peer_gone(const PublicKey &peer);
    // A connection that began with this token; closed if nobody waits for it.
    void take(const Bytes32 &token, MetSocket met);

    Seeker &seeker() { return seeker_; }
    Sought &sought() { return sought_; }

private:
    RelayPolicy &policy_;
    Caller caller_;
    Relay relay_;
    Seeker seeker_;
    MeetingPoint point_;
    Sought sought_;
};

}  // namespace chain::p2p
