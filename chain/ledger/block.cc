// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/block.h"

#include <algorithm>

#include "chain/wire/frame.h"

namespace chain::ledger {
namespace {

// Work handed to another core at a time: less is not worth waking it.
constexpr std::size_t kHashesPerPiece = 128;
constexpr std::size_t kChangesPerPiece = 64;

// What one record adds to the totals. `locked_*` is what accounts say, escrow and collateral what
// leases say: two books that must agree.
struct Contribution {
    Amount balances, escrow, collateral, stake, pool, burned;
    Amount locked_escrow, locked_collateral;
};

Status accumulate(Amount &sum, Amount part) {
    CHAIN_ASSIGN(sum, add(sum, part));
    return ok_status();
}

Status add_lease(std::string_view value, Contribution &sum) {
    CHAIN_ASSIGN(const Lease lease, decode_lease(LeaseId{}, value));
    for (const Leg &leg : lease.legs) {
        CHAIN_TRY(accumulate(sum.burned, leg.burned));
        CHAIN_TRY(accumulate(sum.burned, leg.forfeit));
        CHAIN_TRY(accumulate(sum.burned, leg.penalty));
        if (leg.state == LegState::kSettled) continue;
        CHAIN_TRY(accumulate(sum.escrow, leg.escrow));
        CHAIN_TRY(accumulate(sum.collateral, leg.collateral));
    }
    return ok_status();
}

bool is_account(std::string_view key) {
    return key.starts_with(kAccountPrefix);
}
bool is_lease(std::string_view key) {
    return key.starts_with("sl");
}
bool is_pool(std::string_view key) {
    return key == "sp";
}

Status add_pool(std::string_view value, Contribution &sum) {
    CHAIN_ASSIGN(const Pool pool, decode_pool(value));
    CHAIN_TRY(accumulate(sum.burned, pool.burned));
    return accumulate(sum.pool, pool.reward_left);
}

Status add_record(std::string_view key, std::string_view value, Contribution &sum) {
    if (is_lease(key)) return add_lease(value, sum);
    if (is_pool(key)) return add_pool(value, sum);
    if (!is_account(key)) return ok_status();
    CHAIN_ASSIGN(const Account account, decode_account(value));
    CHAIN_TRY(accumulate(sum.balances, account.balance));
    CHAIN_TRY(accumulate(sum.stake, account.staked));
    CHAIN_TRY(accumulate(sum.stake, account.unbonding));
    CHAIN_TRY(accumulate(sum.locked_escrow, account.escrow));
    return accumulate(sum.locked_collateral, account.collateral);
}

// total + after - before, where the difference may be negative but the result may not.
Status move(Amount &total, Amount before, Amount after) {
    CHAIN_ASSIGN(total, add(total, after));
    CHAIN_ASSIGN(total, subtract(total, before));
    return ok_status();
}

// The change of what accounts say is locked must be the change of what leases lock.
bool same_change(Amount said_before, Amount said_after, Amount before, Amount after) {
    return said_after.units - said_before.units == after.units - before.units;
}

struct Change {
    std::string_view key;
    const std::optional<Bytes> *before;
    const std::optional<Bytes> *after;
};

// The digest's part of `changes`, summed up in pieces on all cores. Sums of lanes do not depend on
// what was added where.
class DigestSum {
public:
    explicit DigestSum(const std::vector<Change> &changes)
        : changes_(changes),
          parts_((changes.size() + kChangesPerPiece - 1) / kChangesPerPiece),
          work_(pool_.start(parts_.size(), 1, [this](std::size_t i) { sum_part(i); })) {}
    ~DigestSum() { pool_.finish(work_); }
    DigestSum(const DigestSum &) = delete;
    DigestSum &operator=(const DigestSum &) = delete;

    void add_to(StateDigest &digest) {
        pool_.finish(work_);
        for (const StateDigest &part : parts_) digest.add(part);
    }

private:
    void sum_part(std::size_t part) {
        const std::size_t begin = part * kChangesPerPiece;
        const std::size_t end = std::min(begin + kChangesPerPiece, changes_.size());
        for (std::size_t i = begin; i < end; ++i) {
            const Change &change = changes_[i];
            if (*change.before) parts_[part].remove(change.key, **change.before);
            if (*change.after) parts_[part].add(change.key, **change.after);
        }
    }

    const std::vector<Change> &changes_;
    std::vector<StateDigest> parts_;
    Parallel &pool_ = Parallel::all_cores();
    Parallel::Handle work_;
};

// Those that the transactions surely read.
std::vector<PublicKey> accounts_of(const TxList &txs) {
    std::vector<PublicKey> accounts;
    accounts.reserve(2 * txs.size());
    for (const Tx &tx : txs) {
        accounts.push_back(tx.sender);
        if (!tx.body.has_transfer()) continue;
        if (const auto receiver = to_bytes32(tx.body.transfer().to(), "receiver"); receiver.ok())
            accounts.push_back(*receiver);
    }
    return accounts;
}

}  // namespace

Bytes32 tx_root(const wire::SignedBlock &block) {
    return tx_root(tx_hashes(block));
}

template <class BytesAt>  // const Bytes &(std::size_t)
static std::vector<Bytes32> hash_each(std::size_t count, const BytesAt &bytes_at) {
    std::vector<Bytes32> hashes(count);
    Parallel::all_cores().for_each(count, kHashesPerPiece,
                                   [&](std::size_t i) { hashes[i] = tx_bytes_hash(bytes_at(i)); });
    return hashes;
}

std::vector<Bytes32> tx_hashes(const wire::SignedBlock &block) {
    return hash_each(
        static_cast<std::size_t>(block.txs_size()),
        [&](std::size_t i) -> const Bytes & { return block.txs(static_cast<int>(i)); });
}

std::vector<Bytes32> tx_hashes(const TxList &txs) {
    return hash_each(txs.size(),
                     [&](std::size_t i) -> const Bytes & { return txs[i].signed_bytes; });
}

Bytes32 tx_root(const std::vector<Bytes32> &tx_hashes) {
    Bytes leaves;
    leaves.reserve(sizeof(Bytes32) * tx_hashes.size());
    for (const Bytes32 &hash : tx_hashes)
        leaves.append(reinterpret_cast<const char *>(hash.data()), hash.size());
    return tagged_hash(kTxRootTag, leaves);
}

Block sign_block(const wire::BlockHeader &header, const BlockDraft &draft, const KeyPair &key) {
    Block block;
    block.header = header;
    for (const Tx &tx : draft.txs) block.signed_block.add_txs(tx.signed_bytes);
    for (const wire::SignedVote &vote : draft.votes) *block.signed_block.add_votes() = vote;
    CHAIN_CHECK(header.sealer() == to_bytes(key.public_key()));
    const Bytes header_bytes = header.SerializeAsString();
    block.signed_block.set_header(header_bytes);
    block.signed_block.set_signature(to_bytes(key.sign(sign_tag::kBlock, header_bytes)));
    block.id = tagged_hash(kBlockIdTag, header_bytes);
    block.signed_bytes = block.signed_block.SerializeAsString();
    return block;
}

static Bytes32 votes_root(const wire::SignedBlock &block) {
    Bytes hashes;
    for (const wire::SignedVote &vote : block.votes()) {
        hashes += to_bytes(tagged_hash(kVotesRootTag, vote.body()));
        hashes += vote.signature();
    }
    return tagged_hash(kVotesRootTag, hashes);
}

Bytes votes_root_bytes(const wire::SignedBlock &block) {
    return block.votes().empty() ? Bytes() : to_bytes(votes_root(block));
}

// What a header says of validators: nothing where one key seals.
static Status check_consensus_fields(const Block &block, const Genesis &genesis) {
    const auto bad = [](std::string_view why) {
        return make_error(ErrorCode::kProtocol, "block: ", why);
    };
    const wire::BlockHeader &header = block.header;
    if (header.votes_root() != votes_root_bytes(block.signed_block))
        return bad("its votes are not those that were sealed");
    const bool says_nothing = header.weight() == 0 && header.justified_height() == 0 &&
                              header.final_height() == 0 && header.previous_final_height() == 0 &&
                              header.nonce() == 0 && block.signed_block.votes().empty();
    if (genesis.consensus.kind == ConsensusKind::kSolo)
        return says_nothing ? ok_status() : bad("has votes or work where one key seals");
    if (static_cast<std::uint64_t>(block.signed_block.votes_size()) >
        2 * std::uint64_t{genesis.consensus.validators_max})
        return bad("holds too many votes");
    return ok_status();
}

Result<Block> decode_header(wire::SignedBlock signed_header, const Genesis &genesis,
                            SignatureCache *cache) {
    const auto bad = [](std::string_view why) {
        return make_error(ErrorCode::kProtocol, "block: ", why);
    };
    Block block;
    block.signed_block = std::move(signed_header);
    const wire::SignedBlock &parts = block.signed_block;
    CHAIN_TRY(
        wire::parse_strict(parts.header(), wire::kMaxBlockBytes, "block header", block.header));
    const wire::BlockHeader &header = block.header;
    if (header.version() != kBlockVersion) return bad("is of a version that is not known");
    CHAIN_ASSIGN(const Bytes32 its_chain, to_bytes32(header.chain_id(), "chain id"));
    if (its_chain != genesis.chain_id)
        return make_error(ErrorCode::kInvalidInput, "block: is of chain ", short_hex(its_chain),
                          ", this is chain ", short_hex(genesis.chain_id));
    CHAIN_TRY(to_bytes32(header.previous(), "the parent's id"));
    CHAIN_TRY(to_bytes32(header.state_digest(), "state digest"));
    if (header.height() == 0) return bad("height 0 is the genesis");
    if (header.time_ms() >= 1ULL << 62) return bad("its time is beyond all bounds");
    if (header.tx_count() > genesis.params.block_txs_max) return bad("holds too many transactions");
    CHAIN_ASSIGN(const PublicKey sealer, to_bytes32(header.sealer(), "sealer"));
    if (genesis.consensus.kind == ConsensusKind::kSolo && sealer != genesis.sealer)
        return make_error(ErrorCode::kBadSignature, "block: ", to_address(sealer),
                          " is not this chain's sealer");
    CHAIN_ASSIGN(const SignatureBytes signature, to_bytes64(parts.signature(), "block signature"));
    if (!verify_cached(cache, sign_tag::kBlock, parts.header(), sealer, signature))
        return make_error(ErrorCode::kBadSignature, "block: the sealer's signature is wrong");
    block.id = tagged_hash(kBlockIdTag, parts.header());
    return block;
}

wire::SignedBlock only_header(const wire::SignedBlock &block) {
    wire::SignedBlock header;
    header.set_header(block.header());
    header.set_signature(block.signature());
    return header;
}

Result<Block> decode_block(std::string_view signed_block_bytes, const Genesis &genesis,
                           SignatureCache *cache) {
    const auto bad = [](std::string_view why) {
        return make_error(ErrorCode::kProtocol, "block: ", why);
    };
    wire::SignedBlock signed_block;
    CHAIN_TRY(wire::parse_strict(signed_block_bytes, wire::kMaxBlockBytes, "block", signed_block));
    CHAIN_ASSIGN(Block block, decode_header(std::move(signed_block), genesis, cache));
    const wire::BlockHeader &header = block.header;
    if (header.tx_count() != static_cast<std::uint32_t>(block.signed_block.txs_size()))
        return bad("does not hold as many transactions as it says");
    CHAIN_TRY(check_consensus_fields(block, genesis));
    block.tx_hashes = tx_hashes(block.signed_block);
    if (to_bytes(tx_root(block.tx_hashes)) != header.tx_root())
        return bad("its transactions are not those that were sealed");
    block.signed_bytes = Bytes(signed_block_bytes);
    return block;
}

Result<std::vector<std::optional<Bytes>>> values_under(const StateReader &state,
                                                       const Changes &changes) {
    std::vector<std::optional<Bytes>> values;
    values.reserve(changes.size());
    for (const auto &[key, _] : changes) {
        CHAIN_ASSIGN(values.emplace_back(), state.get(key));
    }
    return values;
}

Status account_for(const Changes &changes, const std::vector<std::optional<Bytes>> &old_values,
                   StateDigest &digest, Totals &totals) {
    CHAIN_CHECK(old_values.size() == changes.size());
    std::vector<Change> changed;
    changed.reserve(changes.size());
    auto before = old_values.begin();
    for (const auto &[key, value] : changes) {
        if (*before != value) changed.push_back({key, &*before, &value});
        ++before;
    }
    DigestSum digest_sum(changed);
    Contribution old_sum, new_sum;
    for (const Change &change : changed) {
        if (*change.before) CHAIN_TRY(add_record(change.key, **change.before, old_sum));
        if (*change.after) CHAIN_TRY(add_record(change.key, **change.after, new_sum));
    }
    digest_sum.add_to(digest);
    if (!same_change(old_sum.locked_escrow, new_sum.locked_escrow, old_sum.escrow,
                     new_sum.escrow) ||
        !same_change(old_sum.locked_collateral, new_sum.locked_collateral, old_sum.collateral,
                     new_sum.collateral))
        return make_error(ErrorCode::kInternal,
                          "what accounts say is locked is not what leases lock");
    CHAIN_TRY(move(totals.balances, old_sum.balances, new_sum.balances));
    CHAIN_TRY(move(totals.escrow, old_sum.escrow, new_sum.escrow));
    CHAIN_TRY(move(totals.collateral, old_sum.collateral, new_sum.collateral));
    CHAIN_TRY(move(totals.stake, old_sum.stake, new_sum.stake));
    CHAIN_TRY(move(totals.pool, old_sum.pool, new_sum.pool));
    return move(totals.burned, old_sum.burned, new_sum.burned);
}

Status check_conservation(const Totals &totals) {
    using Wide = __int128;
    const Wide held = static_cast<Wide>(totals.balances.units) + totals.escrow.units +
                      totals.collateral.units + totals.stake.units + totals.pool.units +
                      totals.burned.units;
    if (held == totals.minted.units) return ok_status();
    return make_error(ErrorCode::kInternal, "money was made or lost: minted ", totals.minted.units,
                      ", balances ", totals.balances.units, ", escrow ", totals.escrow.units,
                      ", collateral ", totals.collateral.units, ", stake ", totals.stake.units,
                      ", pool ", totals.pool.units, ", burned ", totals.burned.units);
}

Result<Execution> execute(const StateReader &state, const Tip &parent, const Genesis &genesis,
                          const NextBlock &block, const TxList &txs, SignatureCache *cache,
                          const SealRule *rule) {
    Overlay overlay(state, Overlay::Reads::kRemembered);
    return execute_on(overlay, parent, genesis, block, txs, cache, rule);
}

Result<Execution> execute_on(Overlay &state, const Tip &parent, const Genesis &genesis,
                             const NextBlock &block, const TxList &txs, SignatureCache *cache,
                             const SealRule *rule) {
    CHAIN_TRY(state.read_ahead(accounts_of(txs)));
    Execution out;
    out.tx_ids.reserve(txs.size());
    for (std::size_t i = 0; i < txs.size(); ++i) {
        const TxContext context{.genesis = genesis,
                                .height = parent.height + 1,
                                .tx_index = static_cast<std::uint32_t>(i),
                                .time_ms = block.time_ms,
                                .signatures = cache,
                                .trail = &out.trail,
                                .final_height = parent.finality.final.height,
                                .rule = rule};
        if (const Status status = apply_tx(state, txs[i], context); !status.ok())
            return make_error(status.error().code, "transaction ", i, " (", short_hex(txs[i].id),
                              "): ", status.error().message);
        out.tx_ids.push_back(txs[i].id);
    }
    {
        Overlay::Attempt end(state);
        CHAIN_TRY(end_block(state, parent, block, genesis));
        end.keep();
        out.trail.note(kBlockRewardIndex, state);
    }
    CHAIN_ASSIGN(Overlay::Difference difference, state.take_difference());
    out.changes = std::move(difference.changes);
    out.old_values = std::move(difference.old_values);
    out.tip = parent;
    out.tip.height = parent.height + 1;
    out.tip.time_ms = block.time_ms;
    out.tip.finality = block.finality;
    CHAIN_TRY(account_for(out.changes, out.old_values, out.tip.digest, out.tip.totals));
    CHAIN_TRY(check_conservation(out.tip.totals));
    return out;
}

IndexedBlock to_index(const Execution &execution) {
    return {execution.tip.height, execution.tip.id,  execution.tip.time_ms,
            execution.trail,      execution.changes, execution.old_values};
}

// Stake that the genesis gives, and the first set of validators.
static Status put_validators(Overlay &state, const Genesis &genesis, Amount &minted) {
    for (const auto &[validator, stake] : genesis.validators) {
        CHAIN_ASSIGN(Account account, state.account(validator));
        account.staked = stake;
        state.put_account(validator, account);
        CHAIN_TRY(accumulate(minted, stake));
        CHAIN_TRY(note_stake(state, validator, stake, genesis.consensus));
    }
    if (genesis.consensus.kind == ConsensusKind::kSolo) return ok_status();
    return note_validators(state, 0, genesis.time_ms, genesis);
}

Result<Execution> execute_genesis(const Genesis &genesis) {
    const auto nothing = make_memory_store();
    const StoreReader empty(*nothing);
    Overlay overlay(empty);
    Execution out;
    Overlay::Attempt all(overlay);
    for (const auto &[account, amount] : genesis.allocations) {
        overlay.put_account(account, Account{.balance = amount});
        CHAIN_TRY(accumulate(out.tip.totals.minted, amount));
    }
    CHAIN_TRY(put_validators(overlay, genesis, out.tip.totals.minted));
    const Amount pool{static_cast<std::int64_t>(genesis.params.reward_pool_units)};
    if (pool.units > 0) overlay.put_pool(Pool{.reward_left = pool});
    CHAIN_TRY(accumulate(out.tip.totals.minted, pool));
    all.keep();
    out.trail.note(0, overlay);
    out.changes = overlay.changes();
    out.old_values.resize(out.changes.size());
    out.tip.time_ms = genesis.time_ms;
    CHAIN_TRY(account_for(out.changes, out.old_values, out.tip.digest, out.tip.totals));
    CHAIN_TRY(check_conservation(out.tip.totals));
    return out;
}

Result<Recount> recount(const KeyValueStore &store) {
    Recount out;
    Contribution sum;
    Status status = ok_status();
    CHAIN_TRY(store.scan(kStatePrefix, [&](std::string_view key, std::string_view value) {
        out.digest.add(key, value);
        status = add_record(key, value, sum);
        return status.ok();
    }));
    CHAIN_TRY(status);
    if (sum.locked_escrow != sum.escrow || sum.locked_collateral != sum.collateral)
        return make_error(ErrorCode::kCorrupt,
                          "what accounts say is locked is not what leases lock");
    out.totals = {.balances = sum.balances,
                  .escrow = sum.escrow,
                  .collateral = sum.collateral,
                  .stake = sum.stake,
                  .pool = sum.pool,
                  .burned = sum.burned};
    return out;
}

}  // namespace chain::ledger
