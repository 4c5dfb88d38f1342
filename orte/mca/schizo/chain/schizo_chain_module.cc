/* SPDX-License-Identifier: BSD-3-Clause */
#include "orte/mca/schizo/chain/schizo_chain.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {
#include "opal/util/cmd_line.h"
#include "opal/util/opal_environ.h"
#include "orte/constants.h"
#include "orte/util/show_help.h"
}

#define LEASE_PARAMETER "OMPI_MCA_ras_chain_lease"
#define RESERVATION_PARAMETER "OMPI_MCA_ras_chain_reservation"
#define UCX_HOOKS "OMPI_MCA_opal_common_ucx_opal_mem_hooks"

#define WORD(NAME, PARAMETER, TEXT)                                             \
    {                                                                           \
        "ras_chain_" PARAMETER, '\0', "chain-" NAME, "chain-" NAME, 1, nullptr, \
            OPAL_CMD_LINE_TYPE_STRING, TEXT, OPAL_CMD_LINE_OTYPE_LAUNCH         \
    }
#define SWITCH(NAME, PARAMETER, TEXT)                                           \
    {                                                                           \
        "ras_chain_" PARAMETER, '\0', "chain-" NAME, "chain-" NAME, 0, nullptr, \
            OPAL_CMD_LINE_TYPE_BOOL, TEXT, OPAL_CMD_LINE_OTYPE_LAUNCH           \
    }

static opal_cmd_line_init_t flags[] = {
    WORD("lease", "lease",
         "Lease "
         "SLOTS[,mem=SIZE][,ghz=N][,gpu=N][,notice=TIME][,region=NAME][,provider=NAME][,image=FILE]"
         " from "
         "other "
         "machines, as in "
         "--chain-lease 16,mem=2G"),
    WORD("max-price", "max_price", "Pay at most this many tokens per GHz*h"),
    WORD("budget", "budget", "Pay at most this many tokens for the whole job: a hard stop"),
    WORD("time", "time", "Lease for at most this long (1h by default), as in 90s, 15m, 2h"),
    WORD("wait", "wait", "Wait this long for supply (0 by default: fail at once and say why)"),
    WORD("start", "start",
         "Reserve for that time and begin then: 2026-12-01T08:00, 18:30 (the next one) or +2h"),
    WORD(
        "reservation", "reservation",
        "Instead of --chain-lease: begin what `ompi-chain lease reserve` has reserved: its number, "
        "or next"),
    SWITCH("explain", "explain",
           "Show for each peer why it does or does not match, and lease nothing"),
    WORD("home", "home",
         "Ranks that this machine runs itself, besides the leased ones; rank 0 is the first"),
    WORD("stage-in", "stage_in",
         "More files, folders and s3:// objects for the peers, with commas between them; none "
         "sends the program only"),
    WORD("stage-out", "stage_out",
         "Which new and changed files come back: patterns with commas between them (all by "
         "default), and where to: s3://BUCKET/PREFIX"),
    WORD("stage-max", "stage_max", "Send and take back at most this much, as in 512M"),
    WORD("relaunch", "relaunch",
         "Start the job again when a peer is lost, this often at most; the program finds which try "
         "it is in OMPI_CHAIN_RESTART"),
    SWITCH("tolerate-loss", "tolerate_loss",
           "Go on without a lost peer, for programs made for it (docs/losing_peers.md)"),
    WORD("net", "net",
         "Network between the peers: auto or tunnel (an encrypted one of the lease's own), or "
         "plain (theirs "
         "as "
         "they are, where they and you trust it)"),
    WORD("report", "report", "Write the bill as JSON to this file"),
    {nullptr, '\0', nullptr, nullptr, 0, nullptr, OPAL_CMD_LINE_TYPE_NULL, nullptr,
     OPAL_CMD_LINE_OTYPE_NULL},
};

static bool is_set(const char *parameter) {
    const char *value = getenv(parameter);
    return value != nullptr && value[0] != '\0';
}

/* Whether a lease may be asked for: nothing is parsed yet, and a word more than need be does no
 * harm. */
static bool mentions_lease(void) {
    if (is_set(LEASE_PARAMETER) || is_set(RESERVATION_PARAMETER)) return true;
    char words[65536];
    FILE *file = fopen("/proc/self/cmdline", "r");
    if (file == nullptr) return false;
    const size_t size = fread(words, 1, sizeof words - 1, file);
    fclose(file);
    words[size] = '\0';
    for (size_t at = 0; at < size; at += strlen(words + at) + 1)
        if (strstr(words + at, "chain-lease") != nullptr ||
            strstr(words + at, "ras_chain_lease") != nullptr ||
            strstr(words + at, "chain-reservation") != nullptr ||
            strstr(words + at, "ras_chain_reservation") != nullptr)
            return true;
    return false;
}

/* hwloc's plugins for OpenCL and GL look for devices, which mpirun needs none of, by loading
 * drivers that start threads: and a process with threads can neither have namespaces of its own nor
 * go on as two (plm/chain). What the user set stands. */
static void keep_to_one_thread(void) {
    (void)setenv("HWLOC_COMPONENTS", "-opencl,-gl", 0);
}

static int define_cli(opal_cmd_line_t *cli) {
    if (mentions_lease()) keep_to_one_thread();
    return cli == nullptr ? ORTE_ERR_BAD_PARAM : opal_cmd_line_add(cli, flags);
}

/* Called once per program of the job, with the command line parsed and everything known. */
static int parse_env(char *path, opal_cmd_line_t *cmd_line, char **srcenv, char ***dstenv) {
    (void)path;
    (void)srcenv;
    if (!is_set(LEASE_PARAMETER) && !is_set(RESERVATION_PARAMETER)) {
        for (const opal_cmd_line_init_t *flag = flags; flag->ocl_cmd_long_name != nullptr; ++flag) {
            /* These two with an empty text are the only ones without a value here. */
            if (!opal_cmd_line_is_taken(cmd_line, flag->ocl_cmd_long_name)) continue;
            const bool is_lease = strcmp(flag->ocl_cmd_long_name, "chain-lease") == 0 ||
                                  strcmp(flag->ocl_cmd_long_name, "chain-reservation") == 0;
            orte_show_help("help-schizo-chain.txt", is_lease ? "empty-lease" : "no-lease", true,
                           flag->ocl_cmd_long_name);
            return ORTE_ERR_SILENT;
        }
        return ORTE_ERR_TAKE_NEXT_OPTION;
    }
    /* With these hooks every OpenSHMEM program of a stock Open MPI 4.1 ends with SIGSEGV in
     * shmem_finalize: a callback of an unloaded component. What the user set stands. */
    opal_setenv(UCX_HOOKS, "0", false, dstenv);
    return ORTE_ERR_TAKE_NEXT_OPTION;
}

orte_schizo_base_module_t orte_schizo_chain_module = {
    .define_cli = define_cli,
    .parse_env = parse_env,
};
