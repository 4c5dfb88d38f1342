// SPDX-License-Identifier: BSD-3-Clause
//
// What transactions are called, and what they say in words. Never fails: what is shown may not have
// been checked yet.
#include "chain/ledger/types.h"
#include "chain/wire/frame.h"

namespace chain::ledger {
namespace {

std::string text_of(std::string_view key_bytes) {
    const auto key = to_bytes32(key_bytes, "account");
    return key.ok() ? to_address(*key) : "(no account)";
}

std::string short_text_of(std::string_view id_bytes) {
    return to_hex(id_bytes).substr(0, 8);
}

std::string tokens_of(std::int64_t units) {
    const auto amount = amount_from_units(units);
    return amount.ok() ? format_tokens(*amount) : "(no amount)";
}

std::string describe_vote(const wire::SignedVote &vote) {
    wire::VoteBody body;
    if (!body.ParseFromString(vote.body())) return "an unreadable vote";
    return "a vote of " + text_of(body.validator()) + " for block " +
           std::to_string(body.target_height());
}

}  // namespace

std::string_view leg_end_name(LegEnd end) {
    switch (end) {
        case LegEnd::kRunning: return "running";
        case LegEnd::kCompleted: return "completed";
        case LegEnd::kLeft: return "left";
        case LegEnd::kReclaimed: return "reclaimed";
        case LegEnd::kLost: return "lost";
        case LegEnd::kExpired: return "expired";
        case LegEnd::kNotStarted: return "not-started";
        case LegEnd::kNeverSeen: return "never-seen";
        case LegEnd::kVoided: return "voided";
        case LegEnd::kDisputed: return "disputed";
        case LegEnd::kCancelled: return "cancelled";
        case LegEnd::kNoShow: return "no-show";
    }
    CHAIN_CHECK(false);
}

std::string_view tx_kind(const wire::TxBody &body) {
    switch (body.action_case()) {
        case wire::TxBody::kTransfer: return "transfer";
        case wire::TxBody::kPublishResource: return "publish-resource";
        case wire::TxBody::kOpenLease: return "open-lease";
        case wire::TxBody::kClaimVoucher: return "claim-voucher";
        case wire::TxBody::kCloseLease: return "close-lease";
        case wire::TxBody::kExpireLease: return "expire-lease";
        case wire::TxBody::kReportStart: return "report-start";
        case wire::TxBody::kReclaimNotice: return "reclaim-notice";
        case wire::TxBody::kRate: return "rate";
        case wire::TxBody::kStake: return "stake";
        case wire::TxBody::kUnstake: return "unstake";
        case wire::TxBody::kWithdrawStake: return "withdraw-stake";
        case wire::TxBody::kMiningPayout: return "mining-payout";
        case wire::TxBody::kVote: return "vote";
        case wire::TxBody::kEvidence: return "evidence";
        case wire::TxBody::kCommitShares: return "commit-shares";
        case wire::TxBody::kOpenShares: return "open-shares";
        case wire::TxBody::kShareFault: return "share-fault";
        case wire::TxBody::ACTION_NOT_SET: break;
    }
    return "nothing";
}

std::string describe_tx(const wire::TxBody &body) {
    switch (body.action_case()) {
        case wire::TxBody::kTransfer:
            return "sends " + tokens_of(body.transfer().amount()) + " to " +
                   text_of(body.transfer().to());
        case wire::TxBody::kPublishResource:
            // The host name may be anything until the transition has checked it.
            return wire::is_valid_host_name(body.publish_resource().host())
                       ? "lends " + std::to_string(body.publish_resource().slot_count()) +
                             " slots of " + body.publish_resource().host()
                       : "lends a machine without a valid name";
        case wire::TxBody::kOpenLease: {
            std::uint64_t slot_count = 0;
            for (const auto &leg : body.open_lease().legs()) slot_count += leg.slot_count();
            return (body.open_lease().starts_at_ms() > 0 ? "reserves " : "leases ") +
                   std::to_string(slot_count) + " slots in " +
                   std::to_string(body.open_lease().legs_size()) +
                   (body.open_lease().legs_size() == 1 ? " leg at " : " legs at ") +
                   tokens_of(body.open_lease().price_per_ghz_h()) + " per GHz·h";
        }
        case wire::TxBody::kClaimVoucher: {
            wire::VoucherBody voucher;
            if (!voucher.ParseFromString(body.claim_voucher().voucher().body()))
                return "claims an unreadable voucher";
            return "claims " + tokens_of(voucher.amount()) + " of leg " +
                   std::to_string(voucher.leg()) + " of lease " + short_text_of(voucher.lease_id());
        }
        case wire::TxBody::kCloseLease:
            return "closes lease " + short_text_of(body.close_lease().lease_id()) + " with " +
                   std::to_string(body.close_lease().vouchers_size()) + " vouchers";
        case wire::TxBody::kExpireLease:
            return "settles what is due of lease " + short_text_of(body.expire_lease().lease_id());
        case wire::TxBody::kReportStart:
            return (body.report_start().started() ? "has started its legs of lease "
                                                  : "does not start its legs of lease ") +
                   short_text_of(body.report_start().lease_id());
        case wire::TxBody::kReclaimNotice:
            return "reclaims its machine from lease " +
                   short_text_of(body.reclaim_notice().lease_id());
        case wire::TxBody::kRate:
            return "rates leg " + std::to_string(body.rate().leg()) + " of lease " +
                   short_text_of(body.rate().lease_id());
        case wire::TxBody::kStake: return "stakes " + tokens_of(body.stake().amount());
        case wire::TxBody::kUnstake: return "unstakes " + tokens_of(body.unstake().amount());
        case wire::TxBody::kWithdrawStake: return "withdraws its unbonded stake";
        case wire::TxBody::kMiningPayout:
            return "pays out " + tokens_of(body.mining_payout().reward()) + " of mining to " +
                   std::to_string(body.mining_payout().shares_size()) + " accounts";
        case wire::TxBody::kVote: return describe_vote(body.vote().vote());
        case wire::TxBody::kEvidence:
            return "brings evidence: " + describe_vote(body.evidence().first()) + " and " +
                   describe_vote(body.evidence().second());
        case wire::TxBody::kCommitShares:
            return "commits to " + std::to_string(body.commit_shares().count()) +
                   " shares of epoch " + std::to_string(body.commit_shares().epoch());
        case wire::TxBody::kOpenShares:
            return "opens " + std::to_string(body.open_shares().openings_size()) +
                   " of its shares of epoch " + std::to_string(body.open_shares().epoch());
        case wire::TxBody::kShareFault:
            return "shows that a share of epoch " + std::to_string(body.share_fault().epoch()) +
                   " of " + text_of(body.share_fault().account()) + " is false";
        case wire::TxBody::ACTION_NOT_SET: break;
    }
    return "does nothing";
}

}  // namespace chain::ledger
