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

}  // namespace

CHAIN_FUZZ_TARGET(stage) {
    Choices choices(input);
    const Folder folder;
    const fs::path &root = folder.path();
    const stage::InstallFolders folders{root / "job", root / "outside"};
    if (choices.one_in(2)) fs::create_directory_symlink(root / "victim", root / "job/link");
    if (choices.one_in(4)) fs::create_symlink(root / "victim/file", root / "job/a");
    const stage::Receiver::Place place = [&](const stage::StagedFile &file,
                                             stage::ContentStore::Content &content, bool may_move) {
        return stage::install_file(folders, file, content, may_move);
    };
    const stage::Receiver::Fetch fetch = [&](const stage::StagedFile &file) -> Status {
        CHAIN_CHECK(file.url.starts_with("https://store.example/"));
        return ok_status();
    };
    auto cache = *stage::ContentStore::open(root / "cache",
                                            {.bytes_max = choices.byte(), .may_evict = true});
    auto own = *stage::ContentStore::open(root / "own", {.bytes_max = kBytesMax});
    for (unsigned transfer = 0; transfer < 3 && !choices.exhausted(); ++transfer) {
        stage::Receiver receiver(
            {cache.get(), own.get(), Bytes32{1}}, choices.one_in(2), kBytesMax,
            choices.one_in(2) ? std::optional(*stage::WebRules::parse({"https://store.example"}))
                              : std::nullopt);
        std::map<std::uint32_t, std::uint64_t> sent;  // offsets that are due
        bool is_over = false;
        const auto take_need = [&](const Result<wire::StageNeed> &need, bool placed) {
            if (!need.ok()) {
                is_over = true;
                return;
            }
            sent.clear();
            for (const wire::StageRange &range : need->ranges()) {
                CHAIN_CHECK(range.file() < receiver.files().size() &&
                            range.offset() < receiver.files()[range.file()].size_bytes);
                sent[range.file()] = range.offset();
            }
            if (!placed || !sent.empty()) return;
            is_over = true;
            for (const stage::StagedFile &file : receiver.files()) {
                if (!file.url.empty()) continue;
                const bool absolute = file.name.starts_with('/');
                const std::string path =
                    absolute ? folders.outside + file.name : folders.job + "/" + file.name;
                const auto opened = stage::open_source(path);
                CHAIN_CHECK(opened.ok());
                CHAIN_CHECK(*stage::hash_open_file(opened->get(), path) == file.sha256);
            }
        };
        while (!is_over && !choices.exhausted()) {
            switch (choices.below(8)) {
                case 0:
                case 1:
                case 2:
                    is_over =
                        !receiver
                             .on_file(name_file(
                                 choices, static_cast<std::uint32_t>(receiver.files().size())))
                             .ok();
                    break;
                case 3: {
                    wire::StageList list;
                    list.set_file_count(choices.one_in(8) ? choices.byte()
                                                          : receiver.files().size());
                    if (choices.one_in(4)) list.set_image("/.ompi-chain/image");
                    is_over = !receiver.on_list(list).ok();
                    if (!is_over) take_need(receiver.needs(), false);
                    break;
                }
                case 4:
                case 5: {
                    const wire::StageChunk chunk = make_chunk(choices, receiver, sent);
                    is_over = !receiver.on_chunk(chunk).ok();
                    if (!is_over) sent[chunk.file()] = chunk.offset() + chunk.content().size();
                    break;
                }
                case 6: {
                    wire::StageDone done;
                    done.set_file_count(choices.one_in(8) ? choices.byte()
                                                          : receiver.files().size());
                    if (choices.one_in(8)) done.set_error(choices.bytes(5));
                    is_over = !receiver.on_done(done).ok();
                    if (!is_over) take_need(receiver.place(place, fetch), true);
                    break;
                }
                default:  // the disk
                    for (const auto &entry : fs::recursive_directory_iterator(root / "cache"))
                        if (entry.is_regular_file() && choices.one_in(4))
                            std::ofstream(entry.path(), std::ios::app) << 'y';
            }
        }
        CHAIN_CHECK(own->used_bytes() <= kBytesMax);
        check_disk(root);
        if (choices.one_in(3)) fs::remove_all(root / "job"), fs::create_directory(root / "job");
    }
}

}  // namespace chain::fuzz
