// SPDX-License-Identifier: BSD-3-Clause
#include "tests/chain/client/control_server.h"

#include <cstdlib>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace chain::test {
namespace {

constexpr useconds_t kPieceGapUs = 2000;

// False when the test is over or the peer is gone.
bool read_exactly(int fd, int stop_fd, Bytes &out, std::size_t size_bytes) {
    while (out.size() < size_bytes) {
        pollfd watched[2] = {{fd, POLLIN, 0}, {stop_fd, POLLIN, 0}};
        if (poll(watched, 2, -1) < 0 || watched[1].revents != 0) return false;
        char buffer[65536];
        const ssize_t got = recv(fd, buffer, std::min(sizeof buffer, size_bytes - out.size()), 0);
        if (got <= 0) return false;
        out.append(buffer, static_cast<std::size_t>(got));
    }
    return true;
}

}  // namespace

Bytes frame_of(const wire::ControlReply &reply) {
    const Bytes payload = reply.SerializeAsString();
    Bytes frame;
    append_u32_le(frame, static_cast<std::uint32_t>(payload.size()));
    return frame + payload;
}

ControlServer::ControlServer(std::string socket_path, Handler handler)
    : socket_path_(std::move(socket_path)), handler_(std::move(handler)) {
    listener_ = FileDescriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket_path_.c_str(), sizeof address.sun_path - 1);
    unlink(socket_path_.c_str());
    CHAIN_CHECK(bind(listener_.get(), reinterpret_cast<sockaddr *>(&address), sizeof address) == 0);
    CHAIN_CHECK(listen(listener_.get(), 8) == 0);
    int ends[2];
    CHAIN_CHECK(pipe(ends) == 0);
    stop_read_ = FileDescriptor(ends[0]);
    stop_write_ = FileDescriptor(ends[1]);
    thread_ = std::thread([this] { serve(); });
}

ControlServer::~ControlServer() {
    stop_write_.reset();
    thread_.join();
    unlink(socket_path_.c_str());
}

ControlServer::Answer ControlServer::reply(const wire::ControlRequest &request,
                                           wire::ControlReply reply) {
    reply.set_id(request.id());
    return {{frame_of(reply)}};
}

void ControlServer::serve() {
    for (;;) {
        pollfd watched[2] = {{listener_.get(), POLLIN, 0}, {stop_read_.get(), POLLIN, 0}};
        if (poll(watched, 2, -1) < 0 || watched[1].revents != 0) return;
        const FileDescriptor connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (connection.valid()) serve_connection(connection.get());
    }
}

void ControlServer::serve_connection(int fd) {
    for (;;) {
        Bytes length, payload;
        if (!read_exactly(fd, stop_read_.get(), length, 4)) return;
        if (!read_exactly(fd, stop_read_.get(), payload, read_u32_le(length))) return;
        wire::ControlRequest request;
        CHAIN_CHECK(request.ParseFromString(payload));
        const Answer answer = handler_(request);
        for (std::size_t i = 0; i < answer.pieces.size(); ++i) {
            if (i > 0) usleep(kPieceGapUs);
            std::string_view left = answer.pieces[i];
            while (!left.empty()) {
                const ssize_t put = send(fd, left.data(), left.size(), MSG_NOSIGNAL);
                if (put <= 0) return;
                left.remove_prefix(static_cast<std::size_t>(put));
            }
        }
        if (answer.hang_up) return;
    }
}

}  // namespace chain::test
