// SPDX-License-Identifier: BSD-3-Clause
//
// make_corpus FOLDER: writes the first inputs of each target, made from valid values. What a fuzzer
// found by itself lies beside them.
#include <iostream>

#include "chain/base/file.h"
#include "chain/client/join_file.h"
#include "chain/consensus/finality_file.h"
#include "chain/identity/keystore.h"
#include "chain/p2p/address_exchange.h"
#include "chain/p2p/hello.h"
#include "chain/p2p/mdns_packet.h"
#include "chain/p2p/meeting.h"
#include "chain/wire/peer.pb.h"
#include "chain_config.h"
#include "incentive/settlement.h"
#include "tests/fuzz/validators.h"
#include "tests/fuzz/world.h"

namespace chain::fuzz {
namespace {

std::string folder;

void put(const std::string &target, const std::string &name, std::string_view input) {
    CHAIN_CHECK(make_folders(folder + "/" + target, 0755).ok());
    CHAIN_CHECK(write_file_atomic(folder + "/" + target + "/" + name, input, 0644).ok());
}

Bytes with_mode(unsigned mode, std::string_view rest) {
    return Bytes(1, static_cast<char>(mode)) + Bytes(rest);
}

// Rows of choices that differ in length and bytes: enough to begin with.
void put_choices(const std::string &target, unsigned count, bool each_mode = false) {
    for (unsigned i = 0; i < count; ++i) {
        Bytes input(1, static_cast<char>(each_mode ? i : 2));
        for (unsigned piece = 0; piece < 1 + i % 6; ++piece)
            input += to_bytes(tagged_hash("ompi-chain/fuzz-corpus",
                                          target + std::to_string(i) + std::to_string(piece)));
        put(target, "choices-" + std::to_string(i), input);
    }
}

wire::VoucherBody voucher_body(const World &world) {
    wire::VoucherBody body;
    body.set_lease_id(to_bytes(world.leases[0]));
    body.set_sequence(3);
    body.set_cycles(50'000'000'000);
    body.set_waited_cycles(7);
    body.set_amount(incentive::payment(Amount{30'000'000}, body.cycles())->units);
    body.set_meter_class(wire::METER_CLASS_HW);
    return body;
}

std::vector<wire::TxBody> tx_bodies(const World &world) {
    std::vector<wire::TxBody> bodies(5);
    for (auto &body : bodies) {
        body.set_chain_id(to_bytes(world.genesis.chain_id));
        body.set_sender(to_bytes(world.keys[2].public_key()));
    }
    bodies[0].mutable_transfer()->set_to(to_bytes(world.keys[1].public_key()));
    bodies[0].mutable_transfer()->set_amount(17);
    auto &resource = *bodies[1].mutable_publish_resource();
    resource.set_node_key(Bytes(32, 'k'));
    resource.set_host("box");
    resource.set_slot_count(8);
    resource.set_hz(3'000'000'000);
    *bodies[2].mutable_claim_voucher()->mutable_voucher() =
        ledger::sign_voucher(voucher_body(world), world.keys[0]);
    bodies[3].mutable_close_lease()->set_lease_id(to_bytes(world.leases[0]));
    *bodies[3].mutable_close_lease()->add_vouchers() =
        ledger::sign_voucher(voucher_body(world), world.keys[0]);
    bodies[4].mutable_expire_lease()->set_lease_id(to_bytes(world.leases[1]));
    return bodies;
}

void put_txs(const World &world) {
    const auto chain = world.make_chain();
    unsigned number = 0;
    for (const wire::TxBody &body : tx_bodies(world)) {
        const std::string name(ledger::tx_kind(body));
        const Bytes bytes = body.SerializeAsString();
        const auto signed_tx = world.sign(bytes, body);
        put("tx", "signed-" + name, with_mode(0, signed_tx.SerializeAsString()));
        put("tx", "body-" + name, with_mode(1, bytes));
        const auto tx = world.sign_and_decode(body);
        if (!tx.ok()) continue;
        const auto block = world.sealer->seal(*chain, {*tx}, kGenesisTimeMs + 100'000 + ++number);
        if (!block.ok()) continue;
        put("block", "sealed-" + name, with_mode(0, block->signed_bytes));
        put("block", "unsealed-" + name, with_mode(1, block->signed_bytes));
    }
    const auto empty = world.sealer->seal(*chain, {}, kGenesisTimeMs + 100'000);
    CHAIN_CHECK(empty.ok());
    put("block", "sealed-nothing", with_mode(0, empty->signed_bytes));
}

void put_texts(const World &world) {
    put("genesis", "small", ledger::format_genesis(world.genesis));
    ledger::Genesis odd = world.genesis;
    odd.allocations.resize(1);
    odd.params.burn_ppm = 0;
    odd.params.legs_max = 1;
    put("genesis", "one-account", ledger::format_genesis(odd));
    put("genesis", "not-an-object", "[1, 2.5e3, \"\\u00e4\", null, {\"a\": [[[[]]]]}]");
    const std::string path = folder + "/wallet";
    (void)remove_tree(path).ok();
    CHAIN_CHECK(create_wallet(path, world.keys[0], "password").ok());
    put("keystore", "wallet", *read_file(path, 8192));
    CHAIN_CHECK(remove_tree(path).ok());
    put("keystore", "node-key", to_hex(world.keys[1].secret()) + "\n");
    put("keystore", "node-key-of-zeros", Bytes(64, '0'));
}

void put_calendars() {
    const Bytes begin = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n";
    const Bytes zone =
        "BEGIN:VTIMEZONE\r\nTZID:Home\r\nBEGIN:STANDARD\r\nDTSTART:19961027T030000\r\n"
        "TZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\n"
        "END:STANDARD\r\nEND:VTIMEZONE\r\n";
    const auto event = [](const Bytes &lines) {
        return "BEGIN:VEVENT\r\nUID:one\r\nSUMMARY:Render\\, all of\r\n  it\r\n" + lines +
               "END:VEVENT\r\n";
    };
    const Bytes end = "END:VCALENDAR\r\n";
    put("calendar", "weekly",
        begin + zone +
            event("DTSTART;TZID=Home:20261201T080000\r\nDURATION:PT1H\r\n"
                  "RRULE:FREQ=WEEKLY;COUNT=3\r\nEXDATE;TZID=Home:20261208T080000\r\n"
                  "X-OMPI-CHAIN-LEASE:2,mem=1G\r\n") +
            end);
    put("calendar", "moved",
        begin +
            event("DTSTART:20261201T070000Z\r\nDTEND:20261201T080000Z\r\n"
                  "RDATE:20261203T070000Z,20261204T070000Z\r\n") +
            event("RECURRENCE-ID:20261203T070000Z\r\nDTSTART:20261203T090000Z\r\n"
                  "STATUS:CANCELLED\r\n") +
            end);
    put("calendar", "days", begin + event("DTSTART;VALUE=DATE:20261201\r\n") + end);
}

Bytes frame_of(wire::Topic topic, std::string_view payload) {
    Bytes frame;
    append_u32_le(frame, static_cast<std::uint32_t>(payload.size() + 1));
    frame.push_back(static_cast<char>(topic));
    return frame + Bytes(payload);
}

void put_network(const World &world) {
    const Bytes hello = p2p::make_hello(p2p::Role::kClient, Bytes32{}, world.genesis.chain_id,
                                        world.keys[1], 7411, "ompi-chain");
    put("handshake", "another-network", with_mode(128, hello));
    const auto put_frame = [](const std::string &name, wire::Topic topic,
                              std::string_view payload) {
        put("frame", name, Bytes("\1\40", 2) + frame_of(topic, payload));
    };
    put_frame("hello", wire::Topic::kHello, hello);
    put_frame("ping", wire::Topic::kPing, Bytes(8, 'p'));
    put_frame("bye", wire::Topic::kBye, "so long");
    p2p::AddressesAnswered answer;
    answer.addresses.push_back(*p2p::parse_peer_address("10.1.2.3:7411"));
    put_frame("addresses", wire::Topic::kAddresses, p2p::format_address_message(answer));
    put_frame("ask-addresses", wire::Topic::kAddresses,
              p2p::format_address_message(p2p::AddressesWanted{}));
    wire::MeetingMessage meeting;
    meeting.mutable_invitation()->set_meeting(Bytes(32, 'm'));
    meeting.mutable_invitation()->set_seeker(Bytes(32, 's'));
    p2p::write_address(*p2p::parse_peer_address("192.0.2.7:7660"),
                       *meeting.mutable_invitation()->mutable_call());
    put_frame("invitation", wire::Topic::kMeeting, meeting.SerializeAsString());
    meeting.mutable_found()->set_node_key(Bytes(32, 'k'));
    meeting.mutable_found()->mutable_terms()->set_price_per_gib(5);
    meeting.mutable_found()->mutable_terms()->set_account(Bytes(32, 'a'));
    put_frame("found", wire::Topic::kMeeting, meeting.SerializeAsString());
    wire::Gossip gossip;
    gossip.set_tx(Bytes(40, 't'));
    put_frame("gossip", wire::Topic::kGossip, gossip.SerializeAsString());
    wire::SyncMessage sync;
    sync.mutable_get_blocks()->set_from_height(7);
    sync.mutable_get_blocks()->set_count_max(64);
    put_frame("sync", wire::Topic::kSync, sync.SerializeAsString());
    wire::TradeMessage trade;
    trade.set_lease_id(Bytes(32, 'l'));
    trade.mutable_refuse()->set_reason("no room");
    put_frame("trade", wire::Topic::kTrade, trade.SerializeAsString());
#ifdef HAVE_LDNS
    put("mdns", "query", p2p::format_lan_query());
    put("mdns", "answer",
        p2p::format_lan_answer({"box-1", p2p::chain_mark(world.genesis.chain_id), 7411},
                               "192.168.1.7"));
#endif
    client::JoinFile join;
    join.genesis = ledger::format_genesis(world.genesis);
    put("join", "member", client::format_join_file(join));
    join.genesis = "{}";
    join.wallet = "{\"version\": 1}";
    join.listen_address = join.announce_address = "10.1.2.3:7411";
    join.seeds = {"10.1.2.4:7411", "[::1]:7411"};
    join.seal = true;
    put("join", "validator", client::format_join_file(join));
}

void put_consensus() {
    for (const auto kind : {ledger::ConsensusKind::kPoa, ledger::ConsensusKind::kPor}) {
        const Validators &world = Validators::get(kind);
        const std::string name(ledger::consensus_name(kind));
        wire::SyncMessage sync;
        for (const Bytes &bytes : world.blocks) {
            wire::SignedBlock block;
            CHAIN_CHECK(block.ParseFromString(bytes));
            *sync.mutable_headers()->add_headers() = block;
        }
        const unsigned mode = kind == ledger::ConsensusKind::kPoa ? 240 : 241;
        put("headers", "of-" + name, with_mode(mode, Bytes(1, '\0') + sync.SerializeAsString()));
        wire::Gossip gossip;
        gossip.set_block(world.blocks[0]);
        put("gossip", "block-" + name, with_mode(mode, gossip.SerializeAsString()));
    }
    wire::SyncMessage empty;
    empty.mutable_headers();
    put("gossip", "headers-to-one-sealer", with_mode(238, empty.SerializeAsString()));
    const Validators &world = Validators::get(ledger::ConsensusKind::kPoa);
    const auto body = ledger::vote_body(
        world.genesis.chain_id, world.keys[0].public_key(),
        {0, world.chain->checkpoint_at(0)->id, 2, world.chain->checkpoint_at(2)->id});
    const wire::SignedVote vote = ledger::sign_vote(body, world.keys[0]);
    put("votes", "signed", with_mode(0, vote.SerializeAsString()));
    put("kept", "votes",
        with_mode(0, consensus::format_vote_memory({0, 2, vote}, world.genesis.chain_id,
                                                   world.keys[0].public_key())));
    put("kept", "finality",
        with_mode(2, consensus::format_finality({{}, {}, {vote}}, world.genesis.chain_id)));
}

}  // namespace
}  // namespace chain::fuzz

int main(int argument_count, char **arguments) {
    using namespace chain::fuzz;
    if (argument_count != 2) {
        std::cerr << "usage: make_corpus FOLDER\n";
        return 2;
    }
    folder = arguments[1];
    const World &world = World::get();
    put_txs(world);
    const auto voucher = chain::ledger::sign_voucher(voucher_body(world), world.keys[0]);
    put("voucher", "signed", with_mode(0, voucher.SerializeAsString()));
    put_texts(world);
    put_calendars();
    put_network(world);
    put_consensus();
    for (const char *target : {"handshake", "kept", "headers", "votes", "gossip"})
        put_choices(target, 16, true);
    put_choices("tx", 16);
    put_choices("block", 12);
    put_choices("voucher", 8);
    put_choices("shares", 12);
    for (unsigned i = 0; i < 4; ++i)
        put("genesis", "choices-" + std::to_string(i),
            with_mode(0, chain::to_bytes(chain::tagged_hash("ompi-chain/fuzz-corpus",
                                                            "genesis" + std::to_string(i)))));
    return 0;
}
