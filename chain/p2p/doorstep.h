// SPDX-License-Identifier: BSD-3-Clause
//
// Doorstep: inbound connections of which not a byte, or not the whole preamble, has come yet. The
// first byte tells: that of a preamble, or anything else, which is left to TLS unread.
//
// Owner: the loop's thread. Who is silent or slow is closed `patience_ms` after it came; how many
// stand here is the caller's to bound (count()).
#pragma once

#include <functional>
#include <map>

#include "chain/base/clock.h"
#include "chain/base/file.h"
#include "chain/base/loop.h"
#include "chain/p2p/peer_address.h"

namespace chain::p2p {

// A connected, non-blocking socket, and who is at its other end.
struct Caught {
    FileDescriptor socket;
    PeerAddress remote{};
    std::string address;           // the same, for people
    std::uint64_t came_at_ms = 0;  // steady
};

class Doorstep {
public:
    using TlsHandler = std::function<void(Caught)>;
    using TokenHandler = std::function<void(Caught, const Bytes32 &token)>;
    // Both handlers are called from the loop.
    Doorstep(Loop &loop, const Clock &clock, std::uint64_t patience_ms, TlsHandler on_tls,
             TokenHandler on_token);

    void take(Caught caught);
    std::size_t count() const { return waiting_.size(); }

private:
    struct Waiting {
        Caught caught;
        Bytes said;  // the beginning of a preamble
        LoopHandle readable;
        LoopHandle deadline;
    };
    void read(std::uint64_t number);

    Loop &loop_;
    const Clock &clock_;
    const std::uint64_t patience_ms_;
    const TlsHandler on_tls_;
    const TokenHandler on_token_;
    std::map<std::uint64_t, Waiting> waiting_;
    std::uint64_t next_ = 0;
};

}  // namespace chain::p2p
