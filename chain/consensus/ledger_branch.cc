// SPDX-License-Identifier: BSD-3-Clause
#include "chain/consensus/ledger_branch.h"

#include "chain/consensus/finality_file.h"

namespace chain::consensus {

static std::string finality_path(const std::string &folder) {
    return folder + "/finality";
}

Result<KnownFinality> LedgerBranch::load() const {
    if (folder_.empty()) return KnownFinality{};
    return read_finality_file(finality_path(folder_), chain_.genesis().chain_id);
}

Status LedgerBranch::save(const KnownFinality &known) {
    if (folder_.empty()) return ok_status();
    return write_finality_file(finality_path(folder_), chain_.genesis().chain_id, known);
}

Branch::Appended LedgerBranch::append(std::span<const BlockId> ids) {
    CHAIN_CHECK(ids.size() <= ledger::Chain::kBlocksPerCallMax);
    std::vector<ledger::Block> blocks;
    for (const BlockId &id : ids) {
        const auto found = waiting_.find(id);
        CHAIN_CHECK(found != waiting_.end());
        blocks.push_back(found->second);
    }
    const std::uint64_t before = chain_.tip().height;
    Appended appended{0, ok_status()};
    // One by one is what a block that was drafted here needs: it is not executed twice.
    appended.status = blocks.size() == 1 ? chain_.apply(blocks[0]) : chain_.apply_all(blocks);
    appended.count = static_cast<std::size_t>(chain_.tip().height - before);
    for (std::size_t i = 0; i < appended.count; ++i) {
        forget(ids[i]);
        appended_.push_back(std::move(blocks[i]));
    }
    return appended;
}

Status LedgerBranch::take_back() {
    const std::uint64_t height = chain_.tip().height;
    CHAIN_ASSIGN(ledger::Block block, chain_.block_at(height));
    CHAIN_TRY(chain_.undo_tip());
    // It may be needed again: if what is better turns out to be wrong. Whether there is room or
    // not.
    waiting_bytes_ += block.signed_bytes.size();
    waiting_.emplace(block.id, block);
    taken_back_.push_back(std::move(block));
    return ok_status();
}

std::vector<DecodedVote> LedgerBranch::votes_in(const BlockId &id) const {
    std::vector<DecodedVote> votes;
    const ledger::Block *block = nullptr;
    for (const ledger::Block &one : appended_)
        if (one.id == id) block = &one;
    Result<ledger::Block> stored = make_error(ErrorCode::kNotFound, "not on the chain");
    if (block == nullptr) {
        if (const auto height = chain_.height_of(id); height.ok())
            stored = chain_.block_at(*height);
        if (!stored.ok()) return votes;
        block = &*stored;
    }
    for (const wire::SignedVote &vote : block->signed_block.votes())
        if (auto decoded =
                ledger::decode_vote(vote, chain_.genesis().chain_id, &chain_.signatures());
            decoded.ok())
            votes.push_back(std::move(*decoded));
    return votes;
}

bool LedgerBranch::keep(ledger::Block block) {
    // What can be executed at once goes before what waits, but for a second one of its sealer.
    const std::size_t size = block.signed_bytes.size();
    std::size_t of_sealer = size;
    bool is_next = block.header.previous() == to_bytes(chain_.tip().id);
    for (const auto &[_, other] : waiting_) {
        if (other.header.sealer() != block.header.sealer()) continue;
        of_sealer += other.signed_bytes.size();
        is_next &= other.header.previous() != block.header.previous();
    }
    const bool has_room =
        waiting_bytes_ + size <= kWaitingBytesMax && of_sealer <= kWaitingBytesPerSealerMax;
    if (!has_room && !is_next) return false;
    if (waiting_.emplace(block.id, std::move(block)).second) waiting_bytes_ += size;
    return true;
}

const ledger::Block *LedgerBranch::waiting(const BlockId &id) const {
    const auto found = waiting_.find(id);
    return found == waiting_.end() ? nullptr : &found->second;
}

void LedgerBranch::forget(const BlockId &id) {
    const auto found = waiting_.find(id);
    if (found == waiting_.end()) return;
    waiting_bytes_ -= found->second.signed_bytes.size();
    waiting_.erase(found);
}

}  // namespace chain::consensus
