/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A token goes round `rounds` times; rank 0 prints where the ranks ran. With "wait SECONDS" as
 * arguments rank 0 works that long while the others wait for it; with "sleep SECONDS" all sleep.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void work(double seconds) {
    const double end = MPI_Wtime() + seconds;
    volatile double sum = 0;
    while (MPI_Wtime() < end)
        for (int i = 0; i < 100000; ++i) sum += i;
}

int main(int argc, char **argv) {
    int rank = 0, size = 0, token = 0, provided = 0;
    const char *mode = argc > 2 ? argv[1] : "";
    const int wanted = getenv("RING_THREADS") ? MPI_THREAD_MULTIPLE : MPI_THREAD_SINGLE;
    MPI_Init_thread(&argc, &argv, wanted, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (strcmp(mode, "sleep") == 0) sleep((unsigned)atoi(argv[2]));
    if (strcmp(mode, "wait") == 0 && rank == 0) work(atof(argv[2]));
    for (int round = 0; round < 10 && size > 1; ++round) {
        if (rank == 0) {
            MPI_Send(&token, 1, MPI_INT, 1, 0, MPI_COMM_WORLD);
            MPI_Recv(&token, 1, MPI_INT, size - 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        } else {
            MPI_Recv(&token, 1, MPI_INT, rank - 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            ++token;
            MPI_Send(&token, 1, MPI_INT, (rank + 1) % size, 0, MPI_COMM_WORLD);
        }
    }
    char host[256];
    gethostname(host, sizeof host);
    printf("rank %d of %d on %s token %d\n", rank, size, host, token);
    fflush(stdout);
    if (getenv("RING_NO_FINALIZE")) _exit(0);
    MPI_Finalize();
    return 0;
}
