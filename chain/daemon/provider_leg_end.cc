// SPDX-License-Identifier: BSD-3-Clause
//
// ProviderLeg: how a leg ends: the last reading, the results, the settlement.
#include <algorithm>
#include <utility>

#include "chain/base/log.h"
#include "chain/daemon/log_categories.h"
#include "chain/daemon/provider_leg.h"
#include "chain/provider/lease_folder.h"

namespace chain::daemon {
// What a group counts and limits is gone with it: after the last process.
void ProviderLeg::stop_running() {
    if (phase_ >= Phase::kPacking) scratch_timer_.cancel();
    if (phase_ >= Phase::kPacking) {
        listener_watch_.cancel();
        listener_.reset();
        stream_.reset();
        network_.reset();
    }
    sandbox_running_ = false;
    sandbox_.reset();
    meter_.reset();
    group_.reset();
}

void ProviderLeg::pack() {
    look_at_limits();
    if (!renter_here_) {
        stop_running();
        give_results(wants_results_);
        return close();
    }
    send_reading(true);
    last_reading_sent_ = true;
    stop_running();
    set_deadline(kStagingMaxMs, [this] { close(); });
    give_results(true);
}

// From here on the folder is the desk's.
void ProviderLeg::give_results(bool renter_is_here) {
    results_.take_over({key_, peer_, std::exchange(lease_folder_, {}), stage_out_,
                        std::move(staged_), renter_is_here},
                       [this, alive = alive_] {
                           if (*alive && phase_ == Phase::kPacking) on_results_given();
                       });
}

void ProviderLeg::on_results_given() {
    results_sent_ = true;
    if (voucher_sequence_ >= last_reading_.sequence()) return close();
    set_deadline(kLastVoucherWaitMs, [this] { close(); });
}

bool ProviderLeg::close_was_lost() const {
    if (phase_ != Phase::kClosing) return false;
    if (!close_tx_.has_value()) return true;
    const TxStatus status = node_.backend.outcome(*close_tx_).status;
    return status == TxStatus::kRejected || status == TxStatus::kUnknown;
}

bool ProviderLeg::has_process(int pid) const {
    if (group_ == nullptr) return false;
    const std::vector<int> pids = group_->processes();
    return std::find(pids.begin(), pids.end(), pid) != pids.end();
}

void ProviderLeg::close() {
    if (phase_ >= Phase::kClosing) return;
    phase_ = Phase::kClosing;
    deadline_.cancel();
    stop_running();
    wire::TxBody body;
    body.mutable_close_lease()->set_lease_id(to_bytes(key_.lease));
    if (record_.has_voucher()) *body.mutable_close_lease()->add_vouchers() = record_.voucher();
    body.mutable_close_lease()->set_disputed(voucher_cycles_ < last_reading_.cycles());
    const auto tx = node_.submit(std::move(body));
    if (!tx.ok()) {
        // The agent's janitor sends it again; the voucher is in the journal.
        log(LogLevel::kWarning, kProviderLog, "close of lease ", short_hex(key_.lease), ": ",
            tx.error().message);
    } else {
        close_tx_ = *tx;
        wire::TradeMessage message = trade_message(key_);
        message.mutable_leg_settled()->set_tx_id(to_bytes(*tx));
        if (renter_here_) static_cast<void>(node_.send_trade(peer_, message));
    }
    remove_folder();
}

}  // namespace chain::daemon
