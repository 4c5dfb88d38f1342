// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/staging.h"

#include <functional>
#include <random>

#include <sys/mount.h>
#include <unistd.h>

#include "chain/wire/frame.h"
#include "tests/chain/provider/support.h"

namespace chain::provider {
namespace {

constexpr std::uint64_t kLimit = 64 << 20;

StagedFile described(const std::string &path, const std::string &name) {
    auto file = describe_file(path, name, kLimit);
    EXPECT_TRUE(file.ok()) << file.error().message;
    return *file;
}

// Sends everything; the first error of either side.
Status transfer(StageSender &sender, StageReceiver &receiver) {
    for (;;) {
        CHAIN_ASSIGN(const auto message, sender.next());
        if (!message) return ok_status();
        if (message->has_stage_file()) CHAIN_TRY(receiver.on_file(message->stage_file()));
        if (message->has_stage_chunk()) CHAIN_TRY(receiver.on_chunk(message->stage_chunk()));
        if (message->has_stage_done()) CHAIN_TRY(receiver.on_done(message->stage_done()));
    }
}

wire::StageFile announcement(const std::string &name, const std::string &content,
                             std::uint32_t number = 0) {
    wire::StageFile file;
    file.set_file(number);
    file.set_name(name);
    file.set_size_bytes(content.size());
    file.set_mode(0644);
    Sha256 hash;
    hash.update(content);
    file.set_sha256(to_bytes(hash.finish()));
    return file;
}

wire::StageChunk chunk_of(std::uint64_t offset, const std::string &content,
                          std::uint32_t number = 0) {
    wire::StageChunk chunk;
    chunk.set_file(number);
    chunk.set_offset(offset);
    chunk.set_content(content);
    return chunk;
}

wire::StageDone done_of(std::uint32_t count) {
    wire::StageDone done;
    done.set_file_count(count);
    return done;
}

std::size_t files_below(const std::string &folder) {
    std::size_t count = 0;
    for (const auto &entry : std::filesystem::recursive_directory_iterator(folder))
        count += entry.is_regular_file();
    return count;
}

class StagingTest : public ::testing::Test {
protected:
    void SetUp() override {
        for (const char *name : {"from", "to", "outside"})
            std::filesystem::create_directory(root_ / name);
    }
    StageReceiver receiver(std::uint64_t limit_bytes = kLimit) {
        return StageReceiver(root_ / "to", root_ / "outside", limit_bytes);
    }
    ErrorCode refused(const wire::StageFile &file) {
        StageReceiver to = receiver();
        const Status status = to.on_file(file);
        return status.ok() ? ErrorCode::kInternal : status.error().code;
    }
    TestFolder root_;
};

TEST_F(StagingTest, PropertyRandomTreesComeOutTheSame) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    const std::size_t sizes[] = {0,
                                 1,
                                 100,
                                 wire::kStageChunkBytes - 1,
                                 wire::kStageChunkBytes,
                                 wire::kStageChunkBytes + 1,
                                 3 * wire::kStageChunkBytes};
    for (int round = 0; round < 10; ++round) {
        TestFolder from, to, outside;
        std::vector<StagedFile> files;
        for (std::size_t i = 0; i < 1 + random() % 12; ++i) {
            std::string content(sizes[random() % std::size(sizes)], '\0');
            for (char &c : content) c = static_cast<char>(random());
            std::string name = "f" + std::to_string(i);
            for (std::size_t depth = random() % 4; depth > 0; --depth)
                name = "d" + std::to_string(random() % 3) + "/" + name;
            write_text(from / name, content);
            ASSERT_EQ(chmod((from / name).c_str(), random() % 2 ? 0755 : 0400), 0);
            files.push_back(described(from / name, (random() % 4 == 0 ? "/" : "") + name));
        }
        StageSender sender(files);
        StageReceiver receiver(to.path(), outside.path(), sender.total_bytes());
        const Status moved = transfer(sender, receiver);
        ASSERT_TRUE(moved.ok()) << moved.error().message;
        EXPECT_EQ(manifest_hash(receiver.files()), manifest_hash(files));
        for (const auto &file : files) {
            const bool absolute = file.name.front() == '/';
            const std::string path =
                absolute ? outside.path() + file.name : to.path() + "/" + file.name;
            EXPECT_EQ(read_text(path), read_text(file.source_path)) << file.name;
            struct stat status {};
            ASSERT_EQ(stat(path.c_str(), &status), 0);
            EXPECT_EQ(status.st_mode & 07777, file.mode);
        }
        EXPECT_EQ(files_below(to.path()) + files_below(outside.path()), files.size());
    }
}

TEST_F(StagingTest, DescribeSaysWhatIsWrong) {
    write_text(root_ / "from/a", "12345");
    EXPECT_EQ(describe_file(root_ / "from/b", "b", 9).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(describe_file(root_ / "from", "b", 9).error().code, ErrorCode::kIo);
    EXPECT_EQ(describe_file(root_ / "from/a", "a", 4).error().code, ErrorCode::kTooLarge);
    EXPECT_TRUE(describe_file(root_ / "from/a", "a", 5).ok());
    ASSERT_EQ(mkfifo((root_ / "from/pipe").c_str(), 0644), 0);
    EXPECT_FALSE(describe_file(root_ / "from/pipe", "p", 9).ok());
}

TEST_F(StagingTest, ManifestHashSeesEveryField) {
    StagedFile file{"a", "", "", 1, 0644, {}};
    const Bytes32 base = manifest_hash({file});
    StagedFile other = file;
    other.name = "b";
    EXPECT_NE(manifest_hash({other}), base);
    other = file;
    other.size_bytes = 2;
    EXPECT_NE(manifest_hash({other}), base);
    other = file;
    other.mode = 0755;
    EXPECT_NE(manifest_hash({other}), base);
    other = file;
    other.sha256[31] = 1;
    EXPECT_NE(manifest_hash({other}), base);
    EXPECT_NE(manifest_hash({file, file}), base);
    other = file;
    other.source_path = "elsewhere";
    EXPECT_EQ(manifest_hash({other}), base);
}

TEST_F(StagingTest, AFileThatChangesIsNeverSentWhole) {
    write_text(root_ / "from/a", std::string(wire::kStageChunkBytes + 10, 'x'));
    const StagedFile file = described(root_ / "from/a", "a");
    for (const std::string &changed :
         {std::string(wire::kStageChunkBytes + 10, 'y'), std::string("short"),
          std::string(wire::kStageChunkBytes + 11, 'x')}) {
        write_text(root_ / "from/a", changed);
        StageSender sender({file});
        StageReceiver to = receiver();
        const Status moved = transfer(sender, to);
        ASSERT_FALSE(moved.ok());
        EXPECT_EQ(moved.error().code, ErrorCode::kConflict);
        EXPECT_FALSE(path_exists(root_ / "to/a"));
    }
}

TEST_F(StagingTest, RefusesNamesThatLeaveTheFolder) {
    for (const std::string &name :
         {std::string(""), std::string(".."), std::string("../x"), std::string("a/../../x"),
          std::string("a/./b"), std::string("a//b"), std::string("a/"), std::string("/"),
          std::string("//etc/x"), std::string("/../x"), std::string("a\0b", 3),
          std::string(300, 'x'), std::string(5000, '/')})
        EXPECT_EQ(refused(announcement(name, "x")), ErrorCode::kProtocol) << name;
    StageReceiver inside_only(root_ / "to", "", kLimit);
    EXPECT_FALSE(inside_only.on_file(announcement("/data/x", "x")).ok());
}

TEST_F(StagingTest, FollowsNoLinkThatAProgramPutThere) {
    std::filesystem::create_directory(root_ / "victim");
    write_text(root_ / "victim/file", "kept");
    ASSERT_EQ(symlink((root_ / "victim").c_str(), (root_ / "to/folder").c_str()), 0);
    ASSERT_EQ(symlink((root_ / "victim/file").c_str(), (root_ / "to/file").c_str()), 0);
    StageReceiver one = receiver();
    EXPECT_FALSE(one.on_file(announcement("folder/x", "x")).ok());
    StageReceiver two = receiver();
    ASSERT_TRUE(two.on_file(announcement("file", "new")).ok());
    ASSERT_TRUE(two.on_chunk(chunk_of(0, "new")).ok());
    EXPECT_EQ(read_text(root_ / "victim/file"), "kept");
    EXPECT_FALSE(std::filesystem::is_symlink(root_ / "to/file"));  // replaced, not followed
    EXPECT_EQ(files_below(root_ / "victim"), 1u);
}

struct BrokenTransfer {
    const char *what;
    std::function<Status(StageReceiver &)> run;
    ErrorCode code;
};

// Each is refused, the receiver takes nothing more, and no part of a file is left.
class BrokenTransferTest : public StagingTest {
protected:
    void expect_refused(const std::vector<BrokenTransfer> &cases) {
        for (const BrokenTransfer &c : cases) {
            {
                StageReceiver to = receiver(100);
                const Status status = c.run(to);
                ASSERT_FALSE(status.ok()) << c.what;
                EXPECT_EQ(status.error().code, c.code) << c.what << ": " << status.error().message;
                EXPECT_FALSE(to.on_file(announcement("z", "")).ok()) << c.what;
            }
            for (const auto &entry : std::filesystem::directory_iterator(root_ / "to")) {
                EXPECT_FALSE(entry.path().filename().string().starts_with(".ompi-chain")) << c.what;
                std::filesystem::remove_all(entry.path());
            }
        }
    }

    const std::string text_ = "0123456789";
};

TEST_F(BrokenTransferTest, Chunks) {
    expect_refused({
        {"wrong hash",
         [&](StageReceiver &to) -> Status {
             CHAIN_TRY(to.on_file(announcement("a", text_)));
             return to.on_chunk(chunk_of(0, "9876543210"));
         },
         ErrorCode::kBadSignature},
        {"gap",
         [&](StageReceiver &to) -> Status {
             CHAIN_TRY(to.on_file(announcement("a", text_)));
             return to.on_chunk(chunk_of(1, "123456789"));
         },
         ErrorCode::kProtocol},
        {"overlap",
         [&](StageReceiver &to) -> Status {
             CHAIN_TRY(to.on_file(announcement("a", text_)));
             CHAIN_TRY(to.on_chunk(chunk_of(0, "01234")));
             return to.on_chunk(chunk_of(4, "456789"));
         },
         ErrorCode::kProtocol},
        {"beyond the size",
         [&](StageReceiver &to) -> Status {
             CHAIN_TRY(to.on_file(announcement("a", text_)));
             return to.on_chunk(chunk_of(0, text_ + "x"));
         },
         ErrorCode::kProtocol},
        {"empty chunk",
         [&](StageReceiver &to) -> Status {
             CHAIN_TRY(to.on_file(announcement("a", text_)));
             return to.on_chunk(chunk_of(0, ""));
         },
         ErrorCode::kProtocol},
        {"chunk without a file",
         [&](StageReceiver &to) -> Status { return to.on_chunk(chunk_of(0, "x")); },
         ErrorCode::kProtocol},
        {"chunk of another file",
         [&](StageReceiver &to) -> Status {
             CHAIN_TRY(to.on_file(announcement("a", text_)));
             return to.on_chunk(chunk_of(0, text_, 1));
         },
         ErrorCode::kProtocol},
    });
}

TEST_F(BrokenTransferTest, Files) {
    expect_refused({
        {"file within a file",
         [&](StageReceiver &to) -> Status {
             CHAIN_TRY(to.on_file(announcement("a", text_)));
             return to.on_file(announcement("b", text_, 1));
         },
         ErrorCode::kProtocol},
        {"number skipped",
         [&](StageReceiver &to) -> Status { return to.on_file(announcement("a", text_, 1)); },
         ErrorCode::kProtocol},
        {"same name twice",
         [&](StageReceiver &to) -> Status {
             CHAIN_TRY(to.on_file(announcement("a", "")));
             return to.on_file(announcement("a", "", 1));
         },
         ErrorCode::kProtocol},
        {"set-uid",
         [&](StageReceiver &to) -> Status {
             auto file = announcement("a", text_);
             file.set_mode(04755);
             return to.on_file(file);
         },
         ErrorCode::kProtocol},
        {"short hash",
         [&](StageReceiver &to) -> Status {
             auto file = announcement("a", text_);
             file.set_sha256("x");
             return to.on_file(file);
         },
         ErrorCode::kProtocol},
        {"done too early",
         [&](StageReceiver &to) -> Status {
             CHAIN_TRY(to.on_file(announcement("a", text_)));
             return to.on_done(done_of(1));
         },
         ErrorCode::kProtocol},
        {"done with another count",
         [&](StageReceiver &to) -> Status {
             CHAIN_TRY(to.on_file(announcement("a", "")));
             return to.on_done(done_of(2));
         },
         ErrorCode::kProtocol},
        {"over the limit",
         [&](StageReceiver &to) -> Status {
             CHAIN_TRY(to.on_file(announcement("a", std::string(90, 'x'))));
             CHAIN_TRY(to.on_chunk(chunk_of(0, std::string(90, 'x'))));
             return to.on_file(announcement("b", std::string(11, 'x'), 1));
         },
         ErrorCode::kTooLarge},
        {"size that would overflow",
         [&](StageReceiver &to) -> Status {
             auto file = announcement("a", text_);
             file.set_size_bytes(~0ULL);
             return to.on_file(file);
         },
         ErrorCode::kTooLarge},
    });
}

TEST_F(StagingTest, AFullDiskIsSaid) {
    if (mount("tmpfs", (root_ / "to").c_str(), "tmpfs", 0, "size=64k") != 0)
        GTEST_SKIP() << "cannot mount a tmpfs here";
    write_text(root_ / "from/a", std::string(1 << 20, 'x'));
    StageSender sender({described(root_ / "from/a", "a")});
    {
        StageReceiver to = receiver();
        const Status moved = transfer(sender, to);
        ASSERT_FALSE(moved.ok());
        EXPECT_EQ(moved.error().code, ErrorCode::kDiskFull);
    }
    EXPECT_TRUE(std::filesystem::is_empty(root_ / "to"));
    EXPECT_EQ(umount((root_ / "to").c_str()), 0);
}

TEST_F(StagingTest, CollectsWhatIsNewOrDifferent) {
    write_text(root_ / "to/same.txt", "same");
    write_text(root_ / "to/touched.txt", "touched");
    write_text(root_ / "to/changed.txt", "before");
    const std::vector<StagedFile> staged = {described(root_ / "to/same.txt", "same.txt"),
                                            described(root_ / "to/touched.txt", "touched.txt"),
                                            described(root_ / "to/changed.txt", "changed.txt")};
    write_text(root_ / "to/touched.txt", "touched");
    write_text(root_ / "to/changed.txt", "after!");
    write_text(root_ / "to/sub/new.png", "new");
    write_text(root_ / "secret", "secret");
    ASSERT_EQ(symlink((root_ / "secret").c_str(), (root_ / "to/link").c_str()), 0);
    ASSERT_EQ(symlink(root_.path().c_str(), (root_ / "to/linked-folder").c_str()), 0);
    ASSERT_EQ(mkfifo((root_ / "to/pipe").c_str(), 0644), 0);

    const auto names = [&](const std::vector<std::string> &globs) {
        std::string text;
        const auto results = collect_results(root_ / "to", staged, globs, kLimit);
        EXPECT_TRUE(results.ok());
        for (const auto &file : *results) text += file.name + " ";
        return text;
    };
    EXPECT_EQ(names({}), "changed.txt sub/new.png ");
    EXPECT_EQ(names({"*.png"}), "sub/new.png ");
    EXPECT_EQ(names({"*/*.png"}), "sub/new.png ");
    EXPECT_EQ(names({"other/*", "chang??.txt"}), "changed.txt ");
    EXPECT_EQ(collect_results(root_ / "to", staged, {}, 8).error().code, ErrorCode::kTooLarge);
    EXPECT_TRUE(collect_results(root_ / "to", staged, {}, 9).ok());
    EXPECT_FALSE(collect_results(root_ / "to", staged, {"*a*a*a*a*a*a*a*a*b"}, kLimit).ok());
}

TEST_F(StagingTest, AResultThatBecomesALinkIsNotSent) {
    write_text(root_ / "to/sub/result", "result");
    write_text(root_ / "secret", "secret");
    const auto results = collect_results(root_ / "to", {}, {}, kLimit);
    ASSERT_TRUE(results.ok());
    ASSERT_EQ(results->size(), 1u);
    ASSERT_EQ(unlink((root_ / "to/sub/result").c_str()), 0);
    ASSERT_EQ(symlink((root_ / "secret").c_str(), (root_ / "to/sub/result").c_str()), 0);
    EXPECT_FALSE(StageSender(*results).next().ok());
    std::filesystem::remove_all(root_ / "to/sub");
    write_text(root_ / "sub/result", "secret");
    ASSERT_EQ(symlink((root_ / "sub").c_str(), (root_ / "to/sub").c_str()), 0);
    EXPECT_FALSE(StageSender(*results).next().ok());
}

}  // namespace
}  // namespace chain::provider
