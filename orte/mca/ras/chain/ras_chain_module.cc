/* SPDX-License-Identifier: BSD-3-Clause */
#include "orte/mca/ras/chain/ras_chain.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "chain/base/clock.h"
#include "chain/base/file.h"
#include "chain/base/text.h"
#include "chain/client/home_files.h"
#include "chain/client/home_network.h"
#include "chain/client/lease_session.h"
#include "chain/client/s3_access.h"
#include "chain/client/stage_plan.h"
#include "chain/client/start_time.h"
#include "chain/client/text.h"
#include "chain/client/tries.h"

extern "C" {
#include "opal/mca/event/event.h"
#include "opal/mca/hwloc/base/base.h"
#include "opal/mca/if/if.h"
#include "opal/util/argv.h"
#include "opal/util/opal_environ.h"
#include "opal/util/output.h"
#include "orte/constants.h"
#include "orte/mca/errmgr/errmgr.h"
#include "orte/mca/ras/base/ras_private.h"
#include "orte/mca/state/state.h"
#include "orte/runtime/orte_globals.h"
#include "orte/util/proc_info.h"
#include "orte/util/show_help.h"
}

using chain::Error;
using chain::ErrorCode;
using chain::Result;
using chain::client::LeaseSession;
using chain::client::SessionNews;
using chain::client::Tries;
namespace wire = chain::wire;

/* The lease that is being opened: from allocate() until the daemon's last word on it. */
static orte_job_t *pending_job = nullptr;
static opal_event_t news_event;
static opal_event_t open_timer;
static bool news_event_active = false;
/* Absolute; kept here because parameters are gone when finalize() runs. */
static std::string report_path;
/* Until mpirun ends. */
static std::unique_ptr<chain::client::HomeFiles> home_files;

static std::string text_of(const char *value) {
    return value == nullptr ? std::string() : std::string(value);
}

static chain::client::LeaseFlags flags_of_parameters() {
    const orte_ras_chain_component_t &self = mca_ras_chain_component;
    chain::client::LeaseFlags flags;
    flags.lease = text_of(self.lease);
    flags.max_price = text_of(self.max_price);
    flags.budget = text_of(self.budget);
    flags.time = text_of(self.time);
    flags.wait = text_of(self.wait);
    flags.start = text_of(self.start);
    flags.reservation = text_of(self.reservation);
    flags.home = text_of(self.home);
    flags.stage_in = text_of(self.stage_in);
    flags.stage_out = text_of(self.stage_out);
    flags.stage_max = text_of(self.stage_max);
    flags.relaunch = text_of(self.relaunch);
    flags.net = text_of(self.net);
    flags.report = text_of(self.report);
    flags.explain = self.explain;
    flags.tolerate_loss = self.tolerate_loss;
    return flags;
}

/* Our words were the last ones: mpirun ends without ORTE's. */
static int end_job(orte_job_t *jdata, int exit_status) {
    orte_never_launched = true;
    ORTE_UPDATE_EXIT_STATUS(exit_status);
    ORTE_ACTIVATE_JOB_STATE(jdata, ORTE_JOB_STATE_SILENT_ABORT);
    return ORTE_ERR_ALLOCATION_PENDING;
}

static int fail(orte_job_t *jdata, const char *topic, const Error &error) {
    orte_show_help("help-ras-chain.txt", topic, true, error.to_text().c_str());
    return end_job(jdata, chain::error_traits(error.code).exit_code);
}

static std::vector<orte_app_context_t *> apps_of(orte_job_t *jdata) {
    std::vector<orte_app_context_t *> apps;
    for (int i = 0; i < jdata->apps->size; ++i)
        if (void *app = opal_pointer_array_get_item(jdata->apps, i))
            apps.push_back(static_cast<orte_app_context_t *>(app));
    return apps;
}

static std::string working_folder() {
    std::string folder;
    if (char *path = ::getcwd(nullptr, 0)) {
        folder = path;
        std::free(path);
    }
    return folder;
}

static std::string command_of(const std::vector<orte_app_context_t *> &apps) {
    std::string command;
    for (const orte_app_context_t *app : apps)
        for (int i = 0; app->argv[i] != nullptr; ++i)
            command += (command.empty() ? "" : " ") + std::string(app->argv[i]);
    constexpr std::size_t kCommandBytesMax = 400;
    command = chain::plain_text(command, kCommandBytesMax);
    return chain::client::printable(command);
}

static void replace(char *&place, const std::string &text) {
    std::free(place);
    place = ::strdup(text.c_str());
}

/* Leaves what the user chose for this parameter. */
static void set_default(orte_app_context_t *app, const char *parameter, const std::string &value) {
    opal_setenv(("OMPI_MCA_" + std::string(parameter)).c_str(), value.c_str(), false, &app->env);
}

/* The renter's own settings of this machine mean nothing on a peer, or harm. */
static void remove_own_settings(char ***env) {
    for (int i = 0; *env != nullptr && (*env)[i] != nullptr;) {
        const std::string entry = (*env)[i];
        const std::string name = entry.substr(0, entry.find('='));
        const bool own = name == "OMPI_MCA_mca_base_component_path" ||
                         name.starts_with("OMPI_CHAIN_") || name.starts_with("OMPI_MCA_ras_chain_");
        if (!own || opal_unsetenv(name.c_str(), env) != OPAL_SUCCESS) ++i;
    }
}

static void prepare_apps(orte_job_t *jdata, const wire::LeaseReady &ready) {
    for (orte_app_context_t *app : apps_of(jdata)) {
        remove_own_settings(&app->env);
        /* What the user chose is this machine's; the lease's network has one device. */
        const bool replaces = !ready.plain_network();
        if (!ready.network_include().empty())
            for (const char *name : {"OMPI_MCA_btl_tcp_if_include", "OMPI_MCA_oob_tcp_if_include"})
                opal_setenv(name, ready.network_include().c_str(), replaces, &app->env);
        /* The only ones that the daemon lets through to this machine. */
        if (ready.home_slots() > 0 && !ready.plain_network())
            for (const auto &[name, value] : chain::client::HomeNetwork::rank_parameters())
                opal_setenv(("OMPI_MCA_" + name).c_str(), value.c_str(), true, &app->env);
        if (Tries::is_supervised())
            opal_setenv("OMPI_CHAIN_RESTART", std::to_string(Tries::number()).c_str(), true,
                        &app->env);
        set_default(app, "pml", "ob1");
        set_default(app, "btl", "tcp,vader,self");
        /* Several leases may share a machine: each would bind its first rank to the first core. */
        set_default(app, "hwloc_base_binding_policy", "none");
        /* Nobody waits for the lost ones in MPI_Finalize. */
        if (mca_ras_chain_component.tolerate_loss) set_default(app, "async_mpi_finalize", "1");
    }
    remove_own_settings(&orte_forwarded_envars);
    if (!OPAL_BINDING_POLICY_IS_SET(opal_hwloc_binding_policy))
        OPAL_SET_BINDING_POLICY(opal_hwloc_binding_policy, OPAL_BIND_TO_NONE);
}

static void append_node(opal_list_t *nodes, const char *name, std::uint32_t slot_count) {
    orte_node_t *node = OBJ_NEW(orte_node_t);
    node->name = ::strdup(name);
    node->state = ORTE_NODE_STATE_UP;
    node->slots = static_cast<orte_std_cntr_t>(slot_count);
    node->slots_inuse = 0;
    node->slots_max = 0;
    ORTE_FLAG_SET(node, ORTE_NODE_FLAG_SLOTS_GIVEN);
    opal_list_append(nodes, &node->super);
}

/* The first ranks are those of this machine, if it has any. */
static int insert_nodes(orte_job_t *jdata, const wire::LeaseReady &ready) {
    opal_list_t nodes;
    OBJ_CONSTRUCT(&nodes, opal_list_t);
    if (ready.home_slots() > 0) append_node(&nodes, orte_process_info.nodename, ready.home_slots());
    for (const wire::LeaseNode &leased : ready.nodes())
        append_node(&nodes, leased.host().c_str(), leased.slot_count());
    const int rc = orte_ras_base_node_insert(&nodes, jdata);
    OBJ_DESTRUCT(&nodes);
    jdata->total_slots_alloc = orte_ras_base.total_slots_alloc;
    return rc;
}

static void stop_listening(void) {
    if (news_event_active) {
        opal_event_del(&news_event);
        opal_event_del(&open_timer);
    }
    news_event_active = false;
}

static bool has_too_many_ranks(const std::vector<orte_app_context_t *> &apps,
                               std::uint32_t slot_count) {
    std::uint64_t rank_count = 0;
    for (const orte_app_context_t *app : apps)
        rank_count += static_cast<std::uint64_t>(app->num_procs > 0 ? app->num_procs : 0);
    if (rank_count <= slot_count) return false;
    orte_show_help("help-ras-chain.txt", "too-many-ranks", true, static_cast<int>(rank_count),
                   slot_count);
    return true;
}

static void finish_allocation(orte_job_t *jdata, const wire::LeaseReady &ready) {
    for (const wire::LeaseNode &node : ready.nodes()) {
        if (!orte_ifislocal(node.host().c_str())) continue;
        orte_show_help("help-ras-chain.txt", "own-name", true, node.host().c_str(),
                       chain::client::printable(node.provider()).c_str());
        LeaseSession::current()->note_end("renter", "a peer is named like the renter's machine");
        end_job(jdata, 1);
        return;
    }
    std::uint32_t slot_count = ready.home_slots();
    for (const wire::LeaseNode &node : ready.nodes()) slot_count += node.slot_count();
    if (has_too_many_ranks(apps_of(jdata), slot_count)) { /* of what was reserved before */
        LeaseSession::current()->note_end("renter", "the job has more ranks than leased slots");
        end_job(jdata, 1);
        return;
    }
    prepare_apps(jdata, ready);
    if (const int rc = insert_nodes(jdata, ready); rc != ORTE_SUCCESS) {
        ORTE_ERROR_LOG(rc);
        end_job(jdata, 1);
        return;
    }
    ORTE_ACTIVATE_JOB_STATE(jdata, ORTE_JOB_STATE_ALLOCATION_COMPLETE);
}

static void say_progress(const std::string &text) {
    opal_output_verbose(1, orte_ras_base_framework.framework_output, "ras:chain: %s",
                        chain::client::printable(text).c_str());
}

static timeval after_ms(std::uint64_t ms) {
    return {static_cast<time_t>(ms / 1000), static_cast<suseconds_t>(ms % 1000 * 1000)};
}

/* The daemon begins it. Its time has to come first, and its peers have theirs to be there. */
static void wait_for_start(const wire::Bill &bill) {
    constexpr std::uint64_t kPeersWaitMs = 120'000;
    const std::uint64_t now_ms = chain::system_clock().unix_ms();
    const std::uint64_t wait_ms = bill.starts_at_ms() > now_ms ? bill.starts_at_ms() - now_ms : 0;
    const timeval limit =
        after_ms(wait_ms + kPeersWaitMs +
                 static_cast<std::uint64_t>(mca_ras_chain_component.open_timeout_ms));
    opal_event_evtimer_add(&open_timer, &limit);
    const bool is_ours = text_of(mca_ras_chain_component.reservation).empty();
    std::string text;
    if (is_ours) text = chain::client::format_reservation_text(bill);
    if (wait_ms > 0)
        text += "Waiting until " + chain::client::format_local(bill.starts_at_ms()) +
                (is_ours ? "; ending mpirun before cancels it.\n"
                         : "; ending mpirun leaves lease " +
                               chain::client::short_id(bill.lease_id()) + " reserved.\n");
    std::fputs(text.c_str(), stderr);
}

static void on_news(int fd, short flags, void *arg) {
    (void)fd;
    (void)flags;
    (void)arg;
    LeaseSession *session = LeaseSession::current();
    while (pending_job != nullptr) {
        const auto news = session->next_news();
        if (!news) return;
        orte_job_t *jdata = pending_job;
        switch (news->kind) {
            case SessionNews::Kind::kProgress: say_progress(news->text); continue;
            case SessionNews::Kind::kReserved: wait_for_start(news->bill); continue;
            case SessionNews::Kind::kLeaseEvent:
                if (news->event.kind() == wire::LeaseEvent::NOTICE)
                    say_progress(news->event.reason());
                continue;
            case SessionNews::Kind::kReady:
                stop_listening();
                pending_job = nullptr;
                finish_allocation(jdata, session->ready());
                return;
            case SessionNews::Kind::kOpenFailed:
            case SessionNews::Kind::kConnectionLost:
                stop_listening();
                pending_job = nullptr;
                session->note_end("provider", news->error.message);
                if (news->error.code == ErrorCode::kPeerLost) Tries::note_loss({});
                fail(jdata, session->was_funded() ? "lease-ended" : "failed", news->error);
                return;
            case SessionNews::Kind::kLaunched:
            case SessionNews::Kind::kLaunchFailed: continue;
        }
    }
}

static void on_open_timeout(int fd, short flags, void *arg) {
    (void)fd;
    (void)flags;
    (void)arg;
    orte_job_t *jdata = pending_job;
    if (jdata == nullptr) return;
    stop_listening();
    pending_job = nullptr;
    LeaseSession::current()->note_end("renter", "no lease in time");
    fail(jdata, "failed",
         chain::make_error(ErrorCode::kTimeout, "the daemon brought no lease about in time ",
                           "(OMPI_MCA_ras_chain_open_timeout, ",
                           mca_ras_chain_component.open_timeout_ms, " ms)."));
}

static void listen(LeaseSession *session, std::uint64_t wait_ms) {
    const std::uint64_t limit_ms =
        wait_ms + static_cast<std::uint64_t>(mca_ras_chain_component.open_timeout_ms);
    const timeval limit = after_ms(limit_ms);
    opal_event_set(orte_event_base, &news_event, session->fd(), OPAL_EV_READ | OPAL_EV_PERSIST,
                   on_news, nullptr);
    opal_event_set_priority(&news_event, ORTE_MSG_PRI);
    opal_event_add(&news_event, nullptr);
    opal_event_evtimer_set(orte_event_base, &open_timer, on_open_timeout, nullptr);
    opal_event_evtimer_add(&open_timer, &limit);
    news_event_active = true;
}

static int explain(orte_job_t *jdata, const chain::client::LeaseOrder &order) {
    auto client = chain::client::Client::connect(chain::client::default_socket_path());
    if (!client.ok()) return fail(jdata, "failed", client.error());
    wire::ControlRequest request;
    *request.mutable_lease_explain()->mutable_spec() = order.spec;
    const auto reply = client->call(request, mca_ras_chain_component.explain_timeout_ms);
    if (!reply.ok()) return fail(jdata, "failed", reply.error());
    if (!reply->has_explanation())
        return fail(
            jdata, "failed",
            chain::make_error(ErrorCode::kProtocol, "the daemon's answer explains nothing."));
    const std::string text = chain::client::format_explanation_text(reply->explanation());
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
    if (!reply->explanation().cleared()) return end_job(jdata, 3);
    /* Nothing failed: the way of an abort would make the exit status 1. */
    orte_never_launched = true;
    orte_routing_is_enabled = false;
    jdata->num_terminated = jdata->num_procs;
    ORTE_ACTIVATE_JOB_STATE(jdata, ORTE_JOB_STATE_TERMINATED);
    return ORTE_ERR_ALLOCATION_PENDING;
}

static Result<chain::client::StagePlan> plan_of(const std::vector<orte_app_context_t *> &apps,
                                                const chain::client::LeaseOrder &order) {
    std::vector<chain::client::StageApp> stage_apps;
    const std::string here = working_folder();
    if (here.empty())
        return chain::make_error(ErrorCode::kNotFound, "the working folder does not exist.");
    for (const orte_app_context_t *app : apps) {
        chain::client::StageApp stage_app;
        for (int i = 0; app->argv[i] != nullptr; ++i) stage_app.argv.emplace_back(app->argv[i]);
        stage_app.cwd = app->cwd == nullptr ? here : app->cwd;
        stage_apps.push_back(std::move(stage_app));
    }
    const char *path = std::getenv("PATH");
    return chain::client::plan_stage(stage_apps, order, path == nullptr ? "" : path);
}

static void apply_plan(const std::vector<orte_app_context_t *> &apps,
                       const chain::client::StagePlan &plan) {
    for (std::size_t i = 0; i < apps.size(); ++i) {
        for (std::size_t j = 0; j < plan.apps[i].argv.size(); ++j)
            replace(apps[i]->argv[j], plan.apps[i].argv[j]);
        replace(apps[i]->app, plan.apps[i].argv[0]);
        replace(apps[i]->cwd, plan.apps[i].cwd);
    }
}

/* Before anything is paid for. */
static void say_what_is_outside(const chain::client::StagePlan &plan) {
    if (plan.outside.empty()) return;
    std::string names;
    for (const std::string &name : plan.outside) names += (names.empty() ? "" : ", ") + name;
    orte_show_help("help-ras-chain.txt", "outside", true, names.c_str(), plan.job_folder.c_str());
}

static int open_lease(orte_job_t *jdata, const chain::client::LeaseOrder &order) {
    const auto apps = apps_of(jdata);
    if (order.reservation.empty() &&
        has_too_many_ranks(apps, order.spec.slot_count() + order.spec.home_slots()))
        return end_job(jdata, 1);
    const auto plan = plan_of(apps, order);
    if (!plan.ok()) return fail(jdata, "failed", plan.error());
    if (order.spec.home_slots() == 0) say_what_is_outside(*plan);
    if (order.spec.home_slots() > 0) {
        auto files = chain::client::HomeFiles::make(*plan);
        if (!files.ok()) return fail(jdata, "failed", files.error());
        home_files = std::move(*files);
    }

    wire::LeaseOpenCall call;
    *call.mutable_spec() = order.spec;
    call.set_reservation(order.reservation);
    for (const wire::StageItem &item : plan->items) *call.add_stage_in() = item;
    for (const std::string &glob : order.stage_out) call.add_stage_out(glob);
    call.set_results_url(order.results_url);
    call.set_image_name(plan->image_name);
    if (chain::client::needs_s3_access(call)) {
        const auto access = chain::client::find_s3_access(chain::client::process_environment());
        if (!access.ok()) return fail(jdata, "failed", access.error());
        *call.mutable_s3_access() = *access;
    }
    call.set_job_folder(plan->job_folder);
    call.set_stage_max_bytes(order.stage_max_bytes);
    call.set_client_pid(static_cast<std::uint32_t>(::getpid()));
    call.set_command(command_of(apps));
    auto session = LeaseSession::open(chain::client::default_socket_path(), call);
    if (!session.ok()) return fail(jdata, "failed", session.error());
    (*session)->set_peer_job_folder(plan->peer_job_folder);
    apply_plan(apps, *plan);

    /* Asynchronous, so that Ctrl-C and the like are served while the market takes its time. */
    pending_job = jdata;
    listen(*session, order.spec.wait_ms());
    return ORTE_ERR_ALLOCATION_PENDING;
}

/* A try after the first: without the peers that were lost, with the files that came back so far,
 * and for what is left of the budget. The others need a moment to offer their slots again. */
static chain::Status continue_tries(chain::client::LeaseOrder &order) {
    constexpr std::uint64_t kWaitMs = 15'000;
    if (Tries::number() == 0) return chain::ok_status();
    order.spec.clear_starts_at_ms(); /* that time has come */
    for (const std::string &peer : Tries::lost_peers()) order.spec.add_avoid(peer);
    order.spec.set_wait_ms(std::max(order.spec.wait_ms(), kWaitMs));
    const std::string folder = working_folder() + "/";
    for (const std::string &name : Tries::results())
        if (chain::path_exists(folder + name)) order.stage_in.push_back(folder + name);
    if (order.spec.budget() == 0) return chain::ok_status();
    if (Tries::paid() >= order.spec.budget())
        return chain::make_error(ErrorCode::kBudgetTooSmall,
                                 "the tries before this one used up the budget.");
    order.spec.set_budget(order.spec.budget() - Tries::paid());
    return chain::ok_status();
}

static int allocate(orte_job_t *jdata, opal_list_t *nodes) {
    (void)nodes;
    /* Names of leased nodes are the peers' affair, not this machine's DNS'. */
    orte_managed_allocation = true;
    opal_if_do_not_resolve = true;
    auto order =
        chain::client::parse_lease_flags(flags_of_parameters(), chain::system_clock().unix_ms());
    if (!order.ok()) return fail(jdata, "bad-flags", order.error());
    if (const auto continued = continue_tries(*order); !continued.ok())
        return fail(jdata, "failed", continued.error());
    report_path = order->report_path;
    if (!report_path.empty() && report_path.front() != '/')
        report_path = working_folder() + "/" + report_path;
    return order->explain ? explain(jdata, *order) : open_lease(jdata, *order);
}

static void write_report(const wire::Bill &bill) {
    if (report_path.empty()) return;
    if (Tries::number() > 0) /* the bill of the one before stays beside this one's */
        (void)std::rename(report_path.c_str(),
                          (report_path + ".try" + std::to_string(Tries::number() - 1)).c_str());
    const auto written =
        chain::write_file_atomic(report_path, chain::client::format_bill_json(bill), 0644);
    if (written.ok()) return;
    orte_show_help("help-ras-chain.txt", "report-failed", true, report_path.c_str(),
                   written.error().to_text().c_str());
    ORTE_UPDATE_EXIT_STATUS(1);
}

static int finalize(void) {
    stop_listening();
    pending_job = nullptr;
    home_files.reset();
    LeaseSession *session = LeaseSession::current();
    if (session == nullptr) return ORTE_SUCCESS;
    /* A lease without escrow leaves nothing to bill: the end of the connection cancels it. */
    if (session->is_ready() || session->was_funded()) {
        const wire::Bill bill =
            session->close(orte_exit_status, mca_ras_chain_component.bill_timeout_ms);
        std::fputs(
            chain::client::format_bill_text(bill, mca_ras_chain_component.bill_ranks).c_str(),
            stderr);
        write_report(bill);
        Tries::note_paid(bill.paid());
        for (const std::string &name : bill.results()) Tries::note_result(name);
        if (orte_exit_status == 0) /* a job that failed does not start again, whatever was lost */
            for (const wire::BillLeg &leg : bill.legs())
                if (leg.results_lost()) Tries::note_loss(leg.provider());
        /* Whoever goes on with the results must hear that they are not all there. */
        if (bill.results_lost()) ORTE_UPDATE_EXIT_STATUS(1);
    }
    LeaseSession::drop();
    return ORTE_SUCCESS;
}

orte_ras_base_module_t orte_ras_chain_module = {
    .init = nullptr,
    .allocate = allocate,
    .deallocate = nullptr,
    .finalize = finalize,
};
