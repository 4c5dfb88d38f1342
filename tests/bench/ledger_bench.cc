// SPDX-License-Identifier: BSD-3-Clause
//
// ledger_bench FOLDER ROUNDS ACCOUNTS_MAX: what the embedded ledger costs, one figure a line, each
// beside what bounds it, measured in turns in the same run. docs/benchmarks.md says what each
// means.
#include "tests/bench/ledger_bench.h"

#include "incentive/settlement.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "chain/base/log.h"

namespace chain::bench {

KeyPair sealer_key() {
    return numbered_key(~0u);
}

ledger::Genesis genesis_of(const std::vector<KeyPair> &keys, std::int64_t units) {
    ledger::Genesis made;
    made.chain_name = "bench";
    made.time_ms = kStartMs;
    made.sealer = sealer_key().public_key();
    for (const KeyPair &key : keys) made.allocations.emplace_back(key.public_key(), Amount{units});
    return must(ledger::parse_genesis(ledger::format_genesis(made)));
}

wire::TxBody open_lease(const ledger::Genesis &genesis, const PublicKey &provider,
                        std::uint64_t now_ms, Amount price_per_ghz_h) {
    constexpr std::uint64_t kDurationMs = 600'000, kHz = 2'000'000'000;
    wire::TxBody body;
    body.set_chain_id(to_bytes(genesis.chain_id));
    wire::OpenLease *action = body.mutable_open_lease();
    action->set_price_per_ghz_h(price_per_ghz_h.units);
    action->set_duration_ms(kDurationMs);
    action->set_expires_at_ms(now_ms + kDurationMs + genesis.params.settle_grace_ms + 60'000);
    const incentive::LegTerms terms{price_per_ghz_h, 1, kHz,
                                    incentive::cycles_bound(1, kHz, kDurationMs)};
    wire::LeaseLeg *leg = action->add_legs();
    leg->set_provider(to_bytes(provider));
    leg->set_slot_count(terms.slot_count);
    leg->set_hz_max(terms.hz_max);
    leg->set_cycles_max(terms.cycles_max);
    leg->set_escrow(must(incentive::escrow(price_per_ghz_h, terms.cycles_max)).units);
    leg->set_collateral(must(incentive::collateral(terms, 0, genesis.params)).units);
    return body;
}

wire::TxBody transfer(const ledger::Genesis &genesis, const PublicKey &from, std::uint64_t nonce,
                      const PublicKey &to, std::int64_t units) {
    wire::TxBody body;
    body.set_chain_id(to_bytes(genesis.chain_id));
    body.set_sender(to_bytes(from));
    body.set_nonce(nonce);
    body.mutable_transfer()->set_to(to_bytes(to));
    body.mutable_transfer()->set_amount(units);
    return body;
}

ledger::TxRef unsigned_tx(const wire::TxBody &body, const std::vector<PublicKey> &signers) {
    wire::SignedTx signed_tx;
    signed_tx.set_body(body.SerializeAsString());
    for (const PublicKey &signer : signers) {
        wire::Signature *signature = signed_tx.add_signatures();
        signature->set_public_key(to_bytes(signer));
        signature->set_signature(Bytes(sizeof(SignatureBytes), 'x'));
    }
    ledger::Tx tx;
    tx.id = ledger::tx_id(signed_tx.body());
    tx.body = body;
    tx.sender = signers.front();
    tx.signers = signers;
    tx.receiver_is_key = true;
    tx.signed_bytes = signed_tx.SerializeAsString();
    return std::make_shared<const ledger::Tx>(std::move(tx));
}

std::unique_ptr<ledger::Chain> open_chain(const std::string &folder,
                                          const ledger::Genesis &genesis) {
    return must(ledger::Chain::open(must(open_leveldb_store(folder)), genesis));
}

ledger::Block append(ledger::Chain &chain, const ledger::TxList &txs) {
    const consensus::SoloSealer sealer(sealer_key());
    ledger::Block block = must(sealer.seal(chain, txs, chain.tip().time_ms + 1));
    must(chain.apply(block));
    return block;
}

}  // namespace chain::bench

int main(int argc, char **argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: ledger_bench FOLDER ROUNDS ACCOUNTS_MAX\n");
        return 2;
    }
    chain::set_log_level(chain::LogLevel::kError);
    const int rounds = std::max(std::atoi(argv[2]), 1);
    chain::bench::bench_speed(argv[1], rounds);
    chain::bench::bench_size(argv[1], rounds, static_cast<std::size_t>(std::atoll(argv[3])));
    return 0;
}
