/* SPDX-License-Identifier: BSD-3-Clause */
/* busy SECONDS: every rank computes so long, and all meet ten times a second. Exit status 0 only if
 * the ranks' sum came out right every time. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

static const double kMeetEverySeconds = 0.1;

static double spin_until(double until) {
    volatile double value = 1.0;
    while (MPI_Wtime() < until)
        for (int i = 0; i < 1000; ++i) value = value * 1.0000001 + 0.5;
    return value;
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    const double seconds = argc > 1 ? atof(argv[1]) : 1.0;
    int rank, count;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &count);
    const double start = MPI_Wtime();
    const int meetings = (int)(seconds / kMeetEverySeconds);
    for (int meeting = 1; meeting <= meetings; ++meeting) {
        spin_until(start + meeting * kMeetEverySeconds);
        int sum = 0;
        const int mine = rank + meeting;
        MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
        if (sum != count * (count - 1) / 2 + count * meeting) MPI_Abort(MPI_COMM_WORLD, 3);
    }
    if (rank == 0) printf("busy: %d ranks, %d meetings\n", count, meetings);
    MPI_Finalize();
    return 0;
}
