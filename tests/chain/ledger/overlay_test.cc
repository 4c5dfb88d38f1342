// SPDX-License-Identifier: BSD-3-Clause
//
// Overlay against a map that is copied before each attempt: random puts, reads, attempts that are
// kept or taken back, and differences taken. A failing row of steps is made shorter.
#include "chain/ledger/overlay.h"

#include <map>
#include <random>

#include <gtest/gtest.h>

#include "chain/store/store.h"

namespace chain::ledger {
namespace {

using Records = std::map<Bytes, Bytes>;

// A few accounts and raw keys, so that steps meet each other.
constexpr std::size_t kAccounts = 5, kRawKeys = 4;

PublicKey account_of(std::uint32_t number) {
    PublicKey key{};
    key[0] = static_cast<std::uint8_t>(number % kAccounts);
    return key;
}
Bytes raw_key(std::uint32_t number) {
    return "r" + std::to_string(number % kRawKeys);
}

struct Step {
    enum Kind { kPutAccount, kPut, kRemove, kRead, kBegin, kKeep, kTakeBack, kTake, kReadAhead };
    Kind kind;
    std::uint32_t key;
    std::uint32_t value;  // 0: an account that holds nothing
};

Step random_step(std::mt19937_64 &random) {
    return {static_cast<Step::Kind>(random() % (Step::kReadAhead + 1)),
            static_cast<std::uint32_t>(random() % 8), static_cast<std::uint32_t>(random() % 3)};
}

void put_record(Records &records, const Bytes &key, const std::optional<Bytes> &value) {
    if (value)
        records[key] = *value;
    else
        records.erase(key);
}

// What is wrong after `steps`; empty: nothing.
std::string run(const std::vector<Step> &steps, Overlay::Reads reads) {
    const auto store = make_memory_store();
    Records model;  // what the overlay shows
    WriteBatch first;
    for (std::uint32_t i = 0; i < kAccounts; i += 2) {
        const Account account{.balance = Amount{100 + i}};
        first.put(account_key(account_of(i)), encode_account(account));
        model[account_key(account_of(i))] = encode_account(account);
    }
    first.put(raw_key(0), "zero");
    model[raw_key(0)] = "zero";
    EXPECT_TRUE(store->write(first, false).ok());
    const StoreReader below(*store);
    Overlay overlay(below, reads);
    Records taken = model;  // as it was when changes were taken last
    std::optional<Records> before;
    std::optional<Overlay::Attempt> attempt;
    std::map<Bytes, bool> put_since, put_before;  // keys put since changes were taken
    const auto put = [&](const Bytes &key, const std::optional<Bytes> &value) {
        put_record(model, key, value);
        put_since[key] = true;
    };
    for (const Step &step : steps) {
        const PublicKey account = account_of(step.key);
        const Account value{.balance = Amount{step.value}, .nonce = step.value};
        switch (step.kind) {
            case Step::kPutAccount:
                overlay.put_account(account, value);
                put(account_key(account),
                    value == Account{} ? std::nullopt : std::optional(encode_account(value)));
                break;
            case Step::kPut:
                overlay.put_raw(raw_key(step.key), std::to_string(step.value));
                put(raw_key(step.key), std::to_string(step.value));
                break;
            case Step::kRemove:
                overlay.remove_raw(raw_key(step.key));
                put(raw_key(step.key), std::nullopt);
                break;
            case Step::kRead: {
                const auto found = model.find(account_key(account));
                const Account expected =
                    found == model.end() ? Account{} : decode_account(found->second).value();
                if (*overlay.account(account) != expected) return "an account reads differently";
                break;
            }
            case Step::kBegin:
                if (attempt) break;
                before = model;
                put_before = put_since;
                attempt.emplace(overlay);
                break;
            case Step::kKeep:
                if (!attempt) break;
                attempt->keep();
                attempt.reset();
                break;
            case Step::kTakeBack:
                if (!attempt) break;
                attempt.reset();
                model = *before;
                put_since = put_before;
                break;
            case Step::kTake: {
                if (attempt) break;
                const auto difference = overlay.take_difference();
                if (!difference.ok()) return difference.error().message;
                if (difference->changes.size() != put_since.size()) return "not what was put";
                auto old_value = difference->old_values.begin();
                for (const auto &[key, now] : difference->changes) {
                    const auto expected = model.find(key), old = taken.find(key);
                    if (!put_since.contains(key)) return "a key that was not put";
                    if (now !=
                        (expected == model.end() ? std::nullopt : std::optional(expected->second)))
                        return "a wrong change";
                    if (*old_value++ !=
                        (old == taken.end() ? std::nullopt : std::optional(old->second)))
                        return "a wrong old value";
                }
                if (reads == Overlay::Reads::kPassedOn) return {};  // of no more use
                taken = model;
                put_since.clear();
                break;
            }
            case Step::kReadAhead:
                if (reads == Overlay::Reads::kRemembered &&
                    !overlay.read_ahead({account, account_of(step.key + 1), account}).ok())
                    return "reading ahead failed";
                break;
        }
        for (std::uint32_t i = 0; i < std::max(kAccounts, kRawKeys); ++i) {
            for (const Bytes &key : {account_key(account_of(i)), raw_key(i)}) {
                const auto found = model.find(key);
                // Reading changes what is remembered: not after every step.
                if ((i + step.value) % 3 == 0 &&
                    *overlay.get(key) !=
                        (found == model.end() ? std::nullopt : std::optional(found->second)))
                    return "a key reads differently";
            }
        }
    }
    return {};
}

TEST(Overlay, IsAMapThatIsCopiedBeforeEachAttempt) {
    const std::uint64_t seed = std::random_device{}();
    std::cout << "seed " << seed << std::endl;
    std::mt19937_64 random(seed);
    for (int round = 0; round < 4'000; ++round) {
        const auto reads = round % 2 == 0 ? Overlay::Reads::kRemembered : Overlay::Reads::kPassedOn;
        std::vector<Step> steps(1 + random() % 60);
        for (Step &step : steps) step = random_step(random);
        if (run(steps, reads).empty()) continue;
        for (bool shorter = true; shorter;) {
            shorter = false;
            for (std::size_t i = 0; i < steps.size() && !shorter; ++i) {
                std::vector<Step> fewer = steps;
                fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
                if (run(fewer, reads).empty()) continue;
                steps = fewer;
                shorter = true;
            }
        }
        std::string text;
        for (const Step &step : steps)
            text += " " + std::to_string(step.kind) + ":" + std::to_string(step.key) + ":" +
                    std::to_string(step.value);
        FAIL() << run(steps, reads) << " after" << text << ", reads "
               << (reads == Overlay::Reads::kRemembered ? "remembered" : "passed on");
    }
}

TEST(Overlay, TellsWhichAttemptPutAKeyLast) {
    const auto store = make_memory_store();
    const StoreReader below(*store);
    Overlay overlay(below);
    EXPECT_EQ(overlay.last_attempt_on("a"), 0u);
    {
        Overlay::Attempt one(overlay);
        overlay.put_raw("a", "1");
        one.keep();
    }
    EXPECT_EQ(overlay.last_attempt_on("a"), 1u);
    {
        Overlay::Attempt two(overlay);
        overlay.put_raw("a", "2");
        overlay.put_raw("b", "2");
    }
    EXPECT_EQ(overlay.newest_attempt(), 2u);
    EXPECT_EQ(overlay.last_attempt_on("a"), 1u) << "the second was taken back";
    EXPECT_EQ(overlay.last_attempt_on("b"), 0u);
    overlay.forget("a");
    EXPECT_EQ(overlay.last_attempt_on("a"), 0u);
    EXPECT_EQ(*overlay.get("a"), std::nullopt);
    EXPECT_TRUE(overlay.changes().empty());
}

}  // namespace
}  // namespace chain::ledger
