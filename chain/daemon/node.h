// SPDX-License-Identifier: BSD-3-Clause
//
// Node: what the agents of one daemon share. All of it is owned by Daemon and lives on the loop's
// thread; it outlives the agents.
#pragma once

#include <string>

#include "chain/backend/backend.h"
#include "chain/base/clock.h"
#include "chain/base/loop.h"
#include "chain/daemon/journal.h"
#include "chain/daemon/wallet.h"
#include "chain/market/offer_book.h"
#include "chain/p2p/network.h"
#include "chain/wire/peer.pb.h"

namespace chain::daemon {

// When its time is over, the renter ends a lease; its providers do, so much later.
inline constexpr std::uint64_t kEndPatienceMs = 5'000;
// Of one account, the newest first.
inline constexpr std::size_t kLeasesLookedAt = 1'000;

struct Node {
    Loop &loop;
    WorkerPool &workers;
    WorkerPool &web_workers;  // for what waits on other people's servers
    const Clock &clock;
    Backend &backend;
    p2p::Network &network;
    market::OfferBook &book;
    Journal &journal;
    Wallet &wallet;
    const KeyPair &node_key;
    const std::string results_folder;  // where files from peers wait until they are whole

    // Signs with the wallet's key, with the account's next nonce, and submits.
    // Errors: kNoWallet, kWalletLocked, and those of Backend::submit.
    Result<ledger::TxId> submit(wire::TxBody body) const;
    // The body that `submit` would sign: for what others must co-sign.
    Result<wire::TxBody> prepare(wire::TxBody body) const;
    // Those of the book, with the round trips that sessions have measured.
    // `ahead`: what is lent in all, for reservations.
    std::vector<market::Offer> offers(bool ahead = false) const;
    // Errors: those of Network::send.
    Status send_trade(const PublicKey &peer, const wire::TradeMessage &message) const;
};

// Which leg of which lease, between which peers.
struct LegKey {
    ledger::LeaseId lease{};
    std::uint32_t leg = 0;
    friend auto operator<=>(const LegKey &, const LegKey &) = default;
};

wire::TradeMessage trade_message(const LegKey &key);

// "provider-1 (ompc1abcd…)": how messages name a peer.
std::string name_peer(const std::string &host, const PublicKey &account);

}  // namespace chain::daemon
