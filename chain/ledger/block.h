// SPDX-License-Identifier: BSD-3-Clause
//
// Blocks: their parts, the checks that need no state, and what executing one changes.
#pragma once

#include <vector>

#include "chain/ledger/state.h"
#include "chain/ledger/tip.h"
#include "chain/ledger/transition.h"
#include "chain/ledger/tx_cache.h"

namespace chain::ledger {

inline constexpr std::uint32_t kBlockVersion = 1;
inline constexpr std::string_view kTxRootTag = "ompi-chain/tx-root";
inline constexpr std::string_view kVotesRootTag = "ompi-chain/votes-root";

struct Block {
    BlockId id{};  // hash of the header's exact bytes
    wire::BlockHeader header;
    wire::SignedBlock signed_block;
    Bytes signed_bytes;
    std::vector<Bytes32> tx_hashes;  // tx_bytes_hash of each transaction, or empty
};

// Parses; checks sizes, version, chain, count, root, sealer and signature.
// Errors: kTooLarge, kProtocol, kBadSignature, kInvalidInput (another chain's).
Result<Block> decode_block(std::string_view signed_block_bytes, const Genesis &genesis,
                           SignatureCache *cache = nullptr);

// A header on its own: parses, checks version, chain, sealer and signature. What it says of its
// transactions and votes is not looked at. Errors: as of decode_block.
Result<Block> decode_header(wire::SignedBlock header, const Genesis &genesis,
                            SignatureCache *cache = nullptr);

// A block without its transactions and votes, as decode_header takes it.
wire::SignedBlock only_header(const wire::SignedBlock &block);

// Commits to the exact bytes of every transaction, signatures included, and to their order.
Bytes32 tx_root(const wire::SignedBlock &block);
std::vector<Bytes32> tx_hashes(const wire::SignedBlock &block);
std::vector<Bytes32> tx_hashes(const TxList &txs);
Bytes32 tx_root(const std::vector<Bytes32> &tx_hashes);
// Of the header: commits to the votes; empty when there are none.
Bytes votes_root_bytes(const wire::SignedBlock &block);

// What a sealer wants a block to be.
struct BlockDraft {
    TxList txs;
    std::uint64_t time_ms = 0;
    PublicKey sealer{};
    std::uint32_t weight = 0;
    std::vector<wire::SignedVote> votes;  // empty, or two thirds of the weight, for one link
};
// `header` is complete but for signature (and nonce). Precondition: `key` is the header's sealer's.
Block sign_block(const wire::BlockHeader &header, const BlockDraft &draft, const KeyPair &key);

struct Execution {
    Changes changes;
    std::vector<std::optional<Bytes>> old_values;  // of the keys of `changes`, in their order
    Tip tip;
    std::vector<TxId> tx_ids;
    AccountTrail trail;  // for the index beside the state
};

// Executes `txs` on the state at `parent`; `tip.id` is left to the caller, who knows the header.
// `rule`: null where one key seals.
// Errors: the first refused transaction's, with its number; kInternal when money was made or lost.
Result<Execution> execute(const StateReader &state, const Tip &parent, const Genesis &genesis,
                          const NextBlock &block, const TxList &txs, SignatureCache *cache,
                          const SealRule *rule = nullptr);
// The same on an overlay from which nothing is left to take; the next block may be executed on it.
// After an error it is of no more use.
Result<Execution> execute_on(Overlay &state, const Tip &parent, const Genesis &genesis,
                             const NextBlock &block, const TxList &txs, SignatureCache *cache,
                             const SealRule *rule = nullptr);

// What the index beside the state is told of it.
IndexedBlock to_index(const Execution &execution);

// Digest and totals after `changes` to a state that has `old_values` under their keys. Errors:
// kCorrupt, kTooLarge, kInsufficientFunds (then the records contradict the totals).
Status account_for(const Changes &changes, const std::vector<std::optional<Bytes>> &old_values,
                   StateDigest &digest, Totals &totals);
// What `state` has under the keys of `changes`, in their order. Errors: kIo, kCorrupt.
Result<std::vector<std::optional<Bytes>>> values_under(const StateReader &state,
                                                       const Changes &changes);

// minted = balances + escrow + collateral + stake + pool + burned. Errors: kInternal, with the
// figures.
Status check_conservation(const Totals &totals);

// The state at height 0.
Result<Execution> execute_genesis(const Genesis &genesis);

// Everything counted anew: slow, for tests and start-up. Errors: kCorrupt (also when what accounts
// say is locked is not what leases lock), kIo.
struct Recount {
    StateDigest digest;
    Totals totals;  // minted stays 0: it is not in the state
};
Result<Recount> recount(const KeyValueStore &store);

}  // namespace chain::ledger
