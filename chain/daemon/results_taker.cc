// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/results_taker.h"

#include <mutex>
#include <utility>
#include <vector>

#include "chain/base/log.h"
#include "chain/stage/results.h"

namespace chain::daemon {
namespace {

using How = stage::PlacedResult::How;

std::optional<Bytes32> find_hash(const std::map<std::string, Bytes32> &staged,
                                 const std::string &name) {
    const auto found = staged.find(name);
    return found == staged.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace

struct ResultsTaker::Placed {
    std::mutex mutex;
    std::vector<std::string> notices;
    std::vector<std::string> losses;
};

std::string results_folder_of(const Node &node, const LegKey &key) {
    return node.results_folder + "/" + to_hex(key.lease) + "-" + std::to_string(key.leg);
}

ResultsTaker::ResultsTaker(Node &node, ResultsPlan plan, Listener listener)
    : node_(node),
      plan_(std::move(plan)),
      listener_(std::move(listener)),
      folder_(results_folder_of(node, plan_.key)),
      placed_(std::make_shared<Placed>()) {}

ResultsTaker::~ResultsTaker() {
    *alive_ = false;
}

std::uint64_t ResultsTaker::received_bytes() const {
    return intake_ == nullptr ? 0 : intake_->received_bytes();
}

void ResultsTaker::fetch() {
    if (heard_at_ms_ == 0) heard_at_ms_ = node_.clock.steady_ms();
    has_begun_ = true;
    intake_.reset();
    node_.network.connect(plan_.address, &plan_.peer,
                          [this, alive = alive_](const Result<PublicKey> &peer) {
                              if (!*alive || has_ended_) return;
                              if (!peer.ok()) return fetch_soon(peer.error().message);
                              wire::TradeMessage message = trade_message(plan_.key);
                              message.mutable_fetch_results();
                              if (const Status sent = node_.send_trade(*peer, message); !sent.ok())
                                  fetch_soon(sent.error().message);
                          });
}

void ResultsTaker::fetch_soon(const std::string &why) {
    if (node_.clock.steady_ms() - heard_at_ms_ < kFetchForMs) {
        again_timer_ = node_.loop.after_ms(kFetchAgainMs, [this] { fetch(); });
        return;
    }
    give_up(why);
}

void ResultsTaker::give_up(const std::string &why) {
    if (has_ended_ || !has_begun_) return;
    listener_.on_loss("results of " + plan_.host + " did not all come back: " + why +
                      how_to_go_on());
    end();
}

std::string ResultsTaker::how_to_go_on() const {
    return "; `ompi-chain lease fetch " + short_hex(plan_.key.lease) + "` gets the rest, while " +
           plan_.host + " keeps it (a day)";
}

void ResultsTaker::on_peer_lost(const std::string &why) {
    if (has_ended_) return;
    has_begun_ = true;
    if (heard_at_ms_ == 0) heard_at_ms_ = node_.clock.steady_ms();
    intake_.reset();
    fetch_soon(why);
}

void ResultsTaker::on_message(const wire::TradeMessage &message) {
    if (has_ended_) return;
    has_begun_ = true;
    heard_at_ms_ = node_.clock.steady_ms();
    if (intake_ == nullptr) {
        IntakePlan plan{
            .own_folder = folder_, .cache = nullptr, .bytes_max = plan_.bytes_max, .place = {}};
        plan.place = [placed = placed_, what = plan_](const stage::StagedFile &file,
                                                      stage::ContentStore::Content &content,
                                                      bool) -> Result<bool> {
            CHAIN_ASSIGN(const FileDescriptor source, content.open());
            const auto result = stage::place_result(what.job_folder, file, source.get(),
                                                    find_hash(what.staged, file.name), what.host);
            const std::lock_guard lock(placed->mutex);
            if (!result.ok())
                placed->losses.push_back("result " + file.name + " of " + what.host + ": " +
                                         result.error().message);
            else if (result->how == How::kBeside)
                placed->notices.push_back(file.name + " changed here meanwhile; what " + what.host +
                                          " made is " + result->name);
            return !result.ok() || result->how != How::kDamaged;
        };
        intake_ = std::make_unique<StageIntake>(node_, plan_.key, plan_.peer, std::move(plan),
                                                [this](const Status &taken) { on_taken(taken); });
    }
    intake_->on_message(message);
}

void ResultsTaker::on_taken(const Status &taken) {
    say_what_was_placed();
    const bool lost_any = !placed_->losses.empty();
    wire::TradeMessage message = trade_message(plan_.key);
    wire::StageDone &done = *message.mutable_stage_done();
    if (!taken.ok()) {
        const bool too_large = taken.error().code == ErrorCode::kTooLarge;
        listener_.on_loss("results of " + plan_.host +
                          " did not come back: " + taken.error().message +
                          (too_large ? "; raise --chain-stage-max, or name fewer with "
                                       "--chain-stage-out. These: --stage-max"
                                     : "") +
                          how_to_go_on());
        done.set_error(taken.error().message);
    } else if (lost_any) {
        done.set_error("a result cannot be put into its place");
    } else {
        done.set_file_count(static_cast<std::uint32_t>(intake_->files().size()));
        has_all_ = true;
    }
    static_cast<void>(node_.send_trade(plan_.peer, message));
    if (has_all_) static_cast<void>(remove_tree(folder_));
    end();
}

void ResultsTaker::say_what_was_placed() {
    const std::lock_guard lock(placed_->mutex);
    for (const std::string &text : placed_->notices) listener_.on_notice(text);
    for (const std::string &text : placed_->losses) listener_.on_loss(text + how_to_go_on());
}

void ResultsTaker::end() {
    has_ended_ = true;
    again_timer_.cancel();
    listener_.on_end();
}

}  // namespace chain::daemon
