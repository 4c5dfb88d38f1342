// SPDX-License-Identifier: BSD-3-Clause
//
// RenterLease: the job's files, to the peers and back.
#include <algorithm>
#include <optional>
#include <utility>

#include "chain/base/log.h"
#include "chain/base/text.h"
#include "chain/daemon/log_categories.h"
#include "chain/daemon/renter_lease.h"

namespace chain::daemon {
namespace {

std::uint64_t stage_bytes_max(const wire::LeaseOpenCall &call) {
    return call.stage_max_bytes() == 0 ? kStageMaxDefaultBytes : call.stage_max_bytes();
}

// What peers need to get an object themselves: where, until when, and which one.
Result<stage::StagedFile> describe_object(const wire::LeaseOpenCall &call,
                                          const wire::StageItem &item, std::uint64_t left_bytes) {
    const stage::S3Access access = s3_access(call);
    CHAIN_TRY(stage::check_s3_access(access));
    CHAIN_ASSIGN(const stage::S3Object object, stage::parse_s3_url(item.source_path()));
    const std::uint64_t now_ms = system_clock().unix_ms();
    const auto found =
        stage::web_head(stage::presign(access, "HEAD", object, now_ms, kStoreValidS));
    if (!found.ok())
        return make_error(found.error().code, item.source_path(), ": ", found.error().message);
    if (found->size_bytes > left_bytes)
        return make_error(ErrorCode::kTooLarge, item.source_path(), " has ", found->size_bytes,
                          " bytes");
    stage::StagedFile file;
    file.name = item.name();
    file.size_bytes = found->size_bytes;
    file.etag = found->etag;
    file.url = stage::presign(access, "GET", object, now_ms, kStoreValidS);
    file.sha256 = stage::object_hash(file.url, file.etag);
    return file;
}

Result<std::vector<stage::StagedFile>> describe_all(const wire::LeaseOpenCall &call) {
    const std::uint64_t limit_bytes = stage_bytes_max(call);
    std::uint64_t left_bytes = limit_bytes;
    std::vector<stage::StagedFile> files;
    if (call.stage_in_size() > static_cast<int>(stage::kFilesMax))
        return make_error(ErrorCode::kTooLarge, "more than ", stage::kFilesMax, " files to send");
    for (const auto &item : call.stage_in()) {
        auto file = stage::is_s3_url(item.source_path())
                        ? describe_object(call, item, left_bytes)
                        : stage::describe_file(item.source_path(), item.name(), left_bytes);
        if (!file.ok() && file.error().code == ErrorCode::kTooLarge)
            return make_error(ErrorCode::kTooLarge, "the files to send are larger than ",
                              limit_bytes, " bytes (at ", item.source_path(),
                              "); raise --chain-stage-max or send fewer with --chain-stage-in");
        if (!file.ok()) return file.error();
        left_bytes -= file->size_bytes;
        files.push_back(std::move(*file));
    }
    return files;
}

}  // namespace

stage::S3Access s3_access(const wire::LeaseOpenCall &call) {
    const wire::S3Access &access = call.s3_access();
    return {access.endpoint(), access.region(), access.access_key_id(), access.secret_access_key(),
            access.session_token()};
}

void RenterLease::describe_files() {
    struct Described {
        std::optional<Result<std::vector<stage::StagedFile>>> files;
    };
    auto described = std::make_shared<Described>();
    node_.workers.run([described, call = call_] { described->files = describe_all(call); },
                      [this, described, alive = alive_] {
                          if (!*alive || phase_ != Phase::kHashing) return;
                          if (!described->files->ok()) return fail(described->files->error());
                          files_ = std::move(**described->files);
                          clear_market();
                      });
}

// Addresses are signed when they are sent: a lease may have waited long for its market.
std::shared_ptr<const std::vector<stage::StagedFile>> RenterLease::signed_files() const {
    auto files = std::make_shared<std::vector<stage::StagedFile>>(files_);
    for (std::size_t i = 0; i < files->size(); ++i) {
        stage::StagedFile &file = (*files)[i];
        if (file.url.empty()) continue;
        const auto object = stage::parse_s3_url(call_.stage_in(static_cast<int>(i)).source_path());
        CHAIN_CHECK(object.ok());  // it was when the file was described
        file.url =
            stage::presign(s3_access(call_), "GET", *object, node_.clock.unix_ms(), kStoreValidS);
    }
    return files;
}

void RenterLease::on_funded(std::uint32_t leg) {
    if (phase_ != Phase::kFunding && phase_ != Phase::kStaging) return;
    phase_ = Phase::kStaging;
    LegState &state = legs_[leg];
    if (state.funded) return;
    state.funded = true;
    state.pump = std::make_unique<StagePump>(
        node_, leg_key(leg), state.award.offer.node_key, signed_files(), stage::WebRules(),
        [this](const Error &error) { fail(error); }, call_.image_name());
    set_deadline(kResultsWaitMs, [this] {
        fail(make_error(ErrorCode::kTimeout, "the files could not be sent in half an hour"));
    });
    state.pump->pump();
}

void RenterLease::on_stage_done(std::uint32_t leg, const wire::StageDone &done) {
    if (phase_ != Phase::kStaging) return;
    const market::Offer &offer = legs_[leg].award.offer;
    if (!done.error().empty())
        return fail_leg(leg, make_error(ErrorCode::kRefused, name_peer(offer.host, offer.provider),
                                        " could not take the files: ",
                                        plain_text(done.error(), 4 * stage::kTextBytesMax)));
    legs_[leg].staged = true;
    legs_[leg].pump.reset();
    become_ready_if_all_are();
}

void RenterLease::on_stage(std::uint32_t leg, const wire::TradeMessage &message) {
    LegState &state = legs_[leg];
    if (phase_ == Phase::kStaging) {
        if (message.has_stage_done()) return on_stage_done(leg, message.stage_done());
        if (message.has_stage_need() && state.pump != nullptr)
            state.pump->on_need(message.stage_need());
        return;
    }
    // Not while the job runs: only what has ended there has results.
    const bool has_ended = phase_ == Phase::kEnding || state.failed;
    if (has_ended && state.results != nullptr && !message.has_stage_need())
        state.results->on_message(message);
}

// Before the peer hears of it: it throws its copy away then.
void RenterLease::note_results(std::uint32_t leg) {
    std::vector<bool> has_all(legs_.size(), false);
    has_all[leg] = true;
    if (const Status noted = node_.journal.note_results(id_, has_all); !noted.ok())
        log(LogLevel::kError, kRenterLog, "journal: ", noted.error().message);
}

// From now on the job may make something, and whatever becomes of this daemon it can be fetched.
void RenterLease::expect_results() {
    wire::ResultsRecord record;
    record.set_job_folder(call_.job_folder());
    record.set_stage_max_bytes(stage_bytes_max(call_));
    record.set_written_at_ms(node_.clock.unix_ms() + demand_.duration_ms);  // when it ends, at last
    *record.mutable_stage_out() = call_.stage_out();
    ResultsPlan plan;
    plan.job_folder = record.job_folder();
    plan.bytes_max = record.stage_max_bytes();
    plan.globs.assign(call_.stage_out().begin(), call_.stage_out().end());
    plan.results_url = call_.results_url();
    plan.s3_access = s3_access(call_);
    for (const stage::StagedFile &file : files_) {
        if ((file.mode & 0111) != 0) continue;  // never over a program
        plan.staged[file.name] = file.sha256;
        wire::StagedName &name = *record.add_staged();
        name.set_name(file.name);
        name.set_sha256(to_bytes(file.sha256));
    }
    for (std::uint32_t leg = 0; leg < legs_.size(); ++leg) {
        const market::Offer &offer = legs_[leg].award.offer;
        plan.key = leg_key(leg);
        plan.peer = offer.node_key;
        plan.address = offer.address;
        plan.host = record_.bill().legs(static_cast<int>(leg)).host();
        wire::ResultsLeg &entry = *record.add_legs();
        entry.set_host(plan.host);
        entry.set_node_key(to_bytes(plan.peer));
        entry.set_address(plan.address);
        legs_[leg].results = std::make_unique<ResultsTaker>(
            node_, plan,
            ResultsTaker::Listener{
                [this](const std::string &text) { notice(text); },
                [this, leg](const std::string &text) { lose_results(leg, text); },
                [this](const std::string &name) { record_.mutable_bill()->add_results(name); },
                [this, leg] { note_results(leg); }, [this] { check_ended(); }});
    }
    if (const Status written = node_.journal.put_results(id_, record); !written.ok())
        log(LogLevel::kError, kRenterLog, "journal: ", written.error().message);
}

}  // namespace chain::daemon
