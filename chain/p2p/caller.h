// SPDX-License-Identifier: BSD-3-Clause
//
// Caller: dials, says a preamble, and hands out the connected socket.
//
// Owner: the loop's thread. What is under way ends, without a word, with this object.
#pragma once

#include <functional>
#include <map>

#include "chain/base/file.h"
#include "chain/base/loop.h"
#include "chain/p2p/peer_address.h"

struct event;

namespace chain::p2p {

class Caller {
public:
    explicit Caller(Loop &loop) : loop_(loop) {}
    ~Caller();
    Caller(const Caller &) = delete;
    Caller &operator=(const Caller &) = delete;

    // `done` comes from the loop, never from inside. Errors: kPeerLost, kTimeout.
    using Done = std::function<void(Result<FileDescriptor>)>;
    std::uint64_t call(const PeerAddress &to, const Bytes32 &token, std::uint64_t limit_ms,
                       Done done);
    // `done` of that call is not called any more.
    void cancel(std::uint64_t number);

private:
    struct Call {
        Caller *caller = nullptr;
        std::uint64_t number = 0;
        FileDescriptor socket;
        event *watch = nullptr;
        std::string to;
        Bytes preamble;
        Done done;
    };
    void ready(std::uint64_t number, bool timed_out);
    static Result<FileDescriptor> finish(Call &call, bool timed_out);

    Loop &loop_;
    std::map<std::uint64_t, Call> calls_;  // elements stay where they are
    std::uint64_t next_ = 1;
};

}  // namespace chain::p2p
