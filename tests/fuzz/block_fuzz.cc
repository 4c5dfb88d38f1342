// SPDX-License-Identifier: BSD-3-Clause
//
// Blocks: decode_block, and Chain::apply on a small chain in memory. A refused block leaves the tip
// as it was; an applied one is taken back, which must give the same tip again.
#include "chain/wire/frame.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/world.h"

namespace chain::fuzz {
namespace {

constexpr unsigned kTxsMax = 3;
constexpr unsigned kRunsPerChain = 4096;  // a chain remembers signatures: not for ever

bool same_tip(const ledger::Tip &a, const ledger::Tip &b) {
    return a.height == b.height && a.id == b.id && a.time_ms == b.time_ms && a.digest == b.digest &&
           a.totals == b.totals;
}

ledger::Chain &chain_at_height_one() {
    static std::unique_ptr<ledger::Chain> chain;
    static unsigned runs = 0;
    if (runs++ % kRunsPerChain == 0) chain = World::get().make_chain();
    return *chain;
}

void offer(std::string_view block_bytes) {
    ledger::Chain &chain = chain_at_height_one();
    const ledger::Tip before = chain.tip();
    const auto block = ledger::decode_block(block_bytes, chain.genesis(), &chain.signatures());
    if (!block.ok()) {
        CHAIN_CHECK(is_one_of(block.error(), {ErrorCode::kTooLarge, ErrorCode::kProtocol,
                                              ErrorCode::kBadSignature, ErrorCode::kInvalidInput}));
        return;
    }
    const Status applied = chain.apply(*block);
    if (applied.ok()) {
        CHAIN_CHECK(chain.tip().height == before.height + 1 && chain.tip().id == block->id);
        CHAIN_CHECK(ledger::check_conservation(chain.tip().totals).ok());
        CHAIN_CHECK(chain.block_bytes_at(chain.tip().height).value() == block_bytes);
        const auto read = chain.block_at(chain.tip().height);
        CHAIN_CHECK(read.ok() && read->id == block->id &&
                    ledger::tx_root(read->signed_block) == ledger::tx_root(block->signed_block));
        CHAIN_CHECK(chain.undo_tip().ok());
    } else {
        CHAIN_CHECK(is_refusal(applied.error()));
    }
    CHAIN_CHECK(same_tip(chain.tip(), before));
    // What the tip says of the state is counted anew for some: it is slow.
    if (block_bytes.size() % 64 == 0) CHAIN_CHECK(chain.check_recount().ok());
}

Bytes seal(const wire::BlockHeader &header, wire::SignedBlock block) {
    block.set_header(header.SerializePartialAsString());
    block.set_signature(to_bytes(numbered_key(kSealer).sign(sign_tag::kBlock, block.header())));
    return block.SerializePartialAsString();
}

// A block of right and wrong transactions, with the right header or one that is wrong in places.
void offer_built(Choices &choices) {
    const World &world = World::get();
    ledger::Chain &chain = chain_at_height_one();
    const std::uint64_t time_ms = chain.tip().time_ms + std::uint64_t{choices.byte()} * 1'000;
    const unsigned wrong = choices.byte();
    ledger::Overlay state(chain.state());
    const Hints hints = world.hints(state, time_ms);
    std::vector<ledger::Tx> txs;
    wire::SignedBlock block;
    for (unsigned i = 0; i < kTxsMax && !choices.exhausted(); ++i) {
        const wire::TxBody body = world.pick_body(choices, state, hints);
        auto tx = world.sign_and_decode(body);
        const ledger::TxContext context{world.genesis, chain.tip().height + 1,
                                        static_cast<std::uint32_t>(txs.size()), time_ms, nullptr};
        const bool right = tx.ok() && ledger::apply_tx(state, *tx, context).ok();
        if (right) {
            block.add_txs(tx->signed_bytes);
            txs.push_back(std::move(tx).value());
        } else if (wrong % 4 == 1) {
            block.add_txs(world.sign(body.SerializePartialAsString(), body).SerializeAsString());
        }
    }
    const auto drafted = chain.draft_header({txs, time_ms, world.genesis.sealer, 0, {}});
    CHAIN_CHECK(drafted.ok());  // each was applied above
    wire::BlockHeader header = *drafted;
    header.set_tx_count(static_cast<std::uint32_t>(block.txs_size()));
    header.set_tx_root(to_bytes(ledger::tx_root(block)));
    if (wrong % 4 == 2) {
        wire::BlockHeader other;
        fill(other, choices, hints);
        std::vector<const google::protobuf::FieldDescriptor *> fields;
        other.GetReflection()->ListFields(other, &fields);
        if (!fields.empty())
            header.GetReflection()->SwapFields(&header, &other,
                                               {fields[wrong / 4 % fields.size()]});
    }
    offer(seal(header, block));
}

}  // namespace

CHAIN_FUZZ_TARGET(block) {
    Choices choices(input);
    switch (choices.below(4)) {
        case 0: offer(choices.rest()); return;
        case 1: {
            // As it came, but for the root and the seal.
            wire::SignedBlock block;
            wire::BlockHeader header;
            if (!block.ParseFromArray(choices.rest().data(),
                                      static_cast<int>(choices.rest().size())) ||
                !header.ParseFromString(block.header()))
                return;
            header.set_tx_root(to_bytes(ledger::tx_root(block)));
            offer(seal(header, block));
            return;
        }
        default: offer_built(choices);
    }
}

}  // namespace chain::fuzz
