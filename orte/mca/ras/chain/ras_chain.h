/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ras/chain: asks the renter's daemon for a lease and hands ORTE the leased peers as nodes. The
 * parameters of this component are the --chain-* flags (docs: ompi_info --param ras chain --level
 * 9).
 */
#ifndef ORTE_MCA_RAS_CHAIN_H
#define ORTE_MCA_RAS_CHAIN_H

extern "C" {
#include "orte_config.h"

#include "orte/mca/ras/base/base.h"
#include "orte/mca/ras/ras.h"
}

extern "C" {

struct orte_ras_chain_component_t {
    orte_ras_base_component_t super;
    char *lease;
    char *max_price;
    char *budget;
    char *time;
    char *wait;
    char *start;
    char *reservation;
    bool explain;
    char *home;
    char *stage_in;
    char *stage_out;
    char *stage_max;
    char *relaunch;
    bool tolerate_loss;
    char *net;
    char *report;
    int open_timeout_ms;
    int bill_timeout_ms;
    int explain_timeout_ms;
    bool bill_ranks;
    int priority;
};

ORTE_MODULE_DECLSPEC extern orte_ras_chain_component_t mca_ras_chain_component;
extern orte_ras_base_module_t orte_ras_chain_module;
}

#endif
