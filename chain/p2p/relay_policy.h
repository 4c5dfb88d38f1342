// SPDX-License-Identifier: BSD-3-Clause
//
// RelayPolicy: who is carried by this node's relay, and by whose relay this node lets itself be
// carried. What that costs is a layer above's business: p2p passes on its words and counts bytes.
// The free policy carries everybody, and pays nobody.
//
// Owner: the loop's thread; outlives the Network.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "chain/identity/keys.h"
#include "chain/wire/meeting.pb.h"

namespace chain::p2p {

class RelayPolicy {
public:
    virtual ~RelayPolicy() = default;

    // ---- at the meeting point

    virtual wire::RelayTerms terms(const PublicKey &seeker) const {
        static_cast<void>(seeker);
        return {};
    }
    // Errors: kRefused, with a reason for the seeker.
    virtual Status may_carry(const PublicKey &seeker) {
        static_cast<void>(seeker);
        return ok_status();
    }
    // So much more was carried for the seeker; false: not a byte more.
    virtual bool carried(const PublicKey &seeker, std::uint64_t bytes) {
        static_cast<void>(seeker);
        static_cast<void>(bytes);
        return true;
    }

    // ---- at the seeker

    // Errors: kRefused (too dear), with a reason for people.
    virtual Status accepts(const wire::RelayTerms &terms) const {
        return terms.price_per_gib() == 0
                   ? ok_status()
                   : Status(make_error(ErrorCode::kRefused, "it wants to be paid"));
    }
    // Sees to it that something is paid for; `done` may come from inside.
    virtual void pay(const PublicKey &meeting_point, const wire::RelayTerms &terms,
                     std::function<void(Status)> done) {
        static_cast<void>(meeting_point);
        static_cast<void>(terms);
        done(ok_status());
    }

    // Where bytes are counted, of both directions, that go through this relay; from any thread.
    // Null: nobody wants to know.
    virtual std::shared_ptr<std::atomic<std::uint64_t>> counter(const PublicKey &meeting_point) {
        static_cast<void>(meeting_point);
        return nullptr;
    }

    // ---- both: words about payments, from a peer. An error is a violation.
    virtual Status take(const PublicKey &peer, const wire::MeetingMessage &message) {
        static_cast<void>(peer);
        static_cast<void>(message);
        return ok_status();
    }
};

}  // namespace chain::p2p
