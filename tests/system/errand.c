/* SPDX-License-Identifier: BSD-3-Clause */
/* errand WHAT [ARGUMENT…]: a renter's MPI program that does one small thing.
 *   exit RANK CODE    that rank ends with that code after MPI_Finalize
 *   abort RANK CODE   that rank calls MPI_Abort
 *   cat               rank 0 copies standard input to standard output
 *   lines N           each rank writes N numbered lines to standard output and N to standard error
 *   copy FROM TO      rank 0 copies a file
 *   mark NAME         each rank makes the file NAME.RANK, "rank of size" in it
 *   append NAME CODE  rank 0 appends a line to the file, which must be there; ends with CODE
 *   linger SECONDS    rank 0 sleeps, the others wait for it
 *   wait SECONDS      rank 0 computes, the others wait for it in MPI_Recv
 *   time SECONDS      rank 0 prints when it passed MPI_Init, in seconds since 1970, and computes as above
 *   arguments …       rank 0 prints each argument in brackets on a line of its own */
#define _POSIX_C_SOURCE 200809L
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int rank, size;

static int copy(FILE *from, FILE *to) {
    char buffer[65536];
    size_t got;
    if (from == NULL || to == NULL) return 1;
    while ((got = fread(buffer, 1, sizeof buffer, from)) > 0)
        if (fwrite(buffer, 1, got, to) != got) return 1;
    return ferror(from) != 0 || fflush(to) != 0;
}

static int do_lines(int count) {
    for (int line = 0; line < count; ++line) {
        printf("rank %d line %d\n", rank, line);
        fflush(stdout);
        fprintf(stderr, "rank %d error %d\n", rank, line);
    }
    return 0;
}

static int do_mark(const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s.%d", name, rank);
    FILE *file = fopen(path, "w");
    if (file == NULL) return 1;
    fprintf(file, "%d of %d\n", rank, size);
    return fclose(file) != 0;
}

static int do_append(const char *name, int code) {
    if (rank != 0) return 0;
    FILE *file = fopen(name, "r+");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) return 99;
    fprintf(file, "appended\n");
    return fclose(file) != 0 ? 98 : code;
}

static int do_wait(double seconds, int computes) {
    int token = 1;
    if (rank != 0) {
        MPI_Recv(&token, 1, MPI_INT, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        return 0;
    }
    volatile double value = 1.0;
    const double until = MPI_Wtime() + seconds;
    const struct timespec pause = {(time_t)seconds,
                                   (long)((seconds - (double)(time_t)seconds) * 1e9)};
    if (!computes) nanosleep(&pause, NULL);
    while (computes && MPI_Wtime() < until)
        for (int i = 0; i < 1000; ++i) value = value * 1.0000001 + 0.5;
    for (int other = 1; other < size; ++other)
        MPI_Send(&token, 1, MPI_INT, other, 0, MPI_COMM_WORLD);
    return 0;
}

static int do_time(double seconds) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (rank == 0) printf("%ld.%09ld\n", (long)now.tv_sec, now.tv_nsec);
    return do_wait(seconds, 1);
}

static int run(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    const int number = argc > 2 ? atoi(argv[2]) : 0;
    if (strcmp(what, "exit") == 0 && argc == 4) return rank == number ? atoi(argv[3]) : 0;
    if (strcmp(what, "abort") == 0 && argc == 4) {
        if (rank == number) MPI_Abort(MPI_COMM_WORLD, atoi(argv[3]));
        return 0;
    }
    if (strcmp(what, "cat") == 0) return rank == 0 ? copy(stdin, stdout) : 0;
    if (strcmp(what, "lines") == 0) return do_lines(number);
    if (strcmp(what, "copy") == 0 && argc == 4)
        return rank == 0 ? copy(fopen(argv[2], "rb"), fopen(argv[3], "wb")) : 0;
    if (strcmp(what, "mark") == 0 && argc == 3) return do_mark(argv[2]);
    if (strcmp(what, "append") == 0 && argc == 4) return do_append(argv[2], atoi(argv[3]));
    if (strcmp(what, "linger") == 0 && argc == 3) return do_wait(atof(argv[2]), 0);
    if (strcmp(what, "wait") == 0 && argc == 3) return do_wait(atof(argv[2]), 1);
    if (strcmp(what, "time") == 0 && argc == 3) return do_time(atof(argv[2]));
    if (strcmp(what, "arguments") == 0) {
        for (int i = 2; rank == 0 && i < argc; ++i) printf("[%s]\n", argv[i]);
        return 0;
    }
    return 97;
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const int code = run(argc, argv);
    MPI_Finalize();
    return code;
}
