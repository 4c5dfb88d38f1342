// SPDX-License-Identifier: BSD-3-Clause
//
// MeetingPoint: arranges meetings between peers that have a session with this node: tells the
// sought of the seeker, and grants both a relay where they want one and this node carries.
//
// Only who is willing is told of anybody, and only that a seeker can be called at the host from
// which its session comes: nobody can be made to dial a third one.
//
// Owner: the loop's thread. Limits: the questions of one peer (kMeetingQuestions*), meetings of one
// peer with another (kMeetingsOfPair*), and what is remembered of both. Beyond them meetings are
// declined, and questions not answered.
#pragma once

#include <map>
#include <set>

#include "chain/base/clock.h"
#include "chain/p2p/meeting.h"
#include "chain/p2p/relay.h"
#include "chain/p2p/token_bucket.h"

namespace chain::p2p {

class MeetingPoint {
public:
    MeetingPoint(const Clock &clock, MeetingNetwork &network, Relay &relay, RelayPolicy &policy)
        : clock_(clock), network_(network), relay_(relay), policy_(policy) {}

    void take_willing(const PublicKey &peer, const wire::Willing &willing);
    void take_seek(const PublicKey &seeker, const wire::Seek &seek);
    void take_meet(const PublicKey &seeker, const wire::Meet &meet);
    // Of the sought.
    void take_declined(const PublicKey &sought, const wire::Declined &declined);
    void peer_gone(const PublicKey &peer);

private:
    struct Arrangement {
        PublicKey seeker{};
        PublicKey sought{};
        std::uint64_t relay = 0;     // number of the grant; 0: none
        std::uint64_t until_ms = 0;  // steady
    };
    bool is_here(const PublicKey &sought, const PublicKey &seeker) const;
    bool may_ask(const PublicKey &seeker);
    bool may_meet(const PublicKey &seeker, const PublicKey &sought);
    // Errors: kRefused, with a reason for the seeker.
    Result<wire::Arranged> arrange(const PublicKey &seeker, const wire::Meet &meet);

    const Clock &clock_;
    MeetingNetwork &network_;
    Relay &relay_;
    RelayPolicy &policy_;
    std::set<PublicKey> willing_;
    std::map<PublicKey, TokenBucket> questions_;
    std::map<std::pair<PublicKey, PublicKey>, std::uint64_t> pairs_paid_ms_;  // steady
    std::map<Bytes32, Arrangement> arrangements_;
};

}  // namespace chain::p2p
