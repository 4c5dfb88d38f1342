/* SPDX-License-Identifier: BSD-3-Clause */
/* spin PROCESSES MILLIONS: so many processes at once, each with so many millions of dependent
 * multiplications; prints the seconds until the last has done them. What a machine's owner would
 * do. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    const int processes = argc > 2 ? atoi(argv[1]) : 0;
    const long count = argc > 2 ? atol(argv[2]) * 1000000L : 0;
    if (processes < 1 || count < 1) return 2;
    const double start_s = now_s();
    for (int i = 0; i < processes; ++i) {
        if (fork() != 0) continue;
        volatile double kept = 1.0;
        double value = 1.0;
        for (long n = 0; n < count; ++n) value = value * 1.0000000001 + 1e-9;
        kept = value;
        (void)kept;
        _exit(0);
    }
    while (wait(NULL) > 0) {
    }
    printf("%.6f\n", now_s() - start_s);
    return 0;
}
