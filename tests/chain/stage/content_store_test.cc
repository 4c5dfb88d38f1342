// SPDX-License-Identifier: BSD-3-Clause
#include "chain/stage/content_store.h"

#include <random>

#include "tests/chain/stage/support.h"

namespace chain::stage {
namespace {

constexpr Bytes32 kAlice{1};
constexpr Bytes32 kBob{2};

class ContentStoreTest : public ::testing::Test {
protected:
    std::unique_ptr<ContentStore> open(std::uint64_t bytes_max, bool may_evict = true,
                                       std::uint64_t disk_left_bytes = 0) {
        auto store = ContentStore::open(root_ / "store", {bytes_max, disk_left_bytes, may_evict});
        EXPECT_TRUE(store.ok()) << store.error().message;
        return std::move(*store);
    }
    static void put(ContentStore &store, const Bytes32 &owner, const std::string &content) {
        const auto taken = store.take(owner, hash_of(content), content.size());
        ASSERT_NE(taken, nullptr);
        ASSERT_TRUE(taken->append(content).ok());
        ASSERT_TRUE(taken->keep().ok());
    }
    static std::uint64_t there(ContentStore &store, const Bytes32 &owner,
                               const std::string &content) {
        const auto taken = store.take(owner, hash_of(content), content.size());
        EXPECT_NE(taken, nullptr);
        return taken == nullptr ? 0 : taken->offset_bytes();
    }
    TestFolder root_;
};

TEST_F(ContentStoreTest, KeepsAContentOverRestarts) {
    put(*open(100), kAlice, "0123456789");
    const auto store = open(100);
    EXPECT_EQ(store->used_bytes(), 10u);
    const auto again = store->take(kAlice, hash_of("0123456789"), 10);
    ASSERT_NE(again, nullptr);
    EXPECT_TRUE(again->is_complete());
    EXPECT_EQ(read_text(again->path()), "0123456789");
}

TEST_F(ContentStoreTest, GoesOnWhereATransferWasCutOff) {
    {
        const auto store = open(100);
        const auto taken = store->take(kAlice, hash_of("0123456789"), 10);
        ASSERT_TRUE(taken->append("0123").ok());
        EXPECT_EQ(store->used_bytes(), 10u);  // all of it is promised
    }
    const auto store = open(100);
    EXPECT_EQ(store->used_bytes(), 4u);
    const auto taken = store->take(kAlice, hash_of("0123456789"), 10);
    EXPECT_EQ(taken->offset_bytes(), 4u);
    ASSERT_TRUE(taken->append("456789").ok());
    EXPECT_TRUE(taken->is_complete());
    EXPECT_EQ(read_text(taken->path()), "0123456789");
}

TEST_F(ContentStoreTest, OwnersDoNotMeet) {
    const auto store = open(100);
    put(*store, kAlice, "secret");
    EXPECT_EQ(there(*store, kBob, "secret"), 0u);
    EXPECT_EQ(there(*store, kAlice, "secret"), 6u);
}

TEST_F(ContentStoreTest, OneWritesAtATime) {
    const auto store = open(100);
    const auto taken = store->take(kAlice, hash_of("x"), 1);
    EXPECT_EQ(store->take(kAlice, hash_of("x"), 1), nullptr);
    EXPECT_NE(store->take(kAlice, hash_of("y"), 1), nullptr);
}

TEST_F(ContentStoreTest, ThrowsOutWhatWasUsedLeastLately) {
    const auto store = open(30);
    for (const char *content : {"aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc"})
        put(*store, kAlice, content);
    EXPECT_EQ(there(*store, kAlice, "aaaaaaaaaa"), 10u);  // used again
    put(*store, kAlice, "dddddddddd");
    EXPECT_EQ(store->used_bytes(), 30u);
    EXPECT_EQ(there(*store, kAlice, "aaaaaaaaaa"), 10u);
    const auto held = store->take(kAlice, hash_of("cccccccccc"), 10);
    EXPECT_EQ(held->offset_bytes(), 10u);
    // What a transfer holds stays; what is larger than all never fits.
    EXPECT_EQ(store->take(kAlice, Bytes32{9}, 21), nullptr);
    EXPECT_EQ(store->take(kAlice, Bytes32{9}, ~0ULL), nullptr);
    EXPECT_NE(store->take(kAlice, Bytes32{9}, 20), nullptr);
    EXPECT_EQ(read_text(held->path()), "cccccccccc");
}

TEST_F(ContentStoreTest, WithoutEvictionWhatDoesNotFitIsRefused) {
    const auto store = open(15, false);
    put(*store, kAlice, "aaaaaaaaaa");
    EXPECT_EQ(store->take(kAlice, hash_of("bbbbbbbbbb"), 10), nullptr);
    EXPECT_EQ(there(*store, kAlice, "aaaaaaaaaa"), 10u);
}

TEST_F(ContentStoreTest, LeavesDiskForOthers) {
    EXPECT_EQ(open(1 << 20, true, 1ULL << 60)->take(kAlice, Bytes32{1}, 10), nullptr);
}

TEST_F(ContentStoreTest, AnotherSizeOrDamageBeginsAnew) {
    const auto store = open(100);
    put(*store, kAlice, "0123456789");
    const auto taken = store->take(kAlice, hash_of("0123456789"), 12);
    EXPECT_EQ(taken->offset_bytes(), 0u);
    ASSERT_TRUE(taken->append("0123456789ab").ok());
    ASSERT_TRUE(taken->keep().ok());
    taken->forget();
    EXPECT_EQ(taken->offset_bytes(), 0u);
    ASSERT_TRUE(taken->append("fresh").ok());
    EXPECT_EQ(read_text(taken->path()), "fresh");
}

TEST_F(ContentStoreTest, EvenEmptyContentsAreCounted) {
    auto store = ContentStore::open(root_ / "store", {.bytes_max = 100, .contents_max = 3});
    ASSERT_TRUE(store.ok());
    std::vector<std::unique_ptr<ContentStore::Content>> held;
    for (std::uint8_t i = 0; i < 3; ++i) held.push_back((*store)->take(kAlice, Bytes32{i}, 0));
    EXPECT_NE(held.back(), nullptr);
    EXPECT_EQ((*store)->take(kAlice, Bytes32{9}, 0), nullptr);
    held.clear();  // none of them was kept
    EXPECT_NE((*store)->take(kAlice, Bytes32{9}, 0), nullptr);
}

// Its folder stays as long as something of it is there, or is to come.
TEST_F(ContentStoreTest, WhatLeavesTakesNoOthersFolder) {
    const auto store = open(20);
    put(*store, kAlice, "aaaaaaaaaa");
    const auto coming = store->take(kAlice, hash_of("bbbbb"), 5);
    put(*store, kBob, "cccccccccc");  // throws Alice's old one out
    EXPECT_EQ(there(*store, kBob, "cccccccccc"), 10u);
    ASSERT_TRUE(coming->append("bbbbb").ok());
    EXPECT_EQ(read_text(coming->path()), "bbbbb");
}

TEST_F(ContentStoreTest, LeavesStrangersFilesAlone) {
    write_text(root_ / "store/readme", "mine");
    write_text(root_ / ("store/" + to_hex(kAlice) + "/notes"), "mine");
    ASSERT_EQ(
        symlink((root_ / "store/readme").c_str(),
                (root_ / ("store/" + to_hex(kAlice) + "/" + to_hex(hash_of("mine")))).c_str()),
        0);
    const auto store = open(100);
    EXPECT_EQ(store->used_bytes(), 0u);
    const auto taken = store->take(kAlice, hash_of("mine"), 4);
    EXPECT_EQ(taken->offset_bytes(), 0u);
    ASSERT_TRUE(taken->append("ours").ok());
    ASSERT_TRUE(taken->keep().ok());  // takes the link's place
    EXPECT_EQ(read_text(root_ / "store/readme"), "mine");
    EXPECT_EQ(read_text(root_ / ("store/" + to_hex(kAlice) + "/notes")), "mine");
}

// Whatever happens, the books agree with the disk, and the limit holds.
TEST_F(ContentStoreTest, PropertyTheLimitHolds) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    constexpr std::uint64_t kMax = 1'000;
    auto store = open(kMax);
    std::vector<std::unique_ptr<ContentStore::Content>> held;
    for (int step = 0; step < 3'000; ++step) {
        const std::uint8_t number = random() % 24;
        switch (random() % 8) {
            case 0:
                held.clear();
                store.reset();
                store = open(kMax);
                break;
            case 1:
                if (!held.empty()) held.erase(held.begin() + random() % held.size());
                break;
            default: {
                auto taken = store->take(Bytes32{number}, Bytes32{number}, number * 10u);
                if (taken == nullptr) break;
                const std::uint64_t rest = taken->size_bytes() - taken->offset_bytes();
                if (rest > 0)
                    ASSERT_TRUE(taken->append(std::string(1 + random() % rest, 'x')).ok());
                if (taken->is_complete() && taken->size_bytes() > 0 && random() % 2 == 0) {
                    ASSERT_TRUE(taken->keep().ok());
                }
                if (random() % 6 == 0) taken->forget();
                if (random() % 3 == 0) held.push_back(std::move(taken));
            }
        }
        std::uint64_t on_disk = 0;
        for (const auto &entry : std::filesystem::recursive_directory_iterator(root_ / "store"))
            if (entry.is_regular_file()) on_disk += entry.file_size();
        ASSERT_LE(on_disk, store->used_bytes());
        ASSERT_LE(store->used_bytes(), kMax);
        if (held.empty()) ASSERT_EQ(on_disk, store->used_bytes());
    }
}

}  // namespace
}  // namespace chain::stage
