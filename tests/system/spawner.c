/* SPDX-License-Identifier: BSD-3-Clause */
/* spawner [KEY VALUE]: rank 0's world starts one more copy of this program with MPI_Comm_spawn, with that
 * one thing asked of it, and hears from it. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

static int greet(MPI_Comm parent) {
    int number = 41;
    char host[MPI_MAX_PROCESSOR_NAME];
    int length = 0;
    MPI_Get_processor_name(host, &length);
    printf("spawned on %s\n", host);
    fflush(stdout);
    MPI_Bcast(&number, 1, MPI_INT, 0, parent);
    return number == 42 ? 0 : 3;
}

static int spawn(char *self, int argc, char **argv) {
    MPI_Comm child;
    MPI_Info info;
    int rank = 0;
    int number = 42;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Info_create(&info);
    if (argc == 3) MPI_Info_set(info, argv[1], argv[2]);
    MPI_Comm_spawn(self, MPI_ARGV_NULL, 1, info, 0, MPI_COMM_WORLD, &child, MPI_ERRCODES_IGNORE);
    MPI_Bcast(&number, 1, MPI_INT, rank == 0 ? MPI_ROOT : MPI_PROC_NULL, child);
    MPI_Comm_disconnect(&child);
    if (rank == 0) printf("spawned one\n");
    MPI_Info_free(&info);
    return 0;
}

int main(int argc, char **argv) {
    MPI_Comm parent;
    int code = 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_get_parent(&parent);
    if (parent == MPI_COMM_NULL) {
        code = spawn(argv[0], argc, argv);
    } else {
        code = greet(parent);
        MPI_Comm_disconnect(&parent);
    }
    MPI_Finalize();
    return code;
}
