// SPDX-License-Identifier: BSD-3-Clause
#include "examples/ranks/schedule.h"

#include <algorithm>
#include <cmath>

namespace ranks {
namespace {

constexpr double kAheadSeconds = 0.5;  // so much work lies ready at each rank, at least one task
constexpr int kAheadMax = 16;
constexpr double kStragglerSeconds = 3;           // nothing younger is given to a second rank
constexpr double kUnknownTurnaroundSeconds = 10;  // of a rank without a result so far
constexpr double kStragglerTurnarounds = 3;
constexpr double kStragglerSecondsMax = 60;  // a rank cannot make others wait by having been slow
constexpr double kSmoothing = 0.3;

uint64_t scrambled(uint64_t x) {
    x += 0x9E3779B97F4A7C15ULL;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    return x ^ (x >> 31);
}

void smooth(double &mean, double value) {
    mean = mean > 0 ? mean + kSmoothing * (value - mean) : value;
}

}  // namespace

Schedule::Schedule(const std::vector<bool> &done, Roster &roster, VerifyPlan verify)
    : roster_(roster), verify_(verify), tasks_(done.size()), sent_count_(roster.size()) {
    for (size_t i = 0; i < done.size(); ++i) {
        if (done[i]) {
            tasks_[i].phase = Phase::kDone;
            ++done_count_;
        } else {
            waiting_[0].insert(waiting_[0].end(), static_cast<int64_t>(i));
        }
    }
}

bool Schedule::is_chosen(int64_t task) const {
    const uint64_t draw = scrambled(verify_.seed ^ scrambled(static_cast<uint64_t>(task)));
    return static_cast<double>(draw >> 11) * 0x1p-53 < verify_.share;
}

int Schedule::usable_count() const {
    return static_cast<int>(
        std::count_if(roster_.begin(), roster_.end(), [](auto &one) { return one.is_usable(); }));
}

int64_t Schedule::waiting_count() const {
    int64_t count = 0;
    for (const auto &tasks : waiting_) count += static_cast<int64_t>(tasks.size());
    return count;
}

// Guided: much at first, so that nobody waits for the network; towards the end no more than a
// rank's share of what is left, so that none is waited for.
int Schedule::allowed(int rank) const {
    const Member &member = roster_[static_cast<size_t>(rank)];
    int ahead = 1;
    if (member.task_s > 0)
        ahead = static_cast<int>(std::clamp(kAheadSeconds * member.threads / member.task_s, 1.0,
                                            static_cast<double>(kAheadMax)));
    const int64_t share = (waiting_count() + 1) / (2 * std::max(1, usable_count()));
    return static_cast<int>(
        std::min<int64_t>(member.threads + ahead, std::max<int64_t>(member.threads, share)));
}

bool Schedule::may_have(int rank, int64_t task) const {
    const Task &one = at(task);
    if (one.phase == Phase::kJudge || one.only_home) return rank == 0;
    // A second opinion is another rank's, unless there is no other.
    return one.phase != Phase::kSecond || one.first != rank || usable_count() <= 1;
}

bool Schedule::is_sent_to(int rank, int64_t task) const {
    const auto found = sent_.find(task);
    return found != sent_.end() && std::any_of(found->second.begin(), found->second.end(),
                                               [=](const Sent &one) { return one.rank == rank; });
}

std::optional<int64_t> Schedule::next(int rank, double now) {
    const auto index = static_cast<size_t>(rank);
    if (!roster_[index].is_usable() || sent_count_[index] >= allowed(rank)) return {};
    for (const Phase phase : {Phase::kJudge, Phase::kSecond, Phase::kTodo})
        for (const int64_t task : waiting_[static_cast<int>(phase)])
            if (may_have(rank, task)) {
                send(rank, task, now);
                return task;
            }
    const auto late = sent_count_[index] == 0 ? straggler(rank, now) : std::nullopt;
    if (late) send(rank, *late, now);
    return late;
}

// The task that somebody has had for longest, and for too long.
std::optional<int64_t> Schedule::straggler(int rank, double now) const {
    std::optional<int64_t> latest;
    double earliest = now;
    for (const auto &[task, ranks] : sent_) {
        if (at(task).phase == Phase::kDone || !may_have(rank, task) || is_sent_to(rank, task))
            continue;
        // Two may keep it for ever: rank 0 is the third.
        if (ranks.size() != 1 && rank != 0) continue;
        const Sent &sent = ranks.front();
        const Member &owner = roster_[static_cast<size_t>(sent.rank)];
        const double usual = owner.turnaround_s > 0 ? kStragglerTurnarounds * owner.turnaround_s
                                                    : kUnknownTurnaroundSeconds;
        if (now - sent.since < std::clamp(usual, kStragglerSeconds, kStragglerSecondsMax) ||
            sent.since >= earliest)
            continue;
        earliest = sent.since;
        latest = task;
    }
    return latest;
}

void Schedule::queue(int64_t task) {
    const Phase phase = at(task).phase;
    if (phase != Phase::kDone && !sent_.contains(task))
        waiting_[static_cast<int>(phase)].insert(task);
}

void Schedule::unqueue(int64_t task) {
    for (auto &tasks : waiting_) tasks.erase(task);
}

void Schedule::send(int rank, int64_t task, double now) {
    unqueue(task);
    sent_[task].push_back({rank, now});
    if (rank != 0 && !was_given(rank, task)) at(task).given.push_back(rank);
    ++sent_count_[static_cast<size_t>(rank)];
}

bool Schedule::was_given(int rank, int64_t task) const {
    const auto &given = at(task).given;
    return rank == 0 || std::find(given.begin(), given.end(), rank) != given.end();
}

bool Schedule::expects(int rank, int64_t task) const {
    return !roster_[static_cast<size_t>(rank)].is_excluded && at(task).phase != Phase::kDone &&
           was_given(rank, task) && may_have(rank, task);
}

bool Schedule::take_back(int rank, int64_t task, double *since) {
    const auto found = sent_.find(task);
    if (found == sent_.end()) return false;
    auto &ranks = found->second;
    const auto entry =
        std::find_if(ranks.begin(), ranks.end(), [=](const Sent &one) { return one.rank == rank; });
    if (entry == ranks.end()) return false;
    *since = entry->since;
    ranks.erase(entry);
    if (ranks.empty()) sent_.erase(found);
    --sent_count_[static_cast<size_t>(rank)];
    return true;
}

void Schedule::drop_sent(int rank) {
    std::vector<int64_t> tasks;
    for (const auto &[task, ranks] : sent_) tasks.push_back(task);
    double since = 0;
    for (const int64_t task : tasks)
        if (take_back(rank, task, &since)) queue(task);
}

void Schedule::finish(int64_t task) {
    at(task).phase = Phase::kDone;
    unqueue(task);
    ++done_count_;
}

Schedule::Use Schedule::came(int rank, int64_t task, double compute_s, double now) {
    Member &member = roster_[static_cast<size_t>(rank)];
    double since = now;
    if (take_back(rank, task, &since)) {
        smooth(member.turnaround_s, now - since);
        smooth(member.task_s, compute_s);
    }
    Task &one = at(task);
    if (!expects(rank, task)) {
        queue(task);
        return Use::kIgnore;
    }
    if (one.failed_by > 0) ++roster_[static_cast<size_t>(one.failed_by)].strikes;
    one.failed_by = -1;
    if (one.phase == Phase::kJudge) return Use::kJudge;
    if (one.phase == Phase::kSecond) {
        one.second = rank;
        unqueue(task);
        return Use::kCompare;
    }
    one.first = rank;
    if (!is_chosen(task)) {
        finish(task);
        return Use::kFinal;
    }
    unqueue(task);
    one.phase = Phase::kSecond;
    queue(task);
    return Use::kFirst;
}

bool Schedule::failed(int rank, int64_t task) {
    double since = 0;
    take_back(rank, task, &since);
    if (!expects(rank, task)) {
        queue(task);
        return false;
    }
    at(task).only_home = true;
    at(task).failed_by = rank;
    queue(task);
    return rank == 0;
}

void Schedule::abandon(int64_t task) {
    if (const auto found = sent_.extract(task))
        for (const Sent &one : found.mapped()) --sent_count_[static_cast<size_t>(one.rank)];
    finish(task);
}

void Schedule::agreed(int64_t task) {
    ++verified_count_;
    finish(task);
}

void Schedule::disagreed(int64_t task) {
    at(task).phase = Phase::kJudge;
    queue(task);
}

void Schedule::judged(int64_t task) {
    ++verified_count_;
    at(task).first = 0;
    finish(task);
}

std::pair<int, int> Schedule::parties(int64_t task) const {
    return {at(task).first, at(task).second};
}

std::vector<int64_t> Schedule::exclude(int rank) {
    roster_[static_cast<size_t>(rank)].is_excluded = true;
    drop_sent(rank);
    std::vector<int64_t> withdrawn;
    for (int64_t task = 0; task < task_count(); ++task) {
        Task &one = at(task);
        if (one.first != rank || (one.phase != Phase::kDone && one.phase != Phase::kSecond))
            continue;
        if (one.phase == Phase::kDone) {
            withdrawn.push_back(task);
            --done_count_;
        }
        unqueue(task);
        one.phase = Phase::kTodo;
        one.first = -1;
        queue(task);
    }
    return withdrawn;
}

void Schedule::set_quiet(int rank) {
    roster_[static_cast<size_t>(rank)].is_quiet = true;
    drop_sent(rank);
}

std::set<int> Schedule::contributors() const {
    std::set<int> ranks;
    for (const Task &task : tasks_)
        if (task.first >= 0) ranks.insert(task.first);
    return ranks;
}

}  // namespace ranks
