// SPDX-License-Identifier: BSD-3-Clause
#include "chain/stage/staged_file.h"

#include <unistd.h>

#include "tests/chain/stage/support.h"

namespace chain::stage {
namespace {

class StagedFileTest : public ::testing::Test {
protected:
    void SetUp() override {
        for (const char *name : {"from", "to"}) std::filesystem::create_directory(root_ / name);
    }
    TestFolder root_;
};

TEST_F(StagedFileTest, DescribeSaysWhatIsWrong) {
    write_text(root_ / "from/a", "12345");
    EXPECT_EQ(describe_file(root_ / "from/b", "b", 9).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(describe_file(root_ / "from", "b", 9).error().code, ErrorCode::kIo);
    EXPECT_EQ(describe_file(root_ / "from/a", "a", 4).error().code, ErrorCode::kTooLarge);
    EXPECT_TRUE(describe_file(root_ / "from/a", "a", 5).ok());
    ASSERT_EQ(mkfifo((root_ / "from/pipe").c_str(), 0644), 0);
    EXPECT_FALSE(describe_file(root_ / "from/pipe", "p", 9).ok());
}

TEST_F(StagedFileTest, ManifestHashSeesEveryField) {
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

TEST_F(StagedFileTest, CollectsWhatIsNewOrDifferent) {
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

// What a job can make and no peer would take: left out, and nothing ends over it.
TEST_F(StagedFileTest, LeavesOutWhatIsTooDeepOrTooLong) {
    write_text(root_ / "to/fine", "x");
    std::string deep = root_ / "to";
    for (std::size_t i = 0; i < kNamePartsMax + 2; ++i) deep += "/d";
    write_text(deep + "/result", "x");
    // Longer than any path that the kernel takes at once.
    FileDescriptor at(open((root_ / "to").c_str(), kFolderFlags));
    for (int i = 0; i < 20; ++i) {
        const std::string name(250, 'n');
        ASSERT_EQ(mkdirat(at.get(), name.c_str(), 0755), 0);
        at = FileDescriptor(openat(at.get(), name.c_str(), kFolderFlags));
        ASSERT_TRUE(at.valid());
    }
    const FileDescriptor file(openat(at.get(), "result", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    ASSERT_EQ(write(file.get(), "x", 1), 1);
    const auto results = collect_results(root_ / "to", {}, {}, kLimit);
    ASSERT_TRUE(results.ok()) << results.error().message;
    ASSERT_EQ(results->size(), 1u);
    EXPECT_EQ(results->front().name, "fine");
    std::string base;
    EXPECT_EQ(open_parent_beneath(at.get(), std::string(5000, 'n'), true, base).error().code,
              ErrorCode::kInvalidInput);
}

TEST_F(StagedFileTest, GlobsMatchAsTheyCollect) {
    EXPECT_TRUE(matches_globs({}, "a/b"));
    EXPECT_TRUE(matches_globs({"*.png"}, "a/b.png"));
    EXPECT_FALSE(matches_globs({"*.png"}, "a.png/b"));
    EXPECT_TRUE(matches_globs({"a/*"}, "a/b"));
    EXPECT_FALSE(matches_globs({"a/*"}, "a/b/c"));
    EXPECT_FALSE(matches_globs({"*.png", "*.txt"}, ".ssh/rc"));
}

}  // namespace
}  // namespace chain::stage
