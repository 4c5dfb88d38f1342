// SPDX-License-Identifier: BSD-3-Clause
//
// StagedFile: a file that a job takes to a peer, or brings back (trade.md 6). chain/stage moves
// them: Sender and Receiver talk, ContentStore holds what has come, and the rest puts it where it
// belongs. Never a name that leaves its folder, and nothing under its name before it is whole and
// verified.
//
// Everything here blocks on the disk: for a worker. Thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chain/base/file.h"

namespace chain::stage {

inline constexpr std::uint32_t kFilesMax = 100'000;       // of one transfer
inline constexpr std::size_t kNamesBytesMax = 32u << 20;  // of all of them, with their addresses
inline constexpr std::size_t kNamePartsMax = 64;          // a/b/c has three
inline constexpr std::size_t kTextBytesMax = 200;         // of a stranger's words in a message
// Under which an image comes to a peer; no job sees it.
inline constexpr std::string_view kImageName = "/.ompi-chain/image";

struct StagedFile {
    std::string name;         // relative to the job folder; absolute: read-only, outside of it
    std::string source_path;  // sender's side
    std::string source_root;  // if set: source_path is `name` below it, opened without any link
    std::uint64_t size_bytes = 0;
    std::uint32_t mode = 0644;
    Bytes32 sha256{};
    // Of a store, from which peers get it themselves; sha256 is object_hash then.
    std::string url;
    std::string etag;
    std::int64_t modified_at_ns = 0;  // sender's side, Unix time
};

// Reads and hashes `source_path`. Errors: kNotFound, kPermission, kIo ("is a folder"), kTooLarge.
Result<StagedFile> describe_file(const std::string &source_path, const std::string &name,
                                 std::uint64_t limit_bytes);

// Hash over (name, size, mode, sha256) of every file, in order: pinned in the lease.
Bytes32 manifest_hash(const std::vector<StagedFile> &files);

// Stands for the content of an object that nobody here has read: where it is, and which one of all
// that are or will be there.
Bytes32 object_hash(std::string_view url, std::string_view etag);

inline std::size_t name_parts(std::string_view name) {
    return 1 + static_cast<std::size_t>(std::count(name.begin(), name.end(), '/'));
}
std::uint64_t total_bytes(const std::vector<StagedFile> &files);

// Of --chain-stage-out: not too many, and none that costs too much to match. Errors: kTooLarge,
// kInvalidInput.
Status check_globs(const std::vector<std::string> &globs);
// As collect_results does it.
bool matches_globs(const std::vector<std::string> &globs, const std::string &name);

// Regular files below `folder` that are new or differ from `staged`, by size or hash; symbolic
// links and special files are left out. `globs` (empty: all; * ? [a-z]) match relative names, and
// the last part alone where the glob holds no '/'. Names that no peer would take are left out.
// Errors: kTooLarge over limit_bytes or kFilesMax,
// kInvalidInput (globs).
Result<std::vector<StagedFile>> collect_results(const std::string &folder,
                                                const std::vector<StagedFile> &staged,
                                                const std::vector<std::string> &globs,
                                                std::uint64_t limit_bytes);

// For reading: a pipe or a device that was named by mistake holds nobody. Errors: as errno_error.
Result<FileDescriptor> open_source(const std::string &path);
// Of its content, Unix time. Errors: kIo.
Result<std::int64_t> modified_at_ns(int fd, const std::string &name);

}  // namespace chain::stage
