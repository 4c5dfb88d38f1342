/* SPDX-License-Identifier: BSD-3-Clause */
/* knocker: rank 0 runs on the renter's machine. It finds all TCP ports at which somebody waits there
 * (mpirun's own is one of them) and opens one of its own among those of ranks; the last rank, on a
 * peer, knocks at each. Rank 0 prints "PORT reached" or "PORT silent" for each, its own last. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <mpi.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORTS = 64, RANK_PORT = 29990, PATIENCE_MS = 700 };

static int waiting_ports(int *ports) {
    int count = 0;
    char line[512];
    FILE *table = fopen("/proc/net/tcp", "r");
    if (table == NULL) return 0;
    while (fgets(line, sizeof line, table) != NULL && count < PORTS - 1) {
        unsigned port, state;
        if (sscanf(line, " %*d: %*8x:%x %*8x:%*x %x", &port, &state) == 2 && state == 0x0a)
            ports[count++] = (int)port;
    }
    fclose(table);
    return count;
}

static int listen_at(int port) {
    const int socket_fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    if (bind(socket_fd, (struct sockaddr *)&where, sizeof where) != 0 || listen(socket_fd, 8) != 0) {
        perror("listen");
        MPI_Abort(MPI_COMM_WORLD, 9);
    }
    return socket_fd;
}

/* `from`: a port of one's own to knock with; 0: any. */
static int knock(int port, int from) {
    const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int yes = 1;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((unsigned short)from)};
    setsockopt(socket_fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (from != 0) (void)bind(socket_fd, (struct sockaddr *)&own, sizeof own);
    struct sockaddr_in home = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    inet_pton(AF_INET, "10.77.0.1", &home.sin_addr);
    int reached = 0;
    if (connect(socket_fd, (struct sockaddr *)&home, sizeof home) == 0 || errno == EINPROGRESS) {
        struct pollfd ready = {socket_fd, POLLOUT, 0};
        int error = -1;
        socklen_t size = sizeof error;
        reached = poll(&ready, 1, PATIENCE_MS) == 1 &&
                  getsockopt(socket_fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 &&
                  (error == 0 || error == ECONNREFUSED); /* an answer of either kind */
    }
    close(socket_fd);
    return reached;
}

int main(int argc, char **argv) {
    int rank, ranks, ports[PORTS] = {0}, reached[PORTS] = {0}, count = 0, listener = -1;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (rank == 0) {
        count = waiting_ports(ports);
        listener = listen_at(RANK_PORT);
        ports[count++] = RANK_PORT;
    }
    MPI_Bcast(&count, 1, MPI_INT, 0, MPI_COMM_WORLD);
    MPI_Bcast(ports, PORTS, MPI_INT, 0, MPI_COMM_WORLD);
    if (rank == ranks - 1) {
        for (int i = 0; i < count; ++i) reached[i] = knock(ports[i], 0) || knock(ports[i], 29980);
        if (rank != 0) MPI_Send(reached, PORTS, MPI_INT, 0, 1, MPI_COMM_WORLD);
    }
    if (rank == 0) {
        if (ranks > 1) MPI_Recv(reached, PORTS, MPI_INT, ranks - 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        for (int i = 0; i < count; ++i)
            printf("%d %s\n", ports[i], reached[i] ? "reached" : "silent");
    }
    if (listener >= 0) close(listener);
    MPI_Finalize();
    return 0;
}
