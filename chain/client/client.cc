// SPDX-License-Identifier: BSD-3-Clause
#include "chain/client/client.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "chain/base/clock.h"
#include "chain/wire/frame.h"

namespace chain::client {
namespace {

constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kReadBytes = 64u << 10;
constexpr time_t kConnectTimeoutS = 5;

std::string environment(const char *name) {
    const char *value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
}

std::string home_folder() {
    if (std::string home = environment("HOME"); !home.empty()) return home;
    const passwd *user = getpwuid(geteuid());
    return user == nullptr || user->pw_dir == nullptr ? "/" : user->pw_dir;
}

// A moment on the steady clock, or never.
class Deadline {
public:
    explicit Deadline(int timeout_ms)
        : never_(timeout_ms < 0),
          at_ms_(system_clock().steady_ms() + static_cast<std::uint64_t>(std::max(timeout_ms, 0))) {
    }
    // For poll and for calls that take a timeout_ms: -1 for never.
    int left_ms() const {
        if (never_) return -1;
        const std::uint64_t now_ms = system_clock().steady_ms();
        return now_ms >= at_ms_ ? 0 : static_cast<int>(at_ms_ - now_ms);
    }

private:
    bool never_;
    std::uint64_t at_ms_;
};

// False when the time is over first.
Result<bool> wait_for(int fd, short events, const Deadline &deadline) {
    for (;;) {
        pollfd watched{fd, events, 0};
        const int count = ::poll(&watched, 1, deadline.left_ms());
        if (count > 0) return true;
        if (count == 0) return false;
        if (errno != EINTR) return errno_error(errno, "wait for the daemon");
    }
}

Error not_running(const std::string &socket_path, int errno_value) {
    if (errno_value == EACCES || errno_value == EPERM)
        return make_error(ErrorCode::kPermission, "you may not talk to the daemon at ", socket_path,
                          ": it is another user's");
    if (errno_value == ENOENT)
        return make_error(ErrorCode::kDaemonNotRunning, "no daemon is running: there is no socket ",
                          socket_path);
    if (errno_value == ECONNREFUSED)
        return make_error(ErrorCode::kDaemonNotRunning, "no daemon is running: nobody answers at ",
                          socket_path);
    return make_error(ErrorCode::kDaemonNotRunning, "cannot reach the daemon at ", socket_path,
                      ": ", std::strerror(errno_value));
}

Status check_owner(int fd, const std::string &socket_path) {
    ucred peer{};
    socklen_t size_bytes = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size_bytes) != 0)
        return errno_error(errno, "ask who listens at " + socket_path);
    if (peer.uid == geteuid() || geteuid() == 0) return ok_status();  // as the daemon itself does
    return make_error(ErrorCode::kPermission, "the daemon at ", socket_path, " belongs to user ",
                      peer.uid, ", not to you");
}

Result<wire::ControlReply> reply_or_error(wire::ControlReply reply) {
    if (!reply.has_error()) return reply;
    return Error{error_code_from_name(reply.error().code()), reply.error().message()};
}

}  // namespace

std::string default_data_folder() {
    if (std::string folder = environment("OMPI_CHAIN_DATA"); !folder.empty()) return folder;
    if (geteuid() == 0) return "/var/lib/ompi-chain";
    if (std::string state = environment("XDG_STATE_HOME"); !state.empty())
        return state + "/ompi-chain";
    return home_folder() + "/.local/state/ompi-chain";
}

std::string default_socket_path() {
    if (std::string path = environment("OMPI_CHAIN_SOCKET"); !path.empty()) return path;
    return default_data_folder() + "/control.sock";
}

Result<Client> Client::connect(const std::string &socket_path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_path.empty() || socket_path.size() >= sizeof address.sun_path)
        return make_error(ErrorCode::kInvalidInput, "the socket path \"", socket_path, "\" has ",
                          socket_path.size(), " bytes; a Unix socket's has 1 to ",
                          sizeof address.sun_path - 1);
    std::memcpy(address.sun_path, socket_path.data(), socket_path.size());

    FileDescriptor socket_fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket_fd.valid()) return errno_error(errno, "make a socket");
    // A daemon whose backlog is full would otherwise hold connect() for ever.
    const timeval limit{kConnectTimeoutS, 0};
    setsockopt(socket_fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    int connected = 0;
    do {
        connected =
            ::connect(socket_fd.get(), reinterpret_cast<sockaddr *>(&address), sizeof address);
    } while (connected != 0 && errno == EINTR);
    if (connected != 0) return not_running(socket_path, errno);
    CHAIN_TRY(check_owner(socket_fd.get(), socket_path));
    if (fcntl(socket_fd.get(), F_SETFL, O_NONBLOCK) != 0)
        return errno_error(errno, "prepare the socket");
    return Client(std::move(socket_fd), socket_path);
}

Result<wire::ControlReply> Client::call(wire::ControlRequest request, int timeout_ms) {
    const Deadline deadline(timeout_ms);
    request.set_id(next_id_++);
    CHAIN_TRY(send(request, deadline.left_ms()));
    return next_reply(request.id(), deadline.left_ms());
}

Result<wire::ControlReply> Client::next_reply(std::uint64_t id, int timeout_ms) {
    const Deadline deadline(timeout_ms);
    const auto kept = std::find_if(replies_.begin(), replies_.end(),
                                   [id](const auto &reply) { return reply.id() == id; });
    if (kept != replies_.end()) {
        wire::ControlReply reply = std::move(*kept);
        replies_.erase(kept);
        return reply_or_error(std::move(reply));
    }
    for (;;) {
        CHAIN_ASSIGN(std::optional<wire::ControlReply> reply, receive(deadline.left_ms()));
        if (!reply)
            return make_error(ErrorCode::kTimeout, "the daemon at ", socket_path_,
                              " did not answer in time");
        if (reply->id() == id && !reply->has_lease_event())
            return reply_or_error(std::move(*reply));
        CHAIN_TRY(keep(std::move(*reply)));
    }
}

Result<std::optional<wire::LeaseEvent>> Client::next_event(int timeout_ms) {
    const Deadline deadline(timeout_ms);
    while (events_.empty()) {
        CHAIN_ASSIGN(std::optional<wire::ControlReply> reply, receive(deadline.left_ms()));
        if (!reply) return std::optional<wire::LeaseEvent>();
        CHAIN_TRY(keep(std::move(*reply)));
    }
    std::optional<wire::LeaseEvent> event = std::move(events_.front());
    events_.pop_front();
    return event;
}

Result<std::uint64_t> Client::start(wire::ControlRequest request, int timeout_ms) {
    request.set_id(next_id_++);
    CHAIN_TRY(send(request, timeout_ms));
    return request.id();
}

Result<std::optional<wire::ControlReply>> Client::poll(int timeout_ms) {
    if (replies_.empty() && events_.empty()) return receive(timeout_ms);
    wire::ControlReply reply;
    if (!replies_.empty()) {
        reply = std::move(replies_.front());
        replies_.pop_front();
    } else {
        *reply.mutable_lease_event() = std::move(events_.front());
        events_.pop_front();
    }
    return std::optional<wire::ControlReply>(std::move(reply));
}

Status Client::send(const wire::ControlRequest &request, int timeout_ms) {
    const Bytes payload = request.SerializeAsString();
    if (payload.size() > wire::kMaxControlFrameBytes)
        return make_error(ErrorCode::kTooLarge, "the request of ", payload.size(),
                          " bytes exceeds the limit of ", wire::kMaxControlFrameBytes);
    if (!socket_.valid())
        return make_error(ErrorCode::kDaemonNotRunning, "the connection to the daemon at ",
                          socket_path_, " is closed");
    Bytes frame;
    append_u32_le(frame, static_cast<std::uint32_t>(payload.size()));
    frame += payload;

    const Deadline deadline(timeout_ms);
    std::string_view left = frame;
    while (!left.empty()) {
        const ssize_t put = ::send(socket_.get(), left.data(), left.size(), MSG_NOSIGNAL);
        if (put >= 0) {
            left.remove_prefix(static_cast<std::size_t>(put));
            continue;
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            return closed(make_error(ErrorCode::kDaemonNotRunning, "the daemon at ", socket_path_,
                                     " went away: ", std::strerror(errno)));
        CHAIN_ASSIGN(const bool ready, wait_for(socket_.get(), POLLOUT, deadline));
        // Half a frame may be out: nothing sensible can follow it.
        if (!ready)
            return closed(make_error(ErrorCode::kTimeout, "the daemon at ", socket_path_,
                                     " took no request in time"));
    }
    return ok_status();
}

Result<std::optional<wire::ControlReply>> Client::receive(int timeout_ms) {
    const Deadline deadline(timeout_ms);
    for (;;) {
        CHAIN_ASSIGN(std::optional<wire::ControlReply> reply, take_frame());
        if (reply) return reply;
        if (!socket_.valid())
            return make_error(ErrorCode::kDaemonNotRunning, "the connection to the daemon at ",
                              socket_path_, " is closed");
        CHAIN_ASSIGN(const bool ready, wait_for(socket_.get(), POLLIN, deadline));
        if (!ready) return std::optional<wire::ControlReply>();
        CHAIN_TRY(read_some());
    }
}

Result<std::optional<wire::ControlReply>> Client::take_frame() {
    if (input_.size() < kLengthBytes) return std::optional<wire::ControlReply>();
    const std::size_t length_bytes = read_u32_le(input_);
    if (length_bytes > wire::kMaxControlFrameBytes)
        return closed(make_error(ErrorCode::kTooLarge, "the daemon at ", socket_path_,
                                 " announced a reply of ", length_bytes, " bytes; the limit is ",
                                 wire::kMaxControlFrameBytes));
    if (input_.size() - kLengthBytes < length_bytes) return std::optional<wire::ControlReply>();
    wire::ControlReply reply;
    const Status parsed =
        wire::parse_strict(std::string_view(input_).substr(kLengthBytes, length_bytes),
                           wire::kMaxControlFrameBytes, "the daemon's reply", reply);
    if (!parsed.ok()) return closed(parsed.error());
    if (reply.reply_case() == wire::ControlReply::REPLY_NOT_SET)
        return closed(make_error(ErrorCode::kProtocol, "the daemon's reply is empty"));
    input_.erase(0, kLengthBytes + length_bytes);
    return std::optional<wire::ControlReply>(std::move(reply));
}

Status Client::read_some() {
    char buffer[kReadBytes];
    const ssize_t got = recv(socket_.get(), buffer, sizeof buffer, 0);
    if (got > 0) {
        input_.append(buffer, static_cast<std::size_t>(got));
        return ok_status();
    }
    if (got < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) return ok_status();
    return closed(make_error(ErrorCode::kDaemonNotRunning, "the daemon at ", socket_path_,
                             " went away", got == 0 ? "" : ": ",
                             got == 0 ? "" : std::strerror(errno)));
}

Status Client::keep(wire::ControlReply reply) {
    if (reply.has_lease_event()) {
        if (events_.size() >= kMaxKeptEvents)
            return closed(make_error(ErrorCode::kProtocol, "the daemon at ", socket_path_,
                                     " sent more than ", kMaxKeptEvents, " events unasked"));
        events_.push_back(std::move(*reply.mutable_lease_event()));
        return ok_status();
    }
    // Answers to calls that gave up waiting pile up here; the oldest are the ones nobody wants.
    if (replies_.size() >= kMaxKeptReplies) replies_.pop_front();
    replies_.push_back(std::move(reply));
    return ok_status();
}

Error Client::closed(Error why) {
    socket_.reset();
    input_.clear();
    return why;
}

}  // namespace chain::client
