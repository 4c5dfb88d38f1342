/* SPDX-License-Identifier: BSD-3-Clause */
/* A token goes round all ranks, each adds its number; rank 0 checks the sum. */
#include <mpi.h>
#include <stdio.h>

enum { kRounds = 3, kTag = 7 };

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    int rank = 0, size = 0, host_length = 0;
    char host[MPI_MAX_PROCESSOR_NAME];
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Get_processor_name(host, &host_length);
    printf("rank %d of %d on %s\n", rank, size, host);

    const int next = (rank + 1) % size, before = (rank + size - 1) % size;
    long token = 0;
    for (int round = 0; size > 1 && round < kRounds; ++round) {
        if (rank == 0)
            MPI_Send(&token, 1, MPI_LONG, next, kTag, MPI_COMM_WORLD);
        MPI_Recv(&token, 1, MPI_LONG, before, kTag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        token += rank;
        if (rank != 0)
            MPI_Send(&token, 1, MPI_LONG, next, kTag, MPI_COMM_WORLD);
    }
    const long expected = (long)kRounds * size * (size - 1) / 2;
    const int wrong = rank == 0 && token != expected;
    if (rank == 0)
        printf("%d rounds, the token says %ld: %s\n", kRounds, token,
               wrong ? "WRONG" : "correct");
    MPI_Finalize();
    return wrong;
}
