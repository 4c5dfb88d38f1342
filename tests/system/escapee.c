/* SPDX-License-Identifier: BSD-3-Clause */
/* escapee WHAT [ARGUMENT…]: a renter's MPI program that tries to get out of its sandbox. Each
 * attempt is a line "held NAME: why" or "OUT NAME: what it got"; the exit code is 1 if one got out.
 * Paths have a @ before them, or mpirun would send the files along. read PATH…             opens
 * files and lists folders of the host connect PATH…          connects to UNIX sockets of the host
 *   processes PID…         signals, reads and traces processes of the host
 *   kernel                 system calls that reach around namespaces, or into the kernel
 *   devices                devices, and files by which the kernel is told things
 *   network ADDRESS:PORT…  connects to them, and changes its own network; an @NAME is an abstract
 *                          UNIX socket of the host
 *   setuid                 programs that would give it another uid
 *   bomb                   forks until it cannot; the children do it, too
 *   memory                 takes memory until it is stopped
 *   shm                    fills the folders that are memory
 *   disk                   fills the folders that are disk
 *   files                  makes empty files until it cannot
 *   outlive SECONDS        leaves daemons that ignore every signal */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <mpi.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static int out_count;

static void held(const char *name, const char *why) {
    printf("held %s: %s\n", name, why);
    fflush(stdout);
}
static void got_out(const char *name, const char *what) {
    printf("OUT %s: %s\n", name, what);
    fflush(stdout);
    ++out_count;
}
/* Of a call that must fail: -1 and errno. */
static void must_fail(const char *name, long result) {
    if (result < 0)
        held(name, strerror(errno));
    else
        got_out(name, "it worked");
}

static void do_read(const char *path) {
    char word[4300];
    snprintf(word, sizeof word, "read %s", path);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    must_fail(word, file);
    if (file >= 0) close(file);
    DIR *folder = opendir(path);
    snprintf(word, sizeof word, "list %s", path);
    must_fail(word, folder == NULL ? -1 : 0);
    snprintf(word, sizeof word, "write %s", path);
    must_fail(word, open(path, O_WRONLY | O_CLOEXEC));
}

static void do_connect(const char *path) {
    char word[200];
    snprintf(word, sizeof word, "connect %s", path);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    must_fail(word, connect(fd, (struct sockaddr *)&address, sizeof address));
    close(fd);
}

static void do_process(const char *number) {
    const pid_t pid = (pid_t)atoi(number);
    char word[200];
    snprintf(word, sizeof word, "signal %s", number);
    must_fail(word, kill(pid, 0));
    snprintf(word, sizeof word, "trace %s", number);
    must_fail(word, ptrace(PTRACE_SEIZE, pid, NULL, NULL));
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
    snprintf(word, sizeof word, "memory of %s", number);
    must_fail(word, process_vm_readv(pid, &here, 1, &there, 1, 0));
    snprintf(word, sizeof word, "pidfd of %s", number);
    must_fail(word, syscall(SYS_pidfd_open, pid, 0));
    char path[64];
    snprintf(path, sizeof path, "/proc/%s", number);
    snprintf(word, sizeof word, "see %s", path);
    must_fail(word, access(path, F_OK));
}

/* Ranks of this job, orted and its helpers: few. The host has dozens. */
static void count_processes(void) {
    int count = 0;
    DIR *folder = opendir("/proc");
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
    char text[64];
    snprintf(text, sizeof text, "%d processes", count);
    if (count > 8)
        got_out("see processes", text);
    else
        held("see processes", text);
}

static int in_child(int (*body)(void)) {
    const pid_t child = fork();
    if (child == 0) _exit(body());
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}
static int take_user_namespace(void) {
    return unshare(CLONE_NEWUSER) == 0 ? 0 : 1;
}
static int change_root(void) {
    return chroot("/tmp") == 0 ? 0 : 1;
}

static void do_kernel(void) {
    char handle[256] = {0};
    ((unsigned *)handle)[0] = 128;
    int mount_id = 0;
    must_fail("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
    must_fail("remount /usr", mount(NULL, "/usr", NULL, MS_REMOUNT | MS_BIND, NULL));
    must_fail("unmount /usr", umount2("/usr", MNT_DETACH));
    must_fail("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    must_fail("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    must_fail("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"));
    must_fail("chroot", in_child(change_root) == 0 ? 0 : -1);
    must_fail("unshare user", in_child(take_user_namespace) == 0 ? 0 : -1);
    must_fail("unshare mounts", unshare(CLONE_NEWNS));
    must_fail("clone with a user namespace",
              syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL));
    must_fail("clone3", syscall(SYS_clone3, NULL, 0));
    must_fail("setns", setns(0, 0));
    must_fail("name_to_handle_at",
              syscall(SYS_name_to_handle_at, AT_FDCWD, "/", handle, &mount_id, 0));
    must_fail("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, handle, O_RDONLY));
    union bpf_attr program = {0};
    must_fail("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, &program, sizeof program));
    struct perf_event_attr event = {.size = sizeof event};
    must_fail("perf_event_open", syscall(SYS_perf_event_open, &event, 0, -1, -1, 0));
    must_fail("io_uring_setup", syscall(SYS_io_uring_setup, 1, handle));
    must_fail("userfaultfd", syscall(SYS_userfaultfd, 1));
    must_fail("keyctl", syscall(SYS_keyctl, 0, -3, 1));
    must_fail("add_key", syscall(SYS_add_key, "user", "x", "x", 1, -3));
    must_fail("init_module", syscall(SYS_init_module, handle, 1, ""));
    must_fail("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    must_fail("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL));
    must_fail("swapon", syscall(SYS_swapon, "/tmp/x", 0));
    must_fail("acct", syscall(SYS_acct, "/tmp/x"));
    must_fail("syslog", syscall(SYS_syslog, 3, handle, sizeof handle));
    must_fail("sethostname", sethostname("mine", 4));
    must_fail("iopl", syscall(SYS_iopl, 3));
    must_fail("setuid 0", setuid(0));
    must_fail("TIOCSTI", ioctl(0, TIOCSTI, "x"));
    must_fail("raw sockets", socket(AF_INET, SOCK_RAW, 1));
    must_fail("packet sockets", socket(AF_PACKET, SOCK_RAW, 0));
    must_fail("vsock", socket(40, SOCK_STREAM, 0));
    must_fail("AF_ALG", socket(AF_ALG, SOCK_SEQPACKET, 0));
    const struct rlimit more = {1 << 30, 1 << 30};
    must_fail("raise the limit of files", prlimit(0, RLIMIT_NOFILE, &more, NULL));
    must_fail("a real-time class", sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){1}));
    must_fail("nice below 0", syscall(SYS_setpriority, 0, 0, -5));
}

static void do_devices(void) {
    static const char *const files[] = {"/dev/mem",
                                        "/dev/kmem",
                                        "/dev/port",
                                        "/dev/sda",
                                        "/dev/vda",
                                        "/dev/loop0",
                                        "/dev/loop-control",
                                        "/dev/kmsg",
                                        "/dev/fuse",
                                        "/dev/net/tun",
                                        "/dev/kvm",
                                        "/dev/uinput",
                                        "/dev/input",
                                        "/dev/cpu/0/msr",
                                        "/proc/kcore",
                                        "/proc/kmsg",
                                        "/proc/sysrq-trigger",
                                        "/proc/sys/kernel/core_pattern",
                                        "/proc/sys/kernel/modprobe",
                                        "/proc/sys/vm/drop_caches",
                                        "/proc/sys/kernel/hostname",
                                        "/sys/kernel/uevent_helper",
                                        "/sys/power/state",
                                        "/sys/fs/cgroup/cgroup.procs",
                                        "/sys/fs/cgroup/memory/cgroup.procs",
                                        "/sys/fs/cgroup/release_agent",
                                        "/sys/devices/system/cpu/cpu0/online",
                                        "/usr/bin/new",
                                        "/etc/passwd",
                                        "/etc/new",
                                        "/run/new",
                                        "/run/ompi-chain/components/new",
                                        "/dev/new",
                                        "/new"};
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        char word[100];
        snprintf(word, sizeof word, "write %s", files[i]);
        must_fail(word, open(files[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    }
    must_fail("make a device", mknod("device", S_IFBLK | 0600, makedev(7, 0)));
}

/* TCP, and a word by UDP that is to be answered. */
static void do_reach(const char *place) {
    char host[64] = "", word[200];
    const char *colon = strrchr(place, ':');
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((unsigned short)atoi(colon + 1))};
    memcpy(host, place, (size_t)(colon - place));
    inet_pton(AF_INET, host, &address.sin_addr);
    const int tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int result = connect(tcp, (struct sockaddr *)&address, sizeof address);
    if (result != 0 && errno == EINPROGRESS) {
        struct pollfd ready = {.fd = tcp, .events = POLLOUT};
        socklen_t size = sizeof errno;
        if (poll(&ready, 1, 1500) == 1)
            getsockopt(tcp, SOL_SOCKET, SO_ERROR, &errno, &size);
        else
            errno = ETIMEDOUT;
        result = errno == 0 ? 0 : -1;
    }
    snprintf(word, sizeof word, "tcp %s", place);
    must_fail(word, result);
    close(tcp);
    const int udp = socket(AF_INET, SOCK_DGRAM, 0);
    result = (int)sendto(udp, "out?", 4, 0, (struct sockaddr *)&address, sizeof address);
    struct pollfd ready = {.fd = udp, .events = POLLIN};
    if (result == 4 && poll(&ready, 1, 300) != 1) {
        errno = ETIMEDOUT;
        result = -1;
    }
    snprintf(word, sizeof word, "udp %s", place);
    must_fail(word, result);
    close(udp);
}

static void do_abstract(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path + 1, name, sizeof address.sun_path - 2);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    must_fail(name, connect(fd, (struct sockaddr *)&address,
                            (socklen_t)(sizeof address.sun_family + 1 + strlen(name))));
    close(fd);
}

/* What is in the network, and what of it can be changed from inside. */
static void do_own_network(void) {
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0) got_out("list interfaces", strerror(errno));
    for (const struct ifaddrs *one = all; one != NULL; one = one->ifa_next)
        if (strcmp(one->ifa_name, "lo") != 0 && strcmp(one->ifa_name, "chain0") != 0)
            got_out("see an interface", one->ifa_name);
    freeifaddrs(all);
    must_fail("packet socket", socket(AF_PACKET, SOCK_RAW, 0));
    must_fail("raw socket", socket(AF_INET, SOCK_RAW, IPPROTO_TCP));
    must_fail("bluetooth socket", socket(31, SOCK_RAW, 1));
    must_fail("vsock", socket(40, SOCK_STREAM, 0));
    must_fail("tun", open("/dev/net/tun", O_RDWR));
    must_fail("sysctl", open("/proc/sys/net/ipv4/ip_forward", O_WRONLY));
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = {0};
    strcpy(request.ifr_name, "chain0");
    must_fail("take the device down", ioctl(fd, SIOCSIFFLAGS, &request));
    struct sockaddr_in other = {.sin_family = AF_INET};
    inet_pton(AF_INET, "10.77.0.9", &other.sin_addr);
    memcpy(&request.ifr_addr, &other, sizeof other);
    must_fail("take another address", ioctl(fd, SIOCSIFADDR, &request));
    must_fail("bind another address", bind(fd, (struct sockaddr *)&other, sizeof other));
    const int on = 1;
    must_fail("transparent", setsockopt(fd, IPPROTO_IP, 19, &on, sizeof on));
    must_fail("bind to the device's mark", setsockopt(fd, SOL_SOCKET, SO_MARK, &on, sizeof on));
    DIR *folder = opendir("/sys/class/net");
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "lo") != 0 &&
            strcmp(entry->d_name, "chain0") != 0)
            got_out("see in /sys", entry->d_name);
    held("see a device", "only lo and chain0");
}

static void do_network(const char *place) {
    if (place[0] == '@')
        do_abstract(place + 1);
    else
        do_reach(place);
}

static int run_setuid(void) {
    /* What `su -c id` prints in its first words, should it be root. */
    char *const words[] = {"su", "-c", "id -u", NULL};
    freopen("su.out", "w", stdout);
    freopen("/dev/null", "w", stderr);
    execv("/usr/bin/su", words);
    return 99;
}

static void do_setuid(void) {
    char line[64] = "";
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, "NoNewPrivs:\t1", 13) == 0) break;
    if (strncmp(line, "NoNewPrivs:\t1", 13) == 0)
        held("new privileges", "no_new_privs is set");
    else
        got_out("new privileges", "no_new_privs is not set");
    /* Their own copy of a program, set-uid; and one of the system's. */
    const int made = open("mine", O_WRONLY | O_CREAT, 0700);
    close(made);
    if (chmod("mine", 04755) == 0)
        held("a set-uid file of its own", "belongs to nobody, on a disk that honours none");
    must_fail("give a file to root", chown("mine", 0, 0));
    const int code = in_child(run_setuid);
    char text[32] = "";
    FILE *printed = fopen("su.out", "r");
    if (code == 0 && printed != NULL && fgets(text, sizeof text, printed) != NULL && text[0] == '0')
        got_out("su", "is root");
    else
        held("su", "fails");
}

static void do_bomb(void) {
    int count = 0;
    for (int tries = 0; tries < 200000; ++tries) {
        const pid_t child = fork();
        if (child == 0) {
            for (int fd = 0; fd < 1024; ++fd) close(fd);
            for (;;)
                if (fork() < 0) pause();
        }
        if (child < 0) {
            printf("held fork bomb: after %d, %s\n", count, strerror(errno));
            fflush(stdout);
            return;
        }
        ++count;
    }
    got_out("fork bomb", "200000 processes");
}

static void do_memory(void) {
    const size_t block = 16u << 20;
    for (size_t taken = 0; taken < (64ULL << 30); taken += block) {
        char *memory =
            mmap(NULL, block, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            held("memory", strerror(errno));
            return;
        }
        memset(memory, 1, block);
    }
    got_out("memory", "64 GiB");
}

static void fill(const char *folder, int keep) {
    char path[4200];
    snprintf(path, sizeof path, "%s/fill", folder);
    const int file = open(path, O_WRONLY | O_CREAT, 0600);
    static char block[1 << 20];
    memset(block, 7, sizeof block);
    unsigned long long written = 0;
    ssize_t put;
    while (file >= 0 && written < (64ULL << 30) && (put = write(file, block, sizeof block)) > 0)
        written += (unsigned long long)put;
    const int why = errno;
    printf("filled %s: %llu bytes, then %s\n", folder, written, strerror(why));
    fflush(stdout);
    if (file >= 0) close(file);
    if (!keep) unlink(path);
}

static void do_disk(void) {
    char here[4096];
    if (getcwd(here, sizeof here) == NULL) return;
    /* What is made in the job's folder would come back; the other one is left full. */
    fill(here, 0);
    fill("/run/ompi-chain/ranks", 1);
}

static void do_shm(void) {
    const char *const folders[] = {"/dev/shm", "/tmp", "/var/tmp"};
    for (int i = 0; i < 3; ++i) fill(folders[i], 1);
}

static int remove_many(void) {
    execl("/usr/bin/rm", "rm", "-rf", "many", NULL);
    return 1;
}

static void do_files(void) {
    unsigned long count = 0;
    mkdir("many", 0700);
    for (char name[32]; count < 50000000; ++count) {
        snprintf(name, sizeof name, "many/%lu", count);
        const int file = open(name, O_WRONLY | O_CREAT, 0600);
        if (file < 0) break;
        close(file);
    }
    printf("files: %lu, then %s\n", count, strerror(errno));
    fflush(stdout);
    in_child(remove_many);
}

static void do_outlive(unsigned seconds) {
    for (int number = 1; number < 65; ++number) signal(number, SIG_IGN);
    for (int i = 0; i < 4; ++i) {
        if (fork() != 0) continue;
        setsid();
        if (fork() != 0) _exit(0);
        for (int fd = 0; fd < 1024; ++fd) close(fd);
        sleep(seconds);
        _exit(0);
    }
    held("outlive", "four daemons are left");
}

int main(int argc, char **argv) {
    int rank;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    const char *what = argc > 1 ? argv[1] : "";
    if (rank == 0) {
        for (int i = 2; i < argc && strcmp(what, "read") == 0; ++i) do_read(argv[i] + 1);
        for (int i = 2; i < argc && strcmp(what, "connect") == 0; ++i) do_connect(argv[i] + 1);
        for (int i = 2; i < argc && strcmp(what, "processes") == 0; ++i) do_process(argv[i]);
        for (int i = 2; i < argc && strcmp(what, "network") == 0; ++i) do_network(argv[i]);
        if (strcmp(what, "network") == 0) do_own_network();
        if (strcmp(what, "processes") == 0) count_processes();
        if (strcmp(what, "kernel") == 0) do_kernel();
        if (strcmp(what, "devices") == 0) do_devices();
        if (strcmp(what, "setuid") == 0) do_setuid();
        if (strcmp(what, "bomb") == 0) do_bomb();
        if (strcmp(what, "memory") == 0) do_memory();
        if (strcmp(what, "shm") == 0) do_shm();
        if (strcmp(what, "disk") == 0) do_disk();
        if (strcmp(what, "files") == 0) do_files();
        if (strcmp(what, "outlive") == 0 && argc > 2) do_outlive((unsigned)atoi(argv[2]));
        printf("end of %s\n", what);
    }
    MPI_Finalize();
    return out_count > 0;
}
