// SPDX-License-Identifier: BSD-3-Clause
#include "tests/fuzz/validators.h"

#include "chain/store/store.h"
#include "tests/fuzz/world.h"

namespace chain::fuzz {

using consensus::BlockTree;
using ledger::ConsensusKind;

constexpr std::uint64_t kHeight = 3;
constexpr unsigned kFirstKey = 40;  // others than those of world.h

const Validators &Validators::get(ConsensusKind kind) {
    static const Validators *const poa = new Validators(ConsensusKind::kPoa);
    static const Validators *const por = new Validators(ConsensusKind::kPor);
    return kind == ConsensusKind::kPoa ? *poa : *por;
}

Validators::Validators(ConsensusKind kind) {
    ledger::Genesis made;
    made.chain_name = "validators";
    made.time_ms = kGenesisTimeMs;
    made.consensus.kind = kind;
    made.consensus.epoch_blocks = 2;
    made.consensus.vote_depth = 1;
    made.consensus.spacing_ms = 1'000;
    made.consensus.turn_ms = 500;
    made.consensus.first_target_bits = 1;
    made.consensus.half_life_ms = 30'000;
    made.consensus.validators_max = 8;
    made.consensus.validator_stake_min_units = 1'000;
    for (unsigned i = 0; i < kVoters; ++i) {
        keys.push_back(numbered_key(kFirstKey + i));
        made.allocations.emplace_back(keys[i].public_key(), Amount{1'000'000});
        if (i < kValidators) made.validators.emplace_back(keys[i].public_key(), Amount{10'000});
    }
    genesis = ledger::parse_genesis(ledger::format_genesis(made)).value();
    rule = consensus::Rule::make(genesis).value();
    chain = ledger::Chain::open(make_memory_store(), genesis, rule).value();
    while (chain->tip().height < kHeight) grow();
    set = chain->state().validator_set(0).value();
    hints = make_hints();
    wire::SignedBlock first;
    CHAIN_CHECK(first.ParseFromString(blocks[0]) && first_header_.ParseFromString(first.header()));
}

void Validators::grow() {
    const unsigned sealer = static_cast<unsigned>(chain->tip().height) % kValidators;
    const PublicKey account = keys[sealer].public_key();
    const auto turn = rule->turns(account, chain->tip(), chain->state()).value().front();
    auto drafted = consensus::draft_block(*chain, account, turn, {}, {}, 0).value();
    for (std::uint64_t nonce = 1;; ++nonce) {
        if (turn.needs_work) drafted.header.set_nonce(nonce);
        const auto block = ledger::sign_block(drafted.header, drafted.draft, keys[sealer]);
        if (!rule->work_of(block, chain->tip().time_ms).ok()) continue;
        CHAIN_CHECK(chain->apply(block).ok());
        blocks.push_back(block.signed_bytes);
        return;
    }
}

std::unique_ptr<consensus::Engine> Validators::make_engine() const {
    return consensus::Engine::open(*chain, rule, "", std::nullopt).value();
}

Hints Validators::make_hints() const {
    Hints hints;
    hints.now_ms = kGenesisTimeMs + 10'000;
    for (const KeyPair &key : keys) hints.names.push_back(to_bytes(key.public_key()));
    for (std::uint64_t height = 0; height <= kHeight; ++height)
        hints.names.push_back(to_bytes(chain->checkpoint_at(height)->id));
    hints.names.push_back(to_bytes(genesis.chain_id));
    hints.sign = [this](std::string_view type, std::string_view bytes, Choices &choices) {
        const std::string_view tag = type == "SignedVote"      ? sign_tag::kVote
                                     : type == "SignedOffer"   ? sign_tag::kOffer
                                     : type == "SignedVoucher" ? sign_tag::kVoucher
                                                               : sign_tag::kTx;
        return to_bytes(keys[choices.below(kVoters)].sign(tag, bytes));
    };
    return hints;
}

wire::SignedBlock Validators::seal(const wire::BlockHeader &header, unsigned sealer) const {
    wire::SignedBlock block;
    block.set_header(header.SerializePartialAsString());
    block.set_signature(to_bytes(keys[sealer].sign(sign_tag::kBlock, block.header())));
    return block;
}

wire::SignedBlock Validators::pick_header(Choices &choices, const BlockTree::Node &parent) const {
    wire::BlockHeader header = first_header_;
    const unsigned sealer = static_cast<unsigned>(choices.below(kVoters));
    const ledger::Checkpoint &before = parent.summary.block;
    header.set_height(before.height + 1);
    header.set_previous(to_bytes(before.id));
    header.set_time_ms(parent.summary.time_ms + 1 + std::uint64_t{choices.byte()} * 100);
    header.set_sealer(to_bytes(keys[sealer].public_key()));
    header.set_justified_height(before.justified_height);
    header.set_final_height(before.final_height);
    header.set_previous_final_height(before.previous_final_height);
    const unsigned weight = choices.byte();
    if (genesis.consensus.kind == ConsensusKind::kPoa)
        header.set_weight(1 + weight % 9);
    else
        header.set_weight(weight % 4 == 0 ? 0 : incentive::kQ16 + (weight >> 2) * 3'000);
    header.set_nonce(choices.byte());
    if (choices.one_in(4)) {  // one of its own words for what is final
        header.set_justified_height(choices.byte() % 8);
        header.set_final_height(choices.byte() % 8);
        header.set_previous_final_height(choices.byte() % 8);
    }
    if (choices.one_in(8)) {
        wire::BlockHeader other;
        fill(other, choices, hints);
        std::vector<const google::protobuf::FieldDescriptor *> fields;
        other.GetReflection()->ListFields(other, &fields);
        if (!fields.empty())
            header.GetReflection()->SwapFields(&header, &other,
                                               {fields[choices.byte() % fields.size()]});
    }
    wire::SignedBlock block = seal(header, sealer);
    if (choices.one_in(32)) block.mutable_signature()->back() ^= 1;
    return block;
}

bool is_refused_header(const Error &error) {
    return is_one_of(error, {ErrorCode::kNotFound, ErrorCode::kConflict, ErrorCode::kInvalidInput,
                             ErrorCode::kNoRoom, ErrorCode::kTooLarge, ErrorCode::kProtocol,
                             ErrorCode::kNotYet});
}

void check_tree(const BlockTree &tree) {
    CHAIN_CHECK(tree.size() <= BlockTree::kNodesMax);
    tree.each([&](const BlockTree::Node &node) {
        CHAIN_CHECK(tree.find(node.id()) == &node);
        CHAIN_CHECK(tree.is_ancestor(tree.root(), node));
        if (&node == &tree.root()) {
            CHAIN_CHECK(node.parent == nullptr && node.has_body);
            return;
        }
        CHAIN_CHECK(node.parent != nullptr && tree.find(node.parent->id()) == node.parent);
        const ledger::Checkpoint &block = node.summary.block;
        const ledger::Checkpoint &before = node.parent->summary.block;
        CHAIN_CHECK(node.height() == node.parent->height() + 1);
        CHAIN_CHECK(node.summary.time_ms > node.parent->summary.time_ms);
        CHAIN_CHECK(node.total_work == consensus::add(node.parent->total_work, node.summary.work));
        CHAIN_CHECK(node.summary.work.hashes > 0 && node.order > node.parent->order);
        CHAIN_CHECK(block.previous_final_height <= block.final_height &&
                    block.final_height <= block.justified_height &&
                    block.justified_height < block.height);
        CHAIN_CHECK(before.justified_height <= block.justified_height &&
                    before.final_height <= block.final_height);
    });
}

}  // namespace chain::fuzz
