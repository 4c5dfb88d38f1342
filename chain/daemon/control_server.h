// SPDX-License-Identifier: BSD-3-Clause
//
// ControlServer: the daemon's Unix socket. Who may speak is decided by the kernel: the socket's
// mode is 0600 and the peer's uid must be the daemon's own or root's.
//
// Owner: the loop's thread. Limits: kControlConnectionsMax connections, kMaxControlFrameBytes a
// frame, kControlQueueMaxBytes of replies that a client does not read.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "chain/base/file.h"
#include "chain/base/loop.h"
#include "chain/base/result.h"
#include "chain/wire/control.pb.h"

struct bufferevent;
struct evconnlistener;

namespace chain::daemon {

inline constexpr std::size_t kControlConnectionsMax = 256;
inline constexpr std::size_t kControlQueueMaxBytes = 16u << 20;

// One client. Outlives its socket for as long as someone holds it; replies then go nowhere.
class ControlConnection {
public:
    ~ControlConnection();
    void reply(std::uint64_t id, wire::ControlReply reply);
    void fail(std::uint64_t id, const Error &error);
    void done(std::uint64_t id);
    bool open() const { return socket_ != nullptr; }
    // Another descriptor of the connection, for who wants to read from it what a frame cannot have.
    // Until give_back() what comes is read by nobody else, and that the client goes is not seen.
    // Errors: kIo, kConflict (closed, or more was read already).
    Result<FileDescriptor> take_over();
    void give_back();
    // Called once, when the client has gone. One at a time.
    void on_close(std::function<void()> fn) { on_close_ = std::move(fn); }

private:
    friend class ControlServer;
    void close();

    bufferevent *socket_ = nullptr;
    std::function<void()> on_close_;
};

using ControlConnectionPtr = std::shared_ptr<ControlConnection>;

class ControlServer {
public:
    using Handler = std::function<void(const ControlConnectionPtr &, const wire::ControlRequest &)>;

    // Errors: kConflict (a daemon answers there already), kInvalidInput (path too long for a Unix
    // socket), kPermission, kIo.
    static Result<std::unique_ptr<ControlServer>> start(Loop &loop, const std::string &path,
                                                        Handler handler);
    ~ControlServer();

private:
    ControlServer(Loop &loop, std::string path, Handler handler);
    void accept(int fd);
    void read(bufferevent *socket);
    void drop(bufferevent *socket);

    Loop &loop_;
    std::string path_;
    Handler handler_;
    evconnlistener *listener_ = nullptr;
    std::map<bufferevent *, ControlConnectionPtr> connections_;
};

}  // namespace chain::daemon
