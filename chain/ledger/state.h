// SPDX-License-Identifier: BSD-3-Clause
//
// State: what the ledger knows between two blocks, as keys and records, seen through layers. A
// transaction works on an Overlay over a block's Overlay over the store; an error drops the top
// layer, so the state is unchanged. Owner: one thread.
#pragma once

#include <map>
#include <optional>
#include <unordered_map>

#include "chain/ledger/types.h"
#include "chain/store/store.h"

namespace chain::ledger {

// Every key of the state starts with it, and the digest covers exactly these keys.
inline constexpr std::string_view kStatePrefix = "s";

Bytes account_key(const PublicKey &account);
Bytes lease_key(const LeaseId &id);
Bytes resource_key(const PublicKey &account, const PublicKey &node_key);
Bytes reputation_key(const PublicKey &account);
Bytes validator_key(const PublicKey &account);
Bytes payout_key(const PublicKey &operator_account, const Bytes32 &round_id);
Bytes pool_key();
// Sorts the leases of an account newest first.
Bytes lease_index_prefix(const PublicKey &account);
Bytes lease_index_key(const PublicKey &account, std::uint64_t height, std::uint32_t tx_index);
// Sorts leases that are not settled by their expiry.
Bytes expiry_index_prefix();
Bytes expiry_index_key(const Lease &lease);

class StateReader {
public:
    virtual ~StateReader() = default;
    virtual Result<std::optional<Bytes>> get(std::string_view key) const = 0;

    // A never used account has balance 0 and nonce 0. Errors: kCorrupt, kIo.
    Result<Account> account(const PublicKey &account) const;
    // Errors: kNotFound, kCorrupt, kIo.
    Result<Lease> lease(const LeaseId &id) const;
    // nullopt: not published. Errors: kCorrupt, kIo.
    Result<std::optional<Resource>> resource(const PublicKey &account,
                                             const PublicKey &node_key) const;
    // As faded at `step` (block time / Params::decay_step_ms since the genesis).
    Result<incentive::Reputation> reputation(const PublicKey &account, std::uint64_t step) const;
    Result<Validator> validator(const PublicKey &account) const;
    // nullopt: that round was not paid.
    Result<std::optional<Payout>> payout(const PublicKey &operator_account,
                                         const Bytes32 &round_id) const;
    Result<Pool> pool() const;
};

class StoreReader final : public StateReader {
public:
    explicit StoreReader(const KeyValueStore &store) : store_(store) {}
    Result<std::optional<Bytes>> get(std::string_view key) const override {
        return store_.get(key);
    }

private:
    const KeyValueStore &store_;
};

// Keys are chosen by strangers: seeded anew in each process, so that nobody can prepare keys that
// all fall into one place.
struct StateKeyHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const;
};
using StateTable = std::unordered_map<Bytes, std::optional<Bytes>, StateKeyHash, std::equal_to<>>;

// Remembers what it has read of a reader that outlives it and does not change meanwhile.
class ReadOnce final : public StateReader {
public:
    explicit ReadOnce(const StateReader &below) : below_(below) {}
    Result<std::optional<Bytes>> get(std::string_view key) const override;

private:
    const StateReader &below_;
    mutable StateTable known_;
};

// Changes on top of a reader that outlives it.
class Overlay final : public StateReader {
public:
    using Changes = std::map<Bytes, std::optional<Bytes>, std::less<>>;

    explicit Overlay(const StateReader &below) : below_(below) {}
    Overlay(const Overlay &) = delete;  // "an overlay on this one" must say so: as_reader()
    const StateReader &as_reader() const { return *this; }
    Result<std::optional<Bytes>> get(std::string_view key) const override;

    // An account that holds nothing and never acted has no record: equal states, equal keys.
    void put_account(const PublicKey &account, const Account &value);
    void put_lease(const Lease &lease);
    void put_resource(const PublicKey &account, const Resource &resource);
    void put_reputation(const PublicKey &account, const incentive::Reputation &value);
    void put_validator(const PublicKey &account, const Validator &validator);
    void put_payout(const PublicKey &operator_account, const Bytes32 &round_id,
                    const Payout &payout);
    void put_pool(const Pool &pool);
    void remove_resource(const PublicKey &account, const PublicKey &node_key) {
        remove_raw(resource_key(account, node_key));
    }
    void put_raw(Bytes key, Bytes value) { changes_[std::move(key)] = std::move(value); }

    Changes changes() const { return {changes_.begin(), changes_.end()}; }
    Changes take_changes();  // leaves none
    const StateTable &table() const { return changes_; }
    void forget(std::string_view key);  // what is below shows through again
    void put_change(const Bytes &key, std::optional<Bytes> value) {
        changes_[key] = std::move(value);
    }
    void remove_raw(Bytes key) { changes_[std::move(key)] = std::nullopt; }

    // Takes over the changes of an overlay that lies on this one.
    void merge(Overlay &&above);

private:
    const StateReader &below_;
    StateTable changes_;
};

void put_changes(const Overlay::Changes &changes, WriteBatch &batch);
void put_changes(Overlay::Changes &&changes, WriteBatch &batch);

Bytes encode_account(const Account &account);
Result<Account> decode_account(std::string_view bytes);
Bytes encode_lease(const Lease &lease);
Result<Lease> decode_lease(const LeaseId &id, std::string_view bytes);
Bytes encode_resource(const Resource &resource);
Result<Resource> decode_resource(const PublicKey &node_key, std::string_view bytes);
Bytes encode_reputation(const incentive::Reputation &reputation);
Result<incentive::Reputation> decode_reputation(std::string_view bytes);
Bytes encode_validator(const Validator &validator);
Result<Validator> decode_validator(std::string_view bytes);
Bytes encode_payout(const Payout &payout);
Result<Payout> decode_payout(std::string_view bytes);
Bytes encode_pool(const Pool &pool);
Result<Pool> decode_pool(std::string_view bytes);

}  // namespace chain::ledger
