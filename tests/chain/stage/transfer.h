// SPDX-License-Identifier: BSD-3-Clause
//
// Two ends of a transfer, without a network between them.
#pragma once

#include <memory>

#include "chain/stage/install.h"
#include "chain/stage/receiver.h"
#include "chain/stage/sender.h"
#include "chain/wire/frame.h"
#include "tests/chain/stage/support.h"

namespace chain::stage {

inline wire::StageFile named(const std::string &name, const std::string &content,
                             std::uint32_t number = 0) {
    wire::StageFile file;
    file.set_file(number);
    file.set_name(name);
    file.set_size_bytes(content.size());
    file.set_mode(0644);
    file.set_sha256(to_bytes(hash_of(content)));
    return file;
}

inline wire::StageChunk chunk_of(std::uint64_t offset, const std::string &content,
                                 std::uint32_t number = 0) {
    wire::StageChunk chunk;
    chunk.set_file(number);
    chunk.set_offset(offset);
    chunk.set_content(content);
    return chunk;
}

inline wire::StageList list_of(std::uint32_t count) {
    wire::StageList list;
    list.set_file_count(count);
    return list;
}

inline wire::StageDone done_of(std::uint32_t count) {
    wire::StageDone done;
    done.set_file_count(count);
    return done;
}

// One end of a transfer: stores and folders on the disk, as a peer has them.
class Peer {
public:
    explicit Peer(std::uint64_t cache_bytes = kLimit) : cache_bytes_(cache_bytes) { clear(); }

    // The stores as a daemon that starts finds them.
    Receiver receiver(std::uint64_t limit_bytes = kLimit) {
        cache_ = *ContentStore::open(root_ / "cache", {cache_bytes_, 0, true});
        own_ = *ContentStore::open(root_ / "own", {kLimit, 0, false});
        return Receiver({cache_.get(), own_.get(), Bytes32{1}}, true, limit_bytes);
    }
    Receiver::Place place() {
        return [folders = folders()](const StagedFile &file, ContentStore::Content &content,
                                     bool may_move) {
            return install_file(folders, file, content, may_move);
        };
    }
    // A new lease: nothing in its folders.
    void clear() {
        for (const char *name : {"job", "outside", "own"}) {
            std::filesystem::remove_all(root_ / name);
            std::filesystem::create_directory(root_ / name);
        }
    }
    InstallFolders folders() const { return {root_ / "job", root_ / "outside"}; }
    std::string path_of(const StagedFile &file) const {
        return file.name.front() == '/' ? folders().outside + file.name
                                        : folders().job + "/" + file.name;
    }
    std::string operator/(const std::string &name) const { return root_ / name; }

private:
    const std::uint64_t cache_bytes_;
    TestFolder root_;
    std::unique_ptr<ContentStore> cache_;
    std::unique_ptr<ContentStore> own_;
};

// Everything, or the first `messages_max` of what the sender says.
inline Status transfer(Sender &sender, Receiver &receiver, const Receiver::Place &place,
                       std::size_t messages_max = ~std::size_t{0}) {
    for (;;) {
        CHAIN_ASSIGN(const auto message, sender.next());
        CHAIN_CHECK(message.has_value());
        if (messages_max-- == 0) return make_error(ErrorCode::kPeerLost, "cut off");
        if (message->has_stage_file()) CHAIN_TRY(receiver.on_file(message->stage_file()));
        if (message->has_stage_chunk()) CHAIN_TRY(receiver.on_chunk(message->stage_chunk()));
        wire::StageNeed need;
        if (message->has_stage_list()) {
            CHAIN_TRY(receiver.on_list(message->stage_list()));
            CHAIN_ASSIGN(need, receiver.needs());
        } else if (message->has_stage_done()) {
            CHAIN_TRY(receiver.on_done(message->stage_done()));
        } else {
            continue;
        }
        if (need.ranges_size() == 0) {
            CHAIN_ASSIGN(need, receiver.place(place));
            if (need.ranges_size() == 0) return ok_status();
        }
        CHAIN_TRY(sender.on_need(need));
    }
}

class TransferTest : public ::testing::Test {
protected:
    StagedFile make(const std::string &name, const std::string &content) {
        write_text(from_ / name, content);
        return described(from_ / name, name);
    }
    Status send(const std::vector<StagedFile> &files, std::uint64_t *sent_bytes = nullptr) {
        Sender sender(files);
        Receiver receiver = to_.receiver();
        const Status sent = transfer(sender, receiver, to_.place());
        if (sent_bytes != nullptr) *sent_bytes = sender.sent_bytes();
        return sent;
    }
    // The one file below the cache.
    std::string cached() const {
        for (const auto &entry : std::filesystem::recursive_directory_iterator(to_ / "cache"))
            if (entry.is_regular_file()) return entry.path();
        return {};
    }
    ErrorCode refused(const wire::StageFile &file) {
        const Status status = to_.receiver().on_file(file);
        return status.ok() ? ErrorCode::kInternal : status.error().code;
    }
    TestFolder from_;
    Peer to_;
};

}  // namespace chain::stage
