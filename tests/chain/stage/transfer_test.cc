// SPDX-License-Identifier: BSD-3-Clause
//
// Sender and Receiver, and what a cut line or a damaged disk do to a transfer.
#include <random>

#include <sys/mount.h>
#include <unistd.h>

#include "tests/chain/stage/transfer.h"

namespace chain::stage {
namespace {

std::vector<StagedFile> random_tree(std::mt19937_64 &random, const TestFolder &from) {
    const std::size_t sizes[] = {0,
                                 1,
                                 100,
                                 wire::kStageChunkBytes - 1,
                                 wire::kStageChunkBytes,
                                 wire::kStageChunkBytes + 1,
                                 3 * wire::kStageChunkBytes};
    std::vector<StagedFile> files;
    std::string content;
    for (std::size_t i = 0; i < 1 + random() % 12; ++i) {
        if (i == 0 || random() % 4 != 0) {  // else the same under another name
            content.assign(sizes[random() % std::size(sizes)], '\0');
            for (char &c : content) c = static_cast<char>(random());
        }
        std::string name = "f" + std::to_string(i);
        for (std::size_t depth = random() % 4; depth > 0; --depth)
            name = "d" + std::to_string(random() % 3) + "/" + name;
        write_text(from / name, content);
        EXPECT_EQ(chmod((from / name).c_str(), random() % 2 ? 0755 : 0400), 0);
        files.push_back(described(from / name, (random() % 4 == 0 ? "/" : "") + name));
    }
    return files;
}

void expect_the_same(const std::vector<StagedFile> &files, const Peer &to) {
    for (const StagedFile &file : files) {
        EXPECT_EQ(read_text(to.path_of(file)), read_text(file.source_path)) << file.name;
        struct stat status {};
        ASSERT_EQ(stat(to.path_of(file).c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 07777, file.mode);
    }
    EXPECT_EQ(files_below(to / "job") + files_below(to / "outside"), files.size());
    EXPECT_EQ(files_below(to / "own"), 0u);
}

// Cut off again and again, with what is kept damaged now and then, and with little room or none.
TEST_F(TransferTest, PropertyRandomTreesComeOutTheSame) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    for (int round = 0; round < 20; ++round) {
        const TestFolder from;
        const std::uint64_t cache_sizes[] = {0, wire::kStageChunkBytes, kLimit};
        Peer to(cache_sizes[random() % 3]);
        const std::vector<StagedFile> files = random_tree(random, from);
        for (std::size_t cut = 1;; cut += random() % 8) {
            to.clear();
            Sender sender(files);
            Receiver receiver = to.receiver(total_bytes(files));
            const Status moved = transfer(sender, receiver, to.place(), cut);
            if (moved.ok()) {
                EXPECT_EQ(manifest_hash(receiver.files()), manifest_hash(files));
                break;
            }
            ASSERT_EQ(moved.error().code, ErrorCode::kPeerLost) << moved.error().message;
            for (const auto &entry : std::filesystem::recursive_directory_iterator(to / "cache")) {
                if (!entry.is_regular_file() || random() % 4 != 0) continue;
                std::string content = read_text(entry.path());
                if (content.empty()) continue;
                content[random() % content.size()] ^= 1;
                write_text(entry.path(), content);
            }
        }
        expect_the_same(files, to);
        std::uint64_t sent_bytes = 0;
        to.clear();
        Sender again(files);
        Receiver receiver = to.receiver();
        ASSERT_TRUE(transfer(again, receiver, to.place()).ok());
        sent_bytes = again.sent_bytes();
        expect_the_same(files, to);
        EXPECT_EQ(receiver.received_bytes(), sent_bytes);
    }
}

TEST_F(TransferTest, NothingIsSentTwice) {
    const std::string content(wire::kStageChunkBytes + 10, 'x');
    const std::vector<StagedFile> files = {make("a", content), make("b", content), make("e", "")};
    std::uint64_t sent_bytes = 0;
    ASSERT_TRUE(send(files, &sent_bytes).ok());
    EXPECT_EQ(sent_bytes, content.size());  // once for two names
    to_.clear();
    ASSERT_TRUE(send(files, &sent_bytes).ok());
    EXPECT_EQ(sent_bytes, 0u);
    expect_the_same(files, to_);
}

TEST_F(TransferTest, GoesOnWhereItWasCutOff) {
    const std::vector<StagedFile> files = {make("a", std::string(5 * wire::kStageChunkBytes, 'x'))};
    {
        Sender sender(files);
        Receiver receiver = to_.receiver();
        ASSERT_FALSE(transfer(sender, receiver, to_.place(), 5).ok());  // a, list, three chunks
    }
    std::uint64_t sent_bytes = 0;
    to_.clear();
    ASSERT_TRUE(send(files, &sent_bytes).ok());
    EXPECT_EQ(sent_bytes, 2 * wire::kStageChunkBytes);
    expect_the_same(files, to_);
}

TEST_F(TransferTest, DamageOnThePeersDiskIsSeenAndMended) {
    const std::vector<StagedFile> files = {make("a", "0123456789"), make("b", "0123456789")};
    ASSERT_TRUE(send(files).ok());
    write_text(cached(), "0123456780");
    to_.clear();
    std::uint64_t sent_bytes = 0;
    ASSERT_TRUE(send(files, &sent_bytes).ok());
    EXPECT_EQ(sent_bytes, 10u);
    expect_the_same(files, to_);
    EXPECT_EQ(read_text(cached()), "0123456789");
}

TEST_F(TransferTest, AJobCannotChangeWhatIsKept) {
    const std::vector<StagedFile> files = {make("a", "0123456789")};
    ASSERT_TRUE(send(files).ok());
    write_text(to_.path_of(files[0]), "scribble");
    EXPECT_EQ(read_text(cached()), "0123456789");
}

TEST_F(TransferTest, AFileThatChangesIsNeverSentWhole) {
    for (const std::string &changed :
         {std::string(wire::kStageChunkBytes + 10, 'y'), std::string("short"),
          std::string(wire::kStageChunkBytes + 11, 'x')}) {
        const StagedFile file = make("a", std::string(wire::kStageChunkBytes + 10, 'x'));
        write_text(from_ / "a", changed);
        const Status moved = send({file});
        ASSERT_FALSE(moved.ok());
        EXPECT_EQ(moved.error().code, ErrorCode::kConflict);
        EXPECT_FALSE(path_exists(to_ / "job/a"));
    }
}

TEST_F(TransferTest, AResultThatBecomesALinkIsNotSent) {
    const auto refuses = [&](const std::vector<StagedFile> &files) {
        Sender sender(files);
        Receiver receiver = to_.receiver();
        return !transfer(sender, receiver, to_.place()).ok();
    };
    write_text(from_ / "job/sub/result", "result");
    write_text(from_ / "secret", "secret");
    const auto results = collect_results(from_ / "job", {}, {}, kLimit);
    ASSERT_TRUE(results.ok());
    ASSERT_EQ(results->size(), 1u);
    ASSERT_EQ(unlink((from_ / "job/sub/result").c_str()), 0);
    ASSERT_EQ(symlink((from_ / "secret").c_str(), (from_ / "job/sub/result").c_str()), 0);
    EXPECT_TRUE(refuses(*results));
    std::filesystem::remove_all(from_ / "job/sub");
    write_text(from_ / "sub/result", "secret");
    ASSERT_EQ(symlink((from_ / "sub").c_str(), (from_ / "job/sub").c_str()), 0);
    EXPECT_TRUE(refuses(*results));
}

TEST_F(TransferTest, RefusesNamesThatLeaveTheFolder) {
    for (const std::string &name :
         {std::string(""), std::string(".."), std::string("../x"), std::string("a/../../x"),
          std::string("a/./b"), std::string("a//b"), std::string("a/"), std::string("/"),
          std::string("//etc/x"), std::string("/../x"), std::string("a\0b", 3),
          std::string(300, 'x'), std::string(5000, '/')})
        EXPECT_EQ(refused(named(name, "x")), ErrorCode::kProtocol) << name;
    const auto own = ContentStore::open(to_ / "own", {kLimit, 0, false});
    Receiver inside_only({nullptr, own->get(), {}}, false, kLimit);
    EXPECT_FALSE(inside_only.on_file(named("/data/x", "x")).ok());
}

TEST_F(TransferTest, FollowsNoLinkThatAProgramPutThere) {
    write_text(from_ / "victim/file", "kept");
    ASSERT_EQ(symlink((from_ / "victim").c_str(), (to_ / "job/folder").c_str()), 0);
    ASSERT_EQ(symlink((from_ / "victim/file").c_str(), (to_ / "job/file").c_str()), 0);
    EXPECT_FALSE(send({make("folder/x", "x")}).ok());
    ASSERT_TRUE(send({make("file", "new")}).ok());
    EXPECT_EQ(read_text(from_ / "victim/file"), "kept");
    EXPECT_FALSE(std::filesystem::is_symlink(to_ / "job/file"));  // replaced, not followed
    EXPECT_EQ(files_below(from_ / "victim"), 1u);
}

TEST_F(TransferTest, AFullDiskIsSaid) {
    if (mount("tmpfs", (to_ / "own").c_str(), "tmpfs", 0, "size=64k") != 0)
        GTEST_SKIP() << "cannot mount a tmpfs here";
    const auto own = ContentStore::open(to_ / "own", {kLimit, 0, false});
    Receiver receiver({nullptr, own->get(), {}}, true, kLimit);
    Sender sender({make("a", std::string(1 << 20, 'x'))});
    const Status moved = transfer(sender, receiver, to_.place());
    ASSERT_FALSE(moved.ok());
    EXPECT_EQ(moved.error().code, ErrorCode::kDiskFull);
    EXPECT_EQ(umount((to_ / "own").c_str()), 0);
}

}  // namespace
}  // namespace chain::stage
