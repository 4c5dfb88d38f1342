// SPDX-License-Identifier: BSD-3-Clause
//
// What only attackers sign: headers of blocks that nobody has, and votes for any link at all. And a
// block with what they want in it, or why there is none.
#pragma once

#include <functional>
#include <vector>

#include "tests/chain/consensus/validator_chain.h"

namespace chain::consensus {

// What a made-up header says of itself.
struct HeaderWords {
    BlockId parent{};
    std::uint64_t height = 1;
    std::uint64_t time_ms = 0;
    std::uint32_t weight = 1;
    std::uint64_t nonce = 0;
    Checkpoint says;  // of it the heights of what is justified, final, and final before
};

// Of a block upon `tip` that says of finality what it says.
inline HeaderWords words_on(const ledger::Tip &tip) {
    HeaderWords words;
    words.parent = tip.id;
    words.height = tip.height + 1;
    words.time_ms = tip.time_ms + 1;
    words.says.justified_height = tip.finality.justified.height;
    words.says.final_height = tip.finality.final.height;
    words.says.previous_final_height = tip.finality.previous_final_height;
    return words;
}

// A block whose state is nobody's, empty or with `junk` as its one transaction.
inline ledger::Block made_up_block(const ledger::Genesis &genesis, const HeaderWords &words,
                                   const KeyPair &sealer, const Bytes &junk = {}) {
    ledger::BlockDraft draft;
    if (!junk.empty()) {
        const auto tx = std::make_shared<ledger::Tx>();
        tx->signed_bytes = junk;
        draft.txs.push_back(tx);
    }
    wire::BlockHeader header;
    header.set_version(ledger::kBlockVersion);
    header.set_height(words.height);
    header.set_previous(to_bytes(words.parent));
    header.set_chain_id(to_bytes(genesis.chain_id));
    header.set_time_ms(words.time_ms);
    header.set_tx_root(to_bytes(ledger::tx_root(ledger::tx_hashes(draft.txs))));
    header.set_tx_count(static_cast<std::uint32_t>(draft.txs.size()));
    header.set_state_digest(Bytes(32, 'x'));
    header.set_sealer(to_bytes(sealer.public_key()));
    header.set_weight(words.weight);
    header.set_nonce(words.nonce);
    header.set_justified_height(words.says.justified_height);
    header.set_final_height(words.says.final_height);
    header.set_previous_final_height(words.says.previous_final_height);
    return ledger::sign_block(header, draft, sealer);
}

// `count` blocks, each upon the one before and a millisecond later, sealed by these accounts in
// turn. `adjust` is told what each is about to say.
inline std::vector<ledger::Block> made_up_branch(
    const ledger::Genesis &genesis, HeaderWords words, std::size_t count,
    const std::vector<std::uint8_t> &sealers,
    const std::function<void(HeaderWords &)> &adjust = [](HeaderWords &) {}) {
    std::vector<ledger::Block> blocks;
    blocks.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        adjust(words);
        blocks.push_back(made_up_block(genesis, words, key_of(sealers[i % sealers.size()])));
        words.parent = blocks.back().id;
        ++words.height;
        ++words.time_ms;
    }
    return blocks;
}

inline wire::SignedBlock header_of(const ledger::Block &block) {
    wire::SignedBlock header;
    header.set_header(block.signed_block.header());
    header.set_signature(block.signed_block.signature());
    return header;
}

inline std::vector<wire::SignedBlock> headers_of(std::span<const ledger::Block> blocks) {
    std::vector<wire::SignedBlock> headers;
    headers.reserve(blocks.size());
    for (const ledger::Block &block : blocks) headers.push_back(header_of(block));
    return headers;
}

inline wire::SignedVote vote_of(const ledger::Genesis &genesis, std::uint8_t number,
                                const incentive::CheckpointVote &link) {
    return ledger::sign_vote(ledger::vote_body(genesis.chain_id, key_of(number).public_key(), link),
                             key_of(number));
}

// Appends a block with these, or says why there is none.
inline Status try_append(ValidatorChain &world, const ledger::TxList &txs,
                         const std::vector<wire::SignedVote> &votes = {}) {
    const std::uint8_t sealer = world.next_sealer();
    const auto drafted =
        draft_block(world.chain(), key_of(sealer).public_key(), world.turns(sealer)[0], txs, votes,
                    world.chain().tip().time_ms + 1'000);
    if (!drafted.ok()) return drafted.error();
    world.append(txs, votes);
    return ok_status();
}

}  // namespace chain::consensus
