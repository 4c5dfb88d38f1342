// SPDX-License-Identifier: BSD-3-Clause
//
// Shares: hashes of block headers that an account found while it mined, too weak for a block, and
// proof all the same of how much it computes. Of those of one share epoch it commits to all on the
// ledger by a Merkle root; two epochs later a block's id draws a few that it must open
// (docs/consensus.md, Shares).
#pragma once

#include "chain/ledger/share_tree.h"
#include "chain/ledger/types.h"

namespace chain::ledger {

inline constexpr std::uint32_t kSharesMax = 1u << 18;  // of one account in one epoch
inline constexpr std::size_t kShareHeaderBytesMax = 1'024;
// An account's records by epoch modulo this: evidence has so long to arrive.
inline constexpr std::uint64_t kShareEpochsKept = 4;

struct ShareRecord {
    std::uint64_t epoch = 0;
    std::uint32_t count = 0;
    Bytes32 root{};
    bool opened = false;    // and counted
    bool is_false = false;  // a leaf was shown to be false
};

// The share epoch of a block: epoch e has the heights e x length + 1 .. (e + 1) x length.
// Preconditions: height > 0, length > 0.
constexpr std::uint64_t share_epoch_of(std::uint64_t height, std::uint32_t length) {
    return (height - 1) / length;
}
// The block whose id draws what must be opened of `epoch`: the last one in which nobody can commit.
constexpr std::uint64_t share_draw_height(std::uint64_t epoch, std::uint32_t length) {
    return (epoch + 2) * length;
}

BlockId header_id(std::string_view header_bytes);

// Number `draw` of the leaves that `account` must open. Precondition: count > 0.
std::uint32_t drawn_share(const BlockId &drawing_block, const PublicKey &account,
                          std::uint32_t draw, std::uint32_t count);

bool has_leading_zero_bits(const Bytes32 &hash, std::uint32_t bits);

wire::ShareOpening open_share(const ShareTree &tree, std::uint32_t index, const ShareLeaf &leaf,
                              const Bytes &header_bytes);
// The leaf that is opened, which is that number of `record`; whether its hash is its header's is
// not looked at. Errors: kTooLarge, kProtocol, kInvalidInput.
Result<ShareLeaf> opened_leaf(const wire::ShareOpening &opening, const ShareRecord &record);

}  // namespace chain::ledger
