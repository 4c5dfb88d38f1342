// SPDX-License-Identifier: BSD-3-Clause
//
// What the orted of a leased machine says to the renter's mpirun: any bytes behind its greeting, or
// messages of it with one thing wrong, cut wherever the network cuts them.
#include <cstring>
#include <vector>

#include "chain/daemon/orte_guard.h"
#include "tests/chain/daemon/orte_packer.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/target.h"

namespace chain::fuzz {
namespace {

using daemon::OrteGuard;

constexpr std::size_t kMessagesMax = 8;

// The messages of an honest life, in any order, some of them damaged.
Bytes some_messages(Choices &choices) {
    static const std::vector<Bytes> honest = daemon::honest_orte_messages();
    Bytes bytes;
    for (std::size_t i = 0; i < kMessagesMax && !choices.exhausted(); ++i) {
        Bytes message = honest[choices.below(honest.size())];
        for (std::size_t damage = choices.below(4); damage > 0; --damage) {
            const std::size_t at = choices.number(2) % message.size();
            if (choices.one_in(4))
                message.erase(at, 1);
            else
                message[at] = static_cast<char>(choices.byte());
            if (message.empty()) break;
        }
        bytes += message;
    }
    return bytes;
}

struct Taken {
    bool ok = true;
    Bytes passed;
};

Taken take(std::string_view bytes, std::size_t piece_bytes) {
    OrteGuard guard(daemon::kTestLeg);
    Taken taken;
    for (std::size_t at = 0; taken.ok && at < bytes.size(); at += piece_bytes) {
        const Status status = guard.take(bytes.substr(at, piece_bytes), taken.passed);
        taken.ok = status.ok();
        if (!status.ok())
            CHAIN_CHECK(is_one_of(status.error(), {ErrorCode::kProtocol, ErrorCode::kRefused}));
    }
    return taken;
}

// Whole messages, from this leg, of kinds that mpirun may hear.
void check_passed(std::string_view passed) {
    for (bool greeting = true; !passed.empty(); greeting = false) {
        CHAIN_CHECK(passed.size() > daemon::kOrteHeaderBytes);
        std::uint32_t origin[2];
        std::memcpy(origin, passed.data(), sizeof origin);
        CHAIN_CHECK(origin[0] == daemon::kTestLeg.jobid && origin[1] == daemon::kTestLeg.vpid);
        daemon::OrteReader reader(passed.substr(daemon::orte::kTagAt));
        const std::uint32_t tag = reader.raw_u32();
        reader.raw_u32();
        const std::uint32_t size_bytes = reader.raw_u32();
        CHAIN_CHECK(greeting == (reader.raw_u8() == daemon::orte::kTypeIdent));
        CHAIN_CHECK(tag != daemon::orte::kTagDaemon && tag != daemon::orte::kTagXcast);
        CHAIN_CHECK(size_bytes > 0 && size_bytes <= daemon::kOrteMessageBytesMax);
        CHAIN_CHECK(passed.size() >= daemon::kOrteHeaderBytes + size_bytes);
        passed.remove_prefix(daemon::kOrteHeaderBytes + size_bytes);
    }
}

}  // namespace

// {u8 kind; u8 size of the pieces; bytes, or choices of messages}
CHAIN_FUZZ_TARGET(orte) {
    Choices choices(input);
    const bool from_messages = choices.byte() % 2 == 1;
    const std::size_t piece_bytes = 1 + choices.byte();
    const Bytes bytes =
        daemon::orte_greeting() + (from_messages ? some_messages(choices) : Bytes(choices.rest()));
    const Taken whole = take(bytes, bytes.size());
    const Taken cut = take(bytes, piece_bytes);
    CHAIN_CHECK(whole.ok == cut.ok && whole.passed == cut.passed);
    CHAIN_CHECK(std::string_view(bytes).starts_with(whole.passed));
    CHAIN_CHECK(whole.passed.size() >= daemon::orte_greeting().size());
    check_passed(whole.passed);
}

}  // namespace chain::fuzz
