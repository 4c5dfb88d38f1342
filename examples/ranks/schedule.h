// SPDX-License-Identifier: BSD-3-Clause
// Which rank does which task of one job. Pure decisions: no MPI, no clock of its own, so that a
// test can play lost, slow and lying ranks. Rank 0 is at home and is believed; the others may be
// anybody's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace ranks {

// One rank, over all jobs of a run. Times are seconds on one clock.
struct Member {
    bool is_quiet = true;  // not heard of yet, or not for too long; gets nothing until it speaks
    bool is_excluded = false;  // lied, or spoke nonsense: gets nothing, and is not listened to
    double heard = 0;          // when it last said anything
    int threads = 1;           // tasks that it computes at once
    double task_s = 0;         // what it takes for one, smoothed; 0: not known
    double turnaround_s = 0;   // from sending to result, smoothed
    int strikes = 0;           // tasks that it failed at and rank 0 did not
    bool is_usable() const { return !is_quiet && !is_excluded; }
};
using Roster = std::vector<Member>;

inline constexpr int kStrikesMax = 3;  // then it is of no use

struct VerifyPlan {
    double share = 0;   // of the tasks, 0 … 1
    uint64_t seed = 0;  // which ones: nobody can know who was not told
};

class Schedule {
public:
    // What to do with a result.
    enum class Use {
        kIgnore,   // too late, or of somebody who lied
        kFinal,    // is the task's
        kFirst,    // keep: another rank computes it once more
        kCompare,  // with what was kept; then agreed() or disagreed()
        kJudge     // rank 0's word on a task that was disagreed on; then judged()
    };

    // `roster` is the caller's, and outlives this. `done`: tasks that need not be computed.
    Schedule(const std::vector<bool> &done, Roster &roster, VerifyPlan verify);

    bool is_finished() const { return done_count_ == static_cast<int64_t>(tasks_.size()); }
    int64_t done_count() const { return done_count_; }
    int64_t task_count() const { return static_cast<int64_t>(tasks_.size()); }
    int64_t verified_count() const { return verified_count_; }

    // A task for a rank, if it should have another one now. It counts as sent.
    std::optional<int64_t> next(int rank, double now);
    // It was once: an answer to anything else comes from somebody who makes it up, and is ignored.
    bool was_given(int rank, int64_t task) const;
    // What the rank says of the task now would be used.
    bool expects(int rank, int64_t task) const;
    Use came(int rank, int64_t task, double compute_s, double now);
    // The rank could not compute it. True: rank 0 could not either, so nobody can.
    bool failed(int rank, int64_t task);
    // Nobody will do it: it counts as done.
    void abandon(int64_t task);
    void agreed(int64_t task);
    void disagreed(int64_t task);
    void judged(int64_t task);

    // The two ranks that disagree on a task.
    std::pair<int, int> parties(int64_t task) const;
    // Nothing of this rank counts any more. The tasks that are not done now, though they were.
    std::vector<int64_t> exclude(int rank);
    // Its tasks go to others; a word from it, and it is back.
    void set_quiet(int rank);

    // Ranks whose results were taken.
    std::set<int> contributors() const;

private:
    enum class Phase : uint8_t { kTodo, kSecond, kJudge, kDone };
    struct Task {
        Phase phase = Phase::kTodo;
        bool only_home = false;  // another rank failed at it
        int first = -1;          // whose result is kept, or was taken
        int second = -1;
        int failed_by = -1;
        std::vector<int> given;  // to other ranks than 0
    };
    struct Sent {
        int rank;
        double since;
    };

    bool is_chosen(int64_t task) const;
    int usable_count() const;
    int64_t waiting_count() const;
    int allowed(int rank) const;
    bool may_have(int rank, int64_t task) const;
    bool is_sent_to(int rank, int64_t task) const;
    bool take_back(int rank, int64_t task, double *since);
    std::optional<int64_t> straggler(int rank, double now) const;
    void queue(int64_t task);
    void unqueue(int64_t task);
    void finish(int64_t task);
    void send(int rank, int64_t task, double now);
    void drop_sent(int rank);
    Task &at(int64_t task) { return tasks_[static_cast<size_t>(task)]; }
    const Task &at(int64_t task) const { return tasks_[static_cast<size_t>(task)]; }

    Roster &roster_;
    VerifyPlan verify_;
    std::vector<Task> tasks_;
    std::set<int64_t> waiting_[3];  // by phase: not done, and with nobody
    std::map<int64_t, std::vector<Sent>> sent_;
    std::vector<int> sent_count_;  // by rank
    int64_t done_count_ = 0;
    int64_t verified_count_ = 0;
};

}  // namespace ranks
