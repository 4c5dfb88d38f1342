// SPDX-License-Identifier: BSD-3-Clause
//
// Sender: files, cut into messages for one peer: all their names first, then of each content what
// the peer says it lacks. The protocol stands at wire::StageFile.
//
// Owner: one thread. Reads one chunk of the disk a call.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "chain/stage/staged_file.h"
#include "chain/stage/web.h"
#include "chain/wire/peer.pb.h"

namespace chain::stage {

inline constexpr unsigned kNeedRoundsMax = 4;  // a peer that damages what it gets, again and again

class Sender {
public:
    // `image`: the name of the file that the job runs in; may be empty.
    explicit Sender(std::vector<StagedFile> files, std::string image = {});
    explicit Sender(std::shared_ptr<const std::vector<StagedFile>> files, std::string image = {});

    // The next message; nullopt: none before the peer says what it needs (on_need), or that it has
    // all. Errors: kConflict when a file changed since it was described, kNotFound, kPermission,
    // kIo.
    Result<std::optional<wire::TradeMessage>> next();
    // Errors: kProtocol (out of turn, no such file or byte, too often).
    Status on_need(const wire::StageNeed &need);

    const std::vector<StagedFile> &files() const { return *files_; }
    std::uint64_t sent_bytes() const { return sent_bytes_; }

private:
    enum class Phase { kNaming, kWaiting, kSending };
    Status open_range();
    Result<std::string> read_chunk();

    std::shared_ptr<const std::vector<StagedFile>> files_;  // others may send them, too
    const std::string image_;
    Phase phase_ = Phase::kNaming;
    std::size_t named_count_ = 0;
    wire::StageNeed need_;
    int range_ = 0;
    unsigned rounds_ = 0;
    std::uint64_t offset_ = 0;
    std::uint64_t sent_bytes_ = 0;
    FileDescriptor file_;
    std::unique_ptr<Sha256> hash_;  // of a file that is sent from its beginning
};

// To where a store takes it. Errors: those of web_put, and of Sender::next.
Status put_file(const StagedFile &file, const std::string &url, const WebManner &manner);

}  // namespace chain::stage
