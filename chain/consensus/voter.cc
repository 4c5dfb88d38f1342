// SPDX-License-Identifier: BSD-3-Clause
#include "chain/consensus/voter.h"

#include "chain/base/file.h"
#include "chain/consensus/consensus.pb.h"

namespace chain::consensus {
namespace {

constexpr std::size_t kVoteFileBytesMax = 4'096;

class VoteFile final : public VoteStore {
public:
    VoteFile(std::string path, const Bytes32 &chain_id, const PublicKey &validator)
        : path_(std::move(path)), chain_id_(chain_id), validator_(validator) {}

    Result<std::optional<VoteMemory>> load() override {
        if (!path_exists(path_)) return std::optional<VoteMemory>();
        CHAIN_ASSIGN(const Bytes bytes, read_file(path_, kVoteFileBytesMax));
        CHAIN_ASSIGN(VoteMemory memory, parse_vote_memory(path_, bytes, chain_id_, validator_));
        return std::optional<VoteMemory>(std::move(memory));
    }

    Status save(const VoteMemory &memory) override {
        return write_file_atomic(path_, format_vote_memory(memory, chain_id_, validator_), 0600);
    }

private:
    const std::string path_;
    const Bytes32 chain_id_;
    const PublicKey validator_;
};

}  // namespace

constexpr std::string_view kVotesTag = "ompi-chain/votes-file";

Result<VoteMemory> parse_vote_memory(const std::string &path, std::string_view bytes,
                                     const Bytes32 &chain_id, const PublicKey &validator) {
    const auto damaged = [&] {
        return make_error(ErrorCode::kCorrupt, path,
                          " is damaged. It is this validator's memory of its votes: two that "
                          "contradict each other cost the stake. Without --seal this node starts "
                          "and does not vote. To vote again: bring the file back from before the "
                          "damage only if the daemon has not run since; else stake with a new "
                          "wallet and `ompi-chain wallet unstake` this one");
    };
    const auto message = without_digest(kVotesTag, bytes);
    record::VoteFileRecord in;
    if (!message || !in.ParseFromArray(message->data(), static_cast<int>(message->size())))
        return damaged();
    if (in.chain_id() != to_bytes(chain_id) || in.validator() != to_bytes(validator))
        return make_error(
            ErrorCode::kConflict, path,
            " holds the votes of another validator or network: a data folder is for "
            "one wallet and one network. Start each validator with the folder that it "
            "has always voted from");
    const auto last = ledger::decode_vote(in.last(), chain_id);
    if (!last.ok() || last->validator != validator ||
        last->link.source_height != in.source_height() ||
        last->link.target_height != in.target_height())
        return damaged();
    return VoteMemory{in.source_height(), in.target_height(), in.last()};
}

Bytes format_vote_memory(const VoteMemory &memory, const Bytes32 &chain_id,
                         const PublicKey &validator) {
    record::VoteFileRecord out;
    out.set_chain_id(to_bytes(chain_id));
    out.set_validator(to_bytes(validator));
    out.set_source_height(memory.source_height);
    out.set_target_height(memory.target_height);
    *out.mutable_last() = memory.last;
    return with_digest(kVotesTag, out.SerializeAsString());
}

Result<std::unique_ptr<VoteStore>> open_vote_file(const std::string &path, const Bytes32 &chain_id,
                                                  const PublicKey &validator) {
    return std::unique_ptr<VoteStore>(std::make_unique<VoteFile>(path, chain_id, validator));
}

Result<std::unique_ptr<Voter>> Voter::open(KeyPair key, const Bytes32 &chain_id,
                                           std::unique_ptr<VoteStore> store) {
    std::unique_ptr<Voter> voter(new Voter(std::move(key), chain_id, std::move(store)));
    CHAIN_ASSIGN(voter->memory_, voter->store_->load());
    return voter;
}

Result<std::optional<wire::SignedVote>> Voter::vote(const BlockTree &tree,
                                                    const BlockTree::Node &tip,
                                                    const ledger::ConsensusParams &params,
                                                    const VotePool::SetsOf &sets_of) {
    const std::optional<wire::SignedVote> nothing;
    if (has_stopped_ || tip.height() < params.vote_depth) return nothing;
    const std::uint64_t deep_enough = tip.height() - params.vote_depth;
    const std::uint64_t height = deep_enough - deep_enough % params.epoch_blocks;
    const BlockTree::Node *const target = tree.ancestor(tip, height);
    if (height == 0 || target == nullptr || target == &tree.root()) return nothing;
    const Checkpoint &block = target->summary.block;
    const BlockTree::Node *const source = tree.ancestor(*target, block.justified_height);
    if (source == nullptr) return nothing;
    if (memory_ && (height <= memory_->target_height || source->height() < memory_->source_height))
        return nothing;
    const ledger::VotingSets *const sets = sets_of(block);
    if (sets == nullptr ||
        (sets->present.find(account_) == nullptr && sets->previous.find(account_) == nullptr))
        return nothing;
    const wire::VoteBody body = ledger::vote_body(
        chain_id_, account_, {source->height(), source->id(), height, target->id()});
    VoteMemory memory{source->height(), height, ledger::sign_vote(body, key_)};
    CHAIN_TRY(store_->save(memory));
    memory_ = std::move(memory);
    return std::optional<wire::SignedVote>(memory_->last);
}

std::optional<wire::SignedVote> Voter::last() const {
    if (!memory_) return std::nullopt;
    return memory_->last;
}

bool Voter::is_impostor(const DecodedVote &vote) {
    if (vote.validator != account_) return false;
    // Older ones are ours, from before; what is newer than all we know, or other than the last one,
    // cannot be.
    const bool ours = memory_ && (vote.link.target_height < memory_->target_height ||
                                  vote.signed_vote.body() == memory_->last.body());
    if (!ours) has_stopped_ = true;
    return !ours;
}

}  // namespace chain::consensus
