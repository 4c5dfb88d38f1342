// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/overlay.h"

#include <algorithm>
#include <cstring>

namespace chain::ledger {

Changes::Changes(std::vector<Entry> entries) : entries_(std::move(entries)) {
    const auto by_key = [](const Entry &a, const Entry &b) { return a.first < b.first; };
    if (!std::is_sorted(entries_.begin(), entries_.end(), by_key))
        std::sort(entries_.begin(), entries_.end(), by_key);
}

const std::optional<Bytes> *Changes::find(std::string_view key) const {
    const auto at = std::lower_bound(
        entries_.begin(), entries_.end(), key,
        [](const Entry &entry, std::string_view wanted) { return entry.first < wanted; });
    return at != entries_.end() && at->first == key ? &at->second : nullptr;
}

std::size_t StateKeyHash::operator()(std::string_view key) const {
    static const std::uint64_t seed = [] {
        std::uint64_t random;
        fill_random(&random, sizeof random);
        return random;
    }();
    constexpr std::uint64_t kMultiplier = 0x9e37'79b9'7f4a'7c15;  // 2^64 / golden ratio
    std::uint64_t hash = seed ^ key.size();
    while (!key.empty()) {
        std::uint64_t word = 0;
        const std::size_t taken = std::min(key.size(), sizeof word);
        std::memcpy(&word, key.data(), taken);
        key.remove_prefix(taken);
        hash = (hash ^ word) * kMultiplier;
        hash = (hash ^ hash >> 29) * (seed | 1);
        hash ^= hash >> 32;
    }
    return hash;
}

Result<std::optional<Bytes>> Overlay::get(std::string_view key) const {
    const auto found = table_.find(key);
    if (found != table_.end()) return found->second.value;
    if (!remembers_) return below_.get(key);
    CHAIN_ASSIGN(auto value, below_.get(key));
    Slot &slot = table_[Bytes(key)];
    slot.value = value;
    slot.read = true;
    return value;
}

void Overlay::put(Bytes key, std::optional<Bytes> value) {
    const auto [at, is_new] = table_.try_emplace(std::move(key));
    Slot &slot = at->second;
    if (attempting_ && slot.attempt != attempt_) {
        slot.attempt = attempt_;
        written_.push_back(
            {&*at, slot.changed ? std::move(slot.value) : std::nullopt, slot.changed, !is_new});
    }
    if (!slot.changed && slot.read) slot.below = std::move(slot.value);
    slot.changed = true;
    slot.value = std::move(value);
}

void Overlay::forget(std::string_view key) {
    CHAIN_CHECK(!attempting_);
    written_.clear();  // it may point there
    const auto found = table_.find(key);
    if (found != table_.end()) table_.erase(found);
}

void Overlay::put_account(const PublicKey &account, const Account &value) {
    if (value == Account{})
        remove_raw(account_key(account));
    else
        put_raw(account_key(account), encode_account(value));
}

void Overlay::put_lease(const Lease &lease) {
    put_raw(lease_key(lease.id), encode_lease(lease));
}

void Overlay::put_resource(const PublicKey &account, const Resource &resource) {
    put_raw(resource_key(account, resource.node_key), encode_resource(resource));
}

void Overlay::remove_resource(const PublicKey &account, const PublicKey &node_key) {
    remove_raw(resource_key(account, node_key));
}

void Overlay::put_reputation(const PublicKey &account, const incentive::Reputation &value) {
    // Faded to nothing, it is as if it had never been.
    incentive::Reputation nothing;
    nothing.step = value.step;
    if (value == nothing)
        remove_raw(reputation_key(account));
    else
        put_raw(reputation_key(account), encode_reputation(value));
}

void Overlay::put_validator(const PublicKey &account, const Validator &validator) {
    put_raw(validator_key(account), encode_validator(validator));
}

void Overlay::put_payout(const PublicKey &operator_account, const Bytes32 &round_id,
                         const Payout &payout) {
    put_raw(payout_key(operator_account, round_id), encode_payout(payout));
}

void Overlay::put_pool(const Pool &pool) {
    if (pool == Pool{})
        remove_raw(pool_key());
    else
        put_raw(pool_key(), encode_pool(pool));
}

Overlay::Attempt::Attempt(Overlay &overlay) : overlay_(overlay) {
    CHAIN_CHECK(!overlay_.attempting_);
    overlay_.attempting_ = true;
    overlay_.written_.clear();
    if (++overlay_.attempt_ == 0) {  // once in 2^32: no slot may seem to be of this one
        for (auto &[_, slot] : overlay_.table_) slot.attempt = 0;
        overlay_.attempt_ = 1;
    }
}

Overlay::Attempt::~Attempt() {
    overlay_.attempting_ = false;
    if (!kept_) overlay_.take_back();
}

void Overlay::take_back() {
    for (Written &written : written_) {
        if (!written.was_there) {
            table_.erase(table_.find(written.entry->first));
            continue;
        }
        Slot &slot = written.entry->second;
        slot.value = written.was_changed ? std::move(written.previous) : std::move(slot.below);
        slot.changed = written.was_changed;
    }
    written_.clear();
}

Changes Overlay::changes() const {
    std::vector<Changes::Entry> entries;
    for (const auto &[key, slot] : table_)
        if (slot.changed) entries.emplace_back(key, slot.value);
    return Changes(std::move(entries));
}

std::vector<Overlay::Table::node_type> Overlay::take_changed() {
    CHAIN_CHECK(!attempting_);
    std::vector<Table::node_type> nodes;
    nodes.reserve(table_.size());
    for (auto at = table_.begin(); at != table_.end();) {
        const auto next = std::next(at);
        if (at->second.changed) nodes.push_back(table_.extract(at));
        at = next;
    }
    table_.clear();
    written_.clear();
    std::sort(nodes.begin(), nodes.end(),
              [](const auto &a, const auto &b) { return a.key() < b.key(); });
    return nodes;
}

Changes Overlay::take_changes() {
    std::vector<Changes::Entry> entries;
    for (auto &node : take_changed())
        entries.emplace_back(std::move(node.key()), std::move(node.mapped().value));
    return Changes(std::move(entries));
}

Result<Overlay::Difference> Overlay::take_difference() {
    std::vector<Table::node_type> nodes = take_changed();
    std::vector<Changes::Entry> entries;
    entries.reserve(nodes.size());
    Difference difference;
    difference.old_values.reserve(nodes.size());
    for (auto &node : nodes) {
        Slot &slot = node.mapped();
        if (!slot.read) {
            CHAIN_ASSIGN(slot.below, below_.get(node.key()));
        }
        difference.old_values.push_back(std::move(slot.below));
        entries.emplace_back(std::move(node.key()), std::move(slot.value));
    }
    difference.changes = Changes(std::move(entries));
    return difference;
}

void put_changes(const Changes &changes, WriteBatch &batch) {
    for (const auto &[key, value] : changes) {
        if (value)
            batch.put(key, *value);
        else
            batch.remove(key);
    }
}

void put_changes(Changes &&changes, WriteBatch &batch) {
    for (auto &[key, value] : changes) {
        if (value)
            batch.put(std::move(key), std::move(*value));
        else
            batch.remove(std::move(key));
    }
}

}  // namespace chain::ledger
