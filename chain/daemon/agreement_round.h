// SPDX-License-Identifier: BSD-3-Clause
//
// AgreementRound: asks the providers that a clearing chose to sign one lease, each for its leg
// (trade.md 3.3). All sign, or it comes to nothing: then they are told, and whoever holds this may
// clear again. Both leases that begin at once and reservations are agreed so.
//
// Owner: the loop's thread. Callbacks come from the loop, never from inside a call, and none after
// the destruction.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "chain/daemon/node.h"
#include "chain/market/clearing.h"

namespace chain::daemon {

inline constexpr std::uint64_t kAgreeWaitMs = 5'000;  // one round trip, and a slow disk
inline constexpr std::uint64_t kAgreeLookMs = 250;

// What a lease of `demand` as it was cleared looks like on the ledger; `starts_at_ms` 0: at once,
// else it is a reservation. Errors: those of Backend::collateral, kNoWallet, kWalletLocked.
Result<wire::TxBody> lease_body(Node &node, const market::Demand &demand,
                                const market::Clearing &clearing, std::uint64_t starts_at_ms);

// kInsufficientFunds unless the renter has what the lease locks; other errors: those of the ledger.
Status check_escrow(Node &node, const market::Demand &demand, const market::Clearing &clearing);

// The bill of a lease that was agreed, before anything was done in it. `hosts`: one for each leg.
wire::Bill first_bill(const ledger::LeaseId &lease, const market::Clearing &clearing,
                      const std::vector<std::string> &hosts);

class AgreementRound {
public:
    struct Party {
        market::Offer offer;
        wire::Propose propose;  // what only this leg is told; the rest is filled in
    };
    struct Events {
        std::function<void(wire::SignedTx)> on_agreed;  // with every signature
        std::function<void(std::uint32_t leg, const std::string &why)> on_refused;  // the first
        std::function<void(const Error &)> on_failed;  // this side's wallet is locked
    };

    AgreementRound(Node &node, Bytes tx_body, std::vector<Party> parties, Events events);
    ~AgreementRound() { *alive_ = false; }

    void start();
    const ledger::LeaseId &lease() const { return lease_; }
    bool has_leg(const PublicKey &peer, const LegKey &key) const;
    // Precondition: has_leg() of its sender.
    void on_trade(const wire::TradeMessage &message);
    // The leg's peer refused or is gone.
    void refuse(std::uint32_t leg, const std::string &why);
    // Tells all providers that nothing comes of it.
    void cancel(const std::string &why);

private:
    void ask(std::uint32_t leg);
    void look_for_silence();
    // Errors: what is wrong with the provider's promise.
    Status check_agreement(std::uint32_t leg, const Bytes &signature) const;
    void agree();
    void fail(const Error &error);
    void finish(std::function<void()> event);

    Node &node_;
    const Bytes tx_body_;
    const ledger::LeaseId lease_;
    const std::vector<Party> parties_;
    Events events_;
    std::vector<Bytes> signatures_;           // by leg; empty: not yet
    std::vector<std::uint64_t> asked_at_ms_;  // steady, by leg; 0: it was not reached yet
    bool is_over_ = false;
    LoopHandle silence_timer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace chain::daemon
