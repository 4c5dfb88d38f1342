// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/sought.h"

#include "chain/base/log.h"
#include "chain/p2p/limits.h"

namespace chain::p2p {

void Sought::be_willing(bool willing, const std::vector<PublicKey> &peers) {
    if (std::exchange(willing_, willing) == willing) return;
    for (const PublicKey &peer : peers) tell(peer);
}

void Sought::tell(const PublicKey &peer) const {
    wire::MeetingMessage message;
    message.mutable_willing()->set_willing(willing_);
    static_cast<void>(network_.send_meeting(peer, message));
}

void Sought::peer_came(const PublicKey &peer) {
    if (willing_) tell(peer);
}

void Sought::peer_gone(const PublicKey &peer) {
    static_cast<void>(peer);
    std::erase_if(invitations_,
                  [&](auto &entry) { return entry.second.is_full(clock_.steady_ms()); });
}

std::string Sought::objection(const PublicKey &point) {
    const std::uint64_t now_ms = clock_.steady_ms();
    TokenBucket &bucket =
        invitations_.try_emplace(point, kInvitationsPerSecond, kInvitationsBurst, now_ms)
            .first->second;
    if (!bucket.try_take(1, now_ms)) return "the peer is sought too often";
    if (!willing_) return "the peer does not want to be met";
    if (answers_.size() >= kInvitationsMax) return "the peer is sought by too many";
    return {};
}

std::optional<PeerAddress> Sought::plausible_call(const PublicKey &point,
                                                  const wire::Invitation &invitation) const {
    if (!invitation.has_call()) return std::nullopt;
    const auto address = read_address(invitation.call());
    const auto point_address = network_.reached_at(point);
    if (!address.ok()) return std::nullopt;
    const Reach reach = reach_of(*address);
    const bool at_home =
        reach == Reach::kLoopback && point_address && reach_of(*point_address) == Reach::kLoopback;
    return reach == Reach::kPublic || at_home ? std::optional(*address) : std::nullopt;
}

void Sought::take_invitation(const PublicKey &point, const wire::Invitation &invitation) {
    const std::string why_not = objection(point);
    if (!why_not.empty()) return decline(point, invitation.meeting(), why_not);
    const std::uint64_t number = next_++;
    Answer &answer = answers_[number];
    answer.point = point;
    answer.seeker = key_of(invitation.seeker());
    answer.meeting = invitation.meeting();
    answer.relay_token = invitation.relay_token();
    const auto address = plausible_call(point, invitation);
    if (address)
        call_back(number, *address);
    else
        go_by_relay(number, "there is no way to the seeker");
}

void Sought::call_back(std::uint64_t number, const PeerAddress &address) {
    const Answer &answer = answers_.at(number);
    log(LogLevel::kDebug, "p2p", "calls back ", short_hex(answer.seeker), " at ", to_text(address));
    answers_.at(number).timer = loop_.after_ms(
        kCallBackMs, [this, number] { go_by_relay(number, "the seeker cannot be called"); });
    caller_.call(address, key_of(answer.meeting), kCallBackMs,
                 [this, number, address](Result<FileDescriptor> socket) {
                     const auto found = answers_.find(number);
                     if (found == answers_.end()) return;  // it was too late
                     if (!socket.ok()) return go_by_relay(number, socket.error().message);
                     network_.serve(
                         MetSocket{std::move(*socket), address, to_text(address), {}},
                         found->second.seeker, [this, alive = alive_, number](bool proved) {
                             if (!*alive || !answers_.contains(number)) return;
                             if (!proved) return go_by_relay(number, "the seeker does not answer");
                             answers_.erase(number);
                         });
                 });
}

void Sought::go_by_relay(std::uint64_t number, const std::string &why) {
    const auto found = answers_.find(number);
    const Answer answer = {found->second.point,
                           found->second.seeker,
                           found->second.meeting,
                           found->second.relay_token,
                           {}};
    answers_.erase(found);
    const auto address = network_.reached_at(answer.point);
    if (answer.relay_token.empty() || !address) return decline(answer.point, answer.meeting, why);
    caller_.call(
        *address, key_of(answer.relay_token), kArrangedWaitMs,
        [this, answer_point = answer.point, seeker = answer.seeker,
         address](Result<FileDescriptor> socket) {
            if (!socket.ok()) {
                log(LogLevel::kDebug, "p2p", "the relay ", socket.error().message);
                return;
            }
            network_.serve(
                MetSocket{std::move(*socket), {}, "relay " + to_text(*address), answer_point},
                seeker, [](bool) {});
        });
}

void Sought::decline(const PublicKey &point, const Bytes &meeting, const std::string &why) const {
    wire::MeetingMessage message;
    message.mutable_declined()->set_meeting(meeting);
    message.mutable_declined()->set_reason(why);
    static_cast<void>(network_.send_meeting(point, message));
}

}  // namespace chain::p2p
