// SPDX-License-Identifier: BSD-3-Clause
//
// ControlStream: one end of what mpirun and the orted of a leg say to each other, which crosses the
// network inside of the session between their daemons: neither needs a port, and nobody who is not
// of this lease can say a word to either of them.
//
// At the renter's end nothing reaches mpirun but what an OrteGuard lets through.
//
// Owner: the loop's thread. Limits: kStreamWindowBytes on their way in each direction, and what the
// guard holds.
#pragma once

#include <optional>
#include <string>

#include "chain/base/file.h"
#include "chain/daemon/node.h"
#include "chain/daemon/orte_guard.h"

struct bufferevent;

namespace chain::daemon {

class ControlStream {
public:
    enum class End { kOrted, kMpirun };

    ControlStream(Node &node, LegKey key, PublicKey peer, End end);
    ~ControlStream();
    ControlStream(const ControlStream &) = delete;
    ControlStream &operator=(const ControlStream &) = delete;

    // The TCP connection at this end. A second one is closed.
    void attach(FileDescriptor socket);
    bool is_attached() const { return socket_ != nullptr || local_ended_; }
    // At mpirun's end: who the other end is. Until then it has nothing to say.
    void expect(const OrteLeg &leg) { guard_.emplace(leg); }

    // Errors: kProtocol (more than the window, something after its end, or what no orted says),
    // kRefused (what OrteGuard refuses to whoever it was).
    Status on_message(const wire::Stream &message);
    void on_drained() { pump(); }

private:
    Status check(const std::string &content, Bytes &passed);
    void pump();
    void on_written();
    void on_local_end();
    void say_taken();
    void close_socket();

    Node &node_;
    const LegKey key_;
    const PublicKey peer_;
    const End end_;
    std::optional<OrteGuard> guard_;
    bufferevent *socket_ = nullptr;
    Bytes early_;  // for a socket that is not there yet
    std::uint64_t sent_bytes_ = 0;
    std::uint64_t taken_bytes_ = 0;  // of them, by the other end
    std::uint64_t received_bytes_ = 0;
    std::uint64_t said_taken_bytes_ = 0;  // of them, that we told of
    bool local_ended_ = false;
    bool end_sent_ = false;
    bool remote_ended_ = false;
};

}  // namespace chain::daemon
