// SPDX-License-Identifier: BSD-3-Clause
#include "examples/task_farm/task_farm.h"

#include <algorithm>
#include <climits>
#include <cstdio>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "examples/ranks/link.h"
#include "examples/ranks/pool.h"
#include "examples/ranks/process.h"
#include "examples/ranks/schedule.h"

namespace task_farm {
namespace {

using ranks::Link;
using ranks::Message;
using ranks::News;
using ranks::now_s;
using ranks::Word;

constexpr double kSilentSeconds = 20;  // a rank that says nothing for so long is not counted on
constexpr size_t kReasonBytesMax = 1000;

// A kResult or a kFailed, from here or from another rank.
using Answer = Message;

Answer failure(uint64_t job, int64_t task, const std::string &why) {
    Answer answer = ranks::text_message(Word::kFailed, why.empty() ? "failed" : why);
    answer.header.job = job;
    answer.header.task = task;
    return answer;
}

// Where tasks are done, on rank 0 and on the others alike.
class Workshop {
public:
    Workshop(MakeWork make_work, int threads) : make_work_(std::move(make_work)), pool_(threads) {}

    void start(uint64_t number, Bytes shared) {
        job_ = std::make_shared<Job>(number, std::move(shared), make_work_);
        pool_.clear();
    }
    void add(int64_t task, Bytes bytes) {
        pool_.add(
            [job = job_, task, bytes = std::move(bytes)] { return job->work_on(task, bytes); });
    }
    std::optional<Answer> take() { return pool_.take(); }
    int threads() const { return pool_.threads(); }
    void abandon() { pool_.abandon(); }

private:
    class Job {
    public:
        Job(uint64_t number, Bytes shared, const MakeWork &make_work)
            : number_(number), shared_(std::move(shared)), make_work_(make_work) {}

        Answer work_on(int64_t task, const Bytes &bytes) {
            const double begin = now_s();
            try {
                Work work = a_work();
                Answer answer{{.word = Word::kResult, .job = number_, .task = task}, work(bytes)};
                keep(std::move(work));
                if (answer.bytes.size() > INT_MAX)
                    throw std::runtime_error("the result is too large to be sent");
                answer.header.seconds = now_s() - begin;
                return answer;
            } catch (const std::exception &problem) {
                return failure(number_, task, problem.what());
            }
        }

    private:
        Work a_work() {
            {
                const std::lock_guard lock(mutex_);
                if (!idle_.empty()) {
                    Work work = std::move(idle_.back());
                    idle_.pop_back();
                    return work;
                }
            }
            return make_work_(shared_);
        }
        void keep(Work work) {
            const std::lock_guard lock(mutex_);
            idle_.push_back(std::move(work));
        }

        const uint64_t number_;
        const Bytes shared_;
        const MakeWork &make_work_;
        std::mutex mutex_;
        std::vector<Work> idle_;  // each of one thread at a time
    };

    const MakeWork make_work_;
    std::shared_ptr<Job> job_ = std::make_shared<Job>(0, Bytes(), make_work_);
    ranks::Pool<Answer> pool_;
};

class WorkshopServant : public ranks::Servant {
public:
    explicit WorkshopServant(const MakeWork &make_work) : workshop_(make_work, 1) {}

    int threads() const override { return workshop_.threads(); }
    void obey(const Message &message) override {
        if (message.header.word == Word::kJob)
            workshop_.start(message.header.job, message.bytes);
        else if (message.header.word == Word::kTask)
            workshop_.add(message.header.task, message.bytes);
    }
    std::optional<Message> answer() override { return workshop_.take(); }
    void abandon() override { workshop_.abandon(); }

private:
    Workshop workshop_;
};

}  // namespace

struct Ranks::Impl {
    Impl(const char *program, int count, int threads, const MakeWork &make_work)
        : name(program),
          here(make_work, threads),
          roster(static_cast<size_t>(count)),
          watch(roster, kSilentSeconds) {
        roster[0].is_quiet = false;
        roster[0].threads = threads;
        for (int rank = 1; rank < count; ++rank) links.push_back(std::make_unique<Link>(rank));
    }

    void run(const Tasks &of);
    void hand_out();
    bool collect();
    void look_around();
    News poll(int rank, Answer &answer);
    void accept(int rank, const Answer &answer);
    void drop(int64_t task, const std::string &why);
    void give_up(int rank, const char *why, bool for_good);
    int count() const { return static_cast<int>(roster.size()); }
    Link &link(int rank) { return *links[static_cast<size_t>(rank) - 1]; }

    const char *name;
    Workshop here;
    std::vector<std::unique_ptr<Link>> links;  // to rank 1 and the following ones
    ranks::Roster roster;
    ranks::Watch watch;
    uint64_t job = 0;
    uint64_t bytes_max = 0;        // results of an earlier job may still come
    const Tasks *tasks = nullptr;  // of this job; nullptr: between two
    std::optional<ranks::Schedule> schedule;
    std::map<int64_t, Bytes> made;  // and neither taken nor failed
};

void Ranks::Impl::run(const Tasks &of) {
    tasks = &of;
    bytes_max = std::max(bytes_max, of.result_bytes_max);
    ++job;
    schedule.emplace(std::vector<bool>(static_cast<size_t>(of.count)), roster, ranks::VerifyPlan{});
    here.start(job, of.shared);
    for (const auto &one : links) one->send({{.word = Word::kJob, .job = job}, of.shared});
    while (!schedule->is_finished()) {
        const bool moved = collect();
        hand_out();
        look_around();
        if (!moved) ranks::sleep_a_little();
    }
    made.clear();
    tasks = nullptr;
}

void Ranks::Impl::hand_out() {
    for (int rank = 0; rank < count(); ++rank) {
        if (rank != 0 && link(rank).is_full()) continue;
        const auto task = schedule->next(rank, now_s());
        if (!task) continue;
        if (!made.contains(*task)) {
            try {
                Bytes bytes = tasks->make(static_cast<int>(*task));
                if (bytes.size() > INT_MAX) throw std::runtime_error("too large to be sent");
                made[*task] = std::move(bytes);
            } catch (const std::exception &problem) {
                drop(*task, problem.what());
                continue;
            }
            look_around();
        }
        if (rank == 0)
            here.add(*task, made[*task]);
        else
            link(rank).send({{.word = Word::kTask, .job = job, .task = *task}, made[*task]});
    }
}

// This task will not be done.
void Ranks::Impl::drop(int64_t task, const std::string &why) {
    schedule->abandon(task);
    made.erase(task);
    tasks->failed(static_cast<int>(task), why);
}

News Ranks::Impl::poll(int rank, Answer &answer) {
    if (rank != 0) return link(rank).poll(answer, bytes_max);
    auto done = here.take();
    if (done) answer = std::move(*done);
    return done ? News::kResult : News::kNothing;
}

bool Ranks::Impl::collect() {
    bool moved = false;
    for (int rank = 0; rank < count(); ++rank) {
        Answer answer;
        const News news = poll(rank, answer);
        ranks::Member &member = roster[static_cast<size_t>(rank)];
        if (news == News::kNothing) {
            if (rank != 0 && link(rank).is_receiving(now_s())) member.heard = now_s();
            continue;
        }
        if (member.is_excluded) continue;
        moved = true;
        if (news == News::kNonsense) {
            give_up(rank, "says what makes no sense", true);
            continue;
        }
        member.heard = now_s();
        member.is_quiet = false;
        if (rank != 0) member.threads = link(rank).threads();
        if (news == News::kResult && tasks != nullptr && answer.header.job == job)
            accept(rank, answer);
    }
    return moved;
}

void Ranks::Impl::accept(int rank, const Answer &answer) {
    const int64_t task = answer.header.task;
    if (task < 0 || task >= schedule->task_count() || !schedule->was_given(rank, task))
        return give_up(rank, "answers what nobody asked it", true);
    if (answer.header.word == Word::kFailed) {
        if (!schedule->failed(rank, task)) return;
        return drop(task, ranks::printable(text_of(answer).substr(0, kReasonBytesMax)));
    }
    if (schedule->expects(rank, task)) {
        try {
            tasks->take(static_cast<int>(task), answer.bytes);
            made.erase(task);
        } catch (const std::exception &problem) {
            if (rank == 0) return drop(task, problem.what());
            return give_up(rank, problem.what(), true);
        }
    }
    schedule->came(rank, task, answer.header.seconds, now_s());
    for (int other = 1; rank == 0 && other < count(); ++other)
        if (roster[static_cast<size_t>(other)].strikes >= ranks::kStrikesMax)
            give_up(other, "fails at what works here", true);
}

void Ranks::Impl::give_up(int rank, const char *why, bool for_good) {
    if (roster[static_cast<size_t>(rank)].is_excluded) return;
    std::fprintf(stderr, "%s: rank %d (%s) %s: its tasks go to others\n", name, rank,
                 link(rank).host().c_str(), why);
    roster[static_cast<size_t>(rank)].is_excluded |= for_good;
    if (schedule) schedule->set_quiet(rank);
    roster[static_cast<size_t>(rank)].is_quiet = true;
}

void Ranks::Impl::look_around() {
    const double now = now_s();
    std::vector<int> silent;
    if (!watch.look(now, silent)) return;
    for (const int rank : silent) give_up(rank, "does not answer", false);
    if (watch.should_say_alive(now))
        for (const auto &one : links) one->say_alive();
}

Ranks::Ranks(const char *name, int count, int threads, const MakeWork &make_work)
    : impl_(std::make_unique<Impl>(name, count, threads, make_work)) {}

Ranks::~Ranks() {
    std::vector<Link *> links;
    for (const auto &one : impl_->links) links.push_back(one.get());
    send_home(links);
    impl_->here.abandon();
    // Not destroyed: MPI may still look at what was not sent, and threads at what they work on.
    impl_.release();  // NOLINT(bugprone-unused-return-value)
}

void Ranks::run(const Tasks &tasks) {
    impl_->run(tasks);
}

void Ranks::beside(const std::function<void()> &task) {
    ranks::beside(task, [this] {
        impl_->collect();
        impl_->look_around();
    });
}

void program(int argc, char **argv, const char *name, const std::function<int(Ranks &)> &lead,
             const MakeWork &make_work) {
    ranks::program(argc, argv, name, [&](int rank, int count) {
        if (rank != 0)
            return ranks::serve_rank_0(std::make_unique<WorkshopServant>(make_work), INT_MAX);
        Ranks all(name, count, ranks::is_launched() ? 1 : ranks::processor_count(), make_work);
        return lead(all);
    });
}

int explain(const char *name, const std::string &why, const char *usage) {
    if (!why.empty()) std::fprintf(stderr, "%s: %s\n", name, why.c_str());
    std::fputs(usage, why.empty() ? stdout : stderr);
    return why.empty() ? 0 : 2;
}

}  // namespace task_farm
