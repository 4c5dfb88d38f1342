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

// Keys are chosen by strangers: see hash_seed().
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
    Result<Account> account(const PublicKey &account) const override;

    // Reads what is below of these accounts on all cores, to remember it: a store takes longer to
    // find a record than a rule to change it. `below` must bear to be read by several threads.
    Status read_ahead(std::vector<PublicKey> accounts);

    // An account that holds nothing and never acted has no record: equal states, equal keys.
    void put_account(const PublicKey &account, const Account &value);
    void put_lease(const Lease &lease);
    void put_resource(const PublicKey &account, const Resource &resource);
    void remove_resource(const PublicKey &account, const PublicKey &node_key);
    void put_reputation(const PublicKey &account, const incentive::Reputation &value);
    void put_validator(const PublicKey &account, const Validator &validator);
    void put_payout(const PublicKey &operator_account, const Bytes32 &round_id,
                    const Payout &payout);
    void put_shares(const PublicKey &account, const ShareRecord &record);
    void put_pool(const Pool &pool);
    void put(std::string_view key, std::optional<Bytes> value);
    void put_raw(std::string_view key, Bytes value) { put(key, std::move(value)); }
    void remove_raw(std::string_view key) { put(key, std::nullopt); }
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
    // Attempts are numbered from 1 on, those that were taken back, too. 0: none yet.
    std::uint64_t newest_attempt() const { return attempt_; }
    // The newest of those that were kept that put something under `key`. 0: none did.
    std::uint64_t last_attempt_on(std::string_view key) const;
    // What the newest attempt has put; until the next one. Empty when it was taken back.
    template <class Visit>  // void(const Bytes &key, const std::optional<Bytes> &value)
    void each_written(Visit visit) const {
        for (const Written &written : written_)
            visit(written.entry->first, written.entry->second.value.bytes());
    }

    Changes changes() const;
    // What was put since the last call, and what was under each of its keys then, in the same
    // order. Leaves nothing to take, but all to read. Errors: kIo, kCorrupt.
    struct Difference {
        Changes changes;
        std::vector<std::optional<Bytes>> old_values;
    };
    Result<Difference> take_difference();
    Changes take_changes();  // the changes alone

private:
    // A record, or none. Accounts, which every transaction reads and writes, are kept decoded and
    // only encoded when somebody wants the bytes.
    class Value {
    public:
        Value() = default;
        explicit Value(std::optional<Bytes> bytes) : bytes_(std::move(bytes)) {}
        explicit Value(const Account &account) : account_(account), is_encoded_(false) {}
        const std::optional<Bytes> &bytes() const;
        Result<Account> account() const;

    private:
        mutable std::optional<Bytes> bytes_;
        mutable std::optional<Account> account_;
        mutable bool is_encoded_ = true;
    };
    struct Slot {
        Value value;
        Value below;        // if `read` and `changed`
        bool read = false;  // it is known what is below
        bool changed = false;
        std::uint64_t attempt = 0;      // that put here last
        std::size_t changed_place = 0;  // in changed_, if `changed`
    };
    using Table = std::unordered_map<Bytes, Slot, StateKeyHash, std::equal_to<>>;
    using Entry = Table::value_type;
    struct Written {
        Entry *entry;
        Value previous;
        std::uint64_t previous_attempt;
        bool was_changed;
        bool was_there;
    };
    void put_value(std::string_view key, Value value);
    Entry *find(std::string_view key) const;  // nullptr: not in the table
    void erase(Entry *entry);
    Result<const Slot *> remembered(std::string_view key) const;
    void mark_changed(Entry &entry);
    void unmark_changed(Entry &entry);
    void take_back();
    std::vector<Entry *> take_changed();  // in the order of their keys

    const StateReader &below_;
    const bool remembers_;
    mutable Table table_;
    mutable Entry *last_found_ = nullptr;  // what is read is often written next
    std::vector<Entry *> changed_;
    std::uint64_t attempt_ = 0;
    bool attempting_ = false;
    std::vector<Written> written_;
};

void put_changes(const Changes &changes, WriteBatch &batch);

}  // namespace chain::ledger
