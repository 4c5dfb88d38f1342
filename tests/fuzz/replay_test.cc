// SPDX-License-Identifier: BSD-3-Clause
//
// Every stored input of every fuzz target, and some thousands that are made from them by changing
// bytes, in this build: with this compiler, real signatures and the real state digest. An input
// that breaks a target aborts the program; what was being done is printed before.
#include <cstring>
#include <filesystem>
#include <iostream>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "chain/base/file.h"
#include "chain/base/log.h"
#include "chain/identity/keys.h"
#include "tests/fuzz/target.h"

namespace chain::fuzz {
namespace {

constexpr std::size_t kInputBytesMax = 1u << 20;
constexpr int kChangedInputs = 1'000;

std::vector<Bytes> stored_inputs(const std::string &target) {
    std::vector<std::filesystem::path> paths;
    for (const auto &entry : std::filesystem::directory_iterator(
             std::filesystem::path(TEST_SOURCE_DIR) / "tests/fuzz/corpus" / target))
        paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    std::vector<Bytes> inputs;
    for (const auto &path : paths) {
        auto input = read_file(path.string(), kInputBytesMax);
        EXPECT_TRUE(input.ok()) << path;
        if (input.ok()) inputs.push_back(std::move(input).value());
    }
    return inputs;
}

Bytes changed(Bytes input, std::mt19937_64 &random) {
    for (std::uint64_t changes = 1 + random() % 4; changes > 0; --changes) {
        const std::size_t at = input.empty() ? 0 : random() % input.size();
        switch (random() % 4) {
            case 0: input.insert(at, 1, static_cast<char>(random())); break;
            case 1: input.erase(at, 1 + random() % 4); break;
            case 2: input.resize(at); break;
            default:
                if (!input.empty()) input[at] = static_cast<char>(random());
        }
    }
    return input;
}

TEST(Fuzz, EveryStoredInputAndSomeThatAreLikeIt) {
    set_log_level(LogLevel::kError);
    const std::uint64_t seed = std::random_device{}();
    std::cout << "seed " << seed << std::endl;
    std::mt19937_64 random(seed);
    int targets = 0;
    for (const Target *target = first_target(); target != nullptr; target = target->next) {
        const auto inputs = stored_inputs(target->name);
        ASSERT_FALSE(inputs.empty()) << target->name;
        std::cout << target->name << ": " << inputs.size() << " stored inputs" << std::endl;
        for (const Bytes &input : inputs) target->function(input);
        for (int i = 0; i < kChangedInputs; ++i)
            target->function(changed(inputs[random() % inputs.size()], random));
        ++targets;
    }
    EXPECT_GE(targets, 13);
}

// What tests/fuzz/cheap_schnorr.cc makes for the fuzzer is nothing to the library.
TEST(Fuzz, TheLibraryRefusesCheapSignatures) {
    Bytes32 secret{};
    secret[0] = 2;
    const KeyPair key = KeyPair::from_secret(secret).value();
    const Bytes32 hash = tagged_hash(sign_tag::kTx, "anything");
    SignatureBytes cheap;
    for (std::size_t i = 0; i < hash.size(); ++i) {
        cheap[i] = static_cast<std::uint8_t>(key.public_key()[i] ^ hash[i]);
        cheap[i + hash.size()] = static_cast<std::uint8_t>(~key.public_key()[i]);
    }
    EXPECT_FALSE(verify(sign_tag::kTx, "anything", key.public_key(), cheap));
    const SignatureBytes once = key.sign(sign_tag::kTx, "anything");
    EXPECT_TRUE(verify(sign_tag::kTx, "anything", key.public_key(), once));
    EXPECT_NE(once, key.sign(sign_tag::kTx, "anything")) << "no fresh randomness: not the real one";
}

}  // namespace
}  // namespace chain::fuzz
