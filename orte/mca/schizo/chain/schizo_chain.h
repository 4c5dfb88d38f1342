/* SPDX-License-Identifier: BSD-3-Clause
 *
 * schizo/chain: the --chain-* flags of mpirun and oshrun. Each is an MCA parameter of ras/chain;
 * this component only lets people write it as a flag.
 */
#ifndef ORTE_MCA_SCHIZO_CHAIN_H
#define ORTE_MCA_SCHIZO_CHAIN_H

extern "C" {
#include "orte_config.h"

#include "orte/mca/schizo/schizo.h"
}

extern "C" {
ORTE_MODULE_DECLSPEC extern orte_schizo_base_component_t mca_schizo_chain_component;
extern orte_schizo_base_module_t orte_schizo_chain_module;
}

#endif
