// SPDX-License-Identifier: BSD-3-Clause
//
// Network: sessions with other daemons. TLS 1.3 over TCP with throw-away certificates; inside it
// each side proves its node key by signing the TLS exporter (channel binding), so that no one
// stands between. Carries bytes by topic and knows no money.
//
// Owner: the loop's thread. Limits: kMaxPeerFrameBytes per frame, checked before allocation;
// Options::peers_max sessions; Options::queue_max_bytes waiting to be sent per peer. A protocol
// violation ends the session at once, and for a day nothing is had to do with that host: it is not
// accepted, and dialled only for who names it (keep_connected, connect).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chain/base/loop.h"
#include "chain/identity/keys.h"
#include "chain/p2p/channel.h"
#include "chain/wire/frame.h"

namespace chain::wire {
class MeetingMessage;
}

namespace chain::p2p {

class RelayPolicy;

struct PeerView {
    PublicKey node_key{};
    // host:port: of the connection; for inbound ones with its listening port, for relayed ones of
    // the relay.
    std::string address;
    std::optional<PublicKey> relay;  // through whom
    std::string local_host;          // our end of the connection
    std::string software;
    bool inbound = false;
    std::uint64_t connected_at_ms = 0;  // Unix time
    std::uint64_t heard_at_ms = 0;
    std::uint64_t received_bytes = 0;
    std::uint64_t sent_bytes = 0;
    std::uint32_t round_trip_us = 0;  // 0: not known yet (chain/base/round_trip.h)
};

// Whether this node carries what two peers say who cannot connect to each other, and how much of
// it.
struct RelayOptions {
    // kIfPublic: where the machine itself has a public address, and not by favour of a home's
    // router.
    enum class When { kNever, kIfPublic, kAlways };
    When when = When::kIfPublic;
    std::size_t connections_max = 64;
    std::size_t of_one_peer_max = 16;           // that asked for them
    std::uint64_t bytes_per_second = 4u << 20;  // of all, both directions counted
    std::uint64_t bytes_per_connection_max = 16ULL << 30;
    std::uint64_t idle_ms = 30'000;
};

struct Options {
    std::string listen_address = "127.0.0.1";
    std::uint16_t listen_port = 0;  // 0 with `listen`: any free port
    bool listen = true;
    std::string announce_address;  // host:port for others; empty: found out
    Bytes32 chain_id{};
    std::string software;
    std::size_t peers_max =
        80;  // less outbound_target, the largest devnet's still reach its sealer
    // How peers are found. With none of the three, nobody is dialled but who is named.
    std::vector<std::string> seeds;  // host:port: dialled when the address book has nothing
    std::string address_book_path;   // empty: no address book
    bool discover_lan = false;       // by multicast DNS on private networks
    // Sessions that this node chooses and dials itself. So many places of peers_max are kept from
    // inbound ones.
    std::size_t outbound_target = 8;
    bool map_port = false;  // asks the router to pass the port on (chain/p2p/port_mapping.h)
    RelayOptions relay;
    RelayPolicy *relay_policy = nullptr;  // null: the free one
    bool discourage_loopback = false;     // chain/p2p/discouraged.h
    std::size_t queue_max_bytes = 8u << 20;
    std::uint64_t handshake_timeout_ms = 5000;
    // Both are kCalmFactor times as long for a session that is older than young_ms and that no
    // lease depends on.
    std::uint64_t young_ms = 6'000;
    std::uint64_t ping_every_ms = 500;
    // A peer that says nothing for so long is lost: noticed within 3 s of its last word, and what
    // it takes to look.
    std::uint64_t silent_after_ms = 2700;
};

class Network {
public:
    // Errors of start(): kConflict (address in use), kInvalidInput (no such address, or something
    // that this program was built without), kPermission.
    static Result<std::unique_ptr<Network>> start(Loop &loop, const KeyPair &node_key,
                                                  Options options);
    virtual ~Network() = default;

    virtual std::string listen_address() const = 0;  // host:port really bound; empty: none
    // host:port for others to connect to; empty: none. Changes as sessions come and go when every
    // address of the machine is listened on.
    virtual std::string reachable_address() const = 0;

    // Keeps a session to `address` up, with growing pauses between tries, until the end.
    virtual void keep_connected(const std::string &address) = 0;
    // One try. `done` gets the peer's key, or why not: kTimeout, kPeerLost, kProtocol (another
    // network, not the `expected` key).  An existing session with that key is reused. Who is
    // `expected` and does not answer at `address`, which may be empty then, is reached by a
    // meeting: it calls back, or both go by a relay.
    virtual void connect(const std::string &address, const PublicKey *expected,
                         std::function<void(Result<PublicKey>)> done) = 0;

    // Queued. Errors: kPeerLost (no session), kTooLarge (queue full: try again after on_drained).
    virtual Status send(const PublicKey &peer, wire::Topic topic, std::string_view payload) = 0;
    virtual std::size_t queued_bytes(const PublicKey &peer) const = 0;
    // To every peer but `except` (may be null). Peers whose queue is full are passed over.
    virtual void broadcast(wire::Topic topic, std::string_view payload,
                           const PublicKey *except) = 0;

    // One try. A channel of its own with the peer, which the other daemon's on_channel handler gets
    // at the same time, or drops unread if it expects none. `label`: 1 to kMaxChannelLabelBytes.
    // By a relay only where `may_relay`. Errors as of connect().
    using ChannelDone = std::function<void(Result<Channel>)>;
    virtual void open_channel(const std::string &address, const PublicKey &expected,
                              std::string_view label, bool may_relay, ChannelDone done) = 0;
    using ChannelHandler =
        std::function<void(const PublicKey &peer, std::string_view label, Channel channel)>;
    virtual void on_channel(ChannelHandler handler) = 0;

    using MessageHandler = std::function<void(const PublicKey &peer, std::string_view payload)>;
    using PeerHandler = std::function<void(const PublicKey &peer, bool up, const std::string &why)>;
    using DrainHandler = std::function<void(const PublicKey &peer)>;
    virtual void on_message(wire::Topic topic, MessageHandler handler) = 0;  // one per topic
    virtual void on_peer(PeerHandler handler) = 0;      // any number of handlers
    virtual void on_drained(DrainHandler handler) = 0;  // queue fell below a quarter of its limit

    // Whether this node is told of peers that seek it and do not reach it; at the beginning it is
    // not.
    virtual void be_sought(bool willing) = 0;
    // What the relay policy has to say to a peer. Errors as of send().
    virtual Status send_meeting(const PublicKey &peer, const wire::MeetingMessage &message) = 0;

    // Ends every session and handshake: the node key that start() was given has become another one.
    // Kept addresses are connected again, from either side.
    virtual void greet_anew(const std::string &why) = 0;
    // Ends the session and discourages the peer's host: for peers that broke a rule of a layer
    // above.
    virtual void disconnect(const PublicKey &peer, const std::string &why) = 0;
    virtual bool connected(const PublicKey &peer) const = 0;
    virtual std::vector<PeerView> peers() const = 0;
};

}  // namespace chain::p2p
