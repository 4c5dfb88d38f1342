// SPDX-License-Identifier: BSD-3-Clause
//
// Vectors, docs/vectors.md: lives of leases as text. What is accepted names only what it has
// declared, in order of time, so that it can be replayed.
#include <set>

#include "tests/chain/backend/vectors.h"
#include "tests/fuzz/target.h"

namespace chain::fuzz {
namespace {

using vectors::Vector;

void check_lease(const std::set<std::string> &opened, const std::string &name) {
    CHAIN_CHECK(opened.contains(name));
}

void check_voucher(const Vector &vector, const std::set<std::string> &opened,
                   const wire::SignedVoucher &voucher) {
    wire::VoucherBody body;
    CHAIN_CHECK(body.ParseFromString(voucher.body()));
    check_lease(opened, body.lease_id());
    CHAIN_CHECK(vector.accounts.contains(voucher.signature()));
}

void check_action(const Vector &vector, const std::set<std::string> &opened,
                  const wire::TxBody &body) {
    for (const auto &leg : body.open_lease().legs())
        CHAIN_CHECK(vector.accounts.contains(leg.provider()));
    for (const auto &share : body.mining_payout().shares())
        CHAIN_CHECK(vector.accounts.contains(share.account()));
    if (body.has_transfer()) CHAIN_CHECK(vector.accounts.contains(body.transfer().to()));
    if (body.has_claim_voucher()) check_voucher(vector, opened, body.claim_voucher().voucher());
    for (const auto &voucher : body.close_lease().vouchers())
        check_voucher(vector, opened, voucher);
    if (body.has_close_lease()) check_lease(opened, body.close_lease().lease_id());
    if (body.has_expire_lease()) check_lease(opened, body.expire_lease().lease_id());
    if (body.has_report_start()) check_lease(opened, body.report_start().lease_id());
    if (body.has_reclaim_notice()) check_lease(opened, body.reclaim_notice().lease_id());
    if (body.has_rate()) check_lease(opened, body.rate().lease_id());
}

void check_accepted(const Vector &vector) {
    CHAIN_CHECK(vector.accounts.size() <= vectors::kAccountsMax);
    CHAIN_CHECK(vector.steps.size() <= vectors::kStepsMax);
    std::set<std::string> opened;
    std::uint64_t before_ms = 0;
    for (const vectors::Step &step : vector.steps) {
        CHAIN_CHECK(step.at_ms > before_ms && step.at_ms <= vectors::kAtMsMax);
        before_ms = step.at_ms;
        CHAIN_CHECK(vector.accounts.contains(step.by));
        CHAIN_CHECK(step.body.action_case() != wire::TxBody::ACTION_NOT_SET);
        check_action(vector, opened, step.body);
        if (step.body.has_open_lease()) opened.insert(step.name);
        for (const auto &[name, fields] : step.check.accounts)
            CHAIN_CHECK(vector.accounts.contains(name));
        for (const auto &[name, legs] : step.check.leases) check_lease(opened, name);
    }
}

}  // namespace

CHAIN_FUZZ_TARGET(vectors) {
    const auto vector = vectors::parse(input);
    if (vector.ok())
        check_accepted(*vector);
    else
        CHAIN_CHECK(is_one_of(vector.error(), {ErrorCode::kInvalidInput, ErrorCode::kTooLarge}));
}

}  // namespace chain::fuzz
