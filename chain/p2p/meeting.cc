// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/meeting.h"

#include <initializer_list>

#include "chain/p2p/limits.h"
#include "chain/wire/frame.h"

namespace chain::p2p {
namespace {

using wire::MeetingMessage;

struct Field {
    const std::string &bytes;
    const char *name;
    bool may_be_empty = false;
};

Status check_lengths(std::initializer_list<Field> fields) {
    for (const Field &field : fields) {
        if (field.may_be_empty && field.bytes.empty()) continue;
        CHAIN_TRY(to_bytes32(field.bytes, field.name));
    }
    return ok_status();
}

Status check_text(const std::string &text) {
    return text.size() <= kMaxByeBytes
               ? ok_status()
               : Status(make_error(ErrorCode::kProtocol, "a reason of ", text.size(), " bytes"));
}

Status check_found(const wire::Found &found) {
    if (found.terms().price_per_gib() < 0)
        return make_error(ErrorCode::kProtocol, "a relay with a negative price");
    return check_lengths(
        {{found.node_key(), "Found.node_key"},
         {found.terms().account(), "Found.terms.account", found.terms().price_per_gib() == 0}});
}

Status check_invitation(const wire::Invitation &invitation) {
    if (invitation.has_call()) CHAIN_TRY(read_address(invitation.call()));
    return check_lengths({{invitation.meeting(), "Invitation.meeting"},
                          {invitation.seeker(), "Invitation.seeker"},
                          {invitation.relay_token(), "Invitation.relay_token", true}});
}

Status check_meet(const wire::Meet &meet) {
    if (meet.call_port() > UINT16_MAX)
        return make_error(ErrorCode::kProtocol, "a meeting with port ", meet.call_port());
    return check_lengths({{meet.node_key(), "Meet.node_key"}, {meet.meeting(), "Meet.meeting"}});
}

Status check(const MeetingMessage &message) {
    switch (message.what_case()) {
        case MeetingMessage::kWilling: return ok_status();
        case MeetingMessage::kSeek:
            return check_lengths({{message.seek().node_key(), "Seek.node_key"}});
        case MeetingMessage::kFound: return check_found(message.found());
        case MeetingMessage::kMeet: return check_meet(message.meet());
        case MeetingMessage::kInvitation: return check_invitation(message.invitation());
        case MeetingMessage::kArranged:
            return check_lengths(
                {{message.arranged().meeting(), "Arranged.meeting"},
                 {message.arranged().relay_token(), "Arranged.relay_token", true}});
        case MeetingMessage::kDeclined:
            CHAIN_TRY(check_text(message.declined().reason()));
            return check_lengths({{message.declined().meeting(), "Declined.meeting"}});
        case MeetingMessage::kPayment:
            CHAIN_TRY(to_bytes64(message.payment().claim(), "RelayPayment.claim"));
            return ok_status();
        case MeetingMessage::kCredit:
            CHAIN_TRY(check_text(message.credit().refused()));
            return check_lengths({{message.credit().tx_id(), "RelayCredit.tx_id", true}});
        case MeetingMessage::WHAT_NOT_SET: break;
    }
    return make_error(ErrorCode::kProtocol, "a message of meetings with nothing in it");
}

}  // namespace

Result<MeetingMessage> parse_meeting_message(std::string_view payload) {
    MeetingMessage message;
    CHAIN_TRY(
        wire::parse_strict(payload, kMaxMeetingMessageBytes, "a message of meetings", message));
    CHAIN_TRY(check(message));
    return message;
}

PublicKey key_of(const std::string &field) {
    return to_bytes32(field, "key").value();
}

}  // namespace chain::p2p
