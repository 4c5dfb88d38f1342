/* SPDX-License-Identifier: BSD-3-Clause
 *
 * hook/chain: inside a rank under a lease, says which rank this process is, and how much of its CPU
 * time was spent waiting inside MPI (chain/meter/rank_file.h). Links libc and Open MPI only: the
 * user's program may bring its own protobuf and the like.
 */
#ifndef OMPI_MCA_HOOK_CHAIN_H
#define OMPI_MCA_HOOK_CHAIN_H

extern "C" {
#include "ompi_config.h"

#include "ompi/mca/hook/hook.h"
}

extern "C" {

struct ompi_hook_chain_component_t {
    ompi_hook_base_component_t super;
    int spin_max_ns; /* calls of opal_progress closer than this: the rank is spinning */
    int update_interval_ms;
};

OMPI_MODULE_DECLSPEC extern ompi_hook_chain_component_t mca_hook_chain_component;
void ompi_hook_chain_mpi_init_bottom(int argc, char **argv, int requested, int *provided);
void ompi_hook_chain_mpi_finalize_top(void);
}

#endif
