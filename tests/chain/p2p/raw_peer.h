// SPDX-License-Identifier: BSD-3-Clause
//
// RawPeer: a stranger, with a thread of its own and OpenSSL's blocking calls, who says whatever a
// test wants.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "chain/base/file.h"
#include "chain/p2p/address.h"
#include "chain/p2p/hello.h"
#include "chain/p2p/tls.h"
#include "chain/wire/frame.h"

namespace chain::p2p::test {

class RawPeer {
public:
    static constexpr int kTimeoutS = 8;

    // Connects to host:port.
    explicit RawPeer(const std::string &address) {
        const auto to = resolve(parse_host_port(address).value(), true);
        socket_ = FileDescriptor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const timeval limit{kTimeoutS, 0};
        setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        const int on = 1;
        setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connected_ = connect(socket_.get(), to->get(), to->size_bytes) == 0;
    }
    // Takes an accepted socket.
    explicit RawPeer(int fd) : socket_(fd), connected_(true) {}

    bool tls_as(Role role) {
        ssl_.reset(tls_.new_ssl());
        SSL_set_fd(ssl_.get(), socket_.get());
        const bool ok =
            (role == Role::kClient ? SSL_connect(ssl_.get()) : SSL_accept(ssl_.get())) == 1;
        if (ok) secret_ = channel_secret(ssl_.get()).value();
        return ok;
    }

    bool write(const std::string &bytes) {
        return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) > 0;
    }
    void write_plain(const std::string &bytes) {
        [[maybe_unused]] const ssize_t put =
            ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    // "" when the other side has closed.
    std::string read_some() {
        char buffer[4096];
        const int got = SSL_read(ssl_.get(), buffer, sizeof buffer);
        return got > 0 ? std::string(buffer, static_cast<std::size_t>(got)) : std::string();
    }
    std::string read_to_end() {
        std::string all;
        for (;;) {
            const std::string piece = read_some();
            if (piece.empty()) return all;
            all += piece;
        }
    }
    // True if the other side closes before the time-out.
    bool plain_closed() {
        char buffer[4096];
        for (;;) {
            const ssize_t got = recv(socket_.get(), buffer, sizeof buffer, 0);
            if (got == 0 || (got < 0 && errno == ECONNRESET)) return true;
            if (got < 0) return false;
        }
    }

    bool connected() const { return connected_; }
    const Bytes32 &secret() const { return secret_; }
    int fd() const { return socket_.get(); }

private:
    struct SslDeleter {
        void operator()(SSL *ssl) const { SSL_free(ssl); }
    };
    TlsContext tls_;
    FileDescriptor socket_;
    std::unique_ptr<SSL, SslDeleter> ssl_;
    Bytes32 secret_{};
    bool connected_ = false;
};

inline std::string frame_of(unsigned topic, std::string_view payload) {
    Bytes bytes;
    append_u32_le(bytes, static_cast<std::uint32_t>(payload.size() + 1));
    bytes.push_back(static_cast<char>(topic));
    return bytes.append(payload);
}
inline std::string frame_of(wire::Topic topic, std::string_view payload) {
    return frame_of(static_cast<unsigned>(topic), payload);
}

}  // namespace chain::p2p::test
