// SPDX-License-Identifier: BSD-3-Clause
#include "chain/stage/results.h"

#include <set>
#include <thread>

#include <unistd.h>

#include "tests/chain/stage/support.h"

namespace chain::stage {
namespace {

using How = PlacedResult::How;

class ResultsTest : public ::testing::Test {
protected:
    void SetUp() override { std::filesystem::create_directory(root_ / "work"); }

    // A result as it was received.
    StagedFile received(const std::string &name, const std::string &content) {
        const std::string path = root_ / "received/" + std::to_string(++count_);
        write_text(path, content);
        auto file = describe_file(path, name, 1 << 20);
        EXPECT_TRUE(file.ok());
        return *file;
    }
    Result<PlacedResult> place(const StagedFile &file, const std::optional<Bytes32> &staged,
                               const std::string &host = "peer-1") {
        const auto source = open_source(file.source_path);
        EXPECT_TRUE(source.ok());
        return place_result(root_ / "work", file, source->get(), staged, host);
    }
    void expect_placed(const StagedFile &file, const std::optional<Bytes32> &staged, How how,
                       const std::string &name) {
        const auto placed = place(file, staged);
        ASSERT_TRUE(placed.ok()) << placed.error().message;
        EXPECT_EQ(placed->how, how) << placed->name;
        EXPECT_EQ(placed->name, name);
        EXPECT_EQ(read_text(root_ / "work/" + placed->name), read_text(file.source_path));
    }
    std::string work(const std::string &name) const { return root_ / "work/" + name; }

    TestFolder root_;
    int count_ = 0;
};

TEST_F(ResultsTest, NewOnesComeUnderTheirOwnName) {
    expect_placed(received("sub/dir/out.png", "new"), std::nullopt, How::kWritten,
                  "sub/dir/out.png");
}

TEST_F(ResultsTest, ReplacesOnlyWhatWasStaged) {
    write_text(work("log"), "staged");
    expect_placed(received("log", "longer"), hash_of("staged"), How::kWritten, "log");
    write_text(work("log"), "edited by the user");
    expect_placed(received("log", "longer"), hash_of("staged"), How::kBeside, "log.from-peer-1");
    EXPECT_EQ(read_text(work("log")), "edited by the user");
    expect_placed(received("log", "longer"), hash_of("staged"), How::kUnchanged, "log.from-peer-1");
    expect_placed(received("log", "third"), std::nullopt, How::kBeside, "log.from-peer-1.2");
    write_text(work("sub/log"), "mine");
    expect_placed(received("sub/log", "theirs"), std::nullopt, How::kBeside, "sub/log.from-peer-1");
}

TEST_F(ResultsTest, IdenticalContentIsNotWrittenAgain) {
    write_text(work("log"), "same");
    struct stat before {
    }, after{};
    ASSERT_EQ(stat(work("log").c_str(), &before), 0);
    expect_placed(received("log", "same"), std::nullopt, How::kUnchanged, "log");
    ASSERT_EQ(stat(work("log").c_str(), &after), 0);
    EXPECT_EQ(before.st_ino, after.st_ino);
}

// Many peers whose jobs changed the same file that they were sent: each result is somewhere.
TEST_F(ResultsTest, PeersThatChangeTheSameFileLoseNothing) {
    for (int round = 0; round < 20; ++round) {
        write_text(work("log"), "staged");
        constexpr int kPeers = 4;
        std::vector<StagedFile> files;
        for (int peer = 0; peer < kPeers; ++peer)
            files.push_back(received("log", "of peer " + std::to_string(peer)));
        std::vector<std::thread> threads;
        for (int peer = 0; peer < kPeers; ++peer)
            threads.emplace_back([&, peer] {
                const auto placed =
                    place(files[peer], hash_of("staged"), "p" + std::to_string(peer));
                EXPECT_TRUE(placed.ok());
            });
        for (std::thread &thread : threads) thread.join();
        std::set<std::string> contents;
        for (const auto &entry : std::filesystem::directory_iterator(root_ / "work")) {
            contents.insert(read_text(entry.path()));
            std::filesystem::remove(entry.path());
        }
        EXPECT_EQ(contents.size(), std::size_t{kPeers});
    }
}

TEST_F(ResultsTest, FollowsNoLinks) {
    write_text(root_ / "victim/file", "kept");
    ASSERT_EQ(symlink((root_ / "victim").c_str(), work("folder").c_str()), 0);
    ASSERT_EQ(symlink((root_ / "victim/file").c_str(), work("file").c_str()), 0);
    const auto placed = place(received("folder/new", "x"), std::nullopt);
    ASSERT_FALSE(placed.ok());
    EXPECT_EQ(placed.error().code, ErrorCode::kConflict);
    expect_placed(received("file", "theirs"), hash_of("kept"), How::kBeside, "file.from-peer-1");
    EXPECT_EQ(read_text(root_ / "victim/file"), "kept");
    EXPECT_FALSE(path_exists(root_ / "victim/new"));
}

TEST_F(ResultsTest, RefusesUnsafeNamesAndDamage) {
    for (const char *name : {"../x", "/etc/x", "", "a/../../x"})
        EXPECT_FALSE(place(received(name, "x"), std::nullopt).ok());
    EXPECT_FALSE(place(received("a", "x"), std::nullopt, "../b").ok());
    const StagedFile file = received("a", "x");
    write_text(file.source_path, "other");
    const auto damaged = place(file, std::nullopt);
    ASSERT_TRUE(damaged.ok()) << damaged.error().message;
    EXPECT_EQ(damaged->how, How::kDamaged);
    EXPECT_TRUE(std::filesystem::is_empty(root_ / "work"));
}

TEST_F(ResultsTest, LongNamesStayLegal) {
    const std::string name(255, 'n');
    write_text(work(name), "mine");
    expect_placed(received(name, "theirs"), std::nullopt, How::kBeside,
                  std::string(255 - 12, 'n') + ".from-peer-1");
}

}  // namespace
}  // namespace chain::stage
