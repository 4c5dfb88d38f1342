/* SPDX-License-Identifier: BSD-3-Clause
 *
 * --chain-tolerate-loss: a lost machine equals lost processes, and the others go on. ORTE's own
 * handlers end the job when a daemon is lost; here some of its pointers are replaced, in mpirun
 * only, by functions that count the daemon's ranks as ended, take it out of the routes, and leave
 * all the rest to the handlers that were there. Which ones, and why: docs/losing_peers.md.
 *
 * Nothing is replaced before plm_chain_loss_install(). All of it on ORTE's event thread.
 */
#ifndef ORTE_MCA_PLM_CHAIN_LOSS_H
#define ORTE_MCA_PLM_CHAIN_LOSS_H

#include <string>

#include "orte/mca/plm/chain/plm_chain.h"

/* Once, after the errmgr, routed and grpcomm frameworks are selected and before a job is launched.
 */
void plm_chain_loss_install(void);
bool plm_chain_loss_is_installed(void);

/* The connection of that daemon broke: at once it counts as lost. Its reason may follow with
 * plm_chain_loss_on_word(). False: the job cannot go on without it, nothing was changed. */
bool plm_chain_loss_on_break(orte_proc_t *daemon);

/* The lease says of a peer that it is lost, and why; `daemon` may be nullptr when it broke before.
 * Tells the user. False: as above. */
bool plm_chain_loss_on_word(const std::string &host, orte_proc_t *daemon,
                            const std::string &reason);

/* Why the job cannot go on without the peer that was lost; empty: it could. */
const std::string &plm_chain_loss_obstacle(void);

/* All ranks have ended: the exit code of a job that lost some. Then mpirun leaves, whoever does not
 * answer. */
void plm_chain_loss_on_end(void);

void plm_chain_loss_finalize(void);

#endif
