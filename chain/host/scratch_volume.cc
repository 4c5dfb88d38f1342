// SPDX-License-Identifier: BSD-3-Clause
#include "chain/host/scratch_volume.h"

#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/base/file.h"

namespace chain::host {
namespace {

// Others take loop devices, too, between our asking for a free one and our taking it.
constexpr unsigned kLoopTries = 32;
constexpr unsigned kMountsMax = 16;  // on one folder

std::optional<std::string> find_mkfs() {
    for (const char *path : {"/sbin/mkfs.ext4", "/usr/sbin/mkfs.ext4"})
        if (access(path, X_OK) == 0) return path;
    return std::nullopt;
}

// Without a journal, which a folder that is thrown away does not need; no block is kept for root.
Status make_file_system(const FileDescriptor &file) {
    const auto program = find_mkfs();
    if (!program)
        return make_error(ErrorCode::kNotFound,
                          "mkfs.ext4 is not installed: apt-get install "
                          "e2fsprogs");
    // By its descriptor: nobody can put another file in its place meanwhile.
    constexpr int kFileFd = 3;
    std::string path = "/proc/self/fd/" + std::to_string(kFileFd);
    std::string words[] = {"mkfs.ext4",
                           "-q",
                           "-F",
                           "-m",
                           "0",
                           "-O",
                           "^has_journal,^resize_inode",
                           "-E",
                           "lazy_itable_init=1,nodiscard"};
    std::vector<char *> argv;
    for (std::string &word : words) argv.push_back(word.data());
    argv.push_back(path.data());
    argv.push_back(nullptr);
    char path_variable[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    char *environment[] = {path_variable, nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (const int fd : {0, 1, 2})
        posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", fd == 0 ? O_RDONLY : O_WRONLY,
                                         0);
    posix_spawn_file_actions_adddup2(&actions, file.get(), kFileFd);
    pid_t pid = 0;
    const int failed =
        posix_spawn(&pid, program->c_str(), &actions, nullptr, argv.data(), environment);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) return errno_error(failed, "run mkfs.ext4");
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return make_error(ErrorCode::kIo, "mkfs.ext4 makes no file system");
    return ok_status();
}

// All of it taken from the disk now; a file system that cannot do so fills it as it is written.
// What is not there is not asked for: until it fails it would take all that others have left.
Result<FileDescriptor> make_file(const std::string &file, std::uint64_t size_bytes) {
    CHAIN_ASSIGN(const std::uint64_t free_bytes,
                 free_disk_bytes(file.substr(0, file.rfind('/') + 1)));
    if (size_bytes > free_bytes)
        return make_error(ErrorCode::kDiskFull, "a volume of ", size_bytes,
                          " bytes finds no room: ", free_bytes, " are free");
    FileDescriptor made(
        open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!made.valid()) return errno_error(errno, "make " + file);
    const auto size = static_cast<off_t>(size_bytes);
    int failed = fallocate(made.get(), 0, 0, size) == 0 ? 0 : errno;
    if (failed == EOPNOTSUPP || failed == ENOSYS)
        failed = ftruncate(made.get(), size) == 0 ? 0 : errno;
    if (failed == 0) return made;
    unlink(file.c_str());
    return errno_error(failed, "take room for " + file);
}

// The device goes when nothing holds it any more.
Result<FileDescriptor> attach_loop(const FileDescriptor &backing, std::string &device_path) {
    const FileDescriptor control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
    if (!control.valid()) return errno_error(errno, "open /dev/loop-control");
    for (unsigned attempt = 0; attempt < kLoopTries; ++attempt) {
        const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
        if (number < 0) return errno_error(errno, "get a loop device");
        device_path = "/dev/loop" + std::to_string(number);
        FileDescriptor device(open(device_path.c_str(), O_RDWR | O_CLOEXEC));
        if (!device.valid()) return errno_error(errno, "open " + device_path);
        loop_config config{};
        config.fd = static_cast<std::uint32_t>(backing.get());
        config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
        if (ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) return device;
        if (errno != EBUSY) return errno_error(errno, "set up " + device_path);
    }
    return make_error(ErrorCode::kIo, "others take every free loop device");
}

Status mount_file(const FileDescriptor &file, const std::string &folder) {
    std::string device_path;
    CHAIN_ASSIGN(const FileDescriptor device, attach_loop(file, device_path));
    if (mount(device_path.c_str(), folder.c_str(), "ext4", MS_NOSUID | MS_NODEV | MS_NOATIME,
              nullptr) != 0)
        return errno_error(errno, "mount " + device_path);
    // Where a check of the file system would put what it finds: never one here.
    rmdir((folder + "/lost+found").c_str());
    if (chmod(folder.c_str(), 0711) != 0) return errno_error(errno, "open " + folder);
    return ok_status();
}

// Nothing of it is wanted any more: else all that waits to be written would be, before it goes.
void give_up_content(const std::string &folder) {
    const FileDescriptor root(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct statfs what {};
    if (!root.valid() || fstatfs(root.get(), &what) != 0 || what.f_type != EXT4_SUPER_MAGIC) return;
    constexpr std::uint32_t kWithoutAnyWrite = 2;  // EXT4_GOING_FLAGS_NOLOGFLUSH
    std::uint32_t how = kWithoutAnyWrite;
    ioctl(root.get(), _IOR('X', 125, std::uint32_t), &how);  // EXT4_IOC_SHUTDOWN
}

// Another file system than its parent's.
bool is_mounted_on(const std::string &folder) {
    struct stat inside {
    }, outside{};
    const std::string parent = folder.substr(0, folder.rfind('/') + 1);
    return lstat(folder.c_str(), &inside) == 0 && lstat(parent.c_str(), &outside) == 0 &&
           S_ISDIR(inside.st_mode) && inside.st_dev != outside.st_dev;
}

}  // namespace

Status mount_volume(const std::string &file, const std::string &folder, std::uint64_t size_bytes) {
    if (size_bytes < kVolumeBytesMin)
        return make_error(ErrorCode::kInvalidInput, "a volume of ", size_bytes,
                          " bytes is too small: ", kVolumeBytesMin, " at least");
    if (geteuid() != 0) return make_error(ErrorCode::kPermission, "only root can mount a volume");
    CHAIN_ASSIGN(const FileDescriptor made, make_file(file, size_bytes));
    Status mounted = make_file_system(made);
    if (mounted.ok()) mounted = mount_file(made, folder);
    if (!mounted.ok()) static_cast<void>(unmount_volume(file, folder));
    return mounted;
}

Status remount_volume(const std::string &file, const std::string &folder) {
    if (is_mounted_on(folder)) return ok_status();
    if (geteuid() != 0) return make_error(ErrorCode::kPermission, "only root can mount a volume");
    const FileDescriptor made(open(file.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!made.valid()) return errno_error(errno, "open " + file);
    return mount_file(made, folder);
}

void trim_volume(const std::string &folder) {
    if (!is_mounted_on(folder)) return;
    const FileDescriptor root(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    fstrim_range everything{0, ~0ULL, 0};
    if (root.valid()) static_cast<void>(ioctl(root.get(), FITRIM, &everything));
}

Status unmount_volume(const std::string &file, const std::string &folder) {
    for (unsigned count = 0; count < kMountsMax && is_mounted_on(folder); ++count) {
        give_up_content(folder);
        // From here it is gone; what still holds it open keeps the file's blocks, until it ends.
        if (umount2(folder.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
            return errno_error(errno, "unmount " + folder);
    }
    if (unlink(file.c_str()) != 0 && errno != ENOENT) return errno_error(errno, "remove " + file);
    return ok_status();
}

Status probe_volumes(const std::string &folder) {
    const std::string place = folder + "/probe";
    // What one left that was killed.
    CHAIN_TRY(unmount_volume(place + ".disk", place));
    rmdir(place.c_str());
    if (mkdir(place.c_str(), 0700) != 0) return errno_error(errno, "make " + place);
    const Status mounted = mount_volume(place + ".disk", place, kVolumeBytesMin);
    const Status gone = unmount_volume(place + ".disk", place);
    rmdir(place.c_str());
    return mounted.ok() ? gone : mounted;
}

Result<std::uint64_t> free_disk_bytes(const std::string &folder) {
    struct statvfs disk {};
    if (statvfs(folder.c_str(), &disk) != 0) return errno_error(errno, "look at " + folder);
    return static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
}

}  // namespace chain::host
