// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/stage_intake.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace chain::daemon {

struct StageIntake::Desk {
    IntakePlan plan;
    std::unique_ptr<stage::ContentStore> own;
    std::optional<stage::Receiver> receiver;
    std::atomic<bool> cancelled = false;

    // The store of its own may hold what an earlier try brought.
    Status open() {
        CHAIN_ASSIGN(own, stage::ContentStore::open(plan.own_folder,
                                                    {.bytes_max = plan.bytes_max,
                                                     .disk_left_bytes = plan.disk_left_bytes}));
        receiver.emplace(stage::ReceiverStores{plan.cache.get(), own.get(), plan.owner},
                         plan.allow_absolute, plan.bytes_max, plan.stores);
        return ok_status();
    }
};

StageIntake::StageIntake(Node &node, LegKey key, PublicKey peer, IntakePlan plan,
                         std::function<void(Status)> on_end)
    : node_(node),
      key_(key),
      peer_(peer),
      desk_(std::make_shared<Desk>()),
      on_end_(std::move(on_end)) {
    desk_->plan = std::move(plan);
}

StageIntake::~StageIntake() {
    *alive_ = false;
    desk_->cancelled = true;
}

const std::vector<stage::StagedFile> &StageIntake::files() const {
    static const std::vector<stage::StagedFile> kNone;
    return desk_->receiver ? desk_->receiver->files() : kNone;
}

const std::string &StageIntake::image() const {
    return desk_->receiver->image();
}

std::uint64_t StageIntake::received_bytes() const {
    return desk_->receiver ? desk_->receiver->received_bytes() : 0;
}

void StageIntake::on_message(const wire::TradeMessage &message) {
    if (ended_) return;
    if (works_)
        return end(make_error(ErrorCode::kProtocol, "the peer sends files before it was asked to"));
    if (!desk_->receiver)
        if (Status opened = desk_->open(); !opened.ok()) return end(std::move(opened));
    stage::Receiver &receiver = *desk_->receiver;
    Status taken = ok_status();
    switch (message.what_case()) {
        case wire::TradeMessage::kStageFile: taken = receiver.on_file(message.stage_file()); break;
        case wire::TradeMessage::kStageChunk:
            taken = receiver.on_chunk(message.stage_chunk());
            break;
        case wire::TradeMessage::kStageList:
            taken = receiver.on_list(message.stage_list());
            if (taken.ok()) return ask();
            break;
        case wire::TradeMessage::kStageDone:
            taken = receiver.on_done(message.stage_done());
            if (taken.ok()) return place();
            break;
        default:
            taken = make_error(ErrorCode::kProtocol, "this is no part of a transfer of files");
            break;
    }
    if (!taken.ok()) end(std::move(taken));
}

void StageIntake::ask() {
    run([](Desk &desk) { return desk.receiver->needs(); }, false);
}

void StageIntake::place() {
    run(
        [](Desk &desk) {
            return desk.receiver->place(desk.plan.place, [&](const stage::StagedFile &file) {
                return desk.plan.fetch(file, desk.cancelled);
            });
        },
        true);
}

void StageIntake::run(std::function<Result<wire::StageNeed>(Desk &)> job, bool places) {
    works_ = true;
    const std::vector<stage::StagedFile> &named = desk_->receiver->files();
    const bool fetches = places && std::any_of(named.begin(), named.end(),
                                               [](const auto &file) { return !file.url.empty(); });
    WorkerPool &workers = fetches ? node_.web_workers : node_.workers;
    auto need = std::make_shared<std::optional<Result<wire::StageNeed>>>();
    workers.run([desk = desk_, job = std::move(job), need] { need->emplace(job(*desk)); },
                [this, need, places, alive = alive_] {
                    if (*alive) answer(**need, places);
                });
}

void StageIntake::answer(const Result<wire::StageNeed> &need, bool was_placed) {
    works_ = false;
    if (!need.ok()) return end(need.error());
    if (need->ranges_size() == 0) return was_placed ? end(ok_status()) : place();
    wire::TradeMessage message = trade_message(key_);
    *message.mutable_stage_need() = *need;
    static_cast<void>(node_.send_trade(peer_, message));
}

void StageIntake::end(Status status) {
    ended_ = true;
    on_end_(std::move(status));
}

}  // namespace chain::daemon
