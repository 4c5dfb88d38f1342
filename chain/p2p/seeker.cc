// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/seeker.h"

#include <algorithm>

#include "chain/p2p/hello.h"
#include "chain/p2p/limits.h"
#include "chain/p2p/preamble.h"
#include "chain/p2p/random.h"

namespace chain::p2p {

Seeker::Seeker(Loop &loop, const Clock &clock, MeetingNetwork &network, Caller &caller,
               RelayPolicy &policy)
    : loop_(loop), clock_(clock), network_(network), caller_(caller), policy_(policy) {}

Seeker::~Seeker() {
    *alive_ = false;
}

std::uint64_t Seeker::seek(const PublicKey &sought, bool may_relay, Done done) {
    const std::uint64_t number = next_++;
    const bool full = searches_.size() >= kSearchesMax;
    Search &search = searches_[number];
    search.sought = sought;
    search.may_relay = may_relay;
    search.done = std::move(done);
    const auto fail_soon = [&](ErrorCode code, const std::string &why) {
        search.timer =
            loop_.after_ms(0, [this, number, code, why] { finish(number, make_error(code, why)); });
        return number;
    };
    if (full) return fail_soon(ErrorCode::kRefused, "too many peers are being sought");
    if (was_vain(sought))
        return fail_soon(ErrorCode::kPeerLost, "it was sought a moment ago, and not met");
    std::vector<PublicKey> points = network_.meeting_points();
    std::erase(points, sought);
    keep_random(points, kMeetingPointsMax);
    wire::MeetingMessage message;
    message.mutable_seek()->set_node_key(to_bytes(sought));
    for (const PublicKey &point : points)
        if (network_.send_meeting(point, message).ok()) search.unanswered.insert(point);
    if (search.unanswered.empty())
        return fail_soon(ErrorCode::kPeerLost, "there is no peer that could arrange a meeting");
    search.timer = loop_.after_ms(kFoundWaitMs, [this, number] {
        find(number)->unanswered.clear();
        next(number);
    });
    return number;
}

void Seeker::cancel(std::uint64_t number) {
    const auto found = searches_.find(number);
    if (found == searches_.end()) return;
    caller_.cancel(found->second.call);
    searches_.erase(found);
}

Seeker::Search *Seeker::find(std::uint64_t number) {
    const auto found = searches_.find(number);
    return found == searches_.end() ? nullptr : &found->second;
}

std::map<std::uint64_t, Seeker::Search>::iterator Seeker::arranged_by(const PublicKey &point,
                                                                      const std::string &meeting) {
    return std::find_if(searches_.begin(), searches_.end(), [&](const auto &entry) {
        const Search &search = entry.second;
        return search.is_asking && search.asked.point == point && search.call == 0 &&
               view_of(search.meeting) == meeting;
    });
}

// ---- who knows the sought

bool Seeker::is_of_use(Search &search, const wire::Found &found) const {
    if (!found.here()) return false;
    if (network_.call_port() != 0) return true;
    if (!search.may_relay || !found.relays()) {
        // What could be had for money is the better hint.
        if (search.last_reason.empty())
            search.last_reason = "neither side can be called, and who knows both carries nothing";
        return false;
    }
    const Status accepted = policy_.accepts(found.terms());
    if (!accepted.ok()) search.last_reason = "a relay: " + accepted.error().message;
    return accepted.ok();
}

void Seeker::take_found(const PublicKey &point, const wire::Found &found) {
    const PublicKey sought = key_of(found.node_key());
    std::vector<std::uint64_t> answered;
    for (auto &[number, search] : searches_)
        if (search.sought == sought && search.unanswered.erase(point) > 0)
            answered.push_back(number);
    for (const std::uint64_t number : answered) {
        Search &search = *find(number);
        if (is_of_use(search, found)) {
            const bool relays =
                found.relays() && search.may_relay && policy_.accepts(found.terms()).ok();
            search.candidates.push_back({point, relays, found.terms()});
        }
        if (!search.is_asking && (!search.candidates.empty() || search.unanswered.empty()))
            next(number);
    }
}

void Seeker::next(std::uint64_t number) {
    Search &search = *find(number);
    search.is_asking = false;
    if (search.candidates.empty() && search.unanswered.empty()) {
        remember_vain(search.sought);
        return finish(number, make_error(ErrorCode::kPeerLost, search.last_reason.empty()
                                                                   ? "no peer here knows it"
                                                                   : search.last_reason));
    }
    if (search.candidates.empty()) {
        search.timer = loop_.after_ms(kFoundWaitMs, [this, number] {
            find(number)->unanswered.clear();
            next(number);
        });
        return;
    }
    search.asked = std::move(search.candidates.front());
    search.candidates.pop_front();
    search.is_asking = true;
    search.is_arranged = false;
    search.meeting = new_token();
    search.call_port = network_.call_port();
    search.timer = loop_.after_ms(kPaymentWaitMs, [this, number] {
        give_up_point(number, "what its relay costs was not paid in time");
    });
    if (!search.asked.relays) return ask(number);
    const Bytes32 meeting = search.meeting;
    policy_.pay(search.asked.point, search.asked.terms,
                [this, alive = alive_, number, meeting](const Status &paid) {
                    if (!*alive) return;
                    const Search *of = find(number);
                    if (of == nullptr || of->meeting != meeting) return;
                    if (!paid.ok()) return give_up_point(number, paid.error().message);
                    ask(number);
                });
}

// ---- the meeting

void Seeker::ask(std::uint64_t number) {
    Search &search = *find(number);
    wire::MeetingMessage message;
    wire::Meet &meet = *message.mutable_meet();
    meet.set_node_key(to_bytes(search.sought));
    meet.set_meeting(to_bytes(search.meeting));
    meet.set_call_port(search.call_port);
    meet.set_relay(search.asked.relays);
    if (!network_.send_meeting(search.asked.point, message).ok())
        return give_up_point(number, "who was to arrange the meeting is gone");
    search.timer = loop_.after_ms(kArrangedWaitMs, [this, number] {
        give_up_point(number, "who was to arrange the meeting does not answer");
    });
}

void Seeker::give_up_point(std::uint64_t number, const std::string &why) {
    Search &search = *find(number);
    search.last_reason = why;
    caller_.cancel(std::exchange(search.call, 0));
    next(number);
}

void Seeker::take_arranged(const PublicKey &point, const wire::Arranged &arranged) {
    const auto found = arranged_by(point, arranged.meeting());
    if (found == searches_.end()) return;  // given up by now
    const std::uint64_t number = found->first;
    Search &search = found->second;
    if (std::exchange(search.is_arranged, true)) return;  // the time runs already
    if (arranged.relay_token().empty()) {
        // It has to get there and back, too.
        search.timer = loop_.after_ms(2 * kCallBackMs, [this, number] {
            give_up_point(number, "the peer was told of it, and does not call back");
        });
        return;
    }
    const Bytes32 token = key_of(arranged.relay_token());
    const std::uint64_t wait_ms = search.call_port != 0 ? kCallBackMs : 0;
    search.timer = loop_.after_ms(wait_ms, [this, number, token] { go_by_relay(number, token); });
}

void Seeker::go_by_relay(std::uint64_t number, const Bytes32 &token) {
    Search &search = *find(number);
    search.timer.cancel();
    const PublicKey point = search.asked.point;
    const auto address = network_.reached_at(point);
    if (!address) return give_up_point(number, "who was to arrange the meeting is gone");
    search.call = caller_.call(
        *address, token, kArrangedWaitMs,
        [this, number, point, address](Result<FileDescriptor> socket) {
            find(number)->call = 0;
            if (!socket.ok()) return give_up_point(number, "the relay " + socket.error().message);
            finish(number, MetSocket{std::move(*socket), {}, "relay " + to_text(*address), point});
        });
}

void Seeker::take_declined(const PublicKey &point, const wire::Declined &declined) {
    const auto found = arranged_by(point, declined.meeting());
    if (found == searches_.end()) return;
    give_up_point(found->first, printable(declined.reason(), kMaxByeBytes));
}

bool Seeker::take_call(const Bytes32 &token, MetSocket &met) {
    const auto found = std::find_if(searches_.begin(), searches_.end(), [&](const auto &entry) {
        return entry.second.is_asking && entry.second.call_port != 0 &&
               entry.second.meeting == token;
    });
    if (found == searches_.end()) return false;
    finish(found->first, std::move(met));
    return true;
}

void Seeker::peer_gone(const PublicKey &peer) {
    std::vector<std::uint64_t> waiting;
    for (auto &[number, search] : searches_) {
        const bool was_unanswered = search.unanswered.erase(peer) > 0;
        std::erase_if(search.candidates, [&](const Candidate &one) { return one.point == peer; });
        const bool asked = search.is_asking && search.asked.point == peer;
        const bool none_left = was_unanswered && search.unanswered.empty() && !search.is_asking;
        if (asked || none_left) waiting.push_back(number);
    }
    for (const std::uint64_t number : waiting)
        if (find(number) != nullptr)
            give_up_point(number, "who was to arrange the meeting is gone");
}

void Seeker::finish(std::uint64_t number, Result<MetSocket> outcome) {
    const Done done = std::move(find(number)->done);
    cancel(number);
    done(std::move(outcome));
}

// ---- who was not to be met

bool Seeker::was_vain(const PublicKey &sought) {
    const std::uint64_t now_ms = clock_.steady_ms();
    std::erase_if(vain_until_ms_, [&](const auto &entry) { return entry.second <= now_ms; });
    return vain_until_ms_.contains(sought);
}

void Seeker::remember_vain(const PublicKey &sought) {
    if (vain_until_ms_.size() < kVainSearchesMax)
        vain_until_ms_[sought] = clock_.steady_ms() + kSearchAgainMs;
}

}  // namespace chain::p2p
