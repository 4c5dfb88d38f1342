// SPDX-License-Identifier: BSD-3-Clause
//
// Receiver: what a Sender at a peer says, until every file is in its place. Contents go into
// stores, which may have some of them already, and from there to their names.
//
// Owner: one thread at a time; needs() and place() block on the disk and are for a worker, while no
// other call is made. Limits: files and bytes of one transfer. After an error it takes nothing
// more.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "chain/stage/content_store.h"
#include "chain/stage/staged_file.h"
#include "chain/stage/web.h"
#include "chain/wire/peer.pb.h"

namespace chain::stage {

// Where contents may lie, the best first. A store of the receiver's own need not keep them.
struct ReceiverStores {
    ContentStore *shared = nullptr;  // may be none
    ContentStore *own = nullptr;     // takes what `shared` does not
    Bytes32 owner{};                 // whose contents they are
};

class Receiver {
public:
    // Puts `file` in its place. `content` holds it, or should: false if it turned out to hold
    // something else. `may_move`: nobody else needs the content; it may be renamed away.
    using Place = std::function<Result<bool>(const StagedFile &file, ContentStore::Content &content,
                                             bool may_move)>;
    // Gets `file` from its store, and puts it in its place.
    using Fetch = std::function<Status(const StagedFile &file)>;

    // `allow_absolute`: names that begin with '/', which are read-only files. `stores_allowed`: may
    // be none, and then no file is to come from a store.
    Receiver(ReceiverStores stores, bool allow_absolute, std::uint64_t limit_bytes,
             std::optional<WebRules> stores_allowed = std::nullopt);

    // Errors: kProtocol (out of turn, an unsafe name or mode), kTooLarge.
    Status on_file(const wire::StageFile &file);
    Status on_list(const wire::StageList &list);
    // After on_list. Errors: kDiskFull.
    Result<wire::StageNeed> needs();
    // Errors: kProtocol, kDiskFull, kIo.
    Status on_chunk(const wire::StageChunk &chunk);
    // Errors: kProtocol when something is missing, kRefused (the sender gave up, and why).
    Status on_done(const wire::StageDone &done);
    // After on_done, or after needs() when nothing is needed: puts everything in its place. What
    // turned out to be damaged is needed again; if the answer is empty, all is in its place.
    // Errors: those of `place`, kBadSignature (damaged again).
    Result<wire::StageNeed> place(const Place &place, const Fetch &fetch = nullptr);

    const std::vector<StagedFile> &files() const { return files_; }
    bool all_named() const { return all_named_; }
    const std::string &image() const { return image_; }  // empty: none
    std::uint64_t received_bytes() const { return received_bytes_; }

private:
    struct Source {  // of one content
        std::uint32_t first_file = 0;
        std::uint32_t unplaced_count = 0;  // files that have it
        std::unique_ptr<ContentStore::Content> content;
        bool is_own = false;
        bool began_at_zero = false;  // all of it came in this transfer
    };

    Status name_file(const wire::StageFile &file);
    Status check_object(const StagedFile &file) const;
    Status add_chunk(const wire::StageChunk &chunk);
    Status end_list(const wire::StageList &list);
    Status end(const wire::StageDone &done);
    Result<wire::StageNeed> take_contents();
    Result<wire::StageNeed> place_all(const Place &place, const Fetch &fetch);
    template <class Outcome>
    Outcome remember(Outcome outcome);

    const ReceiverStores stores_;
    const bool allow_absolute_;
    const std::uint64_t limit_bytes_;
    const std::optional<WebRules> stores_allowed_;
    std::uint64_t named_bytes_ = 0;
    std::size_t names_bytes_ = 0;
    std::uint64_t received_bytes_ = 0;
    std::vector<StagedFile> files_;
    std::vector<bool> placed_;
    std::set<std::string> names_;
    std::map<Bytes32, Source> sources_;
    std::set<std::uint32_t> missing_;  // files of which something is still to come
    std::string image_;
    bool all_named_ = false;
    bool failed_ = false;
};

}  // namespace chain::stage
