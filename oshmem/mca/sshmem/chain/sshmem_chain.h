/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sshmem/chain: the symmetric heap of an OpenSHMEM program, held inside the memory of the lease.
 * Links libc and Open MPI only.
 */
#ifndef OSHMEM_MCA_SSHMEM_CHAIN_H
#define OSHMEM_MCA_SSHMEM_CHAIN_H

/* shmem.h, which comes with Open MPI's headers, would bring this into extern "C". */
#include <complex>

extern "C" {
#include "oshmem_config.h"

#include "oshmem/mca/sshmem/sshmem.h"
}

extern "C" {

struct oshmem_sshmem_chain_component_t {
    mca_sshmem_base_component_t super;
    int priority;
};

/* Of liboshmem; its header, oshmem/mca/sshmem/base/base.h, is not C++. */
extern void *mca_sshmem_base_start_address;
extern void shmem_ds_reset(map_segment_t *segment);

OSHMEM_MODULE_DECLSPEC extern oshmem_sshmem_chain_component_t mca_sshmem_chain_component;
extern mca_sshmem_base_module_t oshmem_sshmem_chain_module;
}

#endif
