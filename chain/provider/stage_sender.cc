// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chain/base/log.h"
#include "chain/provider/folder_walk.h"
#include "chain/provider/staging.h"
#include "chain/wire/frame.h"

namespace chain::provider {
namespace {

constexpr std::size_t kEntriesMax = 4 * kStageFilesMax;
constexpr std::size_t kGlobBytesMax = 255;
constexpr std::size_t kGlobStarsMax = 8;  // matching costs up to length ^ stars
constexpr std::size_t kGlobsMax = 64;

Result<std::size_t> read_some(int fd, char *buffer, std::size_t size_bytes,
                              const std::string &name) {
    std::size_t total = 0;
    while (total < size_bytes) {
        const ssize_t got = read(fd, buffer + total, size_bytes - total);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno_error(errno, "read " + name);
        if (got == 0) break;
        total += static_cast<std::size_t>(got);
    }
    return total;
}

Result<FileDescriptor> open_source(const std::string &path) {
    // O_NONBLOCK: a pipe that was named by mistake must not hold us.
    FileDescriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!file.valid()) return errno_error(errno, "read " + path);
    return file;
}

// Fills size, mode and hash of `file` from what is open.
Status describe_open_file(int fd, std::uint64_t limit_bytes, StagedFile &file) {
    struct stat status {};
    if (fstat(fd, &status) != 0) return errno_error(errno, "look at " + file.source_path);
    if (S_ISDIR(status.st_mode))
        return make_error(ErrorCode::kIo, file.source_path, " is a folder");
    if (!S_ISREG(status.st_mode))
        return make_error(ErrorCode::kIo, file.source_path, " is no regular file");
    if (static_cast<std::uint64_t>(status.st_size) > limit_bytes)
        return make_error(ErrorCode::kTooLarge, file.source_path, " has ", status.st_size,
                          " bytes; ", limit_bytes, " are left of the limit");
    file.mode = status.st_mode & 0777;
    file.size_bytes = 0;
    Sha256 hash;
    std::string buffer(wire::kStageChunkBytes, '\0');
    for (;;) {
        CHAIN_ASSIGN(const std::size_t got,
                     read_some(fd, buffer.data(), buffer.size(), file.source_path));
        if (got == 0) break;
        file.size_bytes += got;
        if (file.size_bytes > limit_bytes)  // it grows while we read
            return make_error(ErrorCode::kTooLarge, file.source_path, " has more than ",
                              limit_bytes, " bytes");
        hash.update(std::string_view(buffer).substr(0, got));
    }
    file.sha256 = hash.finish();
    return ok_status();
}

Status check_globs(const std::vector<std::string> &globs) {
    if (globs.size() > kGlobsMax)
        return make_error(ErrorCode::kTooLarge, "more than ", kGlobsMax, " patterns");
    for (const auto &glob : globs) {
        if (glob.size() > kGlobBytesMax ||
            std::count(glob.begin(), glob.end(), '*') > static_cast<long>(kGlobStarsMax) ||
            glob.find('\0') != std::string::npos)
            return make_error(ErrorCode::kInvalidInput, "the pattern \"", glob.substr(0, 80),
                              "\" is too long or has more than ", kGlobStarsMax, " stars");
    }
    return ok_status();
}

bool matches_any(const std::vector<std::string> &globs, const WalkEntry &entry) {
    if (globs.empty()) return true;
    return std::any_of(globs.begin(), globs.end(), [&](const std::string &glob) {
        const bool whole = glob.find('/') != std::string::npos;
        return fnmatch(glob.c_str(), (whole ? entry.name : entry.base_name).c_str(),
                       whole ? FNM_PATHNAME : 0) == 0;
    });
}

}  // namespace

Result<StagedFile> describe_file(const std::string &source_path, const std::string &name,
                                 std::uint64_t limit_bytes) {
    StagedFile file;
    file.name = name;
    file.source_path = source_path;
    CHAIN_ASSIGN(const FileDescriptor fd, open_source(source_path));
    CHAIN_TRY(describe_open_file(fd.get(), limit_bytes, file));
    return file;
}

Bytes32 manifest_hash(const std::vector<StagedFile> &files) {
    Bytes text;
    append_u64_le(text, files.size());
    for (const auto &file : files) {
        append_u64_le(text, file.name.size());  // lengths first: no two lists give one text
        text += file.name;
        append_u64_le(text, file.size_bytes);
        append_u32_le(text, file.mode);
        text += to_bytes(file.sha256);
    }
    return tagged_hash("ompi-chain/stage-manifest", text);
}

StageSender::StageSender(std::vector<StagedFile> files) : files_(std::move(files)) {}

std::uint64_t StageSender::total_bytes() const {
    std::uint64_t total = 0;
    for (const auto &file : files_) total += file.size_bytes;
    return total;
}

Result<Unit> StageSender::open_current() {
    const StagedFile &file = files_[index_];
    if (file.source_root.empty()) {
        CHAIN_ASSIGN(file_, open_source(file.source_path));
    } else {
        CHAIN_ASSIGN(file_, open_file_beneath(file.source_root, file.name));
    }
    struct stat status {};
    if (fstat(file_.get(), &status) != 0) return errno_error(errno, "look at " + file.name);
    if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) != file.size_bytes)
        return make_error(ErrorCode::kConflict, file.name, " changed since it was looked at");
    hash_ = std::make_unique<Sha256>();
    offset_ = 0;
    return ok_status();
}

// The last chunk of a file is given out only when the whole has the hash that was announced.
Result<std::string> StageSender::read_chunk() {
    const StagedFile &file = files_[index_];
    std::string content(std::min<std::uint64_t>(wire::kStageChunkBytes, file.size_bytes - offset_),
                        '\0');
    CHAIN_ASSIGN(const std::size_t got,
                 read_some(file_.get(), content.data(), content.size(), file.name));
    hash_->update(std::string_view(content).substr(0, got));
    offset_ += got;
    if (got != content.size() || (offset_ == file.size_bytes && hash_->finish() != file.sha256))
        return make_error(ErrorCode::kConflict, file.name, " changed since it was looked at");
    return content;
}

Result<std::optional<wire::TradeMessage>> StageSender::next() {
    std::optional<wire::TradeMessage> message;
    if (finished_) return message;
    message.emplace();
    if (index_ == files_.size()) {
        finished_ = true;
        message->mutable_stage_done()->set_file_count(static_cast<std::uint32_t>(files_.size()));
        return message;
    }
    const StagedFile &file = files_[index_];
    if (!announced_) {
        CHAIN_TRY(open_current());
        announced_ = true;
        auto *stage_file = message->mutable_stage_file();
        stage_file->set_file(static_cast<std::uint32_t>(index_));
        stage_file->set_name(file.name);
        stage_file->set_size_bytes(file.size_bytes);
        stage_file->set_mode(file.mode);
        stage_file->set_sha256(to_bytes(file.sha256));
    } else {
        auto *chunk = message->mutable_stage_chunk();
        chunk->set_file(static_cast<std::uint32_t>(index_));
        chunk->set_offset(offset_);
        CHAIN_ASSIGN(*chunk->mutable_content(), read_chunk());
    }
    if (offset_ == file.size_bytes) {
        file_.reset();
        announced_ = false;
        ++index_;
        offset_ = 0;
    }
    return message;
}

Result<std::vector<StagedFile>> collect_results(const std::string &folder,
                                                const std::vector<StagedFile> &staged,
                                                const std::vector<std::string> &globs,
                                                std::uint64_t limit_bytes) {
    CHAIN_TRY(check_globs(globs));
    std::map<std::string_view, const StagedFile *> staged_by_name;
    for (const auto &file : staged) staged_by_name[file.name] = &file;
    std::vector<StagedFile> results;
    std::uint64_t left_bytes = limit_bytes;
    std::size_t unreadable_count = 0;
    Status fits = ok_status();
    CHAIN_TRY(walk_folder(folder, kEntriesMax, [&](const WalkEntry &entry) {
        if (!S_ISREG(entry.status.st_mode) || !matches_any(globs, entry)) return true;
        const auto before = staged_by_name.find(entry.name);
        const bool was_staged = before != staged_by_name.end();
        FileDescriptor fd(openat(entry.parent_fd, entry.base_name.c_str(),
                                 O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
        if (!fd.valid()) {
            ++unreadable_count;
            return true;
        }
        StagedFile file;
        file.name = entry.name;
        file.source_path = folder + "/" + entry.name;
        file.source_root = folder;
        // An unchanged file costs nothing of the limit.
        const std::uint64_t own_limit =
            std::max(left_bytes, was_staged ? before->second->size_bytes : 0);
        fits = describe_open_file(fd.get(), own_limit, file);
        if (!fits.ok()) return false;
        if (was_staged && before->second->sha256 == file.sha256) return true;
        if (file.size_bytes > left_bytes || results.size() >= kStageFilesMax) {
            fits = make_error(ErrorCode::kTooLarge, "the job's results are more than ", limit_bytes,
                              " bytes or ", kStageFilesMax, " files");
            return false;
        }
        left_bytes -= file.size_bytes;
        results.push_back(std::move(file));
        return true;
    }));
    CHAIN_TRY(fits);
    if (unreadable_count > 0)
        log(LogLevel::kWarning, "provider", unreadable_count, " results in ", folder,
            " cannot be read");
    std::sort(results.begin(), results.end(),
              [](const StagedFile &a, const StagedFile &b) { return a.name < b.name; });
    return results;
}

}  // namespace chain::provider
