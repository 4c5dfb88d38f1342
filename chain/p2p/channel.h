// SPDX-License-Identifier: BSD-3-Clause
//
// Channel: an encrypted stream of bytes with one peer, beside the session with it: for traffic that
// would hold up what a session carries. It begins as a session does (TLS 1.3, Hello), is handed out
// of the event loop by Network::open_channel and on_channel, and from then on belongs to whoever
// has it. It knows no frames, pings or limits.
//
// Owner: one thread at a time; not the loop's alone.
#pragma once

#include <memory>

#include "chain/base/bytes.h"
#include "chain/base/file.h"

struct ssl_st;

namespace chain::p2p {

class Channel {
public:
    // `socket`: connected and non-blocking; `early`: what was decrypted already.
    Channel(ssl_st *ssl, FileDescriptor socket, Bytes early);
    Channel(Channel &&) noexcept;
    Channel &operator=(Channel &&) noexcept;
    ~Channel();  // closes, without a word

    int fd() const { return socket_.get(); }

    // Both return how many bytes were moved; 0: none now, wait for the socket. After a write of 0
    // the next one must begin with the same bytes. What read() leaves may be inside, where the
    // socket does not show it: read until 0. Errors: kPeerLost.
    Result<std::size_t> read(char *buffer, std::size_t size_bytes);
    Result<std::size_t> write(const char *bytes, std::size_t size_bytes);

private:
    struct SslDeleter {
        void operator()(ssl_st *ssl) const;
    };
    Result<std::size_t> moved(int result);

    FileDescriptor socket_;
    std::unique_ptr<ssl_st, SslDeleter> ssl_;
    Bytes early_;
    std::uint64_t written_bytes_ = 0;  // with the present key
};

}  // namespace chain::p2p
