// SPDX-License-Identifier: BSD-3-Clause
//
// State: what the ledger knows between two blocks, as keys and records. Owner: one thread.
#pragma once

#include <array>
#include <optional>

#include "chain/ledger/finality.h"
#include "chain/ledger/shares.h"
#include "chain/ledger/types.h"
#include "chain/store/store.h"

namespace chain::ledger {

// Every key of the state starts with it, and the digest covers exactly these keys.
inline constexpr std::string_view kStatePrefix = "s";
inline constexpr std::string_view kAccountPrefix = "sa";

Bytes account_key(const PublicKey &account);
// The same, without memory of its own: accounts are looked up more often than anything else.
class AccountKey {
public:
    explicit AccountKey(const PublicKey &account);
    std::string_view view() const { return {bytes_.data(), bytes_.size()}; }

private:
    std::array<char, 2 + sizeof(PublicKey)> bytes_;
};
// nullopt: the key of something else.
std::optional<PublicKey> account_of_key(std::string_view key);
Bytes lease_key(const LeaseId &id);
Bytes resource_key(const PublicKey &account, const PublicKey &node_key);
Bytes reputation_key(const PublicKey &account);
Bytes validator_key(const PublicKey &account);
Bytes payout_key(const PublicKey &operator_account, const Bytes32 &round_id);
Bytes pool_key();
Bytes validator_set_key(std::uint64_t height);
Bytes candidates_key();
Bytes sealed_key(const PublicKey &account);
Bytes shares_key(const PublicKey &account, std::uint64_t epoch);
Bytes recent_block_key(std::uint64_t height);
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
    virtual Result<Account> account(const PublicKey &account) const;
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
    // After the checkpoint at `height`. Errors: kNotFound (kept no longer, or no checkpoint).
    Result<ValidatorSet> validator_set(std::uint64_t height) const;
    // Accounts that will be validators at the next checkpoint, rising.
    Result<std::vector<PublicKey>> candidates() const;
    // The height at which the account last sealed; nullopt: never, or not kept.
    Result<std::optional<std::uint64_t>> sealed_height(const PublicKey &account) const;
    // The account's record in the place of `epoch`, perhaps an older epoch's; nullopt: none.
    Result<std::optional<ShareRecord>> shares(const PublicKey &account, std::uint64_t epoch) const;
    // The id of this chain's block at `height`; nullopt: too old, or the state is not after it yet.
    Result<std::optional<BlockId>> recent_block(std::uint64_t height) const;
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
Bytes encode_validator_set(const ValidatorSet &set);
Result<ValidatorSet> decode_validator_set(std::string_view bytes);
Bytes encode_candidates(const std::vector<PublicKey> &accounts);
Result<std::vector<PublicKey>> decode_candidates(std::string_view bytes);
Bytes encode_sealed(std::uint64_t height);
Result<std::uint64_t> decode_sealed(std::string_view bytes);
Bytes encode_shares(const ShareRecord &record);
Result<ShareRecord> decode_shares(std::string_view bytes);
Bytes encode_pool(const Pool &pool);
Result<Pool> decode_pool(std::string_view bytes);

}  // namespace chain::ledger
