// SPDX-License-Identifier: BSD-3-Clause
//
// What stands behind Network: the listener, the sessions, and who dials whom.
//
// One session per pair: of the two daemons the one with the smaller node key decides. It keeps the
// session that it verified first and refuses later ones; the other one takes a session for up when
// the first frame of the decider comes over it. So both keep the same one, and no frame is ever
// sent over a session that loses. Only a session that fell silent gives way to a new one.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <unordered_map>
#include <vector>

#include "chain/p2p/address.h"
#include "chain/p2p/address_book.h"
#include "chain/p2p/address_exchange.h"
#include "chain/p2p/connector.h"
#include "chain/p2p/discouraged.h"
#include "chain/p2p/doorstep.h"
#include "chain/p2p/meetings.h"
#include "chain/p2p/port_mapping.h"
#include "chain/p2p/session.h"

struct evconnlistener;

namespace chain::p2p {

class LanDiscovery;

class NetworkImpl final : public Network,
                          private SessionOwner,
                          private Dialler,
                          private MeetingNetwork {
public:
    NetworkImpl(Loop &loop, const KeyPair &node_key, Options options);
    ~NetworkImpl() override;

    Status listen();
    Status find_peers();  // after listen()

    std::string listen_address() const override { return listen_address_; }
    std::string reachable_address() const override;
    void keep_connected(const std::string &address) override;
    void connect(const std::string &address, const PublicKey *expected,
                 std::function<void(Result<PublicKey>)> done) override;
    Status send(const PublicKey &peer, wire::Topic topic, std::string_view payload) override;
    std::size_t queued_bytes(const PublicKey &peer) const override;
    void broadcast(wire::Topic topic, std::string_view payload, const PublicKey *except) override;
    void open_channel(const std::string &address, const PublicKey &expected, std::string_view label,
                      bool may_relay, ChannelDone done) override;
    void on_channel(ChannelHandler handler) override;
    void on_message(wire::Topic topic, MessageHandler handler) override;
    void on_peer(PeerHandler handler) override;
    void on_drained(DrainHandler handler) override;
    void be_sought(bool willing) override;
    Status send_meeting(const PublicKey &peer, const wire::MeetingMessage &message) override;
    void greet_anew(const std::string &why) override;
    void disconnect(const PublicKey &peer, const std::string &why) override;
    bool connected(const PublicKey &peer) const override;
    std::vector<PeerView> peers() const override;

private:
    using Done = std::function<void(Result<PublicKey>)>;
    struct PeerChange {
        PublicKey peer;
        bool up;
        std::string why;
    };
    // An address that keep_connected holds.
    struct Kept {
        std::string address;
        std::uint64_t backoff_ms = 0;
        std::uint64_t up_since_ms = 0;
        std::optional<PublicKey> peer;  // while a session with it stands
        LoopHandle retry;
    };

    void verified(Session &session) override;
    void admitted(Session &session) override;
    void received(Session &session, wire::Topic topic, std::string_view payload) override;
    void drained(Session &session) override;
    void ended(Session &session, const Error &why) override;
    void handed_over(Session &session, Channel channel) override;
    void gone(Session &session) override;

    // For the connector.
    void dial(const std::string &host_port, Done done) override;
    std::set<PeerAddress> connected_addresses() const override;
    std::optional<PeerAddress> dialled_address(const PublicKey &peer) const override;
    bool is_discouraged(const PeerAddress &address) const override;
    bool is_own(const PeerAddress &address) const override;

    // For meetings.
    std::vector<PublicKey> meeting_points() const override;
    std::optional<PeerAddress> reached_at(const PublicKey &peer) const override;
    std::optional<PeerAddress> seen_at(const PublicKey &peer) const override;
    std::uint16_t call_port() const override;
    bool relays() const override;
    void serve(MetSocket met, const PublicKey &seeker, std::function<void(bool)> done) override;

    void accept_socket(int fd, const sockaddr *from, int from_bytes);
    void take_caught(Caught caught);
    void take_token(Caught caught, const Bytes32 &token);
    // What is to be dialled, and for what.
    struct Dial {
        std::string address;
        std::optional<PublicKey> expected;
        Done done;
        Bytes channel;              // empty: a session, and `done` is told
        ChannelDone channel_done;   // else this
        std::uint64_t attempt = 0;  // that it is a way of; 0: none
        void fail(const Error &why) const;
    };
    // One peer that is wanted by its key: its address is dialled, and a meeting sought a little
    // later, or as soon as that has failed. The first connection counts.
    struct Attempt {
        Dial dial;
        bool may_relay = false;
        bool dials = false;  // that way is still open, as is
        bool seeks = false;
        std::uint64_t search = 0;
        std::optional<Error> dial_error;
        Error seek_error;
        std::vector<std::weak_ptr<Session>> sessions;
        LoopHandle head_start;
    };
    void reach(Dial dial, bool may_relay);
    void give_head_start(std::uint64_t number, std::uint64_t ms, unsigned turn);
    Dial dial_of(std::uint64_t number, const std::string &address, bool Attempt::*way);
    void seek(std::uint64_t number);
    void way_failed(std::uint64_t number, bool Attempt::*way, const Error &why);
    Dial win(std::uint64_t number);
    Connection connection_of(MetSocket met, Role role) const;
    void finish_served(const Session &session, bool proved);
    void dial(Dial dial);
    void start(const std::shared_ptr<Session> &session, Dial dial);
    void dial_resolved(const Result<SocketAddress> &to, Dial dial);
    void finish_channel(Session &session, Result<Channel> outcome);
    void try_kept(Kept &kept);
    void retry_kept(Kept &kept);
    void peer_left(const PublicKey &peer);
    // Who must go so that `session`, which is verified, has a place; null: nobody. Errors:
    // kRefused (there is no room).
    Result<Session *> room_for(const Session &session) const;
    bool make_room(Session &session);
    void install(Session &session);
    void strike(const Session &session);
    void finish_dials(Session &session, const Result<PublicKey> &outcome);
    Session *rival_of(const Session &session);
    Session *up_session(const PublicKey &peer) const;
    std::size_t handshake_count() const;
    void later(std::function<void()> work);
    void run_later();
    void note_change(const PublicKey &peer, bool up, std::string why);
    void deliver_changes();
    WorkerPool &worker();
    std::size_t outbound_places() const;
    void save_book();
    Status search_local_network();
    Status map_port();

    Loop &loop_;
    const KeyPair &node_key_;
    const Options options_;
    const TlsContext tls_;
    std::string listen_address_;
    evconnlistener *listener_ = nullptr;
    LoopHandle listen_again_;
    std::optional<SessionSetup> setup_;
    std::optional<Doorstep> doorstep_;  // nothing: nobody is listened to
    std::unordered_map<Session *, std::shared_ptr<Session>> sessions_;  // also ended ones
    std::unordered_map<Session *, std::vector<Done>> dials_;
    std::unordered_map<Session *, ChannelDone> channel_dials_;
    std::map<std::uint64_t, Attempt> attempts_;
    std::uint64_t next_attempt_ = 1;
    std::unordered_map<const Session *, std::function<void(bool)>> served_;
    std::map<PublicKey, Session *> up_;
    std::deque<Kept> kept_;  // addresses of elements stay
    std::array<std::shared_ptr<MessageHandler>, 256> message_handlers_;
    std::vector<std::shared_ptr<PeerHandler>> peer_handlers_;
    std::shared_ptr<DrainHandler> drain_handler_;
    std::shared_ptr<ChannelHandler> channel_handler_;
    std::deque<PeerChange> changes_;
    bool delivering_ = false;
    std::deque<std::function<void()>> later_;
    LoopHandle later_timer_;
    Discouraged discouraged_;
    std::unique_ptr<AddressBook> book_;  // null: none
    std::optional<AddressExchange> exchange_;
    std::optional<Connector> connector_;
    std::shared_ptr<LanDiscovery> lan_;  // not unique: its type may be missing (libldns)
    std::unique_ptr<PortMapping> mapping_;
    std::optional<PeerAddress> mapped_address_;
    RelayPolicy free_policy_;
    std::optional<Meetings> meetings_;
    LoopHandle save_timer_;
    LoopHandle announce_timer_;
    std::unique_ptr<WorkerPool> worker_;   // asks the resolver, writes the book
    std::shared_ptr<NetworkImpl *> self_;  // empty target once destroyed: for the worker's thread
};

}  // namespace chain::p2p
