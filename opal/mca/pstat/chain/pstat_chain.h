/* SPDX-License-Identifier: BSD-3-Clause
 *
 * pstat/chain: F x T of a process, from the kernel's exact clocks (ticks, which pstat/linux reads,
 * can be dodged). Links libc and Open MPI only.
 */
#ifndef OPAL_MCA_PSTAT_CHAIN_H
#define OPAL_MCA_PSTAT_CHAIN_H

extern "C" {
#include "opal_config.h"

#include "opal/mca/pstat/pstat.h"
}

extern "C" {

/* What a caller that knows this component gets besides opal_pstat_base_module_t. */
struct opal_pstat_chain_module_t {
    opal_pstat_base_module_t super;
    /* CPU time of all threads of `pid` so far. OPAL_ERR_NOT_FOUND: there is no such process. */
    int (*cpu_ns)(pid_t pid, uint64_t *cpu_ns);
    /* CPU time x frequency of the lease. OPAL_ERR_NOT_AVAILABLE: the frequency is not known. */
    int (*cycles)(pid_t pid, uint64_t *cycles);
};

struct opal_pstat_chain_component_t {
    opal_pstat_base_component_t super;
    bool enable;
    opal_pstat_chain_module_t *module;
};

OPAL_MODULE_DECLSPEC extern opal_pstat_chain_component_t mca_pstat_chain_component;
extern opal_pstat_chain_module_t opal_pstat_chain_module;
}

#endif
