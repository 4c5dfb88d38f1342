// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/schedule.h"

#include <algorithm>
#include <cmath>

namespace hpips {
namespace {

constexpr double kAheadSeconds = 0.5;  // so much work lies ready at each rank, at least one tile
constexpr int kAheadMax = 16;
constexpr double kStragglerSeconds = 3;           // nothing younger is given to a second rank
constexpr double kUnknownTurnaroundSeconds = 10;  // of a rank without a result so far
constexpr double kStragglerTurnarounds = 3;
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
    : roster_(roster), verify_(verify), tiles_(done.size()), sent_count_(roster.size()) {
    for (size_t i = 0; i < done.size(); ++i) {
        if (done[i]) {
            tiles_[i].phase = Phase::kDone;
            ++done_count_;
        } else {
            waiting_[0].insert(waiting_[0].end(), static_cast<int64_t>(i));
        }
    }
}

bool Schedule::is_chosen(int64_t tile) const {
    const uint64_t draw = scrambled(verify_.seed ^ scrambled(static_cast<uint64_t>(tile)));
    return static_cast<double>(draw >> 11) * 0x1p-53 < verify_.share;
}

int Schedule::usable_count() const {
    return static_cast<int>(
        std::count_if(roster_.begin(), roster_.end(), [](auto &one) { return one.is_usable(); }));
}

int64_t Schedule::waiting_count() const {
    int64_t count = 0;
    for (const auto &tiles : waiting_) count += static_cast<int64_t>(tiles.size());
    return count;
}

// Guided: much at first, so that nobody waits for the network; towards the end no more than a
// rank's share of what is left, so that none is waited for.
int Schedule::allowed(int rank) const {
    const Member &member = roster_[static_cast<size_t>(rank)];
    int ahead = 1;
    if (member.tile_s > 0)
        ahead = static_cast<int>(std::clamp(kAheadSeconds * member.threads / member.tile_s, 1.0,
                                            static_cast<double>(kAheadMax)));
    const int64_t share = (waiting_count() + 1) / (2 * std::max(1, usable_count()));
    return static_cast<int>(
        std::min<int64_t>(member.threads + ahead, std::max<int64_t>(member.threads, share)));
}

bool Schedule::may_have(int rank, int64_t tile) const {
    const Tile &one = at(tile);
    if (one.phase == Phase::kJudge || one.only_home) return rank == 0;
    // A second opinion is another rank's, unless there is no other.
    return one.phase != Phase::kSecond || one.first != rank || usable_count() <= 1;
}

bool Schedule::is_sent_to(int rank, int64_t tile) const {
    const auto found = sent_.find(tile);
    return found != sent_.end() && std::any_of(found->second.begin(), found->second.end(),
                                               [=](const Sent &one) { return one.rank == rank; });
}

std::optional<int64_t> Schedule::next(int rank, double now) {
    const auto index = static_cast<size_t>(rank);
    if (!roster_[index].is_usable() || sent_count_[index] >= allowed(rank)) return {};
    for (const Phase phase : {Phase::kJudge, Phase::kSecond, Phase::kTodo})
        for (const int64_t tile : waiting_[static_cast<int>(phase)])
            if (may_have(rank, tile)) {
                send(rank, tile, now);
                return tile;
            }
    const auto late = sent_count_[index] == 0 ? straggler(rank, now) : std::nullopt;
    if (late) send(rank, *late, now);
    return late;
}

// The tile that somebody has had for longest, and for too long.
std::optional<int64_t> Schedule::straggler(int rank, double now) const {
    std::optional<int64_t> latest;
    double earliest = now;
    for (const auto &[tile, ranks] : sent_) {
        if (ranks.size() != 1 || !may_have(rank, tile) || is_sent_to(rank, tile)) continue;
        const Sent &sent = ranks.front();
        const Member &owner = roster_[static_cast<size_t>(sent.rank)];
        const double usual = owner.turnaround_s > 0 ? kStragglerTurnarounds * owner.turnaround_s
                                                    : kUnknownTurnaroundSeconds;
        if (now - sent.since < std::max(kStragglerSeconds, usual) || sent.since >= earliest)
            continue;
        earliest = sent.since;
        latest = tile;
    }
    return latest;
}

void Schedule::queue(int64_t tile) {
    const Phase phase = at(tile).phase;
    if (phase != Phase::kDone && !sent_.contains(tile))
        waiting_[static_cast<int>(phase)].insert(tile);
}

void Schedule::unqueue(int64_t tile) {
    for (auto &tiles : waiting_) tiles.erase(tile);
}

void Schedule::send(int rank, int64_t tile, double now) {
    unqueue(tile);
    sent_[tile].push_back({rank, now});
    ++sent_count_[static_cast<size_t>(rank)];
}

bool Schedule::take_back(int rank, int64_t tile, double *since) {
    const auto found = sent_.find(tile);
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
    std::vector<int64_t> tiles;
    for (const auto &[tile, ranks] : sent_) tiles.push_back(tile);
    double since = 0;
    for (const int64_t tile : tiles)
        if (take_back(rank, tile, &since)) queue(tile);
}

void Schedule::finish(int64_t tile) {
    at(tile).phase = Phase::kDone;
    unqueue(tile);
    ++done_count_;
}

Schedule::Use Schedule::came(int rank, int64_t tile, double compute_s, double now) {
    Member &member = roster_[static_cast<size_t>(rank)];
    double since = now;
    if (take_back(rank, tile, &since)) {
        smooth(member.turnaround_s, now - since);
        smooth(member.tile_s, compute_s);
    }
    Tile &one = at(tile);
    const bool counts = !member.is_excluded && one.phase != Phase::kDone && may_have(rank, tile);
    if (!counts) {
        queue(tile);
        return Use::kIgnore;
    }
    if (one.phase == Phase::kJudge) return Use::kJudge;
    if (one.phase == Phase::kSecond) {
        one.second = rank;
        unqueue(tile);
        return Use::kCompare;
    }
    one.first = rank;
    if (!is_chosen(tile)) {
        finish(tile);
        return Use::kFinal;
    }
    unqueue(tile);
    one.phase = Phase::kSecond;
    queue(tile);
    return Use::kFirst;
}

bool Schedule::failed(int rank, int64_t tile) {
    double since = 0;
    take_back(rank, tile, &since);
    if (at(tile).phase == Phase::kDone) return false;
    at(tile).only_home = true;
    queue(tile);
    return rank == 0;
}

void Schedule::agreed(int64_t tile) {
    ++verified_count_;
    finish(tile);
}

void Schedule::disagreed(int64_t tile) {
    at(tile).phase = Phase::kJudge;
    queue(tile);
}

void Schedule::judged(int64_t tile) {
    ++verified_count_;
    at(tile).first = 0;
    finish(tile);
}

std::pair<int, int> Schedule::parties(int64_t tile) const {
    return {at(tile).first, at(tile).second};
}

std::vector<int64_t> Schedule::exclude(int rank) {
    roster_[static_cast<size_t>(rank)].is_excluded = true;
    drop_sent(rank);
    std::vector<int64_t> withdrawn;
    for (int64_t tile = 0; tile < tile_count(); ++tile) {
        Tile &one = at(tile);
        if (one.first != rank || (one.phase != Phase::kDone && one.phase != Phase::kSecond))
            continue;
        if (one.phase == Phase::kDone) {
            withdrawn.push_back(tile);
            --done_count_;
        }
        unqueue(tile);
        one.phase = Phase::kTodo;
        one.first = -1;
        queue(tile);
    }
    return withdrawn;
}

void Schedule::set_quiet(int rank) {
    roster_[static_cast<size_t>(rank)].is_quiet = true;
    drop_sent(rank);
}

std::set<int> Schedule::contributors() const {
    std::set<int> ranks;
    for (const Tile &tile : tiles_)
        if (tile.first >= 0) ranks.insert(tile.first);
    return ranks;
}

}  // namespace hpips
