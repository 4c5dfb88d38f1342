/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The file that hook/chain keeps in $OMPI_CHAIN_RANK_DIR for each rank, named "<jobid>.<rank>", and
 * that the provider's agent reads. Plain C, fixed size, mapped shared: the rank writes with plain
 * stores, no system call. Native byte order: both sides are on one machine.
 *
 * Whoever reads it must not trust it: it is the renter's program's own word.
 */
#ifndef CHAIN_METER_RANK_FILE_H
#define CHAIN_METER_RANK_FILE_H

#include <stdint.h>

#define CHAIN_RANK_FILE_MAGIC 0x314b4e415248434fULL /* "OCHRANK1" */
#define CHAIN_RANK_FILES_MAX 4096                   /* in one folder; more are not read */

/* Environment of a rank under a lease; set for orted by the provider, inherited by ranks. */
#define CHAIN_ENV_LEASE "OMPI_CHAIN_LEASE"               /* lease id, hex */
#define CHAIN_ENV_RANK_DIR "OMPI_CHAIN_RANK_DIR"         /* folder for these files */
#define CHAIN_ENV_HZ "OMPI_CHAIN_HZ"                     /* calibrated frequency of a core */
#define CHAIN_ENV_MEMORY_BYTES "OMPI_CHAIN_MEMORY_BYTES" /* of the whole leg */
#define CHAIN_ENV_SLOTS "OMPI_CHAIN_SLOTS"               /* of the leg */

struct chain_rank_file {
    uint64_t magic;      /* written last, when the rest is valid */
    uint32_t rank;       /* in its job's COMM_WORLD */
    uint32_t pid;        /* as the rank sees it: inside the sandbox's pid namespace */
    uint64_t cpu_ns;     /* CPU time of the process so far */
    uint64_t waited_ns;  /* part of cpu_ns spent spinning inside MPI; <= cpu_ns */
    uint64_t updated_ns; /* CLOCK_MONOTONIC of the last update */
    uint64_t reserved[3];
};

#endif /* CHAIN_METER_RANK_FILE_H */
