/* SPDX-License-Identifier: BSD-3-Clause */
#include "orte/mca/ras/chain/ras_chain.h"

extern "C" {
#include "opal/util/show_help.h"
#include "orte/constants.h"
#include "orte/util/proc_info.h"
}

static int component_register(void);
static int component_query(mca_base_module_t **module, int *priority);

orte_ras_chain_component_t mca_ras_chain_component = {
    .super =
        {
            .base_version =
                {
                    ORTE_RAS_BASE_VERSION_2_0_0,
                    .mca_component_name = "chain",
                    MCA_BASE_MAKE_VERSION(component, ORTE_MAJOR_VERSION, ORTE_MINOR_VERSION,
                                          ORTE_RELEASE_VERSION),
                    .mca_query_component = component_query,
                    .mca_register_component_params = component_register,
                },
            .base_data = {MCA_BASE_METADATA_PARAM_NONE},
        },
};

static void register_text(const char *name, const char *help, mca_base_var_info_lvl_t level,
                          char **storage, const char *value) {
    *storage = const_cast<char *>(value);
    (void)mca_base_component_var_register(
        &mca_ras_chain_component.super.base_version, name, help, MCA_BASE_VAR_TYPE_STRING, nullptr,
        0, static_cast<mca_base_var_flag_t>(0), level, MCA_BASE_VAR_SCOPE_READONLY, storage);
}

static void register_switch(const char *name, const char *help, mca_base_var_info_lvl_t level,
                            bool *storage) {
    *storage = false;
    (void)mca_base_component_var_register(
        &mca_ras_chain_component.super.base_version, name, help, MCA_BASE_VAR_TYPE_BOOL, nullptr, 0,
        static_cast<mca_base_var_flag_t>(0), level, MCA_BASE_VAR_SCOPE_READONLY, storage);
}

static void register_number(const char *name, const char *help, mca_base_var_info_lvl_t level,
                            int *storage, int value) {
    *storage = value;
    (void)mca_base_component_var_register(
        &mca_ras_chain_component.super.base_version, name, help, MCA_BASE_VAR_TYPE_INT, nullptr, 0,
        static_cast<mca_base_var_flag_t>(0), level, MCA_BASE_VAR_SCOPE_READONLY, storage);
}

static void register_flags(orte_ras_chain_component_t *self) {
    register_text(
        "lease",
        "--chain-lease: slots to lease from other machines and what each needs: "
        "SLOTS[,mem=SIZE][,ghz=N][,gpu=N][,notice=TIME][,region=NAME][,provider=NAME[+NAME]][,"
        "image=FILE], "
        "as in "
        "16,mem=2G,ghz=2.5. notice: the least time between a peer's owner coming back and "
        "its leaving. Nothing else of this component does anything without it.",
        OPAL_INFO_LVL_1, &self->lease, nullptr);
    register_text("max_price", "--chain-max-price: tokens per GHz*h at most, as in 0.03",
                  OPAL_INFO_LVL_1, &self->max_price, nullptr);
    register_text("budget",
                  "--chain-budget: tokens for the whole job at most, as in 5; a hard stop",
                  OPAL_INFO_LVL_1, &self->budget, nullptr);
    register_text("time", "--chain-time: lease for at most this long, as in 90s, 15m, 2h",
                  OPAL_INFO_LVL_1, &self->time, "1h");
    register_text("wait",
                  "--chain-wait: wait this long for supply, as in 10m; 0 fails at once and says "
                  "why",
                  OPAL_INFO_LVL_2, &self->wait, "0");
    register_switch("explain",
                    "--chain-explain: show for each peer and each condition why it does or does "
                    "not match, and lease nothing; exit status 0 when the lease would clear, else "
                    "3",
                    OPAL_INFO_LVL_1, &self->explain);
    register_text("stage_in",
                  "--chain-stage-in: files and folders that the peers need besides the program and "
                  "the files among its arguments, with commas between them; s3://BUCKET/KEY is "
                  "fetched by the peers themselves; none sends the program only",
                  OPAL_INFO_LVL_2, &self->stage_in, nullptr);
    register_text("stage_out",
                  "--chain-stage-out: patterns of the files that come back, with commas between "
                  "them; by default every file that the ranks made or changed; "
                  "s3://BUCKET/PREFIX puts them there instead",
                  OPAL_INFO_LVL_2, &self->stage_out, nullptr);
    register_text("stage_max", "--chain-stage-max: bytes to send or take back at most, as in 512M",
                  OPAL_INFO_LVL_2, &self->stage_max, "4G");
    register_text("net",
                  "--chain-net: network between the peers: auto or tunnel, an encrypted one of the "
                  "lease's own; or plain, theirs as they are, in a network that you trust",
                  OPAL_INFO_LVL_3, &self->net, "auto");
    register_switch("tolerate_loss",
                    "--chain-tolerate-loss: when a peer is lost, its processes are, and the others "
                    "go on, in an MPI program that is made for it; mpirun ends with "
                    "plm_chain_loss_exit_code (77) then. By default the job ends",
                    OPAL_INFO_LVL_2, &self->tolerate_loss);
    register_text("report", "--chain-report: write the bill as JSON to this file", OPAL_INFO_LVL_1,
                  &self->report, nullptr);
}

static int component_register(void) {
    orte_ras_chain_component_t *self = &mca_ras_chain_component;
    register_flags(self);
    register_text(
        "start",
        "--chain-start: reserve for that time and begin then: 2026-12-01T08:00 (local; or "
        "with Z or +01:00 at its end), 18:30 (the next one) or +2h. Ending mpirun before "
        "cancels it",
        OPAL_INFO_LVL_1, &self->start, nullptr);
    register_text("reservation",
                  "--chain-reservation: begin what `ompi-chain lease reserve` has reserved: its "
                  "number, the beginning of it, or next; waits until its time has come",
                  OPAL_INFO_LVL_1, &self->reservation, nullptr);
    register_text("home",
                  "--chain-home: ranks that this machine runs itself, besides the leased ones; the "
                  "first of all ranks are these",
                  OPAL_INFO_LVL_1, &self->home, nullptr);
    register_text("relaunch",
                  "--chain-relaunch: start the job again when a peer is lost, this often at most, "
                  "with another peer in its place. OMPI_CHAIN_RESTART tells the program which "
                  "try it is, from 0; files that came back from a try go with the next one",
                  OPAL_INFO_LVL_2, &self->relaunch, nullptr);
    register_switch("bill_ranks", "Print the bill of each rank, not of each peer only",
                    OPAL_INFO_LVL_3, &self->bill_ranks);
    register_number(
        "open_timeout",
        "Milliseconds, besides --chain-wait, that the daemon has to bring a lease about",
        OPAL_INFO_LVL_5, &self->open_timeout_ms, 120'000);
    register_number("bill_timeout",
                    "Milliseconds to wait for results and the bill when the job has ended",
                    OPAL_INFO_LVL_5, &self->bill_timeout_ms, 120'000);
    register_number("explain_timeout", "Milliseconds to wait for the answer to --chain-explain",
                    OPAL_INFO_LVL_6, &self->explain_timeout_ms, 30'000);
    register_number("priority",
                    "Priority of this component when a lease is asked for: above every other's",
                    OPAL_INFO_LVL_9, &self->priority, 2000);
    return ORTE_SUCCESS;
}

static int component_query(mca_base_module_t **module, int *priority) {
    const char *lease = mca_ras_chain_component.lease;
    const char *reservation = mca_ras_chain_component.reservation;
    const bool is_asked_for = (lease != nullptr && lease[0] != '\0') ||
                              (reservation != nullptr && reservation[0] != '\0');
    *module = nullptr;
    *priority = 0;
    if (!ORTE_PROC_IS_HNP || !is_asked_for) return ORTE_ERROR;
    opal_show_help_add_dir(CHAIN_COMPONENT_SOURCE_DIR);
    opal_show_help_add_dir(CHAIN_HELP_DIR);
    *priority = mca_ras_chain_component.priority;
    *module = reinterpret_cast<mca_base_module_t *>(&orte_ras_chain_module);
    return ORTE_SUCCESS;
}
