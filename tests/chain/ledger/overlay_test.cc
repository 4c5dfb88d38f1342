// SPDX-License-Identifier: BSD-3-Clause
//
// Overlay against a map that is copied before each attempt: random puts, reads, attempts that are
// kept or taken back, and differences taken. A failing row of steps is made shorter.
#include "chain/ledger/overlay.h"

#include <map>
#include <random>
#include <set>
#include <tuple>

#include <gtest/gtest.h>

#include "chain/store/store.h"

namespace chain::ledger {
namespace {

using Records = std::map<Bytes, Bytes>;

// A few accounts and raw keys, so that steps meet each other.
constexpr std::size_t kAccountsInUse = 5, kRawKeys = 4;

PublicKey numbered_account(std::uint32_t number) {
    PublicKey key{};
    key[0] = static_cast<std::uint8_t>(number % kAccountsInUse);
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

std::optional<Bytes> value_in(const Records &records, const Bytes &key) {
    const auto found = records.find(key);
    return found == records.end() ? std::nullopt : std::optional(found->second);
}

// An overlay, and the map that it should be. Each step says what is wrong after it; empty: nothing.
class Pair {
public:
    explicit Pair(Overlay::Reads reads) : reads_(reads), below_(*store_), overlay_(below_, reads) {
        for (std::uint32_t i = 0; i < kAccountsInUse; i += 2)
            stored(account_key(numbered_account(i)), encode_account({.balance = Amount{100 + i}}));
        stored(raw_key(0), "zero");
        taken_ = model_;
    }

    bool is_over() const { return is_over_; }

    std::string take(const Step &step) {
        const PublicKey account = numbered_account(step.key);
        const Account value{.balance = Amount{step.value}, .nonce = step.value};
        switch (step.kind) {
            case Step::kPutAccount:
                overlay_.put_account(account, value);
                put(account_key(account),
                    value == Account{} ? std::nullopt : std::optional(encode_account(value)));
                break;
            case Step::kPut:
                overlay_.put_raw(raw_key(step.key), std::to_string(step.value));
                put(raw_key(step.key), std::to_string(step.value));
                break;
            case Step::kRemove:
                overlay_.remove_raw(raw_key(step.key));
                put(raw_key(step.key), std::nullopt);
                break;
            case Step::kRead: return read(account);
            case Step::kBegin: begin(); break;
            case Step::kKeep: end(true); break;
            case Step::kTakeBack: end(false); break;
            case Step::kTake: return attempt_ ? std::string() : take_difference();
            case Step::kReadAhead:
                if (reads_ == Overlay::Reads::kRemembered &&
                    !overlay_.read_ahead({account, numbered_account(step.key + 1), account}).ok())
                    return "reading ahead failed";
                break;
        }
        return {};
    }

    // Some of the keys: reading changes what is remembered, so not all after every step.
    std::string compare(std::uint32_t which) const {
        for (std::uint32_t i = which % 3; i < std::max(kAccountsInUse, kRawKeys); i += 3)
            for (const Bytes &key : {account_key(numbered_account(i)), raw_key(i)})
                if (*overlay_.get(key) != value_in(model_, key)) return "a key reads differently";
        return {};
    }

private:
    void stored(const Bytes &key, const Bytes &value) {
        WriteBatch batch;
        batch.put(key, value);
        CHAIN_CHECK(store_->write(batch, false).ok());
        model_[key] = value;
    }

    void put(const Bytes &key, const std::optional<Bytes> &value) {
        put_record(model_, key, value);
        put_since_.insert(key);
    }

    std::string read(const PublicKey &account) const {
        const auto record = value_in(model_, account_key(account));
        const Account expected = record ? decode_account(*record).value() : Account{};
        return *overlay_.account(account) == expected ? "" : "an account reads differently";
    }

    void begin() {
        if (attempt_) return;
        before_ = {model_, put_since_};
        attempt_.emplace(overlay_);
    }

    void end(bool keeps) {
        if (!attempt_) return;
        if (keeps)
            attempt_->keep();
        else
            std::tie(model_, put_since_) = before_;
        attempt_.reset();
    }

    std::string take_difference() {
        const auto difference = overlay_.take_difference();
        if (!difference.ok()) return difference.error().message;
        if (difference->changes.size() != put_since_.size()) return "not what was put";
        auto old_value = difference->old_values.begin();
        for (const auto &[key, now] : difference->changes) {
            if (!put_since_.contains(key)) return "a key that was not put";
            if (now != value_in(model_, key)) return "a wrong change";
            if (*old_value++ != value_in(taken_, key)) return "a wrong old value";
        }
        taken_ = model_;
        put_since_.clear();
        is_over_ = reads_ == Overlay::Reads::kPassedOn;  // of no more use
        return {};
    }

    const Overlay::Reads reads_;
    const std::unique_ptr<KeyValueStore> store_ = make_memory_store();
    const StoreReader below_;
    Overlay overlay_;
    std::optional<Overlay::Attempt> attempt_;
    Records model_;                               // what the overlay shows
    std::set<Bytes> put_since_;                   // keys put since changes were taken
    Records taken_;                               // as it was then
    std::pair<Records, std::set<Bytes>> before_;  // the attempt
    bool is_over_ = false;
};

std::string run(const std::vector<Step> &steps, Overlay::Reads reads) {
    Pair pair(reads);
    for (const Step &step : steps) {
        if (std::string wrong = pair.take(step); !wrong.empty()) return wrong;
        if (pair.is_over()) break;
        if (std::string wrong = pair.compare(step.value); !wrong.empty()) return wrong;
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
