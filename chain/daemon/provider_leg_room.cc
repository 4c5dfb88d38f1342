// SPDX-License-Identifier: BSD-3-Clause
//
// ProviderLeg: what a leg may take of the machine: its folder, how much it writes, what it is
// killed for.
#include <algorithm>
#include <optional>
#include <utility>

#include <unistd.h>

#include "chain/base/log.h"
#include "chain/base/text.h"
#include "chain/client/text.h"
#include "chain/daemon/log_categories.h"
#include "chain/daemon/provider_leg.h"
#include "chain/daemon/results_desk.h"
#include "chain/host/scratch_volume.h"
#include "chain/provider/lease_folder.h"
#include "chain/stage/install.h"

namespace chain::daemon {
namespace {

// On a volume if one can be made; a full disk is no reason to go on without.
Result<std::string> make_folder(const ScratchPlan &plan, const LegKey &key) {
    const std::string lease = to_hex(key.lease);
    auto made = provider::prepare_lease_folder(plan.folder, lease, key.leg,
                                               plan.has_volumes ? plan.bytes_max : 0);
    if (made.ok() || !plan.has_volumes || made.error().code == ErrorCode::kDiskFull) return made;
    log(LogLevel::kWarning, kProviderLog, "no volume for lease ", short_hex(key.lease), ": ",
        made.error().message);
    return provider::prepare_lease_folder(plan.folder, lease, key.leg);
}

// What is staged must leave the job, and what surrounds it, a little to write to.
std::uint64_t stage_bytes_max(const ScratchPlan &plan, std::uint64_t volume_bytes) {
    const std::uint64_t bytes = volume_bytes > 0 ? volume_bytes : plan.bytes_max;
    return std::min(kStageBytesMax, bytes - bytes / 8);
}

}  // namespace

void ProviderLeg::begin_staging() {
    phase_ = Phase::kStaging;
    auto made = std::make_shared<Result<std::string>>(std::string());
    node_.workers.run([made, plan = scratch_, key = key_] { *made = make_folder(plan, key); },
                      [this, &node = node_, made, alive = alive_] {
                          if (*alive && phase_ == Phase::kStaging)
                              on_folder(std::move(*made));
                          else if (made->ok())
                              remove_on_worker(node, **made);
                      });
    set_deadline(kStagingMaxMs, [this] { end("renter", "the files were not sent in time"); });
}

void ProviderLeg::on_folder(Result<std::string> folder) {
    if (!folder.ok()) return fail_stage(folder.error());
    lease_folder_ = std::move(*folder);
    volume_bytes_ = provider::lease_volume_bytes(lease_folder_);
    const stage::InstallFolders folders{lease_folder_ + "/job", lease_folder_ + "/outside"};
    IntakePlan plan{.own_folder = lease_folder_ + "/incoming",
                    .cache = scratch_.cache,
                    .owner = terms_.renter,
                    .allow_absolute = true,
                    .bytes_max = stage_bytes_max(scratch_, volume_bytes_),
                    .disk_left_bytes = volume_bytes_ > 0 ? 0 : kDiskLeftBytesMin,
                    .stores = scratch_.stores,
                    .fetch =
                        [folders, stores = scratch_.stores](const stage::StagedFile &file,
                                                            const std::atomic<bool> &cancelled) {
                            return stage::install_object(folders, file,
                                                         {cancelled, stores.names_host(file.url)});
                        },
                    .place =
                        [folders](const stage::StagedFile &file,
                                  stage::ContentStore::Content &content, bool may_move) {
                            return stage::install_file(folders, file, content, may_move);
                        }};
    intake_ = std::make_unique<StageIntake>(node_, key_, peer_, std::move(plan),
                                            [this](const Status &staged) {
                                                if (!staged.ok()) return fail_stage(staged.error());
                                                finish_staging();
                                            });
    scratch_timer_ = node_.loop.every_ms(kReadingIntervalMs, [this] { look_at_scratch(); });
    wire::TradeMessage message = trade_message(key_);
    message.mutable_funded();
    report_start();
    static_cast<void>(node_.send_trade(peer_, message));
    begin_network();
}

// In the lease's limits, and not billed: nothing was launched yet.
void ProviderLeg::unpack_image() {
    provider::SandboxSpec spec;
    spec.lease_folder = lease_folder_;
    spec.memory_bytes = terms_.memory_bytes;
    Status started = make_group();
    spec.group = group_.get();
    if (started.ok()) started = provider::prepare_unpacking(spec);
    if (started.ok()) {
        auto sandbox = provider::Sandbox::start(node_.loop, spec, *meter_, nullptr,
                                                [this](int status) { on_image_unpacked(status); });
        if (sandbox.ok()) {
            sandbox_ = std::move(*sandbox);
            sandbox_running_ = true;
            return;
        }
        started = sandbox.error();
    }
    fail_stage(started.error());
}

void ProviderLeg::on_image_unpacked(int wait_status) {
    sandbox_running_ = false;
    if (phase_ != Phase::kStaging) return;
    if (wait_status != 0) {
        std::string words = sandbox_->last_words();
        while (!words.empty() && words.back() == '\n') words.pop_back();
        return fail_stage(make_error(
            ErrorCode::kIo, "the image cannot be unpacked: ",
            words.empty() ? "tar was killed" : plain_text(words, 2 * stage::kTextBytesMax)));
    }
    auto found = std::make_shared<std::optional<Result<provider::ImageMpi>>>();
    node_.workers.run(
        [found, folder = lease_folder_] {
            static_cast<void>(
                unlink((folder + "/outside" + std::string(stage::kImageName)).c_str()));
            found->emplace(provider::find_image_mpi(provider::image_root_of(folder)));
        },
        [this, found, alive = alive_] {
            if (!*alive || phase_ != Phase::kStaging) return;
            stop_running();
            if (!(*found)->ok()) return fail_stage((*found)->error());
            image_ = std::move(***found);
            become_ready();
        });
}

void ProviderLeg::remove_folder() {
    if (lease_folder_.empty()) return;
    remove_on_worker(node_, std::exchange(lease_folder_, {}));
}

// Where no volume bounds it. One that looks again while the last look goes on would only make a
// slow disk slower. What cannot be seen of it fills the disk, too.
void ProviderLeg::look_at_scratch() {
    if (volume_bytes_ > 0 || lease_folder_.empty() || std::exchange(looks_at_scratch_, true))
        return;
    auto why = std::make_shared<std::string>();
    node_.workers.run(
        [why, folder = lease_folder_, bytes_max = scratch_.bytes_max] {
            const auto used = provider::lease_folder_bytes(folder);
            const auto left = host::free_disk_bytes(folder);
            if (!used.ok() && used.error().code == ErrorCode::kTooLarge)
                *why = used.error().message;
            else if (used.ok() && *used > bytes_max)
                *why = "it wrote more than the " + client::format_size(bytes_max) +
                       " of disk that a lease has here";
            else if (left.ok() && *left < kDiskLeftBytesMin)
                *why = "the disk of this machine is nearly full";
        },
        [this, why, alive = alive_] {
            if (!*alive) return;
            looks_at_scratch_ = false;
            if (!why->empty() && phase_ >= Phase::kStaging && phase_ <= Phase::kRunning)
                end("renter", *why, true);
        });
}

// Empty: in the last moments nothing of the lease was killed for want of memory, or it had not used
// up its own: then it was the machine's that was short.
std::string ProviderLeg::limit_text() const {
    if (group_ == nullptr || !group_->used_up_memory() || last_kill_ms_ == 0 ||
        node_.clock.steady_ms() - last_kill_ms_ > kKillIsReasonMs)
        return {};
    return "the kernel killed a process: the lease has " +
           client::format_size(terms_.memory_bytes) +
           " of memory here (more: --chain-lease SLOTS,mem=SIZE)";
}

void ProviderLeg::look_at_limits() {
    if (group_ == nullptr) return;
    if (const std::uint64_t kills = group_->memory_kills(); kills > kills_seen_) {
        kills_seen_ = kills;
        last_kill_ms_ = node_.clock.steady_ms();
    }
    const std::string text = limit_text();
    if (text.empty() || std::exchange(limit_was_said_, true)) return;
    log(LogLevel::kNote, kProviderLog, "lease ", short_hex(key_.lease), " leg ", key_.leg, ": ",
        text);
    wire::TradeMessage message = trade_message(key_);
    message.mutable_leg_notice()->set_state(wire::LegNotice::LIMITED);
    message.mutable_leg_notice()->set_text(text);
    if (renter_here_) static_cast<void>(node_.send_trade(peer_, message));
}

}  // namespace chain::daemon
