// SPDX-License-Identifier: BSD-3-Clause
//
// The part of NetworkImpl that reaches a node key: by its address, and, where that does not lead
// there soon, by a meeting. And what meetings need of the network.
#include <algorithm>

#include "chain/base/log.h"
#include "chain/p2p/limits.h"
#include "chain/p2p/network_impl.h"
#include "chain/p2p/reachable.h"

namespace chain::p2p {

// ---- both ways

void NetworkImpl::reach(Dial dial, bool may_relay) {
    if (meeting_points().empty()) {
        if (!dial.address.empty()) return this->dial(std::move(dial));
        const Error why = make_error(ErrorCode::kPeerLost,
                                     "it has no address, and no peer could arrange a meeting");
        return later([dial = std::move(dial), why] { dial.fail(why); });
    }
    const std::uint64_t number = next_attempt_++;
    Attempt &attempt = attempts_[number];
    attempt.dial = std::move(dial);
    attempt.may_relay = may_relay;
    attempt.seeks = true;
    attempt.dials = !attempt.dial.address.empty();
    if (attempt.dials) this->dial(dial_of(number, attempt.dial.address, &Attempt::dials));
    give_head_start(number, attempt.dials ? kMeetingHeadStartMs : 0, 1);
}

// Whoever has answered at the address is perhaps only slow: with many peers on one machine, or when
// many come to one peer at once, a search for each of them would be what keeps them from coming.
void NetworkImpl::give_head_start(std::uint64_t number, std::uint64_t ms, unsigned turn) {
    attempts_.at(number).head_start = loop_.after_ms(ms, [this, number, turn] {
        const auto &tried = attempts_.at(number).sessions;
        const bool answered = std::any_of(tried.begin(), tried.end(), [](const auto &each) {
            const auto session = each.lock();
            return session != nullptr && session->has_connection();
        });
        if (answered && turn < kMeetingHeadStarts)
            return give_head_start(number, kMeetingHeadStartMs, turn + 1);
        seek(number);
    });
}

// What `attempt` wants, by one of its ways.
NetworkImpl::Dial NetworkImpl::dial_of(std::uint64_t number, const std::string &address,
                                       bool Attempt::*way) {
    const Dial &whole = attempts_.at(number).dial;
    return {address,
            whole.expected,
            [this, number, way](const Result<PublicKey> &peer) {
                if (!attempts_.contains(number)) return;  // another way was faster
                if (!peer.ok()) return way_failed(number, way, peer.error());
                win(number).done(peer);
            },
            whole.channel,
            [this, number, way](Result<Channel> channel) {
                if (!attempts_.contains(number)) return;
                if (!channel.ok()) return way_failed(number, way, channel.error());
                win(number).channel_done(std::move(channel));
            },
            number};
}

void NetworkImpl::seek(std::uint64_t number) {
    Attempt &attempt = attempts_.at(number);
    attempt.head_start.cancel();
    attempt.search = meetings_->seeker().seek(
        *attempt.dial.expected, attempt.may_relay, [this, number](Result<MetSocket> met) {
            attempts_.at(number).search = 0;
            if (!met.ok()) return way_failed(number, &Attempt::seeks, met.error());
            Connection connection = connection_of(std::move(*met), Role::kClient);
            connection.expected = attempts_.at(number).dial.expected;
            connection.channel = attempts_.at(number).dial.channel;
            start(Session::take_over(*setup_, std::move(connection)),
                  dial_of(number, {}, &Attempt::seeks));
        });
}

void NetworkImpl::way_failed(std::uint64_t number, bool Attempt::*way, const Error &why) {
    Attempt &attempt = attempts_.at(number);
    attempt.*way = false;
    if (way == &Attempt::dials)
        attempt.dial_error = why;
    else
        attempt.seek_error = why;
    if (attempt.dials) return;
    if (attempt.seeks) {
        if (attempt.head_start.active()) seek(number);
        return;
    }
    Error whole = attempt.seek_error;
    whole.message = "not met: " + whole.message;
    if (attempt.dial_error)
        whole =
            make_error(attempt.dial_error->code, attempt.dial_error->message, "; ", whole.message);
    later([dial = win(number), whole] { dial.fail(whole); });
}

// The attempt is over, and what else was tried for it ends.
NetworkImpl::Dial NetworkImpl::win(std::uint64_t number) {
    const auto found = attempts_.find(number);
    Attempt attempt = std::move(found->second);
    attempts_.erase(found);
    meetings_->seeker().cancel(attempt.search);
    for (const auto &tried : attempt.sessions)
        if (const auto session = tried.lock();
            session != nullptr && !session->is_up() && !session->is_ended())
            session->end(make_error(ErrorCode::kCancelled, "another way was faster"), false);
    return std::move(attempt.dial);
}

// ---- for meetings

Connection NetworkImpl::connection_of(MetSocket met, Role role) const {
    Connection connection;
    connection.kind = Connection::Kind::kMet;
    connection.role = role;
    connection.fd = met.socket.release();
    connection.remote = met.remote;
    connection.address = std::move(met.address);
    connection.relay = met.relay;
    connection.time_left_ms = options_.handshake_timeout_ms;
    return connection;
}

Status NetworkImpl::send_meeting(const PublicKey &peer, const wire::MeetingMessage &message) {
    Session *session = up_session(peer);
    if (session == nullptr)
        return make_error(ErrorCode::kPeerLost, "no session with peer ", short_hex(peer));
    return session->send(wire::Topic::kMeeting, message.SerializeAsString());
}

std::vector<PublicKey> NetworkImpl::meeting_points() const {
    std::vector<PublicKey> points;
    for (const auto &[key, session] : up_)
        if (session->reached_at()) points.push_back(key);
    return points;
}

std::optional<PeerAddress> NetworkImpl::reached_at(const PublicKey &peer) const {
    const Session *session = up_session(peer);
    return session == nullptr ? std::nullopt : session->reached_at();
}

std::optional<PeerAddress> NetworkImpl::seen_at(const PublicKey &peer) const {
    const Session *session = up_session(peer);
    if (session == nullptr || session->is_relayed()) return std::nullopt;
    return session->remote();
}

std::uint16_t NetworkImpl::call_port() const {
    const auto parsed = parse_host_port(reachable_address());
    if (!parsed.ok()) return 0;
    const auto own = parse_peer_address(reachable_address());
    // A name is the operator's word for it.
    const Reach reach = own ? reach_of(*own) : Reach::kPublic;
    return reach == Reach::kPublic || reach == Reach::kLoopback ? parsed->port : 0;
}

bool NetworkImpl::relays() const {
    if (listen_address_.empty()) return false;
    if (options_.relay.when != RelayOptions::When::kIfPublic)
        return options_.relay.when == RelayOptions::When::kAlways;
    const auto own =
        parse_peer_address(p2p::reachable_address(listen_address_, peers(), default_route_host()));
    return own && reach_of(*own) == Reach::kPublic;
}

void NetworkImpl::serve(MetSocket met, const PublicKey &seeker, std::function<void(bool)> done) {
    if (handshake_count() >= kHandshakesMax)
        return later([done = std::move(done)] { done(false); });
    Connection connection = connection_of(std::move(met), Role::kServer);
    connection.expected = seeker;
    const auto session = Session::take_over(*setup_, std::move(connection));
    sessions_.emplace(session.get(), session);
    served_[session.get()] = std::move(done);
}

void NetworkImpl::finish_served(const Session &session, bool proved) {
    const auto found = served_.find(&session);
    if (found == served_.end()) return;
    later([done = std::move(found->second), proved] { done(proved); });
    served_.erase(found);
}

void NetworkImpl::be_sought(bool willing) {
    std::vector<PublicKey> peers;
    for (const auto &[key, session] : up_) peers.push_back(key);
    meetings_->sought().be_willing(willing, peers);
}

}  // namespace chain::p2p
