// SPDX-License-Identifier: BSD-3-Clause
//
// ShareKeeper: the shares that this node's account has found, on disk until they are opened, and
// the transactions that make them count: the commitment once their epoch is final, the opening once
// the block that draws is.
//
// Owner: one thread.
#pragma once

#include <map>

#include "chain/ledger/state.h"

namespace chain::consensus {

class ShareKeeper {
public:
    // Of one epoch; more are not kept. (A share is worth as many hashes as the genesis says: who
    // finds more than one in some seconds is on a network whose share_bits are too few.)
    static constexpr std::size_t kKeptMax = 1u << 16;
    // Blocks until a transaction that is in none of them is proposed again.
    static constexpr std::uint64_t kAgainBlocks = 8;

    // What is under `folder`, which is made; empty: nothing is kept (tests). A file that is torn at
    // its end is good up to there. Errors: kIo, kPermission, kDiskFull.
    static Result<std::unique_ptr<ShareKeeper>> open(const std::string &folder,
                                                     const ledger::ConsensusParams &params,
                                                     const PublicKey &account);

    // A header with its nonce, and its proof-of-work hash. One of an epoch that is committed to, or
    // full, is dropped. Errors: kIo, kDiskFull: it is kept in memory all the same.
    Status add(const wire::BlockHeader &header, const Bytes &header_bytes, const Bytes32 &work);

    // The action of a transaction that is due on the chain whose state this is (CommitShares or
    // OpenShares; no sender, nonce or chain); nullopt: none. Errors: kIo, kDiskFull, kCorrupt.
    Result<std::optional<wire::TxBody>> due(const ledger::StateReader &state,
                                            std::uint64_t tip_height, std::uint64_t final_height);

    // Found in the epoch of the block at `height`, so far.
    std::size_t count_at(std::uint64_t height) const;

private:
    struct Share {
        ledger::ShareLeaf leaf;
        std::uint64_t height = 0;
        ledger::BlockId previous{};
        Bytes header;
    };
    struct Epoch {
        std::vector<Share> shares;      // by leaf, rising, once `committed`
        bool committed = false;         // to exactly these
        std::uint64_t proposed_at = 0;  // tip's height; 0: not yet
    };

    ShareKeeper(std::string folder, const ledger::ConsensusParams &params, const PublicKey &account)
        : folder_(std::move(folder)), params_(params), account_(account) {}
    Status load();
    static std::size_t read_entries(std::string_view bytes, Epoch &epoch);
    std::string path_of(std::uint64_t epoch, bool committed) const;
    static Result<Share> parse(const Bytes &header_bytes, const Bytes32 &work);
    Result<std::optional<wire::TxBody>> commitment(const ledger::StateReader &state,
                                                   std::uint64_t epoch, std::uint64_t tip_height);
    Result<std::optional<wire::TxBody>> opening(const ledger::StateReader &state,
                                                std::uint64_t epoch, std::uint64_t tip_height);
    Status settle(const ledger::StateReader &state, std::uint64_t number, Epoch &epoch);
    // nullptr: nothing was found in it, or a transaction about it is under way.
    Epoch *idle_epoch(std::uint64_t number, std::uint64_t tip_height);
    // Precondition: it has shares.
    static ledger::ShareTree tree_of(const Epoch &epoch);
    void forget_before(std::uint64_t epoch);

    const std::string folder_;
    const ledger::ConsensusParams params_;
    const PublicKey account_;
    std::map<std::uint64_t, Epoch> epochs_;
};

}  // namespace chain::consensus
