// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/state.h"

#include <cstring>

namespace chain::ledger {
namespace {

constexpr std::string_view kLeasePrefix = "sl";
constexpr std::string_view kResourcePrefix = "sr";
constexpr std::string_view kIndexPrefix = "sx";
constexpr std::string_view kExpiryPrefix = "se";
constexpr std::string_view kReputationPrefix = "sq";
constexpr std::string_view kValidatorPrefix = "sv";
constexpr std::string_view kPayoutPrefix = "sm";
constexpr std::string_view kPoolKey = "sp";
constexpr std::string_view kValidatorSetPrefix = "sw";
constexpr std::string_view kCandidatesKey = "sk";
constexpr std::string_view kSealedPrefix = "sh";
constexpr std::string_view kSharesPrefix = "sc";
constexpr std::string_view kRecentBlockPrefix = "sb";

void append(Bytes &key, const Bytes32 &id) {
    key.append(reinterpret_cast<const char *>(id.data()), id.size());
}

Bytes joined(std::string_view prefix, const Bytes32 &id) {
    Bytes key;
    key.reserve(prefix.size() + id.size());
    key += prefix;
    append(key, id);
    return key;
}

Bytes joined(std::string_view prefix, const Bytes32 &first, const Bytes32 &second) {
    Bytes key;
    key.reserve(prefix.size() + first.size() + second.size());
    key += prefix;
    append(key, first);
    append(key, second);
    return key;
}

}  // namespace

Bytes account_key(const PublicKey &account) {
    return Bytes(AccountKey(account).view());
}

AccountKey::AccountKey(const PublicKey &account) {
    static_assert(sizeof bytes_ == kAccountPrefix.size() + sizeof account);
    std::memcpy(bytes_.data(), kAccountPrefix.data(), kAccountPrefix.size());
    std::memcpy(bytes_.data() + kAccountPrefix.size(), account.data(), sizeof account);
}

std::optional<PublicKey> account_of_key(std::string_view key) {
    PublicKey account;
    if (!key.starts_with(kAccountPrefix) || key.size() != kAccountPrefix.size() + account.size())
        return std::nullopt;
    std::memcpy(account.data(), key.data() + kAccountPrefix.size(), account.size());
    return account;
}

Bytes lease_key(const LeaseId &id) {
    return joined(kLeasePrefix, id);
}

Bytes resource_key(const PublicKey &account, const PublicKey &node_key) {
    return joined(kResourcePrefix, account, node_key);
}

Bytes reputation_key(const PublicKey &account) {
    return joined(kReputationPrefix, account);
}

Bytes validator_key(const PublicKey &account) {
    return joined(kValidatorPrefix, account);
}

Bytes payout_key(const PublicKey &operator_account, const Bytes32 &round_id) {
    return joined(kPayoutPrefix, operator_account, round_id);
}

Bytes pool_key() {
    return Bytes(kPoolKey);
}

Bytes validator_set_key(std::uint64_t height) {
    Bytes key(kValidatorSetPrefix);
    append_u64_be(key, height);
    return key;
}

Bytes candidates_key() {
    return Bytes(kCandidatesKey);
}

Bytes sealed_key(const PublicKey &account) {
    return joined(kSealedPrefix, account);
}

Bytes shares_key(const PublicKey &account, std::uint64_t epoch) {
    Bytes key = joined(kSharesPrefix, account);
    key.push_back(static_cast<char>(epoch % kShareEpochsKept));
    return key;
}

Bytes recent_block_key(std::uint64_t height) {
    Bytes key(kRecentBlockPrefix);
    append_u64_be(key, height);
    return key;
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
    CHAIN_ASSIGN(const auto bytes, get(AccountKey(account).view()));
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

Result<ValidatorSet> StateReader::validator_set(std::uint64_t height) const {
    CHAIN_ASSIGN(const auto bytes, get(validator_set_key(height)));
    if (!bytes)
        return make_error(ErrorCode::kNotFound, "there is no set of validators of block ", height);
    return decode_validator_set(*bytes);
}

Result<std::vector<PublicKey>> StateReader::candidates() const {
    CHAIN_ASSIGN(const auto bytes, get(candidates_key()));
    if (!bytes) return std::vector<PublicKey>();
    return decode_candidates(*bytes);
}

Result<std::optional<std::uint64_t>> StateReader::sealed_height(const PublicKey &account) const {
    CHAIN_ASSIGN(const auto bytes, get(sealed_key(account)));
    if (!bytes) return std::optional<std::uint64_t>();
    CHAIN_ASSIGN(const std::uint64_t height, decode_sealed(*bytes));
    return std::optional<std::uint64_t>(height);
}

Result<std::optional<ShareRecord>> StateReader::shares(const PublicKey &account,
                                                       std::uint64_t epoch) const {
    CHAIN_ASSIGN(const auto bytes, get(shares_key(account, epoch)));
    if (!bytes) return std::optional<ShareRecord>();
    CHAIN_ASSIGN(const ShareRecord record, decode_shares(*bytes));
    return std::optional<ShareRecord>(record);
}

Result<std::optional<BlockId>> StateReader::recent_block(std::uint64_t height) const {
    CHAIN_ASSIGN(const auto bytes, get(recent_block_key(height)));
    if (!bytes) return std::optional<BlockId>();
    CHAIN_ASSIGN(const BlockId id, to_bytes32(*bytes, "id of a block"));
    return std::optional<BlockId>(id);
}

}  // namespace chain::ledger
