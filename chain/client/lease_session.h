// SPDX-License-Identifier: BSD-3-Clause
//
// LeaseSession: the one lease of this mpirun, over one connection to the renter's daemon. ras/chain
// opens and closes it, plm/chain launches on it and listens; they are two components in one
// process, so the object lives here, in the library that both link.
//
// Owner: mpirun's event thread. The lease lives as long as the connection.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chain/client/client.h"
#include "chain/client/lease_spec.h"

namespace chain::client {

// What happened on the connection, in the order in which it came.
struct SessionNews {
    enum class Kind {
        kProgress,       // text: stage and detail
        kReserved,       // bill: it waits for its time
        kReady,          // the lease runs; nodes() and ready() are there
        kOpenFailed,     // error
        kLaunched,       // the daemon took the launch
        kLaunchFailed,   // error
        kLeaseEvent,     // event
        kConnectionLost  // error
    };
    Kind kind;
    std::string text;
    Error error;
    wire::LeaseEvent event;
    wire::Bill bill;
};

class LeaseSession {
public:
    // The lease of this process; nullptr before open() and after drop().
    static LeaseSession *current();
    static void drop();

    // Connects and asks for the lease; kReady or kOpenFailed follow through next_news().
    // Errors: kDaemonNotRunning, kPermission, kTooLarge, kIo. Precondition: current() == nullptr.
    static Result<LeaseSession *> open(const std::string &socket_path,
                                       const wire::LeaseOpenCall &call);

    // Never blocks; nullopt: nothing more now. After kConnectionLost nothing comes any more.
    std::optional<SessionNews> next_news();
    // Readable when next_news() may have something.
    int fd() const { return client_.fd(); }

    bool is_ready() const { return ready_.has_value(); }
    // Escrow is locked: there will be a bill, even if the lease never runs.
    bool was_funded() const { return funded_; }
    const wire::LeaseReady &ready() const { return *ready_; }  // precondition: is_ready()
    const std::string &peer_job_folder() const { return peer_job_folder_; }
    void set_peer_job_folder(std::string folder) { peer_job_folder_ = std::move(folder); }
    const wire::LeaseNode *node_by_host(const std::string &host) const;
    const wire::LeaseNode *node_by_leg(std::uint32_t leg) const;

    // Hands the daemon a connection to mpirun's own port for each of `legs`, which goes on to that
    // leg's orted, and before them `device` (HomeNetwork's; none: -1). Before the launch of these.
    // Errors: kDaemonNotRunning and the like, kConflict.
    Status attach(const std::vector<std::uint32_t> &legs,
                  const std::vector<FileDescriptor> &sockets, const FileDescriptor &device);

    // Errors: kDaemonNotRunning and the like. Precondition: is_ready(); `launch.vpid` etc. are set.
    Status launch(const std::vector<wire::NodeLaunch> &nodes);

    // Why the lease ended, for the bill: the first reason stands.
    void note_end(const std::string &ended_by, const std::string &reason);

    // --chain-tolerate-loss: the daemon does not end the lease when a peer is lost.
    bool tolerates_loss() const { return call_.spec().tolerate_loss(); }
    // The job goes on without that peer: for the bill.
    void note_loss(std::uint32_t leg, const std::string &reason);

    // Ends the lease and waits for its bill. When the daemon is gone or silent, a bill of what is
    // known here comes instead, in state "unknown", with the reason.
    wire::Bill close(int exit_status, int timeout_ms);

private:
    LeaseSession(Client client, std::string socket_path, wire::LeaseOpenCall call)
        : client_(std::move(client)),
          socket_path_(std::move(socket_path)),
          call_(std::move(call)) {}
    std::optional<SessionNews> understand(const wire::ControlReply &reply);
    SessionNews understand_open(const wire::ControlReply &reply);
    wire::Bill known_bill(const Error &why) const;

    Client client_;
    std::string socket_path_;
    wire::LeaseOpenCall call_;
    std::uint64_t open_id_ = 0;
    std::uint64_t launch_id_ = 0;
    bool was_launched_ = false;
    std::optional<wire::LeaseReady> ready_;
    bool funded_ = false;
    bool lost_ = false;
    std::string peer_job_folder_;
    std::string ended_by_;
    std::string reason_;
    std::vector<wire::ToleratedLoss> losses_;
};

}  // namespace chain::client
