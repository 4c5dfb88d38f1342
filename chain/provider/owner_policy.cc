// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/owner_policy.h"

#include <array>

#include "chain/base/units.h"

namespace chain::provider {
namespace {

constexpr std::size_t kWindowsMax = 64;
constexpr std::size_t kApplicationsMax = 64;
constexpr std::uint64_t kDurationMsMax = 24 * 3'600'000;

// "15 min", "40 s".
std::string duration_text(std::uint64_t ms) {
    if (ms >= 120'000) return std::to_string(ms / 60'000) + " min";
    return std::to_string((ms + 999) / 1000) + " s";
}

}  // namespace

bool OwnerRules::is_desk() const {
    const OwnerRules open = none();
    return start_load_permille != open.start_load_permille &&
           busy_load_permille != open.busy_load_permille;
}

OwnerRules OwnerRules::none() {
    OwnerRules rules;
    rules.watch_input = false;
    rules.start_load_permille = rules.busy_load_permille = ~std::uint32_t{0};
    rules.memory_stall_permille = 1000;
    rules.on_battery = true;
    return rules;
}

bool WeekWindow::contains(std::uint32_t minute) const {
    if (from_minute == to_minute) return true;
    if (from_minute < to_minute) return minute >= from_minute && minute < to_minute;
    return minute >= from_minute || minute < to_minute;
}

std::string_view owner_reason_name(OwnerReason reason) {
    constexpr std::array<std::string_view, 8> kNames = {
        "none", "input", "load", "battery", "window", "application", "memory", "paused"};
    return kNames[static_cast<std::size_t>(reason)];
}

std::string_view lend_state_name(LendState state) {
    constexpr std::array<std::string_view, 4> kNames = {"closed", "open", "suspended", "leaving"};
    return kNames[static_cast<std::size_t>(state)];
}

Status OwnerPolicy::check(const OwnerRules &rules) {
    const auto wrong = [](std::string_view what) {
        return make_error(ErrorCode::kInvalidInput, "owner's rules: ", what);
    };
    if (rules.busy_load_permille < rules.start_load_permille)
        return wrong(
            "the load at which the owner counts as back is below the one at which leases "
            "are taken: they would be taken and sent away by turns");
    if (rules.continue_idle_ms > rules.start_idle_ms && rules.watch_input)
        return wrong("to go on needs a longer pause than to start");
    if (rules.leave_ms > kLeaveMsMax) return wrong("a lease leaves within 10 minutes at most");
    for (const std::uint64_t ms :
         {rules.start_idle_ms, rules.busy_ms, rules.continue_idle_ms, rules.suspend_ms})
        if (ms > kDurationMsMax) return wrong("a time is longer than a day");
    if (rules.memory_stall_permille == 0 || rules.memory_stall_permille > 1000)
        return wrong("the share of time that somebody may wait for memory is 0.1 to 100 %");
    if (rules.windows.size() > kWindowsMax) return wrong("more than 64 windows of time");
    for (const WeekWindow &window : rules.windows)
        if (window.from_minute >= kMinutesPerWeek || window.to_minute >= kMinutesPerWeek)
            return wrong("a window of time is outside of the week");
    if (rules.applications.size() > kApplicationsMax) return wrong("more than 64 applications");
    for (const std::string &name : rules.applications)
        if (name.empty()) return wrong("an application has no name");
    return ok_status();
}

// What no lease may run beside, for a machine that has been quiet for `idle_ms`.
OwnerReason OwnerPolicy::not_quiet(const OwnerSigns &signs, std::uint64_t idle_ms) const {
    if (signs.paused) return OwnerReason::kPaused;
    bool in_window = rules_.windows.empty();
    for (const WeekWindow &window : rules_.windows) in_window |= window.contains(signs.week_minute);
    if (!in_window) return OwnerReason::kWindow;
    if (signs.on_battery && !rules_.on_battery) return OwnerReason::kBattery;
    if (!signs.application.empty()) return OwnerReason::kApplication;
    if (rules_.watch_input && signs.input_idle_ms && *signs.input_idle_ms < idle_ms)
        return OwnerReason::kInput;
    if (signs.memory_stall_permille > rules_.memory_stall_permille) return OwnerReason::kMemory;
    return OwnerReason::kNone;
}

// Input since leases were taken is the owner at once; load has to last.
OwnerReason OwnerPolicy::back(const OwnerSigns &signs) {
    const std::uint64_t open_for_ms = signs.now_ms - since_ms_;
    const std::uint64_t idle_ms = std::min(open_for_ms, rules_.start_idle_ms);
    if (const OwnerReason reason = not_quiet(signs, idle_ms); reason != OwnerReason::kNone)
        return reason;
    if (busy_since_ms_ && signs.now_ms - *busy_since_ms_ >= rules_.busy_ms)
        return OwnerReason::kLoad;
    return OwnerReason::kNone;
}

void OwnerPolicy::enter(LendState state, OwnerReason reason, std::uint64_t now_ms) {
    decision_.state = state;
    decision_.reason = reason;
    decision_.leave_at_ms = state == LendState::kLeaving ? now_ms + rules_.leave_ms : 0;
    since_ms_ = now_ms;
}

const LendDecision &OwnerPolicy::look(const OwnerSigns &signs, bool has_leases) {
    if (signs.load_permille < rules_.busy_load_permille)
        busy_since_ms_.reset();
    else if (!busy_since_ms_)
        busy_since_ms_ = signs.now_ms;

    const auto quiet_for = [&](std::uint64_t idle_ms) {
        const OwnerReason reason = not_quiet(signs, idle_ms);
        if (reason != OwnerReason::kNone) return reason;
        return signs.load_permille > rules_.start_load_permille ? OwnerReason::kLoad
                                                                : OwnerReason::kNone;
    };
    switch (decision_.state) {
        case LendState::kClosed: {
            const OwnerReason reason = quiet_for(rules_.start_idle_ms);
            if (reason == OwnerReason::kNone)
                enter(LendState::kOpen, reason, signs.now_ms);
            else
                decision_.reason = reason;
            break;
        }
        case LendState::kOpen: {
            const OwnerReason reason = back(signs);
            if (reason == OwnerReason::kNone) break;
            if (!has_leases)
                enter(LendState::kClosed, reason, signs.now_ms);
            else if (rules_.suspend_ms > 0)
                enter(LendState::kSuspended, reason, signs.now_ms);
            else
                enter(LendState::kLeaving, reason, signs.now_ms);
            break;
        }
        case LendState::kSuspended: {
            const OwnerReason reason = quiet_for(rules_.continue_idle_ms);
            if (!has_leases)
                enter(LendState::kClosed, decision_.reason, signs.now_ms);
            else if (reason == OwnerReason::kNone)
                enter(LendState::kOpen, reason, signs.now_ms);
            else if (signs.now_ms - since_ms_ >= rules_.suspend_ms)
                enter(LendState::kLeaving, reason, signs.now_ms);
            break;
        }
        case LendState::kLeaving:  // a notice is a notice
            if (!has_leases) enter(LendState::kClosed, decision_.reason, signs.now_ms);
            break;
    }
    describe(signs, has_leases);
    return decision_;
}

void OwnerPolicy::describe(const OwnerSigns &signs, bool has_leases) {
    std::string &rule = decision_.rule, &change = decision_.change;
    const bool has_rules = rules_.start_load_permille != OwnerRules::none().start_load_permille;
    const std::string quiet =
        (rules_.watch_input ? duration_text(rules_.start_idle_ms) + " without input, " : "") +
        "load of the owner's programs at most " + format_permille(rules_.start_load_permille);
    switch (decision_.reason) {
        case OwnerReason::kNone:
            if (!has_rules) {
                rule = "no rule keeps this machine from being lent";
                change = "`ompi-chain node pause`, or rules: ompi-chaind --owner-rules desktop";
                break;
            }
            rule = "nothing of the owner's goes on: " + quiet;
            change = "input, load of " + format_permille(rules_.busy_load_permille) + " for " +
                     duration_text(rules_.busy_ms) + ", or `ompi-chain node pause`";
            break;
        case OwnerReason::kInput: {
            const std::uint64_t needed_ms = decision_.state == LendState::kSuspended
                                                ? rules_.continue_idle_ms
                                                : rules_.start_idle_ms;
            const std::uint64_t idle_ms = signs.input_idle_ms.value_or(0);
            rule =
                "somebody uses this machine: the last input was " + duration_text(idle_ms) + " ago";
            change = "no input for another " +
                     duration_text(needed_ms > idle_ms ? needed_ms - idle_ms : 0);
            break;
        }
        case OwnerReason::kLoad:
            rule = "programs of the owner keep " + format_permille(signs.load_permille) +
                   " cores busy";
            change = "a load of " + format_permille(rules_.start_load_permille) + " or less";
            break;
        case OwnerReason::kBattery:
            rule = "the machine runs on its battery";
            change = "mains, or on_battery = true";
            break;
        case OwnerReason::kWindow:
            rule = "it is outside of the times for lending";
            change = "the beginning of the next window, or other windows";
            break;
        case OwnerReason::kApplication:
            rule = "\"" + signs.application + "\" runs";
            change = "its end, or another list of applications";
            break;
        case OwnerReason::kMemory:
            rule = "programs have to wait for memory (" +
                   std::to_string(signs.memory_stall_permille / 10) + " % of the time)";
            change = "at most " + std::to_string(rules_.memory_stall_permille / 10) + " %";
            break;
        case OwnerReason::kPaused:
            rule = "the owner has paused it";
            change = "`ompi-chain node resume`";
            break;
    }
    if (decision_.state == LendState::kLeaving) {
        const std::uint64_t left_ms =
            decision_.leave_at_ms > signs.now_ms ? decision_.leave_at_ms - signs.now_ms : 0;
        rule += "; leases have been given notice and end in " + duration_text(left_ms);
    } else if (decision_.state == LendState::kSuspended) {
        rule += "; leases are frozen";
        change += "; else they are given notice after " + duration_text(rules_.suspend_ms);
    } else if (decision_.state == LendState::kOpen && has_leases) {
        rule += "; leases run";
    }
}

}  // namespace chain::provider
