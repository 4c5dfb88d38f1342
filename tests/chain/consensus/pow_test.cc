// SPDX-License-Identifier: BSD-3-Clause
#include "chain/consensus/pow.h"

#include <atomic>
#include <cfenv>
#include <chrono>
#include <iostream>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "chain_config.h"

namespace chain::consensus {
namespace {

std::string hash_hex(const PowFunction &pow, std::string_view header) {
    return to_hex(pow.hash(header).value());
}

void print_hash_time(const PowFunction &pow, int count) {
    std::string header(200, 'h');
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < count; ++i) header[0] = static_cast<char>(pow.hash(header).value()[0]);
    const auto took = std::chrono::steady_clock::now() - start;
    std::cout << pow.name() << ": "
              << std::chrono::duration_cast<std::chrono::nanoseconds>(took).count() / count
              << " ns for a hash of 200 bytes" << std::endl;
}

TEST(Sha256d, IsShaTwice) {
    const auto pow = make_pow("sha256d", {}).value();
    EXPECT_EQ(pow->name(), "sha256d");
    EXPECT_EQ(hash_hex(*pow, ""),
              "5df6e0e2761359d30a8275058e299fcc0381534545f55cf43e41983f5d4c9456");
    EXPECT_EQ(hash_hex(*pow, "hello"),
              "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50");
    // Bitcoin's first block.
    const Bytes header = from_hex(
                             "0100000000000000000000000000000000000000000000000000000000000000"
                             "000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa"
                             "4b1e5e4a29ab5f49ffff001d1dac2b7c")
                             .value();
    EXPECT_EQ(hash_hex(*pow, header),
              "6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000");
    print_hash_time(*pow, 20'000);
}

TEST(MakePow, RefusesAnUnknownFunction) {
    const auto pow = make_pow("scrypt", {});
    ASSERT_FALSE(pow.ok());
    EXPECT_EQ(pow.error().code, ErrorCode::kInvalidInput);
    EXPECT_NE(pow.error().message.find("sha256d or randomx"), std::string::npos);
}

#ifdef HAVE_RANDOMX

TEST(Randomx, GivesItsPublishedHashes) {
    const std::string_view sed =
        "sed do eiusmod tempor incididunt ut labore et dolore magna aliqua";
    const auto pow = make_randomx("test key 000").value();
    EXPECT_EQ(pow->name(), "randomx");
    EXPECT_EQ(hash_hex(*pow, "This is a test"),
              "639183aae1bf4c9a35884cb46b09cad9175f04efd7684e7262a0ac1c2f0b4e3f");
    EXPECT_EQ(hash_hex(*pow, "Lorem ipsum dolor sit amet"),
              "300a0adb47603dedb42228ccb2b211104f4da45af709cd7547cd049e9489c969");
    EXPECT_EQ(hash_hex(*pow, sed),
              "c36d4ed4191e617309867ed66a443be4075014e2b061bcdaf9ce7b721d2b77a8");
    EXPECT_EQ(hash_hex(*make_randomx("test key 001").value(), sed),
              "e9ff4503201c0c2cca26d285c93ae883f9b1d30c9eb240b820756f2d5a7905fc");
    // Its programs change the rounding of floating point; the thread does not keep that.
    EXPECT_EQ(std::fegetround(), FE_TONEAREST);
    print_hash_time(*pow, 10);
}

TEST(Randomx, IsKeyedByTheChainAndTheSameOnAllThreads) {
    const auto pow = make_pow("randomx", tagged_hash("test", "a chain")).value();
    // All begin at once: one of them fills the cache.
    std::vector<std::string> hashes(4);
    std::vector<std::thread> threads;
    for (std::string &hash : hashes)
        threads.emplace_back([&] {
            hash_hex(*pow, "another one");
            hash = hash_hex(*pow, "a header");
        });
    for (std::thread &thread : threads) thread.join();
    for (const std::string &hash : hashes) EXPECT_EQ(hash, hash_hex(*pow, "a header"));
    EXPECT_NE(hashes[0], hash_hex(*make_pow("randomx", {}).value(), "a header"));
}

// In a process of its own, which may not have the memory at first.
TEST(Randomx, SaysThatMemoryIsShortAndTriesAgain) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "sanitizers need more addresses than this test allows";
#endif
    const auto in_child = [] {
        const auto pow = make_pow("randomx", {}).value();
        rlimit all{};
        getrlimit(RLIMIT_AS, &all);
        rlimit little = all;
        little.rlim_cur = kRandomxCacheBytes;
        setrlimit(RLIMIT_AS, &little);
        const auto hash = pow->hash("a header");
        setrlimit(RLIMIT_AS, &all);
        if (hash.ok() || hash.error().code != ErrorCode::kIo) std::exit(1);
        std::cerr << hash.error().message << std::endl;
        std::exit(pow->hash("a header").ok() ? 0 : 2);
    };
    EXPECT_EXIT(in_child(), testing::ExitedWithCode(0), "needs 256 MiB of memory");
}

#else

TEST(Randomx, IsRefusedWithThePackagesName) {
    const auto pow = make_pow("randomx", {});
    ASSERT_FALSE(pow.ok());
    EXPECT_EQ(pow.error().code, ErrorCode::kNotFound);
    EXPECT_NE(pow.error().message.find("apt-get install librandomx-dev"), std::string::npos);
}

#endif

}  // namespace
}  // namespace chain::consensus
