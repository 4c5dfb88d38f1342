// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/folder_walk.h"

#include <cerrno>
#include <utility>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

namespace chain {
namespace {

// One descriptor is held for each level.
constexpr std::size_t kDepthMax = 200;

class OpenFolder {
public:
    explicit OpenFolder(FileDescriptor fd, std::string name)
        : folder_(fdopendir(fd.get())), name_(std::move(name)) {
        if (folder_ != nullptr) fd.release();
    }
    OpenFolder(OpenFolder &&other) noexcept
        : folder_(std::exchange(other.folder_, nullptr)), name_(std::move(other.name_)) {}
    ~OpenFolder() {
        if (folder_ != nullptr) closedir(folder_);
    }
    // nullptr at the end.
    const dirent *next() {
        while (folder_ != nullptr) {
            const dirent *entry = readdir(folder_);
            if (entry == nullptr) return nullptr;
            const std::string_view name = entry->d_name;
            if (name != "." && name != "..") return entry;
        }
        return nullptr;
    }
    int fd() const { return dirfd(folder_); }
    const std::string &name() const { return name_; }

private:
    DIR *folder_;
    std::string name_;  // relative to the root; empty: the root
};

Result<FileDescriptor> open_root(const std::string &folder) {
    FileDescriptor root(open(folder.c_str(), kFolderFlags));
    if (!root.valid()) return errno_error(errno, "open the folder " + folder);
    return root;
}

}  // namespace

Status walk_folder(const std::string &folder, std::size_t limit_entries,
                   const std::function<bool(const WalkEntry &)> &visit) {
    CHAIN_ASSIGN(FileDescriptor root, open_root(folder));
    std::vector<OpenFolder> open_folders;
    open_folders.emplace_back(std::move(root), "");
    std::size_t entry_count = 0;
    while (!open_folders.empty()) {
        OpenFolder &current = open_folders.back();
        const dirent *found = current.next();
        if (found == nullptr) {
            open_folders.pop_back();
            continue;
        }
        if (++entry_count > limit_entries)
            return make_error(ErrorCode::kTooLarge, folder, " holds more than ", limit_entries,
                              " files and folders");
        WalkEntry entry;
        entry.base_name = found->d_name;
        entry.name = (current.name().empty() ? "" : current.name() + "/") + entry.base_name;
        entry.parent_fd = current.fd();
        if (fstatat(entry.parent_fd, found->d_name, &entry.status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;  // gone meanwhile
        if (!visit(entry)) return ok_status();
        if (!S_ISDIR(entry.status.st_mode)) continue;
        if (open_folders.size() >= kDepthMax)
            return make_error(ErrorCode::kTooLarge, folder, " holds folders more than ", kDepthMax,
                              " deep");
        FileDescriptor below(openat(entry.parent_fd, entry.base_name.c_str(), kFolderFlags));
        if (below.valid()) open_folders.emplace_back(std::move(below), entry.name);
    }
    return ok_status();
}

Result<FileDescriptor> open_parent_beneath(int root_fd, std::string_view name, bool create,
                                           std::string &base_name) {
    if (!is_safe_relative_path(name))
        return make_error(ErrorCode::kInvalidInput, "a file has an unsafe name");
    FileDescriptor parent(openat(root_fd, ".", kFolderFlags));
    if (!parent.valid()) return errno_error(errno, "open a folder");
    for (;;) {
        const std::size_t slash = name.find('/');
        base_name = name.substr(0, slash);
        if (slash == std::string_view::npos) return parent;
        name.remove_prefix(slash + 1);
        if (create && mkdirat(parent.get(), base_name.c_str(), 0755) != 0 && errno != EEXIST)
            return errno_error(errno, "make the folder " + base_name);
        FileDescriptor below(openat(parent.get(), base_name.c_str(), kFolderFlags));
        if (!below.valid() && (errno == ELOOP || errno == ENOTDIR))
            return make_error(ErrorCode::kConflict, base_name, " is in the way: it is no folder");
        if (!below.valid()) return errno_error(errno, "open the folder " + base_name);
        parent = std::move(below);
    }
}

Result<FileDescriptor> open_file_beneath(const std::string &root, std::string_view name) {
    CHAIN_ASSIGN(const FileDescriptor root_fd, open_root(root));
    std::string base_name;
    CHAIN_ASSIGN(const FileDescriptor parent,
                 open_parent_beneath(root_fd.get(), name, false, base_name));
    // O_NONBLOCK: opening a pipe must not wait for a writer.
    FileDescriptor file(openat(parent.get(), base_name.c_str(),
                               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!file.valid() && (errno == ELOOP || errno == ENXIO))
        return make_error(ErrorCode::kConflict, std::string(name), " is no regular file");
    if (!file.valid()) return errno_error(errno, "open " + std::string(name));
    struct stat status {};
    if (fstat(file.get(), &status) != 0) return errno_error(errno, "look at " + std::string(name));
    if (!S_ISREG(status.st_mode))
        return make_error(ErrorCode::kConflict, std::string(name), " is no regular file");
    return file;
}

namespace {

// Opens `name` for listing, if need be after making it accessible.
FileDescriptor open_forced(int parent_fd, const char *name) {
    FileDescriptor folder(openat(parent_fd, name, kFolderFlags));
    if (folder.valid() || errno != EACCES) return folder;
    // fchmodat follows links, but a link there would have given ELOOP; it is a tree that nobody
    // writes to any more.
    struct stat status {};
    if (fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode))
        fchmodat(parent_fd, name, 0700, 0);
    return FileDescriptor(openat(parent_fd, name, kFolderFlags));
}

// Empties a folder without recursion: whatever is found one level down moves up to the top first,
// so depth costs neither stack nor descriptors.
Status empty_folder(int root_fd, const std::string &path) {
    std::uint64_t moved_number;
    fill_random(&moved_number, sizeof moved_number);  // names that a job cannot have taken
    for (;;) {
        FileDescriptor listing(openat(root_fd, ".", kFolderFlags));
        if (!listing.valid()) return errno_error(errno, "list " + path);
        OpenFolder entries(std::move(listing), "");
        bool found_any = false;
        while (const dirent *entry = entries.next()) {
            found_any = true;
            if (unlinkat(root_fd, entry->d_name, 0) == 0) continue;
            if (unlinkat(root_fd, entry->d_name, AT_REMOVEDIR) == 0) continue;
            fchmodat(root_fd, entry->d_name, 0700, 0);
            FileDescriptor below_fd = open_forced(root_fd, entry->d_name);
            if (!below_fd.valid()) return errno_error(errno, "remove " + path);
            OpenFolder below(std::move(below_fd), "");
            while (const dirent *inner = below.next()) {
                if (unlinkat(below.fd(), inner->d_name, 0) == 0) continue;
                struct stat status {};
                if (fstatat(below.fd(), inner->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                    S_ISDIR(status.st_mode))
                    fchmodat(below.fd(), inner->d_name, 0700, 0);
                const std::string moved = ".removed." + std::to_string(++moved_number);
                if (renameat(below.fd(), inner->d_name, root_fd, moved.c_str()) != 0)
                    return errno_error(errno, "remove " + path);
            }
        }
        if (!found_any) return ok_status();
    }
}

}  // namespace

Status remove_hostile_tree(const std::string &path) {
    FileDescriptor root = open_forced(AT_FDCWD, path.c_str());
    if (!root.valid() && errno == ENOENT) return ok_status();
    if (!root.valid()) {
        if (unlink(path.c_str()) == 0) return ok_status();
        return errno_error(errno, "remove " + path);
    }
    fchmod(root.get(), 0700);
    CHAIN_TRY(empty_folder(root.get(), path));
    if (rmdir(path.c_str()) != 0) return errno_error(errno, "remove " + path);
    return ok_status();
}

}  // namespace chain
