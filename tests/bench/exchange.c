/* SPDX-License-Identifier: BSD-3-Clause */
/* exchange [SCALE]: two ranks; rank 0 prints what they do in a moment, a figure a line (exchange sizes:
 * "BYTES US" instead, half a round trip for messages of that size, the median of many):
 *   latency_us    half a round trip of 8 bytes
 *   bandwidth     messages of 4 MiB one way, in MB/s
 *   messages_per_s  of 8 bytes, 64 under way
 *   compute_s     a fixed piece of work on both ranks at once: a chain of multiplications, and sums
 *                 over 64 MiB */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kWindow = 64, kLarge = 4 << 20, kWords = (64 << 20) / 8 };

static char buffer[kLarge];

static double round_trips(int rank, int count) {
    char word[8] = {0};
    const double start = MPI_Wtime();
    for (int i = 0; i < count; ++i) {
        if (rank == 0) MPI_Send(word, sizeof word, MPI_CHAR, 1, 0, MPI_COMM_WORLD);
        MPI_Recv(word, sizeof word, MPI_CHAR, 1 - rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (rank == 1) MPI_Send(word, sizeof word, MPI_CHAR, 0, 0, MPI_COMM_WORLD);
    }
    return MPI_Wtime() - start;
}

static double stream(int rank, int count) {
    const double start = MPI_Wtime();
    for (int i = 0; i < count; ++i) {
        if (rank == 0)
            MPI_Send(buffer, kLarge, MPI_CHAR, 1, 1, MPI_COMM_WORLD);
        else
            MPI_Recv(buffer, kLarge, MPI_CHAR, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    return MPI_Wtime() - start;
}

static double small_messages(int rank, int windows) {
    MPI_Request under_way[kWindow];
    static char words[kWindow][8];
    const double start = MPI_Wtime();
    for (int i = 0; i < windows; ++i) {
        for (int k = 0; k < kWindow; ++k) {
            if (rank == 0)
                MPI_Isend(words[k], 8, MPI_CHAR, 1, 2, MPI_COMM_WORLD, &under_way[k]);
            else
                MPI_Irecv(words[k], 8, MPI_CHAR, 0, 2, MPI_COMM_WORLD, &under_way[k]);
        }
        MPI_Waitall(kWindow, under_way, MPI_STATUSES_IGNORE);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    return MPI_Wtime() - start;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void by_message_size(int rank) {
    enum { kTripsMax = 2000 };
    static double taken[kTripsMax];
    for (int size = 8; size <= kLarge; size *= 16) {
        const int trips = size >= 1 << 20 ? 60 : size >= 1 << 15 ? 500 : kTripsMax;
        for (int i = -trips / 10; i < trips; ++i) {
            const double start = MPI_Wtime();
            if (rank == 0) MPI_Send(buffer, size, MPI_CHAR, 1, 3, MPI_COMM_WORLD);
            MPI_Recv(buffer, size, MPI_CHAR, 1 - rank, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            if (rank == 1) MPI_Send(buffer, size, MPI_CHAR, 0, 3, MPI_COMM_WORLD);
            if (i >= 0) taken[i] = (MPI_Wtime() - start) / 2 * 1e6;
        }
        qsort(taken, (size_t)trips, sizeof *taken, by_size);
        if (rank == 0) printf("%d %.3f\n", size, taken[trips / 2]);
    }
}

static double work(int scale) {
    double *field = malloc(sizeof *field * kWords);
    volatile double kept = 0;
    if (field == NULL) MPI_Abort(MPI_COMM_WORLD, 1);
    memset(field, 0, sizeof *field * kWords);
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = MPI_Wtime();
    for (int turn = 0; turn < scale; ++turn) {
        double value = 1.0, sum = 0;
        for (long i = 0; i < 40000000L; ++i) value = value * 1.0000000001 + 1e-9;
        for (long i = 0; i < kWords; ++i) sum += field[i];
        kept = value + sum;
    }
    MPI_Barrier(MPI_COMM_WORLD);
    (void)kept;
    free(field);
    return MPI_Wtime() - start;
}

int main(int argc, char **argv) {
    int rank, size;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (argc > 1 && strcmp(argv[1], "sizes") == 0) {
        by_message_size(rank);
        MPI_Finalize();
        return 0;
    }
    const int scale = argc > 1 ? atoi(argv[1]) : 1;
    if (size != 2 || scale < 1) {
        fprintf(stderr, "exchange runs on two ranks\n");
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    round_trips(rank, 1000);
    stream(rank, 10);
    const int trips = 100000 * scale, large = 300 * scale, windows = 20000 * scale;
    const double trips_s = round_trips(rank, trips), stream_s = stream(rank, large);
    const double small_s = small_messages(rank, windows), work_s = work(8 * scale);
    if (rank == 0) {
        printf("latency_us %.6f\n", trips_s / trips / 2 * 1e6);
        printf("bandwidth %.3f\n", (double)large * kLarge / stream_s / 1e6);
        printf("messages_per_s %.1f\n", (double)windows * kWindow / small_s);
        printf("compute_s %.6f\n", work_s);
    }
    MPI_Finalize();
    return 0;
}
