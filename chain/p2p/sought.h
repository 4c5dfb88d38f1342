// SPDX-License-Identifier: BSD-3-Clause
//
// Sought: answers who seeks this node: calls it back where that can be, and else comes to the
// meeting point's relay.
//
// Dials only the meeting point, with whom a session stands, and public addresses: a stranger must
// not make this node knock at doors of its own network. Loopback ones too, where the meeting point
// is on loopback itself.
//
// Owner: the loop's thread. Limits: kInvitationsMax that are being answered, kInvitations* of one
// meeting point; beyond them they are declined.
#pragma once

#include <map>
#include <memory>

#include "chain/base/clock.h"
#include "chain/base/loop.h"
#include "chain/p2p/caller.h"
#include "chain/p2p/meeting.h"
#include "chain/p2p/token_bucket.h"

namespace chain::p2p {

class Sought {
public:
    Sought(Loop &loop, const Clock &clock, MeetingNetwork &network, Caller &caller)
        : loop_(loop), clock_(clock), network_(network), caller_(caller) {}
    ~Sought() { *alive_ = false; }

    // Whether it wants to be told of anybody; `peers` are told so.
    void be_willing(bool willing, const std::vector<PublicKey> &peers);
    void peer_came(const PublicKey &peer);
    void peer_gone(const PublicKey &peer);
    void take_invitation(const PublicKey &point, const wire::Invitation &invitation);

private:
    struct Answer {
        PublicKey point{};
        PublicKey seeker{};
        Bytes meeting;
        Bytes relay_token;  // empty: no relay
        LoopHandle timer;   // until then the seeker is called back
    };
    void tell(const PublicKey &peer) const;
    // Why it is not answered; empty: it is.
    std::string objection(const PublicKey &point);
    std::optional<PeerAddress> plausible_call(const PublicKey &point,
                                              const wire::Invitation &invitation) const;
    void call_back(std::uint64_t number, const PeerAddress &address);
    void go_by_relay(std::uint64_t number, const std::string &why);
    void decline(const PublicKey &point, const Bytes &meeting, const std::string &why) const;

    Loop &loop_;
    const Clock &clock_;
    MeetingNetwork &network_;
    Caller &caller_;
    bool willing_ = false;
    std::map<PublicKey, TokenBucket> invitations_;
    std::map<std::uint64_t, Answer> answers_;
    std::uint64_t next_ = 1;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace chain::p2p
