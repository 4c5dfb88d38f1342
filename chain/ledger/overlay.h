// SPDX-License-Identifier: BSD-3-Clause
//
// Overlay: changes on top of a state, before they are written. A block is executed on one; each of
// its transactions is an attempt there, which an error takes back.
#pragma once

#include <unordered_map>

#include "chain/ledger/state.h"
#include "chain/store/store.h"

namespace chain::ledger {

// New values by key; nullopt: removed. In the order of the keys, each once.
class Changes {
public:
    using Entry = std::pair<Bytes, std::optional<Bytes>>;
    Changes() = default;
    // In any order.
    explicit Changes(std::vector<Entry> entries);

    auto begin() const { return entries_.begin(); }
    auto end() const { return entries_.end(); }
    auto begin() { return entries_.begin(); }
    auto end() { return entries_.end(); }
    std::size_t size() const { return entries_.size(); }
    bool empty() const { return entries_.empty(); }
    // nullptr: not changed.
    const std::optional<Bytes> *find(std::string_view key) const;
    friend bool operator==(const Changes &, const Changes &) = default;

private:
    std::vector<Entry> entries_;
};

// Keys are chosen by strangers: seeded anew in each process, so that nobody can prepare keys that
// all fall into one place.
struct StateKeyHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const;
};

// Lies on a reader that outlives it.
class Overlay final : public StateReader {
public:
    // kRemembered: what was read below is not read again; for as long as nothing changes there.
    enum class Reads { kPassedOn, kRemembered };

    explicit Overlay(const StateReader &below, Reads reads = Reads::kPassedOn)
        : below_(below), remembers_(reads == Reads::kRemembered) {}
    Overlay(const Overlay &) = delete;  // "an overlay on this one" must say so: as_reader()
    const StateReader &as_reader() const { return *this; }
    Result<std::optional<Bytes>> get(std::string_view key) const override;

    // An account that holds nothing and never acted has no record: equal states, equal keys.
    void put_account(const PublicKey &account, const Account &value);
    void put_lease(const Lease &lease);
    void put_resource(const PublicKey &account, const Resource &resource);
    void remove_resource(const PublicKey &account, const PublicKey &node_key);
    void put_reputation(const PublicKey &account, const incentive::Reputation &value);
    void put_validator(const PublicKey &account, const Validator &validator);
    void put_payout(const PublicKey &operator_account, const Bytes32 &round_id,
                    const Payout &payout);
    void put_pool(const Pool &pool);
    void put(Bytes key, std::optional<Bytes> value);
    void put_raw(Bytes key, Bytes value) { put(std::move(key), std::move(value)); }
    void remove_raw(Bytes key) { put(std::move(key), std::nullopt); }
    void forget(std::string_view key);  // what is below shows through again

    // From its making on, what is put can be taken back: its end does, unless keep() was called.
    // One at a time.
    class Attempt {
    public:
        explicit Attempt(Overlay &overlay);
        ~Attempt();
        Attempt(const Attempt &) = delete;
        Attempt &operator=(const Attempt &) = delete;
        void keep() { kept_ = true; }

    private:
        Overlay &overlay_;
        bool kept_ = false;
    };
    // What the newest attempt has put; until the next one. Empty when it was taken back.
    template <class Visit>  // void(const Bytes &key, const std::optional<Bytes> &value)
    void each_written(Visit visit) const {
        for (const Written &written : written_)
            visit(written.entry->first, written.entry->second.value);
    }

    Changes changes() const;
    Changes take_changes();  // leaves nothing
    // The same, and what was below under each key, in the same order. Errors: kIo, kCorrupt.
    struct Difference {
        Changes changes;
        std::vector<std::optional<Bytes>> old_values;
    };
    Result<Difference> take_difference();

private:
    struct Slot {
        std::optional<Bytes> value;
        std::optional<Bytes> below;  // if `read` and `changed`
        bool read = false;           // it is known what is below
        bool changed = false;
        std::uint32_t attempt = 0;  // that put here last
    };
    using Table = std::unordered_map<Bytes, Slot, StateKeyHash, std::equal_to<>>;
    struct Written {
        Table::value_type *entry;
        std::optional<Bytes> previous;
        bool was_changed;
        bool was_there;
    };
    void take_back();
    std::vector<Table::node_type> take_changed();  // in the order of their keys

    const StateReader &below_;
    const bool remembers_;
    mutable Table table_;
    std::uint32_t attempt_ = 0;
    bool attempting_ = false;
    std::vector<Written> written_;
};

void put_changes(const Changes &changes, WriteBatch &batch);
void put_changes(Changes &&changes, WriteBatch &batch);

}  // namespace chain::ledger
