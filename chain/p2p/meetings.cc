// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/meetings.h"

namespace chain::p2p {

using wire::MeetingMessage;

Meetings::Meetings(Loop &loop, const Clock &clock, MeetingNetwork &network,
                   const RelayOptions &options, RelayPolicy &policy)
    : policy_(policy),
      caller_(loop),
      relay_(loop, clock, options, policy),
      seeker_(loop, clock, network, caller_, policy),
      point_(clock, network, relay_, policy),
      sought_(loop, clock, network, caller_) {}

Status Meetings::received(const PublicKey &peer, std::string_view payload) {
    CHAIN_ASSIGN(const MeetingMessage message, parse_meeting_message(payload));
    switch (message.what_case()) {
        case MeetingMessage::kWilling: point_.take_willing(peer, message.willing()); break;
        case MeetingMessage::kSeek: point_.take_seek(peer, message.seek()); break;
        case MeetingMessage::kMeet: point_.take_meet(peer, message.meet()); break;
        case MeetingMessage::kFound: seeker_.take_found(peer, message.found()); break;
        case MeetingMessage::kArranged: seeker_.take_arranged(peer, message.arranged()); break;
        case MeetingMessage::kInvitation:
            sought_.take_invitation(peer, message.invitation());
            break;
        // Both of who arranges one and of who was told: each knows its own meetings.
        case MeetingMessage::kDeclined:
            seeker_.take_declined(peer, message.declined());
            point_.take_declined(peer, message.declined());
            break;
        case MeetingMessage::kPayment:
        case MeetingMessage::kCredit: return policy_.take(peer, message);
        case MeetingMessage::WHAT_NOT_SET: break;
    }
    return ok_status();
}

void Meetings::peer_gone(const PublicKey &peer) {
    seeker_.peer_gone(peer);
    point_.peer_gone(peer);
    sought_.peer_gone(peer);
}

void Meetings::take(const Bytes32 &token, MetSocket met) {
    if (!relay_.take(token, met.socket)) static_cast<void>(seeker_.take_call(token, met));
}

}  // namespace chain::p2p
