// SPDX-License-Identifier: BSD-3-Clause
#include "chain/consensus/share_keeper.h"

#include <algorithm>
#include <filesystem>

#include <unistd.h>

#include "chain/base/file.h"
#include "chain/base/log.h"
#include "chain/wire/frame.h"

namespace chain::consensus {
namespace {

// An entry: length of the header (4 bytes, little-endian), its work, the header, and the digest of
// all that: a share that is opened and false costs the whole stake, whatever disk did it.
constexpr std::size_t kEntryBytesMax = 4 + 2 * sizeof(Bytes32) + ledger::kShareHeaderBytesMax;
constexpr std::string_view kEntryTag = "ompi-chain/share-entry";
constexpr std::size_t kShareFileBytesMax = ShareKeeper::kKeptMax * kEntryBytesMax;
constexpr std::string_view kFoundName = "found-";
constexpr std::string_view kCommittedName = "committed-";

Bytes entry_of(const Bytes &header, const Bytes32 &work) {
    Bytes entry;
    append_u32_le(entry, static_cast<std::uint32_t>(header.size()));
    entry += to_bytes(work);
    entry += header;
    entry += to_bytes(tagged_hash(kEntryTag, entry));
    return entry;
}

std::optional<std::uint64_t> number_in(std::string_view name, std::string_view prefix) {
    if (!name.starts_with(prefix) || name.size() == prefix.size()) return std::nullopt;
    std::uint64_t number = 0;
    for (const char digit : name.substr(prefix.size())) {
        if (digit < '0' || digit > '9' || number > (~std::uint64_t{0} - 9) / 10)
            return std::nullopt;
        number = 10 * number + static_cast<std::uint64_t>(digit - '0');
    }
    return number;
}

}  // namespace

Result<std::unique_ptr<ShareKeeper>> ShareKeeper::open(const std::string &folder,
                                                       const ledger::ConsensusParams &params,
                                                       const PublicKey &account) {
    CHAIN_CHECK(params.counts_shares());
    std::unique_ptr<ShareKeeper> keeper(new ShareKeeper(folder, params, account));
    if (!folder.empty()) {
        CHAIN_TRY(make_folders(folder, 0700));
        CHAIN_TRY(keeper->load());
    }
    return keeper;
}

std::string ShareKeeper::path_of(std::uint64_t epoch, bool committed) const {
    return folder_ + "/" + std::string(committed ? kCommittedName : kFoundName) +
           std::to_string(epoch);
}

Result<ShareKeeper::Share> ShareKeeper::parse(const Bytes &header_bytes, const Bytes32 &work) {
    wire::BlockHeader header;
    CHAIN_TRY(wire::parse_strict(header_bytes, ledger::kShareHeaderBytesMax, "header of a share",
                                 header));
    if (header.height() == 0) return make_error(ErrorCode::kCorrupt, "a share of no block");
    Share share{{work, ledger::header_id(header_bytes)}, header.height(), {}, header_bytes};
    CHAIN_ASSIGN(share.previous, to_bytes32(header.previous(), "the parent's id"));
    return share;
}

// The bytes of the entries up to the first that is damaged.
std::size_t ShareKeeper::read_entries(std::string_view bytes, Epoch &epoch) {
    std::string_view left = bytes;
    while (left.size() >= 4) {
        const std::size_t size = 4 + sizeof(Bytes32) + std::size_t{read_u32_le(left)};
        if (size > kEntryBytesMax || left.size() < size + sizeof(Bytes32)) break;  // torn
        const std::string_view entry = left.substr(0, size);
        if (view_of(tagged_hash(kEntryTag, entry)) != left.substr(size, sizeof(Bytes32))) break;
        const auto work = to_bytes32(entry.substr(4, sizeof(Bytes32)), "work");
        auto share = parse(Bytes(entry.substr(4 + sizeof(Bytes32))), *work);
        if (!share.ok()) break;
        epoch.shares.push_back(std::move(*share));
        left.remove_prefix(size + sizeof(Bytes32));
    }
    return bytes.size() - left.size();
}

Status ShareKeeper::load() {
    std::error_code failed;
    for (const auto &file : std::filesystem::directory_iterator(folder_, failed)) {
        const std::string name = file.path().filename().string();
        const auto found = number_in(name, kFoundName), sealed = number_in(name, kCommittedName);
        if (!found && !sealed) continue;
        Epoch &epoch = epochs_[sealed ? *sealed : *found];
        if (found && epoch.committed) continue;
        CHAIN_ASSIGN(const Bytes bytes, read_file(file.path().string(), kShareFileBytesMax));
        epoch.committed = sealed.has_value();
        epoch.shares.clear();
        const std::size_t whole = read_entries(bytes, epoch);
        if (whole == bytes.size()) continue;
        log(LogLevel::kWarning, "consensus", file.path().string(),
            " is damaged: ", epoch.shares.size(),
            " shares of it are good, and what follows is left out");
        if (!sealed)
            CHAIN_TRY(write_file_atomic(file.path().string(), bytes.substr(0, whole), 0600));
    }
    if (failed) return make_error(ErrorCode::kIo, folder_, ": ", failed.message());
    return ok_status();
}

Status ShareKeeper::add(const wire::BlockHeader &header, const Bytes &header_bytes,
                        const Bytes32 &work) {
    if (header.height() == 0 || header_bytes.size() > ledger::kShareHeaderBytesMax)
        return ok_status();
    const std::uint64_t number =
        ledger::share_epoch_of(header.height(), params_.share_epoch_blocks);
    Epoch &epoch = epochs_[number];
    if (epoch.committed || epoch.shares.size() >= kKeptMax) return ok_status();
    CHAIN_ASSIGN(Share share, parse(header_bytes, work));
    epoch.shares.push_back(std::move(share));
    if (folder_.empty()) return ok_status();
    const std::string path = path_of(number, false);
    CHAIN_ASSIGN(const FileDescriptor file, open_append(path));
    const off_t end = lseek(file.get(), 0, SEEK_END);
    Status written = write_all(file.get(), entry_of(header_bytes, work), "write " + path);
    // What a full disk took of it would stand before the next one.
    if (!written.ok() && ftruncate(file.get(), end) != 0)
        return errno_error(errno, "cut off a torn entry of " + path);
    return written;
}

// From here on the epoch's shares stay as they are: those of blocks that this chain has, rising,
// each once.
Status ShareKeeper::settle(const ledger::StateReader &state, std::uint64_t number, Epoch &epoch) {
    std::vector<Share> kept;
    for (Share &share : epoch.shares) {
        CHAIN_ASSIGN(const auto parent, state.recent_block(share.height - 1));
        if (parent && *parent == share.previous) kept.push_back(std::move(share));
    }
    const auto by_work = [](const Share &a, const Share &b) { return a.leaf.work < b.leaf.work; };
    std::sort(kept.begin(), kept.end(), by_work);
    const auto same = [](const Share &a, const Share &b) { return a.leaf.work == b.leaf.work; };
    kept.erase(std::unique(kept.begin(), kept.end(), same), kept.end());
    epoch.shares = std::move(kept);
    if (!folder_.empty()) {
        Bytes all;
        for (const Share &share : epoch.shares) all += entry_of(share.header, share.leaf.work);
        CHAIN_TRY(write_file_atomic(path_of(number, true), all, 0600));
        std::error_code ignored;
        std::filesystem::remove(path_of(number, false), ignored);
    }
    epoch.committed = true;
    return ok_status();
}

void ShareKeeper::forget_before(std::uint64_t number) {
    while (!epochs_.empty() && epochs_.begin()->first < number) {
        for (const bool committed : {false, true}) {
            std::error_code ignored;
            if (!folder_.empty())
                std::filesystem::remove(path_of(epochs_.begin()->first, committed), ignored);
        }
        epochs_.erase(epochs_.begin());
    }
}

Result<std::optional<wire::TxBody>> ShareKeeper::due(const ledger::StateReader &state,
                                                     std::uint64_t tip_height,
                                                     std::uint64_t final_height) {
    const std::uint32_t length = params_.share_epoch_blocks;
    const std::uint64_t now = ledger::share_epoch_of(tip_height + 1, length);
    if (now >= 2) {
        forget_before(now - 2);
        if (final_height >= ledger::share_draw_height(now - 2, length)) {
            CHAIN_ASSIGN(auto body, opening(state, now - 2, tip_height));
            if (body) return body;
        }
    }
    if (now >= 1 && final_height >= now * length) return commitment(state, now - 1, tip_height);
    return std::optional<wire::TxBody>();
}

ledger::ShareTree ShareKeeper::tree_of(const Epoch &epoch) {
    std::vector<ledger::ShareLeaf> leaves;
    leaves.reserve(epoch.shares.size());
    for (const Share &share : epoch.shares) leaves.push_back(share.leaf);
    return ledger::ShareTree(std::move(leaves));
}

ShareKeeper::Epoch *ShareKeeper::idle_epoch(std::uint64_t number, std::uint64_t tip_height) {
    const auto found = epochs_.find(number);
    if (found == epochs_.end()) return nullptr;
    const std::uint64_t proposed_at = found->second.proposed_at;
    const bool is_under_way = proposed_at > 0 && tip_height < proposed_at + kAgainBlocks;
    return is_under_way ? nullptr : &found->second;
}

Result<std::optional<wire::TxBody>> ShareKeeper::commitment(const ledger::StateReader &state,
                                                            std::uint64_t number,
                                                            std::uint64_t tip_height) {
    const std::optional<wire::TxBody> nothing;
    Epoch *const epoch = idle_epoch(number, tip_height);
    if (epoch == nullptr) return nothing;
    CHAIN_ASSIGN(const auto record, state.shares(account_, number));
    if (record && record->epoch == number) return nothing;
    if (!epoch->committed) CHAIN_TRY(settle(state, number, *epoch));
    if (epoch->shares.empty()) return nothing;
    const ledger::ShareTree tree = tree_of(*epoch);
    wire::TxBody body;
    wire::CommitShares &action = *body.mutable_commit_shares();
    action.set_epoch(number);
    action.set_count(static_cast<std::uint32_t>(tree.size()));
    action.set_root(to_bytes(tree.root()));
    epoch->proposed_at = tip_height;
    return std::optional(std::move(body));
}

Result<std::optional<wire::TxBody>> ShareKeeper::opening(const ledger::StateReader &state,
                                                         std::uint64_t number,
                                                         std::uint64_t tip_height) {
    const std::optional<wire::TxBody> nothing;
    Epoch *const epoch = idle_epoch(number, tip_height);
    if (epoch == nullptr || !epoch->committed || epoch->shares.empty()) return nothing;
    CHAIN_ASSIGN(const auto record, state.shares(account_, number));
    if (!record || record->epoch != number || record->opened || record->is_false) return nothing;
    CHAIN_ASSIGN(const auto drawing,
                 state.recent_block(ledger::share_draw_height(number, params_.share_epoch_blocks)));
    if (!drawing) return nothing;
    const ledger::ShareTree tree = tree_of(*epoch);
    // Otherwise another daemon's, with this wallet.
    if (tree.size() != record->count || tree.root() != record->root) return nothing;
    wire::TxBody body;
    wire::OpenShares &action = *body.mutable_open_shares();
    action.set_epoch(number);
    for (std::uint32_t draw = 0; draw < params_.share_openings; ++draw) {
        const std::uint32_t index = ledger::drawn_share(*drawing, account_, draw, record->count);
        const Share &share = epoch->shares[index];
        *action.add_openings() = ledger::open_share(tree, index, share.leaf, share.header);
    }
    epoch->proposed_at = tip_height;
    return std::optional(std::move(body));
}

std::size_t ShareKeeper::count_at(std::uint64_t height) const {
    const auto found =
        height == 0 ? epochs_.end()
                    : epochs_.find(ledger::share_epoch_of(height, params_.share_epoch_blocks));
    return found == epochs_.end() ? 0 : found->second.shares.size();
}

}  // namespace chain::consensus
