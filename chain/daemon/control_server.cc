// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/control_server.h"

#include <cerrno>
#include <cstring>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "chain/base/bytes.h"
#include "chain/base/file.h"
#include "chain/base/log.h"
#include "chain/wire/frame.h"

namespace chain::daemon {
namespace {

constexpr std::size_t kLengthBytes = 4;

Result<sockaddr_un> socket_address(const std::string &path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return make_error(ErrorCode::kInvalidInput, "the path of the control socket, ", path,
                          ", is longer than ", sizeof address.sun_path - 1,
                          " bytes; choose a data folder with a shorter path");
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

// A socket that nobody answers is left over from a daemon that was killed.
Status clear_stale_socket(const std::string &path, const sockaddr_un &address) {
    if (!path_exists(path)) return ok_status();
    const FileDescriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(probe.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0)
        return make_error(ErrorCode::kConflict, "another ompi-chaind is running on ", path);
    if (unlink(path.c_str()) != 0) return errno_error(errno, "remove the stale socket " + path);
    return ok_status();
}

bool is_allowed(int fd) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
    return peer.uid == geteuid() || peer.uid == 0;
}

}  // namespace

ControlConnection::~ControlConnection() {
    close();
}

void ControlConnection::close() {
    if (socket_ == nullptr) return;
    bufferevent_free(socket_);
    socket_ = nullptr;
    if (on_close_) std::exchange(on_close_, nullptr)();
}

Result<FileDescriptor> ControlConnection::take_over() {
    if (socket_ == nullptr || evbuffer_get_length(bufferevent_get_input(socket_)) > 0)
        return make_error(ErrorCode::kConflict, "the connection has other things to say");
    FileDescriptor taken(fcntl(bufferevent_getfd(socket_), F_DUPFD_CLOEXEC, 0));
    if (!taken.valid()) return errno_error(errno, "duplicate a socket");
    bufferevent_disable(socket_, EV_READ);
    return taken;
}

void ControlConnection::give_back() {
    if (socket_ != nullptr) bufferevent_enable(socket_, EV_READ);
}

void ControlConnection::reply(std::uint64_t id, wire::ControlReply reply) {
    if (socket_ == nullptr) return;
    reply.set_id(id);
    const std::string payload = reply.SerializeAsString();
    evbuffer *output = bufferevent_get_output(socket_);
    if (payload.size() > wire::kMaxControlFrameBytes ||
        evbuffer_get_length(output) + payload.size() > kControlQueueMaxBytes) {
        log(LogLevel::kWarning, "daemon", "a control client does not read its replies");
        return;
    }
    Bytes length;
    append_u32_le(length, static_cast<std::uint32_t>(payload.size()));
    evbuffer_add(output, length.data(), length.size());
    evbuffer_add(output, payload.data(), payload.size());
}

void ControlConnection::fail(std::uint64_t id, const Error &error) {
    wire::ControlReply reply;
    reply.mutable_error()->set_code(std::string(error_traits(error.code).name));
    reply.mutable_error()->set_message(error.message);
    this->reply(id, std::move(reply));
}

void ControlConnection::done(std::uint64_t id) {
    wire::ControlReply reply;
    reply.mutable_done();
    this->reply(id, std::move(reply));
}

Result<std::unique_ptr<ControlServer>> ControlServer::start(Loop &loop, const std::string &path,
                                                            Handler handler) {
    CHAIN_ASSIGN(const sockaddr_un address, socket_address(path));
    CHAIN_TRY(clear_stale_socket(path, address));
    FileDescriptor listener(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!listener.valid()) return errno_error(errno, "make a Unix socket");
    const mode_t old_mask = umask(0177);
    const int bound =
        bind(listener.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address);
    umask(old_mask);
    if (bound != 0 || listen(listener.get(), 64) != 0)
        return errno_error(errno, "listen on " + path);
    std::unique_ptr<ControlServer> server(new ControlServer(loop, path, std::move(handler)));
    server->listener_ = evconnlistener_new(
        loop.base(),
        [](evconnlistener *, evutil_socket_t fd, sockaddr *, int, void *self) {
            static_cast<ControlServer *>(self)->accept(fd);
        },
        server.get(), LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, listener.release());
    CHAIN_CHECK(server->listener_ != nullptr);
    return server;
}

ControlServer::ControlServer(Loop &loop, std::string path, Handler handler)
    : loop_(loop), path_(std::move(path)), handler_(std::move(handler)) {}

ControlServer::~ControlServer() {
    evconnlistener_free(listener_);
    unlink(path_.c_str());
    const auto connections = std::move(connections_);
    for (const auto &[socket, connection] : connections) {
        bufferevent_flush(socket, EV_WRITE, BEV_FLUSH);
        connection->on_close_ = nullptr;
        connection->close();
    }
}

void ControlServer::accept(int fd) {
    const bool is_full = connections_.size() >= kControlConnectionsMax;
    if (is_full)
        log(LogLevel::kWarning, "daemon", "a control client was turned away: there are ",
            kControlConnectionsMax, " already");
    if (is_full || !is_allowed(fd)) {
        ::close(fd);
        return;
    }
    bufferevent *socket = bufferevent_socket_new(loop_.base(), fd, BEV_OPT_CLOSE_ON_FREE);
    CHAIN_CHECK(socket != nullptr);
    auto connection = std::make_shared<ControlConnection>();
    connection->socket_ = socket;
    connections_.emplace(socket, std::move(connection));
    bufferevent_setcb(
        socket, [](bufferevent *s, void *self) { static_cast<ControlServer *>(self)->read(s); },
        nullptr,
        [](bufferevent *s, short, void *self) { static_cast<ControlServer *>(self)->drop(s); },
        this);
    bufferevent_setwatermark(socket, EV_READ, 0, wire::kMaxControlFrameBytes + kLengthBytes);
    bufferevent_enable(socket, EV_READ | EV_WRITE);
}

void ControlServer::read(bufferevent *socket) {
    evbuffer *input = bufferevent_get_input(socket);
    for (;;) {
        const auto found = connections_.find(socket);
        if (found == connections_.end()) return;  // a handler ended it
        const ControlConnectionPtr connection = found->second;
        char head[kLengthBytes];
        if (evbuffer_copyout(input, head, sizeof head) < static_cast<ev_ssize_t>(sizeof head))
            return;
        const std::uint32_t length = read_u32_le({head, sizeof head});
        if (length > wire::kMaxControlFrameBytes) {
            log(LogLevel::kWarning, "daemon", "a control client sent a frame of ", length,
                " bytes");
            return drop(socket);
        }
        if (evbuffer_get_length(input) < kLengthBytes + length) return;
        evbuffer_drain(input, kLengthBytes);
        Bytes payload(length, '\0');
        evbuffer_remove(input, payload.data(), length);
        wire::ControlRequest request;
        const Status parsed =
            wire::parse_strict(payload, wire::kMaxControlFrameBytes, "control request", request);
        if (!parsed.ok()) {
            connection->fail(request.id(), parsed.error());
            continue;
        }
        handler_(connection, request);
    }
}

void ControlServer::drop(bufferevent *socket) {
    const auto found = connections_.find(socket);
    if (found == connections_.end()) return;
    const ControlConnectionPtr connection = found->second;
    connections_.erase(found);
    connection->close();
}

}  // namespace chain::daemon
