/* SPDX-License-Identifier: BSD-3-Clause */
/* consumer WHAT SECONDS: a renter's MPI program that takes so much processor time on each rank, in
 * one of several ways, and prints how much it took by its own count, "RANK NANOSECONDS" a line.
 *   loop      in one thread
 *   threads   in four
 *   children  in children of 3 ms each, one after the other
 *   daemons   in processes that leave their session and their parent
 *   sleeps    none: it sleeps
 *   receives  rank 0 waits in MPI_Recv for the others, which sleep */
#define _GNU_SOURCE
#include <mpi.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static void burn(uint64_t ns) {
    volatile double value = 1.0;
    const uint64_t until = clock_ns(CLOCK_THREAD_CPUTIME_ID) + ns;
    while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < until)
        for (int i = 0; i < 1000; ++i) value = value * 1.0000001 + 0.5;
}

static void *burn_in_thread(void *ns) {
    burn(*(uint64_t *)ns);
    return NULL;
}

static uint64_t children_ns(void) {
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    return (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000ULL +
           (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000ULL;
}

static void in_threads(uint64_t ns) {
    pthread_t threads[4];
    uint64_t each = ns / 4;
    for (int i = 0; i < 4; ++i) pthread_create(&threads[i], NULL, burn_in_thread, &each);
    for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
}

static void in_children(uint64_t ns) {
    while (children_ns() < ns) {
        if (fork() == 0) {
            burn(3000000);
            _exit(0);
        }
        while (wait(NULL) > 0) {
        }
    }
}

/* What they took, as they say: nobody waits for them. */
static uint64_t in_daemons(uint64_t ns) {
    int ends[2];
    if (pipe(ends) != 0) return 0;
    for (int i = 0; i < 4; ++i) {
        if (fork() != 0) continue;
        setsid();
        if (fork() != 0) _exit(0);
        burn(ns / 4);
        const uint64_t own_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        _exit(write(ends[1], &own_ns, sizeof own_ns) != sizeof own_ns);
    }
    close(ends[1]);
    uint64_t all_ns = 0, one_ns;
    while (read(ends[0], &one_ns, sizeof one_ns) == sizeof one_ns) all_ns += one_ns;
    close(ends[0]);
    while (wait(NULL) > 0) {
    }
    return all_ns;
}

int main(int argc, char **argv) {
    int rank, size;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const char *what = argc > 2 ? argv[1] : "";
    const double seconds = argc > 2 ? atof(argv[2]) : 0;
    const uint64_t ns = (uint64_t)(seconds * 1e9);
    uint64_t daemons_ns = 0;
    if (strcmp(what, "loop") == 0) burn(ns);
    if (strcmp(what, "threads") == 0) in_threads(ns);
    if (strcmp(what, "children") == 0) in_children(ns);
    if (strcmp(what, "daemons") == 0) daemons_ns = in_daemons(ns);
    if (strcmp(what, "sleeps") == 0 || (strcmp(what, "receives") == 0 && rank > 0))
        usleep((useconds_t)(seconds * 1e6));
    if (strcmp(what, "receives") == 0) {
        int token = rank;
        for (int other = 1; rank == 0 && other < size; ++other)
            MPI_Recv(&token, 1, MPI_INT, other, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (rank > 0) MPI_Send(&token, 1, MPI_INT, 0, 0, MPI_COMM_WORLD);
    }
    printf("%d %llu\n", rank,
           (unsigned long long)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) + children_ns() + daemons_ns));
    fflush(stdout);
    MPI_Finalize();
    return 0;
}
