// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace chain {

FileDescriptor &FileDescriptor::operator=(FileDescriptor &&other) noexcept {
    if (this != &other) {
        reset();
        fd_ = other.release();
    }
    return *this;
}

int FileDescriptor::release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
}

void FileDescriptor::reset() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
}

Error errno_error(int errno_value, std::string_view doing) {
    ErrorCode code = ErrorCode::kIo;
    switch (errno_value) {
        case ENOSPC:
        case EDQUOT: code = ErrorCode::kDiskFull; break;
        case EACCES:
        case EPERM:
        case EROFS: code = ErrorCode::kPermission; break;
        case ENOENT: code = ErrorCode::kNotFound; break;
        default: break;
    }
    return make_error(code, "cannot ", doing, ": ", std::strerror(errno_value));
}

Result<Bytes> read_file(const std::string &path, std::size_t limit_bytes) {
    FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return errno_error(errno, "read " + path);
    Bytes content;
    char buffer[65536];
    for (;;) {
        const ssize_t got = read(file.get(), buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno_error(errno, "read " + path);
        if (got == 0) return content;
        if (content.size() + static_cast<std::size_t>(got) > limit_bytes)
            return make_error(ErrorCode::kTooLarge, path, " is larger than ", limit_bytes,
                              " bytes");
        content.append(buffer, static_cast<std::size_t>(got));
    }
}

Result<FileDescriptor> open_append(const std::string &path) {
    FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!file.valid()) return errno_error(errno, "write " + path);
    return file;
}

Status write_all(int fd, std::string_view bytes, std::string_view doing) {
    while (!bytes.empty()) {
        const ssize_t put = write(fd, bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return errno_error(errno, doing);
        bytes.remove_prefix(static_cast<std::size_t>(put));
    }
    return ok_status();
}

Result<std::size_t> read_some(int fd, char *buffer, std::size_t size_bytes,
                              std::string_view doing) {
    std::size_t total = 0;
    while (total < size_bytes) {
        const ssize_t got = read(fd, buffer + total, size_bytes - total);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno_error(errno, doing);
        if (got == 0) break;
        total += static_cast<std::size_t>(got);
    }
    return total;
}

Status write_file_atomic(const std::string &path, std::string_view content, unsigned mode) {
    const std::string doing = "write " + path;
    std::string temporary = path + ".XXXXXX";
    FileDescriptor file(mkostemp(temporary.data(), O_CLOEXEC));
    if (!file.valid()) return errno_error(errno, doing);
    const auto fail = [&](Error error) {
        unlink(temporary.c_str());
        return error;
    };
    if (const Status written = write_all(file.get(), content, doing); !written.ok())
        return fail(written.error());
    if (fchmod(file.get(), mode) != 0 || fsync(file.get()) != 0 ||
        rename(temporary.c_str(), path.c_str()) != 0)
        return fail(errno_error(errno, doing));
    const std::string parent = std::filesystem::path(path).parent_path().string();
    FileDescriptor folder(
        open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid() || fsync(folder.get()) != 0) return errno_error(errno, doing);
    return ok_status();
}

Status make_folders(const std::string &path, unsigned mode) {
    std::string prefix;
    for (const auto &part : std::filesystem::path(path)) {
        prefix = prefix.empty() ? part.string() : (std::filesystem::path(prefix) / part).string();
        if (prefix.empty() || part.empty()) continue;
        if (mkdir(prefix.c_str(), mode) != 0 && errno != EEXIST)
            return errno_error(errno, "make the folder " + prefix);
    }
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) return errno_error(errno, "make the folder " + path);
    if (!S_ISDIR(status.st_mode))
        return make_error(ErrorCode::kIo, path, " is in the way: it is not a folder");
    return ok_status();
}

Status remove_tree(const std::string &path) {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) return errno_error(error.value(), "remove " + path);
    return ok_status();
}

bool path_exists(const std::string &path) {
    struct stat status {};
    return lstat(path.c_str(), &status) == 0;
}

bool is_safe_relative_path(std::string_view path) {
    constexpr std::size_t kMaxPathBytes = 4096;
    if (path.empty() || path.size() > kMaxPathBytes || path.front() == '/') return false;
    if (path.find('\0') != std::string_view::npos) return false;
    while (true) {
        const std::size_t slash = path.find('/');
        const std::string_view part = path.substr(0, slash);
        if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
        if (slash == std::string_view::npos) return true;
        path.remove_prefix(slash + 1);
    }
}

}  // namespace chain
