/* SPDX-License-Identifier: BSD-3-Clause */
#include "orte/mca/plm/chain/plm_chain.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "chain/base/file.h"
#include "chain/client/lease_session.h"
#include "chain/client/text.h"
#include "chain/client/tries.h"
#include "orte/mca/plm/chain/plm_chain_loss.h"

extern "C" {
#include "opal/mca/event/event.h"
#include "orte/constants.h"
#include "orte/mca/errmgr/errmgr.h"
#include "orte/mca/plm/base/plm_private.h"
#include "orte/mca/regx/regx.h"
#include "orte/mca/rmaps/rmaps_types.h"
#include "orte/mca/routed/routed.h"
#include "orte/mca/state/state.h"
#include "orte/runtime/orte_globals.h"
#include "orte/runtime/orte_quit.h"
#include "orte/runtime/orte_wait.h"
#include "orte/util/name_fns.h"
#include "orte/util/proc_info.h"
#include "orte/util/show_help.h"
}

using chain::client::LeaseSession;
using chain::client::printable;
using chain::client::SessionNews;
namespace wire = chain::wire;

static opal_event_t news_event;
static opal_event_t start_timer;
static opal_event_t end_timer;
static opal_event_t break_timer;
static bool break_timer_active = false;
static const char *const kConnectionBroke = "the connection to it broke";
static constexpr int kBreakPatienceMs = 1500;
static std::string broken_host; /* the first whose connection broke; nobody has said yet why */
static bool listening = false;
static bool start_timer_active = false;
static bool launched = false;                          /* orteds were asked for */
static bool ending = false;                            /* we ordered the end of the job */
static orte_state_cbfunc_t orte_comm_failed = nullptr; /* of errmgr */

static timeval timeval_of_ms(int ms) {
    return timeval{ms / 1000, (ms % 1000) * 1000};
}

static void on_end_timeout(int fd, short flags, void *arg) {
    (void)fd;
    (void)flags;
    (void)arg;
    orte_quit(0, 0, nullptr);
}

/* Ends mpirun non-zero, and within end_timeout even if nobody out there answers. */
static void arm_end_timer(void) {
    if (ending) return;
    ending = true;
    ORTE_UPDATE_EXIT_STATUS(ORTE_ERROR_DEFAULT_EXIT_CODE);
    const timeval delay = timeval_of_ms(mca_plm_chain_component.end_timeout_ms);
    opal_event_evtimer_set(orte_event_base, &end_timer, on_end_timeout, nullptr);
    opal_event_set_priority(&end_timer, ORTE_ERROR_PRI);
    opal_event_evtimer_add(&end_timer, &delay);
}

static void end_job(void) {
    if (ending) return;
    arm_end_timer();
    orte_job_term_ordered = true;
    orte_abnormal_term_ordered = true; /* orteds halt at once, without waiting for each other */
    orte_execute_quiet = true;         /* our words were the last ones */
    orte_plm.terminate_orteds();
}

static orte_proc_t *daemon_of_host(const std::string &host) {
    orte_job_t *daemons = orte_get_job_data_object(ORTE_PROC_MY_NAME->jobid);
    for (int i = 1; daemons != nullptr && i < daemons->procs->size; ++i) {
        auto *proc = static_cast<orte_proc_t *>(opal_pointer_array_get_item(daemons->procs, i));
        if (proc != nullptr && proc->node != nullptr && host == proc->node->name) return proc;
    }
    return nullptr;
}

/* orteds that end because we said so are no loss. */
static bool is_end_ordered(void) {
    return ending || orte_orteds_term_ordered || orte_job_term_ordered || orte_finalizing;
}

/* Nobody waits for it any more. */
static void forget_daemon(orte_proc_t *daemon) {
    if (!ORTE_FLAG_TEST(daemon, ORTE_PROC_FLAG_ALIVE)) return;
    ORTE_FLAG_UNSET(daemon, ORTE_PROC_FLAG_ALIVE);
    daemon->state = ORTE_PROC_STATE_COMM_FAILED;
    orte_routed.route_lost(nullptr, &daemon->name);
}

/* `over_limit`: the job took more than the lease gives. */
static void lose_peer(const wire::LeaseNode *node, const std::string &host,
                      const std::string &reason, bool over_limit) {
    const std::string &obstacle = plm_chain_loss_obstacle();
    const char *topic = over_limit                                             ? "over-limit"
                        : obstacle.empty() && chain::client::Tries::has_more() ? "peer-lost-again"
                        : obstacle.empty()                                     ? "peer-lost"
                                           : "peer-lost-obstacle";
    orte_show_help("help-plm-chain.txt", topic, true, host.c_str(),
                   node != nullptr ? printable(node->provider()).c_str() : "unknown",
                   reason.c_str(), obstacle.c_str());
    if (LeaseSession *session = LeaseSession::current())
        session->note_end(over_limit ? "renter" : "provider",
                          host + (over_limit ? ": " : " was lost: ") + reason);
    if (!over_limit) chain::client::Tries::note_loss(node != nullptr ? node->provider() : "");
    if (orte_proc_t *daemon = daemon_of_host(host)) forget_daemon(daemon);
    end_job();
}

/* What the lease says of a peer: silent for too long, or its sandbox ended. */
static void on_peer_lost(LeaseSession *session, const wire::LeaseEvent &event) {
    /* Ranks that talked to the peer may have aborted the job meanwhile: the peer was the reason. */
    if (ending || (broken_host.empty() && is_end_ordered())) return;
    const wire::LeaseNode *node = session->node_by_leg(event.leg());
    const std::string host = node != nullptr ? node->host() : printable(event.host());
    const std::string reason = printable(event.reason());
    if (plm_chain_loss_on_word(host, daemon_of_host(host), reason)) return;
    lose_peer(node, host, reason, event.over_limit());
}

/* The provider, which sees how its orted ends, had its time to say why. */
static void on_silent_break(int fd, short flags, void *arg) {
    (void)fd;
    (void)flags;
    (void)arg;
    LeaseSession *session = LeaseSession::current();
    if (session == nullptr || ending || orte_finalizing) return;
    lose_peer(session->node_by_host(broken_host), broken_host, kConnectionBroke, false);
}

/* What ORTE sees of a peer, often earlier: the connection of its orted broke. */
static void on_comm_failed(int fd, short args, void *cbdata) {
    auto *caddy = static_cast<orte_state_caddy_t *>(cbdata);
    ORTE_ACQUIRE_OBJECT(caddy);
    orte_job_t *daemons = orte_get_job_data_object(ORTE_PROC_MY_NAME->jobid);
    const orte_process_name_t name = caddy->name;
    auto *proc = daemons == nullptr || name.jobid != daemons->jobid || name.vpid == 0
                     ? nullptr
                     : static_cast<orte_proc_t *>(opal_pointer_array_get_item(
                           daemons->procs, static_cast<int>(name.vpid)));
    LeaseSession *session = LeaseSession::current();
    if (proc == nullptr || proc->node == nullptr || session == nullptr || is_end_ordered()) {
        orte_comm_failed(fd, args, cbdata);
        return;
    }
    if (plm_chain_loss_on_break(proc)) {
        OBJ_RELEASE(caddy);
        return;
    }
    if (broken_host.empty()) {
        broken_host = proc->node->name;
        const timeval patience = timeval_of_ms(kBreakPatienceMs);
        opal_event_evtimer_set(orte_event_base, &break_timer, on_silent_break, nullptr);
        opal_event_set_priority(&break_timer, ORTE_ERROR_PRI);
        opal_event_evtimer_add(&break_timer, &patience);
        break_timer_active = true;
    }
    forget_daemon(proc);
    OBJ_RELEASE(caddy);
}

/* ORTE's own handler prints its own words and waits for daemons that are gone. */
static void watch_comm_failures(void) {
    orte_state_t *state;
    OPAL_LIST_FOREACH(state, &orte_proc_states, orte_state_t) {
        if (state->proc_state != ORTE_PROC_STATE_COMM_FAILED || state->cbfunc == nullptr) continue;
        orte_comm_failed = state->cbfunc;
        state->cbfunc = on_comm_failed;
    }
}

static void tell_owner_is_back(LeaseSession *session, const wire::LeaseEvent &event,
                               const char *topic) {
    if (is_end_ordered()) return;
    const wire::LeaseNode *node = session->node_by_leg(event.leg());
    const std::string host = node != nullptr ? node->host() : printable(event.host());
    const int left_s = static_cast<int>((event.leave_in_ms() + 999) / 1000);
    orte_show_help("help-plm-chain.txt", topic, false, host.c_str(),
                   printable(event.reason()).c_str(), left_s);
}

/* A signal that programs may catch, to save what they have; by default one that does nothing to
 * those that do not. Every rank gets it: when one machine leaves, the job ends. */
static void warn_job(void) {
    const int number = mca_plm_chain_component.notice_signal;
    if (number <= 0 || is_end_ordered()) return;
    if (const int rc = orte_plm.signal_job(ORTE_JOBID_WILDCARD, number); rc != ORTE_SUCCESS)
        ORTE_ERROR_LOG(rc);
}

static void on_lease_event(LeaseSession *session, const wire::LeaseEvent &event) {
    const std::string reason = printable(event.reason());
    switch (event.kind()) {
        case wire::LeaseEvent::LEG_LOST: on_peer_lost(session, event); break;
        case wire::LeaseEvent::LEASE_ENDING:
            if (ending || orte_job_term_ordered) break;
            orte_show_help("help-plm-chain.txt",
                           event.over_limit() ? "lease-ending" : "lease-broken", true,
                           reason.c_str());
            session->note_end("renter", reason);
            end_job();
            break;
        case wire::LeaseEvent::NOTICE:
            orte_show_help("help-plm-chain.txt", "notice", false, reason.c_str());
            break;
        case wire::LeaseEvent::SUSPENDED: tell_owner_is_back(session, event, "suspended"); break;
        case wire::LeaseEvent::RESUMED: tell_owner_is_back(session, event, "resumed"); break;
        case wire::LeaseEvent::LEAVING:
            tell_owner_is_back(session, event,
                               session->tolerates_loss() ? "leaving-goes-on" : "leaving");
            warn_job();
            break;
        default: /* LAUNCHED, and what later daemons may say */ break;
    }
}

static void stop_listening(void) {
    if (listening) opal_event_del(&news_event);
    listening = false;
}

static void on_news(int fd, short flags, void *arg) {
    (void)fd;
    (void)flags;
    (void)arg;
    LeaseSession *session = LeaseSession::current();
    while (session != nullptr && listening) {
        const auto news = session->next_news();
        if (!news) return;
        switch (news->kind) {
            case SessionNews::Kind::kLeaseEvent: on_lease_event(session, news->event); break;
            case SessionNews::Kind::kLaunchFailed:
                orte_show_help("help-plm-chain.txt", "launch-failed", true,
                               news->error.to_text().c_str());
                session->note_end("provider", news->error.message);
                end_job();
                break;
            case SessionNews::Kind::kConnectionLost:
                stop_listening();
                if (ending || orte_orteds_term_ordered) break;
                orte_show_help("help-plm-chain.txt", "daemon-gone", true,
                               news->error.message.c_str());
                session->note_end("renter", "the renter's daemon went away");
                end_job();
                break;
            case SessionNews::Kind::kProgress:
            case SessionNews::Kind::kReserved:
            case SessionNews::Kind::kReady:
            case SessionNews::Kind::kOpenFailed:
            case SessionNews::Kind::kLaunched: break;
        }
    }
}

static void listen(LeaseSession *session) {
    opal_event_set(orte_event_base, &news_event, session->fd(), OPAL_EV_READ | OPAL_EV_PERSIST,
                   on_news, nullptr);
    opal_event_set_priority(&news_event, ORTE_MSG_PRI);
    opal_event_add(&news_event, nullptr);
    listening = true;
    /* What was read ahead does not make the descriptor readable again. */
    opal_event_active(&news_event, OPAL_EV_READ, 1);
}

static void on_start_timeout(int fd, short flags, void *arg) {
    (void)fd;
    (void)flags;
    (void)arg;
    start_timer_active = false;
    orte_job_t *daemons = orte_get_job_data_object(ORTE_PROC_MY_NAME->jobid);
    if (daemons == nullptr || ending || daemons->num_reported >= daemons->num_procs) return;
    std::string missing;
    for (int i = 1; i < daemons->procs->size; ++i) {
        auto *proc = static_cast<orte_proc_t *>(opal_pointer_array_get_item(daemons->procs, i));
        if (proc == nullptr || proc->node == nullptr || proc->state == ORTE_PROC_STATE_RUNNING)
            continue;
        missing += (missing.empty() ? "" : ", ") + std::string(proc->node->name);
    }
    orte_show_help("help-plm-chain.txt", "start-timeout", true,
                   mca_plm_chain_component.start_timeout_ms, missing.c_str(),
                   orte_process_info.my_hnp_uri);
    if (LeaseSession *session = LeaseSession::current())
        session->note_end("provider", missing + " did not call back");
    end_job();
}

static void arm_start_timer(void) {
    if (start_timer_active) return;
    const timeval delay = timeval_of_ms(mca_plm_chain_component.start_timeout_ms);
    opal_event_evtimer_set(orte_event_base, &start_timer, on_start_timeout, nullptr);
    opal_event_evtimer_add(&start_timer, &delay);
    start_timer_active = true;
}

/* One typed launch for each node that has no daemon yet; the provider builds the command line. */
static int collect_launches(LeaseSession *session, orte_job_t *daemons,
                            std::vector<wire::NodeLaunch> &launches) {
    char *regex = nullptr;
    if (const int rc = orte_regx.nidmap_create(orte_node_pool, &regex); rc != ORTE_SUCCESS)
        return rc;
    std::free(orte_node_regex);
    orte_node_regex = regex;
    orte_nidmap_communicated = true;

    opal_pointer_array_t *nodes = daemons->map->nodes;
    for (int i = 0; i < nodes->size; ++i) {
        auto *node = static_cast<orte_node_t *>(opal_pointer_array_get_item(nodes, i));
        if (node == nullptr || ORTE_FLAG_TEST(node, ORTE_NODE_FLAG_DAEMON_LAUNCHED)) continue;
        const wire::LeaseNode *leased = session->node_by_host(node->name);
        if (leased == nullptr || node->daemon == nullptr) return ORTE_ERR_NOT_FOUND;
        wire::NodeLaunch launch;
        launch.set_leg(leased->leg());
        launch.mutable_launch()->set_host(leased->host());
        launch.mutable_launch()->set_jobid(daemons->jobid);
        launch.mutable_launch()->set_vpid(node->daemon->name.vpid);
        launch.mutable_launch()->set_daemon_count(daemons->num_procs);
        launch.mutable_launch()->set_node_regex(regex);
        launch.mutable_launch()->set_hnp_uri(orte_process_info.my_hnp_uri);
        launch.mutable_launch()->set_job_folder(session->peer_job_folder());
        launches.push_back(std::move(launch));
        ORTE_FLAG_SET(node, ORTE_NODE_FLAG_DAEMON_LAUNCHED);
        ORTE_FLAG_SET(node->daemon, ORTE_PROC_FLAG_ALIVE);
    }
    return ORTE_SUCCESS;
}

/* A connection to the port on which this mpirun waits for its orteds:
 * "JOBID.0;tcp://ADDRESSES:PORT". It listens on every address that it has, and need not have taken
 * the connection yet. */
static chain::Result<chain::FileDescriptor> connect_to_self(void) {
    const std::string uri = orte_process_info.my_hnp_uri;
    const std::size_t begin = uri.find("tcp://");
    const std::size_t port = begin == std::string::npos ? begin : uri.find(':', begin + 6);
    if (port == std::string::npos)
        return chain::make_error(chain::ErrorCode::kIo, "mpirun waits at no TCP port: ", uri);
    sockaddr_in self{};
    self.sin_family = AF_INET;
    self.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    self.sin_port = htons(static_cast<std::uint16_t>(std::atoi(uri.c_str() + port + 1)));
    chain::FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(socket.get(), reinterpret_cast<const sockaddr *>(&self), sizeof self) != 0)
        return chain::errno_error(errno, "connect mpirun with itself");
    return socket;
}

/* Everything between mpirun and the orteds goes through the daemons. */
static chain::Status attach(LeaseSession *session, const std::vector<wire::NodeLaunch> &launches) {
    std::vector<std::uint32_t> legs;
    std::vector<chain::FileDescriptor> sockets;
    for (const wire::NodeLaunch &launch : launches) {
        auto socket = connect_to_self();
        if (!socket.ok()) return socket.error();
        legs.push_back(launch.leg());
        sockets.push_back(std::move(*socket));
    }
    return session->attach(legs, sockets);
}

static bool launch(orte_job_t *jdata, orte_job_t *daemons) {
    LeaseSession *session = LeaseSession::current();
    if (session == nullptr || !session->is_ready()) {
        orte_show_help("help-plm-chain.txt", "no-lease", true);
        return false;
    }
    std::vector<wire::NodeLaunch> launches;
    if (const int rc = collect_launches(session, daemons, launches); rc != ORTE_SUCCESS) {
        ORTE_ERROR_LOG(rc);
        return false;
    }
    chain::Status sent = chain::ok_status();
    if (!session->ready().plain_network()) sent = attach(session, launches);
    if (sent.ok()) sent = session->launch(launches);
    if (!sent.ok()) {
        orte_show_help("help-plm-chain.txt", "launch-failed", true, sent.error().to_text().c_str());
        return false;
    }
    if (!launched) watch_comm_failures();
    if (session->tolerates_loss()) plm_chain_loss_install();
    launched = true;
    jdata->state = ORTE_JOB_STATE_DAEMONS_LAUNCHED;
    daemons->state = ORTE_JOB_STATE_DAEMONS_LAUNCHED;
    arm_start_timer();
    if (!listening) listen(session);
    return true;
}

static void launch_daemons(int fd, short args, void *cbdata) {
    (void)fd;
    (void)args;
    auto *caddy = static_cast<orte_state_caddy_t *>(cbdata);
    ORTE_ACQUIRE_OBJECT(caddy);
    orte_job_t *jdata = caddy->jdata;
    orte_job_t *daemons = orte_get_job_data_object(ORTE_PROC_MY_NAME->jobid);
    bool failed = false;
    bool nothing_to_launch = ORTE_FLAG_TEST(jdata, ORTE_JOB_FLAG_DEBUGGER_DAEMON);
    if (!nothing_to_launch) {
        const int rc = orte_plm_base_setup_virtual_machine(jdata);
        if (rc != ORTE_SUCCESS) ORTE_ERROR_LOG(rc);
        failed = rc != ORTE_SUCCESS || daemons->map == nullptr;
        nothing_to_launch = !failed && (orte_do_not_launch || daemons->map->num_new_daemons == 0);
    }
    if (nothing_to_launch) {
        jdata->state = ORTE_JOB_STATE_DAEMONS_LAUNCHED;
        ORTE_ACTIVATE_JOB_STATE(jdata, ORTE_JOB_STATE_DAEMONS_REPORTED);
    } else if (failed || !launch(jdata, daemons)) {
        orte_never_launched = true;
        ORTE_UPDATE_EXIT_STATUS(ORTE_ERROR_DEFAULT_EXIT_CODE);
        ORTE_ACTIVATE_JOB_STATE(jdata, ORTE_JOB_STATE_SILENT_ABORT);
    }
    OBJ_RELEASE(caddy);
}

static int plm_init(void) {
    if (const int rc = orte_plm_base_comm_start(); rc != ORTE_SUCCESS) {
        ORTE_ERROR_LOG(rc);
        return rc;
    }
    orte_plm_globals.daemon_nodes_assigned_at_launch = true;
    const int rc =
        orte_state.add_job_state(ORTE_JOB_STATE_LAUNCH_DAEMONS, launch_daemons, ORTE_SYS_PRI);
    if (rc != ORTE_SUCCESS) ORTE_ERROR_LOG(rc);
    return rc;
}

static int launch_job(orte_job_t *jdata) {
    const bool restart = ORTE_FLAG_TEST(jdata, ORTE_JOB_FLAG_RESTART);
    ORTE_ACTIVATE_JOB_STATE(jdata, restart ? ORTE_JOB_STATE_MAP : ORTE_JOB_STATE_INIT);
    return ORTE_SUCCESS;
}

static int terminate_orteds(void) {
    plm_chain_loss_on_end();
    if (launched) return orte_plm_base_orted_exit(ORTE_DAEMON_EXIT_CMD);
    orte_job_t *daemons = orte_get_job_data_object(ORTE_PROC_MY_NAME->jobid);
    /* Else ORTE misses daemons that were never started. */
    daemons->num_terminated = daemons->num_procs;
    ORTE_ACTIVATE_JOB_STATE(daemons, ORTE_JOB_STATE_DAEMONS_TERMINATED);
    return ORTE_SUCCESS;
}

static int plm_finalize(void) {
    stop_listening();
    plm_chain_loss_finalize();
    if (start_timer_active) opal_event_del(&start_timer);
    start_timer_active = false;
    if (break_timer_active) opal_event_del(&break_timer);
    if (ending) opal_event_del(&end_timer);
    LeaseSession *session = LeaseSession::current();
    if (break_timer_active && !ending && session != nullptr)
        session->note_end("provider", broken_host + " was lost: " + kConnectionBroke);
    break_timer_active = false;
    if (const int rc = orte_plm_base_comm_stop(); rc != ORTE_SUCCESS) ORTE_ERROR_LOG(rc);
    return ORTE_SUCCESS;
}

orte_plm_base_module_t orte_plm_chain_module = {
    .init = plm_init,
    .set_hnp_name = orte_plm_base_set_hnp_name,
    .spawn = launch_job,
    .remote_spawn = nullptr,
    .terminate_job = orte_plm_base_orted_terminate_job,
    .terminate_orteds = terminate_orteds,
    .terminate_procs = orte_plm_base_orted_kill_local_procs,
    .signal_job = orte_plm_base_orted_signal_local_procs,
    .finalize = plm_finalize,
};
