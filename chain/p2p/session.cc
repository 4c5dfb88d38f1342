// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/session.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include "chain/p2p/address.h"
#include "chain/p2p/frames.h"
#include "chain/p2p/limits.h"
#include "chain/p2p/relay_policy.h"

namespace chain::p2p {
namespace {

void prepare_socket(int fd) {
    if (fd < 0) return;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
}

}  // namespace

std::shared_ptr<Session> Session::take_over(const SessionSetup &setup, Connection connection) {
    auto session = std::make_shared<Session>(setup, connection.role, std::move(connection.address),
                                             connection.expected, std::move(connection.channel));
    const bool accepted = connection.kind == Connection::Kind::kAccepted;
    session->kind_ = accepted ? Kind::kAccepted : Kind::kMet;
    // Who was called back is where it was called.
    session->listens_ = !accepted && connection.role == Role::kServer && !connection.relay;
    session->remote_ = connection.remote;
    session->view_.relay = connection.relay;
    session->start(connection.fd, connection.time_left_ms);
    RelayPolicy *policy = setup.options.relay_policy;
    if (connection.relay && connection.role == Role::kClient && policy != nullptr)
        count_traffic(bufferevent_openssl_get_ssl(session->events_),
                      policy->counter(*connection.relay));
    return session;
}

std::shared_ptr<Session> Session::dial(const SessionSetup &setup, const sockaddr *to,
                                       std::size_t to_bytes, std::string host_port,
                                       std::optional<PublicKey> expected, Bytes channel) {
    auto session = std::make_shared<Session>(setup, Role::kClient, std::move(host_port), expected,
                                             std::move(channel));
    session->remote_ = peer_address(to).value_or(PeerAddress{});
    session->listens_ = true;
    session->start(-1, setup.options.handshake_timeout_ms);
    // A failure at once also comes as an event, from the loop.
    bufferevent_socket_connect(session->events_, to, static_cast<int>(to_bytes));
    prepare_socket(bufferevent_getfd(session->events_));
    return session;
}

Session::Session(const SessionSetup &setup, Role role, std::string address,
                 std::optional<PublicKey> expected, Bytes channel)
    : setup_(setup),
      role_(role),
      expected_(expected),
      channel_(std::move(channel)),
      frames_(kReceivedFramesPerSecond, kReceivedFramesBurst, clock_.steady_ms()),
      bytes_(kReceivedBytesPerSecond, kReceivedBytesBurst, clock_.steady_ms()),
      heard_at_ms_(clock_.steady_ms()) {
    view_.address = std::move(address);
    view_.inbound = role == Role::kServer;
}

Session::~Session() {
    abandon();
}

bool Session::has_connection() const {
    if (is_ended() || events_ == nullptr) return false;
    sockaddr_storage other{};
    socklen_t bytes = sizeof other;
    return getpeername(bufferevent_getfd(events_), reinterpret_cast<sockaddr *>(&other), &bytes) ==
           0;
}

void Session::start(int fd, std::uint64_t time_left_ms) {
    prepare_socket(fd);
    events_ = bufferevent_openssl_socket_new(
        setup_.loop.base(), fd, setup_.tls.new_ssl(),
        role_ == Role::kServer ? BUFFEREVENT_SSL_ACCEPTING : BUFFEREVENT_SSL_CONNECTING,
        BEV_OPT_DEFER_CALLBACKS);  // not CLOSE_ON_FREE: the connection may outlive the session
    CHAIN_CHECK(events_ != nullptr);
    bufferevent_set_max_single_read(events_, kSocketBatchBytes);
    bufferevent_set_max_single_write(events_, kSocketBatchBytes);
    bufferevent_setcb(
        events_,
        [](bufferevent *, void *self) {
            const auto keep = static_cast<Session *>(self)->shared_from_this();
            keep->on_read();
        },
        [](bufferevent *, void *self) {
            const auto keep = static_cast<Session *>(self)->shared_from_this();
            keep->on_written();
        },
        [](bufferevent *, short what, void *self) {
            const auto keep = static_cast<Session *>(self)->shared_from_this();
            keep->on_event(what);
        },
        this);
    bufferevent_enable(events_, EV_READ | EV_WRITE);
    deadline_ = setup_.loop.after_ms(time_left_ms, [this] {
        const auto keep = shared_from_this();
        end(make_error(ErrorCode::kTimeout, "no session with ", view_.address, " after ",
                       setup_.options.handshake_timeout_ms, " ms"),
            true);
    });
}

void Session::on_event(short what) {
    if (state_ == State::kEnded) {
        // The peer went while it was being told goodbye.
        if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0) release();
        return;
    }
    if ((what & BEV_EVENT_CONNECTED) != 0) {
        on_connected();
        return;
    }
    if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) == 0) return;
    // What came before the end still counts: above all a Bye that says why.
    on_read();
    if (state_ == State::kEnded) return;
    const bool closed = (what & BEV_EVENT_EOF) != 0;
    const std::string reason =
        closed ? std::string(is_relayed() ? "connection closed by it, or by the peer behind it"
                                          : "connection closed by the peer")
               : connection_error();
    end(make_error(ErrorCode::kPeerLost, view_.address, ": ", reason), false);
}

std::string Session::connection_error() const {
    const int socket_errno = EVUTIL_SOCKET_ERROR();
    return connection_error_text(bufferevent_get_openssl_error(events_), socket_errno);
}

void Session::on_connected() {
    if (state_ != State::kConnecting) return;
    prepare_socket(bufferevent_getfd(events_));
    const Result<Bytes32> secret = channel_secret(bufferevent_openssl_get_ssl(events_));
    if (!secret.ok()) {
        end(secret.error(), false);
        return;
    }
    channel_secret_ = secret.value();
    tls_stands_ = true;
    state_ = State::kGreeting;
    queue_frame(wire::Topic::kHello,
                make_hello(role_, channel_secret_, setup_.options.chain_id, setup_.node_key,
                           setup_.listen_port, setup_.options.software, channel_));
}

void Session::on_read() {
    if (dispatching_ || reading_paused_ || events_ == nullptr || state_ == State::kEnded) return;
    heard_at_ms_ = clock_.steady_ms();
    view_.heard_at_ms = clock_.unix_ms();
    evbuffer *input = bufferevent_get_input(events_);
    dispatching_ = true;
    while (state_ != State::kEnded && !reading_paused_) {
        const bool greeting = state_ == State::kConnecting || state_ == State::kGreeting;
        const auto frame =
            front_frame(input, greeting ? kMaxHelloFrameBytes : wire::kMaxPeerFrameBytes);
        if (!frame.ok()) {
            end(frame.error(), true);
            break;
        }
        if (!frame.value()) break;
        const FrameView &front = *frame.value();
        const std::size_t size_bytes = front.size_bytes();
        view_.received_bytes += size_bytes;
        const std::uint64_t now_ms = clock_.steady_ms();
        const std::uint64_t wait_ms =
            std::max(frames_.take(1, now_ms), bytes_.take(size_bytes, now_ms));
        if (!take_frame(front.topic, front.payload)) break;
        evbuffer_drain(input, size_bytes);
        if (wait_ms > 0 && state_ != State::kEnded) pause_ms(wait_ms);
    }
    dispatching_ = false;
    if (release_due_) release();
}

// False when the session has ended.
bool Session::take_frame(wire::Topic topic, std::string_view payload) {
    if (topic == wire::Topic::kBye) {
        end(make_error(state_ == State::kUp ? ErrorCode::kPeerLost : ErrorCode::kRefused,
                       "the peer ended the session: ", printable(payload, kMaxByeBytes)),
            false);
        return false;
    }
    switch (state_) {
        case State::kConnecting:
        case State::kGreeting: return take_hello(topic, payload);
        case State::kVerified:
            go_up();
            setup_.owner.admitted(*this);
            if (state_ == State::kUp) take_up_frame(topic, payload);
            break;
        case State::kUp: take_up_frame(topic, payload); break;
        case State::kEnded: break;
    }
    return state_ != State::kEnded;
}

bool Session::take_hello(wire::Topic topic, std::string_view payload) {
    if (topic != wire::Topic::kHello || state_ != State::kGreeting) {
        end(make_error(ErrorCode::kProtocol, "the first frame of ", view_.address,
                       " is not a Hello"),
            true);
        return false;
    }
    const Role their_role = role_ == Role::kClient ? Role::kServer : Role::kClient;
    const auto greeting = check_hello(payload, their_role, channel_secret_, setup_.options.chain_id,
                                      setup_.node_key.public_key(), expected_);
    if (!greeting.ok()) {
        end(greeting.error(), true);
        return false;
    }
    view_.node_key = greeting->node_key;
    view_.software = greeting->software;
    if (role_ == Role::kServer) channel_ = greeting->channel;
    const std::size_t port_at = view_.address.rfind(':');
    if (kind_ == Kind::kAccepted && greeting->listen_port != 0 && port_at != std::string::npos) {
        listens_ = true;
        view_.address =
            view_.address.substr(0, port_at + 1) + std::to_string(greeting->listen_port);
        remote_.port = greeting->listen_port;
    }
    state_ = State::kVerified;
    setup_.owner.verified(*this);
    return state_ != State::kEnded;
}

void Session::take_up_frame(wire::Topic topic, std::string_view payload) {
    switch (topic) {
        case wire::Topic::kPing:
            if (payload.size() > kMaxPingBytes) {
                end(make_error(ErrorCode::kProtocol, "a Ping of ", payload.size(), " bytes"), true);
                return;
            }
            // A peer that pings and does not read gets no answers piled up for it.
            if (queued_bytes() < setup_.options.queue_max_bytes)
                queue_frame(wire::Topic::kPong, payload);
            return;
        case wire::Topic::kPong:
            if (payload != timed_ping_) return;
            round_trip_.answered(monotonic_us());
            view_.round_trip_us = round_trip_.us();
            return;
        case wire::Topic::kHello:
            end(make_error(ErrorCode::kProtocol, "a second Hello"), true);
            return;
        case wire::Topic::kGossip:
        case wire::Topic::kSync:
        case wire::Topic::kTrade:
        case wire::Topic::kAddresses:
        case wire::Topic::kMeeting: setup_.owner.received(*this, topic, payload); return;
        case wire::Topic::kBye: return;
    }
}

void Session::pause_ms(std::uint64_t ms) {
    reading_paused_ = true;
    bufferevent_disable(events_, EV_READ);
    resume_ = setup_.loop.after_ms(ms, [this] {
        const auto keep = shared_from_this();
        reading_paused_ = false;
        if (state_ == State::kEnded) return;
        bufferevent_enable(events_, EV_READ);
        on_read();
    });
}

void Session::admit() {
    CHAIN_CHECK(state_ == State::kVerified);
    go_up();
    send_ping();
}

void Session::go_up() {
    state_ = State::kUp;
    deadline_.cancel();
    view_.connected_at_ms = clock_.unix_ms();
    SocketAddress own;
    own.size_bytes = sizeof own.storage;
    if (getsockname(bufferevent_getfd(events_), reinterpret_cast<sockaddr *>(&own.storage),
                    &own.size_bytes) == 0) {
        view_.local_host = format_address(own.get(), own.size_bytes);
        view_.local_host.resize(view_.local_host.rfind(':'));
    }
    up_at_ms_ = ticked_at_ms_ = pinged_at_ms_ = clock_.steady_ms();
    bufferevent_setwatermark(events_, EV_WRITE, setup_.options.queue_max_bytes / 4, 0);
    set_pace(true);
}

// Looks often enough for what it watches for.
void Session::set_pace(bool brisk) {
    brisk_ = brisk;
    tick_ms_ = std::max<std::uint64_t>(5, std::min(ping_every_ms() / 2, silent_after_ms() / 4));
    tick_ = setup_.loop.every_ms(tick_ms_, [this] {
        const auto keep = shared_from_this();
        on_tick();
    });
}

// Something depends on it now. What was a short silence until now would be a long one.
void Session::hurry() {
    if (brisk_ || state_ != State::kUp) return;
    heard_at_ms_ = ticked_at_ms_ = clock_.steady_ms();
    set_pace(true);
    send_ping();
}

bool Session::is_calm() const {
    return clock_.steady_ms() - up_at_ms_ > setup_.options.young_ms &&
           since_trade_ms() > kTradeHoldsMs;
}

void Session::on_tick() {
    const std::uint64_t now_ms = clock_.steady_ms();
    // When this process itself stood still (stopped, or its machine asleep or overloaded), the
    // peer's words wait in the socket: that time does not count, or all of it begins again.
    const std::uint64_t since_ms = now_ms - ticked_at_ms_;
    if (since_ms > silent_after_ms() / 2 || reading_paused_)
        heard_at_ms_ = now_ms;
    else if (since_ms > tick_ms_)
        heard_at_ms_ = std::min(now_ms, heard_at_ms_ + since_ms - tick_ms_);
    ticked_at_ms_ = now_ms;
    if (quiet_ms() >= silent_after_ms()) {
        const std::uint64_t limit_ms = silent_after_ms();
        if (limit_ms % 1000 == 0)
            end(make_error(ErrorCode::kPeerLost, "silent for ", limit_ms / 1000, " s"), true);
        else
            end(make_error(ErrorCode::kPeerLost, "silent for ", limit_ms, " ms"), true);
        return;
    }
    const bool is_relays_seeker = is_relayed() && role_ == Role::kClient;
    if (is_relays_seeker && std::min(since_trade_ms(), now_ms - up_at_ms_) >= kRelayedIdleMs)
        return end(make_error(ErrorCode::kCancelled, "not used, and goes through a relay"), true);
    if (now_ms - pinged_at_ms_ + ping_every_ms() / 4 >= ping_every_ms()) send_ping();
    if (brisk_ && is_calm()) set_pace(false);
}

void Session::send_ping() {
    pinged_at_ms_ = clock_.steady_ms();
    // What waits in a full queue says as much as a Ping would.
    if (queued_bytes() >= setup_.options.queue_max_bytes) return;
    Bytes ping;
    append_u64_le(ping, pinged_at_ms_);
    if (round_trip_.asked(monotonic_us())) timed_ping_ = ping;
    queue_frame(wire::Topic::kPing, ping);
}

Status Session::send(wire::Topic topic, std::string_view payload) {
    if (state_ != State::kUp) return make_error(ErrorCode::kPeerLost, "no session with that peer");
    if (payload.size() >= wire::kMaxPeerFrameBytes)
        return make_error(ErrorCode::kInvalidInput, "a frame of ", payload.size(),
                          " bytes exceeds the limit of ", wire::kMaxPeerFrameBytes);
    const std::size_t queued = queued_bytes();
    if (queued > 0 && queued + kFrameHeadBytes + payload.size() > setup_.options.queue_max_bytes) {
        above_quarter_ = true;
        return make_error(ErrorCode::kTooLarge, queued, " bytes wait to be sent to ",
                          view_.address);
    }
    queue_frame(topic, payload);
    if (topic == wire::Topic::kTrade) {
        traded_at_ms_ = clock_.steady_ms();
        hurry();
    }
    if (queued_bytes() > setup_.options.queue_max_bytes / 4) above_quarter_ = true;
    return ok_status();
}

void Session::queue_frame(wire::Topic topic, std::string_view payload) {
    append_frame(bufferevent_get_output(events_), topic, payload);
    view_.sent_bytes += kFrameHeadBytes + payload.size();
}

void Session::on_written() {
    if (state_ == State::kEnded) {
        if (queued_bytes() == 0) release();
        return;
    }
    if (state_ != State::kUp || !above_quarter_) return;
    if (queued_bytes() > setup_.options.queue_max_bytes / 4) return;
    above_quarter_ = false;
    setup_.owner.drained(*this);
}

void Session::end(const Error &why, bool tell) {
    if (state_ == State::kEnded) return;
    const auto keep = shared_from_this();
    state_ = State::kEnded;
    tick_.cancel();
    resume_.cancel();
    deadline_.cancel();
    setup_.owner.ended(*this, why);
    if (!tell || !tls_stands_ || events_ == nullptr) {
        release();
        return;
    }
    bufferevent_disable(events_, EV_READ);
    bufferevent_setwatermark(events_, EV_WRITE, 0, 0);
    queue_frame(wire::Topic::kBye, printable(why.message, kMaxByeBytes));
    deadline_ = setup_.loop.after_ms(kLingerMs, [this] {
        const auto held = shared_from_this();
        release();
    });
}

void Session::release() {
    CHAIN_CHECK(state_ == State::kEnded);
    if (dispatching_) {
        release_due_ = true;
        return;
    }
    if (events_ == nullptr) return;
    abandon();
    setup_.owner.gone(*this);
}

void Session::abandon() {
    state_ = State::kEnded;
    tick_.cancel();
    resume_.cancel();
    deadline_.cancel();
    free_connection();
}

// libevent frees at its next turn: what it watches must not be another file's number by then.
void Session::forget_events() {
    bufferevent_disable(events_, EV_READ | EV_WRITE);
    bufferevent_free(std::exchange(events_, nullptr));
}

void Session::free_connection() {
    if (events_ == nullptr) return;
    SSL *ssl = bufferevent_openssl_get_ssl(events_);
    const FileDescriptor socket(bufferevent_getfd(events_));
    forget_events();
    SSL_free(ssl);
}

void Session::hand_over() {
    CHAIN_CHECK(state_ == State::kVerified && !channel_.empty());
    bufferevent_disable(events_, EV_READ);
    // Not from inside of what reads it; and our own Hello must have left.
    constexpr std::uint64_t kAgainMs = 1;
    tick_ = setup_.loop.every_ms(kAgainMs, [this] {
        const auto keep = shared_from_this();
        try_hand_over();
    });
}

void Session::try_hand_over() {
    if (state_ != State::kVerified || queued_bytes() > 0) return;
    state_ = State::kEnded;
    tick_.cancel();
    deadline_.cancel();
    evbuffer *input = bufferevent_get_input(events_);
    Bytes early(evbuffer_get_length(input), '\0');
    evbuffer_remove(input, early.data(), early.size());
    SSL *ssl = bufferevent_openssl_get_ssl(events_);
    FileDescriptor socket(bufferevent_getfd(events_));
    forget_events();
    setup_.owner.handed_over(*this, Channel(ssl, std::move(socket), std::move(early)));
    setup_.owner.gone(*this);
}

std::optional<PeerAddress> Session::reached_at() const {
    return listens_ ? std::optional(remote_) : std::nullopt;
}

std::uint64_t Session::quiet_ms() const {
    return clock_.steady_ms() - heard_at_ms_;
}

std::uint64_t Session::since_trade_ms() const {
    return traded_at_ms_ ? clock_.steady_ms() - *traded_at_ms_ : UINT64_MAX;
}

std::size_t Session::queued_bytes() const {
    return events_ == nullptr ? 0 : evbuffer_get_length(bufferevent_get_output(events_));
}

PeerView Session::view() const {
    return view_;
}

}  // namespace chain::p2p
