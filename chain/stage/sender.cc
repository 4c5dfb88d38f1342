// SPDX-License-Identifier: BSD-3-Clause
#include "chain/stage/sender.h"

#include <algorithm>
#include <cerrno>

#include <sys/stat.h>
#include <unistd.h>

#include "chain/base/folder_walk.h"
#include "chain/wire/frame.h"

namespace chain::stage {
namespace {

Error changed(const StagedFile &file) {
    return make_error(ErrorCode::kConflict, file.name, " changed since it was looked at");
}

Result<FileDescriptor> open_as_described(const StagedFile &file) {
    CHAIN_ASSIGN(FileDescriptor open, file.source_root.empty()
                                          ? open_source(file.source_path)
                                          : open_file_beneath(file.source_root, file.name));
    struct stat status {};
    if (fstat(open.get(), &status) != 0) return errno_error(errno, "look at " + file.name);
    CHAIN_ASSIGN(const std::int64_t modified, modified_at_ns(open.get(), file.name));
    if (!S_ISREG(status.st_mode) || modified != file.modified_at_ns ||
        static_cast<std::uint64_t>(status.st_size) != file.size_bytes)
        return changed(file);
    return open;
}

}  // namespace

Status put_file(const StagedFile &file, const std::string &url, const WebManner &manner) {
    CHAIN_ASSIGN(const FileDescriptor open, open_as_described(file));
    return web_put(url, open.get(), file.size_bytes, manner);
}

Sender::Sender(std::vector<StagedFile> files, std::string image)
    : Sender(std::make_shared<const std::vector<StagedFile>>(std::move(files)), std::move(image)) {}

Sender::Sender(std::shared_ptr<const std::vector<StagedFile>> files, std::string image)
    : files_(std::move(files)), image_(std::move(image)) {}

Status Sender::on_need(const wire::StageNeed &need) {
    if (phase_ != Phase::kWaiting)
        return make_error(ErrorCode::kProtocol, "files were asked for out of turn");
    if (++rounds_ > kNeedRoundsMax)
        return make_error(ErrorCode::kProtocol, "files were asked for more than ", kNeedRoundsMax,
                          " times");
    std::uint32_t least = 0;
    for (const wire::StageRange &range : need.ranges()) {
        if (range.file() < least || range.file() >= files_->size() ||
            range.offset() >= (*files_)[range.file()].size_bytes ||
            !(*files_)[range.file()].url.empty() || !range.put_url().empty())
            return make_error(ErrorCode::kProtocol, "file ", range.file(),
                              " was asked for from a byte that it has not");
        least = range.file() + 1;
    }
    need_ = need;
    range_ = 0;
    phase_ = Phase::kSending;
    return ok_status();
}

Status Sender::open_range() {
    const StagedFile &file = (*files_)[need_.ranges(range_).file()];
    CHAIN_ASSIGN(file_, open_as_described(file));
    offset_ = need_.ranges(range_).offset();
    hash_ = offset_ == 0 ? std::make_unique<Sha256>() : nullptr;
    if (lseek(file_.get(), static_cast<off_t>(offset_), SEEK_SET) < 0)
        return errno_error(errno, "read " + file.name);
    return ok_status();
}

// The last chunk of a file is given out only when the file stands as it was described.
Result<std::string> Sender::read_chunk() {
    const StagedFile &file = (*files_)[need_.ranges(range_).file()];
    std::string content(std::min<std::uint64_t>(wire::kStageChunkBytes, file.size_bytes - offset_),
                        '\0');
    CHAIN_ASSIGN(const std::size_t got,
                 read_some(file_.get(), content.data(), content.size(), "read " + file.name));
    if (got != content.size()) return changed(file);
    if (hash_ != nullptr) hash_->update(content);
    if (offset_ + got == file.size_bytes) {
        CHAIN_ASSIGN(const std::int64_t modified, modified_at_ns(file_.get(), file.name));
        if (modified != file.modified_at_ns) return changed(file);
        if (hash_ != nullptr && hash_->finish() != file.sha256) return changed(file);
    }
    return content;
}

Result<std::optional<wire::TradeMessage>> Sender::next() {
    std::optional<wire::TradeMessage> message;
    if (phase_ == Phase::kWaiting) return message;
    message.emplace();
    if (named_count_ < files_->size()) {
        const StagedFile &file = (*files_)[named_count_];
        wire::StageFile &name = *message->mutable_stage_file();
        name.set_file(static_cast<std::uint32_t>(named_count_++));
        name.set_name(file.name);
        name.set_size_bytes(file.size_bytes);
        name.set_mode(file.mode);
        name.set_sha256(to_bytes(file.sha256));
        name.set_url(file.url);
        name.set_etag(file.etag);
        return message;
    }
    if (phase_ == Phase::kNaming) {
        message->mutable_stage_list()->set_file_count(static_cast<std::uint32_t>(files_->size()));
        message->mutable_stage_list()->set_image(image_);
        phase_ = Phase::kWaiting;
        return message;
    }
    if (range_ == need_.ranges_size()) {
        message->mutable_stage_done()->set_file_count(static_cast<std::uint32_t>(files_->size()));
        phase_ = Phase::kWaiting;
        return message;
    }
    if (!file_.valid()) CHAIN_TRY(open_range());
    const std::uint32_t number = need_.ranges(range_).file();
    wire::StageChunk &chunk = *message->mutable_stage_chunk();
    chunk.set_file(number);
    chunk.set_offset(offset_);
    CHAIN_ASSIGN(*chunk.mutable_content(), read_chunk());
    offset_ += chunk.content().size();
    sent_bytes_ += chunk.content().size();
    if (offset_ == (*files_)[number].size_bytes) {
        file_.reset();
        ++range_;
    }
    return message;
}

}  // namespace chain::stage
