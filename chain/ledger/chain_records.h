// SPDX-License-Identifier: BSD-3-Clause
//
// What a chain keeps in its store beside the state's "s" and the history's keys: blocks by height,
// their headers once more (peers ask for a thousand at once), heights by block id, undo records by
// height, places of transactions by id, the tip, and the chain that all this belongs to.
#pragma once

#include "chain/ledger/block.h"

namespace chain::ledger {

inline constexpr std::string_view kTipKey = "mtip";
inline constexpr std::string_view kChainIdKey = "mchain";

inline constexpr std::string_view kBlockIdPrefix = "h";
inline constexpr std::string_view kTxPrefix = "t";

inline Bytes numbered_key(char prefix, std::uint64_t number) {
    Bytes key(1, prefix);
    append_u64_be(key, number);
    return key;
}
inline Bytes block_key(std::uint64_t height) {
    return numbered_key('b', height);
}
inline Bytes header_key(std::uint64_t height) {
    return numbered_key('g', height);
}
inline Bytes undo_key(std::uint64_t height) {
    return numbered_key('u', height);
}
inline Bytes block_id_key(const BlockId &id) {
    return Bytes(kBlockIdPrefix) + to_bytes(id);
}
inline Bytes tx_key(const TxId &id) {
    return Bytes(kTxPrefix) + to_bytes(id);
}
inline Bytes encode_height(std::uint64_t height) {
    Bytes bytes;
    append_u64_be(bytes, height);
    return bytes;
}

Bytes encode_tip(const Tip &tip);
// Errors: kCorrupt.
Result<Tip> decode_tip(std::string_view bytes);

}  // namespace chain::ledger
