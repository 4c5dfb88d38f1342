// SPDX-License-Identifier: BSD-3-Clause
//
// The owner comes first: when this machine takes leases, and when those that run give way. A pure
// function of what is known of the owner (OwnerSigns) and of the rules that the owner wrote
// (OwnerRules): no clock, no file, no process (trade.md 4; HTCondor's desktop policy, "Policy
// Configuration for Execute Hosts", and BOINC's numbered reasons).
//
//   closed  --(all is quiet)-->  open  --(owner is back)-->  suspended  --(quiet again)-->  open
//                                  \                             |
//                                   \--(no suspending)--> leaving <--(too long)
//
// A machine without leases is open or closed; what runs is frozen while suspended, and has the time
// until `leave_at_ms` while leaving, running only where the owner leaves a processor idle.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chain/base/result.h"

namespace chain::provider {

// A time of the week in which lending is allowed, in minutes since Monday 00:00, local time; it may
// run over the end of the week. from == to: always.
struct WeekWindow {
    std::uint32_t from_minute = 0;
    std::uint32_t to_minute = 0;
    bool contains(std::uint32_t minute) const;
    friend bool operator==(const WeekWindow &, const WeekWindow &) = default;
};
inline constexpr std::array<std::string_view, 7> kWeekDays = {"Mon", "Tue", "Wed", "Thu",
                                                              "Fri", "Sat", "Sun"};
inline constexpr std::uint32_t kMinutesPerDay = 24 * 60;
inline constexpr std::uint32_t kMinutesPerWeek = 7 * kMinutesPerDay;

// What the machine shows of its owner at one moment.
struct OwnerSigns {
    std::uint64_t now_ms = 0;  // steady
    std::uint32_t week_minute = 0;
    std::optional<std::uint64_t> input_idle_ms;  // since the last key or touch; nothing: not known
    std::uint32_t load_permille = 0;  // of one core: what others than leases have kept busy lately
    std::uint32_t memory_stall_permille = 0;  // share of time in which somebody waited for memory
    bool on_battery = false;
    std::string application;  // one of the named ones that runs; empty: none
    bool paused = false;      // the owner said so
};

// What the owner wants. The defaults are HTCondor's for a desktop, but for `suspend_ms`: frozen
// ranks keep all others of their job waiting, and the renter pays for that.
struct OwnerRules {
    bool watch_input = true;
    std::uint64_t start_idle_ms = 15 * 60'000;  // without input, before anything is taken
    std::uint32_t start_load_permille = 300;    // at most
    std::uint32_t busy_load_permille = 500;     // from here on the owner is taken to be back,
    std::uint64_t busy_ms = 120'000;            // after this time
    std::uint64_t continue_idle_ms = 5 * 60'000;
    std::uint64_t suspend_ms = 0;               // how long leases are frozen before they must leave
    std::uint64_t leave_ms = 60'000;            // notice that the renter gets; at most 10 minutes
    std::uint32_t memory_stall_permille = 100;  // more than this: the owner feels it
    bool on_battery = false;                    // lend then, too
    std::vector<WeekWindow> windows;            // empty: at any time
    std::vector<std::string> applications;      // while one of them runs nothing is lent

    // Of a machine that is nobody's desk: always, but for a pause.
    static OwnerRules none();
    // Changed from the first, and not from none().
    bool is_desk() const;
};
inline constexpr std::uint64_t kLeaveMsMax = 10 * 60'000;

// Numbers that stand in logs, metrics and on the wire: none is ever given another meaning.
enum class OwnerReason : std::uint32_t {
    kNone = 0,
    kInput = 1,  // keyboard, mouse or terminal
    kLoad = 2,   // programs of the owner
    kBattery = 3,
    kWindow = 4,       // not now, by the calendar
    kApplication = 5,  // a named one runs
    kMemory = 6,       // it is short
    kPaused = 7,       // by command
};
std::string_view owner_reason_name(OwnerReason reason);  // "input", "load", …

enum class LendState { kClosed, kOpen, kSuspended, kLeaving };
std::string_view lend_state_name(LendState state);  // "closed" | "open" | "suspended" | "leaving"

// What holds, why, and what would change it: for `node policy`.
struct LendDecision {
    LendState state = LendState::kClosed;
    OwnerReason reason = OwnerReason::kNone;
    std::uint64_t leave_at_ms = 0;  // steady; of kLeaving
    std::string rule;               // the rule that holds, in words
    std::string change;             // what would change it, in words
};

class OwnerPolicy {
public:
    // Errors: kInvalidInput, with the rule that makes no sense.
    static Status check(const OwnerRules &rules);

    // Precondition: check(rules) is ok. Closed until the first look.
    explicit OwnerPolicy(OwnerRules rules) : rules_(std::move(rules)) {}

    // `signs.now_ms` never falls. `has_leases`: something runs here.
    const LendDecision &look(const OwnerSigns &signs, bool has_leases);
    const LendDecision &decision() const { return decision_; }
    const OwnerRules &rules() const { return rules_; }

private:
    OwnerReason back(const OwnerSigns &signs);
    OwnerReason not_quiet(const OwnerSigns &signs, std::uint64_t idle_ms) const;
    void enter(LendState state, OwnerReason reason, std::uint64_t now_ms);
    void describe(const OwnerSigns &signs, bool has_leases);

    const OwnerRules rules_;
    LendDecision decision_;
    std::uint64_t since_ms_ = 0;                  // of the state
    std::optional<std::uint64_t> busy_since_ms_;  // load at or above busy_load_permille
};

}  // namespace chain::provider
