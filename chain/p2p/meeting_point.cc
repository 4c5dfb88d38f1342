// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/meeting_point.h"

#include <algorithm>

#include "chain/base/log.h"
#include "chain/p2p/hello.h"
#include "chain/p2p/limits.h"

namespace chain::p2p {

void MeetingPoint::take_willing(const PublicKey &peer, const wire::Willing &willing) {
    if (willing.willing())
        willing_.insert(peer);
    else
        willing_.erase(peer);
}

// Its own session must not come by a relay: it could not connect here.
bool MeetingPoint::is_here(const PublicKey &sought, const PublicKey &seeker) const {
    return sought != seeker && willing_.contains(sought) && network_.seen_at(sought).has_value();
}

bool MeetingPoint::may_ask(const PublicKey &seeker) {
    const std::uint64_t now_ms = clock_.steady_ms();
    TokenBucket &bucket =
        questions_.try_emplace(seeker, kMeetingQuestionsPerSecond, kMeetingQuestionsBurst, now_ms)
            .first->second;
    return bucket.try_take(1, now_ms);
}

void MeetingPoint::take_seek(const PublicKey &seeker, const wire::Seek &seek) {
    if (!may_ask(seeker)) return;
    const PublicKey sought = key_of(seek.node_key());
    wire::MeetingMessage message;
    wire::Found &found = *message.mutable_found();
    found.set_node_key(seek.node_key());
    found.set_here(is_here(sought, seeker));
    if (found.here() && network_.relays() && relay_.has_room(seeker)) {
        found.set_relays(true);
        *found.mutable_terms() = policy_.terms(seeker);
    }
    static_cast<void>(network_.send_meeting(seeker, message));
}

bool MeetingPoint::may_meet(const PublicKey &seeker, const PublicKey &sought) {
    const std::uint64_t now_ms = clock_.steady_ms();
    if (pairs_paid_ms_.size() >= kMeetingPairsMax)
        std::erase_if(pairs_paid_ms_, [&](const auto &entry) { return entry.second <= now_ms; });
    const auto pair = std::pair(seeker, sought);
    if (pairs_paid_ms_.size() >= kMeetingPairsMax && !pairs_paid_ms_.contains(pair)) return false;
    std::uint64_t &paid_ms = pairs_paid_ms_[pair];
    const std::uint64_t due_ms = std::max(paid_ms, now_ms) + kMeetingsOfPairEveryMs;
    if (due_ms > now_ms + kMeetingsOfPairBurst * kMeetingsOfPairEveryMs) return false;
    paid_ms = due_ms;
    return true;
}

Result<wire::Arranged> MeetingPoint::arrange(const PublicKey &seeker, const wire::Meet &meet) {
    const std::uint64_t now_ms = clock_.steady_ms();
    std::erase_if(arrangements_,
                  [&](const auto &entry) { return entry.second.until_ms <= now_ms; });
    const PublicKey sought = key_of(meet.node_key());
    const Bytes32 meeting = key_of(meet.meeting());
    if (!is_here(sought, seeker)) return make_error(ErrorCode::kRefused, "no such peer is here");
    if (arrangements_.size() >= kMeetingsRememberedMax || arrangements_.contains(meeting) ||
        !may_ask(seeker) || !may_meet(seeker, sought))
        return make_error(ErrorCode::kRefused, "too many meetings were asked for");
    wire::MeetingMessage message;
    wire::Invitation &invitation = *message.mutable_invitation();
    invitation.set_meeting(meet.meeting());
    invitation.set_seeker(to_bytes(seeker));
    auto call = network_.seen_at(seeker);
    if (call && meet.call_port() != 0) {
        call->port = static_cast<std::uint16_t>(meet.call_port());
        write_address(*call, *invitation.mutable_call());
    }
    wire::Arranged arranged;
    arranged.set_meeting(meet.meeting());
    std::uint64_t number = 0;
    if (meet.relay()) {
        if (!network_.relays()) return make_error(ErrorCode::kRefused, "nothing is carried here");
        CHAIN_ASSIGN(const Relay::Grant grant, relay_.grant(seeker, sought));
        number = grant.number;
        invitation.set_relay_token(to_bytes(grant.sought_token));
        arranged.set_relay_token(to_bytes(grant.seeker_token));
    } else if (!invitation.has_call()) {
        return make_error(ErrorCode::kRefused, "there is no way for them to meet");
    }
    if (!network_.send_meeting(sought, message).ok()) {
        relay_.revoke(number);
        return make_error(ErrorCode::kRefused, "the peer cannot be told now");
    }
    arrangements_[meeting] = {seeker, sought, number, now_ms + kRelayTokenMs};
    log(LogLevel::kDebug, "p2p", "peer ", short_hex(sought), " is told that ", short_hex(seeker),
        " seeks it");
    return arranged;
}

void MeetingPoint::take_meet(const PublicKey &seeker, const wire::Meet &meet) {
    auto arranged = arrange(seeker, meet);
    wire::MeetingMessage message;
    if (arranged.ok()) {
        *message.mutable_arranged() = std::move(*arranged);
    } else {
        message.mutable_declined()->set_meeting(meet.meeting());
        message.mutable_declined()->set_reason(arranged.error().message);
    }
    static_cast<void>(network_.send_meeting(seeker, message));
}

void MeetingPoint::take_declined(const PublicKey &sought, const wire::Declined &declined) {
    const auto found = arrangements_.find(key_of(declined.meeting()));
    if (found == arrangements_.end() || found->second.sought != sought) return;
    const Arrangement arrangement = found->second;
    arrangements_.erase(found);
    relay_.revoke(arrangement.relay);
    wire::MeetingMessage message;
    message.mutable_declined()->set_meeting(declined.meeting());
    message.mutable_declined()->set_reason(printable(declined.reason(), kMaxByeBytes));
    static_cast<void>(network_.send_meeting(arrangement.seeker, message));
}

// Its bucket stays for as long as it is not full, or a new session would bring a full one; what is
// carried for it goes on.
void MeetingPoint::peer_gone(const PublicKey &peer) {
    willing_.erase(peer);
    std::erase_if(questions_,
                  [&](auto &entry) { return entry.second.is_full(clock_.steady_ms()); });
}

}  // namespace chain::p2p
