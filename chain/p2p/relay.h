// SPDX-License-Identifier: BSD-3-Clause
//
// Relay: carries the bytes of two peers who cannot connect to each other. Each of them connects to
// this node with a token of the grant and is spliced with the other; what they say is TLS between
// the two, which this node cannot read.
//
// Owner: the loop's thread. Limits: those of RelayOptions; kRelayTokenMs until both have come, each
// token once; kRelayQueueBytes wait for each side. Who does not read is not read from, and all
// pause when the bytes of a second are used up.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "chain/base/clock.h"
#include "chain/base/file.h"
#include "chain/base/loop.h"
#include "chain/p2p/limits.h"
#include "chain/p2p/network.h"
#include "chain/p2p/relay_policy.h"
#include "chain/p2p/token_bucket.h"

struct bufferevent;

namespace chain::p2p {

class Relay {
public:
    Relay(Loop &loop, const Clock &clock, const RelayOptions &options, RelayPolicy &policy,
          std::uint64_t token_ms = kRelayTokenMs);
    ~Relay();
    Relay(const Relay &) = delete;
    Relay &operator=(const Relay &) = delete;

    struct Grant {
        std::uint64_t number = 0;
        Bytes32 seeker_token{};
        Bytes32 sought_token{};
    };
    bool has_room(const PublicKey &seeker) const { return room_for(seeker).ok(); }
    // Errors: kRefused (no room, not paid), with a reason for the seeker.
    Result<Grant> grant(const PublicKey &seeker, const PublicKey &sought);
    // If nobody has come yet, nobody may any more.
    void revoke(std::uint64_t number);
    // Who says a token has the connection spliced; false: it is none, and the socket stays here.
    bool take(const Bytes32 &token, FileDescriptor &socket);

    std::size_t count() const { return splices_.size(); }  // also those that wait for a side
    std::uint64_t carried_bytes() const { return carried_bytes_; }

private:
    enum Side : std::size_t { kSeeker = 0, kSought = 1 };
    struct Splice;
    struct End {
        Splice *splice = nullptr;
        Side side = kSeeker;
        FileDescriptor waiting;         // until the other has come
        bufferevent *events = nullptr;  // from then on
        bool gone = false;
    };
    struct Splice {
        Relay *relay = nullptr;
        std::uint64_t number = 0;
        PublicKey seeker{};
        PublicKey sought{};
        Bytes32 tokens[2];
        End ends[2];
        std::uint64_t carried_bytes = 0;
        std::uint64_t moved_at_ms = 0;  // steady
        bool stands = false;
        LoopHandle deadline;
        ~Splice();
    };

    Status room_for(const PublicKey &seeker) const;
    void begin(Splice &splice);
    void attach(End &end);
    void read(End &end);
    void written(End &end);
    void ended(End &end);
    void listen_again(End &end);
    void pause_all(std::uint64_t ms);
    void drop_idle();
    void cut(const PublicKey &seeker, const std::string &why);
    void drop(std::uint64_t number, const std::string &why);

    Loop &loop_;
    const Clock &clock_;
    const RelayOptions options_;
    RelayPolicy &policy_;
    const std::uint64_t token_ms_;
    std::map<std::uint64_t, std::unique_ptr<Splice>> splices_;
    std::map<Bytes32, std::pair<std::uint64_t, Side>> tokens_;  // that nobody has used
    TokenBucket bytes_;
    LoopHandle resume_;  // active: nobody is read from
    LoopHandle idle_timer_;
    std::uint64_t carried_bytes_ = 0;
    std::uint64_t next_ = 1;
};

}  // namespace chain::p2p
