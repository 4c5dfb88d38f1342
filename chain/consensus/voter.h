// SPDX-License-Identifier: BSD-3-Clause
//
// Voter: one validator's votes, such that no two of them ever contradict each other, whatever
// branches it sees and whenever it is killed: what it has voted is on disk before anybody hears it.
//
// Owner: one thread.
#pragma once

#include "chain/consensus/vote_pool.h"

namespace chain::consensus {

// What keeps a validator from contradicting itself. Nothing else of its votes matters: a new vote
// with target > target_height and source >= source_height is no double and no surround vote.
struct VoteMemory {
    std::uint64_t source_height = 0;  // the highest of all votes
    std::uint64_t target_height = 0;
    wire::SignedVote last;
};

class VoteStore {
public:
    virtual ~VoteStore() = default;
    // nullopt: never voted. Errors: kCorrupt, kIo: then nothing may be voted.
    virtual Result<std::optional<VoteMemory>> load() = 0;
    // On disk when it returns. Errors: kDiskFull, kIo.
    virtual Status save(const VoteMemory &memory) = 0;
};

// The bytes of such a file. Errors: kCorrupt (also where the heights are not those of the last
// vote, or that is not signed: a bad disk alters bytes, and most still parse), kConflict (another
// validator's, or chain's). `path` is for the text.
Result<VoteMemory> parse_vote_memory(const std::string &path, std::string_view bytes,
                                     const Bytes32 &chain_id, const PublicKey &validator);
Bytes format_vote_memory(const VoteMemory &memory, const Bytes32 &chain_id,
                         const PublicKey &validator);

// One file, replaced at once (write_file_atomic), bound to the chain and the validator.
Result<std::unique_ptr<VoteStore>> open_vote_file(const std::string &path, const Bytes32 &chain_id,
                                                  const PublicKey &validator);

class Voter {
public:
    // Errors: of VoteStore::load.
    static Result<std::unique_ptr<Voter>> open(KeyPair key, const Bytes32 &chain_id,
                                               std::unique_ptr<VoteStore> store);
    const PublicKey &account() const { return account_; }
    const Bytes32 &chain_id() const { return chain_id_; }

    // The vote that is due with `tip` as the end of the best branch, remembered durably; nullopt:
    // none is. Errors: kDiskFull, kIo (not remembered, so not voted; may be tried again).
    Result<std::optional<wire::SignedVote>> vote(const BlockTree &tree, const BlockTree::Node &tip,
                                                 const ledger::ConsensusParams &params,
                                                 const VotePool::SetsOf &sets_of);
    // The last one, to be said again: whoever missed it needs it.
    std::optional<wire::SignedVote> last() const;
    // A vote of this account that came from elsewhere: true if it is not ours. Then another machine
    // votes with the same key, and this one stops before the two contradict each other.
    bool is_impostor(const DecodedVote &vote);
    bool has_stopped() const { return has_stopped_; }

private:
    Voter(KeyPair key, const Bytes32 &chain_id, std::unique_ptr<VoteStore> store)
        : key_(std::move(key)),
          account_(key_.public_key()),
          chain_id_(chain_id),
          store_(std::move(store)) {}

    const KeyPair key_;
    const PublicKey account_;
    const Bytes32 chain_id_;
    const std::unique_ptr<VoteStore> store_;
    std::optional<VoteMemory> memory_;
    bool has_stopped_ = false;
};

}  // namespace chain::consensus
