// SPDX-License-Identifier: BSD-3-Clause
//
// The part of NetworkImpl that finds peers and keeps some away: the address book, what is told of
// addresses, whom the connector may dial, who is discouraged.
#include <algorithm>

#include "chain/base/log.h"
#include "chain/p2p/limits.h"
#include "chain/p2p/network_impl.h"
#include "chain_config.h"

#ifdef HAVE_LDNS
#include "chain/p2p/lan_discovery.h"
#endif

namespace chain::p2p {

Status NetworkImpl::find_peers() {
    const Clock &clock = system_clock();
    if (!options_.address_book_path.empty()) {
        book_ = open_address_book(clock, options_.address_book_path);
        save_timer_ = loop_.every_ms(kAddressBookSaveMs, [this] { save_book(); });
    }
    exchange_.emplace(AddressExchange::Surroundings{
        clock, book_.get(), up_, [this] { return parse_peer_address(reachable_address()); },
        [this](const PeerAddress &address) { return is_discouraged(address); },
        [this] { connector_->addresses_came(); }});
    announce_timer_ = loop_.every_ms(kAnnounceOwnMs, [this] { exchange_->announce_own(); });
    connector_.emplace(loop_, clock, static_cast<Dialler &>(*this), book_.get(), options_.seeds,
                       outbound_places());
    if (options_.discover_lan) CHAIN_TRY(search_local_network());
    return options_.map_port ? map_port() : ok_status();
}

Status NetworkImpl::search_local_network() {
#ifdef HAVE_LDNS
    lan_ = std::make_shared<LanDiscovery>(loop_, system_clock(), options_.chain_id, listen_address_,
                                          [this](const PeerAddress &address) {
                                              if (book_ != nullptr) book_->add(address, nullptr);
                                              connector_->found_nearby(address);
                                          });
    return ok_status();
#else
    return make_error(ErrorCode::kInvalidInput,
                      "the local network cannot be searched: this program was built without "
                      "libldns; apt-get install libldns-dev, and configure again");
#endif
}

Status NetworkImpl::map_port() {
    const auto own = parse_peer_address(listen_address_);
    if (!own) return make_error(ErrorCode::kInvalidInput, "no port to map: nobody is listened to");
    auto mappers = port_mappers();
    if (mappers.empty())
        return make_error(ErrorCode::kInvalidInput,
                          "the router cannot be asked for a port: this program was built without "
                          "libnatpmp and libminiupnpc; apt-get install libnatpmp-dev "
                          "libminiupnpc-dev, and configure again");
    mapping_ = std::make_unique<PortMapping>(loop_, own->port, std::move(mappers),
                                             [this](const std::optional<PeerAddress> &outside) {
                                                 mapped_address_ = outside;
                                                 exchange_->announce_own();
                                             });
    return ok_status();
}

std::size_t NetworkImpl::outbound_places() const {
    const bool finds =
        !options_.seeds.empty() || !options_.address_book_path.empty() || options_.discover_lan;
    return finds ? std::min(options_.outbound_target, options_.peers_max) : 0;
}

void NetworkImpl::save_book() {
    if (!book_->take_changed()) return;
    worker().run([path = options_.address_book_path,
                  file = book_->format()] { write_address_book(path, file); },
                 [] {});
}

// ---- for the connector

void NetworkImpl::dial(const std::string &host_port, Done done) {
    dial({host_port, std::nullopt, std::move(done), {}, {}});
}

std::set<PeerAddress> NetworkImpl::connected_addresses() const {
    std::set<PeerAddress> addresses;
    for (const auto &[key, session] : up_) addresses.insert(session->remote());
    return addresses;
}

std::optional<PeerAddress> NetworkImpl::dialled_address(const PublicKey &peer) const {
    const Session *session = up_session(peer);
    if (session == nullptr || !session->has_dialled()) return std::nullopt;
    return session->remote();
}

bool NetworkImpl::is_own(const PeerAddress &address) const {
    return address == parse_peer_address(reachable_address()) ||
           address == parse_peer_address(listen_address_);
}

// ---- who broke the protocol

bool NetworkImpl::is_discouraged(const PeerAddress &address) const {
    return discouraged_.contains(address);
}

void NetworkImpl::strike(const Session &session) {
    if (session.is_relayed()) return;  // the host is the relay's, which has done nothing
    discouraged_.add(session.remote());
    log(LogLevel::kDebug, "p2p", "peer ", short_hex(session.peer_key()), " at ",
        session.view().address, " broke the protocol");
}

}  // namespace chain::p2p
