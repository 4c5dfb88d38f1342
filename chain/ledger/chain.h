// SPDX-License-Identifier: BSD-3-Clause
//
// Chain: the blocks and the state after the newest one, in a store. One block is one atomic,
// durable write of block, undo record, changed state and tip, so a process that is killed at any
// moment finds either all of a block or nothing of it.
//
// Owner: one thread. Owns its store.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "chain/ledger/account_cache.h"
#include "chain/ledger/seal_rule.h"

namespace chain::ledger {

class Chain {
public:
    // Opens, or begins with `genesis` if the store is empty. Counts everything anew and compares.
    // Errors: kConflict (the store is another chain's), kCorrupt (the store contradicts itself),
    // kDiskFull, kIo.
    // `rule` is asked before a block is taken; without one the genesis' key seals all of them.
    static Result<std::unique_ptr<Chain>> open(std::unique_ptr<KeyValueStore> store,
                                               Genesis genesis,
                                               std::shared_ptr<const SealRule> rule = nullptr);

    const Genesis &genesis() const { return genesis_; }
    const Tip &tip() const { return tip_; }
    const StateReader &state() const { return state_; }
    SignatureCache &signatures() { return signatures_; }
    const SealRule *rule() const { return rule_.get(); }  // null where one key seals
    TxCache &tx_cache() { return txs_; }

    // Appends. On return the block is durable; on failure nothing changed.
    // Errors: kConflict (does not attach to the tip), kProtocol, kBadSignature, kInvalidInput, the
    // transition's, kDiskFull, kIo.
    // The block that draft_header() made last is not executed a second time.
    Status apply(const Block &block);
    // Appends blocks that follow one another, up to kBlocksPerCallMax, with fewer durable writes
    // than blocks (block_writer.h): after a crash some of them are there, from the first on.
    // Errors: as of apply(); the blocks before the wrong one, or those that were written before a
    // write failed, have been appended, and tip() says how many these are.
    Status apply_all(std::span<const Block> blocks);
    static constexpr std::size_t kBlocksPerCallMax = 64;
    // Takes the newest block back: the state is the parent's, exactly.
    // Errors: kNotFound (at the genesis), kCorrupt, kDiskFull, kIo.
    Status undo_tip();

    // What the newest block did, if it came by apply(): for the pool of pending transactions.
    struct Applied {
        BlockId parent{};
        BlockId id{};  // zeros: not known
        std::vector<TxId> tx_ids;
        Changes changes;
    };
    const Applied &last_applied() const { return last_applied_; }

    // A header for a block on the tip, complete but for the signature and the nonce.
    // Errors: the first refused transaction's; kConflict, kInvalidInput (votes that say nothing).
    Result<wire::BlockHeader> draft_header(const BlockDraft &draft);

    // Errors: kNotFound.
    Result<Block> block_at(std::uint64_t height) const;
    Result<Bytes> block_bytes_at(std::uint64_t height) const;
    // The header and its signature, without reading the block. Errors: kNotFound.
    Result<wire::SignedBlock> header_at(std::uint64_t height) const;
    Result<std::uint64_t> height_of(const BlockId &id) const;
    // The block at `height`, up to the tip, as votes name it. Errors: kNotFound.
    Result<Checkpoint> checkpoint_at(std::uint64_t height) const;
    // The block, or the transaction in a block, whose id begins with these hex digits, kIdDigitsMin
    // of them at least. Errors: kInvalidInput, kNotFound, kConflict (several do).
    static constexpr std::size_t kIdDigitsMin = 8;
    Result<BlockId> find_block(std::string_view hex) const;
    Result<TxId> find_tx(std::string_view hex) const;
    // nullopt: in no block.
    Result<std::optional<TxPlace>> place_of(const TxId &id) const;
    // Leases in which `account` is renter or provider, newest first.
    Result<std::vector<Lease>> leases_of(const PublicKey &account, std::size_t count_max) const;
    // Leases that are not settled and whose expiry is at or before `time_ms`, the oldest first.
    Result<std::vector<LeaseId>> expired_leases(std::uint64_t time_ms, std::size_t count_max) const;

    // What happened to an account, newest first: everything, or what is older than `before`. At
    // most `count_max`, kHistoryEntriesMax and what kHistoryReadBytesMax of blocks tell.
    Result<HistoryPage> history_of(const PublicKey &account, std::optional<TxPlace> before,
                                   std::size_t count_max) const;
    // Hours with trade within [from_hour, to_hour], oldest first; at most `count_max` and
    // kPriceHoursMax.
    Result<std::vector<PriceHour>> prices(std::uint64_t from_hour, std::uint64_t to_hour,
                                          std::size_t count_max) const;

    struct Verification {
        bool ok = false;
        std::uint64_t wrong_height = 0;  // the first, when not ok
        std::string reason;
    };
    // Replays every block from the genesis to `tip`, a present or past one of this chain, in
    // memory, verifying every signature. May run on another thread while blocks are appended; not
    // while one is taken back. Errors: kCancelled (`stop` became true), kIo, kCorrupt (the store
    // cannot be read).
    Result<Verification> replay_to(const Tip &tip, const std::atomic<bool> &stop) const;
    // Replays everything, and counts the stored state anew.
    Result<Verification> verify_all() const;

    // Digest and totals of the stored state, counted anew, against those kept, and accounts in
    // memory against those stored. Errors: kCorrupt, kIo.
    Status check_recount() const;

private:
    Chain(std::unique_ptr<KeyValueStore> store, Genesis genesis,
          std::shared_ptr<const SealRule> rule)
        : store_(std::move(store)),
          state_(*store_),
          genesis_(std::move(genesis)),
          rule_(std::move(rule)) {}
    Status begin();
    Status make_index();
    static Status check_attaches(const Block &block, const Tip &parent);
    std::unique_ptr<DecodeBatch> begin_decoding(const Block &block);
    static Result<TxList> finish_decoding(DecodeBatch &batch);
    // `recent`: blocks that lead to `parent` and may not be in the store yet.
    Result<Execution> execute_next(Overlay &state, const Tip &parent, const Block &block,
                                   const Result<TxList> &txs, std::span<const Block> recent);
    using Votes = google::protobuf::RepeatedPtrField<wire::SignedVote>;
    Result<Finality> finality_after(const Votes &votes, const Tip &parent, const StateReader &state,
                                    std::span<const Block> recent);
    Result<std::vector<PublicKey>> voters_of(const Votes &votes,
                                             const incentive::CheckpointVote &link);
    Result<Finality> stored_finality(const wire::BlockHeader &header) const;
    bool is_drafted(const Block &block) const;

    std::unique_ptr<KeyValueStore> store_;
    AccountCache state_;
    Genesis genesis_;
    std::shared_ptr<const SealRule> rule_;
    Tip tip_;
    SignatureCache signatures_;
    TxCache txs_;
    struct Drafted {
        BlockId parent{};
        wire::BlockHeader header;
        TxList txs;
        Execution execution;
    };
    std::optional<Drafted> drafted_;
    Applied last_applied_;
};

}  // namespace chain::ledger
