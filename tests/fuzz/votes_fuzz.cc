// SPDX-License-Identifier: BSD-3-Clause
//
// Votes of anybody's, for checkpoints of a small tree: what is counted, and what is evidence. And a
// validator's own votes on whatever trees it sees, whenever it is started again.
#include "chain/wire/frame.h"
#include "tests/fuzz/validators.h"

namespace chain::fuzz {
namespace {

using consensus::BlockTree;
using consensus::VotePool;
using ledger::Checkpoint;
using ledger::DecodedVote;

constexpr unsigned kHeadersMax = 5;
constexpr unsigned kVotesMax = 16;
constexpr unsigned kStepsMax = 24;

// ---- what others vote

class Votes {
public:
    explicit Votes(Choices &choices)
        : choices_(choices),
          world_(Validators::get(ledger::ConsensusKind::kPoa)),
          engine_(world_.make_engine()) {
        for (std::uint64_t height = 0; height <= world_.chain->tip().height; ++height)
            blocks_.push_back(*world_.chain->checkpoint_at(height));
    }

    void play() {
        for (unsigned i = choices_.byte() % (kHeadersMax + 1); i > 0; --i) add_header();
        for (unsigned i = 0; i < kVotesMax && !choices_.exhausted(); ++i) {
            take(pick());
            if (choices_.one_in(4)) run();
        }
        run();
    }

private:
    std::uint64_t now_ms() const { return world_.chain->tip().time_ms + 60'000; }

    void add_header() {
        const unsigned back = choices_.byte() % static_cast<unsigned>(blocks_.size());
        const BlockTree::Node *const parent =
            engine_->consensus().tree().find(blocks_[blocks_.size() - 1 - back].id);
        const auto header = ledger::decode_header(world_.pick_header(choices_, *parent),
                                                  world_.genesis, &world_.chain->signatures());
        if (header.ok() && engine_->take_header(*header, BlockTree::Origin::kAsked, now_ms()).ok())
            blocks_.push_back(ledger::checkpoint_of(header->header, header->id));
    }

    wire::SignedVote pick() {
        const unsigned voter = static_cast<unsigned>(choices_.below(kVoters));
        const Checkpoint &target = blocks_[choices_.byte() % blocks_.size()];
        Checkpoint source = blocks_[0];
        if (choices_.one_in(4))
            source = blocks_[choices_.byte() % blocks_.size()];
        else
            for (const Checkpoint &block : blocks_)
                if (block.height == target.justified_height) source = block;
        wire::VoteBody body =
            ledger::vote_body(world_.genesis.chain_id, world_.keys[voter].public_key(),
                              {source.height, source.id, target.height, target.id});
        if (choices_.one_in(8)) {
            wire::VoteBody other;
            fill(other, choices_, world_.hints);
            std::vector<const google::protobuf::FieldDescriptor *> fields;
            other.GetReflection()->ListFields(other, &fields);
            for (const auto *field : fields)
                if (choices_.one_in(2)) body.GetReflection()->SwapFields(&body, &other, {field});
        }
        wire::SignedVote vote = ledger::sign_vote(body, world_.keys[voter]);
        if (choices_.one_in(32)) vote.mutable_signature()->back() ^= 1;
        return vote;
    }

    void take(const wire::SignedVote &vote) {
        const auto taken = engine_->take_vote(vote);
        if (!taken.ok()) {
            CHAIN_CHECK(is_one_of(taken.error(), {ErrorCode::kProtocol, ErrorCode::kBadSignature,
                                                  ErrorCode::kTooLarge, ErrorCode::kInvalidInput,
                                                  ErrorCode::kPermission, ErrorCode::kConflict}));
            return;
        }
        const DecodedVote decoded = ledger::decode_vote(vote, world_.genesis.chain_id).value();
        CHAIN_CHECK(world_.set.find(decoded.validator) != nullptr);
        for (const DecodedVote &before : taken_)
            is_honest_ &=
                before.validator != decoded.validator ||
                incentive::offence_of(before.link, decoded.link) == incentive::Offence::kNone;
        if (*taken) taken_.push_back(decoded);
        // Nobody passes it on twice.
        if (choices_.one_in(4)) CHAIN_CHECK(!*engine_->take_vote(vote));
    }

    void run() {
        const Checkpoint before = engine_->final();
        const auto outcome = engine_->run(now_ms());
        CHAIN_CHECK(outcome.status.ok() && outcome.own_votes.empty());
        CHAIN_CHECK(outcome.appended.empty() && outcome.taken_back.empty());
        const VotePool &pool = engine_->consensus().votes();
        CHAIN_CHECK(pool.final().height >= before.height);
        CHAIN_CHECK(pool.justified().height >= pool.final().height);
        CHAIN_CHECK(pool.size() <= kVoters * VotePool::kVotesPerValidatorMax);
        check_evidence();
        check_justification(pool);
        // Two that exclude each other take two validators that broke the rules, of four.
        if (is_honest_) CHAIN_CHECK(!pool.conflict());
        check_tree(engine_->consensus().tree());
    }

    // It convinces whoever has nothing but the two votes, and accuses nobody who kept the rules.
    void check_evidence() {
        for (const consensus::VoteEvidence &evidence : engine_->take_evidence()) {
            const auto first = ledger::decode_vote(evidence.first, world_.genesis.chain_id);
            const auto second = ledger::decode_vote(evidence.second, world_.genesis.chain_id);
            CHAIN_CHECK(first.ok() && second.ok() && first->validator == second->validator);
            CHAIN_CHECK(incentive::offence_of(first->link, second->link) !=
                        incentive::Offence::kNone);
            CHAIN_CHECK(!is_honest_);
        }
    }

    void check_justification(const VotePool &pool) {
        const auto votes = pool.justification();
        if (votes.empty()) return;
        std::vector<PublicKey> voters;
        for (const wire::SignedVote &vote : votes) {
            const DecodedVote decoded = ledger::decode_vote(vote, world_.genesis.chain_id).value();
            CHAIN_CHECK(decoded.link.target == pool.justified().id &&
                        decoded.link.target_height == pool.justified().height);
            CHAIN_CHECK(std::find(voters.begin(), voters.end(), decoded.validator) == voters.end());
            voters.push_back(decoded.validator);
        }
        CHAIN_CHECK(ledger::is_supermajority(voters, ledger::VotingSets{world_.set, world_.set}));
    }

    Choices &choices_;
    const Validators &world_;
    const std::unique_ptr<consensus::Engine> engine_;
    std::vector<Checkpoint> blocks_;
    std::vector<DecodedVote> taken_;
    bool is_honest_ = true;  // no two votes that were taken contradict each other
};

// ---- what this validator votes

class MemoryStore final : public consensus::VoteStore {
public:
    explicit MemoryStore(std::optional<consensus::VoteMemory> &memory) : memory_(memory) {}
    Result<std::optional<consensus::VoteMemory>> load() override { return memory_; }
    Status save(const consensus::VoteMemory &memory) override {
        memory_ = memory;
        return ok_status();
    }

private:
    std::optional<consensus::VoteMemory> &memory_;
};

class OwnVotes {
public:
    explicit OwnVotes(Choices &choices)
        : choices_(choices), world_(Validators::get(ledger::ConsensusKind::kPoa)) {
        nodes_.push_back(&tree_.root());
        params_.epoch_blocks = 1 + choices.byte() % 4;
        params_.vote_depth = choices.byte() % 3;
        sets_ = {world_.set, world_.set};
        start();
    }

    void play() {
        for (unsigned i = 0; i < kStepsMax && !choices_.exhausted(); ++i) {
            switch (choices_.below(8)) {
                case 6: start(); break;
                case 7: hear_own(); break;
                default: grow(); vote(*nodes_[choices_.byte() % nodes_.size()]);
            }
        }
    }

private:
    void start() {
        KeyPair key = KeyPair::from_secret(world_.keys[0].secret()).value();
        voter_ = consensus::Voter::open(std::move(key), world_.genesis.chain_id,
                                        std::make_unique<MemoryStore>(memory_))
                     .value();
        is_stopped_ = false;
    }

    void grow() {
        const BlockTree::Node &parent =
            *nodes_[nodes_.size() - 1 - choices_.byte() % nodes_.size()];
        consensus::BlockSummary summary;
        summary.block = parent.summary.block;
        summary.block.height = parent.height() + 1;
        Bytes number;
        append_u64_le(number, nodes_.size());
        summary.block.id = tagged_hash("fuzz-block", number);
        summary.parent = parent.id();
        summary.time_ms = parent.summary.time_ms + 1;
        summary.work = consensus::Work{1};
        if (choices_.one_in(3))
            summary.block.justified_height =
                std::max(summary.block.justified_height,
                         parent.height() - parent.height() % params_.epoch_blocks);
        const auto added = tree_.add(summary, BlockTree::Origin::kAsked);
        CHAIN_CHECK(added.ok());
        nodes_.push_back(*added);
    }

    void vote(const BlockTree::Node &tip) {
        const auto made =
            voter_->vote(tree_, tip, params_, [this](const Checkpoint &) { return &sets_; });
        CHAIN_CHECK(made.ok());
        if (!*made) return;
        CHAIN_CHECK(!is_stopped_);
        const DecodedVote decoded = ledger::decode_vote(**made, world_.genesis.chain_id).value();
        for (const DecodedVote &before : votes_)
            CHAIN_CHECK(incentive::offence_of(before.link, decoded.link) ==
                        incentive::Offence::kNone);
        CHAIN_CHECK(memory_ && memory_->last.body() == (*made)->body());
        CHAIN_CHECK(!voter_->is_impostor(decoded));
        votes_.push_back(decoded);
    }

    // A vote with its key that another machine may have made.
    void hear_own() {
        if (!votes_.empty() && choices_.one_in(2)) {
            CHAIN_CHECK(!voter_->is_impostor(votes_[choices_.byte() % votes_.size()]));
            return;
        }
        DecodedVote foreign;
        foreign.validator = world_.keys[choices_.below(kVoters)].public_key();
        foreign.link.target_height = (memory_ ? memory_->target_height : 0) + choices_.byte() % 4;
        foreign.signed_vote.set_body("another");
        const bool is_own_key = foreign.validator == world_.keys[0].public_key();
        CHAIN_CHECK(voter_->is_impostor(foreign) == is_own_key);
        is_stopped_ |= is_own_key;
        CHAIN_CHECK(voter_->has_stopped() == is_stopped_);
    }

    Choices &choices_;
    const Validators &world_;
    ledger::ConsensusParams params_;
    BlockTree tree_{Checkpoint{}, 0};
    std::vector<const BlockTree::Node *> nodes_;
    ledger::VotingSets sets_;
    std::optional<consensus::VoteMemory> memory_;
    std::unique_ptr<consensus::Voter> voter_;
    std::vector<DecodedVote> votes_;
    bool is_stopped_ = false;
};

}  // namespace

CHAIN_FUZZ_TARGET(votes) {
    Choices choices(input);
    switch (choices.below(4)) {
        case 0: {
            wire::SignedVote vote;
            if (!wire::parse_strict(choices.rest(), wire::kMaxPeerFrameBytes, "vote", vote).ok())
                return;
            const Validators &world = Validators::get(ledger::ConsensusKind::kPoa);
            const auto decoded = ledger::decode_vote(vote, world.genesis.chain_id);
            if (!decoded.ok())
                CHAIN_CHECK(is_one_of(decoded.error(),
                                      {ErrorCode::kTooLarge, ErrorCode::kProtocol,
                                       ErrorCode::kBadSignature, ErrorCode::kInvalidInput}));
            return;
        }
        case 1: return OwnVotes(choices).play();
        default: return Votes(choices).play();
    }
}

}  // namespace chain::fuzz
