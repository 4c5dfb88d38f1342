// SPDX-License-Identifier: BSD-3-Clause
//
// What the parts of ledger_bench share: a chain to measure.
#pragma once

#include "chain/consensus/sealer.h"
#include "chain/ledger/chain.h"
#include "tests/bench/figures.h"

namespace chain::bench {

inline constexpr std::uint64_t kStartMs = 1'700'000'000'000;
inline constexpr std::int64_t kStartUnits = 1'000'000'000;

KeyPair sealer_key();
// `count` accounts, those of numbered_key(0), (1), …, with kStartUnits each.
ledger::Genesis genesis_of(const std::vector<KeyPair> &keys, std::int64_t units = kStartUnits);
wire::TxBody transfer(const ledger::Genesis &genesis, const PublicKey &from, std::uint64_t nonce,
                      const PublicKey &to, std::int64_t units);
// A transaction as it is after decoding, though nobody signed it: for what is not about signatures.
ledger::TxRef unsigned_tx(const wire::TxBody &body, const std::vector<PublicKey> &signers);
std::unique_ptr<ledger::Chain> open_chain(const std::string &folder,
                                          const ledger::Genesis &genesis);
// One leg of 1 slot of 2 GHz for ten minutes from `now_ms`, without sender and nonce.
wire::TxBody open_lease(const ledger::Genesis &genesis, const PublicKey &provider,
                        std::uint64_t now_ms, Amount price_per_ghz_h);
// Seals on the chain's tip and appends.
ledger::Block append(ledger::Chain &chain, const ledger::TxList &txs);

// Signatures, admission, replay, settlement.
void bench_speed(const std::string &folder, int rounds);
// Memory, disk and the time of a block by the number of accounts.
void bench_size(const std::string &folder, int rounds, std::size_t accounts_max);

}  // namespace chain::bench
