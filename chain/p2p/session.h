// SPDX-License-Identifier: BSD-3-Clause
//
// Session: one connection with one peer: TCP, TLS, Hello, frames, pings, and its end. It checks
// everything that concerns one connection alone; which sessions are kept is its owner's business.
//
// Owner: the loop's thread. Held by shared_ptr; its owner keeps it until gone(). Every call to
// SessionOwner comes from the loop, except ended() and gone(), which may also come from within
// end(). The owner may call anything on any session at any time.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "chain/base/clock.h"
#include "chain/base/loop.h"
#include "chain/base/round_trip.h"
#include "chain/p2p/channel.h"
#include "chain/p2p/hello.h"
#include "chain/p2p/limits.h"
#include "chain/p2p/network.h"
#include "chain/p2p/peer_address.h"
#include "chain/p2p/tls.h"
#include "chain/p2p/token_bucket.h"

struct bufferevent;
struct sockaddr;

namespace chain::p2p {

class Session;

class SessionOwner {
public:
    virtual ~SessionOwner() = default;
    virtual void verified(Session &session) = 0;  // the peer has proved its key
    virtual void admitted(Session &session) = 0;  // the peer has admitted this session
    virtual void received(Session &session, wire::Topic topic, std::string_view payload) = 0;
    virtual void drained(Session &session) = 0;
    virtual void ended(Session &session, const Error &why) = 0;  // once
    // Instead of ended(), after hand_over().
    virtual void handed_over(Session &session, Channel channel) = 0;
    // Once, after one of the two: nothing refers to it any more.
    virtual void gone(Session &session) = 0;
};

// What sessions share; outlives them.
struct SessionSetup {
    Loop &loop;
    const KeyPair &node_key;
    const Options &options;
    const TlsContext &tls;
    std::uint16_t listen_port;
    SessionOwner &owner;
};

// A connected socket that a session takes over, and what is known of it.
struct Connection {
    // kAccepted: the other side has dialled the address that is listened on. kMet: one of the two
    // called the other back, or both came to a relay; the seeker is the client.
    enum class Kind { kAccepted, kMet };
    Kind kind = Kind::kAccepted;
    Role role = Role::kServer;
    int fd = -1;
    PeerAddress remote{};
    std::string address;  // for people
    std::optional<PublicKey> relay;
    std::optional<PublicKey> expected;
    Bytes channel;                   // of a client
    std::uint64_t time_left_ms = 0;  // for the handshake
};

class Session : public std::enable_shared_from_this<Session> {
public:
    static std::shared_ptr<Session> take_over(const SessionSetup &setup, Connection connection);
    // `host_port` is for people; `to` is where to. Failures come as ended(), from the loop.
    // `channel`: what the connection is for; empty: a session.
    static std::shared_ptr<Session> dial(const SessionSetup &setup, const sockaddr *to,
                                         std::size_t to_bytes, std::string host_port,
                                         std::optional<PublicKey> expected, Bytes channel);
    Session(const SessionSetup &setup, Role role, std::string address,
            std::optional<PublicKey> expected, Bytes channel);
    ~Session();
    Session(const Session &) = delete;
    Session &operator=(const Session &) = delete;

    // After verified(): frames may go both ways from now on. Sends a first Ping, which admits the
    // session at the other end.
    void admit();
    // After verified(), of one with a channel(): the connection leaves this object as a Channel
    // once our Hello is out.
    void hand_over();
    // Errors: kPeerLost, kTooLarge, kInvalidInput.
    Status send(wire::Topic topic, std::string_view payload);
    // Ends it now; `why` is told to the peer when `tell` and TLS stands.
    void end(const Error &why, bool tell);
    // Frees everything without a word to anybody: for the end of the owner.
    void abandon();

    Role role() const { return role_; }
    // What the connection is for, as the client says; empty: a session.
    const Bytes &channel() const { return channel_; }
    bool is_verified() const { return state_ == State::kVerified; }
    bool is_up() const { return state_ == State::kUp; }
    bool is_ended() const { return state_ == State::kEnded; }
    // Somebody is at the other end, whoever that is.
    bool has_connection() const;
    const PublicKey &peer_key() const { return view_.node_key; }
    std::uint64_t quiet_ms() const;
    std::uint64_t ping_every_ms() const {
        return setup_.options.ping_every_ms * (brisk_ ? 1 : kCalmFactor);
    }
    std::size_t queued_bytes() const;
    PeerView view() const;
    // As view().address, in numbers; all zeros where there is a relay.
    const PeerAddress &remote() const { return remote_; }
    // Where a further connection to this peer can be made, as far as this session tells.
    std::optional<PeerAddress> reached_at() const;
    // This side has chosen that address and dialled it.
    bool has_dialled() const { return kind_ == Kind::kDialled; }
    bool is_relayed() const { return view_.relay.has_value(); }
    // Since a frame of topic Trade was sent; the largest number when none was.
    std::uint64_t since_trade_ms() const;

private:
    enum class Kind { kDialled, kAccepted, kMet };
    enum class State { kConnecting, kGreeting, kVerified, kUp, kEnded };

    void start(int fd, std::uint64_t time_left_ms);
    void on_connected();
    void on_event(short what);
    void on_read();
    void on_written();
    void set_pace(bool brisk);
    void hurry();
    bool is_calm() const;
    std::uint64_t silent_after_ms() const {
        return setup_.options.silent_after_ms * (brisk_ ? 1 : kCalmFactor);
    }
    void on_tick();
    bool take_frame(wire::Topic topic, std::string_view payload);
    bool take_hello(wire::Topic topic, std::string_view payload);
    void take_up_frame(wire::Topic topic, std::string_view payload);
    void go_up();
    void pause_ms(std::uint64_t ms);
    void queue_frame(wire::Topic topic, std::string_view payload);
    void send_ping();
    void try_hand_over();
    void release();
    void free_connection();
    void forget_events();
    std::string connection_error() const;

    const SessionSetup &setup_;
    const Role role_;
    Kind kind_ = Kind::kDialled;
    bool listens_ = false;  // at the port of remote_
    const std::optional<PublicKey> expected_;
    Bytes channel_;
    const Clock &clock_ = system_clock();
    State state_ = State::kConnecting;
    bufferevent *events_ = nullptr;
    Bytes32 channel_secret_{};
    bool tls_stands_ = false;
    bool dispatching_ = false;  // frames are being handed out of events_' buffer
    bool release_due_ = false;
    bool above_quarter_ = false;  // of queue_max_bytes: on_drained is owed
    bool reading_paused_ = false;
    PeerView view_;
    PeerAddress remote_;
    std::optional<std::uint64_t> traded_at_ms_;  // steady
    bool brisk_ = true;
    std::uint64_t tick_ms_ = 0;
    TokenBucket frames_;
    TokenBucket bytes_;
    std::uint64_t up_at_ms_ = 0;  // steady, as the others
    std::uint64_t heard_at_ms_;
    std::uint64_t pinged_at_ms_ = 0;
    RoundTrip round_trip_;
    Bytes timed_ping_;  // its Pong is waited for
    std::uint64_t ticked_at_ms_ = 0;
    LoopHandle deadline_;  // of the handshake; then of the Bye
    LoopHandle tick_;
    LoopHandle resume_;
};

}  // namespace chain::p2p
