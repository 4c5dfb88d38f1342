// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/mempool.h"

#include <algorithm>
#include <utility>

#include "chain/base/log.h"

namespace chain::ledger {

// A transfer's: of both accounts.
constexpr std::size_t kWritesMostly = 2;

Mempool::Mempool(Chain &chain) : chain_(chain), line_(new_line()) {}

Mempool::Line Mempool::new_line() const {
    Line line;
    line.state = std::make_unique<Overlay>(chain_.state());
    line.built_on = chain_.tip().id;
    return line;
}

Status Mempool::try_apply(const Tx &tx, std::uint64_t now_ms) {
    const TxContext context{chain_.genesis(),
                            chain_.tip().height + 1,
                            static_cast<std::uint32_t>(line_.txs.size()),
                            std::max(now_ms, chain_.tip().time_ms + 1),
                            &chain_.signatures(),
                            nullptr,
                            chain_.tip().finality.final.height,
                            chain_.rule()};
    return apply_tx(*line_.state, tx, context);
}

Status Mempool::add(TxRef tx, std::uint64_t now_ms) {
    if (contains(tx->id))
        return make_error(ErrorCode::kConflict, "transaction ", short_hex(tx->id),
                          " is pending already");
    if (line_.txs.size() >= kTxsMax || line_.record_bytes >= kRecordBytesMax ||
        line_.size_bytes + tx->signed_bytes.size() > kBytesMax)
        return make_error(ErrorCode::kNoRoom, "too many transactions are pending (",
                          line_.txs.size(), "); try again after the next block");
    const auto sender = line_.count_by_sender.find(tx->sender);
    const bool is_new_sender = sender == line_.count_by_sender.end();
    if (!is_new_sender && sender->second >= kTxsPerSenderMax)
        return make_error(ErrorCode::kNoRoom, to_address(tx->sender), " has ", sender->second,
                          " transactions pending; try again after the next block");
    if (const Status applied = try_apply(*tx, now_ms); !applied.ok()) {
        if (is_of_store(applied.error())) return applied.error();
        // Its nonce is used up when it is in a block already: that is no refusal.
        CHAIN_ASSIGN(const auto place, chain_.place_of(tx->id));
        if (place)
            return make_error(ErrorCode::kConflict, "transaction ", short_hex(tx->id),
                              " is in block ", place->height, " already");
        remember_rejection(tx->id, applied.error().message);
        return applied.error();
    }
    if (is_new_sender)
        line_.count_by_sender.emplace(tx->sender, 1);
    else
        ++sender->second;
    line_.size_bytes += tx->signed_bytes.size();
    const auto pending = line_.txs.insert(line_.txs.end(), {tx, line_.state->newest_attempt(), {}});
    pending->writes.reserve(kWritesMostly);
    line_.state->each_written([&](const Bytes &key, const std::optional<Bytes> &value) {
        pending->writes.emplace_back(key, value);
        pending->record_bytes += key.size() + (value ? value->size() : 0);
    });
    line_.record_bytes += pending->record_bytes;
    line_.by_id.emplace(tx->id, pending);
    return ok_status();
}

void Mempool::remove_first() {
    const Tx &tx = *line_.txs.front().tx;
    line_.by_id.erase(tx.id);
    line_.size_bytes -= tx.signed_bytes.size();
    line_.record_bytes -= line_.txs.front().record_bytes;
    const auto sender = line_.count_by_sender.find(tx.sender);
    if (--sender->second == 0) line_.count_by_sender.erase(sender);
    line_.txs.pop_front();
}

// If the newest block holds exactly what is first in line: takes that out and keeps what the others
// make of the state, unless one of them built upon a value that came out differently in the block,
// whose time, number and reward were not known before. False: what is pending must be judged again.
bool Mempool::drop_included() {
    const Chain::Applied &block = chain_.last_applied();
    if (block.id == BlockId{} || block.id != chain_.tip().id || block.parent != line_.built_on ||
        block.tx_ids.size() > line_.txs.size())
        return false;
    auto at = line_.txs.begin();
    for (const TxId &id : block.tx_ids)
        if ((at++)->tx->id != id) return false;
    std::unordered_map<std::string_view, const std::optional<Bytes> *, StateKeyHash> expected;
    for (auto head = line_.txs.begin(); head != at; ++head)
        for (const auto &[key, value] : head->writes) expected[key] = &value;
    const std::uint64_t first_left =
        at == line_.txs.end() ? line_.state->newest_attempt() + 1 : at->attempt;
    const auto is_built_upon = [&](std::string_view key) {
        return line_.state->last_attempt_on(key) >= first_left;
    };
    for (const auto &[key, value] : block.changes) {
        if (!is_built_upon(key)) continue;
        const auto found = expected.find(key);
        if (found == expected.end() || *found->second != value) return false;
    }
    for (const auto &[key, value] : expected)
        if (is_built_upon(key) && block.changes.find(key) == nullptr) return false;

    for (const auto &[key, value] : expected) {
        if (is_built_upon(key)) continue;
        line_.state->forget(key);  // the chain's state has it now
    }
    while (line_.txs.begin() != at) remove_first();
    line_.built_on = chain_.tip().id;
    return true;
}

Status Mempool::rebuild(std::uint64_t now_ms, const TxList &first) {
    if (first.empty() && drop_included()) return ok_status();
    ++full_rebuild_count_;
    Line before = std::exchange(line_, new_line());
    for (std::size_t i = 0; i < first.size(); ++i) static_cast<void>(add(first.ref(i), now_ms));
    for (const Pending &pending : before.txs) {
        const Status kept = add(pending.tx, now_ms);
        if (kept.ok()) continue;
        if (is_of_store(kept.error())) {
            line_ = std::move(before);
            return kept;
        }
        log(LogLevel::kDebug, "ledger", "dropped pending transaction ", short_hex(pending.tx->id),
            ": ", kept.error().message);
    }
    return ok_status();
}

TxList Mempool::take(std::size_t count_max, std::size_t bytes_max) const {
    TxList taken;
    std::size_t size_bytes = 0;
    for (const Pending &pending : line_.txs) {
        size_bytes += pending.tx->signed_bytes.size();
        if (taken.size() == count_max || size_bytes > bytes_max) break;
        taken.push_back(pending.tx);
    }
    return taken;
}

TxRef Mempool::find(const TxId &id) const {
    const auto found = line_.by_id.find(id);
    return found == line_.by_id.end() ? nullptr : found->second->tx;
}

std::vector<Bytes> Mempool::pending_bytes(std::size_t count_max) const {
    std::vector<Bytes> all;
    for (const Pending &pending : line_.txs) {
        if (all.size() == count_max) break;
        all.push_back(pending.tx->signed_bytes);
    }
    return all;
}

std::optional<std::string> Mempool::rejection(const TxId &id) const {
    const auto found = rejections_.find(id);
    return found == rejections_.end() ? std::nullopt : std::optional(found->second);
}

Result<std::uint64_t> Mempool::next_nonce(const PublicKey &account) const {
    CHAIN_ASSIGN(const Account pending, line_.state->account(account));
    return pending.nonce;
}

void Mempool::remember_rejection(const TxId &id, std::string reason) {
    if (!rejections_.insert_or_assign(id, std::move(reason)).second) return;
    rejections_oldest_first_.push_back(id);
    if (rejections_oldest_first_.size() > kRejectionsMax) {
        rejections_.erase(rejections_oldest_first_.front());
        rejections_oldest_first_.pop_front();
    }
}

}  // namespace chain::ledger
