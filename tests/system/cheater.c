/* SPDX-License-Identifier: BSD-3-Clause */
/* cheater HOW SECONDS: a renter's MPI program that tries to be billed for less than it takes, and
 * prints how much it took, "RANK NANOSECONDS" a line.
 *   dodges   sleeps whenever the kernel's clock ticks, and works in between
 *   lies     writes into the files in which ranks tell of themselves that it did nothing but wait
 *   drowns   fills their folder with files of ranks that never were */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct rank_file {
    uint64_t magic;
    uint32_t rank, pid;
    uint64_t cpu_ns, waited_ns, updated_ns, reserved[3];
};
enum { kTicksNs = 4000000, kGuardNs = 400000 }; /* HZ 250; other ticks are hit less well */

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static void burn_for(uint64_t ns) {
    volatile double value = 1.0;
    const uint64_t until = clock_ns(CLOCK_THREAD_CPUTIME_ID) + ns;
    while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < until)
        for (int i = 0; i < 200; ++i) value = value * 1.0000001 + 0.5;
}

static void dodge(uint64_t ns) {
    const uint64_t begin = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) - begin < ns) {
        /* Sleeping to a whole tick wakes right after it. */
        const uint64_t next = (clock_ns(CLOCK_MONOTONIC) / kTicksNs + 1) * kTicksNs;
        const struct timespec until = {(time_t)(next / 1000000000ULL), (long)(next % 1000000000ULL)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        burn_for(kTicksNs - 2 * kGuardNs);
    }
}

static void write_files(const char *folder, int count, uint64_t waited_ns) {
    char path[4096];
    struct rank_file file = {0x314b4e415248434fULL, 0, 1, 0, waited_ns, ~0ULL, {0}};
    for (int i = 0; i < count; ++i) {
        snprintf(path, sizeof path, "%s/7.%d", folder, i);
        const int fd = open(path, O_CREAT | O_WRONLY, 0644);
        file.rank = (uint32_t)i;
        file.cpu_ns = ~0ULL / 2;
        if (fd >= 0 && write(fd, &file, sizeof file) < 0) perror("write");
        if (fd >= 0) close(fd);
    }
}

/* Again and again, in every file that is there, also what MPI itself keeps mapped. */
static void lie(const char *folder, uint64_t ns) {
    const uint64_t begin = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) - begin < ns) {
        DIR *listing = opendir(folder);
        const struct dirent *entry;
        while (listing != NULL && (entry = readdir(listing)) != NULL) {
            char path[4096];
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            const int fd = open(path, O_RDWR);
            if (fd < 0) continue;
            struct rank_file *const file =
                mmap(NULL, sizeof *file, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            close(fd);
            if (file == MAP_FAILED) continue;
            file->cpu_ns = 1;
            file->waited_ns = ~0ULL;
            file->updated_ns = ~0ULL;
            munmap(file, sizeof *file);
        }
        if (listing != NULL) closedir(listing);
        burn_for(1000000);
    }
}

int main(int argc, char **argv) {
    int rank;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    const char *how = argc > 2 ? argv[1] : "";
    const uint64_t ns = argc > 2 ? (uint64_t)(atof(argv[2]) * 1e9) : 0;
    const char *folder = getenv("OMPI_CHAIN_RANK_DIR");
    if (strcmp(how, "dodges") == 0) dodge(ns);
    if (strcmp(how, "lies") == 0 && folder != NULL) lie(folder, ns);
    if (strcmp(how, "drowns") == 0 && folder != NULL) {
        write_files(folder, 20000, ~0ULL);
        burn_for(ns);
    }
    printf("%d %llu\n", rank, (unsigned long long)clock_ns(CLOCK_PROCESS_CPUTIME_ID));
    fflush(stdout);
    MPI_Finalize();
    return 0;
}
