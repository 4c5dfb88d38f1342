/* SPDX-License-Identifier: BSD-3-Clause */
/* What a TCP connection does: `stream serve ADDRESS PORT`, and, from where that is reached,
 * `stream measure ADDRESS PORT SECONDS` prints "LATENCY_US BYTES_PER_S": half a round trip of 8 bytes
 * (the median of many), and a stream from here to there. `stream ranks ADDRESS PORT SECONDS`, started
 * by mpirun: rank 0 serves one connection, rank 1 measures. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PINGS = 2000, WARM_UP = 200, PIECE = 256 * 1024 };
static char piece[PIECE];

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int read_whole(int fd, char *bytes, size_t size) {
    for (size_t at = 0; at < size;) {
        const ssize_t got = read(fd, bytes + at, size - at);
        if (got <= 0) return 0;
        at += (size_t)got;
    }
    return 1;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct sockaddr_in place(const char *address, const char *port) {
    struct sockaddr_in at;
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_port = htons((unsigned short)atoi(port));
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1) fail(address);
    return at;
}

static void no_delay(int fd) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* Each connection: pings until one begins with 'S'; then a stream until its end, which is answered.
 */
static void serve(const char *address, const char *port, int connections) {
    const int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in at = place(address, port);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 8) != 0)
        fail("listen");
    if (connections == 0) puts("ready");
    fflush(stdout);
    for (int served = 0; connections == 0 || served < connections; ++served) {
        const int fd = accept(listener, NULL, NULL);
        if (fd < 0) fail("accept");
        no_delay(fd);
        char ping[8];
        while (read_whole(fd, ping, sizeof ping) && ping[0] != 'S')
            if (write(fd, ping, sizeof ping) != sizeof ping) break;
        while (read(fd, piece, sizeof piece) > 0) continue;
        if (write(fd, "done", 4) != 4) perror("answer");
        close(fd);
    }
}

static void measure(const char *address, const char *port, double seconds) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = place(address, port);
    for (int try = 0; connect(fd, (struct sockaddr *)&at, sizeof at) != 0; ++try) {
        if (try == 100) fail("connect");
        usleep(20000);
    }
    no_delay(fd);
    char ping[8] = "ping";
    static double times[PINGS];
    for (int i = -WARM_UP; i < PINGS; ++i) {
        const double began = now_s();
        if (write(fd, ping, sizeof ping) != sizeof ping || !read_whole(fd, ping, sizeof ping))
            fail("ping");
        if (i >= 0) times[i] = now_s() - began;
    }
    qsort(times, PINGS, sizeof *times, by_size);
    memcpy(ping, "Stream", 6);
    if (write(fd, ping, sizeof ping) != sizeof ping) fail("ping");
    double bytes = 0;
    const double began = now_s();
    while (now_s() - began < seconds) {
        const ssize_t put = write(fd, piece, sizeof piece);
        if (put <= 0) fail("write");
        bytes += (double)put;
    }
    shutdown(fd, SHUT_WR);
    if (!read_whole(fd, ping, 4)) fail("end");
    printf("%.2f %.0f\n", times[PINGS / 2] / 2 * 1e6, bytes / (now_s() - began));
}

int main(int argc, char **argv) {
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (argc == 4 && strcmp(argv[1], "serve") == 0) serve(argv[2], argv[3], 0);
    const int by_rank = argc == 5 && strcmp(argv[1], "ranks") == 0 && rank != NULL;
    if (!by_rank && (argc != 5 || strcmp(argv[1], "measure") != 0)) {
        fputs("usage: stream serve ADDRESS PORT | stream measure ADDRESS PORT SECONDS\n", stderr);
        return 2;
    }
    if (by_rank && strcmp(rank, "0") == 0)
        serve(argv[2], argv[3], 1);
    else
        measure(argv[2], argv[3], atof(argv[4]));
    return 0;
}
