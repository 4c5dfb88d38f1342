// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/parallel.h"

#include <gtest/gtest.h>

#include "chain/base/bytes.h"

namespace chain {
namespace {

TEST(Parallel, EachPieceIsDoneOnceWhateverTheThreads) {
    for (const unsigned threads : {0u, 1u, 3u}) {
        Parallel pool(threads);
        for (const std::size_t count : {0u, 1u, 7u, 64u, 1'000u}) {
            for (const std::size_t chunk : {1u, 8u, 2'000u}) {
                std::vector<std::atomic<int>> done(count);
                pool.for_each(count, chunk, [&](std::size_t i) { ++done[i]; });
                for (const auto &times : done) ASSERT_EQ(times, 1);
            }
        }
    }
}

TEST(Parallel, OnePieceIsWaitedForWithoutTheOthers) {
    Parallel pool(2);
    std::vector<int> values(500, 0);
    const auto work = pool.start(values.size(), 4, [&](std::size_t i) { values[i] = 1; });
    for (std::size_t i = 0; i < values.size(); ++i) {
        Parallel::finish_one(work, i);
        ASSERT_EQ(values[i], 1);
    }
    Parallel::finish(work);
}

TEST(Parallel, SeveralThreadsMayAskAtOnce) {
    Parallel pool(2);
    std::atomic<int> sum{0};
    std::vector<std::thread> askers;
    for (int asker = 0; asker < 4; ++asker)
        askers.emplace_back([&] {
            for (int turn = 0; turn < 50; ++turn) pool.for_each(40, 3, [&](std::size_t) { ++sum; });
        });
    for (std::thread &asker : askers) asker.join();
    EXPECT_EQ(sum, 4 * 50 * 40);
}

TEST(Parallel, WhatIsNotWaitedForYetEndsWithThePool) {
    std::atomic<int> sum{0};
    Parallel::Handle work;
    {
        Parallel pool(1);
        work = pool.start(100, 1, [&](std::size_t) { ++sum; });
    }
    Parallel::finish(work);
    EXPECT_EQ(sum, 100);
}

// The tag's part is kept per thread: the hash is BIP 340's all the same.
TEST(TaggedHash, IsTheHashOfTheTagsHashTwiceAndTheMessage) {
    const auto plain = [](std::string_view tag, std::string_view message) {
        Sha256 of_tag;
        of_tag.update(tag);
        const Bytes prefix = to_bytes(of_tag.finish());
        Sha256 hash;
        hash.update(prefix);
        hash.update(prefix);
        hash.update(message);
        return hash.finish();
    };
    // More tags than are kept, each twice, on two threads.
    Parallel pool(1);
    std::atomic<int> wrong{0};
    pool.for_each(200, 1, [&](std::size_t i) {
        const std::string tag = "tag " + std::to_string(i % 100);
        const std::string message(i * 3, 'm');
        if (tagged_hash(tag, message) != plain(tag, message)) ++wrong;
    });
    EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace chain
