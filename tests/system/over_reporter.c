/* SPDX-License-Identifier: BSD-3-Clause */
/* LD_PRELOAD: a provider's daemon whose meter lies. What the kernel says of a lease's processor time is
 * multiplied by LAB_METER_TIMES before the daemon reads it. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* 1: a bare number; 2: a line "usage_usec N". */
static int kind_of(int fd) {
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 0) return 0;
    path[size] = '\0';
    if (strstr(path, "/cpuacct.usage") != NULL) return 1;
    return strstr(path, "/cpu.stat") != NULL ? 2 : 0;
}

ssize_t read(int fd, void *buffer, size_t size) {
    const ssize_t got = syscall(SYS_read, fd, buffer, size);
    const char *const times = getenv("LAB_METER_TIMES");
    if (got <= 0 || got > 4000 || times == NULL) return got;
    const int kind = kind_of(fd);
    if (kind == 0) return got;
    char text[4096], changed[4200];
    memcpy(text, buffer, (size_t)got);
    text[got] = '\0';
    const char *const number = kind == 1 ? text : strstr(text, "usage_usec ");
    if (number == NULL) return got;
    char *rest;
    const unsigned long long value = strtoull(kind == 1 ? number : number + 11, &rest, 10);
    const int length = snprintf(changed, sizeof changed, "%.*s%llu%s",
                                (int)((kind == 1 ? number : number + 11) - text), text,
                                (unsigned long long)((double)value * atof(times)), rest);
    if (length <= 0 || (size_t)length > size) return got;
    memcpy(buffer, changed, (size_t)length);
    return length;
}
