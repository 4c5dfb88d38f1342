// SPDX-License-Identifier: BSD-3-Clause
//
// A transfer of files, as a stranger makes it: what the input says is sent to a Receiver, whose
// contents and job folder lie on a disk of memory, with now and then a disk that damages them.
#include <filesystem>
#include <fstream>
#include <map>

#include <stdlib.h>

#include "chain/stage/install.h"
#include "chain/stage/pending_file.h"
#include "chain/stage/receiver.h"
#include "chain/stage/s3.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/target.h"

namespace chain::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kBytesMax = 200;

class Folder {
public:
    Folder() {
        std::string pattern = "/dev/shm/ompi-chain-fuzz.XXXXXX";
        CHAIN_CHECK(mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
        for (const char *name : {"job", "outside", "victim"}) fs::create_directory(path_ / name);
        std::ofstream(path_ / "victim/file") << "kept";
    }
    ~Folder() { fs::remove_all(path_); }
    const fs::path &path() const { return path_; }

private:
    fs::path path_;
};

const char *const kNames[] = {"a",
                              "b",
                              "d/a",
                              "d",
                              "/a",
                              "/d/b",
                              "../victim/file",
                              "d/../b",
                              "link/file",
                              "",
                              "//x",
                              "/.ompi-chain/image",
                              "a\nb"};
const char *const kContents[] = {"", "x", "0123456789", "0123456780",
                                 "012345678901234567890123456789"};

Bytes32 hash_of(std::string_view content) {
    Sha256 hash;
    hash.update(content);
    return hash.finish();
}

wire::StageFile name_file(Choices &choices, std::uint32_t next) {
    wire::StageFile file;
    file.set_file(choices.one_in(16) ? choices.byte() : next);
    file.set_name(choices.one_in(8) ? choices.bytes(12) : kNames[choices.below(std::size(kNames))]);
    const std::string content = kContents[choices.below(std::size(kContents))];
    file.set_size_bytes(choices.one_in(16) ? choices.number(8) : content.size());
    file.set_mode(choices.one_in(16) ? choices.number(2) : 0644);
    file.set_sha256(choices.one_in(16) ? choices.bytes(33) : to_bytes(hash_of(content)));
    if (choices.one_in(8)) {
        file.set_url(choices.one_in(2) ? "https://store.example/" + choices.bytes(8)
                                       : choices.bytes(30));
        file.set_etag(choices.bytes(6));
        if (!choices.one_in(4))
            file.set_sha256(to_bytes(stage::object_hash(file.url(), file.etag())));
    }
    return file;
}

// Of one of the files that were named, mostly the next piece of what it should be.
wire::StageChunk make_chunk(Choices &choices, const stage::Receiver &receiver,
                            const std::map<std::uint32_t, std::uint64_t> &sent) {
    wire::StageChunk chunk;
    const std::size_t count = receiver.files().size();
    chunk.set_file(count == 0 || choices.one_in(16)
                       ? choices.byte()
                       : static_cast<std::uint32_t>(choices.below(count)));
    const auto at = sent.find(chunk.file());
    chunk.set_offset(choices.one_in(16) ? choices.byte() : at == sent.end() ? 0 : at->second);
    if (chunk.file() < count && !choices.one_in(8)) {
        const Bytes32 &sha256 = receiver.files()[chunk.file()].sha256;
        for (const std::string_view content : kContents)
            if (hash_of(content) == sha256 && chunk.offset() <= content.size())
                chunk.set_content(
                    std::string(content.substr(chunk.offset(), 1 + choices.below(30))));
    } else {
        chunk.set_content(choices.bytes(choices.below(40)));
    }
    return chunk;
}

void check_disk(const fs::path &root) {
    std::ifstream victim(root / "victim/file");
    std::string text;
    victim >> text;
    CHAIN_CHECK(text == "kept");
    for (const auto &entry : fs::directory_iterator(root)) {
        const std::string name = entry.path().filename().string();
        CHAIN_CHECK(name == "job" || name == "outside" || name == "victim" || name == "own" ||
                    name == "cache");
    }
    CHAIN_CHECK(std::distance(fs::directory_iterator(root / "victim"), {}) == 1);
}

// One input: a peer's disk, and up to three transfers to it.
class Session {
public:
    explicit Session(std::string_view input) : choices_(input) {
        if (choices_.one_in(2)) fs::create_directory_symlink(root_ / "victim", root_ / "job/link");
        if (choices_.one_in(4)) fs::create_symlink(root_ / "victim/file", root_ / "job/a");
        cache_ = *stage::ContentStore::open(root_ / "cache",
                                            {.bytes_max = choices_.byte(), .may_evict = true});
        own_ = *stage::ContentStore::open(root_ / "own", {.bytes_max = kBytesMax});
    }

    void run() {
        for (unsigned transfer = 0; transfer < 3 && !choices_.exhausted(); ++transfer) {
            begin();
            while (!is_over_ && !choices_.exhausted()) step();
            receiver_.reset();
            CHAIN_CHECK(own_->used_bytes() <= kBytesMax);
            check_disk(root_);
            if (!choices_.one_in(3)) continue;
            fs::remove_all(root_ / "job");
            fs::create_directory(root_ / "job");
        }
    }

private:
    void begin() {
        std::optional<stage::WebRules> stores;
        const bool allow_absolute = choices_.one_in(2);
        if (choices_.one_in(2)) stores = *stage::WebRules::parse({"https://store.example"});
        receiver_.emplace(stage::ReceiverStores{cache_.get(), own_.get(), Bytes32{1}},
                          allow_absolute, kBytesMax, stores);
        sent_.clear();
        is_over_ = false;
    }

    std::uint32_t count() const { return static_cast<std::uint32_t>(receiver_->files().size()); }

    void step() {
        switch (choices_.below(8)) {
            case 0:
            case 1:
            case 2: is_over_ = !receiver_->on_file(name_file(choices_, count())).ok(); break;
            case 3: list(); break;
            case 4:
            case 5: {
                const wire::StageChunk chunk = make_chunk(choices_, *receiver_, sent_);
                is_over_ = !receiver_->on_chunk(chunk).ok();
                if (!is_over_) sent_[chunk.file()] = chunk.offset() + chunk.content().size();
                break;
            }
            case 6: done(); break;
            default:  // the disk
                for (const auto &entry : fs::recursive_directory_iterator(root_ / "cache"))
                    if (entry.is_regular_file() && choices_.one_in(4))
                        std::ofstream(entry.path(), std::ios::app) << 'y';
        }
    }

    void list() {
        wire::StageList list;
        list.set_file_count(choices_.one_in(8) ? choices_.byte() : count());
        if (choices_.one_in(4)) list.set_image("/.ompi-chain/image");
        is_over_ = !receiver_->on_list(list).ok();
        if (!is_over_) take_need(receiver_->needs(), false);
    }

    void done() {
        wire::StageDone done;
        done.set_file_count(choices_.one_in(8) ? choices_.byte() : count());
        if (choices_.one_in(8)) done.set_error(choices_.bytes(5));
        is_over_ = !receiver_->on_done(done).ok();
        if (is_over_) return;
        const auto place = [this](const stage::StagedFile &file,
                                  stage::ContentStore::Content &content, bool may_move) {
            return stage::install_file(folders_, file, content, may_move);
        };
        const auto fetch = [](const stage::StagedFile &file) -> Status {
            CHAIN_CHECK(file.url.starts_with("https://store.example/"));
            return ok_status();
        };
        take_need(receiver_->place(place, fetch), true);
    }

    void take_need(const Result<wire::StageNeed> &need, bool placed) {
        is_over_ = !need.ok();
        if (is_over_) return;
        sent_.clear();
        for (const wire::StageRange &range : need->ranges()) {
            CHAIN_CHECK(range.file() < count() &&
                        range.offset() < receiver_->files()[range.file()].size_bytes);
            sent_[range.file()] = range.offset();
        }
        if (!placed || !sent_.empty()) return;
        is_over_ = true;
        for (const stage::StagedFile &file : receiver_->files()) {
            if (!file.url.empty()) continue;
            const std::string path = file.name.starts_with('/') ? folders_.outside + file.name
                                                                : folders_.job + "/" + file.name;
            const auto opened = stage::open_source(path);
            CHAIN_CHECK(opened.ok());
            CHAIN_CHECK(*stage::hash_open_file(opened->get(), path) == file.sha256);
        }
    }

    Choices choices_;
    const Folder folder_;
    const fs::path &root_ = folder_.path();
    const stage::InstallFolders folders_{root_ / "job", root_ / "outside"};
    std::unique_ptr<stage::ContentStore> cache_, own_;
    std::optional<stage::Receiver> receiver_;
    std::map<std::uint32_t, std::uint64_t> sent_;  // offsets that are due
    bool is_over_ = false;
};

}  // namespace

CHAIN_FUZZ_TARGET(stage) {
    Session(input).run();
}

}  // namespace chain::fuzz
