// SPDX-License-Identifier: BSD-3-Clause
//
// MemoryModel: the rules of the ledger once more, written to be read beside docs/ledger_rules.md.
// Plain maps, no layers, no store, no undo. It is what the other back ends are compared with, so it
// shares with the embedded ledger the decoders, the encodings and the formulas of incentive/, and
// none of the rules.
//
// Owner: one thread. A plain value: a copy is a snapshot.
#pragma once

#include <map>
#include <utility>

#include "chain/ledger/state.h"
#include "chain/ledger/state_digest.h"

namespace chain {

struct MemoryLease {
    ledger::Lease lease;
    std::uint64_t height = 0;  // of the block that opened it
};

class MemoryModel {
public:
    // The state at height 0. `genesis` outlives the model and its copies.
    explicit MemoryModel(const ledger::Genesis &genesis);

    // One transaction as one block of time `time_ms`, reward included; later than now_ms(). On
    // error nothing changes. `signatures` may be null.
    // Errors: those of the rule that refuses it; kTooLarge when a sum leaves the range.
    Status apply_block(const ledger::Tx &tx, std::uint64_t time_ms,
                       ledger::SignatureCache *signatures);

    std::uint64_t height() const { return height_; }
    std::uint64_t now_ms() const { return now_ms_; }  // time of the newest block
    const ledger::Genesis &genesis() const { return *genesis_; }
    ledger::Account account(const PublicKey &who) const;
    // As of the block time `time_ms`.
    incentive::Reputation reputation(const PublicKey &who, std::uint64_t time_ms) const;
    const std::map<ledger::LeaseId, MemoryLease> &leases() const { return leases_; }
    const ledger::Pool &pool() const { return pool_; }

    // Both counted from the maps, anew at each call.
    Bytes32 state_digest() const;
    ledger::Totals totals() const;

private:
    const incentive::Params &params() const { return genesis_->params; }
    Status act(const ledger::Tx &tx);
    Status pay_fee(const ledger::Tx &tx);
    Status pay_block_reward(std::uint64_t parent_ms);

    // memory_model.cc
    Status transfer(const PublicKey &sender, const wire::Transfer &action);
    Status publish_resource(const PublicKey &sender, const wire::PublishResource &action);
    Status mining_payout(const PublicKey &sender, const wire::MiningPayout &action);

    // memory_stake.cc
    Status stake(const PublicKey &sender, const wire::Stake &action);
    Status unstake(const PublicKey &sender, const wire::Unstake &action);
    Status withdraw_stake(const PublicKey &sender);
    Status vote(const wire::Vote &action);
    Status evidence(const PublicKey &sender, const wire::Evidence &action);

    // memory_lease.cc
    Status open_lease(const ledger::Tx &tx);
    Result<ledger::Leg> checked_leg(const wire::LeaseLeg &asked, const ledger::Lease &lease) const;
    Status claim_voucher(const PublicKey &sender, const wire::ClaimVoucher &action);
    Status check_voucher(const ledger::Voucher &voucher, const ledger::Lease &lease) const;
    // False: it is not, or the leg is settled.
    static bool record_if_higher(const ledger::Voucher &voucher, ledger::Lease &lease);

    // memory_lease_end.cc
    Status report_start(const PublicKey &sender, const wire::ReportStart &action);
    Status reclaim_notice(const PublicKey &sender, const wire::ReclaimNotice &action);
    Status close_lease(const PublicKey &sender, const wire::CloseLease &action);
    Status close_by_provider(const PublicKey &sender, ledger::Lease &lease, bool disputed);
    Status close_by_renter(const wire::CloseLease &action, ledger::Lease &lease);
    Status expire_lease(const wire::ExpireLease &action);
    Status rate(const PublicKey &sender, const wire::Rate &action);
    void start_closing(ledger::Leg &leg) const;
    void void_gang(ledger::Lease &lease) const;
    bool accuse_late_starters(ledger::Lease &lease) const;  // whether there are any
    // Of a reserved leg.
    incentive::DueDeposit due_deposit(const ledger::Lease &lease, const ledger::Leg &leg,
                                      Amount deposit, ledger::LegEnd &end) const;
    Status settle(ledger::Lease &lease, ledger::Leg &leg, ledger::LegEnd end);

    // Errors: kProtocol (no id), kNotFound.
    Result<ledger::Lease *> find_lease(std::string_view id_bytes);
    // Sums of money, checked. Errors: kTooLarge, kInsufficientFunds.
    static Status move_in(Amount &to, Amount amount);
    static Status move_out(Amount &from, Amount amount);

    const ledger::Genesis *genesis_;
    std::uint64_t height_ = 0;
    std::uint64_t now_ms_ = 0;
    ledger::SignatureCache *signatures_ = nullptr;  // during apply_block

    std::map<PublicKey, ledger::Account> accounts_;
    std::map<ledger::LeaseId, MemoryLease> leases_;
    std::map<std::pair<PublicKey, PublicKey>, ledger::Resource> resources_;  // account, node key
    std::map<PublicKey, incentive::Reputation> reputations_;
    std::map<PublicKey, ledger::Validator> validators_;
    std::map<std::pair<PublicKey, Bytes32>, ledger::Payout> payouts_;  // sender, round
    ledger::Pool pool_;
};

}  // namespace chain
