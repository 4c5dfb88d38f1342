/* SPDX-License-Identifier: BSD-3-Clause
 *
 * plm/chain: orted on each leased peer, started by the peer's own daemon. What happens on the lease
 * (a peer is lost, budget or time are used up) becomes what ORTE understands.
 */
#ifndef ORTE_MCA_PLM_CHAIN_H
#define ORTE_MCA_PLM_CHAIN_H

extern "C" {
#include "orte_config.h"

#include "orte/mca/plm/base/base.h"
#include "orte/mca/plm/plm.h"
}

extern "C" {

struct orte_plm_chain_component_t {
    orte_plm_base_component_t super;
    int start_timeout_ms;
    int end_timeout_ms;
    int notice_signal;
    int loss_exit_code;
    int loss_grace_ms;
};

ORTE_MODULE_DECLSPEC extern orte_plm_chain_component_t mca_plm_chain_component;
extern orte_plm_base_module_t orte_plm_chain_module;
}

#endif
