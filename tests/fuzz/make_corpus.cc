// SPDX-License-Identifier: BSD-3-Clause
//
// make_corpus FOLDER: writes the first inputs of each target, made from valid values. What a fuzzer
// found by itself lies beside them.
#include <iostream>

#include "chain/base/file.h"
#include "chain/identity/keystore.h"
#include "incentive/settlement.h"
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
void put_choices(const std::string &target, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        Bytes input(1, '\2');
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
    put_choices("tx", 16);
    put_choices("block", 12);
    put_choices("voucher", 8);
    for (unsigned i = 0; i < 4; ++i)
        put("genesis", "choices-" + std::to_string(i),
            with_mode(0, chain::to_bytes(chain::tagged_hash("ompi-chain/fuzz-corpus",
                                                            "genesis" + std::to_string(i)))));
    return 0;
}
