// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/doorstep.h"

#include <cerrno>

#include <sys/socket.h>

#include "chain/p2p/preamble.h"

namespace chain::p2p {

Doorstep::Doorstep(Loop &loop, const Clock &clock, std::uint64_t patience_ms, TlsHandler on_tls,
                   TokenHandler on_token)
    : loop_(loop),
      clock_(clock),
      patience_ms_(patience_ms),
      on_tls_(std::move(on_tls)),
      on_token_(std::move(on_token)) {}

void Doorstep::take(Caught caught) {
    const std::uint64_t number = next_++;
    Waiting &waiting = waiting_[number];
    waiting.caught = std::move(caught);
    waiting.readable =
        loop_.on_readable(waiting.caught.socket.get(), [this, number] { read(number); });
    waiting.deadline =
        loop_.after_ms(patience_ms_, [this, number] { static_cast<void>(waiting_.erase(number)); });
}

void Doorstep::read(std::uint64_t number) {
    Waiting &waiting = waiting_.at(number);
    const int fd = waiting.caught.socket.get();
    char buffer[kPreambleBytes];
    // The first byte is only looked at: TLS wants it, too. What follows the right one is taken, or
    // a preamble that comes in pieces would keep the loop busy.
    const bool looks = waiting.said.empty();
    const std::size_t wanted = looks ? 1 : kPreambleBytes - waiting.said.size();
    const ssize_t got = recv(fd, buffer, wanted, MSG_DONTWAIT | (looks ? MSG_PEEK : 0));
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return static_cast<void>(waiting_.erase(number));
    if (looks && buffer[0] != kPreambleMagic.front()) {
        Caught caught = std::move(waiting.caught);
        waiting_.erase(number);
        return on_tls_(std::move(caught));
    }
    if (looks) {
        const ssize_t taken = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (taken <= 0) return static_cast<void>(waiting_.erase(number));
        waiting.said.assign(buffer, static_cast<std::size_t>(taken));
    } else {
        waiting.said.append(buffer, static_cast<std::size_t>(got));
    }
    if (!may_be_preamble(waiting.said)) return static_cast<void>(waiting_.erase(number));
    if (waiting.said.size() < kPreambleBytes) return;
    const Bytes32 token = token_of(waiting.said);
    Caught caught = std::move(waiting.caught);
    waiting_.erase(number);
    on_token_(std::move(caught), token);
}

}  // namespace chain::p2p
