/* SPDX-License-Identifier: BSD-3-Clause */
#include "orte/mca/plm/chain/plm_chain.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "chain/base/namespaces.h"
#include "chain/base/units.h"
#include "chain/client/home_network.h"
#include "chain/client/tries.h"

extern "C" {
#include "opal/util/output.h"
#include "opal/util/show_help.h"
#include "orte/constants.h"
#include "orte/mca/plm/base/plm_private.h"
#include "orte/util/proc_info.h"
}

static int component_register(void);
static int component_query(mca_base_module_t **module, int *priority);

orte_plm_chain_component_t mca_plm_chain_component = {
    .super =
        {
            .base_version =
                {
                    ORTE_PLM_BASE_VERSION_2_0_0,
                    .mca_component_name = "chain",
                    MCA_BASE_MAKE_VERSION(component, ORTE_MAJOR_VERSION, ORTE_MINOR_VERSION,
                                          ORTE_RELEASE_VERSION),
                    .mca_query_component = component_query,
                    .mca_register_component_params = component_register,
                },
            .base_data = {MCA_BASE_METADATA_PARAM_NONE},
        },
};

/* Of --chain-tolerate-loss. */
static void register_loss(void) {
    mca_base_component_t *version = &mca_plm_chain_component.super.base_version;
    mca_plm_chain_component.loss_exit_code = 77;
    (void)mca_base_component_var_register(
        version, "loss_exit_code",
        "Exit code of mpirun when the job went on without a lost peer (--chain-tolerate-loss) and "
        "all other processes ended with 0; theirs stands if one of them did not. 0: a job that "
        "went on counts as one that lost nothing",
        MCA_BASE_VAR_TYPE_INT, nullptr, 0, static_cast<mca_base_var_flag_t>(0), OPAL_INFO_LVL_3,
        MCA_BASE_VAR_SCOPE_READONLY, &mca_plm_chain_component.loss_exit_code);
    mca_plm_chain_component.loss_grace_ms = 2'000;
    (void)mca_base_component_var_register(
        version, "loss_grace",
        "Milliseconds from when the processes of an MPI_Comm_spawn have started until the job can "
        "go on without a lost peer: until then parents and children may wait for each other, and "
        "a loss ends the whole job. Raise it where messages take long",
        MCA_BASE_VAR_TYPE_INT, nullptr, 0, static_cast<mca_base_var_flag_t>(0), OPAL_INFO_LVL_5,
        MCA_BASE_VAR_SCOPE_READONLY, &mca_plm_chain_component.loss_grace_ms);
}

static int component_register(void) {
    mca_base_component_t *version = &mca_plm_chain_component.super.base_version;
    mca_plm_chain_component.start_timeout_ms = 60'000;
    (void)mca_base_component_var_register(
        version, "start_timeout",
        "Milliseconds that the peers have to start and call back before the job is given up",
        MCA_BASE_VAR_TYPE_INT, nullptr, 0, static_cast<mca_base_var_flag_t>(0), OPAL_INFO_LVL_5,
        MCA_BASE_VAR_SCOPE_READONLY, &mca_plm_chain_component.start_timeout_ms);
    mca_plm_chain_component.end_timeout_ms = 600;
    (void)mca_base_component_var_register(
        version, "end_timeout",
        "Milliseconds that the other peers have to end when the job must end: mpirun does not wait "
        "longer, the peers' daemons clean up",
        MCA_BASE_VAR_TYPE_INT, nullptr, 0, static_cast<mca_base_var_flag_t>(0), OPAL_INFO_LVL_5,
        MCA_BASE_VAR_SCOPE_READONLY, &mca_plm_chain_component.end_timeout_ms);
    mca_plm_chain_component.notice_signal = SIGURG;
    (void)mca_base_component_var_register(
        version, "notice_signal",
        "Number of the signal that all ranks get when the owner of a peer is back and the peer is "
        "about to leave, so that a program can save what it has; 0: none. The default (SIGURG) "
        "does "
        "nothing to programs that do not catch it",
        MCA_BASE_VAR_TYPE_INT, nullptr, 0, static_cast<mca_base_var_flag_t>(0), OPAL_INFO_LVL_3,
        MCA_BASE_VAR_SCOPE_READONLY, &mca_plm_chain_component.notice_signal);
    register_loss();
    return ORTE_SUCCESS;
}

/* The lease is a parameter of ras/chain, which ORTE opens after the plm is selected; so it is
 * looked up here as ras/chain will see it, so that parameter files count too, and forgotten again.
 * FLAG_DWG stays with the variable: without it, it would outlive ras/chain and its storage. */
static std::string ras_parameter(const char *name) {
    char *value = nullptr;
    const int index = mca_base_var_register(
        "orte", "ras", "chain", name, nullptr, MCA_BASE_VAR_TYPE_STRING, nullptr, 0,
        MCA_BASE_VAR_FLAG_DWG, OPAL_INFO_LVL_1, MCA_BASE_VAR_SCOPE_READONLY, &value);
    const std::string text = value == nullptr ? "" : value;
    if (index >= 0) (void)mca_base_var_deregister(index);
    return text;
}

/* ORTE listens on all addresses and believes whoever connects. All that mpirun has to say to its
 * peers goes through the daemon, over a Unix socket: it needs no network. Before ORTE opens a port
 * or starts a thread. Where namespaces cannot be had, mpirun is as open as it always was. */
static void leave_network(void) {
    const std::string home = ras_parameter("home");
    if (!home.empty() && home != "0") { /* if it cannot be had, the launch says so */
        chain::client::HomeNetwork::enter();
        return;
    }
    if (chain::enter_empty_network(geteuid() != 0)) return;
    opal_output_verbose(1, orte_plm_base_framework.framework_output,
                        "plm:chain: mpirun's port can be reached from outside: %s",
                        std::strerror(errno));
}

/* Every orted speaks to mpirun by itself, and none through the orted of another lender. orteds are
 * told the same (chain/provider/orted_command.cc). ORTE opens its routers after this. */
static void route_directly(void) {
    setenv("OMPI_MCA_routed_radix", "10000", 1);
}

/* Before ORTE starts anything: each try is a process of its own, which begins here. A number that
 * is none is left to ras/chain, which has better words for it. */
static void supervise_tries(void) {
    const auto again =
        chain::parse_integer(ras_parameter("relaunch"), 1, chain::client::kTriesMax, "number");
    if (!again.ok()) return;
    if (const auto begun = chain::client::Tries::supervise(static_cast<unsigned>(*again));
        !begun.ok()) {
        std::fprintf(stderr, "mpirun: %s\n", begun.error().message.c_str());
        std::exit(1);
    }
}

static int component_query(mca_base_module_t **module, int *priority) {
    *module = nullptr;
    *priority = 0;
    const bool is_asked_for =
        !ras_parameter("lease").empty() || !ras_parameter("reservation").empty();
    if (!ORTE_PROC_IS_HNP || !is_asked_for) return ORTE_ERROR;
    if (ras_parameter("net") != "plain") leave_network();
    route_directly();
    supervise_tries();
    opal_show_help_add_dir(CHAIN_COMPONENT_SOURCE_DIR);
    opal_show_help_add_dir(CHAIN_HELP_DIR);
    *priority = 2000;
    *module = reinterpret_cast<mca_base_module_t *>(&orte_plm_chain_module);
    return ORTE_SUCCESS;
}
