// SPDX-License-Identifier: BSD-3-Clause
//
// ProviderLeg: how a leg ends: the last reading, the results, the settlement.
#include <algorithm>

#include "chain/base/log.h"
#include "chain/daemon/provider_leg.h"
#include "chain/provider/lease_folder.h"

namespace chain::daemon {
namespace {

constexpr std::string_view kCategory = "provider";

}  // namespace

// What a group counts and limits is gone with it: after the last process.
void ProviderLeg::stop_running() {
    sandbox_.reset();
    meter_.reset();
    group_.reset();
}

void ProviderLeg::pack() {
    look_at_limits();
    if (!renter_here_) return close();
    send_reading(true);
    last_reading_sent_ = true;
    stop_running();
    set_deadline(kStagingMaxMs, [this] { close(); });
    struct Found {
        std::vector<provider::StagedFile> files;
        std::string error;
    };
    auto found = std::make_shared<Found>();
    node_.workers.run(
        [found, folder = lease_folder_ + "/job", staged = staged_, globs = stage_out_] {
            auto files = provider::collect_results(folder, staged, globs, kStageBytesMax);
            if (files.ok())
                found->files = std::move(*files);
            else
                found->error = files.error().message;
        },
        [this, found, alive = alive_] {
            if (!*alive || phase_ != Phase::kPacking) return;
            if (!found->error.empty()) return fail_results(found->error);
            results_ = std::make_unique<provider::StageSender>(std::move(found->files));
            send_results();
        });
}

void ProviderLeg::send_results() {
    constexpr std::size_t kQueueEnoughBytes = 2u << 20;
    while (results_ != nullptr && node_.network.queued_bytes(peer_) < kQueueEnoughBytes) {
        auto next = results_->next();
        if (!next.ok()) return fail_results(next.error().message);
        if (!next->has_value()) {
            results_.reset();
            break;
        }
        wire::TradeMessage message = std::move(**next);
        message.set_lease_id(to_bytes(key_.lease));
        message.set_leg(key_.leg);
        if (!node_.send_trade(peer_, message).ok()) return;  // lost: on_renter_lost follows
    }
    if (results_ != nullptr) return;  // on_drained goes on
    finish_results();
}

// The renter is told that there is no more to wait for, and why.
void ProviderLeg::fail_results(const std::string &why) {
    log(LogLevel::kWarning, kCategory, "results: ", why);
    wire::TradeMessage message = trade_message(key_);
    message.mutable_stage_done()->set_error(why);
    static_cast<void>(node_.send_trade(peer_, message));
    results_.reset();
    finish_results();
}

void ProviderLeg::finish_results() {
    results_sent_ = true;
    if (voucher_sequence_ >= last_reading_.sequence()) return close();
    set_deadline(kLastVoucherWaitMs, [this] { close(); });
}

void ProviderLeg::on_drained() {
    if (phase_ == Phase::kPacking && results_ != nullptr) send_results();
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
        log(LogLevel::kWarning, kCategory, "close of lease ", short_hex(key_.lease), ": ",
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
