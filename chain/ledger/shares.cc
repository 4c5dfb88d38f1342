// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/shares.h"

#include <algorithm>
#include <bit>

namespace chain::ledger {
namespace {

constexpr std::string_view kDrawTag = "ompi-chain/share-draw";

}  // namespace

BlockId header_id(std::string_view header_bytes) {
    return tagged_hash(kBlockIdTag, header_bytes);
}

std::uint32_t drawn_share(const BlockId &drawing_block, const PublicKey &account,
                          std::uint32_t draw, std::uint32_t count) {
    Bytes message = to_bytes(drawing_block) + to_bytes(account);
    append_u32_le(message, draw);
    const Bytes32 hash = tagged_hash(kDrawTag, message);
    // 64 bits for at most 2^18 leaves: each is drawn as often as another but for one in 2^46.
    return static_cast<std::uint32_t>(read_u64_be(view_of(hash)) % count);
}

bool has_leading_zero_bits(const Bytes32 &hash, std::uint32_t bits) {
    std::uint32_t zeros = 0;
    for (const std::uint8_t byte : hash) {
        zeros += static_cast<std::uint32_t>(std::countl_zero(byte));
        if (byte != 0) break;
    }
    return zeros >= bits;
}

wire::ShareOpening open_share(const ShareTree &tree, std::uint32_t index, const ShareLeaf &leaf,
                              const Bytes &header_bytes) {
    wire::ShareOpening opening;
    opening.set_index(index);
    opening.set_header(header_bytes);
    opening.set_work(to_bytes(leaf.work));
    for (const auto &[beside, parting] : tree.path(index))
        opening.add_path(to_bytes(beside) + to_bytes(parting));
    return opening;
}

Result<ShareLeaf> opened_leaf(const wire::ShareOpening &opening, const ShareRecord &record) {
    if (opening.header().size() > kShareHeaderBytesMax)
        return make_error(ErrorCode::kTooLarge, "the header of a share has ",
                          opening.header().size(), " bytes, more than ", kShareHeaderBytesMax);
    ShareLeaf leaf;
    CHAIN_ASSIGN(leaf.work, to_bytes32(opening.work(), "work of a share"));
    leaf.header = header_id(opening.header());
    std::vector<ShareStep> path;
    for (const Bytes &bytes : opening.path()) {
        CHAIN_ASSIGN(const Bytes64 step, to_bytes64(bytes, "step of a share's path"));
        ShareStep &read = path.emplace_back();
        std::copy_n(step.begin(), sizeof read.beside, read.beside.begin());
        std::copy(step.begin() + sizeof read.beside, step.end(), read.parting.begin());
    }
    if (share_root_by(leaf, opening.index(), record.count, path) != record.root)
        return make_error(ErrorCode::kInvalidInput, "share ", opening.index(), " of ", record.count,
                          " is not the one that was committed to in this place");
    return leaf;
}

}  // namespace chain::ledger
