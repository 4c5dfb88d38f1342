// SPDX-License-Identifier: BSD-3-Clause
//
// Chain: what the indexes say, with the words for it from the blocks.
#include <algorithm>

#include "chain/ledger/chain.h"

namespace chain::ledger {
namespace {

// Time, kind and text of an entry whose block is `block`; null: the genesis.
Status describe(const Block *block, const Genesis &genesis, HistoryEntry &entry) {
    if (block == nullptr) {
        entry.time_ms = genesis.time_ms;
        entry.kind = "genesis";
        entry.text = "allocated by the genesis file";
        return ok_status();
    }
    entry.time_ms = block->header.time_ms();
    if (entry.place.index == kBlockRewardIndex) {
        entry.kind = "block-reward";
        entry.text = "reward for sealing the block";
        return ok_status();
    }
    wire::SignedTx signed_tx;
    wire::TxBody body;
    if (entry.place.index >= static_cast<std::uint32_t>(block->signed_block.txs_size()) ||
        !signed_tx.ParseFromString(block->signed_block.txs(static_cast<int>(entry.place.index))) ||
        !body.ParseFromString(signed_tx.body()))
        return make_error(ErrorCode::kCorrupt, "block ", entry.place.height,
                          " does not hold what the index says");
    entry.kind = tx_kind(body);
    entry.text = describe_tx(body);
    entry.tx_id = tx_id(signed_tx.body());
    CHAIN_ASSIGN(entry.sender, to_bytes32(body.sender(), "sender"));
    return ok_status();
}

}  // namespace

Result<HistoryPage> Chain::history_of(const PublicKey &account, std::optional<TxPlace> before,
                                      std::size_t count_max) const {
    const std::size_t limit = std::min(count_max, kHistoryEntriesMax);
    // One more: the change of the oldest entry is against what was before it.
    CHAIN_ASSIGN(const auto states, account_states(*store_, account, before, limit + 1));
    HistoryPage page;
    page.more = states.size() > limit;
    Block block;
    std::size_t read_bytes = 0;
    for (std::size_t i = 0; i < std::min(states.size(), limit); ++i) {
        HistoryEntry entry;
        entry.place = states[i].place;
        entry.after = states[i].after;
        const std::int64_t had = i + 1 < states.size() ? states[i + 1].after.balance.units : 0;
        entry.delta = entry.after.balance.units - had;
        const std::uint64_t height = entry.place.height;
        if (height > 0 && (i == 0 || block.header.height() != height)) {
            if (read_bytes > kHistoryReadBytesMax) {
                page.more = true;
                break;
            }
            CHAIN_ASSIGN(block, block_at(height));
            read_bytes += block.signed_bytes.size();
        }
        CHAIN_TRY(describe(height > 0 ? &block : nullptr, genesis_, entry));
        page.entries.push_back(std::move(entry));
    }
    return page;
}

Result<std::vector<PriceHour>> Chain::prices(std::uint64_t from_hour, std::uint64_t to_hour,
                                             std::size_t count_max) const {
    return price_hours(*store_, from_hour, to_hour, count_max);
}

}  // namespace chain::ledger
