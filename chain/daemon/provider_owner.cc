// SPDX-License-Identifier: BSD-3-Clause
//
// ProviderAgent: what its owner may rely on: what bounds leases, when they give way, and what
// cannot be held on this machine.
#include <algorithm>
#include <cstdio>

#include <unistd.h>

#include "chain/base/file.h"
#include "chain/base/log.h"
#include "chain/daemon/log_categories.h"
#include "chain/daemon/provider_agent.h"
#include "chain/host/scratch_volume.h"

namespace chain::daemon {
namespace {

constexpr std::uint64_t kLookAtOwnerMs = 1'000;
// Of all leases together, against 100 of the owner's session, and of this daemon: it has to answer
// its peers, however much the ranks have to do.
constexpr std::uint32_t kLeasesCpuWeight = 25;

}  // namespace

void ProviderAgent::probe_isolation() {
    not_held_.clear();
    const Status networks = provider::probe_lease_network();
    has_lease_networks_ = networks.ok();
    if (!networks.ok()) {
        log(LogLevel::kWarning, kProviderLog, networks.error().message);
        if (!options_.plain_network)
            log(LogLevel::kWarning, kProviderLog,
                "so nothing is lent here, unless leases may see this machine's network "
                "(plain_network in the settings, or --plain-network)");
    }
    if (options_.plain_network)
        not_held_.push_back("a lease that asks for it sees the network of this machine");
    if (const std::string missing = groups_->support().missing(); !missing.empty())
        not_held_.push_back("no cgroup here bounds or counts " + missing);
    Status volumes = provider::make_scratch_root(options_.scratch_folder);
    if (volumes.ok()) volumes = host::probe_volumes(options_.scratch_folder);
    has_volumes_ = volumes.ok();
    if (!has_volumes_)
        not_held_.push_back(
            "what a lease writes is looked at every few seconds, and not bounded (" +
            volumes.error().message + ")");
    if (geteuid() != 0) not_held_.push_back("leases run as the user of this daemon");
    for (const std::string &one : not_held_) log(LogLevel::kNote, kProviderLog, "not held: ", one);
}

void ProviderAgent::open_gpus() {
    if (gpus_ != nullptr || !options_.lends_gpus) return;
    auto opened = provider::GpuDevices::open(options_.gpu_library.empty() ? provider::kNvmlLibrary
                                                                          : options_.gpu_library);
    if (!opened.ok()) {
        log(LogLevel::kWarning, kProviderLog, "no GPU is lent: ", opened.error().message);
        return;
    }
    gpus_ = std::move(*opened);
    for (const provider::GpuDevice &device : gpus_->all())
        log(LogLevel::kNote, kProviderLog, "a GPU: ", device.gpu.model, ", ", device.gpu.units,
            " units of ", device.gpu.hz, " Hz");
}

// Neither leased, nor used by its owner.
std::vector<std::size_t> ProviderAgent::free_gpus() const {
    std::vector<std::size_t> free;
    if (gpus_ == nullptr) return free;
    for (std::size_t index = 0; index < gpus_->all().size(); ++index) {
        const bool leased = std::any_of(legs_.begin(), legs_.end(), [index](const auto &leg) {
            const auto &gpus = leg.second->terms().gpus;
            return leg.second->holds_slots() &&
                   std::find(gpus.begin(), gpus.end(), index) != gpus.end();
        });
        if (!leased && !gpus_->is_used(index)) free.push_back(index);
    }
    return free;
}

// The first of those that were offered, as the renter counted them: what the leg's slots are beyond
// those of ranks.
Status ProviderAgent::take_gpus(std::uint32_t count, std::uint32_t billed_slots,
                                LegTerms &terms) const {
    terms.billed_slots = terms.slot_count = billed_slots;
    if (count == 0) return ok_status();
    const std::vector<std::size_t> free = free_gpus();
    if (count > free.size() || free != offered_gpus_)
        return make_error(ErrorCode::kRefused, "the GPUs that I offered are not free any more");
    std::vector<market::Gpu> gpus;
    for (std::uint32_t i = 0; i < count; ++i) {
        terms.gpus.push_back(free[i]);
        gpus.push_back(gpus_->all()[free[i]].gpu);
    }
    const std::uint32_t equal = market::gpu_slots(gpus, hz_);
    if (billed_slots <= equal)
        return make_error(ErrorCode::kProtocol, "the leg has fewer slots than its GPUs equal");
    terms.slot_count = billed_slots - equal;
    return ok_status();
}

// Once: what bounds leases together, and what they give way to.
void ProviderAgent::watch_owner() {
    if (groups_) return;
    const auto cores = static_cast<std::uint32_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
    groups_.emplace(host::read_cgroup_layout(),
                    host::GroupLimits{.cpu_percent = cores * options_.cap_percent,
                                      .cpu_weight = kLeasesCpuWeight});
    const host::GroupSupport &support = groups_->support();
    provider::OwnerRules rules = options_.owner_rules;
    if (!support.freezer) rules.suspend_ms = 0;
    // Without a way to run only in what the owner leaves over, leases end at once.
    if (!support.cpu) rules.leave_ms = 0;
    paused_ = path_exists(options_.pause_path);
    const std::vector<std::string> applications = rules.applications;
    policy_.emplace(std::move(rules));
    watch_.emplace(node_.loop, node_.clock, options_.owner_paths, applications,
                   provider::OwnerWatch::Leases{
                       [this] {
                           const auto used_ns = groups_->all().cpu_time_ns();
                           return used_ns.ok() ? *used_ns : std::uint64_t{0};
                       },
                       [this](int pid) {
                           return std::any_of(legs_.begin(), legs_.end(), [pid](const auto &leg) {
                               return leg.second->has_process(pid);
                           });
                       }},
                   [this] { look_at_owner(); });
    owner_timer_ = node_.loop.every_ms(kLookAtOwnerMs, [this] { look_at_owner(); });
    look_at_owner();
}

void ProviderAgent::look_at_owner() {
    signs_ = watch_->look();
    signs_.paused = paused_;
    const provider::LendState before = policy_->decision().state;
    const provider::LendDecision &decision = policy_->look(signs_, !legs_.empty());
    if (decision.state != before) obey(decision);
    if (decision.state == provider::LendState::kLeaving && signs_.now_ms >= decision.leave_at_ms)
        for (const auto &[key, leg] : legs_) leg->end_for_owner();
}

void ProviderAgent::obey(const provider::LendDecision &decision) {
    using provider::LendState;
    log(LogLevel::kNote, kProviderLog, "lending is ", provider::lend_state_name(decision.state),
        ": ", decision.rule);
    host::ControlGroup &all = groups_->all();
    const auto try_to = [](std::string_view what, const Status &done) {
        if (!done.ok() && done.error().code != ErrorCode::kNotFound)
            log(LogLevel::kWarning, kProviderLog, what, ": ", done.error().message);
    };
    // The processor first, then everybody is told.
    if (decision.state == LendState::kLeaving)
        try_to("give way", all.set_yielding(true));
    else if (decision.state == LendState::kOpen || decision.state == LendState::kClosed)
        try_to("stop giving way", all.set_yielding(false));
    try_to("freeze leases", all.set_frozen(decision.state == LendState::kSuspended));
    const auto state = decision.state == LendState::kSuspended ? wire::LegNotice::SUSPENDED
                       : decision.state == LendState::kLeaving ? wire::LegNotice::LEAVING
                                                               : wire::LegNotice::RESUMED;
    const std::uint64_t leave_in_ms =
        decision.leave_at_ms > signs_.now_ms ? decision.leave_at_ms - signs_.now_ms : 0;
    for (const auto &[key, leg] : legs_) leg->on_owner(state, decision, leave_in_ms);
    publish_offer();
}

bool ProviderAgent::is_open() const {
    return policy_ && policy_->decision().state == provider::LendState::kOpen;
}

Status ProviderAgent::pause(bool pause) {
    if (pause)
        CHAIN_TRY(write_file_atomic(options_.pause_path, "paused\n", 0600));
    else if (path_exists(options_.pause_path) && std::remove(options_.pause_path.c_str()) != 0)
        return errno_error(errno, "remove " + options_.pause_path);
    paused_ = pause;
    if (policy_) look_at_owner();
    return ok_status();
}

void ProviderAgent::fill_policy(wire::NodePolicy &policy) const {
    policy.set_paused(paused_);
    if (!policy_ || options_.slot_count == 0) {
        policy.set_state("not-lending");
        policy.set_rule("this machine lends nothing");
        policy.set_change("`ompi-chain offer set --slots N --ask PRICE`");
        return;
    }
    const provider::LendDecision &decision = policy_->decision();
    policy.set_state(std::string(provider::lend_state_name(decision.state)));
    policy.set_reason(static_cast<std::uint32_t>(decision.reason));
    policy.set_reason_name(std::string(provider::owner_reason_name(decision.reason)));
    policy.set_rule(decision.rule);
    policy.set_change(decision.change);
    if (decision.leave_at_ms > signs_.now_ms)
        policy.set_leave_in_ms(decision.leave_at_ms - signs_.now_ms);
    policy.set_input_sources(policy_->rules().watch_input ? watch_->input_sources()
                                                          : "not looked at");
    policy.set_has_input(signs_.input_idle_ms.has_value());
    policy.set_input_idle_ms(signs_.input_idle_ms.value_or(0));
    policy.set_load_permille(signs_.load_permille);
    policy.set_memory_stall_permille(signs_.memory_stall_permille);
    policy.set_on_battery(signs_.on_battery);
}

}  // namespace chain::daemon
