// SPDX-License-Identifier: BSD-3-Clause
//
// Backend: the white paper's "standard interface of the main chain's users" (section 4.2). The
// market, the daemon's agents and the MCA components know money through this alone; the embedded
// ledger is one implementation, an existing chain can be another.
//
// Owner: the daemon's loop thread; callbacks come on it.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "chain/ledger/types.h"

namespace chain {

// kReorganised: it was included in a block that is no longer in the chain, and is not pending.
enum class TxStatus {
    kUnknown,
    kPending,
    kIncluded,
    kJustified,
    kFinal,
    kReorganised,
    kRejected,
};

// "pending", "final", …; "refused" for kRejected.
std::string_view to_text(TxStatus status);

struct TxOutcome {
    TxStatus status = TxStatus::kUnknown;
    std::uint64_t height = 0;  // of the block, from kIncluded on
    std::string reason;        // kRejected: why
};

// True: in a block that is at least as sure as `wanted`, one of kIncluded, kJustified and kFinal.
constexpr bool is_at_least(TxStatus status, TxStatus wanted) {
    return status >= wanted && status <= TxStatus::kFinal;
}

struct LockedFunds {
    Amount escrow;      // as renter
    Amount collateral;  // as provider
};

class Backend {
public:
    virtual ~Backend() = default;

    virtual const Bytes32 &chain_id() const = 0;
    virtual const incentive::Params &params() const = 0;
    virtual std::uint64_t height() const = 0;
    // Time of the newest block, or now if later: what a transaction sent now will be judged by.
    virtual std::uint64_t chain_time_ms() const = 0;

    // A never used account has balance 0 and nonce 0.
    virtual Result<ledger::Account> account(const PublicKey &account) const = 0;
    // The nonce for the next transaction, counting those still pending.
    virtual Result<std::uint64_t> next_nonce(const PublicKey &account) const = 0;
    // As faded now. A never used account has none.
    virtual Result<incentive::Reputation> reputation(const PublicKey &account) const = 0;
    virtual Result<LockedFunds> locked(const PublicKey &account) const = 0;
    // Errors: kNotFound.
    virtual Result<ledger::Lease> lease(const ledger::LeaseId &id) const = 0;
    // Leases in which `account` is renter or provider, newest first.
    virtual Result<std::vector<ledger::Lease>> leases_of(const PublicKey &account,
                                                         std::size_t count_max) const = 0;
    // Leases that anyone may settle now because their time has passed; the oldest first.
    virtual Result<std::vector<ledger::LeaseId>> expired_leases(std::size_t count_max) const = 0;

    // What `provider` must put up for a leg that is opened now. Errors: kTooLarge, kIo.
    Result<Amount> collateral(const PublicKey &provider, const incentive::LegTerms &leg) const;

    // Checks against the newest state, keeps it as pending and passes it on.
    // Errors: those of the transition (kInsufficientFunds, kConflict …), kNoRoom (too many
    // pending).
    virtual Result<ledger::TxId> submit(const wire::SignedTx &tx) = 0;
    virtual TxOutcome outcome(const ledger::TxId &id) const = 0;

    // For time limits: while nothing is wrong, a transaction is in a block after so long, and its
    // block final after so long again, but for what the network takes.
    virtual std::uint64_t inclusion_wait_ms() const { return 0; }
    virtual std::uint64_t finality_wait_ms() const { return 0; }

    // Calls `fn` after every new block. One subscriber list; never unsubscribed before destruction.
    virtual void on_new_block(std::function<void(std::uint64_t height)> fn) = 0;

    // Calls `fn` when the status of `id` is no longer what it was, the first time with what it is
    // now; not again after kFinal or kRejected. Errors: kTooLarge (kWatchesMax are under way).
    static constexpr std::size_t kWatchesMax = 10'000;
    Status watch(const ledger::TxId &id, std::function<void(const TxOutcome &)> fn);

protected:
    // After every block, and whatever else may have changed an outcome.
    void look_at_watches();

private:
    struct Watch {
        ledger::TxId id;
        TxStatus last = TxStatus::kUnknown;
        std::function<void(const TxOutcome &)> fn;
    };
    std::list<Watch> watches_;
};

}  // namespace chain
