// SPDX-License-Identifier: BSD-3-Clause
//
// State: what the ledger knows between two blocks, as keys and records, seen through layers. A
// transaction works on an Overlay over a block's Overlay over the store; an error drops the top
// layer, so the state is unchanged. Owner: one thread.
#pragma once

#include <map>
#include <optional>

#include "chain/ledger/types.h"
#include "chain/store/store.h"

namespace chain::ledger {

// Every key of the state starts with it, and the digest covers exactly these keys.
inline constexpr std::string_view kStatePrefix = "s";

Bytes account_key(const PublicKey &account);
Bytes lease_key(const LeaseId &id);
Bytes resource_key(const PublicKey &account, const PublicKey &node_key);
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

// Changes on top of a reader that outlives it.
class Overlay final : public StateReader {
public:
    using Changes = std::map<Bytes, std::optional<Bytes>, std::less<>>;

    explicit Overlay(const StateReader &below) : below_(below) {}
    // On another overlay too it is a layer, never a copy: a transaction costs what it changes, not
    // what all before it in the block have changed.
    explicit Overlay(const Overlay &below) : StateReader(), below_(below) {}
    Result<std::optional<Bytes>> get(std::string_view key) const override;

    // An account that holds nothing and never acted has no record: equal states, equal keys.
    void put_account(const PublicKey &account, const Account &value);
    void put_lease(const Lease &lease);
    void put_resource(const PublicKey &account, const Resource &resource);
    void put_raw(Bytes key, Bytes value) { changes_[std::move(key)] = std::move(value); }

    const Changes &changes() const { return changes_; }
    void remove_raw(Bytes key) { changes_[std::move(key)] = std::nullopt; }

    // Takes over the changes of an overlay that lies on this one.
    void merge(Overlay &&above);

private:
    const StateReader &below_;
    Changes changes_;
};

Bytes encode_account(const Account &account);
Result<Account> decode_account(std::string_view bytes);
Bytes encode_lease(const Lease &lease);
Result<Lease> decode_lease(const LeaseId &id, std::string_view bytes);

}  // namespace chain::ledger
