// SPDX-License-Identifier: BSD-3-Clause
#include "chain/host/scratch_volume.h"

#include <csignal>
#include <fstream>
#include <functional>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/base/file.h"
#include "tests/chain/base/temporary_folder.h"

namespace chain::host {
namespace {

constexpr std::uint64_t kSizeBytes = 24u << 20;

class ScratchVolumeTest : public testing::Test {
protected:
    ScratchVolumeTest() { mkdir(folder_.c_str(), 0700); }
    void SetUp() override {
        if (const Status possible = probe_volumes(outer_.path()); !possible.ok())
            GTEST_SKIP() << "no volume can be made here: " << possible.error().message;
    }
    ~ScratchVolumeTest() override { static_cast<void>(unmount_volume(file_, folder_)); }

    // Until the volume is full, or `bytes_max` are there.
    std::uint64_t fill(std::uint64_t bytes_max) {
        const FileDescriptor file(
            open((folder_ + "/big").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        const std::string block(1u << 16, 'x');
        std::uint64_t written = 0;
        while (written < bytes_max) {
            const ssize_t put = write(file.get(), block.data(), block.size());
            if (put <= 0) break;
            written += static_cast<std::uint64_t>(put);
        }
        return written;
    }
    std::uint64_t taken_bytes() const {
        struct stat status {};
        return lstat(file_.c_str(), &status) == 0
                   ? static_cast<std::uint64_t>(status.st_blocks) * 512
                   : 0;
    }

    const TemporaryFolder outer_;
    const std::string folder_ = outer_.path() + "/leg";
    const std::string file_ = outer_.path() + "/leg.disk";
};

// Paths that loop devices of this machine have as their backing files.
bool is_backing(const std::string &file) {
    for (unsigned number = 0; number < 256; ++number) {
        std::ifstream in("/sys/block/loop" + std::to_string(number) + "/loop/backing_file");
        std::string path;
        if (std::getline(in, path) && path.starts_with(file)) return true;
    }
    return false;
}

bool soon(const std::function<bool()> &holds) {
    for (unsigned tries = 0; tries < 300; ++tries) {
        if (holds()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
}

TEST_F(ScratchVolumeTest, HoldsWhatItIsMadeForAndNoMore) {
    ASSERT_TRUE(mount_volume(file_, folder_, kSizeBytes).ok());
    const std::uint64_t taken_before = taken_bytes();
    EXPECT_GE(taken_before, kSizeBytes) << "its room is taken when it is made";
    const std::uint64_t written = fill(2 * kSizeBytes);
    EXPECT_GT(written, kSizeBytes * 8 / 10);
    EXPECT_LT(written, kSizeBytes);
    sync();
    EXPECT_LE(taken_bytes(), taken_before + (1u << 20));
    struct stat status {};
    ASSERT_EQ(lstat(folder_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0711u);
    EXPECT_EQ(status.st_uid, geteuid());

    ASSERT_TRUE(unmount_volume(file_, folder_).ok());
    EXPECT_FALSE(path_exists(folder_ + "/big"));
    EXPECT_FALSE(path_exists(file_));
    EXPECT_TRUE(soon([&] { return !is_backing(file_); }));
    EXPECT_TRUE(unmount_volume(file_, folder_).ok()) << "again: nothing to do";
}

TEST_F(ScratchVolumeTest, HasAnEndOfFilesToo) {
    ASSERT_TRUE(mount_volume(file_, folder_, kVolumeBytesMin).ok());
    unsigned count = 0;
    for (; count < 100'000; ++count) {
        const FileDescriptor file(open((folder_ + "/" + std::to_string(count)).c_str(),
                                       O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        if (!file.valid()) break;
    }
    EXPECT_LT(count, 100'000u);
}

TEST_F(ScratchVolumeTest, NoSetUidProgramsAndNoDevices) {
    ASSERT_TRUE(mount_volume(file_, folder_, kSizeBytes).ok());
    struct statvfs flags {};
    ASSERT_EQ(statvfs(folder_.c_str(), &flags), 0);
    EXPECT_NE(flags.f_flag & ST_NOSUID, 0u);
    EXPECT_NE(flags.f_flag & ST_NODEV, 0u);
    const std::string device = folder_ + "/null";
    ASSERT_EQ(mknod(device.c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
    EXPECT_EQ(open(device.c_str(), O_RDONLY | O_CLOEXEC), -1);
    EXPECT_EQ(errno, EACCES);
}

TEST_F(ScratchVolumeTest, WhatCannotBeLeavesNothing) {
    EXPECT_EQ(mount_volume(file_, folder_, kVolumeBytesMin - 1).error().code,
              ErrorCode::kInvalidInput);
    const std::uint64_t all = free_disk_bytes(outer_.path()).value();
    EXPECT_EQ(mount_volume(file_, folder_, all + (8ULL << 30)).error().code, ErrorCode::kDiskFull);
    EXPECT_FALSE(path_exists(file_));
    EXPECT_FALSE(mount_volume(file_, folder_ + "/none", kSizeBytes).ok());
    EXPECT_FALSE(path_exists(file_));
    EXPECT_FALSE(mount_volume(outer_.path() + "/none/x.disk", folder_, kSizeBytes).ok());
    EXPECT_TRUE(soon([&] { return !is_backing(outer_.path()); }));
    EXPECT_FALSE(free_disk_bytes(folder_ + "/none").ok());
}

// A link where the file is to be would make root write wherever it points.
TEST_F(ScratchVolumeTest, FollowsNoLink) {
    const std::string other = outer_.path() + "/other";
    ASSERT_TRUE(write_file_atomic(other, "mine", 0600).ok());
    ASSERT_EQ(symlink(other.c_str(), file_.c_str()), 0);
    EXPECT_FALSE(mount_volume(file_, folder_, kSizeBytes).ok());
    EXPECT_EQ(read_file(other, 100).value(), "mine");
}

TEST_F(ScratchVolumeTest, GoesAlsoWhileSomebodyHoldsItOpen) {
    ASSERT_TRUE(mount_volume(file_, folder_, kSizeBytes).ok());
    FileDescriptor held(open((folder_ + "/held").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_TRUE(unmount_volume(file_, folder_).ok());
    EXPECT_FALSE(path_exists(folder_ + "/held"));
    held.reset();
    EXPECT_TRUE(soon([&] { return !is_backing(file_); }));
}

// As the next start of a daemon finds it.
TEST_F(ScratchVolumeTest, OneOfAProcessThatWasKilledIsTakenAway) {
    const pid_t child = fork();
    if (child == 0) {
        if (mount_volume(file_, folder_, kSizeBytes).ok() && fill(1) > 0) raise(SIGKILL);
        _exit(1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it could not mount";
    EXPECT_TRUE(is_backing(file_));
    ASSERT_TRUE(unmount_volume(file_, folder_).ok());
    EXPECT_FALSE(path_exists(folder_ + "/big"));
    EXPECT_FALSE(path_exists(file_));
    EXPECT_TRUE(soon([&] { return !is_backing(file_); }));
}

}  // namespace
}  // namespace chain::host
