// SPDX-License-Identifier: BSD-3-Clause
//
// Files: whole reads with a limit, and writes that are either all there or not there at all.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "chain/base/bytes.h"

namespace chain {

// A file descriptor with one owner.
class FileDescriptor {
public:
    FileDescriptor() = default;
    explicit FileDescriptor(int fd) : fd_(fd) {}
    FileDescriptor(FileDescriptor &&other) noexcept : fd_(other.release()) {}
    FileDescriptor &operator=(FileDescriptor &&other) noexcept;
    ~FileDescriptor() { reset(); }
    int get() const { return fd_; }
    bool valid() const { return fd_ >= 0; }
    int release();
    void reset();

private:
    int fd_ = -1;
};

// The errno of a failed call as an Error: ENOSPC and EDQUOT are kDiskFull, EACCES and EPERM
// kPermission, ENOENT kNotFound, the rest kIo. `doing` as in "write /var/lib/x".
Error errno_error(int errno_value, std::string_view doing);

// Errors: kNotFound, kPermission, kTooLarge (over limit_bytes), kIo.
Result<Bytes> read_file(const std::string &path, std::size_t limit_bytes);

// Temporary file in the same folder, fsync, rename, fsync of the folder. On failure the old file
// stands and no temporary one is left. Errors: kDiskFull, kPermission, kIo.
Status write_file_atomic(const std::string &path, std::string_view content, unsigned mode);

// Opens a file to write at its end, made with 0600 if it is not there. Errors as errno_error.
Result<FileDescriptor> open_append(const std::string &path);

// mkdir -p; an existing folder is fine and keeps its mode.
Status make_folders(const std::string &path, unsigned mode);
// rm -rf that follows no symbolic link; a missing path is fine.
Status remove_tree(const std::string &path);
bool path_exists(const std::string &path);

// True for "a/b.png": relative, non-empty, no empty, "." or ".." part, no NUL, <= 4096 bytes.
bool is_safe_relative_path(std::string_view path);

Status write_all(int fd, std::string_view bytes, std::string_view doing);
// Until `size_bytes` are there, or the end of the file.
Result<std::size_t> read_some(int fd, char *buffer, std::size_t size_bytes, std::string_view doing);

}  // namespace chain
