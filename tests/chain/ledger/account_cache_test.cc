// SPDX-License-Identifier: BSD-3-Clause
//
// AccountCache against the store that it stands before: whatever changes, it tells what is there.
#include "chain/ledger/account_cache.h"

#include <map>
#include <random>

#include <gtest/gtest.h>

namespace chain::ledger {
namespace {

constexpr std::uint32_t kAccounts = 40;

PublicKey account_of(std::uint32_t number) {
    PublicKey key{};
    key[31] = static_cast<std::uint8_t>(number);
    return key;
}

void write(KeyValueStore &store, const Changes &changes) {
    WriteBatch batch;
    put_changes(changes, batch);
    ASSERT_TRUE(store.write(batch, false).ok());
}

Changes random_changes(std::mt19937_64 &random, std::uint32_t accounts) {
    std::map<Bytes, std::optional<Bytes>> entries;
    for (auto left = random() % 8; left > 0; --left) {
        const Bytes key = random() % 8 == 0
                              ? lease_key(account_of(static_cast<std::uint32_t>(random() % 4)))
                              : account_key(account_of(random() % accounts));
        entries[key] =
            random() % 4 == 0 ? std::nullopt : std::optional<Bytes>(std::to_string(random()));
    }
    return Changes({entries.begin(), entries.end()});
}

void expect_the_same(const AccountCache &cache, const KeyValueStore &store) {
    for (std::uint32_t number = 0; number < kAccounts; ++number)
        for (const Bytes &key : {account_key(account_of(number)), lease_key(account_of(number))})
            EXPECT_EQ(*cache.get(key), *store.get(key)) << number;
    EXPECT_TRUE(cache.check().ok());
}

TEST(AccountCache, TellsWhatTheStoreHolds) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937_64 random(seed);
        const auto store = make_memory_store();
        // From one that forgets nearly everything to one that has room for all.
        const std::size_t accounts_max = 2 + random() % (3 * kAccounts);
        AccountCache cache(*store, accounts_max);
        if (random() % 2 == 0) {
            write(*store, random_changes(random, kAccounts));
            ASSERT_TRUE(cache.fill().ok());
        }
        for (int step = 0; step < 60; ++step) {
            const Changes changes = random_changes(random, kAccounts);
            write(*store, changes);
            cache.put(changes);
            if (random() % 16 == 0) cache.forget_all();
            if (random() % 16 == 0) ASSERT_TRUE(cache.fill().ok());
            expect_the_same(cache, *store);
            ASSERT_LE(cache.count(), accounts_max);
        }
    }
}

// Counts what is read.
class CountingStore final : public KeyValueStore {
public:
    explicit CountingStore(KeyValueStore &store) : store_(store) {}
    Result<std::optional<Bytes>> get(std::string_view key) const override {
        ++reads;
        return store_.get(key);
    }
    Status write(const WriteBatch &batch, bool durable) override {
        return store_.write(batch, durable);
    }
    Status scan_from(std::string_view prefix, std::string_view first,
                     const Visit &visit) const override {
        return store_.scan_from(prefix, first, visit);
    }
    mutable std::size_t reads = 0;

private:
    KeyValueStore &store_;
};

TEST(AccountCache, ReadsNoAccountFromTheStoreWhileItHasRoomForAll) {
    const auto memory = make_memory_store();
    CountingStore store(*memory);
    std::vector<Changes::Entry> entries;
    for (std::uint32_t number = 0; number < kAccounts; ++number)
        entries.emplace_back(account_key(account_of(number)), std::to_string(number));
    write(store, Changes(std::move(entries)));
    AccountCache roomy(store, 2 * kAccounts), narrow(store, kAccounts / 2);
    ASSERT_TRUE(roomy.fill().ok());
    ASSERT_TRUE(narrow.fill().ok());
    expect_the_same(roomy, *memory);
    EXPECT_EQ(roomy.get(account_key(account_of(kAccounts)))->has_value(), false);
    EXPECT_EQ(store.reads, kAccounts) << "leases alone";
    EXPECT_EQ(*narrow.get(account_key(account_of(0))), "0");
    EXPECT_EQ(*narrow.get(account_key(account_of(kAccounts - 1))), std::to_string(kAccounts - 1));
    EXPECT_GT(store.reads, kAccounts);
}

TEST(AccountCache, FindsItsOwnMistake) {
    const auto store = make_memory_store();
    AccountCache cache(*store);
    ASSERT_TRUE(cache.fill().ok());
    const Changes changes({{account_key(account_of(1)), Bytes("a")}});
    write(*store, changes);
    EXPECT_FALSE(cache.check().ok()) << "it misses one";
    cache.put(changes);
    EXPECT_TRUE(cache.check().ok());
    cache.put(Changes({{account_key(account_of(1)), Bytes("b")}}));
    EXPECT_FALSE(cache.check().ok()) << "one is different";
    cache.put(changes);
    cache.put(Changes({{account_key(account_of(2)), Bytes("b")}}));
    EXPECT_FALSE(cache.check().ok()) << "one is too many";
}

}  // namespace
}  // namespace chain::ledger
