// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/network.h"

#include <algorithm>
#include <cerrno>

#include <event2/event.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <unistd.h>

#include "chain/base/file.h"
#include "chain/base/log.h"
#include "chain/p2p/eviction.h"
#include "chain/p2p/limits.h"
#include "chain/p2p/network_impl.h"
#include "chain/p2p/reachable.h"

namespace chain::p2p {

Result<std::unique_ptr<Network>> Network::start(Loop &loop, const KeyPair &node_key,
                                                Options options) {
    CHAIN_CHECK(options.ping_every_ms > 0 && options.silent_after_ms > options.ping_every_ms);
    CHAIN_CHECK(options.queue_max_bytes > 0 && options.handshake_timeout_ms > 0);
    auto network = std::make_unique<NetworkImpl>(loop, node_key, std::move(options));
    CHAIN_TRY(network->listen());
    CHAIN_TRY(network->find_peers());
    return std::unique_ptr<Network>(std::move(network));
}

NetworkImpl::NetworkImpl(Loop &loop, const KeyPair &node_key, Options options)
    : loop_(loop),
      node_key_(node_key),
      options_(std::move(options)),
      discouraged_(system_clock(), options_.discourage_loopback),
      self_(std::make_shared<NetworkImpl *>(this)) {}

NetworkImpl::~NetworkImpl() {
    *self_ = nullptr;
    if (listener_ != nullptr) evconnlistener_free(listener_);
    for (auto &[session, owner] : sessions_) session->abandon();
    worker_.reset();  // what it writes is older than the book that is written now
    if (book_ != nullptr) write_address_book(options_.address_book_path, book_->format());
}

Status NetworkImpl::listen() {
    std::uint16_t port = 0;
    if (options_.listen) {
        auto bound = resolve({options_.listen_address, options_.listen_port}, true);
        if (!bound.ok())
            return make_error(ErrorCode::kInvalidInput, "cannot listen on '",
                              options_.listen_address, "': ", bound.error().message);
        listener_ = evconnlistener_new_bind(
            loop_.base(),
            [](evconnlistener *, evutil_socket_t fd, sockaddr *from, int from_bytes, void *self) {
                static_cast<NetworkImpl *>(self)->accept_socket(fd, from, from_bytes);
            },
            this, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, SOMAXCONN,
            bound->get(), static_cast<int>(bound->size_bytes));
        if (listener_ == nullptr) {
            const int failed = errno;
            const std::string where =
                options_.listen_address + ":" + std::to_string(options_.listen_port);
            if (failed == EADDRINUSE)
                return make_error(ErrorCode::kConflict, "cannot listen on ", where,
                                  ": another program does");
            if (failed == EADDRNOTAVAIL)
                return make_error(ErrorCode::kInvalidInput, "cannot listen on ", where,
                                  ": this machine has no such address");
            return errno_error(failed, "listen on " + where);
        }
        // Without descriptors accept() fails at once, for as long as somebody knocks.
        evconnlistener_set_error_cb(listener_, [](evconnlistener *listener, void *self) {
            auto *network = static_cast<NetworkImpl *>(self);
            log(LogLevel::kWarning, "p2p", "cannot accept connections: ",
                evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
            evconnlistener_disable(listener);
            network->listen_again_ = network->loop_.after_ms(
                kAcceptPauseMs, [listener] { evconnlistener_enable(listener); });
        });
        SocketAddress real;
        real.size_bytes = sizeof real.storage;
        CHAIN_CHECK(getsockname(evconnlistener_get_fd(listener_),
                                reinterpret_cast<sockaddr *>(&real.storage),
                                &real.size_bytes) == 0);
        listen_address_ = format_address(real.get(), real.size_bytes);
        CHAIN_ASSIGN(const HostPort parsed, parse_host_port(listen_address_));
        port = parsed.port;
        doorstep_.emplace(
            loop_, system_clock(), options_.handshake_timeout_ms,
            [this](Caught caught) { take_caught(std::move(caught)); },
            [this](Caught caught, const Bytes32 &token) { take_token(std::move(caught), token); });
    }
    setup_.emplace(SessionSetup{loop_, node_key_, options_, tls_, port, *this});
    meetings_.emplace(loop_, system_clock(), static_cast<MeetingNetwork &>(*this), options_.relay,
                      options_.relay_policy != nullptr ? *options_.relay_policy : free_policy_);
    return ok_status();
}

void NetworkImpl::accept_socket(int fd, const sockaddr *from, int from_bytes) {
    FileDescriptor socket(fd);
    const auto address = peer_address(from);
    if (handshake_count() >= kHandshakesMax || (address && is_discouraged(*address))) return;
    doorstep_->take({std::move(socket), address.value_or(PeerAddress{}),
                     format_address(from, static_cast<socklen_t>(from_bytes)),
                     system_clock().steady_ms()});
}

void NetworkImpl::take_caught(Caught caught) {
    Connection connection;
    connection.fd = caught.socket.release();
    connection.remote = caught.remote;
    connection.address = std::move(caught.address);
    // What it took to say the first byte counts.
    const std::uint64_t passed_ms = system_clock().steady_ms() - caught.came_at_ms;
    connection.time_left_ms =
        options_.handshake_timeout_ms - std::min(passed_ms, options_.handshake_timeout_ms);
    const auto session = Session::take_over(*setup_, std::move(connection));
    sessions_.emplace(session.get(), session);
}

void NetworkImpl::take_token(Caught caught, const Bytes32 &token) {
    meetings_->take(token, {std::move(caught.socket), caught.remote, caught.address, {}});
}

// Inbound connections that are not up: those that have not begun, handshakes, and ended ones that
// still say Bye.
std::size_t NetworkImpl::handshake_count() const {
    const auto handshakes = static_cast<std::size_t>(
        std::count_if(sessions_.begin(), sessions_.end(), [](const auto &entry) {
            return entry.first->role() == Role::kServer && !entry.first->is_up();
        }));
    return handshakes + (doorstep_ ? doorstep_->count() : 0);
}

// ---- sessions

Session *NetworkImpl::up_session(const PublicKey &peer) const {
    const auto found = up_.find(peer);
    return found == up_.end() ? nullptr : found->second;
}

// Another live session with the same peer, not `session`.
Session *NetworkImpl::rival_of(const Session &session) {
    Session *up = up_session(session.peer_key());
    if (up != nullptr && up != &session) return up;
    for (auto &[other, owner] : sessions_)
        if (other != &session && other->is_verified() && other->channel().empty() &&
            other->peer_key() == session.peer_key())
            return other;
    return nullptr;
}

void NetworkImpl::verified(Session &session) {
    finish_served(session, true);
    if (!session.channel().empty()) return session.hand_over();
    Session *existing = up_session(session.peer_key());
    if (existing == nullptr) {
        const auto room = room_for(session);
        if (!room.ok()) return session.end(room.error(), true);
    }
    const bool we_decide = node_key_.public_key() < session.peer_key();
    if (!we_decide) return;  // the peer's first frame admits it
    if (existing != nullptr) {
        if (existing->quiet_ms() * 2 < existing->ping_every_ms() * 3) {
            finish_dials(session, session.peer_key());
            session.end(make_error(ErrorCode::kConflict, "a session of this pair stands already"),
                        true);
            return;
        }
        existing->end(make_error(ErrorCode::kPeerLost, "silent, and connected anew"), true);
    }
    if (!make_room(session)) return;
    session.admit();
    install(session);
}

void NetworkImpl::admitted(Session &session) {
    Session *existing = up_session(session.peer_key());
    if (existing != nullptr && existing != &session)
        existing->end(make_error(ErrorCode::kPeerLost, "silent, and connected anew"), false);
    if (make_room(session)) install(session);
}

Result<Session *> NetworkImpl::room_for(const Session &session) const {
    const bool room = up_.size() < options_.peers_max;
    std::vector<Session *> inbound;
    std::vector<InboundPlace> places;
    for (const auto &[key, other] : up_) {
        if (other->role() == Role::kClient) continue;
        inbound.push_back(other);
        places.push_back({network_group(other->remote()), other->view().connected_at_ms,
                          other->since_trade_ms() < kTradeHoldsMs});
    }
    const bool dialled = session.role() == Role::kClient;
    if (room && (dialled || inbound.size() < options_.peers_max - outbound_places()))
        return nullptr;
    const int evicted = dialled ? -1 : choose_to_evict(places, network_group(session.remote()));
    if (evicted >= 0) return inbound[static_cast<std::size_t>(evicted)];
    return make_error(ErrorCode::kRefused, "no room: ", up_.size(), " sessions are open");
}

bool NetworkImpl::make_room(Session &session) {
    const auto evicted = room_for(session);
    if (!evicted.ok()) {
        session.end(evicted.error(), true);
    } else if (*evicted != nullptr) {
        (*evicted)->end(make_error(ErrorCode::kRefused, "a peer from another network needs room"),
                        true);
    }
    return evicted.ok();
}

void NetworkImpl::install(Session &session) {
    const PublicKey peer = session.peer_key();
    up_[peer] = &session;
    // Only what this side dialled is a note: a stranger must not fill the log as it likes.
    log(session.view().inbound ? LogLevel::kDebug : LogLevel::kNote, "p2p", "peer ",
        short_hex(peer), " at ", session.view().address, " is up");
    if (book_ != nullptr && session.has_dialled()) book_->succeeded(session.remote(), peer);
    exchange_->session_up(session);
    meetings_->peer_came(peer);
    note_change(peer, true, "");
    deliver_changes();
    finish_dials(session, peer);
}

void NetworkImpl::received(Session &session, wire::Topic topic, std::string_view payload) {
    if (topic == wire::Topic::kAddresses) {
        const Status taken = exchange_->received(session, payload);
        if (!taken.ok()) session.end(taken.error(), true);
        return;
    }
    if (topic == wire::Topic::kMeeting) {
        const Status taken = meetings_->received(session.peer_key(), payload);
        if (!taken.ok()) session.end(taken.error(), true);
        return;
    }
    deliver_changes();
    // A copy: the handler may set another one.
    const auto handler = message_handlers_[static_cast<std::size_t>(topic)];
    if (handler != nullptr && *handler) (*handler)(session.peer_key(), payload);
}

void NetworkImpl::drained(Session &session) {
    const auto handler = drain_handler_;
    if (handler != nullptr && *handler) (*handler)(session.peer_key());
}

void NetworkImpl::ended(Session &session, const Error &why) {
    finish_channel(session, why);
    finish_served(session, false);
    // Only who has proved a key is to blame: before that it might be somebody on the way.
    const bool proved = session.peer_key() != PublicKey{};
    if (proved && (why.code == ErrorCode::kProtocol || why.code == ErrorCode::kTooLarge))
        strike(session);
    exchange_->session_gone(session);
    const auto found = up_.find(session.peer_key());
    if (found != up_.end() && found->second == &session) {
        const PublicKey peer = found->first;
        up_.erase(found);
        log(session.view().inbound ? LogLevel::kDebug : LogLevel::kNote, "p2p", "peer ",
            short_hex(peer), " is gone: ", why.message);
        note_change(peer, false, why.message);
        later([this, peer] {
            deliver_changes();
            if (!up_.contains(peer)) meetings_->peer_gone(peer);
            peer_left(peer);
        });
    } else {
        log(LogLevel::kDebug, "p2p", session.view().address, ": ", why.message);
    }
    // The peer keeps another session of this pair: whoever waits for this one gets that one.
    Session *rival = proved && session.channel().empty() ? rival_of(session) : nullptr;
    if (rival != nullptr && rival->is_up()) {
        finish_dials(session, session.peer_key());
    } else if (rival != nullptr && dials_.contains(&session)) {
        auto waiting = std::move(dials_[&session]);
        dials_.erase(&session);
        for (auto &done : waiting) dials_[rival].push_back(std::move(done));
    } else {
        finish_dials(session, why);
    }
}

void NetworkImpl::handed_over(Session &session, Channel channel) {
    if (session.role() == Role::kClient) return finish_channel(session, std::move(channel));
    const auto handler = channel_handler_;
    if (handler != nullptr && *handler)
        (*handler)(session.peer_key(), session.channel(), std::move(channel));
}

void NetworkImpl::gone(Session &session) {
    dials_.erase(&session);
    sessions_.erase(&session);
}

void NetworkImpl::greet_anew(const std::string &why) {
    const auto before = sessions_;  // those that end leave it
    for (const auto &[session, owner] : before)
        if (!session->is_ended()) session->end(make_error(ErrorCode::kCancelled, why), true);
}

void NetworkImpl::disconnect(const PublicKey &peer, const std::string &why) {
    Session *session = up_session(peer);
    if (session == nullptr) return;
    strike(*session);
    session->end(make_error(ErrorCode::kCancelled, why), true);
}

bool NetworkImpl::connected(const PublicKey &peer) const {
    return up_.contains(peer);
}

std::vector<PeerView> NetworkImpl::peers() const {
    std::vector<PeerView> views;
    views.reserve(up_.size());
    for (const auto &[key, session] : up_) views.push_back(session->view());
    return views;
}

std::string NetworkImpl::reachable_address() const {
    if (listen_address_.empty()) return {};
    if (!options_.announce_address.empty()) return options_.announce_address;
    if (mapped_address_) return to_text(*mapped_address_);
    if (!is_any_address(listen_address_)) return listen_address_;
    return p2p::reachable_address(listen_address_, peers(), default_route_host());
}

// ---- frames

Status NetworkImpl::send(const PublicKey &peer, wire::Topic topic, std::string_view payload) {
    CHAIN_CHECK(topic == wire::Topic::kGossip || topic == wire::Topic::kSync ||
                topic == wire::Topic::kTrade);
    Session *session = up_session(peer);
    if (session == nullptr)
        return make_error(ErrorCode::kPeerLost, "no session with peer ", short_hex(peer));
    return session->send(topic, payload);
}

std::size_t NetworkImpl::queued_bytes(const PublicKey &peer) const {
    const Session *session = up_session(peer);
    return session == nullptr ? 0 : session->queued_bytes();
}

void NetworkImpl::broadcast(wire::Topic topic, std::string_view payload, const PublicKey *except) {
    for (const auto &[key, session] : up_) {
        if (except != nullptr && key == *except) continue;
        const Status sent = session->send(topic, payload);
        if (!sent.ok())
            log(LogLevel::kDebug, "p2p", "peer ", short_hex(key),
                " passed over: ", sent.error().message);
    }
}

void NetworkImpl::on_message(wire::Topic topic, MessageHandler handler) {
    message_handlers_[static_cast<std::size_t>(topic)] =
        std::make_shared<MessageHandler>(std::move(handler));
}

void NetworkImpl::on_peer(PeerHandler handler) {
    peer_handlers_.push_back(std::make_shared<PeerHandler>(std::move(handler)));
}

void NetworkImpl::on_drained(DrainHandler handler) {
    drain_handler_ = std::make_shared<DrainHandler>(std::move(handler));
}

void NetworkImpl::on_channel(ChannelHandler handler) {
    channel_handler_ = std::make_shared<ChannelHandler>(std::move(handler));
}

// ---- telling the layers above, in order and never from inside one of their calls

void NetworkImpl::note_change(const PublicKey &peer, bool up, std::string why) {
    changes_.push_back({peer, up, std::move(why)});
}

void NetworkImpl::deliver_changes() {
    if (delivering_) return;
    delivering_ = true;
    while (!changes_.empty()) {
        const PeerChange change = std::move(changes_.front());
        changes_.pop_front();
        const auto handlers = peer_handlers_;
        for (const auto &handler : handlers) (*handler)(change.peer, change.up, change.why);
    }
    delivering_ = false;
}

void NetworkImpl::later(std::function<void()> work) {
    later_.push_back(std::move(work));
    if (!later_timer_.active()) later_timer_ = loop_.after_ms(0, [this] { run_later(); });
}

void NetworkImpl::run_later() {
    later_timer_.cancel();
    std::deque<std::function<void()>> batch;
    batch.swap(later_);
    for (auto &work : batch) work();
}

}  // namespace chain::p2p
