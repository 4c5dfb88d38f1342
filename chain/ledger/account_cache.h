// SPDX-License-Identifier: BSD-3-Clause
//
// AccountCache: records of accounts in memory, before the store that holds all of them. Every
// transaction reads two accounts picked by strangers; the more there are, the longer a store looks.
#pragma once

#include <unordered_map>

#include "chain/ledger/overlay.h"

namespace chain::ledger {

// get() may be called by several threads while nobody calls anything else.
class AccountCache final : public StateReader {
public:
    // About 100 bytes each. What was written last stays; see put().
    static constexpr std::size_t kAccountsMax = 2u << 20;

    // Knows nothing yet. `store` outlives it and has exactly the state that it is told of.
    explicit AccountCache(const KeyValueStore &store, std::size_t accounts_max = kAccountsMax)
        : store_(store), generation_max_(accounts_max / 2) {}

    // Every record of the state: those of accounts from here if they are known, and others from the
    // store. Errors: kIo, kCorrupt.
    Result<std::optional<Bytes>> get(std::string_view key) const override;

    // Takes all accounts of the store, if they are not too many. Errors: kIo, kCorrupt.
    Status fill();
    // What is in the store now, or will be when somebody asks for it.
    void put(const Changes &changes);
    // After a write of which it is not known how far it came.
    void forget_all();
    // Errors: kCorrupt (it has something else than the store), kIo.
    Status check() const;
    std::size_t count() const { return young_.size() + old_.size(); }

private:
    using Records = std::unordered_map<PublicKey, Bytes, Bytes32Hash>;
    const Bytes *find(const PublicKey &account) const;
    void put(const PublicKey &account, std::string_view record);
    void remove(const PublicKey &account);

    const KeyValueStore &store_;
    const std::size_t generation_max_;
    // Records that change go into `young_`. When that is full it takes the place of `old_`, so
    // what has not changed for the longest is forgotten, without a list to keep in order.
    Records young_, old_;
    bool has_all_ = false;  // what is not here is nowhere
};

}  // namespace chain::ledger
