// SPDX-License-Identifier: BSD-3-Clause
//
// Every file of tests/vectors on every back end: what the file says, and the same state to the
// byte.
#include "tests/chain/backend/vectors.h"

#include <filesystem>
#include <set>

#include "tests/chain/backend/vectors_replay.h"
#include "tests/chain/ledger/ledger_fixture.h"

namespace chain::vectors {
namespace {

using Path = std::filesystem::path;

const std::set<std::string> kLifeCycles = {"accused-answers",
                                           "budget-exhausted",
                                           "dispute",
                                           "double-claim",
                                           "expiry",
                                           "final-word",
                                           "leg-never-starts",
                                           "mining-payout",
                                           "normal-lease",
                                           "old-voucher",
                                           "provider-lost",
                                           "rating",
                                           "reclaim-notice",
                                           "renter-silent",
                                           "reservation-cancelled",
                                           "reservation-no-show",
                                           "stake-and-evidence",
                                           "transfer-and-reward",
                                           "voided-but-paid"};

std::vector<Path> files() {
    std::vector<Path> paths;
    for (const auto &entry :
         std::filesystem::directory_iterator(Path(TEST_SOURCE_DIR) / "tests/vectors"))
        if (entry.path().extension() == ".json") paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    return paths;
}

std::unique_ptr<Subject> on_store(const Vector &vector, std::unique_ptr<KeyValueStore> store) {
    const KeyPair *sealer = nullptr;
    for (const auto &[name, key] : vector.accounts)
        if (key.public_key() == vector.genesis.sealer) sealer = &key;
    auto subject = ledger_subject(vector.genesis, std::move(store), *sealer);
    CHAIN_CHECK(subject.ok());
    return std::move(subject).value();
}

bool renewing() {
    return std::getenv("CHAIN_RENEW_DIGESTS") != nullptr;
}

// `on`: which back end, for people.
Outcome expect_as_written(const Vector &vector, Subject &subject, const std::string &on) {
    Outcome outcome = replay(vector, subject);
    for (const std::string &what : outcome.wrong) ADD_FAILURE() << on << ": " << what;
    if (!renewing()) {
        EXPECT_EQ(to_hex(outcome.state_digest), to_hex(vector.state_digest)) << on;
    }
    return outcome;
}

void renew(const Path &path, std::string text, const Bytes32 &before, const Bytes32 &now) {
    const std::size_t at = text.find(to_hex(before));
    ASSERT_NE(at, std::string::npos);
    text.replace(at, 64, to_hex(now));
    ASSERT_TRUE(write_file_atomic(path.string(), text, 0644).ok());
}

TEST(Vectors, EveryFileOnEveryBackEnd) {
    std::set<std::string> played;
    for (const Path &path : files()) {
        SCOPED_TRACE(path.filename().string());
        const auto text = read_file(path.string(), kFileBytesMax);
        ASSERT_TRUE(text.ok()) << text.error().message;
        const auto vector = parse(*text);
        ASSERT_TRUE(vector.ok()) << vector.error().message;
        ASSERT_FALSE(vector->steps.empty());
        const Check &end = vector->steps.back().check;
        EXPECT_EQ(end.accounts.size(), vector->accounts.size())
            << "the last step checks all of them";
        EXPECT_EQ(end.totals.size(), 2u);

        const auto memory = memory_subject(vector->genesis);
        const Outcome model = expect_as_written(*vector, *memory, "memory");
        const Outcome ledger =
            expect_as_written(*vector, *on_store(*vector, make_memory_store()), "ledger in memory");
        const TemporaryFolder folder;
        auto store = open_leveldb_store(folder.path() + "/store");
        ASSERT_TRUE(store.ok()) << store.error().message;
        const Outcome durable =
            expect_as_written(*vector, *on_store(*vector, std::move(*store)), "ledger on LevelDB");
        EXPECT_EQ(model.accounts, ledger.accounts);
        EXPECT_EQ(model.accounts, durable.accounts);
        EXPECT_EQ(model.state_digest, ledger.state_digest);
        EXPECT_EQ(model.state_digest, durable.state_digest);
        if (renewing() && !HasFailure())
            renew(path, *text, vector->state_digest, model.state_digest);
        played.insert(path.stem().string());
    }
    for (const std::string &name : kLifeCycles)
        EXPECT_TRUE(played.contains(name)) << "there is no tests/vectors/" << name << ".json";
}

// A file that is found wrong must be found so by the replay, not only by the digest.
TEST(Vectors, AWrongFigureIsFound) {
    const auto text = read_file(
        (Path(TEST_SOURCE_DIR) / "tests/vectors/normal-lease.json").string(), kFileBytesMax);
    ASSERT_TRUE(text.ok());
    auto vector = parse(*text);
    ASSERT_TRUE(vector.ok());
    Step &last = vector->steps.back();
    ASSERT_FALSE(last.check.accounts.empty());
    last.check.accounts.begin()->second["balance"] = "1";
    last.check.totals["burned"] = "2";
    vector->steps.front().is_refused = true;
    const auto memory = memory_subject(vector->genesis);
    EXPECT_EQ(replay(*vector, *memory).wrong.size(), 3u);
}

// Digits and words of a file exchanged: what is still a vector can be played, whatever it says.
TEST(Vectors, ChangedFilesAreRefusedOrPlayed) {
    const std::uint64_t seed = std::random_device{}();
    std::cout << "seed " << seed << "\n";
    std::mt19937_64 random(seed);
    unsigned played = 0;
    for (const Path &path : files()) {
        const auto text = read_file(path.string(), kFileBytesMax);
        ASSERT_TRUE(text.ok());
        std::vector<std::pair<std::size_t, std::size_t>> words;  // quoted: from, size
        for (std::size_t at = text->find('"'); at != std::string::npos;
             at = text->find('"', at + 1)) {
            const std::size_t end = text->find('"', at + 1);
            words.emplace_back(at, end + 1 - at);
            at = end;
        }
        for (int i = 0; i < 60; ++i) {
            std::string changed = *text;
            if (random() % 2 == 0) {
                std::size_t at = random() % changed.size();
                at = changed.find_first_of("0123456789", at);
                if (at != std::string::npos) changed[at] = static_cast<char>('0' + random() % 10);
            } else {
                const auto [from, size] = words[random() % words.size()];
                const auto [other, other_size] = words[random() % words.size()];
                changed.replace(from, size, text->substr(other, other_size));
            }
            const auto vector = parse(changed);
            if (!vector.ok()) continue;
            const auto memory = memory_subject(vector->genesis);
            (void)replay(*vector, *memory);
            ++played;
        }
    }
    EXPECT_GT(played, 0u);
}

// ---- the parser

constexpr std::string_view kSmall = R"({
  "about": "a transfer", "time_ms": 1000, "accounts": {"ann": 100, "bob": 0}, "sealer": "ann",
  "params": {"burn_ppm": 1},
  "steps": [{"name": "pay", "at_ms": 5, "by": "ann", "transfer": {"to": "bob", "amount": 7},
             "expect": "ok", "then": {"accounts": {"bob": {"balance": 7}}}}],
  "state_digest": "0000000000000000000000000000000000000000000000000000000000000000"})";

std::string with(std::string_view from, std::string_view to) {
    std::string text(kSmall);
    const std::size_t at = text.find(from);
    CHAIN_CHECK(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

TEST(Vectors, TheSmallOneIsRight) {
    const auto vector = parse(kSmall);
    ASSERT_TRUE(vector.ok()) << vector.error().message;
    const auto memory = memory_subject(vector->genesis);
    EXPECT_TRUE(replay(*vector, *memory).wrong.empty());
}

struct Malformed {
    std::string_view from, to;
    std::string_view said;  // part of the message
};

const Malformed kMalformed[] = {
    {"{", "", "file: is no JSON"},
    {R"("about")", R"("abbout")", "file.about: is missing"},
    {R"("about")", R"("more": 1, "about")", "file.more: is no field"},
    {R"("a transfer")", "5", "about: is no text"},
    {R"("about")", R"("about": "", "about")", "about: stands twice"},
    {"1000", "-1", "time_ms: is no whole number"},
    {"1000", "1.5", "time_ms: is no whole number"},
    {"1000", "18446744073709551615", "time_ms: is too large"},
    {"1000", "99999999999999999999", "time_ms: is no whole number"},
    {R"({"ann": 100, "bob": 0})", "[]", "accounts: is no object"},
    {R"("ann": 100)", R"("Ann": 100)", "accounts.Ann: is no name"},
    {R"("ann": 100)", R"("ann": "100")", "accounts.ann: is no whole number"},
    {R"("ann": 100)", R"("ann": 4000000000000000001)", "accounts.ann: is too large"},
    {R"("sealer": "ann")", R"("sealer": "cid")", "sealer: names no account"},
    {R"("burn_ppm": 1)", R"("burn_pm": 1)", "burn_pm"},
    {R"("burn_ppm": 1)", R"("burn_ppm": 1000001)", "burn_ppm"},
    {R"({"burn_ppm": 1})", "7", "params: is no object"},
    {R"("name": "pay")", R"("name": "")", "steps[0].name: is no name"},
    {R"("name": "pay", )", "", "steps[0].name: is missing"},
    {R"("at_ms": 5)", R"("at_ms": 0)", "steps[0].at_ms: is not later"},
    {R"("at_ms": 5)", R"("at_ms": 9999999999999)", "steps[0].at_ms: is too large"},
    {R"("by": "ann")", R"("by": "cid")", "steps[0].by: names no account"},
    {R"("transfer": {"to": "bob", "amount": 7},)", "", "steps[0]: has no action"},
    {R"("transfer")", R"("transfers")", "steps[0].transfers: is no field"},
    {R"("transfer")", R"("nonce": 1, "transfer")", "steps[0].nonce: is no field"},
    {R"("transfer")", R"("withdraw_stake": {}, "transfer")", "is a second action"},
    {R"({"to": "bob", "amount": 7})", "7", "steps[0].transfer: is no object"},
    {R"("to": "bob")", R"("to": "cid")", "steps[0].transfer.to: names no account"},
    {R"(, "amount": 7)", "", "steps[0].transfer.amount: is missing"},
    {R"("amount": 7)", R"("amount": 7, "more": 1)", "steps[0].transfer.more: is no field"},
    {R"("amount": 7)", R"("amount": 9223372036854775808)", "amount: is too large"},
    {R"("amount": 7)", R"("amount": true)", "amount: is no whole number"},
    {R"("transfer": {"to": "bob", "amount": 7})", R"("expire_lease": {"lease_id": "pay"})",
     "lease_id: names no earlier step"},
    {R"("transfer": {"to": "bob", "amount": 7})", R"("rate": {"lease_id": "pay", "leg": 0})",
     "lease_id: names no earlier step"},
    {R"("transfer": {"to": "bob", "amount": 7})", R"("rate": {"leg": 4294967296})",
     "rate.leg: is too large"},
    {R"("transfer": {"to": "bob", "amount": 7})", R"("rate": {"satisfaction": "very"})",
     "satisfaction: is none of the words"},
    {R"("transfer": {"to": "bob", "amount": 7})", R"("report_start": {"started": 1})",
     "started: is neither true nor false"},
    {R"("transfer": {"to": "bob", "amount": 7})", R"("open_lease": {"legs": {}})",
     "legs: is no list"},
    {R"("transfer": {"to": "bob", "amount": 7})", R"("vote": {"vote": {"chain_id": "x"}})",
     "chain_id: is no field"},
    {R"("transfer": {"to": "bob", "amount": 7})",
     R"("claim_voucher": {"voucher": {"signed_by": "cid"}})", "signed_by: names no account"},
    {R"("transfer": {"to": "bob", "amount": 7})",
     R"("claim_voucher": {"voucher": {"signed_by": "ann"}})", "voucher.lease_id: is missing"},
    {R"("expect": "ok")", R"("expect": "fine")", "expect: is neither"},
    {R"({"accounts": {"bob": {"balance": 7}}})", "[]", "then: is no object"},
    {R"("accounts": {"bob": {)", R"("account": {"bob": {)", "then.account: is no field"},
    {R"("bob": {"balance": 7})", R"("bob": 7)", "bob: is no object"},
    {R"({"balance": 7})", R"({"balances": 7})", "bob.balances: is no field"},
    {R"({"balance": 7})", R"({"balance": "7"})", "bob.balance: is no whole number"},
    {R"({"bob": {"balance": 7}}})", R"({"cid": {}}})", "cid: names no account"},
    {R"("accounts": {"bob": {"balance": 7}})", R"("totals": {"minted": 1})",
     "totals.minted: is no field"},
    {R"("accounts": {"bob": {"balance": 7}})", R"("leases": {"pay": []})",
     "pay: names no earlier step"},
    {R"("state_digest": "00)", R"("state_digest": ")", "state_digest: is not 64"},
};

TEST(Vectors, WhatIsMalformedIsRefusedWithTheReason) {
    for (const Malformed &one : kMalformed) {
        const auto vector = parse(with(one.from, one.to));
        ASSERT_FALSE(vector.ok()) << one.to;
        EXPECT_EQ(vector.error().code, ErrorCode::kInvalidInput) << vector.error().message;
        EXPECT_NE(vector.error().message.find(one.said), std::string::npos)
            << vector.error().message << "\ninstead of " << one.said;
    }
}

TEST(Vectors, WhatIsTooLargeIsRefused) {
    EXPECT_EQ(parse(std::string(kFileBytesMax + 1, ' ')).error().code, ErrorCode::kTooLarge);
    std::string accounts;
    for (std::size_t i = 0; i < kAccountsMax; ++i)
        accounts += "\"a" + std::to_string(i) + "\": 1, ";
    EXPECT_EQ(parse(with("\"ann\": 100", accounts + "\"ann\": 100")).error().code,
              ErrorCode::kTooLarge);
    std::string steps;
    for (std::size_t i = 0; i <= kStepsMax; ++i) steps += "{},";
    EXPECT_EQ(parse(with("\"steps\": [", "\"steps\": [" + steps)).error().code,
              ErrorCode::kTooLarge);
    // Depth is bounded by the size, and costs no stack.
    EXPECT_FALSE(parse(std::string(kFileBytesMax, '[')).ok());
}

}  // namespace
}  // namespace chain::vectors
