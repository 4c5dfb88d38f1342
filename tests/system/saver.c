/* SPDX-License-Identifier: BSD-3-Clause */
/* saver SECONDS: computes so long. Told by SIGURG that its machine is about to leave, each rank
 * writes the file saved-RANK, and goes on. */
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t told = 0;

static void on_notice(int number) {
    (void)number;
    told = 1;
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    signal(SIGURG, on_notice);
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    const double end = MPI_Wtime() + (argc > 1 ? atof(argv[1]) : 1.0);
    volatile double value = 1.0;
    int saved = 0;
    while (MPI_Wtime() < end) {
        for (int i = 0; i < 100000; ++i) value = value * 1.0000001 + 0.5;
        if (!told || saved) continue;
        char name[32];
        snprintf(name, sizeof name, "saved-%d", rank);
        FILE *file = fopen(name, "w");
        if (file != NULL) {
            fprintf(file, "rank %d got as far as %g\n", rank, value);
            fclose(file);
        }
        saved = 1;
    }
    MPI_Finalize();
    return 0;
}
