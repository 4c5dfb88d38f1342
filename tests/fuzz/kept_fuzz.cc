// SPDX-License-Identifier: BSD-3-Clause
//
// What a node keeps beside the ledger, as it reads it again after a bad disk or a strange hand: its
// own votes, what is final, and the addresses of peers.
#include "chain/consensus/finality_file.h"
#include "chain/p2p/address_book.h"
#include "chain/wire/peer.pb.h"
#include "tests/fuzz/validators.h"

namespace chain::fuzz {
namespace {

const Validators &world() {
    return Validators::get(ledger::ConsensusKind::kPoa);
}

Bytes changed(Bytes bytes, Choices &choices) {
    for (unsigned i = 1 + choices.byte() % 3; i > 0 && !bytes.empty(); --i) {
        const std::size_t at = choices.number(2) % bytes.size();
        switch (choices.below(4)) {
            case 0: bytes.resize(at); break;
            case 1: bytes.erase(at, 1 + choices.byte()); break;
            case 2: bytes.insert(at, choices.bytes(choices.byte() % 16)); break;
            default: bytes[at] ^= static_cast<char>(1 + choices.byte() % 255);
        }
    }
    return bytes;
}

constexpr std::string_view kVotesTag = "ompi-chain/votes-file";
constexpr std::string_view kFinalityTag = "ompi-chain/finality-file";
constexpr std::string_view kAddressesTag = "ompi-chain/address-book";

// ---- votes

consensus::VoteMemory one_vote() {
    Bytes32 source, target;
    source.fill('s');
    target.fill('t');
    const wire::VoteBody body = ledger::vote_body(
        world().genesis.chain_id, world().keys[0].public_key(), {2, source, 300, target});
    return {2, 300, ledger::sign_vote(body, world().keys[0])};
}

void read_votes(std::string_view bytes) {
    const Bytes32 &chain_id = world().genesis.chain_id;
    const PublicKey validator = world().keys[0].public_key();
    const auto memory = consensus::parse_vote_memory("votes", bytes, chain_id, validator);
    if (!memory.ok()) {
        CHAIN_CHECK(is_one_of(memory.error(), {ErrorCode::kCorrupt, ErrorCode::kConflict}));
        return;
    }
    // What it keeps from being voted again is what it says in a vote of its own.
    const auto last = ledger::decode_vote(memory->last, chain_id);
    CHAIN_CHECK(last.ok() && last->validator == validator);
    CHAIN_CHECK(memory->target_height == last->link.target_height &&
                memory->source_height == last->link.source_height);
    const Bytes written = consensus::format_vote_memory(*memory, chain_id, validator);
    CHAIN_CHECK(consensus::parse_vote_memory("votes", written, chain_id, validator).ok());
    CHAIN_CHECK(memory->target_height == 300 && memory->source_height == 2);
}

// ---- finality

consensus::KnownFinality some_finality() {
    consensus::KnownFinality known;
    known.final = {4, tagged_hash("fuzz-block", "4"), 2, 0, 0};
    known.justified = {6, tagged_hash("fuzz-block", "6"), 4, 2, 0};
    known.votes = {one_vote().last, one_vote().last};
    return known;
}

void read_finality(std::string_view bytes) {
    const Bytes32 &chain_id = world().genesis.chain_id;
    const auto known = consensus::parse_finality("finality", bytes, chain_id);
    if (!known.ok()) {
        CHAIN_CHECK(is_one_of(known.error(), {ErrorCode::kCorrupt, ErrorCode::kConflict}));
        return;
    }
    CHAIN_CHECK(known->justified.height >= known->final.height);
    const Bytes written = consensus::format_finality(*known, chain_id);
    const auto again = consensus::parse_finality("finality", written, chain_id);
    CHAIN_CHECK(again.ok() && again->final == known->final &&
                again->justified == known->justified && again->votes.size() == known->votes.size());
}

// ---- addresses

void read_addresses(std::string_view file) {
    static const ManualClock clock;
    const auto book = p2p::AddressBook::parse(clock, file);
    if (!book.ok()) {
        CHAIN_CHECK(is_one_of(book.error(), {ErrorCode::kCorrupt, ErrorCode::kTooLarge}));
        return;
    }
    (*book)->check_invariants();
    const Bytes written = (*book)->format();
    const auto again = p2p::AddressBook::parse(clock, written);
    CHAIN_CHECK(again.ok() && (*again)->size() == (*book)->size() &&
                (*again)->tried_count() == (*book)->tried_count());
    CHAIN_CHECK((*again)->format() == written);
}

void read_random_addresses(Choices &choices) {
    wire::AddressBookFile file;
    fill(file, choices, world().hints);
    file.set_secret(Bytes(32, 's'));
    for (wire::AddressRecord &record : *file.mutable_records()) {
        record.mutable_address()->mutable_host()->resize(choices.one_in(4) ? 16 : 4);
        record.mutable_source_group()->resize(choices.byte() % 17);
        record.mutable_address()->set_port(record.address().port() % 65'536);
        if (!choices.one_in(4)) record.clear_node_key();
    }
    read_addresses(with_digest(kAddressesTag, file.SerializeAsString()));
}

}  // namespace

CHAIN_FUZZ_TARGET(kept) {
    Choices choices(input);
    switch (choices.below(8)) {
        case 0: {
            const Bytes right = consensus::format_vote_memory(one_vote(), world().genesis.chain_id,
                                                              world().keys[0].public_key());
            const Bytes other = choices.one_in(2) ? changed(right, choices) : Bytes(choices.rest());
            if (other != right)
                CHAIN_CHECK(!consensus::parse_vote_memory("", other, world().genesis.chain_id,
                                                          world().keys[0].public_key())
                                 .ok());
            return;
        }
        case 1: {
            const Bytes right = consensus::format_vote_memory(one_vote(), world().genesis.chain_id,
                                                              world().keys[0].public_key());
            const Bytes message(*without_digest(kVotesTag, right));
            return read_votes(with_digest(kVotesTag, changed(message, choices)));
        }
        case 2: {
            const Bytes right =
                consensus::format_finality(some_finality(), world().genesis.chain_id);
            const Bytes other = choices.one_in(2) ? changed(right, choices) : Bytes(choices.rest());
            if (other != right)
                CHAIN_CHECK(!consensus::parse_finality("", other, world().genesis.chain_id).ok());
            return;
        }
        case 3: {
            const Bytes right =
                consensus::format_finality(some_finality(), world().genesis.chain_id);
            const Bytes message(*without_digest(kFinalityTag, right));
            return read_finality(with_digest(kFinalityTag, changed(message, choices)));
        }
        case 4: return read_addresses(choices.rest());
        case 5: return read_addresses(with_digest(kAddressesTag, choices.rest()));
        default: return read_random_addresses(choices);
    }
}

}  // namespace chain::fuzz
