// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/state.h"

#include <algorithm>
#include <cstring>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "chain/ledger/state.pb.h"

namespace chain::ledger {
namespace {

constexpr std::string_view kAccountPrefix = "sa";
constexpr std::string_view kLeasePrefix = "sl";
constexpr std::string_view kResourcePrefix = "sr";
constexpr std::string_view kIndexPrefix = "sx";
constexpr std::string_view kExpiryPrefix = "se";

Bytes joined(std::string_view prefix, const Bytes32 &id) {
    return Bytes(prefix) + to_bytes(id);
}

template <class Message>
Bytes serialise(const Message &message) {
    Bytes bytes;
    {
        google::protobuf::io::StringOutputStream stream(&bytes);
        google::protobuf::io::CodedOutputStream coded(&stream);
        coded.SetSerializationDeterministic(true);
        CHAIN_CHECK(message.SerializeToCodedStream(&coded));
    }
    return bytes;
}

Error corrupt(std::string_view what) {
    return make_error(ErrorCode::kCorrupt, "the ledger's store holds a damaged ", what);
}

record::LegRecord to_record(const Leg &leg) {
    record::LegRecord out;
    out.set_provider(to_bytes(leg.provider));
    out.set_slot_count(leg.slot_count);
    out.set_hz_max(leg.hz_max);
    out.set_cycles_max(leg.cycles_max);
    out.set_escrow(leg.escrow.units);
    out.set_collateral(leg.collateral.units);
    out.set_state(static_cast<std::uint32_t>(leg.state));
    out.set_closes_at_ms(leg.closes_at_ms);
    out.set_voucher_sequence(leg.voucher_sequence);
    out.set_cycles(leg.cycles);
    out.set_waited_cycles(leg.waited_cycles);
    out.set_meter_class(static_cast<std::uint32_t>(leg.meter_class));
    out.set_payment(leg.payment.units);
    out.set_burned(leg.burned.units);
    return out;
}

Result<Leg> from_record(const record::LegRecord &in) {
    Leg leg;
    const auto provider = to_bytes32(in.provider(), "provider");
    if (!provider.ok() || in.state() > static_cast<std::uint32_t>(LegState::kSettled) ||
        !wire::MeterClass_IsValid(static_cast<int>(in.meter_class())))
        return corrupt("leg of a lease");
    leg.provider = *provider;
    leg.slot_count = in.slot_count();
    leg.hz_max = in.hz_max();
    leg.cycles_max = in.cycles_max();
    leg.state = static_cast<LegState>(in.state());
    leg.closes_at_ms = in.closes_at_ms();
    leg.voucher_sequence = in.voucher_sequence();
    leg.cycles = in.cycles();
    leg.waited_cycles = in.waited_cycles();
    leg.meter_class = static_cast<wire::MeterClass>(in.meter_class());
    CHAIN_ASSIGN(leg.escrow, amount_from_units(in.escrow()));
    CHAIN_ASSIGN(leg.collateral, amount_from_units(in.collateral()));
    CHAIN_ASSIGN(leg.payment, amount_from_units(in.payment()));
    CHAIN_ASSIGN(leg.burned, amount_from_units(in.burned()));
    return leg;
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

Bytes encode_account(const Account &account) {
    record::AccountRecord out;
    out.set_balance(account.balance.units);
    out.set_nonce(account.nonce);
    out.set_escrow(account.escrow.units);
    out.set_collateral(account.collateral.units);
    out.set_resource_count(account.resource_count);
    return serialise(out);
}

Result<Account> decode_account(std::string_view bytes) {
    record::AccountRecord in;
    if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return corrupt("account");
    Account account;
    CHAIN_ASSIGN(account.balance, amount_from_units(in.balance()));
    CHAIN_ASSIGN(account.escrow, amount_from_units(in.escrow()));
    CHAIN_ASSIGN(account.collateral, amount_from_units(in.collateral()));
    account.nonce = in.nonce();
    account.resource_count = in.resource_count();
    return account;
}

Bytes encode_lease(const Lease &lease) {
    record::LeaseRecord out;
    out.set_renter(to_bytes(lease.renter));
    out.set_price_per_ghz_h(lease.price_per_ghz_h.units);
    out.set_opened_at_ms(lease.opened_at_ms);
    out.set_duration_ms(lease.duration_ms);
    out.set_expires_at_ms(lease.expires_at_ms);
    out.set_ended_at_ms(lease.ended_at_ms);
    for (const Leg &leg : lease.legs) *out.add_legs() = to_record(leg);
    return serialise(out);
}

Result<Lease> decode_lease(const LeaseId &id, std::string_view bytes) {
    record::LeaseRecord in;
    if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return corrupt("lease");
    Lease lease;
    lease.id = id;
    const auto renter = to_bytes32(in.renter(), "renter");
    if (!renter.ok()) return corrupt("lease");
    lease.renter = *renter;
    CHAIN_ASSIGN(lease.price_per_ghz_h, amount_from_units(in.price_per_ghz_h()));
    lease.opened_at_ms = in.opened_at_ms();
    lease.duration_ms = in.duration_ms();
    lease.expires_at_ms = in.expires_at_ms();
    lease.ended_at_ms = in.ended_at_ms();
    for (const auto &leg_record : in.legs()) {
        CHAIN_ASSIGN(Leg leg, from_record(leg_record));
        lease.legs.push_back(leg);
    }
    return lease;
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
    record::ResourceRecord in;
    if (!in.ParseFromString(*bytes)) return corrupt("resource");
    Resource resource;
    resource.node_key = node_key;
    resource.host = in.host();
    resource.slot_count = in.slot_count();
    resource.hz = in.hz();
    resource.memory_bytes = in.memory_bytes();
    return std::optional<Resource>(resource);
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
    record::ResourceRecord out;
    out.set_host(resource.host);
    out.set_slot_count(resource.slot_count);
    out.set_hz(resource.hz);
    out.set_memory_bytes(resource.memory_bytes);
    changes_[resource_key(account, resource.node_key)] = serialise(out);
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

}  // namespace chain::ledger
