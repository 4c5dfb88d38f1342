// SPDX-License-Identifier: BSD-3-Clause
//
// AddressExchange: what daemons tell each other of addresses (docs/peer_protocol.md). Who dialled
// asks once for some of the other's addresses, and everybody announces where it is reached itself.
// An announcement that was news is passed on to a few.
//
// Owner: the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <variant>
#include <vector>

#include "chain/p2p/address_book.h"
#include "chain/p2p/session.h"

namespace chain::p2p {

// A frame of topic Addresses.
struct AddressesWanted {};
struct AddressesAnswered {
    std::vector<PeerAddress> addresses;
};
struct AddressAnnounced {
    PeerAddress address;
};
using AddressMessage = std::variant<AddressesWanted, AddressesAnswered, AddressAnnounced>;

// Errors: kProtocol (malformed, nothing in it, more than kMaxAnswerAddresses), kTooLarge.
Result<AddressMessage> parse_address_message(std::string_view payload);
Bytes format_address_message(const AddressMessage &message);

class AddressExchange {
public:
    struct Surroundings {
        const Clock &clock;
        AddressBook *book;  // null: asks nobody, and answers with nothing
        const std::map<PublicKey, Session *> &up;
        std::function<std::optional<PeerAddress>()> own_address;  // where others reach this node
        std::function<bool(const PeerAddress &)> is_discouraged;
        std::function<void()> addresses_came;
    };

    explicit AddressExchange(Surroundings here) : here_(std::move(here)) {}

    void session_up(Session &session);
    void session_gone(Session &session) { states_.erase(&session); }
    // An error is a violation, and the session is to be ended with it.
    Status received(Session &session, std::string_view payload);
    // Tells every peer our own address: it has changed, or it is time again.
    void announce_own();

private:
    struct State {
        bool answer_due = false;              // we have asked
        bool asked = false;                   // the peer has asked
        std::uint64_t announces_paid_ms = 0;  // steady: when what was taken so far is paid for
    };

    Status take_question(Session &session, State &state);
    Status take_answer(Session &session, State &state, const AddressesAnswered &answer);
    void take_announcement(Session &session, State &state, const PeerAddress &address);
    void announce_own_to(Session &session);
    static void send(Session &session, const AddressMessage &message);

    const Surroundings here_;
    std::map<Session *, State> states_;
};

}  // namespace chain::p2p
