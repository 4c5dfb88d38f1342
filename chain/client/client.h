// SPDX-License-Identifier: BSD-3-Clause
//
// Client: the small library behind `ompi-chain` and mpirun's components: a blocking connection to
// the daemon of this user. One thread per Client. Nothing here knows Open MPI.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "chain/base/file.h"
#include "chain/wire/control.pb.h"

namespace chain::client {

// Where the daemon of this user listens: $OMPI_CHAIN_SOCKET, else <data folder>/control.sock with
// the data folder $OMPI_CHAIN_DATA, else /var/lib/ompi-chain for root, else
// ${XDG_STATE_HOME:-~/.local/state}/ompi-chain.
std::string default_data_folder();
std::string default_socket_path();

// What a Client keeps of a talkative daemon until it is asked for: more is a broken daemon.
inline constexpr std::size_t kMaxKeptEvents = 4096;
inline constexpr std::size_t kMaxKeptReplies = 64;

class Client {
public:
    // Errors: kDaemonNotRunning (no socket, nobody answers), kPermission (another user's daemon;
    // root's is accepted), kInvalidInput (a path longer than a Unix socket's can be).
    static Result<Client> connect(const std::string &socket_path);
    Client(Client &&) = default;
    Client &operator=(Client &&) = default;

    // Sends and waits for the first reply with the request's id; events that come in between are
    // kept for next_event. An ErrorReply becomes an Error. Errors: also kDaemonNotRunning when
    // the daemon goes away, kTimeout, kProtocol, kTooLarge. A negative timeout_ms waits for ever.
    // After kDaemonNotRunning, kProtocol and kTooLarge the connection is closed.
    Result<wire::ControlReply> call(wire::ControlRequest request, int timeout_ms);
    // Further replies to a call (LeaseOpenCall: progress, then ready); `id` is the first one's.
    Result<wire::ControlReply> next_reply(std::uint64_t id, int timeout_ms);
    // A lease's event that is there already or comes within timeout_ms; nullopt: none.
    Result<std::optional<wire::LeaseEvent>> next_event(int timeout_ms);
    // For an event loop. `start` sends and returns the request's id; `poll` hands out what came for
    // any call, as it came: progress, ends, ErrorReply, events. nullopt: nothing within timeout_ms.
    Result<std::uint64_t> start(wire::ControlRequest request, int timeout_ms);
    Result<std::optional<wire::ControlReply>> poll(int timeout_ms);
    // For an event loop: readable when next_event(0) may have something. Ask until nullopt, also
    // once after each call(): what has been read already does not make the fd readable again.
    int fd() const { return socket_.get(); }

private:
    Client(FileDescriptor socket, std::string socket_path)
        : socket_(std::move(socket)), socket_path_(std::move(socket_path)) {}
    Status send(const wire::ControlRequest &request, int timeout_ms);
    // The next whole frame; nullopt when none comes in time.
    Result<std::optional<wire::ControlReply>> receive(int timeout_ms);
    Result<std::optional<wire::ControlReply>> take_frame();
    Status read_some();
    Status keep(wire::ControlReply reply);
    Error closed(Error why);

    FileDescriptor socket_;
    std::string socket_path_;
    Bytes input_;
    std::uint64_t next_id_ = 1;
    std::deque<wire::ControlReply> replies_;
    std::deque<wire::LeaseEvent> events_;
};

// Reason of a lease that ended as it should: stands in the JSON, and is worth no line to a person.
inline constexpr std::string_view kJobEnded = "the job ended";

// The bill as people read it (stderr of mpirun, `lease show`) and as --chain-report writes it.
std::string format_bill_text(const wire::Bill &bill, bool per_rank);
std::string format_bill_json(const wire::Bill &bill);
// What was reserved: when, from whom, for how much, and what it costs to cancel it.
std::string format_reservation_text(const wire::Bill &bill);
// Per peer, why it would be taken or not, and the price that would hold (--chain-explain, `lease
// explain`).
std::string format_explanation_text(const wire::Explanation &explanation);

}  // namespace chain::client
