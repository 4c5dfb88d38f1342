// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/node.h"

#include <map>

namespace chain::daemon {

Result<wire::TxBody> Node::prepare(wire::TxBody body) const {
    CHAIN_ASSIGN(const KeyPair *key, wallet.key());
    CHAIN_ASSIGN(const std::uint64_t nonce, backend.next_nonce(key->public_key()));
    body.set_chain_id(to_bytes(backend.chain_id()));
    body.set_sender(to_bytes(key->public_key()));
    body.set_nonce(nonce);
    return body;
}

Result<ledger::TxId> Node::submit(wire::TxBody body) const {
    CHAIN_ASSIGN(body, prepare(std::move(body)));
    CHAIN_ASSIGN(const KeyPair *key, wallet.key());
    return backend.submit(ledger::sign_tx(body, *key));
}

std::vector<market::Offer> Node::offers(bool ahead) const {
    std::map<PublicKey, std::uint32_t> round_trips_us;
    for (const p2p::PeerView &peer : network.peers())
        round_trips_us[peer.node_key] = peer.round_trip_us;
    std::vector<market::Offer> offers = ahead ? book.offers_ahead() : book.offers();
    for (market::Offer &offer : offers)
        if (const auto found = round_trips_us.find(offer.node_key); found != round_trips_us.end())
            offer.round_trip_us = found->second;
    return offers;
}

Status Node::send_trade(const PublicKey &peer, const wire::TradeMessage &message) const {
    return network.send(peer, wire::Topic::kTrade, message.SerializeAsString());
}

wire::TradeMessage trade_message(const LegKey &key) {
    wire::TradeMessage message;
    message.set_lease_id(to_bytes(key.lease));
    message.set_leg(key.leg);
    return message;
}

std::string name_peer(const std::string &host, const PublicKey &account) {
    constexpr std::size_t kShownAddressChars = 12;
    return host + " (" + to_address(account).substr(0, kShownAddressChars) + "…)";
}

}  // namespace chain::daemon
