// SPDX-License-Identifier: BSD-3-Clause
//
// Headers of anybody's, as a peer sends them before their blocks: decode_header, what the rule can
// say of one without the state, and the tree. Whatever they say, the chain stays where it is.
#include "chain/wire/frame.h"
#include "chain/wire/peer.pb.h"
#include "tests/fuzz/validators.h"

namespace chain::fuzz {
namespace {

using consensus::BlockTree;

constexpr unsigned kHeadersMax = 8;
constexpr std::size_t kMissingMax = 8;

class Headers {
public:
    explicit Headers(const Validators &world) : world_(world), engine_(world.make_engine()) {
        for (std::uint64_t height = 0; height <= world.chain->tip().height; ++height)
            known_.push_back(world.chain->checkpoint_at(height)->id);
    }

    // A parent that is there, by number.
    const BlockTree::Node &parent(unsigned number) const {
        return *engine_->consensus().tree().find(
            known_[known_.size() - 1 - number % known_.size()]);
    }

    void take(const wire::SignedBlock &header, BlockTree::Origin origin, std::uint64_t now_ms) {
        const auto block =
            ledger::decode_header(header, world_.genesis, &world_.chain->signatures());
        if (!block.ok()) {
            CHAIN_CHECK(is_one_of(block.error(), {ErrorCode::kProtocol, ErrorCode::kBadSignature,
                                                  ErrorCode::kInvalidInput, ErrorCode::kTooLarge}));
            return;
        }
        const std::size_t size = engine_->consensus().tree().size();
        const Status taken = engine_->take_header(*block, origin, now_ms);
        CHAIN_CHECK(engine_->consensus().tree().size() == size + (taken.ok() ? 1 : 0));
        if (!taken.ok()) {
            CHAIN_CHECK(is_refused_header(taken.error()));
            return;
        }
        known_.push_back(block->id);
        // A second time it is known; and its work is what the rule says of it again.
        CHAIN_CHECK(engine_->take_header(*block, origin, now_ms).error().code ==
                    ErrorCode::kConflict);
        const BlockTree::Node *const node = engine_->consensus().tree().find(block->id);
        CHAIN_CHECK(!node->has_body && node->summary.parent == node->parent->id());
        const auto work = world_.rule->work_of(*block, node->parent->summary.time_ms);
        CHAIN_CHECK(work.ok() && *work == node->summary.work);
    }

    void check(std::uint64_t now_ms) {
        check_tree(engine_->consensus().tree());
        const std::vector<ledger::BlockId> missing = engine_->missing_blocks(now_ms, kMissingMax);
        CHAIN_CHECK(missing.size() <= kMissingMax);
        std::uint64_t height = 0;
        for (const ledger::BlockId &id : missing) {
            const BlockTree::Node *const node = engine_->consensus().tree().find(id);
            CHAIN_CHECK(node != nullptr && !node->has_body && node->height() > height);
            height = node->height();
        }
        const ledger::BlockId tip = world_.chain->tip().id;
        const auto outcome = engine_->run(now_ms);
        CHAIN_CHECK(outcome.status.ok() && outcome.appended.empty() && outcome.taken_back.empty());
        CHAIN_CHECK(!outcome.is_final_new && world_.chain->tip().id == tip);
    }

private:
    const Validators &world_;
    const std::unique_ptr<consensus::Engine> engine_;
    std::vector<ledger::BlockId> known_;
};

}  // namespace

CHAIN_FUZZ_TARGET(headers) {
    Choices choices(input);
    const unsigned mode = choices.byte();
    const Validators &world =
        Validators::get(mode % 2 == 0 ? ledger::ConsensusKind::kPoa : ledger::ConsensusKind::kPor);
    const auto origin = mode & 2 ? BlockTree::Origin::kTold : BlockTree::Origin::kAsked;
    const std::uint64_t now_ms = world.chain->tip().time_ms + std::uint64_t{choices.byte()} * 100;
    Headers headers(world);
    if (mode >= 240) {
        wire::SyncMessage message;
        if (!wire::parse_strict(choices.rest(), wire::kMaxPeerFrameBytes, "sync", message).ok())
            return;
        for (const wire::SignedBlock &header : message.headers().headers())
            headers.take(header, origin, now_ms);
    }
    for (unsigned i = 0; i < kHeadersMax && !choices.exhausted(); ++i) {
        const unsigned parent = choices.byte();
        headers.take(world.pick_header(choices, headers.parent(parent)), origin, now_ms);
    }
    headers.check(now_ms);
}

}  // namespace chain::fuzz
