// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/lease_folder.h"

#include <csignal>
#include <map>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/host/scratch_volume.h"
#include "tests/chain/provider/support.h"

namespace chain::provider {
namespace {

constexpr char kLease[] = "aa112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

class LeaseFolderTest : public ::testing::Test {
protected:
    void SetUp() override {
        write_text(root_ / "components/mca_hook_chain.so", "hook");
        setenv("OMPI_CHAIN_COMPONENTS", (root_ / "components").c_str(), 1);
    }
    TestFolder root_;
};

TEST_F(LeaseFolderTest, EachLegHasAUidOfItsOwn) {
    const auto one = prepare_lease_folder(root_ / "scratch", kLease, 0);
    const auto two = prepare_lease_folder(root_ / "scratch", kLease, 1);
    ASSERT_TRUE(one.ok() && two.ok());
    EXPECT_EQ(read_text(*one + "/components/mca_hook_chain.so"), "hook");
    const auto uid_one = leg_uid(*one), uid_two = leg_uid(*two);
    ASSERT_TRUE(uid_one.ok() && uid_two.ok());
    if (geteuid() == 0) {
        EXPECT_NE(*uid_one, *uid_two);
        EXPECT_GE(*uid_one, kLegUidFirst);
    }
    const auto again = prepare_lease_folder(root_ / "scratch", kLease, 0);
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.error().code, ErrorCode::kConflict);
}

TEST_F(LeaseFolderTest, RefusesOddIdsAndFoldersOfOthers) {
    for (const char *id : {"", "../x", "a/b", "XYZ", "a b"})
        EXPECT_FALSE(prepare_lease_folder(root_ / "scratch", id, 0).ok()) << id;
    ASSERT_EQ(mkdir((root_ / "open").c_str(), 0777), 0);
    ASSERT_EQ(chmod((root_ / "open").c_str(), 0777), 0);
    EXPECT_FALSE(prepare_lease_folder(root_ / "open", kLease, 0).ok());
    ASSERT_EQ(symlink("/tmp", (root_ / "link").c_str()), 0);
    EXPECT_FALSE(prepare_lease_folder(root_ / "link", kLease, 0).ok());
}

TEST_F(LeaseFolderTest, SaysWhatToInstallAndLeavesNothing) {
    ASSERT_EQ(unlink((root_ / "components/mca_hook_chain.so").c_str()), 0);
    const auto folder = prepare_lease_folder(root_ / "scratch", kLease, 0);
    ASSERT_FALSE(folder.ok());
    EXPECT_EQ(folder.error().code, ErrorCode::kNotFound);
    EXPECT_NE(folder.error().message.find("mca_hook_chain.so"), std::string::npos);
    EXPECT_TRUE(std::filesystem::is_empty(root_ / "scratch"));
}

TEST_F(LeaseFolderTest, RemovesWhateverAJobLeft) {
    const auto folder = prepare_lease_folder(root_ / "scratch", kLease, 0);
    ASSERT_TRUE(folder.ok());
    const std::string job = *folder + "/job";
    write_text(job + "/closed/deep/file", "x");
    write_text(job + "/.removed.1/x", "x");
    write_text(root_ / "kept/file", "kept");
    ASSERT_EQ(symlink((root_ / "kept").c_str(), (job + "/link").c_str()), 0);
    ASSERT_EQ(mkfifo((job + "/closed/pipe").c_str(), 0), 0);
    ASSERT_EQ(chmod((job + "/closed/deep").c_str(), 0), 0);
    ASSERT_EQ(chmod((job + "/closed").c_str(), 0), 0);
    int at = open(job.c_str(), O_RDONLY | O_DIRECTORY);  // deeper than any path may be long
    for (int depth = 0; depth < 500; ++depth) {
        ASSERT_EQ(mkdirat(at, "a-long-name", 0700), 0);
        const int below = openat(at, "a-long-name", O_RDONLY | O_DIRECTORY);
        close(at);
        at = below;
    }
    close(at);
    const Status removed = remove_lease_folder(*folder);
    EXPECT_TRUE(removed.ok()) << removed.error().message;
    EXPECT_FALSE(path_exists(*folder));
    EXPECT_EQ(read_text(root_ / "kept/file"), "kept");
    EXPECT_TRUE(remove_lease_folder(*folder).ok());
}

TEST_F(LeaseFolderTest, CountsWhatALegWrites) {
    const auto folder = prepare_lease_folder(root_ / "scratch", kLease, 0);
    ASSERT_TRUE(folder.ok());
    const std::uint64_t before = lease_folder_bytes(*folder).value();
    write_text(*folder + "/job/deep/big", std::string(3u << 20, 'x'));
    ASSERT_EQ(truncate((*folder + "/job/deep/big").c_str(), 1 << 30), 0);  // no room for zeros
    write_text(*folder + "/ranks/big", std::string(1u << 20, 'x'));
    const std::uint64_t after = lease_folder_bytes(*folder).value();
    EXPECT_GE(after - before, 4u << 20);
    EXPECT_LT(after - before, 5u << 20);
}

class LeaseVolumeTest : public LeaseFolderTest {
protected:
    static constexpr std::uint64_t kVolumeBytes = kLeaseVolumeBytesMin;
    void SetUp() override {
        LeaseFolderTest::SetUp();
        if (const Status possible = host::probe_volumes(root_ / "."); !possible.ok())
            GTEST_SKIP() << "no volume can be made here: " << possible.error().message;
    }
};

TEST_F(LeaseVolumeTest, BoundsAllThatALegWrites) {
    const auto folder = prepare_lease_folder(root_ / "scratch", kLease, 0, kVolumeBytes);
    ASSERT_TRUE(folder.ok()) << folder.error().message;
    const auto uid = leg_uid(*folder);
    ASSERT_TRUE(uid.ok());
    EXPECT_GE(*uid, kLegUidFirst);
    for (const char *part : {"/job", "/ranks", "/outside"}) {
        const std::string big = *folder + part + "/big";
        const FileDescriptor file(open(big.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        ASSERT_TRUE(file.valid());
        EXPECT_EQ(posix_fallocate(file.get(), 0, kVolumeBytes), ENOSPC) << part;
        unlink(big.c_str());
    }
    ASSERT_TRUE(remove_lease_folder(*folder).ok());
    EXPECT_TRUE(std::filesystem::is_empty(root_ / "scratch"));
}

TEST_F(LeaseVolumeTest, WhatIsLeftIsReaped) {
    ASSERT_TRUE(prepare_lease_folder(root_ / "scratch", kLease, 0, kVolumeBytes).ok());
    write_text(root_ / ("scratch/" + std::string(kLease) + "-1.disk"),
               "of a daemon that was killed");
    write_text(root_ / "scratch/other.disk", "not ours");
    EXPECT_EQ(reap_leftovers(root_ / "scratch").value(), 2u);
    EXPECT_FALSE(path_exists(root_ / ("scratch/" + std::string(kLease) + "-0")));
    EXPECT_FALSE(path_exists(root_ / ("scratch/" + std::string(kLease) + "-1.disk")));
    EXPECT_EQ(read_text(root_ / "scratch/other.disk"), "not ours");
}

TEST_F(LeaseVolumeTest, OneThatCannotBeMadeLeavesNothing) {
    const auto folder = prepare_lease_folder(root_ / "scratch", kLease, 0, kVolumeBytes - 1);
    ASSERT_FALSE(folder.ok());
    EXPECT_EQ(folder.error().code, ErrorCode::kDiskFull);
    EXPECT_TRUE(std::filesystem::is_empty(root_ / "scratch"));
}

TEST_F(LeaseFolderTest, HandsStagedFilesToTheLeg) {
    const auto folder = prepare_lease_folder(root_ / "scratch", kLease, 0);
    ASSERT_TRUE(folder.ok());
    write_text(*folder + "/job/sub/a.out", "x");
    write_text(*folder + "/outside/data/in", "x");
    write_text(root_ / "kept", "kept");
    ASSERT_EQ(symlink((root_ / "kept").c_str(), (*folder + "/job/link").c_str()), 0);
    ASSERT_TRUE(hand_over_to_leg(*folder).ok());
    for (const char *name : {"/job/sub", "/job/sub/a.out", "/outside/data/in"}) {
        struct stat status {};
        ASSERT_EQ(lstat((*folder + name).c_str(), &status), 0);
        EXPECT_EQ(status.st_uid, *leg_uid(*folder)) << name;
    }
    struct stat status {};
    ASSERT_EQ(stat((root_ / "kept").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, geteuid());
}

TEST_F(LeaseFolderTest, OutsideFilesNeverCoverTheSystem) {
    const auto folder = prepare_lease_folder(root_ / "scratch", kLease, 0);
    ASSERT_TRUE(folder.ok());
    write_text(*folder + "/outside/data/in", "x");
    const auto good = outside_bindings(*folder);
    ASSERT_TRUE(good.ok());
    ASSERT_EQ(good->size(), 1u);
    EXPECT_EQ(good->front().second, "/data/in");
    EXPECT_EQ(good->front().first, *folder + "/outside/data/in");
    write_text(*folder + "/outside/usr/lib/evil.so", "x");
    const auto bad = outside_bindings(*folder);
    ASSERT_FALSE(bad.ok());
    EXPECT_EQ(bad.error().code, ErrorCode::kPermission);
}

TEST_F(LeaseFolderTest, ReapsARecordedProcessButNoOtherOfThatNumber) {
    const auto one = prepare_lease_folder(root_ / "scratch", kLease, 0);
    const auto two = prepare_lease_folder(root_ / "scratch", kLease, 1);
    ASSERT_TRUE(one.ok() && two.ok());
    const pid_t recorded = fork();
    if (recorded == 0) {
        pause();
        _exit(0);
    }
    const pid_t reused = fork();
    if (reused == 0) {
        pause();
        _exit(0);
    }
    ASSERT_TRUE(record_sandbox(*one, {recorded}).ok());
    write_text(*two + ".sandbox", "0\n" + std::to_string(reused) + " 12345\n");
    write_text(root_ / "scratch/not-a-lease/file", "kept");
    const std::string half = *two + ".sandbox.aB3xYz";  // its daemon was killed while it wrote
    write_text(half, "0\n");
    write_text(root_ / "scratch/mine.sandbox.aB3xYz", "kept");
    const auto count = reap_leftovers(root_ / "scratch");
    ASSERT_TRUE(count.ok());
    EXPECT_EQ(*count, 2u);
    EXPECT_TRUE(path_exists(root_ / "scratch/not-a-lease/file"));
    EXPECT_TRUE(path_exists(root_ / "scratch/mine.sandbox.aB3xYz"));
    EXPECT_FALSE(path_exists(half));
    int status = 0;
    EXPECT_EQ(waitpid(recorded, &status, 0), recorded);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(waitpid(reused, &status, WNOHANG), 0);
    kill(reused, SIGKILL);
    waitpid(reused, &status, 0);
    EXPECT_EQ(*reap_leftovers(root_ / "nothing-here"), 0u);
}

TEST(LaunchEnvironment, NamesFoldersThatExistInside) {
    const auto environment = launch_environment(kLease, "/home/u/work", 3'000'000'000, 1 << 30, 4);
    std::map<std::string, std::string> by_name(environment.begin(), environment.end());
    EXPECT_EQ(by_name["HOME"], "/home/u/work");
    EXPECT_EQ(by_name["OMPI_CHAIN_RANK_DIR"], "/run/ompi-chain/ranks");
    EXPECT_EQ(by_name["OMPI_CHAIN_SLOTS"], "4");
    const std::string path = by_name["OMPI_MCA_mca_base_component_path"];
    ASSERT_TRUE(path.starts_with("/run/ompi-chain/components:/"));
    EXPECT_TRUE(std::filesystem::is_directory(path.substr(path.find(':') + 1)));
}

}  // namespace
}  // namespace chain::provider
