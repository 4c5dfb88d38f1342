/* SPDX-License-Identifier: BSD-3-Clause */
#include "orte/mca/schizo/chain/schizo_chain.h"

extern "C" {
#include "opal/util/show_help.h"
#include "orte/constants.h"
#include "orte/runtime/orte_globals.h"
#include "orte/util/proc_info.h"
}

static int component_query(mca_base_module_t **module, int *priority) {
    /* Ranks have no command line of mpirun's. */
    if (ORTE_PROC_IS_APP) {
        *module = nullptr;
        *priority = 0;
        return ORTE_ERROR;
    }
    opal_show_help_add_dir(CHAIN_COMPONENT_SOURCE_DIR);
    opal_show_help_add_dir(CHAIN_HELP_DIR);
    /* Below schizo/ompi, so that what the user set is in the environment before ours looks. */
    *priority = 5;
    *module = reinterpret_cast<mca_base_module_t *>(&orte_schizo_chain_module);
    return ORTE_SUCCESS;
}

orte_schizo_base_component_t mca_schizo_chain_component = {
    .base_version =
        {
            MCA_SCHIZO_BASE_VERSION_1_0_0,
            .mca_component_name = "chain",
            MCA_BASE_MAKE_VERSION(component, ORTE_MAJOR_VERSION, ORTE_MINOR_VERSION,
                                  ORTE_RELEASE_VERSION),
            .mca_query_component = component_query,
        },
    .base_data = {MCA_BASE_METADATA_PARAM_NONE},
};
