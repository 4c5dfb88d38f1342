/* SPDX-License-Identifier: BSD-3-Clause */
#include "ompi/mca/hook/chain/hook_chain.h"

extern "C" {
#include "ompi/constants.h"
#include "opal/mca/base/mca_base_var.h"
}

static int component_register(void);

ompi_hook_chain_component_t mca_hook_chain_component = {
    .super =
        {
            .hookm_version =
                {
                    OMPI_HOOK_BASE_VERSION_1_0_0,
                    .mca_component_name = "chain",
                    MCA_BASE_MAKE_VERSION(component, OMPI_MAJOR_VERSION, OMPI_MINOR_VERSION,
                                          OMPI_RELEASE_VERSION),
                    .mca_register_component_params = component_register,
                },
            .hookm_data = {MCA_BASE_METADATA_PARAM_NONE},
            .hookm_mpi_init_bottom = ompi_hook_chain_mpi_init_bottom,
            .hookm_mpi_finalize_top = ompi_hook_chain_mpi_finalize_top,
        },
};

static int component_register(void) {
    mca_base_component_t *version = &mca_hook_chain_component.super.hookm_version;
    mca_hook_chain_component.spin_max_ns = 40'000;
    (void)mca_base_component_var_register(
        version, "spin_max_ns",
        "A rank that calls MPI's progress eight times within this time was waiting, not working",
        MCA_BASE_VAR_TYPE_INT, nullptr, 0, static_cast<mca_base_var_flag_t>(0), OPAL_INFO_LVL_7,
        MCA_BASE_VAR_SCOPE_READONLY, &mca_hook_chain_component.spin_max_ns);
    mca_hook_chain_component.update_interval_ms = 20;
    (void)mca_base_component_var_register(
        version, "update_interval", "Milliseconds between two updates of the rank's file",
        MCA_BASE_VAR_TYPE_INT, nullptr, 0, static_cast<mca_base_var_flag_t>(0), OPAL_INFO_LVL_7,
        MCA_BASE_VAR_SCOPE_READONLY, &mca_hook_chain_component.update_interval_ms);
    return OMPI_SUCCESS;
}
