// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/namespaces.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <linux/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace chain {
namespace {

// "ID ID 1", without anything that allocates.
bool write_identity_map(const char *path, unsigned id) {
    char digits[16];
    std::size_t at = sizeof digits;
    digits[--at] = '\0';
    do {
        digits[--at] = static_cast<char>('0' + id % 10);
        id /= 10;
    } while (id > 0);
    char line[48] = {};
    std::strcat(line, digits + at);
    std::strcat(line, " ");
    std::strcat(line, digits + at);
    std::strcat(line, " 1\n");
    return write_kernel_file(path, line);
}

}  // namespace

void close_keeping_errno(int fd) {
    const int failed = errno;
    close(fd);
    errno = failed;
}

bool write_kernel_file(const char *path, const char *text) {
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const auto size = static_cast<ssize_t>(std::strlen(text));
    const bool written = write(fd, text, std::strlen(text)) == size;
    close_keeping_errno(fd);
    return written;
}

bool enter_user_namespace() {
    const uid_t uid = geteuid();
    const gid_t gid = getegid();
    return unshare(CLONE_NEWUSER) == 0 && write_kernel_file("/proc/self/setgroups", "deny") &&
           write_identity_map("/proc/self/uid_map", uid) &&
           write_identity_map("/proc/self/gid_map", gid);
}

bool set_interface_up(const char *name) {
    const int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (control < 0) return false;
    ifreq request{};
    std::strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
    bool done = ioctl(control, SIOCGIFFLAGS, &request) == 0;
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP | IFF_RUNNING);
    done = done && ioctl(control, SIOCSIFFLAGS, &request) == 0;
    close_keeping_errno(control);
    return done;
}

bool enter_empty_network(bool needs_user_namespace) {
    if (needs_user_namespace && !enter_user_namespace()) return false;
    return unshare(CLONE_NEWNET) == 0 && set_interface_up("lo");
}

}  // namespace chain
