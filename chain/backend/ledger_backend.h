// SPDX-License-Identifier: BSD-3-Clause
//
// LedgerBackend: the embedded ledger as a Backend. It knows no network: the daemon gives it what
// peers sent (accept_tx, accept_block) and takes from it what peers should get (on_tx_accepted,
// on_block, blocks_from). A node that holds the sealer's key seals by itself, as soon as a
// transaction has come. A block is durable before anybody hears of it.
//
// Owner: the daemon's loop thread; callbacks come on it. Callbacks may call back.
#pragma once

#include "chain/backend/backend.h"
#include "chain/base/clock.h"
#include "chain/base/loop.h"
#include "chain/consensus/engine.h"
#include "chain/consensus/miner.h"
#include "chain/consensus/sealer.h"
#include "chain/consensus/share_auditor.h"
#include "chain/consensus/share_keeper.h"
#include "chain/ledger/mempool.h"
#include "chain/wire/control.pb.h"

namespace chain {

struct LedgerOptions {
    // The least time between two blocks. A transaction that comes later than this after the last
    // block is sealed at once; what comes within it waits for its end, and shares one fsync.
    std::uint64_t block_spacing_ms = 5;
    // After a block could not be written (full disk), until the next try.
    std::uint64_t seal_retry_ms = 1'000;
    // A transaction still pending after this is handed to on_tx_accepted again: its first
    // announcement may have found no peers.
    std::uint64_t announce_again_ms = 2'000;
    // Without a block for so long, what is pending is judged again: what was right when it came may
    // have a time that has passed, and everything of its sender waits behind it.
    std::uint64_t judge_again_ms = 10'000;
    // Networks with validators: where this node keeps what it voted and what is final; empty: it
    // does not vote (tests). And how often it looks whether it is its turn.
    std::string consensus_folder;
    std::uint64_t consensus_every_ms = 50;
    std::optional<consensus::TrustedBlock> trusted;  // consensus/engine.h
    // Proof of resource: threads that look for nonces, in what the machine has left over.
    unsigned mining_threads = 0;
    // What is looked for is drafted anew this often: transactions have come, and time has passed.
    std::uint64_t mining_job_ms = 2'000;
};

// What became of a block that a peer sent.
struct BlockReceipt {
    // kWrong: it is against the rules, as only executing it shows.
    enum class Kind { kApplied, kKnown, kGap, kWrong };
    Kind kind = Kind::kKnown;
    std::uint64_t need_from_height = 0;  // kGap: ask for blocks from here on
};

class LedgerBackend final : public Backend {
public:
    static constexpr std::size_t kBlocksPerAnswerMax = 256;
    static constexpr std::size_t kHeadersPerAnswerMax = 1'000;
    static constexpr std::size_t kAnswerBytesMax = 1536u << 10;  // below a peer frame's limit
    static constexpr std::size_t kAnnounceAgainMax = 64;         // transactions per round
    // Transactions that wait for the loop's next turn, to be verified together on all cores.
    static constexpr std::size_t kArrivalsMax = 1'024;
    static constexpr std::size_t kArrivalBytesMax = 4u << 20;

    // `sealer_key`: nullopt, or a key; a key that is not the genesis file's sealer never seals.
    // `loop` and `clock` outlive the backend. Errors: those of Chain::open.
    static Result<std::unique_ptr<LedgerBackend>> open(Loop &loop, const Clock &clock,
                                                       std::unique_ptr<KeyValueStore> store,
                                                       ledger::Genesis genesis,
                                                       std::optional<KeyPair> sealer_key,
                                                       LedgerOptions options = {});

    const Bytes32 &chain_id() const override { return chain_->genesis().chain_id; }
    const incentive::Params &params() const override { return chain_->genesis().params; }
    std::uint64_t height() const override { return chain_->tip().height; }
    std::uint64_t chain_time_ms() const override;
    Result<ledger::Account> account(const PublicKey &account) const override;
    Result<std::uint64_t> next_nonce(const PublicKey &account) const override;
    Result<incentive::Reputation> reputation(const PublicKey &account) const override;
    Result<LockedFunds> locked(const PublicKey &account) const override;
    Result<ledger::Lease> lease(const ledger::LeaseId &id) const override;
    Result<std::vector<ledger::Lease>> leases_of(const PublicKey &account,
                                                 std::size_t count_max) const override;
    Result<std::vector<ledger::LeaseId>> expired_leases(std::size_t count_max) const override;
    Result<ledger::TxId> submit(const wire::SignedTx &tx) override;
    TxOutcome outcome(const ledger::TxId &id) const override;
    std::uint64_t inclusion_wait_ms() const override;
    std::uint64_t finality_wait_ms() const override;
    void on_new_block(std::function<void(std::uint64_t height)> fn) override;

    // ---- for the network

    // Bytes of a SignedTx to gossip: accepted from a local program or from a peer.
    void on_tx_accepted(std::function<void(const Bytes &signed_tx)> fn);
    // Bytes of a SignedBlock to gossip: sealed here, or new from a peer.
    void on_block(std::function<void(const Bytes &signed_block)> fn);
    // A SignedTx from a peer. True: new and kept. False: known already. Errors: as of submit; the
    // peer broke the protocol when it is kProtocol, kBadSignature or kTooLarge (of the bytes).
    Result<bool> accept_tx(std::string_view signed_tx_bytes);
    // Several at once, verified on all cores: what accept_tx would have said of each, in order.
    std::vector<Result<bool>> accept_txs(std::span<const std::string_view> signed_txs);
    // The same for whatever comes before the loop's next turn. `done` may be called before this
    // returns, when too many wait.
    void accept_tx_soon(Bytes signed_tx, std::function<void(const Result<bool> &)> done);
    // A SignedBlock from a peer. Errors: kConflict (another block at a height that is final here),
    // those of decode_block and Chain::apply.
    Result<BlockReceipt> accept_block(std::string_view signed_block_bytes);
    // Several that follow one another, with one durable write. What comes before a wrong one, or
    // before a gap, is applied.
    Result<BlockReceipt> accept_blocks(std::span<const std::string_view> signed_blocks);

    // ---- for the network, where there are validators

    bool has_validators() const { return engine_ != nullptr; }
    // Votes to gossip: this node's, and all that it knows, now and then.
    void on_vote(std::function<void(const wire::SignedVote &)> fn);
    // True: new, to be passed on. Errors: kProtocol, kBadSignature, kTooLarge (the peer broke the
    // protocol); others: it does not count.
    Result<bool> accept_vote(const wire::SignedVote &vote);
    // Signed headers, without transactions or votes, in their order; whether they lead to a branch
    // that is better is seen then. Errors: as of accept_block; kNotFound: the first one's parent is
    // not known; kProtocol: this chain has no validators.
    struct HeadersReceipt {
        std::size_t new_count = 0;
        bool has_stopped = false;  // at one that can be taken once the blocks of others are here
    };
    Result<HeadersReceipt> accept_headers(std::span<const wire::SignedBlock> headers);
    // Headers after the newest of `known` that is on this chain, or after the genesis.
    Result<std::vector<wire::SignedBlock>> headers_after(const std::vector<ledger::BlockId> &known,
                                                         std::size_t count_max) const;
    // From the tip down to what is final, ever further apart.
    std::vector<ledger::BlockId> locator() const;
    // Blocks of headers that are here, and are not here themselves.
    std::vector<ledger::BlockId> missing_blocks(std::size_t count_max) const;
    // Errors: kNotFound.
    Result<Bytes> block_bytes(const ledger::BlockId &id) const;
    const consensus::Engine *engine() const { return engine_.get(); }
    // Stops within a second; empty: goes on. Nothing where this node does not mine.
    void pause_mining(const std::string &reason);
    // After the checkpoint at `height`. Errors: kNotFound, kIo, kCorrupt.
    Result<ledger::ValidatorSet> validator_set(std::uint64_t height) const {
        return chain_->state().validator_set(height);
    }

    // Bytes of SignedBlocks from `from_height` on; at least one if there is one, otherwise bounded
    // by `count_max`, kBlocksPerAnswerMax and kAnswerBytesMax.
    Result<std::vector<Bytes>> blocks_from(std::uint64_t from_height, std::size_t count_max) const;
    // What is pending, oldest first: for a peer that has just connected.
    std::vector<Bytes> pending_txs(std::size_t count_max) const;

    // ---- for people

    const ledger::Tip &tip() const { return chain_->tip(); }
    Bytes32 state_digest() const { return chain_->tip().digest.digest(); }
    const ledger::Genesis &genesis() const { return chain_->genesis(); }
    bool is_sealer() const;
    bool is_final(std::uint64_t height) const;
    std::size_t mempool_count() const { return mempool_->count(); }
    // Without transactions. `before_height` 0: from the tip. Newest first.
    Result<std::vector<wire::BlockView>> block_views(std::uint64_t before_height,
                                                     std::size_t count_max) const;
    // With transactions. Errors: kNotFound.
    Result<wire::BlockView> block_view(std::uint64_t height) const;
    // `hex`: Chain::find_block.
    Result<wire::BlockView> block_view(std::string_view hex) const;
    // Of a transaction in a block, that waits for one, or was refused here. `hex`: Chain::find_tx;
    // all digits where it is in no block. Errors: those of find_tx.
    Result<wire::TxState> tx_state(std::string_view hex) const;
    // As of Chain: an account's past and the market's, within named limits. Errors: kCorrupt, kIo.
    Result<ledger::HistoryPage> history_of(const PublicKey &account,
                                           std::optional<ledger::TxPlace> before,
                                           std::size_t count_max) const {
        return chain_->history_of(account, before, count_max);
    }
    Result<std::vector<ledger::PriceHour>> prices(std::uint64_t from_hour, std::uint64_t to_hour,
                                                  std::size_t count_max) const {
        return chain_->prices(from_hour, to_hour, count_max);
    }
    // Replays everything: slow. Errors: kIo.
    Result<ledger::Chain::Verification> verify_all() const { return chain_->verify_all(); }
    // The two halves of it. The replay is the slow one, and the one call that may be made on
    // another thread; the owner keeps this object until it has returned. Errors: kCancelled, kIo.
    Result<ledger::Chain::Verification> replay_to(const ledger::Tip &tip,
                                                  const std::atomic<bool> &stop) const {
        return chain_->replay_to(tip, stop);
    }
    // Digest and totals of the stored state, counted anew. Errors: kCorrupt, kIo.
    Status check_recount() const { return chain_->check_recount(); }

    struct Mining {
        std::uint64_t hashes_per_s = 0;
        std::size_t shares = 0;  // found in this share epoch
        std::string pause_reason;
    };
    std::optional<Mining> mining() const;  // nullopt: this node does not mine

private:
    // What is looked for, and what was before it: a nonce may be on its way here.
    struct MiningJob {
        std::uint64_t id = 0;
        ledger::BlockId parent{};
        std::uint64_t drafted_steady_ms = 0;
        consensus::DraftedBlock drafted;
    };

    LedgerBackend(Loop &loop, const Clock &clock, LedgerOptions options)
        : loop_(loop), clock_(clock), options_(options) {}
    Result<ledger::TxRef> decode(std::string_view signed_tx_bytes);
    Result<bool> admit(const ledger::TxRef &tx);
    void admit_arrivals();
    void schedule_seal();
    void schedule_seal_in(std::uint64_t delay_ms);
    void seal_pending();
    Result<BlockReceipt> check_known(const ledger::Block &block) const;
    Status apply_blocks(const std::vector<ledger::Block> &blocks);
    Result<ledger::Block> draft_block(std::uint64_t now_ms);
    void after_blocks(std::span<const ledger::Block> blocks);
    void announce_again();
    void judge_again(const ledger::TxList &first = {});
    // validator_backend.cc
    Status open_engine(std::shared_ptr<const consensus::Rule> rule,
                       std::optional<KeyPair> sealer_key);
    Status run_engine();
    void seal_in_turn();
    void mine(const consensus::Turn &turn);
    void found_nonce(const consensus::Found &found);
    bool wants_block() const;
    bool is_too_far_ahead() const;
    void found_share(const consensus::Found &found);
    void keep_share(const MiningJob &job, const consensus::Found &found);
    void look_at_shares(std::span<const ledger::Block> blocks);
    void count_shares();
    void report(const consensus::VoteEvidence &evidence);
    void submit_own(wire::TxBody body, std::string_view what);
    Result<BlockReceipt> accept_by_engine(std::span<const std::string_view> signed_blocks);

    Loop &loop_;
    const Clock &clock_;
    const LedgerOptions options_;
    std::unique_ptr<ledger::Chain> chain_;
    std::unique_ptr<ledger::Mempool> mempool_;
    std::unique_ptr<consensus::Sealer> sealer_;  // or:
    std::unique_ptr<consensus::Engine> engine_;
    std::optional<KeyPair> engine_key_;
    LoopHandle engine_timer_;
    std::uint64_t busy_height_ = 0;  // of the newest block with transactions: to be made final
    bool running_engine_ = false;
    std::array<MiningJob, 2> mining_jobs_;  // the newest first
    std::uint64_t next_mining_job_ = 1;
    std::unique_ptr<consensus::Miner> miner_;  // its threads use the engine's function
    // Where shares are counted, of a node with an account.
    std::unique_ptr<consensus::ShareKeeper> shares_;
    std::unique_ptr<consensus::ShareAuditor> auditor_;  // its thread, too
    std::vector<std::function<void(const wire::SignedVote &)>> vote_fns_;
    LoopHandle seal_timer_;
    bool seal_scheduled_ = false;
    std::optional<std::uint64_t> last_seal_steady_ms_;
    std::uint64_t judged_steady_ms_ = 0;  // when all that is pending was right
    struct Arrival {
        Bytes signed_tx;
        std::function<void(const Result<bool> &)> done;
    };
    std::vector<Arrival> arrivals_;
    std::size_t arrival_bytes_ = 0;
    LoopHandle arrivals_timer_;
    LoopHandle announce_timer_;
    std::vector<std::function<void(std::uint64_t)>> new_block_fns_;
    std::vector<std::function<void(const Bytes &)>> tx_fns_;
    std::vector<std::function<void(const Bytes &)>> block_fns_;
};

}  // namespace chain
