// SPDX-License-Identifier: BSD-3-Clause
//
// What the ledger keeps, as C++ values. On disk and in the digest they are the messages of
// chain/ledger/state.proto.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chain/base/units.h"
#include "chain/identity/point_cache.h"
#include "chain/ledger/signature_cache.h"
#include "chain/wire/ledger.pb.h"
#include "incentive/reputation.h"
#include "incentive/slashing.h"

namespace chain::ledger {

using TxId = Bytes32;
using BlockId = Bytes32;
using LeaseId = Bytes32;  // = id of the OpenLease transaction

inline constexpr std::string_view kTxIdTag = "ompi-chain/tx-id";
inline constexpr std::string_view kBlockIdTag = "ompi-chain/block-id";
inline constexpr std::string_view kGenesisTag = "ompi-chain/genesis";

struct Account {
    Amount balance;
    std::uint64_t nonce = 0;           // of the next transaction
    Amount escrow;                     // locked in unsettled legs, as renter
    Amount collateral;                 // locked in unsettled legs, as provider
    std::uint32_t resource_count = 0;  // published
    Amount staked;
    Amount unbonding;
    std::uint64_t unbonds_at_ms = 0;  // block time from which `unbonding` may be withdrawn
    friend bool operator==(const Account &, const Account &) = default;
};

enum class LegState { kOpen, kClosing, kSettled };
using incentive::LegEnd;

struct Leg {
    PublicKey provider{};
    std::uint32_t slot_count = 0;
    std::uint64_t hz_max = 0;
    Cycles cycles_max = 0;
    Amount escrow;
    Amount collateral;
    bool free = false;  // costs nothing, whatever the lease's price
    LegState state = LegState::kOpen;
    std::uint64_t closes_at_ms = 0;     // block time from which a closing leg may be settled
    bool started = false;               // its provider said so
    bool accused = false;               // of being lost, or of not having started; not answered yet
    bool voided = false;                // another leg of the gang did not start
    bool released = false;              // of a reservation: its renter closed it without accusing
    std::uint64_t reclaimed_at_ms = 0;  // of its provider's notice; 0: none
    // From the highest voucher recorded:
    std::uint64_t voucher_sequence = 0;
    bool has_final_voucher = false;  // the renter agreed to the end
    Cycles cycles = 0;
    Cycles waited_cycles = 0;
    wire::MeterClass meter_class = wire::METER_CLASS_UNSPECIFIED;
    Amount payment;
    // Once settled:
    LegEnd end = LegEnd::kRunning;
    Amount burned;   // of the payment
    Amount forfeit;  // of the collateral, burned
    Amount penalty;  // of the escrow, burned
    std::uint64_t settled_at_ms = 0;
    bool rated = false;

    bool has_voucher() const { return voucher_sequence > 0; }
};

struct Lease {
    LeaseId id{};
    PublicKey renter{};
    Amount price_per_ghz_h;
    std::uint64_t opened_at_ms = 0;  // block time
    std::uint64_t starts_at_ms = 0;  // agreed block time; 0: at once
    std::uint64_t duration_ms = 0;
    std::uint64_t expires_at_ms = 0;
    std::uint64_t ended_at_ms = 0;  // block time of the last leg's settlement
    std::vector<Leg> legs;
    // For a time to come.
    bool is_reserved() const { return starts_at_ms > 0; }
    // From here all its clocks run.
    std::uint64_t begins_at_ms() const { return is_reserved() ? starts_at_ms : opened_at_ms; }
    // Of a leg's cycles, per GHz·h.
    Amount price_of(const Leg &leg) const { return leg.free ? Amount{} : price_per_ghz_h; }
    bool settled() const;
    // A leg's challenge window has passed at `time_ms`, or the lease's expiry: ExpireLease would
    // settle something.
    bool due_at(std::uint64_t time_ms) const;
};

struct Resource {
    PublicKey node_key{};
    std::string host;
    std::uint32_t slot_count = 0;
    std::uint64_t hz = 0;
    std::uint64_t memory_bytes = 0;
};

struct Validator {
    std::optional<wire::SignedVote> last_vote;
    std::uint64_t slashed_through_height = 0;
};

struct Payout {
    Amount reward;
    Cycles cycles = 0;
    std::uint32_t share_count = 0;
    std::uint64_t paid_at_ms = 0;
};

// Money that is no account's.
struct Pool {
    Amount reward_left;  // for sealers
    Amount burned;       // fees and slashed stake; what legs burned stands in their records
    friend bool operator==(const Pool &, const Pool &) = default;
};

// minted = balances + escrow + collateral + stake + pool + burned, after every block.
struct Totals {
    Amount minted;
    Amount balances;
    Amount escrow;
    Amount collateral;
    Amount stake;  // bonded and unbonding
    Amount pool;   // the reward pool
    Amount burned;
    friend bool operator==(const Totals &, const Totals &) = default;
};

inline constexpr std::size_t kMaxGenesisBytes = 4u << 20;
inline constexpr std::uint64_t kHzMax = 1'000'000'000'000;  // 1000 GHz: above any processor
inline constexpr std::uint32_t kResourcesPerAccountMax = 64;
inline constexpr std::size_t kLegsPerLeaseMax = 256;  // bound on Params::legs_max

// How blocks come about (docs/consensus.md): one key; named keys in turn; proof of resource.
enum class ConsensusKind { kSolo, kPoa, kPor };

struct ConsensusParams {
    ConsensusKind kind = ConsensusKind::kSolo;
    std::uint64_t spacing_ms = 15'000;  // wanted from one block to the next
    // From the moment at which it was one sealer's turn until the next may step in.
    std::uint64_t turn_ms = 15'000;
    std::uint32_t epoch_blocks = 16;     // from one checkpoint to the next
    std::uint32_t vote_depth = 4;        // blocks on a checkpoint before it is voted for
    std::uint32_t lag_blocks_max = 128;  // tip - final above this: only votes, evidence, exits
    std::uint32_t validators_max = 256;  // those with the most stake
    std::uint64_t validator_stake_min_units = 1'000'000'000;
    // PoR:
    std::string proof_of_work = "sha256d";     // or "randomx"
    std::uint32_t first_target_bits = 16;      // leading zero bits of the genesis' target
    std::uint64_t half_life_ms = 450'000;      // of the target's adjustment: 30 blocks
    std::uint32_t share_epoch_blocks = 1'024;  // shares are counted by so many; 0: they are not
    std::uint32_t share_bits = 8;              // leading zero bits of a share's hash
    std::uint32_t share_openings = 4;          // of an epoch's shares, drawn by lot
    bool counts_shares() const { return kind == ConsensusKind::kPor && share_epoch_blocks > 0; }
    friend bool operator==(const ConsensusParams &, const ConsensusParams &) = default;
};
std::string_view consensus_name(ConsensusKind kind);  // "solo", "poa", "por"

struct Genesis {
    std::string chain_name;
    std::uint64_t time_ms = 0;
    PublicKey sealer{};  // solo alone
    ConsensusParams consensus;
    std::vector<std::pair<PublicKey, Amount>> allocations;
    std::vector<std::pair<PublicKey, Amount>> validators;  // their stake: not of an allocation
    incentive::Params params;
    Bytes32 chain_id{};  // tagged hash of the exact bytes of the file
};

// Steps of Params::decay_step_ms from the genesis to `time_ms`; 0 before.
std::uint64_t decay_step(const Genesis &genesis, std::uint64_t time_ms);

// JSON, as written by `ompi-chain devnet up`. Errors: kCorrupt with the field's name.
Result<Genesis> parse_genesis(std::string_view json);
std::string format_genesis(const Genesis &genesis);  // chain_id is not part of it

// A transaction that was parsed and whose signatures were verified.
struct Tx {
    TxId id{};
    wire::TxBody body;
    PublicKey sender{};
    std::vector<PublicKey> signers;  // sender first
    Bytes signed_bytes;              // the SignedTx as it came
    bool receiver_is_key = false;    // of a transfer: found to be so when it was decoded
};

// The hash that names a transaction: of the body's exact bytes.
TxId tx_id(std::string_view body_bytes);
// Parses and verifies every signature. The sender signs first; for OpenLease each provider of a leg
// signs once, in any order; nobody else signs. Errors: kTooLarge, kProtocol, kBadSignature,
// kInvalidInput (another chain's).
Result<Tx> decode_tx(std::string_view signed_tx_bytes, const Bytes32 &chain_id,
                     PointCache *points = nullptr);
// One-signature transactions.
wire::SignedTx sign_tx(const wire::TxBody &body, const KeyPair &sender);
// Adds `signer`'s signature over the body's exact bytes.
void add_signature(wire::SignedTx &tx, const KeyPair &signer);

struct Voucher {
    wire::VoucherBody body;
    Bytes32 lease_id{};
    wire::SignedVoucher signed_voucher;
};
// Errors: kTooLarge, kProtocol, kBadSignature (not `renter`'s).
Result<Voucher> decode_voucher(const wire::SignedVoucher &voucher, const PublicKey &renter,
                               SignatureCache *cache = nullptr);
wire::SignedVoucher sign_voucher(const wire::VoucherBody &body, const KeyPair &renter);

struct DecodedVote {
    PublicKey validator{};
    incentive::CheckpointVote link;
    wire::SignedVote signed_vote;
};
// Errors: kTooLarge, kProtocol, kBadSignature, kInvalidInput (another chain's; its target is not
// later than its source).
Result<DecodedVote> decode_vote(const wire::SignedVote &vote, const Bytes32 &chain_id,
                                SignatureCache *cache = nullptr);
wire::VoteBody vote_body(const Bytes32 &chain_id, const PublicKey &validator,
                         const incentive::CheckpointVote &link);
wire::SignedVote sign_vote(const wire::VoteBody &body, const KeyPair &validator);

// Human text of a transaction, for `block show` and logs.
std::string describe_tx(const wire::TxBody &body);
std::string_view leg_end_name(LegEnd end);           // "completed", "not-started", …
std::string_view tx_kind(const wire::TxBody &body);  // "transfer", "open-lease", …

}  // namespace chain::ledger
