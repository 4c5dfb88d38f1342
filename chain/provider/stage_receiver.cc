// SPDX-License-Identifier: BSD-3-Clause
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chain/provider/folder_walk.h"
#include "chain/provider/staging.h"
#include "chain/wire/frame.h"

namespace chain::provider {
namespace {

constexpr std::size_t kErrorBytesMax = 200;

std::string temporary_name() {
    std::uint64_t number;
    fill_random(&number, sizeof number);
    return ".ompi-chain-part-" + std::to_string(number);
}

// From the network into messages: no control characters, bounded.
std::string quoted(const std::string &text) {
    std::string safe = text.substr(0, kErrorBytesMax);
    for (char &c : safe) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    return "\"" + safe + "\"";
}

}  // namespace

StageReceiver::StageReceiver(std::string folder, std::string outside_folder,
                             std::uint64_t limit_bytes)
    : folder_(std::move(folder)),
      outside_folder_(std::move(outside_folder)),
      limit_bytes_(limit_bytes) {}

StageReceiver::~StageReceiver() {
    if (file_.valid()) unlinkat(parent_.get(), temporary_name_.c_str(), 0);
}

Status StageReceiver::remember(Status status) {
    if (!status.ok()) {
        failed_ = true;
        if (file_.valid()) unlinkat(parent_.get(), temporary_name_.c_str(), 0);
        file_.reset();
    }
    return status;
}

Status StageReceiver::on_file(const wire::StageFile &file) {
    return remember(begin_file(file));
}

Status StageReceiver::on_chunk(const wire::StageChunk &chunk) {
    return remember(add_chunk(chunk));
}

Status StageReceiver::on_done(const wire::StageDone &done) {
    return remember(end(done));
}

Status StageReceiver::begin_file(const wire::StageFile &file) {
    if (failed_ || ended_ || file_.valid() || file.file() != files_.size())
        return make_error(ErrorCode::kProtocol, "a staged file came out of turn");
    if (files_.size() >= kStageFilesMax)
        return make_error(ErrorCode::kTooLarge, "more than ", kStageFilesMax, " staged files");
    const bool absolute = file.name().starts_with('/');
    const std::string relative = absolute ? file.name().substr(1) : file.name();
    if (!is_safe_relative_path(relative) || (absolute && outside_folder_.empty()))
        return make_error(ErrorCode::kProtocol, "a staged file has the unsafe name ",
                          quoted(file.name()));
    if ((file.mode() & ~0777u) != 0)
        return make_error(ErrorCode::kProtocol, quoted(file.name()), " has an unsafe mode");
    if (!names_.insert(file.name()).second)
        return make_error(ErrorCode::kProtocol, quoted(file.name()), " came twice");
    if (file.size_bytes() > limit_bytes_ - announced_bytes_)
        return make_error(ErrorCode::kTooLarge, "the staged files are more than ", limit_bytes_,
                          " bytes");
    StagedFile staged;
    staged.name = file.name();
    staged.size_bytes = file.size_bytes();
    staged.mode = file.mode();
    CHAIN_ASSIGN(staged.sha256, to_bytes32(file.sha256(), "the hash of a staged file"));

    const std::string &root = absolute ? outside_folder_ : folder_;
    const FileDescriptor root_fd(
        open(root.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!root_fd.valid()) return errno_error(errno, "open the folder " + root);
    CHAIN_ASSIGN(parent_, open_parent_beneath(root_fd.get(), relative, true, base_name_));
    temporary_name_ = temporary_name();
    file_ = FileDescriptor(openat(parent_.get(), temporary_name_.c_str(),
                                  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file_.valid()) return errno_error(errno, "write " + quoted(file.name()));
    announced_bytes_ += file.size_bytes();
    offset_ = 0;
    hash_ = std::make_unique<Sha256>();
    files_.push_back(std::move(staged));
    if (file.size_bytes() == 0) return finish_file();
    return ok_status();
}

Status StageReceiver::add_chunk(const wire::StageChunk &chunk) {
    if (failed_ || !file_.valid() || chunk.file() + std::size_t{1} != files_.size())
        return make_error(ErrorCode::kProtocol, "a chunk came for no open file");
    const StagedFile &staged = files_.back();
    if (chunk.offset() != offset_ || chunk.content().empty() ||
        chunk.content().size() > wire::kStageChunkBytes ||
        chunk.content().size() > staged.size_bytes - offset_)
        return make_error(ErrorCode::kProtocol, "a chunk of ", quoted(staged.name),
                          " does not fit: offset ", chunk.offset(), ", ", chunk.content().size(),
                          " bytes");
    CHAIN_TRY(write_all(file_.get(), chunk.content(), "write " + quoted(staged.name)));
    hash_->update(chunk.content());
    offset_ += chunk.content().size();
    if (offset_ == staged.size_bytes) return finish_file();
    return ok_status();
}

Status StageReceiver::finish_file() {
    const StagedFile &staged = files_.back();
    const std::string doing = "write " + quoted(staged.name);
    if (hash_->finish() != staged.sha256)
        return make_error(ErrorCode::kBadSignature, quoted(staged.name),
                          " arrived with another content than announced");
    if (fchmod(file_.get(), staged.mode) != 0 ||
        renameat(parent_.get(), temporary_name_.c_str(), parent_.get(), base_name_.c_str()) != 0)
        return errno_error(errno, doing);
    // A full disk may come to light only here (NFS, quotas).
    if (close(file_.release()) != 0) return errno_error(errno, doing);
    return ok_status();
}

Status StageReceiver::end(const wire::StageDone &done) {
    if (failed_ || ended_) return make_error(ErrorCode::kProtocol, "staging has ended already");
    if (!done.error().empty())
        return make_error(ErrorCode::kRefused, "the sender gave up: ", quoted(done.error()));
    if (file_.valid() || done.file_count() != files_.size())
        return make_error(ErrorCode::kProtocol, "staging ended after ", files_.size(), " of ",
                          done.file_count(), " files");
    ended_ = true;
    return ok_status();
}

}  // namespace chain::provider
