/* SPDX-License-Identifier: BSD-3-Clause */
/* LD_PRELOAD: a machine with a slow disk (LAB_SYNC_DELAY_MS more for each fsync and fdatasync) and a
 * clock that is wrong (LAB_CLOCK_AHEAD_S, negative: behind). Time that only passes is as ever. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long setting(const char *name) {
    const char *text = getenv(name);
    return text == NULL ? 0 : atol(text);
}

static void wait_for_disk(void) {
    const long delay_ms = setting("LAB_SYNC_DELAY_MS");
    const struct timespec delay = {delay_ms / 1000, delay_ms % 1000 * 1000000};
    if (delay_ms > 0) nanosleep(&delay, NULL);
}

int fsync(int fd) {
    wait_for_disk();
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    wait_for_disk();
    return (int)syscall(SYS_fdatasync, fd);
}

int clock_gettime(clockid_t id, struct timespec *now) {
    const int rc = (int)syscall(SYS_clock_gettime, id, now);
    if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        now->tv_sec += setting("LAB_CLOCK_AHEAD_S");
    return rc;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    const int rc = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return rc;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result != NULL) *result = now.tv_sec;
    return now.tv_sec;
}
