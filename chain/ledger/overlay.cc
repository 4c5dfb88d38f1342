// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/overlay.h"

#include <algorithm>
#include <cstring>

#include "chain/base/parallel.h"

namespace chain::ledger {

// Handed to another core at a time: a read takes some microseconds.
static constexpr std::size_t kReadsPerPiece = 32;

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
    const std::uint64_t seed = hash_seed();
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

// As a number that sorts as they do; keys shorter than that end in zeros.
static std::uint64_t first_bytes(std::string_view key) {
    std::array<char, sizeof(std::uint64_t)> bytes{};
    std::copy_n(key.begin(), std::min(key.size(), bytes.size()), bytes.begin());
    return read_u64_be({bytes.data(), bytes.size()});
}

const std::optional<Bytes> &Overlay::Value::bytes() const {
    if (!is_encoded_) {
        // An account that holds nothing and never acted has no record.
        if (*account_ == Account{})
            bytes_.reset();
        else
            bytes_ = encode_account(*account_);
        is_encoded_ = true;
    }
    return bytes_;
}

Result<Account> Overlay::Value::account() const {
    if (!account_) {
        Account decoded;
        if (bytes_) {
            CHAIN_ASSIGN(decoded, decode_account(*bytes_));
        }
        account_ = decoded;
    }
    return *account_;
}

Overlay::Entry *Overlay::find(std::string_view key) const {
    if (last_found_ != nullptr && last_found_->first == key) return last_found_;
    const auto found = table_.find(key);
    if (found == table_.end()) return nullptr;
    return last_found_ = &*found;
}

void Overlay::erase(Entry *entry) {
    if (last_found_ == entry) last_found_ = nullptr;
    table_.erase(table_.find(entry->first));
}

// The slot of `key`; when reads are not remembered, perhaps none.
Result<const Overlay::Slot *> Overlay::remembered(std::string_view key) const {
    if (const Entry *const found = find(key)) return &found->second;
    if (!remembers_) return static_cast<const Slot *>(nullptr);
    CHAIN_ASSIGN(auto bytes, below_.get(key));
    last_found_ = &*table_.try_emplace(Bytes(key)).first;
    Slot &slot = last_found_->second;
    slot.value = Value(std::move(bytes));
    slot.read = true;
    return &slot;
}

Status Overlay::read_ahead(std::vector<PublicKey> accounts) {
    CHAIN_CHECK(remembers_);
    std::erase_if(accounts, [this](const PublicKey &account) {
        return table_.contains(AccountKey(account).view());
    });
    // In the order of the store, which finds neighbours faster.
    std::sort(accounts.begin(), accounts.end());
    accounts.erase(std::unique(accounts.begin(), accounts.end()), accounts.end());
    std::vector<Result<std::optional<Bytes>>> records(accounts.size(), std::optional<Bytes>());
    Parallel::all_cores().for_each(accounts.size(), kReadsPerPiece, [&](std::size_t i) {
        records[i] = below_.get(AccountKey(accounts[i]).view());
    });
    for (std::size_t i = 0; i < accounts.size(); ++i) {
        CHAIN_TRY(records[i]);
        Slot &slot = table_[Bytes(AccountKey(accounts[i]).view())];
        slot.value = Value(std::move(*records[i]));
        slot.read = true;
    }
    return ok_status();
}

Result<std::optional<Bytes>> Overlay::get(std::string_view key) const {
    CHAIN_ASSIGN(const Slot *const slot, remembered(key));
    return slot != nullptr ? Result<std::optional<Bytes>>(slot->value.bytes()) : below_.get(key);
}

Result<Account> Overlay::account(const PublicKey &account) const {
    CHAIN_ASSIGN(const Slot *const slot, remembered(AccountKey(account).view()));
    return slot != nullptr ? slot->value.account() : below_.account(account);
}

void Overlay::put(std::string_view key, std::optional<Bytes> value) {
    put_value(key, Value(std::move(value)));
}

void Overlay::put_account(const PublicKey &account, const Account &value) {
    put_value(AccountKey(account).view(), Value(value));
}

void Overlay::put_value(std::string_view key, Value value) {
    Entry *entry = find(key);
    const bool is_new = entry == nullptr;
    if (is_new) entry = &*table_.try_emplace(Bytes(key)).first;
    Slot &slot = entry->second;
    if (attempting_ && slot.attempt != attempt_) {
        written_.push_back({entry, slot.changed ? std::move(slot.value) : Value(), slot.attempt,
                            slot.changed, !is_new});
        slot.attempt = attempt_;
    }
    if (!slot.changed) {
        if (slot.read) slot.below = std::move(slot.value);
        mark_changed(*entry);
    }
    slot.value = std::move(value);
}

void Overlay::mark_changed(Entry &entry) {
    entry.second.changed = true;
    entry.second.changed_place = changed_.size();
    changed_.push_back(&entry);
}

void Overlay::unmark_changed(Entry &entry) {
    entry.second.changed = false;
    Entry *const last = changed_.back();
    changed_[entry.second.changed_place] = last;
    last->second.changed_place = entry.second.changed_place;
    changed_.pop_back();
}

void Overlay::forget(std::string_view key) {
    CHAIN_CHECK(!attempting_);
    written_.clear();  // it may point there
    Entry *const found = find(key);
    if (found == nullptr) return;
    if (found->second.changed) unmark_changed(*found);
    erase(found);
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

void Overlay::put_shares(const PublicKey &account, const ShareRecord &record) {
    put_raw(shares_key(account, record.epoch), encode_shares(record));
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
    ++overlay_.attempt_;
}

Overlay::Attempt::~Attempt() {
    overlay_.attempting_ = false;
    if (!kept_) overlay_.take_back();
}

void Overlay::take_back() {
    for (Written &written : written_) {
        Slot &slot = written.entry->second;
        slot.attempt = written.previous_attempt;
        if (written.was_changed) {
            slot.value = std::move(written.previous);
            continue;
        }
        unmark_changed(*written.entry);
        if (written.was_there)
            slot.value = std::move(slot.below);
        else
            erase(written.entry);
    }
    written_.clear();
}

std::uint64_t Overlay::last_attempt_on(std::string_view key) const {
    const Entry *const found = find(key);
    return found != nullptr ? found->second.attempt : 0;
}

Changes Overlay::changes() const {
    std::vector<Changes::Entry> entries;
    for (const Entry *const entry : changed_)
        entries.emplace_back(entry->first, entry->second.value.bytes());
    return Changes(std::move(entries));
}

std::vector<Overlay::Entry *> Overlay::take_changed() {
    CHAIN_CHECK(!attempting_);
    // By the first bytes, which mostly decide, without looking at each entry again and again.
    std::vector<std::pair<std::uint64_t, Entry *>> sorted;
    sorted.reserve(changed_.size());
    for (Entry *const entry : changed_) sorted.emplace_back(first_bytes(entry->first), entry);
    std::sort(sorted.begin(), sorted.end(), [](const auto &a, const auto &b) {
        return a.first != b.first ? a.first < b.first : a.second->first < b.second->first;
    });
    changed_.clear();
    written_.clear();
    std::vector<Entry *> entries;
    entries.reserve(sorted.size());
    for (const auto &[_, entry] : sorted) entries.push_back(entry);
    return entries;
}

Changes Overlay::take_changes() {
    std::vector<Changes::Entry> entries;
    for (Entry *const entry : take_changed()) {
        Slot &slot = entry->second;
        slot.changed = false;
        slot.read = true;
        entries.emplace_back(entry->first, slot.value.bytes());
    }
    return Changes(std::move(entries));
}

Result<Overlay::Difference> Overlay::take_difference() {
    for (Entry *const entry : changed_) {
        Slot &slot = entry->second;
        if (slot.read) continue;
        CHAIN_ASSIGN(auto below, below_.get(entry->first));
        slot.below = Value(std::move(below));
        slot.read = true;
    }
    Difference difference;
    difference.old_values.reserve(changed_.size());
    std::vector<Changes::Entry> entries;
    entries.reserve(changed_.size());
    for (Entry *const entry : take_changed()) {
        Slot &slot = entry->second;
        difference.old_values.push_back(slot.below.bytes());
        entries.emplace_back(entry->first, slot.value.bytes());
        slot.changed = false;
        slot.below = Value();
    }
    difference.changes = Changes(std::move(entries));
    return difference;
}

void put_changes(const Changes &changes, WriteBatch &batch) {
    for (const auto &[key, value] : changes) batch.set(key, value);
}

}  // namespace chain::ledger
