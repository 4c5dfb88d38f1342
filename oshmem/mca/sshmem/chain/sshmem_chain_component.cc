/* SPDX-License-Identifier: BSD-3-Clause */
#include "oshmem/mca/sshmem/chain/sshmem_chain.h"

#include <stdlib.h>

#include "chain/meter/rank_file.h"

extern "C" {
#include "oshmem/constants.h"
}

static int component_register(void);
static int component_query(mca_base_module_t **module, int *priority);
static int runtime_query(mca_base_module_t **module, int *priority, const char *hint);

oshmem_sshmem_chain_component_t mca_sshmem_chain_component = {
    .super =
        {
            .base_version =
                {
                    MCA_SSHMEM_BASE_VERSION_2_0_0,
                    .mca_component_name = "chain",
                    MCA_BASE_MAKE_VERSION(component, OSHMEM_MAJOR_VERSION, OSHMEM_MINOR_VERSION,
                                          OSHMEM_RELEASE_VERSION),
                    .mca_query_component = component_query,
                    .mca_register_component_params = component_register,
                },
            .base_data = {MCA_BASE_METADATA_PARAM_NONE},
            .runtime_query = runtime_query,
        },
};

static int component_register(void) {
    mca_sshmem_chain_component.priority = 110; /* sshmem/ucx has 100 */
    (void)mca_base_component_var_register(
        &mca_sshmem_chain_component.super.base_version, "priority",
        "Priority of this component under a lease; without one it is never used",
        MCA_BASE_VAR_TYPE_INT, nullptr, 0, static_cast<mca_base_var_flag_t>(0), OPAL_INFO_LVL_9,
        MCA_BASE_VAR_SCOPE_ALL_EQ, &mca_sshmem_chain_component.priority);
    return OSHMEM_SUCCESS;
}

static int runtime_query(mca_base_module_t **module, int *priority, const char *hint) {
    (void)hint;
    *module = nullptr;
    *priority = 0;
    if (getenv(CHAIN_ENV_LEASE) == nullptr || getenv(CHAIN_ENV_MEMORY_BYTES) == nullptr)
        return OSHMEM_ERR_NOT_AVAILABLE;
    *priority = mca_sshmem_chain_component.priority;
    *module = reinterpret_cast<mca_base_module_t *>(&oshmem_sshmem_chain_module);
    return OSHMEM_SUCCESS;
}

static int component_query(mca_base_module_t **module, int *priority) {
    return runtime_query(module, priority, nullptr);
}
