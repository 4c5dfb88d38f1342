// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/results_fetch.h"

#include <algorithm>
#include <utility>

namespace chain::daemon {

ResultsFetch::ResultsFetch(Node &node, const ledger::LeaseId &lease,
                           const wire::ResultsRecord &record, ControlConnectionPtr client,
                           std::uint64_t request_id, std::function<void()> on_end)
    : node_(node),
      lease_(lease),
      client_(std::move(client)),
      request_id_(request_id),
      on_end_(std::move(on_end)) {
    ResultsPlan plan;
    plan.is_fetch = true;
    plan.job_folder = record.job_folder();
    plan.bytes_max = record.stage_max_bytes();
    plan.globs.assign(record.stage_out().begin(), record.stage_out().end());
    for (const wire::StagedName &name : record.staged())
        if (const auto sha256 = to_bytes32(name.sha256(), "hash"); sha256.ok())
            plan.staged[name.name()] = *sha256;
    for (const wire::ResultsLeg &leg : record.legs()) {
        const auto peer = to_bytes32(leg.node_key(), "node key");
        if (leg.has_all() || !peer.ok()) {
            takers_.emplace_back();
            continue;
        }
        plan.key = {lease, static_cast<std::uint32_t>(takers_.size())};
        plan.peer = *peer;
        plan.address = leg.address();
        plan.host = leg.host();
        takers_.push_back(std::make_unique<ResultsTaker>(
            node_, plan,
            ResultsTaker::Listener{[this](const std::string &text) { say(text); },
                                   [this](const std::string &text) {
                                       if (!first_loss_.empty()) return say(text);
                                       first_loss_ = text;  // said at the end
                                   },
                                   [](const std::string &) {},
                                   [this, leg = takers_.size()] { note_all_of(leg); },
                                   [this] { check_ended(); }}));
    }
}

void ResultsFetch::start() {
    for (const auto &taker : takers_)
        if (taker != nullptr) taker->fetch();
    check_ended();
}

void ResultsFetch::on_trade(const PublicKey &peer, const wire::TradeMessage &message) {
    ResultsTaker *const taker =
        message.leg() < takers_.size() ? takers_[message.leg()].get() : nullptr;
    const bool is_of_files = message.has_stage_file() || message.has_stage_list() ||
                             message.has_stage_chunk() || message.has_stage_done();
    if (taker != nullptr && is_of_files && taker->plan().peer == peer) taker->on_message(message);
}

void ResultsFetch::on_peer_lost(const PublicKey &peer, const std::string &why) {
    for (const auto &taker : takers_)
        if (taker != nullptr && taker->plan().peer == peer) taker->on_peer_lost(why);
}

void ResultsFetch::note_all_of(std::size_t leg) {
    std::vector<bool> has_all(takers_.size(), false);
    has_all[leg] = true;
    if (const Status noted = node_.journal.note_results(lease_, has_all); !noted.ok())
        say("journal: " + noted.error().message);
}

void ResultsFetch::on_client_gone() {
    for (const auto &taker : takers_)
        if (taker != nullptr) taker->give_up("nobody waits for it any more");
}

void ResultsFetch::say(const std::string &text) {
    wire::ControlReply reply;
    reply.mutable_lease_progress()->set_stage("results");
    reply.mutable_lease_progress()->set_detail(text);
    client_->reply(request_id_, std::move(reply));
}

void ResultsFetch::check_ended() {
    const bool all = std::all_of(takers_.begin(), takers_.end(), [](const auto &taker) {
        return taker == nullptr || taker->has_ended();
    });
    if (!all || std::exchange(ended_, true)) return;
    if (first_loss_.empty())
        client_->done(request_id_);
    else
        client_->fail(request_id_, make_error(ErrorCode::kNotFound, first_loss_));
    on_end_();
}

}  // namespace chain::daemon
