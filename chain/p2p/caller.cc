// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/caller.h"

#include <cerrno>
#include <cstring>

#include <event2/event.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "chain/p2p/preamble.h"

namespace chain::p2p {

Caller::~Caller() {
    for (auto &[number, call] : calls_) event_free(call.watch);
}

std::uint64_t Caller::call(const PeerAddress &to, const Bytes32 &token, std::uint64_t limit_ms,
                           Done done) {
    const std::uint64_t number = next_++;
    Call &call = calls_[number];
    call.caller = this;
    call.number = number;
    call.to = to_text(to);
    call.preamble = format_preamble(token);
    call.done = std::move(done);
    const SocketAddress address = socket_address(to);
    call.socket = FileDescriptor(
        socket(address.get()->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    // A failure at once is found by the event, too: such a socket is writable.
    if (call.socket.valid())
        static_cast<void>(connect(call.socket.get(), address.get(), address.size_bytes));
    call.watch = event_new(
        loop_.base(), call.socket.get(), EV_WRITE,
        [](evutil_socket_t, short what, void *argument) {
            const auto &ready = *static_cast<Call *>(argument);
            ready.caller->ready(ready.number, (what & EV_TIMEOUT) != 0);
        },
        &call);
    CHAIN_CHECK(call.watch != nullptr);
    const std::uint64_t wait_ms = call.socket.valid() ? limit_ms : 0;
    const timeval limit{static_cast<time_t>(wait_ms / 1000),
                        static_cast<suseconds_t>(wait_ms % 1000 * 1000)};
    CHAIN_CHECK(event_add(call.watch, &limit) == 0);
    return number;
}

void Caller::cancel(std::uint64_t number) {
    const auto found = calls_.find(number);
    if (found == calls_.end()) return;
    event_free(found->second.watch);
    calls_.erase(found);
}

Result<FileDescriptor> Caller::finish(Call &call, bool timed_out) {
    if (timed_out) return make_error(ErrorCode::kTimeout, call.to, " does not answer");
    int failed = 0;
    socklen_t size_bytes = sizeof failed;
    if (getsockopt(call.socket.get(), SOL_SOCKET, SO_ERROR, &failed, &size_bytes) != 0)
        failed = errno;
    if (failed != 0) return make_error(ErrorCode::kPeerLost, call.to, ": ", std::strerror(failed));
    // It is the first that is said: the socket's buffer has room for it.
    const ssize_t sent =
        send(call.socket.get(), call.preamble.data(), call.preamble.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(call.preamble.size()))
        return make_error(ErrorCode::kPeerLost, call.to, ": connection closed by the peer");
    return std::move(call.socket);
}

void Caller::ready(std::uint64_t number, bool timed_out) {
    const auto found = calls_.find(number);
    Result<FileDescriptor> outcome = finish(found->second, timed_out);
    const Done done = std::move(found->second.done);
    cancel(number);
    done(std::move(outcome));
}

}  // namespace chain::p2p
