/* SPDX-License-Identifier: BSD-3-Clause */
/* Each processing element writes its number into its neighbour's memory, one-sided. */
#include <shmem.h>
#include <stdio.h>
#include <unistd.h>

static long from_neighbour = -1;

int main(void)
{
    shmem_init();
    const int me = shmem_my_pe(), count = shmem_n_pes();
    long *heap = shmem_malloc(sizeof *heap);
    if (!heap) {
        fprintf(stderr, "hello_oshmem: the symmetric heap is too small\n");
        shmem_global_exit(1);
    }
    *heap = -1;
    shmem_barrier_all();
    shmem_long_p(&from_neighbour, me, (me + 1) % count);
    shmem_long_p(heap, me + 1000L, (me + 1) % count);
    shmem_barrier_all();

    const long left = (me + count - 1) % count;
    const int wrong = from_neighbour != left || *heap != left + 1000;
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    printf("PE %d of %d on %s: neighbour wrote %ld and %ld%s\n", me, count, host, from_neighbour,
           *heap, wrong ? " (WRONG)" : "");
    shmem_barrier_all();
    shmem_free(heap);
    if (wrong)
        shmem_global_exit(1);
    shmem_finalize();
    return 0;
}
