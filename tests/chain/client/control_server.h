// SPDX-License-Identifier: BSD-3-Clause
//
// A control socket with a daemon of a test's own making behind it: one thread, one connection at
// a time, real frames on a real Unix socket.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "chain/base/bytes.h"
#include "chain/wire/control.pb.h"
#include "tests/chain/base/temporary_folder.h"

namespace chain::test {

Bytes frame_of(const wire::ControlReply &reply);
class ControlServer {
public:
    // What the daemon does with a request: the bytes it writes, in pieces with a pause between.
    struct Answer {
        std::vector<Bytes> pieces;
        bool hang_up = false;  // after the pieces
    };
    using Handler = std::function<Answer(const wire::ControlRequest &)>;

    ControlServer(std::string socket_path, Handler handler);
    ~ControlServer();
    ControlServer(const ControlServer &) = delete;
    ControlServer &operator=(const ControlServer &) = delete;

    // The usual: one whole reply, with the request's id.
    static Answer reply(const wire::ControlRequest &request, wire::ControlReply reply);

private:
    void serve();
    void serve_connection(int fd);

    std::string socket_path_;
    Handler handler_;
    FileDescriptor listener_;
    FileDescriptor stop_read_, stop_write_;
    std::thread thread_;
};

}  // namespace chain::test
