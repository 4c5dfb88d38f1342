// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/results_taker.h"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include <unistd.h>

#include "chain/base/log.h"
#include "chain/base/text.h"
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
    struct Lines {
        std::vector<std::string> said;
        std::size_t more = 0;
        void add(std::string text) {
            if (said.size() < kPlacedSaidMax)
                said.push_back(std::move(text));
            else
                ++more;
        }
    };
    std::mutex mutex;
    Lines notices;
    Lines losses;
    std::vector<std::string> names;
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
    if (!silence_timer_.active()) watch_silence();
    has_begun_ = true;
    intake_.reset();
    names_.reset();
    put_count_ = 0;
    checks_puts_ = false;
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
    give_up_peer(why);
}

void ResultsTaker::give_up_peer(const std::string &why) {
    is_peer_gone_ = true;
    give_up(why);
}

void ResultsTaker::say_none_came() {
    is_peer_gone_ = true;
    listener_.on_loss("no results came from " + plan_.host + how_to_go_on());
}

// A peer that is there may be silent for as long as its disk takes to collect, and no longer.
void ResultsTaker::watch_silence() {
    if (!plan_.results_url.empty()) return;  // an upload says nothing until it is done
    silence_timer_ = node_.loop.after_ms(kResultsSilenceMs, [this] {
        if (node_.clock.steady_ms() - heard_at_ms_ < kResultsSilenceMs) return watch_silence();
        give_up_peer("it sends nothing");
    });
}

void ResultsTaker::give_up(const std::string &why) {
    if (has_ended_ || !has_begun_) return;
    wire::TradeMessage message = trade_message(plan_.key);
    message.mutable_stage_done()->set_error(plain_text(why, 2 * stage::kTextBytesMax));
    static_cast<void>(node_.send_trade(plan_.peer, message));
    intake_.reset();
    listener_.on_loss("results of " + plan_.host + " did not all come back: " + why +
                      how_to_go_on());
    end();
}

std::string ResultsTaker::how_to_go_on() const {
    if (plan_.is_fetch)
        return "; " + plan_.host + " keeps what it has for a day: try again when it is there";
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
        const std::string name = plain_text(file.name, stage::kTextBytesMax);
        if (!result.ok())
            placed->losses.add("result " + name + " of " + what.host + ": " +
                               plain_text(result.error().message, 2 * stage::kTextBytesMax));
        else if (result->how == How::kBeside)
            placed->notices.add(name + " changed here meanwhile; what " + what.host + " made is " +
                                plain_text(result->name, stage::kTextBytesMax));
        else if (result->how != How::kDamaged && placed->names.size() < kPlacedNamesMax)
            placed->names.push_back(file.name);
        return !result.ok() || result->how != How::kDamaged;
    };
    intake_ = std::make_unique<StageIntake>(node_, plan_.key, plan_.peer, std::move(plan),
                                            [this](const Status &taken) { on_taken(taken); });
}

void ResultsTaker::on_message(const wire::TradeMessage &message) {
    if (has_ended_) return;
    has_begun_ = true;
    heard_at_ms_ = node_.clock.steady_ms();
    if (!silence_timer_.active()) watch_silence();
    if (message.has_stage_file() && !stage::matches_globs(plan_.globs, message.stage_file().name()))
        return give_up("it sends " + plain_text(message.stage_file().name(), stage::kTextBytesMax) +
                       ", which nobody asked for");
    if (!plan_.results_url.empty()) return take_names(message);
    if (intake_ == nullptr) begin_intake();
    intake_->on_message(message);
}

void ResultsTaker::on_taken(const Status &taken) {
    if (has_ended_) return;
    say_what_was_placed();
    if (taken.ok() && !placed_->losses.said.empty())
        return acknowledge(make_error(ErrorCode::kIo, "a result cannot be put into its place"), 0);
    if (!taken.ok()) {
        const bool too_large = taken.error().code == ErrorCode::kTooLarge;
        const bool has_none = taken.error().code == ErrorCode::kRefused;
        listener_.on_loss("results of " + plan_.host +
                          " did not come back: " + taken.error().message +
                          (too_large ? "; raise --chain-stage-max, or name fewer with "
                                       "--chain-stage-out. These: --stage-max"
                                     : "") +
                          (has_none ? "" : how_to_go_on()));
    }
    acknowledge(taken, intake_->files().size());
}

void ResultsTaker::acknowledge(const Status &taken, std::size_t file_count) {
    wire::TradeMessage message = trade_message(plan_.key);
    if (taken.ok())
        message.mutable_stage_done()->set_file_count(static_cast<std::uint32_t>(file_count));
    else
        message.mutable_stage_done()->set_error(
            plain_text(taken.error().message, 2 * stage::kTextBytesMax));
    has_all_ = taken.ok();
    if (has_all_) listener_.on_all();
    static_cast<void>(node_.send_trade(plan_.peer, message));
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
                              plain_text(message.stage_done().error(), stage::kTextBytesMax));
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
    if (checks_puts_) return;
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
    checks_puts_ = true;
    auto result = std::make_shared<Status>(ok_status());
    std::vector<std::pair<stage::S3Object, std::uint64_t>> objects;
    for (const stage::StagedFile &file : names_->files())
        objects.emplace_back(object_of(file), file.size_bytes);
    node_.web_workers.run(
        [objects = std::move(objects), access = plan_.s3_access, result] {
            for (const auto &[object, size_bytes] : objects) {
                const std::string url =
                    stage::presign(access, "HEAD", object, system_clock().unix_ms(), kStoreValidS);
                const auto found = stage::web_head(url);
                if (!found.ok())
                    *result = found.error();
                else if (found->size_bytes != size_bytes)
                    *result = make_error(ErrorCode::kConflict, stage::without_query(url),
                                         " has another size than the peer says");
                if (!result->ok()) return;
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
    const Placed::Lines &notices = placed_->notices, &losses = placed_->losses;
    for (const std::string &name : placed_->names) listener_.on_placed(name);
    placed_->names.clear();
    for (const std::string &text : notices.said) listener_.on_notice(text);
    if (notices.more > 0)
        listener_.on_notice("and so are " + std::to_string(notices.more) + " more");
    for (const std::string &text : losses.said) listener_.on_loss(text + how_to_go_on());
    if (losses.more > 0)
        listener_.on_loss(std::to_string(losses.more) + " more results did not find their place");
}

void ResultsTaker::end() {
    has_ended_ = true;
    again_timer_.cancel();
    silence_timer_.cancel();
    rmdir(folder_.c_str());  // if nothing has come
    listener_.on_end();
}

}  // namespace chain::daemon
