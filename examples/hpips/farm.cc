// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/farm.h"

#include <cmath>
#include <cstring>

#include "examples/hpips/exact.h"
#include "examples/ranks/process.h"

namespace hpips {
namespace {

using ranks::now_s;
using ranks::Schedule;

std::vector<ranks::Link *> links_of(const std::vector<std::unique_ptr<Worker>> &workers) {
    std::vector<ranks::Link *> links;
    for (const auto &worker : workers)
        if (worker->link() != nullptr) links.push_back(worker->link());
    return links;
}

}  // namespace

// One image while it is computed.
struct Farm::Current {
    Image &image;
    const Plan &plan;
    TileStore &store;
    Schedule schedule;
    int64_t kept;
    std::map<int64_t, cv::Mat> second_opinions;  // of tiles that were disagreed on
};

bool are_same(const cv::Mat &one, const cv::Mat &other, double tolerance) {
    if (one.size() != other.size() || one.type() != other.type()) return false;
    if (tolerance <= 0) {
        for (int y = 0; y < one.rows; ++y)
            if (std::memcmp(one.ptr(y), other.ptr(y), one.cols * one.elemSize()) != 0) return false;
        return true;
    }
    const cv::Mat a = to_float(one);
    const cv::Mat b = to_float(other);
    const int count = a.cols * a.channels();
    for (int y = 0; y < a.rows; ++y)
        for (int i = 0; i < count; ++i) {
            const float x = a.ptr<float>(y)[i];
            const float z = b.ptr<float>(y)[i];
            const bool both_nan = std::isnan(x) && std::isnan(z);
            if (!(std::abs(x - z) <= tolerance) && x != z && !both_nan) return false;
        }
    return true;
}

Farm::Farm(std::vector<std::unique_ptr<Worker>> workers, FarmOptions options, Progress &progress)
    : workers_(std::move(workers)),
      options_(options),
      progress_(progress),
      roster_(workers_.size()),
      watch_(roster_, options.silent_s),
      accounts_(workers_.size()) {
    roster_[0].is_quiet = false;
    roster_[0].threads = workers_[0]->threads();
    accounts_[0].host = workers_[0]->host();
}

int Farm::usable_count() const {
    int count = 0;
    for (const ranks::Member &member : roster_) count += member.is_usable() ? 1 : 0;
    return count;
}

std::string Farm::rank_text(int rank) const {
    return "rank " + std::to_string(rank) + " (" + accounts_[static_cast<size_t>(rank)].host + ")";
}

void Farm::wait_for_hellos(double seconds) {
    const double until = now_s() + seconds;
    while (usable_count() < rank_count() && now_s() < until) {
        if (!collect(nullptr)) ranks::sleep_a_little();
        tick(nullptr);
    }
}

void Farm::beside(const std::function<void()> &task) {
    ranks::beside(
        [&task] {
            set_arithmetic();
            task();
        },
        [this] {
            collect(nullptr);
            tick(nullptr);
        });
}

void Farm::end() {
    send_home(links_of(workers_));
}

bool Farm::collect(Current *current) {
    bool moved = false;
    for (int rank = 0; rank < rank_count(); ++rank) {
        ranks::Member &member = roster_[static_cast<size_t>(rank)];
        TileResult result;
        Worker &worker = *workers_[static_cast<size_t>(rank)];
        const ranks::News news = worker.poll(result);
        if (news == ranks::News::kNothing) {
            if (worker.link() != nullptr && worker.link()->is_receiving(now_s()))
                member.heard = now_s();
            continue;
        }
        if (member.is_excluded) continue;
        moved = true;
        if (news == ranks::News::kNonsense) {
            give_up(current, rank, "says what makes no sense", true);
            continue;
        }
        member.heard = now_s();
        member.is_quiet = false;
        member.threads = worker.threads();
        accounts_[static_cast<size_t>(rank)].host = worker.host();
        accounts_[static_cast<size_t>(rank)].is_lost = false;
        if (news == ranks::News::kResult && current != nullptr && result.job == job_)
            accept(*current, rank, result);
    }
    return moved;
}

bool Farm::hand_out(Current &current) {
    bool moved = false;
    for (int rank = 0; rank < rank_count(); ++rank) {
        Worker &worker = *workers_[static_cast<size_t>(rank)];
        if (worker.link() != nullptr && worker.link()->is_full()) continue;
        const auto tile = current.schedule.next(rank, now_s());
        if (!tile) continue;
        const cv::Rect place = current.store.grid().tile(*tile);
        worker.give(*tile, current.image.read(current.plan.input_region(place)));
        tick(&current);
        moved = true;
    }
    return moved;
}

void Farm::give_up(Current *current, int rank, const std::string &why, bool for_good) {
    if (roster_[static_cast<size_t>(rank)].is_excluded) return;
    progress_.say(rank_text(rank) + " " + why + ": its tiles go to others");
    accounts_[static_cast<size_t>(rank)].is_lost = true;
    roster_[static_cast<size_t>(rank)].is_quiet = true;
    roster_[static_cast<size_t>(rank)].is_excluded |= for_good;
    if (current != nullptr) current->schedule.set_quiet(rank);
}

void Farm::tick(Current *current) {
    const double now = now_s();
    std::vector<int> silent;
    if (!watch_.look(now, silent)) return;
    for (const int rank : silent) give_up(current, rank, "does not answer", false);
    for (int rank = 1; rank < rank_count(); ++rank)
        if (roster_[static_cast<size_t>(rank)].strikes >= ranks::kStrikesMax)
            give_up(current, rank, "fails at what works here", true);
    if (watch_.should_say_alive(now))
        for (ranks::Link *link : links_of(workers_)) link->say_alive();
    if (current == nullptr) return;
    const double side = current->store.grid().side();
    progress_.update(current->schedule.done_count(), current->kept, current->schedule.task_count(),
                     side * side, usable_count(), now);
}

Farm::Outcome Farm::compute(Image &image, const std::shared_ptr<const Plan> &plan,
                            TileStore &store) {
    ++job_;
    Current current{
        image, *plan, store, Schedule(store.done(), roster_, options_.verify), store.done_count(),
        {}};
    if (current.schedule.is_finished()) return {};
    image.expect_rows(plan->input_region(store.grid().tile(0)).height + 2 * plan->radius());
    // Some formats are decoded as a whole at the first look.
    beside([&] { image.read({0, 0, 1, 1}); });
    for (const auto &worker : workers_) worker->start(job_, plan, store.grid());
    while (!current.schedule.is_finished()) {
        bool moved = collect(&current);
        moved |= hand_out(current);
        tick(&current);
        if (!moved) ranks::sleep_a_little();
    }
    return {current.schedule.contributors(), current.schedule.verified_count()};
}

void Farm::accept(Current &current, int rank, const TileResult &result) {
    if (!current.schedule.was_given(rank, result.tile))
        return give_up(&current, rank, "answers what nobody asked it", true);
    if (!result.error.empty()) {
        if (current.schedule.failed(rank, result.tile)) throw Failure(result.error);
        return;
    }
    switch (current.schedule.came(rank, result.tile, result.seconds, now_s())) {
        case Schedule::Use::kIgnore: return;
        case Schedule::Use::kFinal:
            keep(current, rank, result);
            current.store.mark_done(result.tile, result.pixels);
            return;
        case Schedule::Use::kFirst: keep(current, rank, result); return;
        case Schedule::Use::kCompare: compare(current, rank, result); return;
        case Schedule::Use::kJudge: judge(current, result); return;
    }
}

void Farm::keep(Current &current, int rank, const TileResult &result) {
    RankAccount &account = accounts_[static_cast<size_t>(rank)];
    ++account.tiles;
    account.pixels += static_cast<double>(result.pixels.total());
    account.compute_s += result.seconds;
    current.store.write(result.tile, result.pixels);
}

void Farm::compare(Current &current, int rank, const TileResult &result) {
    accounts_[static_cast<size_t>(rank)].compute_s += result.seconds;
    const cv::Mat first = current.store.read_tile(result.tile);
    if (are_same(first, result.pixels, current.plan.pipeline().tolerance())) {
        current.schedule.agreed(result.tile);
        current.store.mark_done(result.tile, first);
        return;
    }
    current.second_opinions[result.tile] = result.pixels;
    current.schedule.disagreed(result.tile);
}

// Rank 0 has computed it (once more). It is at home: what it says twice is true, whatever the
// others agree on, as they may all be one person's.
void Farm::judge(Current &current, const TileResult &result) {
    const double tolerance = current.plan.pipeline().tolerance();
    const auto [first, second] = current.schedule.parties(result.tile);
    const bool first_is_odd =
        !are_same(current.store.read_tile(result.tile), result.pixels, tolerance);
    const bool second_is_odd =
        !are_same(current.second_opinions[result.tile], result.pixels, tolerance);
    current.second_opinions.erase(result.tile);
    if ((first == 0 || second == 0) && first_is_odd && second_is_odd)
        throw Failure(
            "this computer had two results for one tile: an operator is not exact, or a "
            "part of this computer is broken");
    current.store.write(result.tile, result.pixels);
    current.store.mark_done(result.tile, result.pixels);
    current.schedule.judged(result.tile);
    if (first_is_odd) name_odd(current, first, result.tile);
    if (second_is_odd && second != first) name_odd(current, second, result.tile);
}

void Farm::name_odd(Current &current, int rank, int64_t tile) {
    progress_.say(rank_text(rank) + " computed tile " + std::to_string(tile) +
                  " otherwise than two others" +
                  (rank == 0 ? ": a part of this computer may be broken"
                             : ": all that came from it is computed anew"));
    accounts_[static_cast<size_t>(rank)].is_odd = true;
    odd_.insert(rank);
    if (rank == 0) return;
    for (const int64_t withdrawn : current.schedule.exclude(rank))
        current.store.withdraw(withdrawn);
}

}  // namespace hpips
