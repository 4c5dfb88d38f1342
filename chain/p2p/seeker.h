// SPDX-License-Identifier: BSD-3-Clause
//
// Seeker: finds a peer that can arrange a meeting with a node key, has it do so, and hands out the
// connected socket. Of those who know the sought the first one that answers is asked to, then the
// next.
//
// Owner: the loop's thread. Limits: kSearchesMax; kMeetingPointsMax are asked; who was sought in
// vain is not sought again for kSearchAgainMs.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>

#include "chain/base/clock.h"
#include "chain/base/loop.h"
#include "chain/p2p/caller.h"
#include "chain/p2p/meeting.h"
#include "chain/p2p/relay_policy.h"

namespace chain::p2p {

class Seeker {
public:
    Seeker(Loop &loop, const Clock &clock, MeetingNetwork &network, Caller &caller,
           RelayPolicy &policy);
    ~Seeker();

    // `done` comes from the loop, never from inside. Errors: kPeerLost, with what was tried;
    // kRefused (too many searches).
    using Done = std::function<void(Result<MetSocket>)>;
    std::uint64_t seek(const PublicKey &sought, bool may_relay, Done done);
    // `done` of that search is not called any more.
    void cancel(std::uint64_t number);

    void take_found(const PublicKey &point, const wire::Found &found);
    void take_arranged(const PublicKey &point, const wire::Arranged &arranged);
    void take_declined(const PublicKey &point, const wire::Declined &declined);
    // Whether somebody who says this token was asked to call back; then `met` is taken.
    bool take_call(const Bytes32 &token, MetSocket &met);
    void peer_gone(const PublicKey &peer);

private:
    struct Candidate {
        PublicKey point{};
        bool relays = false;
        wire::RelayTerms terms;
    };
    struct Search {
        PublicKey sought{};
        bool may_relay = false;
        Done done;
        std::set<PublicKey> unanswered;
        std::deque<Candidate> candidates;
        bool is_asking = false;    // the one that was a candidate
        bool is_arranged = false;  // it says so
        Candidate asked;
        Bytes32 meeting{};
        std::uint16_t call_port = 0;
        std::uint64_t call = 0;  // of the caller, to the relay; 0: none
        std::string last_reason;
        LoopHandle timer;
    };

    Search *find(std::uint64_t number);
    // The one that has this meeting arranged by that peer.
    std::map<std::uint64_t, Search>::iterator arranged_by(const PublicKey &point,
                                                          const std::string &meeting);
    bool is_of_use(Search &search, const wire::Found &found) const;
    void next(std::uint64_t number);
    void ask(std::uint64_t number);
    void give_up_point(std::uint64_t number, const std::string &why);
    void go_by_relay(std::uint64_t number, const Bytes32 &token);
    void finish(std::uint64_t number, Result<MetSocket> outcome);
    bool was_vain(const PublicKey &sought);
    void remember_vain(const PublicKey &sought);

    Loop &loop_;
    const Clock &clock_;
    MeetingNetwork &network_;
    Caller &caller_;
    RelayPolicy &policy_;
    std::map<std::uint64_t, Search> searches_;
    std::map<PublicKey, std::uint64_t> vain_until_ms_;  // steady
    std::uint64_t next_ = 1;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace chain::p2p
