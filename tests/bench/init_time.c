/* SPDX-License-Identifier: BSD-3-Clause */
/* Rank 0 prints the time of day, in nanoseconds, at which MPI_Init let it go; then on which host
   each rank is, by which the benchmark sees that it measured what it meant to. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int rank = 0;
    int rank_count = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &rank_count);
    char name[MPI_MAX_PROCESSOR_NAME] = "";
    int length = 0;
    MPI_Get_processor_name(name, &length);
    char *names = calloc((size_t)rank_count, sizeof(name));
    MPI_Gather(name, sizeof(name), MPI_CHAR, names, sizeof(name), MPI_CHAR, 0, MPI_COMM_WORLD);
    if (rank == 0) {
        printf("init_ns %lld", now.tv_sec * 1000000000LL + now.tv_nsec);
        for (int i = 0; i < rank_count; ++i)
            printf(" %s", names + (size_t)i * sizeof(name));
        printf("\n");
    }
    free(names);
    MPI_Finalize();
    return 0;
}
