// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/state.h"

#include <algorithm>
#include <cstring>

namespace chain::ledger {
namespace {

constexpr std::string_view kAccountPrefix = "sa";
constexpr std::string_view kLeasePrefix = "sl";
constexpr std::string_view kResourcePrefix = "sr";
constexpr std::string_view kIndexPrefix = "sx";
constexpr std::string_view kExpiryPrefix = "se";
constexpr std::string_view kReputationPrefix = "sq";
constexpr std::string_view kValidatorPrefix = "sv";
constexpr std::string_view kPayoutPrefix = "sm";
constexpr std::string_view kPoolKey = "sp";

Bytes joined(std::string_view prefix, const Bytes32 &id) {
    return Bytes(prefix) + to_bytes(id);
}

}  // namespace

Bytes account_key(const PublicKey &account) {
    return joined(kAccountPrefix, account);
}

Bytes lease_key(const LeaseId &id) {
    return joined(kLeasePrefix, id);
}

Bytes resource_key(const PublicKey &account, const PublicKey &node_key) {
    return joined(kResourcePrefix, account) + to_bytes(node_key);
}

Bytes reputation_key(const PublicKey &account) {
    return joined(kReputationPrefix, account);
}

Bytes validator_key(const PublicKey &account) {
    return joined(kValidatorPrefix, account);
}

Bytes payout_key(const PublicKey &operator_account, const Bytes32 &round_id) {
    return joined(kPayoutPrefix, operator_account) + to_bytes(round_id);
}

Bytes pool_key() {
    return Bytes(kPoolKey);
}

Bytes lease_index_prefix(const PublicKey &account) {
    return joined(kIndexPrefix, account);
}

Bytes lease_index_key(const PublicKey &account, std::uint64_t height, std::uint32_t tx_index) {
    Bytes key = lease_index_prefix(account);
    append_u64_be(key, ~height);
    append_u64_be(key, ~std::uint64_t{tx_index});
    return key;
}

Bytes expiry_index_prefix() {
    return Bytes(kExpiryPrefix);
}

Bytes expiry_index_key(const Lease &lease) {
    Bytes key = expiry_index_prefix();
    append_u64_be(key, lease.expires_at_ms);
    return key + to_bytes(lease.id);
}

Result<Account> StateReader::account(const PublicKey &account) const {
    CHAIN_ASSIGN(const auto bytes, get(account_key(account)));
    if (!bytes) return Account{};
    return decode_account(*bytes);
}

Result<Lease> StateReader::lease(const LeaseId &id) const {
    CHAIN_ASSIGN(const auto bytes, get(lease_key(id)));
    if (!bytes)
        return make_error(ErrorCode::kNotFound, "there is no lease ", short_hex(id),
                          " on the ledger");
    return decode_lease(id, *bytes);
}

Result<std::optional<Resource>> StateReader::resource(const PublicKey &account,
                                                      const PublicKey &node_key) const {
    CHAIN_ASSIGN(const auto bytes, get(resource_key(account, node_key)));
    if (!bytes) return std::optional<Resource>();
    CHAIN_ASSIGN(Resource resource, decode_resource(node_key, *bytes));
    return std::optional<Resource>(std::move(resource));
}

Result<incentive::Reputation> StateReader::reputation(const PublicKey &account,
                                                      std::uint64_t step) const {
    CHAIN_ASSIGN(const auto bytes, get(reputation_key(account)));
    incentive::Reputation reputation;
    if (bytes) {
        CHAIN_ASSIGN(reputation, decode_reputation(*bytes));
    }
    return incentive::faded_to(reputation, step);
}

Result<Validator> StateReader::validator(const PublicKey &account) const {
    CHAIN_ASSIGN(const auto bytes, get(validator_key(account)));
    if (!bytes) return Validator{};
    return decode_validator(*bytes);
}

Result<std::optional<Payout>> StateReader::payout(const PublicKey &operator_account,
                                                  const Bytes32 &round_id) const {
    CHAIN_ASSIGN(const auto bytes, get(payout_key(operator_account, round_id)));
    if (!bytes) return std::optional<Payout>();
    CHAIN_ASSIGN(Payout payout, decode_payout(*bytes));
    return std::optional<Payout>(payout);
}

Result<Pool> StateReader::pool() const {
    CHAIN_ASSIGN(const auto bytes, get(pool_key()));
    if (!bytes) return Pool{};
    return decode_pool(*bytes);
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

Result<std::optional<Bytes>> ReadOnce::get(std::string_view key) const {
    const auto found = known_.find(key);
    if (found != known_.end()) return found->second;
    CHAIN_ASSIGN(auto value, below_.get(key));
    known_.emplace(Bytes(key), value);
    return value;
}

Result<std::optional<Bytes>> Overlay::get(std::string_view key) const {
    const auto found = changes_.find(key);
    if (found != changes_.end()) return found->second;
    return below_.get(key);
}

void Overlay::put_account(const PublicKey &account, const Account &value) {
    if (value == Account{})
        changes_[account_key(account)] = std::nullopt;
    else
        changes_[account_key(account)] = encode_account(value);
}

void Overlay::put_lease(const Lease &lease) {
    changes_[lease_key(lease.id)] = encode_lease(lease);
}

void Overlay::put_resource(const PublicKey &account, const Resource &resource) {
    changes_[resource_key(account, resource.node_key)] = encode_resource(resource);
}

void Overlay::put_reputation(const PublicKey &account, const incentive::Reputation &value) {
    // Faded to nothing, it is as if it had never been.
    incentive::Reputation nothing;
    nothing.step = value.step;
    if (value == nothing)
        changes_[reputation_key(account)] = std::nullopt;
    else
        changes_[reputation_key(account)] = encode_reputation(value);
}

void Overlay::put_validator(const PublicKey &account, const Validator &validator) {
    changes_[validator_key(account)] = encode_validator(validator);
}

void Overlay::put_payout(const PublicKey &operator_account, const Bytes32 &round_id,
                         const Payout &payout) {
    changes_[payout_key(operator_account, round_id)] = encode_payout(payout);
}

void Overlay::put_pool(const Pool &pool) {
    if (pool == Pool{})
        changes_[pool_key()] = std::nullopt;
    else
        changes_[pool_key()] = encode_pool(pool);
}

void Overlay::merge(Overlay &&above) {
    while (!above.changes_.empty()) {
        auto put = changes_.insert(above.changes_.extract(above.changes_.begin()));
        if (!put.inserted) put.position->second = std::move(put.node.mapped());
    }
}

Overlay::Changes Overlay::take_changes() {
    std::vector<StateTable::node_type> nodes;
    nodes.reserve(changes_.size());
    while (!changes_.empty()) nodes.push_back(changes_.extract(changes_.begin()));
    std::sort(nodes.begin(), nodes.end(),
              [](const auto &a, const auto &b) { return a.key() < b.key(); });
    Changes sorted;
    for (auto &node : nodes)
        sorted.emplace_hint(sorted.end(), std::move(node.key()), std::move(node.mapped()));
    return sorted;
}

void Overlay::forget(std::string_view key) {
    const auto found = changes_.find(key);
    if (found != changes_.end()) changes_.erase(found);
}

void put_changes(const Overlay::Changes &changes, WriteBatch &batch) {
    for (const auto &[key, value] : changes) {
        if (value)
            batch.put(key, *value);
        else
            batch.remove(key);
    }
}

void put_changes(Overlay::Changes &&changes, WriteBatch &batch) {
    for (auto &[key, value] : changes) {
        if (value)
            batch.put(key, std::move(*value));
        else
            batch.remove(key);
    }
}

}  // namespace chain::ledger
