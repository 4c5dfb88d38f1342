// SPDX-License-Identifier: BSD-3-Clause
//
// Staging: the renter's files in the job folder of a peer, and back (trade.md 6). Whole files in
// chunks, each checked against its SHA-256; never a name that leaves the folder.
//
// Owner: one thread per object. Limits: files per transfer, bytes per transfer, both by
// constructor.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "chain/base/file.h"
#include "chain/wire/peer.pb.h"

namespace chain::provider {

inline constexpr std::uint32_t kStageFilesMax = 100'000;

struct StagedFile {
    std::string name;         // relative to the job folder; absolute: read-only, outside of it
    std::string source_path;  // sender's side
    std::string source_root;  // if set: source_path is `name` below it, opened without any link
    std::uint64_t size_bytes = 0;
    std::uint32_t mode = 0644;
    Bytes32 sha256{};
};

// Reads and hashes `source_path`. Blocking: for a worker. Errors: kNotFound, kPermission, kIo
// ("is a folder"), kTooLarge.
Result<StagedFile> describe_file(const std::string &source_path, const std::string &name,
                                 std::uint64_t limit_bytes);

// Hash over (name, size, mode, sha256) of every file, in order: pinned in the lease.
Bytes32 manifest_hash(const std::vector<StagedFile> &files);

// Cuts files into messages. `next` reads at most one chunk; nullopt after the StageDone.
// Errors: kConflict when a file changed since it was described.
class StageSender {
public:
    explicit StageSender(std::vector<StagedFile> files);
    Result<std::optional<wire::TradeMessage>> next();
    std::uint64_t total_bytes() const;

private:
    std::vector<StagedFile> files_;
    std::size_t index_ = 0;
    bool announced_ = false;
    bool finished_ = false;
    Result<Unit> open_current();
    Result<std::string> read_chunk();

    std::uint64_t offset_ = 0;
    FileDescriptor file_;
    std::unique_ptr<Sha256> hash_;
};

// Puts messages together again. Relative names go below `folder`, absolute ones below
// `outside_folder` (empty: refused). Files appear under their name only when whole and verified.
// Errors: kProtocol, kTooLarge, kDiskFull, kIo, kBadSignature (hash differs); after an error the
// object takes nothing more.
class StageReceiver {
public:
    StageReceiver(std::string folder, std::string outside_folder, std::uint64_t limit_bytes);
    ~StageReceiver();
    Status on_file(const wire::StageFile &file);
    Status on_chunk(const wire::StageChunk &chunk);
    // Errors: kProtocol when files are missing.
    Status on_done(const wire::StageDone &done);
    const std::vector<StagedFile> &files() const { return files_; }

private:
    Status begin_file(const wire::StageFile &file);
    Status add_chunk(const wire::StageChunk &chunk);
    Status finish_file();
    Status end(const wire::StageDone &done);
    Status remember(Status status);

    std::string folder_;
    std::string outside_folder_;
    std::uint64_t limit_bytes_;
    std::uint64_t announced_bytes_ = 0;
    std::vector<StagedFile> files_;
    std::set<std::string> names_;
    bool failed_ = false;
    bool ended_ = false;
    // The file that is being received: below parent_, under a name of ours until it is whole.
    FileDescriptor parent_;
    FileDescriptor file_;
    std::string base_name_;
    std::string temporary_name_;
    std::uint64_t offset_ = 0;
    std::unique_ptr<Sha256> hash_;
};

// Regular files below `folder` that are new or differ from `staged`, by size, mtime or hash;
// symbolic links and special files are left out. `globs` (empty: all; * ? [a-z]) match relative
// names, and the last part alone where the glob holds no '/'. A file with its staged content is
// not new, whatever its mtime. Blocking. Errors: kTooLarge over limit_bytes or kStageFilesMax.
Result<std::vector<StagedFile>> collect_results(const std::string &folder,
                                                const std::vector<StagedFile> &staged,
                                                const std::vector<std::string> &globs,
                                                std::uint64_t limit_bytes);

}  // namespace chain::provider
