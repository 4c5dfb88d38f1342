// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/address_exchange.h"

#include <algorithm>

#include "chain/base/log.h"
#include "chain/p2p/limits.h"
#include "chain/p2p/random.h"
#include "chain/wire/peer.pb.h"

namespace chain::p2p {

Result<AddressMessage> parse_address_message(std::string_view payload) {
    wire::AddressMessage message;
    CHAIN_TRY(
        wire::parse_strict(payload, kMaxAddressMessageBytes, "a message of addresses", message));
    switch (message.what_case()) {
        case wire::AddressMessage::kGet: return AddressMessage(AddressesWanted{});
        case wire::AddressMessage::kAnnounce: {
            CHAIN_ASSIGN(const PeerAddress address, read_address(message.announce()));
            return AddressMessage(AddressAnnounced{address});
        }
        case wire::AddressMessage::kAnswer: {
            const auto count = static_cast<std::size_t>(message.answer().addresses_size());
            if (count > kMaxAnswerAddresses)
                return make_error(ErrorCode::kProtocol, count, " addresses exceed the limit of ",
                                  kMaxAnswerAddresses);
            AddressesAnswered answer;
            for (const wire::NetAddress &told : message.answer().addresses()) {
                CHAIN_ASSIGN(const PeerAddress address, read_address(told));
                answer.addresses.push_back(address);
            }
            return AddressMessage(std::move(answer));
        }
        case wire::AddressMessage::WHAT_NOT_SET: break;
    }
    return make_error(ErrorCode::kProtocol, "a message of addresses with nothing in it");
}

Bytes format_address_message(const AddressMessage &message) {
    wire::AddressMessage out;
    if (const auto *answer = std::get_if<AddressesAnswered>(&message)) {
        wire::AddressList &list = *out.mutable_answer();
        for (const PeerAddress &address : answer->addresses)
            write_address(address, *list.add_addresses());
    } else if (const auto *announced = std::get_if<AddressAnnounced>(&message)) {
        write_address(announced->address, *out.mutable_announce());
    } else {
        out.mutable_get();
    }
    return out.SerializeAsString();
}

void AddressExchange::send(Session &session, const AddressMessage &message) {
    // A peer with a full queue goes without: addresses are never urgent.
    static_cast<void>(session.send(wire::Topic::kAddresses, format_address_message(message)));
}

void AddressExchange::session_up(Session &session) {
    State state;
    if (session.role() == Role::kClient && here_.book != nullptr) {
        state.answer_due = true;
        send(session, AddressesWanted{});
    }
    states_[&session] = state;
    announce_own_to(session);
}

Status AddressExchange::received(Session &session, std::string_view payload) {
    CHAIN_ASSIGN(const AddressMessage message, parse_address_message(payload));
    const auto found = states_.find(&session);
    CHAIN_CHECK(found != states_.end());
    if (std::holds_alternative<AddressesWanted>(message))
        return take_question(session, found->second);
    if (const auto *answer = std::get_if<AddressesAnswered>(&message))
        return take_answer(session, found->second, *answer);
    take_announcement(session, found->second, std::get<AddressAnnounced>(message).address);
    return ok_status();
}

Status AddressExchange::take_question(Session &session, State &state) {
    if (session.role() == Role::kClient)
        return make_error(ErrorCode::kProtocol, "addresses are asked for by who dialled");
    if (std::exchange(state.asked, true))
        return make_error(ErrorCode::kProtocol, "addresses are asked for once in a session");
    AddressesAnswered answer;
    if (here_.book != nullptr)
        answer.addresses = here_.book->sample(kMaxAnswerAddresses, [&](const AddressEntry &entry) {
            return may_be_told(entry.address, session.remote()) &&
                   !here_.is_discouraged(entry.address);
        });
    send(session, answer);
    return ok_status();
}

Status AddressExchange::take_answer(Session &session, State &state,
                                    const AddressesAnswered &answer) {
    if (!std::exchange(state.answer_due, false))
        return make_error(ErrorCode::kProtocol, "addresses that nobody asked for");
    const auto own = here_.own_address();
    std::size_t new_count = 0;
    for (const PeerAddress &address : answer.addresses)
        if (address != own && here_.book->add(address, &session.remote())) ++new_count;
    log(LogLevel::kDebug, "p2p", session.view().address, " told ", answer.addresses.size(),
        " addresses, ", new_count, " of them new");
    if (new_count > 0) here_.addresses_came();
    return ok_status();
}

void AddressExchange::take_announcement(Session &session, State &state,
                                        const PeerAddress &address) {
    // Many may reach us by way of one honest peer: what is too much is not heard, and no fault.
    const std::uint64_t now_ms = here_.clock.steady_ms();
    const std::uint64_t paid_ms = std::max(state.announces_paid_ms, now_ms) + kAnnounceEveryMs;
    if (paid_ms > now_ms + kAnnouncesBurst * kAnnounceEveryMs) return;
    state.announces_paid_ms = paid_ms;
    if (here_.book == nullptr || address == here_.own_address()) return;
    if (!here_.book->add(address, &session.remote())) return;  // known, or not wanted: it ends here
    here_.addresses_came();
    std::vector<Session *> others;
    for (const auto &[key, other] : here_.up)
        if (other != &session && may_be_told(address, other->remote())) others.push_back(other);
    keep_random(others, kAnnouncePassedOnTo);
    for (Session *other : others) send(*other, AddressAnnounced{address});
}

void AddressExchange::announce_own_to(Session &session) {
    const auto own = here_.own_address();
    if (own && may_be_told(*own, session.remote())) send(session, AddressAnnounced{*own});
}

void AddressExchange::announce_own() {
    for (const auto &[key, session] : here_.up) announce_own_to(*session);
}

}  // namespace chain::p2p
