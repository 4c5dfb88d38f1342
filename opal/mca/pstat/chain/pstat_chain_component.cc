/* SPDX-License-Identifier: BSD-3-Clause */
#include "opal/mca/pstat/chain/pstat_chain.h"

#include <stdlib.h>

#include "chain/meter/rank_file.h"

extern "C" {
#include "opal/constants.h"
#include "opal/mca/base/mca_base_var.h"
}

static int component_register(void);
static int component_query(mca_base_module_t **module, int *priority);

opal_pstat_chain_component_t mca_pstat_chain_component = {
    .super =
        {
            .base_version =
                {
                    OPAL_PSTAT_BASE_VERSION_2_0_0,
                    .mca_component_name = "chain",
                    MCA_BASE_MAKE_VERSION(component, OPAL_MAJOR_VERSION, OPAL_MINOR_VERSION,
                                          OPAL_RELEASE_VERSION),
                    .mca_query_component = component_query,
                    .mca_register_component_params = component_register,
                },
            .base_data = {MCA_BASE_METADATA_PARAM_NONE},
        },
    .enable = false,
    .module = &opal_pstat_chain_module,
};

static int component_register(void) {
    mca_pstat_chain_component.enable = false;
    (void)mca_base_component_var_register(
        &mca_pstat_chain_component.super.base_version, "enable",
        "Use exact CPU clocks for process statistics, also outside of a lease",
        MCA_BASE_VAR_TYPE_BOOL, nullptr, 0, static_cast<mca_base_var_flag_t>(0), OPAL_INFO_LVL_5,
        MCA_BASE_VAR_SCOPE_READONLY, &mca_pstat_chain_component.enable);
    return OPAL_SUCCESS;
}

static int component_query(mca_base_module_t **module, int *priority) {
    constexpr int kAboveLinux = 30;
    *module = nullptr;
    *priority = 0;
    if (getenv(CHAIN_ENV_LEASE) == nullptr && !mca_pstat_chain_component.enable) return OPAL_ERROR;
    *priority = kAboveLinux;
    *module = reinterpret_cast<mca_base_module_t *>(&opal_pstat_chain_module);
    return OPAL_SUCCESS;
}
