// SPDX-License-Identifier: BSD-3-Clause
#include "chain/stage/staged_file.h"

#include <algorithm>
#include <cerrno>
#include <map>

#include <fcntl.h>
#include <fnmatch.h>
#include <sys/stat.h>

#include "chain/base/folder_walk.h"
#include "chain/base/log.h"
#include "chain/stage/s3.h"
#include "chain/wire/frame.h"

namespace chain::stage {
namespace {

constexpr std::size_t kEntriesMax = 4 * kFilesMax;
constexpr std::size_t kGlobBytesMax = 255;
constexpr std::size_t kGlobStarsMax = 8;  // matching costs up to length ^ stars
constexpr std::size_t kGlobsMax = 64;

// Fills size, mode and hash of `file` from what is open.
Status describe_open_file(int fd, std::uint64_t limit_bytes, StagedFile &file) {
    const std::string doing = "read " + file.source_path;
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
        CHAIN_ASSIGN(const std::size_t got, read_some(fd, buffer.data(), buffer.size(), doing));
        if (got == 0) break;
        file.size_bytes += got;
        if (file.size_bytes > limit_bytes)  // it grows while we read
            return make_error(ErrorCode::kTooLarge, file.source_path, " has more than ",
                              limit_bytes, " bytes");
        hash.update(std::string_view(buffer).substr(0, got));
    }
    file.sha256 = hash.finish();
    CHAIN_ASSIGN(file.modified_at_ns, modified_at_ns(fd, file.source_path));
    return ok_status();
}

}  // namespace

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

bool matches_globs(const std::vector<std::string> &globs, const std::string &name) {
    if (globs.empty()) return true;
    const std::string base_name = name.substr(name.rfind('/') + 1);
    return std::any_of(globs.begin(), globs.end(), [&](const std::string &glob) {
        const bool whole = glob.find('/') != std::string::npos;
        return fnmatch(glob.c_str(), (whole ? name : base_name).c_str(),
                       whole ? FNM_PATHNAME : 0) == 0;
    });
}

Result<FileDescriptor> open_source(const std::string &path) {
    FileDescriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!file.valid()) return errno_error(errno, "read " + path);
    return file;
}

Result<std::int64_t> modified_at_ns(int fd, const std::string &name) {
    struct stat status {};
    if (fstat(fd, &status) != 0) return errno_error(errno, "look at " + name);
    return status.st_mtim.tv_sec * std::int64_t{1'000'000'000} + status.st_mtim.tv_nsec;
}

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

Bytes32 object_hash(std::string_view url, std::string_view etag) {
    Bytes text;
    const std::string_view where = without_query(url);
    append_u64_le(text, where.size());
    text += where;
    text += etag;
    return tagged_hash("ompi-chain/stage-object", text);
}

std::uint64_t total_bytes(const std::vector<StagedFile> &files) {
    std::uint64_t total = 0;
    for (const auto &file : files) total += file.size_bytes;
    return total;
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
    std::size_t unreadable_count = 0, names_bytes = 0;
    Status fits = ok_status();
    CHAIN_TRY(walk_folder(folder, kEntriesMax, [&](const WalkEntry &entry) {
        if (!S_ISREG(entry.status.st_mode) || !matches_globs(globs, entry.name)) return true;
        if (!is_safe_relative_path(entry.name) || name_parts(entry.name) > kNamePartsMax) {
            ++unreadable_count;
            return true;
        }
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
        if (file.size_bytes > left_bytes || results.size() >= kFilesMax) {
            fits = make_error(ErrorCode::kTooLarge, "the job's results are more than ", limit_bytes,
                              " bytes or ", kFilesMax, " files");
            return false;
        }
        left_bytes -= file.size_bytes;
        names_bytes += file.name.size();
        if (names_bytes > kNamesBytesMax) {
            fits = make_error(ErrorCode::kTooLarge, "the names of the job's results are more than ",
                              kNamesBytesMax, " bytes");
            return false;
        }
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

}  // namespace chain::stage
