// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/seccomp_filter.h"

#include <cerrno>
#include <cstring>
#include <memory>

#include <linux/sched.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

namespace chain::provider {
namespace {

// Names, not numbers: libseccomp knows calls that are younger than the system's headers.
constexpr const char *kDenied[] = {
    // mounts and roots
    "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree",
    "open_tree_attr", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
    // namespaces
    "unshare", "setns",
    // other processes; process_vm_readv and process_vm_writev stay: Open MPI's CMA
    "ptrace", "pidfd_getfd", "kcmp",
    // doors into the kernel with a history of holes
    "bpf", "perf_event_open", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "userfaultfd", "keyctl", "add_key", "request_key", "fanotify_init", "lookup_dcookie",
    "open_by_handle_at", "name_to_handle_at",
    // the machine itself
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot",
    "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "syslog", "iopl", "ioperm", "vhangup",
    "sethostname", "setdomainname", "clock_settime", "clock_settime64", "clock_adjtime",
    "clock_adjtime64", "settimeofday", "stime", "adjtimex", "nfsservctl", "modify_ldt"};

constexpr unsigned long kDeniedCloneFlags[] = {CLONE_NEWUSER,  CLONE_NEWNS,  CLONE_NEWPID,
                                               CLONE_NEWNET,   CLONE_NEWIPC, CLONE_NEWUTS,
                                               CLONE_NEWCGROUP};

// They put words into the terminal of whoever watches.
constexpr unsigned long kDeniedIoctls[] = {TIOCSTI, TIOCLINUX};

constexpr int kAllowedFamilies[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

using Filter = std::unique_ptr<void, decltype(&seccomp_release)>;

bool add_calls(scmp_filter_ctx filter) {
    for (const char *name : kDenied) {
        const int number = seccomp_syscall_resolve_name(name);
        if (number < 0) continue;  // not on this architecture
        if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0) != 0) return false;
    }
    // Its flags are behind a pointer, which a filter cannot read: ENOSYS makes libc use clone.
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0;
}

bool add_arguments(scmp_filter_ctx filter) {
    for (const unsigned long flag : kDeniedCloneFlags) {
        if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)) != 0)
            return false;
    }
    // The kernel looks at 32 bits of these arguments; so must the comparison.
    for (const unsigned long request : kDeniedIoctls) {
        if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffUL, request)) != 0)
            return false;
    }
    // Every family but the four: those between them by name, and all above the last. AF_VSOCK
    // (40) would reach the hypervisor.
    for (unsigned family = 0; family <= AF_NETLINK; ++family) {
        bool allowed = false;
        for (const int other : kAllowedFamilies) allowed |= static_cast<int>(family) == other;
        if (!allowed && seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                                         SCMP_A0(SCMP_CMP_EQ, family)) != 0)
            return false;
    }
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                            SCMP_A0(SCMP_CMP_GT, AF_NETLINK)) == 0;
}

}  // namespace

Result<FileDescriptor> make_seccomp_filter() {
    const Filter filter(seccomp_init(SCMP_ACT_ALLOW), seccomp_release);
    if (!filter) return make_error(ErrorCode::kIo, "libseccomp gives no filter");
    if (!add_calls(filter.get()) || !add_arguments(filter.get()))
        return make_error(ErrorCode::kIo, "libseccomp refuses a rule");
    FileDescriptor file(memfd_create("ompi-chain-seccomp", MFD_CLOEXEC));
    if (!file.valid()) return errno_error(errno, "make an anonymous file");
    if (const int error = seccomp_export_bpf(filter.get(), file.get()); error != 0)
        return make_error(ErrorCode::kIo, "libseccomp cannot export: ", std::strerror(-error));
    if (lseek(file.get(), 0, SEEK_SET) != 0) return errno_error(errno, "rewind a filter");
    return file;
}

}  // namespace chain::provider
