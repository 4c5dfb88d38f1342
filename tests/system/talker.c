/* SPDX-License-Identifier: BSD-3-Clause */
/* talker MARKER ROUNDS: every rank sends the marker to every other one, around a ring and all to all,
 * in small messages and in large ones, and looks that what comes is what was sent. Rank 0 prints
 * "MARKER: N ranks, M messages". */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 300000 };

static void fill(char *bytes, int size, const char *marker, int from, int to, int turn) {
    char word[200];
    const int length = snprintf(word, sizeof word, "%s %d %d %d;", marker, from, to, turn);
    for (int i = 0; i < size; ++i) bytes[i] = word[i % length];
}

static void check(const char *got, const char *expected, int size) {
    if (memcmp(got, expected, (size_t)size) == 0) return;
    fprintf(stderr, "what came is not what was sent\n");
    MPI_Abort(MPI_COMM_WORLD, 9);
}

int main(int argc, char **argv) {
    int rank, ranks, messages = 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const char *marker = argc > 1 ? argv[1] : "marker";
    const int rounds = argc > 2 ? atoi(argv[2]) : 1;
    char *out = malloc((size_t)ranks * LARGE), *in = malloc((size_t)ranks * LARGE);
    char *expected = malloc(LARGE);
    if (out == NULL || in == NULL || expected == NULL) MPI_Abort(MPI_COMM_WORLD, 8);
    for (int round = 0; round < rounds; ++round) {
        const int next = (rank + 1) % ranks, last = (rank + ranks - 1) % ranks;
        for (int size = 1; size <= LARGE; size *= 9, ++messages) {
            fill(out, size, marker, rank, next, round);
            MPI_Sendrecv(out, size, MPI_CHAR, next, 1, in, size, MPI_CHAR, last, 1, MPI_COMM_WORLD,
                         MPI_STATUS_IGNORE);
            fill(expected, size, marker, last, rank, round);
            check(in, expected, size);
        }
        const int size = round % 2 == 0 ? 64 : LARGE;
        for (int to = 0; to < ranks; ++to) fill(out + to * size, size, marker, rank, to, round);
        MPI_Alltoall(out, size, MPI_CHAR, in, size, MPI_CHAR, MPI_COMM_WORLD);
        for (int from = 0; from < ranks; ++from, ++messages) {
            fill(expected, size, marker, from, rank, round);
            check(in + from * size, expected, size);
        }
    }
    int all = 0;
    MPI_Reduce(&messages, &all, 1, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);
    if (rank == 0) printf("%s: %d ranks, %d messages\n", marker, ranks, all);
    MPI_Finalize();
    return 0;
}
