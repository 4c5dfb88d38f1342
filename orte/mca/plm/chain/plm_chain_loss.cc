/* SPDX-License-Identifier: BSD-3-Clause */
#include "orte/mca/plm/chain/plm_chain_loss.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "chain/base/clock.h"
#include "chain/client/lease_session.h"
#include "chain/client/text.h"

extern "C" {
#include "opal/class/opal_hash_table.h"
#include "opal/mca/event/event.h"
#include "opal/util/show_help.h"
#include "orte/constants.h"
#include "orte/mca/errmgr/errmgr.h"
#include "orte/mca/grpcomm/base/base.h"
#include "orte/mca/grpcomm/grpcomm.h"
#include "orte/mca/plm/base/plm_private.h"
#include "orte/mca/rml/rml_types.h"
#include "orte/mca/routed/routed.h"
#include "orte/mca/state/state.h"
#include "orte/runtime/orte_globals.h"
#include "orte/runtime/orte_quit.h"
#include "orte/runtime/orte_wait.h"
#include "orte/util/proc_info.h"
#include "orte/util/show_help.h"
}

using chain::client::LeaseSession;
using RankName = std::pair<orte_jobid_t, orte_vpid_t>;

namespace {

/* MPI_Init meets twice: to exchange addresses, and before it returns. */
constexpr unsigned kFencesOfInit = 2;
constexpr int kReasonPatienceMs = 1'500; /* until the lease says why a connection broke */
constexpr int kLeavePatienceMs = 5'000;  /* until daemons that were told to end are gone */

struct Loss {
    orte_vpid_t daemon;
    std::string host; /* the node has another name by now */
    bool said;
};

/* What is known of the fences of one job. */
struct Start {
    unsigned fences = 0;
    std::uint64_t last_ms = 0; /* steady */
};

struct State {
    bool installed = false;
    std::vector<Loss> losses;
    std::set<RankName> lost_ranks;  /* of lost daemons, and those that were killed */
    std::set<RankName> ended_ranks; /* that were counted */
    std::map<orte_jobid_t, Start> starts;
    std::string obstacle;

    orte_state_cbfunc_t on_error = nullptr;
    orte_state_cbfunc_t on_terminated = nullptr;
    orte_state_cbfunc_t on_job_terminated = nullptr;
    orte_routed_API_update_routing_plan_fn_t update_routing_plan = nullptr;
    orte_grpcomm_base_API_xcast_fn_t xcast = nullptr;

    opal_event_t reason_timer;
    bool reason_timer_active = false;
    opal_event_t leave_timer;
    bool leave_timer_active = false;
};

State self;

RankName name_of(const orte_process_name_t &name) {
    return {name.jobid, name.vpid};
}

bool is_ending(void) {
    return orte_orteds_term_ordered || orte_job_term_ordered || orte_abnormal_term_ordered ||
           orte_finalizing;
}

/* A timer that is running already stays. */
void arm(opal_event_t *timer, bool *active, int ms,
         void (*handler)(int fd, short flags, void *arg)) {
    if (std::exchange(*active, true)) return;
    const timeval delay{ms / 1000, (ms % 1000) * 1000};
    opal_event_evtimer_set(orte_event_base, timer, handler, nullptr);
    opal_event_set_priority(timer, ORTE_ERROR_PRI);
    opal_event_evtimer_add(timer, &delay);
}

void disarm(opal_event_t *timer, bool *active) {
    if (std::exchange(*active, false)) opal_event_del(timer);
}

/* The jobs of this mpirun, without that of the daemons. */
std::vector<orte_job_t *> all_jobs(void) {
    std::vector<orte_job_t *> jobs;
    std::uint32_t key = 0;
    void *job = nullptr;
    void *place = nullptr;
    int rc = opal_hash_table_get_first_key_uint32(orte_job_data, &key, &job, &place);
    while (rc == OPAL_SUCCESS) {
        auto *found = static_cast<orte_job_t *>(job);
        if (found != nullptr && found->jobid != ORTE_PROC_MY_NAME->jobid) jobs.push_back(found);
        rc = opal_hash_table_get_next_key_uint32(orte_job_data, &key, &job, place, &place);
    }
    return jobs;
}

std::vector<orte_proc_t *> procs_in(const opal_pointer_array_t *array) {
    std::vector<orte_proc_t *> procs;
    for (int i = 0; array != nullptr && i < array->size; ++i)
        if (void *proc = opal_pointer_array_get_item(const_cast<opal_pointer_array_t *>(array), i))
            procs.push_back(static_cast<orte_proc_t *>(proc));
    return procs;
}

/* Each with a topic of its own: ORTE prints one of a topic and counts the others. */
void tell(const char *topic, const std::string &key, const std::string &first,
          const std::string &second, const std::string &third) {
    char *text = opal_show_help_string("help-plm-chain.txt", topic, 1, first.c_str(),
                                       second.c_str(), third.c_str());
    if (text == nullptr) return;
    orte_show_help_norender("help-plm-chain.txt", (std::string(topic) + " " + key).c_str(), true,
                            text);
    std::free(text);
}

/* ---- can the job go on? */

/* A rank that waits for the others inside of MPI_Init or MPI_Comm_spawn would wait for ever. */
bool is_starting(const orte_job_t *job) {
    if (job->state >= ORTE_JOB_STATE_UNTERMINATED) return false;
    if (job->num_procs == 0) return true; /* not mapped yet */
    if (job->num_reported < job->num_procs) return true;
    if (job->num_procs < 2) return false; /* alone, it meets nobody */
    const auto start = self.starts.find(job->jobid);
    if (start == self.starts.end() || start->second.fences < kFencesOfInit) return true;
    /* Parent and child shake hands by messages that ORTE does not see. */
    if (ORTE_LOCAL_JOBID(job->jobid) == 1) return false;
    const std::uint64_t now_ms = chain::system_clock().steady_ms();
    return now_ms < start->second.last_ms +
                        static_cast<std::uint64_t>(mca_plm_chain_component.loss_grace_ms);
}

bool is_in_fence(orte_vpid_t daemon) {
    orte_grpcomm_coll_t *coll;
    OPAL_LIST_FOREACH(coll, &orte_grpcomm_base.ongoing, orte_grpcomm_coll_t) {
        if (coll->dmns == nullptr) return true;
        for (std::size_t i = 0; i < coll->ndmns; ++i)
            if (coll->dmns[i] == daemon) return true;
    }
    return false;
}

bool is_any_left(const orte_proc_t *lost_daemon, const orte_proc_t *lost_rank) {
    for (const orte_job_t *job : all_jobs())
        for (const orte_proc_t *rank : procs_in(job->procs)) {
            const bool is_lost = rank == lost_rank || self.lost_ranks.contains(name_of(rank->name));
            const bool is_there = rank->node != nullptr && rank->node->daemon != lost_daemon;
            if (!is_lost && is_there) return true;
        }
    return false;
}

/* Empty: nothing is in the way. */
std::string find_obstacle(const orte_proc_t *daemon, const orte_proc_t *rank) {
    for (const orte_job_t *job : all_jobs())
        if (is_starting(job))
            return "its processes were still starting (MPI_Init), or do not use MPI at all";
    if (!is_any_left(daemon, rank)) return "no process would be left";
    if (daemon == nullptr) return {};
    if (is_in_fence(daemon->name.vpid))
        return "processes wait for the lost ones, in MPI_Finalize or the like";
    return {};
}

/* ---- a lost daemon, a lost rank */

/* As if it had ended by itself. No error state: ORTE would tell the other ranks of that, in words
 * that they do not understand. */
void lose_rank(orte_proc_t *rank) {
    self.lost_ranks.insert(name_of(rank->name));
    if (rank->state >= ORTE_PROC_STATE_TERMINATED) return;
    ORTE_ACTIVATE_PROC_STATE(&rank->name, ORTE_PROC_STATE_IOF_COMPLETE);
    ORTE_ACTIVATE_PROC_STATE(&rank->name, ORTE_PROC_STATE_WAITPID_FIRED);
}

/* Ranks are mapped to it no more, messages and the end of the job pass it over, and its name can be
 * that of another peer. */
void lose_daemon(orte_proc_t *daemon) {
    orte_node_t *node = daemon->node;
    self.losses.push_back({daemon->name.vpid, node->name, false});
    ORTE_FLAG_UNSET(daemon, ORTE_PROC_FLAG_ALIVE);
    daemon->state = ORTE_PROC_STATE_COMM_FAILED;
    orte_routed.route_lost(nullptr, &daemon->name);
    node->state = ORTE_NODE_STATE_DOWN;
    const std::string name = std::string(node->name) + "-lost" + std::to_string(daemon->name.vpid);
    std::free(node->name);
    node->name = ::strdup(name.c_str());
    for (orte_proc_t *rank : procs_in(node->procs)) lose_rank(rank);
}

bool is_lost_daemon(const orte_process_name_t &name) {
    if (name.jobid != ORTE_PROC_MY_NAME->jobid) return false;
    for (const Loss &loss : self.losses)
        if (loss.daemon == name.vpid) return true;
    return false;
}

bool take(orte_proc_t *daemon) {
    if (!self.obstacle.empty()) return false; /* the job is ending for an earlier one */
    self.obstacle = find_obstacle(daemon, nullptr);
    if (!self.obstacle.empty()) return false;
    lose_daemon(daemon);
    return true;
}

/* For the user and the bill. */
void explain(Loss *loss, const std::string &reason) {
    if (std::exchange(loss->said, true)) return;
    LeaseSession *session = LeaseSession::current();
    const auto *node = session == nullptr ? nullptr : session->node_by_host(loss->host);
    const std::string provider =
        node == nullptr ? "unknown" : chain::client::printable(node->provider());
    tell("peer-lost-goes-on", loss->host, loss->host, provider, reason);
    if (node != nullptr) session->note_loss(node->leg(), reason);
}

void explain_rest(void) {
    for (Loss &loss : self.losses) explain(&loss, "the connection to it broke");
}

void on_silent_break(int fd, short flags, void *arg) {
    (void)fd;
    (void)flags;
    (void)arg;
    self.reason_timer_active = false;
    explain_rest();
}

/* ---- what is wrapped */

/* ORTE makes the tree anew from the number of daemons whenever a job is launched. */
void update_routing_plan(char *module) {
    self.update_routing_plan(module);
    for (const Loss &loss : self.losses) {
        orte_process_name_t name{ORTE_PROC_MY_NAME->jobid, loss.daemon};
        orte_routed.route_lost(module, &name);
    }
}

/* mpirun releases every fence of whole jobs; so it knows how far they are. */
int xcast(orte_grpcomm_signature_t *signature, orte_rml_tag_t tag, opal_buffer_t *message) {
    if (tag == ORTE_RML_TAG_COLL_RELEASE && signature != nullptr && signature->sz == 1 &&
        signature->signature[0].vpid == ORTE_VPID_WILDCARD) {
        Start &start = self.starts[signature->signature[0].jobid];
        ++start.fences;
        start.last_ms = chain::system_clock().steady_ms();
    }
    return self.xcast(signature, tag, message);
}

/* One rank was killed and its daemon lives. ORTE would end the job. */
bool takes_killed_rank(const orte_process_name_t &name) {
    orte_job_t *job = orte_get_job_data_object(name.jobid);
    if (job == nullptr || is_ending() || !self.obstacle.empty()) return false;
    auto *rank = static_cast<orte_proc_t *>(
        opal_pointer_array_get_item(job->procs, static_cast<int>(name.vpid)));
    if (rank == nullptr || rank->node == nullptr || !find_obstacle(nullptr, rank).empty())
        return false;
    const std::string number = std::to_string(name.vpid);
    const std::string key = std::to_string(name.jobid) + "." + number;
    tell("rank-lost-goes-on", key, number, rank->node->name,
         "signal " + std::to_string(rank->exit_code & 0x7f));
    lose_rank(rank);
    return true;
}

bool takes_error(const orte_process_name_t &name, orte_proc_state_t state) {
    if (name.jobid == ORTE_PROC_MY_NAME->jobid) /* what is said to a lost daemon is lost */
        return is_lost_daemon(name) && state >= ORTE_PROC_STATE_UNABLE_TO_SEND_MSG &&
               state <= ORTE_PROC_STATE_PEER_UNKNOWN;
    if (self.lost_ranks.contains(name_of(name))) return true; /* counted already */
    return state == ORTE_PROC_STATE_ABORTED_BY_SIG && takes_killed_rank(name);
}

void on_error(int fd, short args, void *cbdata) {
    auto *caddy = static_cast<orte_state_caddy_t *>(cbdata);
    ORTE_ACQUIRE_OBJECT(caddy);
    if (!takes_error(caddy->name, caddy->proc_state)) return self.on_error(fd, args, cbdata);
    OBJ_RELEASE(caddy);
}

/* Every rank ends once, also when a daemon that was given up still speaks of it. */
void on_terminated(int fd, short args, void *cbdata) {
    auto *caddy = static_cast<orte_state_caddy_t *>(cbdata);
    ORTE_ACQUIRE_OBJECT(caddy);
    if (self.ended_ranks.insert(name_of(caddy->name)).second)
        return self.on_terminated(fd, args, cbdata);
    OBJ_RELEASE(caddy);
}

/* With fewer machines an MPI_Comm_spawn may find no place. ORTE tells the parent, and then never
 * counts that job as ended. */
void on_job_terminated(int fd, short args, void *cbdata) {
    auto *caddy = static_cast<orte_state_caddy_t *>(cbdata);
    ORTE_ACQUIRE_OBJECT(caddy);
    orte_job_t *job = caddy->jdata;
    const bool never_ran =
        job != nullptr && ORTE_LOCAL_JOBID(job->jobid) > 1 &&
        (job->state == ORTE_JOB_STATE_NEVER_LAUNCHED || job->state == ORTE_JOB_STATE_ALLOC_FAILED ||
         job->state == ORTE_JOB_STATE_MAP_FAILED || job->state == ORTE_JOB_STATE_CANNOT_LAUNCH);
    if (never_ran && !is_ending()) {
        job->state = ORTE_JOB_STATE_NOTIFIED;
        orte_routing_is_enabled = true;
        orte_exit_status = 0;
    }
    self.on_job_terminated(fd, args, cbdata);
}

void wrap(opal_list_t *states, bool of_jobs, unsigned number, orte_state_cbfunc_t *before,
          orte_state_cbfunc_t handler) {
    orte_state_t *state;
    OPAL_LIST_FOREACH(state, states, orte_state_t) {
        const auto here = static_cast<unsigned>(of_jobs ? static_cast<int>(state->job_state)
                                                        : static_cast<int>(state->proc_state));
        if (here != number || state->cbfunc == nullptr) continue;
        *before = state->cbfunc;
        state->cbfunc = handler;
    }
}

/* Of a rank that ran to its end; 0: none has anything to say. */
int exit_code_of_ranks(void) {
    for (const orte_job_t *job : all_jobs())
        for (const orte_proc_t *rank : procs_in(job->procs))
            if (rank->exit_code != 0 && !self.lost_ranks.contains(name_of(rank->name)))
                return rank->exit_code;
    return 0;
}

void on_leave_timeout(int fd, short flags, void *arg) {
    (void)fd;
    (void)flags;
    (void)arg;
    self.leave_timer_active = false;
    orte_quit(0, 0, nullptr);
}

} /* namespace */

void plm_chain_loss_install(void) {
    if (std::exchange(self.installed, true)) return;
    wrap(&orte_proc_states, false, ORTE_PROC_STATE_ERROR, &self.on_error, on_error);
    wrap(&orte_proc_states, false, ORTE_PROC_STATE_TERMINATED, &self.on_terminated, on_terminated);
    wrap(&orte_job_states, true, ORTE_JOB_STATE_TERMINATED, &self.on_job_terminated,
         on_job_terminated);
    self.update_routing_plan = std::exchange(orte_routed.update_routing_plan, update_routing_plan);
    self.xcast = std::exchange(orte_grpcomm.xcast, xcast);
}

bool plm_chain_loss_is_installed(void) {
    return self.installed;
}

bool plm_chain_loss_on_break(orte_proc_t *daemon) {
    if (!self.installed || is_ending()) return false;
    if (is_lost_daemon(daemon->name)) return true;
    if (!take(daemon)) return false;
    arm(&self.reason_timer, &self.reason_timer_active, kReasonPatienceMs, on_silent_break);
    return true;
}

bool plm_chain_loss_on_word(const std::string &host, orte_proc_t *daemon,
                            const std::string &reason) {
    if (!self.installed || is_ending()) return false;
    if (daemon != nullptr && !take(daemon)) return false;
    for (Loss &loss : self.losses) {
        if (loss.host != host) continue;
        explain(&loss, reason);
        return true;
    }
    return false;
}

const std::string &plm_chain_loss_obstacle(void) {
    return self.obstacle;
}

void plm_chain_loss_on_end(void) {
    if (!self.installed) return;
    disarm(&self.reason_timer, &self.reason_timer_active);
    explain_rest();
    if (self.lost_ranks.empty() && self.losses.empty()) return;
    if (orte_exit_status == 0) {
        const int code = exit_code_of_ranks();
        ORTE_UPDATE_EXIT_STATUS(code != 0 ? code : mca_plm_chain_component.loss_exit_code);
    }
    arm(&self.leave_timer, &self.leave_timer_active, kLeavePatienceMs, on_leave_timeout);
}

void plm_chain_loss_finalize(void) {
    disarm(&self.reason_timer, &self.reason_timer_active);
    disarm(&self.leave_timer, &self.leave_timer_active);
}
