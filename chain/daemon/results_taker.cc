// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/results_taker.h"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include <unistd.h>

#include "chain/base/log.h"
#include "chain/client/text.h"
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
    names_.reset();
    put_count_ = 0;
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

void ResultsTaker::begin_intake() {
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

void ResultsTaker::on_message(const wire::TradeMessage &message) {
    if (has_ended_) return;
    has_begun_ = true;
    heard_at_ms_ = node_.clock.steady_ms();
    if (!plan_.results_url.empty()) return take_names(message);
    if (intake_ == nullptr) begin_intake();
    intake_->on_message(message);
}

void ResultsTaker::on_taken(const Status &taken) {
    say_what_was_placed();
    if (taken.ok() && !placed_->losses.empty())
        return acknowledge(make_error(ErrorCode::kIo, "a result cannot be put into its place"), 0);
    if (!taken.ok()) {
        const bool too_large = taken.error().code == ErrorCode::kTooLarge;
        listener_.on_loss("results of " + plan_.host +
                          " did not come back: " + taken.error().message +
                          (too_large ? "; raise --chain-stage-max, or name fewer with "
                                       "--chain-stage-out. These: --stage-max"
                                     : "") +
                          how_to_go_on());
    }
    acknowledge(taken, intake_->files().size());
}

void ResultsTaker::acknowledge(const Status &taken, std::size_t file_count) {
    wire::TradeMessage message = trade_message(plan_.key);
    if (taken.ok())
        message.mutable_stage_done()->set_file_count(static_cast<std::uint32_t>(file_count));
    else
        message.mutable_stage_done()->set_error(taken.error().message);
    static_cast<void>(node_.send_trade(plan_.peer, message));
    has_all_ = taken.ok();
    if (has_all_) static_cast<void>(remove_tree(folder_));
    end();
}

// ---- results that the peer puts into a store

void ResultsTaker::take_names(const wire::TradeMessage &message) {
    const auto taken = [&]() -> Status {
        if (names_ == nullptr) {
            CHAIN_ASSIGN(names_store_, stage::ContentStore::open(folder_, {}));
            names_ = std::make_unique<stage::Receiver>(
                stage::ReceiverStores{.own = names_store_.get()}, false, plan_.bytes_max);
        }
        if (message.has_stage_file()) return names_->on_file(message.stage_file());
        if (message.has_stage_list()) return names_->on_list(message.stage_list());
        if (!message.has_stage_done() || !names_->all_named())
            return make_error(ErrorCode::kProtocol, "the peer sends what nobody asked for");
        if (!message.stage_done().error().empty())
            return make_error(ErrorCode::kRefused,
                              client::printable(message.stage_done().error().substr(0, 300)));
        return ok_status();
    }();
    if (!taken.ok()) {
        listener_.on_loss("results of " + plan_.host + " are not all in " + plan_.results_url +
                          ": " + taken.error().message + how_to_go_on());
        return acknowledge(taken, 0);
    }
    if (!message.has_stage_file()) put_more();
}

// <prefix><host>/<name>: two peers may have made files of one name.
stage::S3Object ResultsTaker::object_of(const stage::StagedFile &file) const {
    const auto prefix = stage::parse_s3_url(plan_.results_url);
    CHAIN_CHECK(prefix.ok());
    return {prefix->bucket, prefix->key + plan_.host + "/" + file.name};
}

void ResultsTaker::put_more() {
    const std::vector<stage::StagedFile> &files = names_->files();
    if (put_count_ == files.size()) return check_puts();
    wire::TradeMessage message = trade_message(plan_.key);
    const std::size_t end = std::min(files.size(), put_count_ + kPutsAtOnceMax);
    for (; put_count_ < end; ++put_count_) {
        wire::StageRange &range = *message.mutable_stage_need()->add_ranges();
        range.set_file(static_cast<std::uint32_t>(put_count_));
        range.set_put_url(stage::presign(plan_.s3_access, "PUT", object_of(files[put_count_]),
                                         node_.clock.unix_ms(), kStoreValidS));
    }
    static_cast<void>(node_.send_trade(plan_.peer, message));
}

// The peer says that all are there: the store is asked.
void ResultsTaker::check_puts() {
    struct Check {
        std::string url;
        std::uint64_t size_bytes;
    };
    std::vector<Check> checks;
    for (const stage::StagedFile &file : names_->files())
        checks.push_back({stage::presign(plan_.s3_access, "HEAD", object_of(file),
                                         node_.clock.unix_ms(), kStoreValidS),
                          file.size_bytes});
    auto result = std::make_shared<Status>(ok_status());
    node_.workers.run(
        [checks = std::move(checks), result] {
            for (const Check &check : checks) {
                const auto found = stage::web_head(check.url);
                if (!found.ok()) {
                    *result = found.error();
                    return;
                }
                if (found->size_bytes != check.size_bytes) {
                    *result = make_error(ErrorCode::kConflict, stage::without_query(check.url),
                                         " has another size than the peer says");
                    return;
                }
            }
        },
        [this, result, alive = alive_] {
            if (!*alive || has_ended_) return;
            if (!result->ok())
                listener_.on_loss("results of " + plan_.host + " are not all in " +
                                  plan_.results_url + ": " + result->error().message +
                                  how_to_go_on());
            acknowledge(*result, names_->files().size());
        });
}

void ResultsTaker::say_what_was_placed() {
    const std::lock_guard lock(placed_->mutex);
    for (const std::string &text : placed_->notices) listener_.on_notice(text);
    for (const std::string &text : placed_->losses) listener_.on_loss(text + how_to_go_on());
}

void ResultsTaker::end() {
    has_ended_ = true;
    again_timer_.cancel();
    rmdir(folder_.c_str());  // if nothing has come
    listener_.on_end();
}

}  // namespace chain::daemon
