/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Each PE writes its number into its neighbour's symmetric heap.
 */
#include <shmem.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    shmem_init();
    const int me = shmem_my_pe();
    const int count = shmem_n_pes();
    long *place = shmem_malloc(sizeof *place);
    *place = -1;
    shmem_barrier_all();
    shmem_long_p(place, me, (me + 1) % count);
    shmem_barrier_all();
    char host[256];
    gethostname(host, sizeof host);
    printf("PE %d of %d on %s got %ld\n", me, count, host, *place);
    shmem_free(place);
    shmem_finalize();
    return 0;
}
