// SPDX-License-Identifier: BSD-3-Clause
//
// Addresses, the book that keeps them, its file, and who is discouraged: without sockets.
#include <random>
#include <set>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "chain/base/file.h"
#include "chain/p2p/address_book.h"
#include "chain/p2p/discouraged.h"
#include "chain/p2p/eviction.h"
#include "chain/p2p/limits.h"

namespace chain::p2p {
namespace {

constexpr std::uint64_t kHourMs = 3600 * 1000;

PeerAddress at(const std::string &text) {
    const auto parsed = parse_peer_address(text);
    EXPECT_TRUE(parsed.has_value()) << text;
    return parsed.value_or(PeerAddress{});
}

PeerAddress v4(std::uint32_t host, std::uint16_t port = 7660) {
    return at(std::to_string(host >> 24) + "." + std::to_string(host >> 16 & 255) + "." +
              std::to_string(host >> 8 & 255) + "." + std::to_string(host & 255) + ":" +
              std::to_string(port));
}

// A host in the `group`th of 100 x 256 public /16 networks.
PeerAddress public_address(std::uint32_t group, std::uint32_t host) {
    return v4((20 + group / 256 % 60) << 24 | group % 256 << 16 | (host & 0xffff));
}

bool skip_none(const AddressEntry &) {
    return false;
}

TEST(PeerAddress, ReachAndGroup) {
    struct Case {
        const char *text;
        Reach reach;
        const char *same_group;
        const char *other_group;
    };
    const Case cases[] = {
        {"8.8.8.8:1", Reach::kPublic, "8.8.9.1:2", "8.9.8.8:1"},
        {"172.32.0.1:1", Reach::kPublic, "172.32.9.9:1", "172.33.0.1:1"},
        {"172.31.0.1:1", Reach::kPrivate, "172.31.0.1:2", "172.31.0.2:1"},
        {"10.0.0.1:1", Reach::kPrivate, "10.0.0.1:2", "10.0.0.2:1"},
        {"100.64.0.1:1", Reach::kPrivate, "100.64.0.1:2", "100.64.0.2:1"},
        {"127.0.0.1:1", Reach::kLoopback, "127.9.0.1:2", "128.0.0.1:1"},
        {"[::1]:1", Reach::kLoopback, "127.0.0.1:1", "[2001:db9::1]:1"},
        {"[2001:470:1::1]:1", Reach::kPublic, "[2001:470:2::1]:1", "[2001:471:1::1]:1"},
        {"[fd00::1]:1", Reach::kPrivate, "[fd00::1]:2", "[fd00::2]:1"},
        {"0.0.0.0:1", Reach::kNowhere, nullptr, nullptr},
        {"224.0.0.251:1", Reach::kNowhere, nullptr, nullptr},
        {"255.255.255.255:1", Reach::kNowhere, nullptr, nullptr},
        {"192.0.2.1:1", Reach::kNowhere, nullptr, nullptr},
        {"[::]:1", Reach::kNowhere, nullptr, nullptr},
        {"[fe80::1]:1", Reach::kNowhere, nullptr, nullptr},
        {"[ff02::1]:1", Reach::kNowhere, nullptr, nullptr},
        {"[2001:db8::1]:1", Reach::kNowhere, nullptr, nullptr},
    };
    for (const Case &c : cases) {
        const PeerAddress address = at(c.text);
        EXPECT_EQ(reach_of(address), c.reach) << c.text;
        EXPECT_EQ(to_text(address), c.text);
        if (c.same_group == nullptr) continue;
        EXPECT_EQ(network_group(address), network_group(at(c.same_group))) << c.text;
        EXPECT_NE(network_group(address), network_group(at(c.other_group))) << c.text;
    }
    EXPECT_EQ(at("[::ffff:8.8.8.8]:1"), at("8.8.8.8:1"));
    EXPECT_FALSE(parse_peer_address("localhost:1").has_value());
    EXPECT_FALSE(parse_peer_address("").has_value());
}

TEST(AddressBook, TakesWhatMeansTheSameToTheTeller) {
    const ManualClock clock;
    AddressBook book(clock);
    const PeerAddress outside = at("8.8.8.8:1");
    const PeerAddress neighbour = at("10.0.0.9:1");
    const PeerAddress here = at("127.0.0.1:1");
    EXPECT_FALSE(book.add(at("127.0.0.1:7"), &outside));
    EXPECT_FALSE(book.add(at("127.0.0.1:7"), &neighbour));
    EXPECT_TRUE(book.add(at("127.0.0.1:7"), &here));
    EXPECT_FALSE(book.add(at("10.0.0.1:7"), &outside));
    EXPECT_TRUE(book.add(at("10.0.0.1:7"), &neighbour));
    EXPECT_TRUE(book.add(at("10.0.0.2:7"), nullptr));
    EXPECT_TRUE(book.add(at("9.9.9.9:7"), &outside));
    EXPECT_FALSE(book.add(at("9.9.9.9:7"), &outside)) << "known";
    EXPECT_FALSE(book.add(at("224.0.0.1:7"), nullptr));
    EXPECT_EQ(book.size(), 4u);
}

TEST(AddressBook, PausesForgetsAndKeeps) {
    ManualClock clock;
    AddressBook book(clock);
    const PeerAddress address = at("8.8.8.8:1");
    ASSERT_TRUE(book.add(address, nullptr));
    EXPECT_EQ(book.select(skip_none), address);
    EXPECT_FALSE(book.select([](const AddressEntry &) { return true; }).has_value());
    std::uint64_t pause_ms = kAddressRetryMs;
    for (std::uint32_t i = 0; i + 1 < kNewFailuresMax; ++i) {
        book.attempted(address);
        book.failed(address, true);
        pause_ms *= 2;
        clock.advance_ms(pause_ms - 1);
        EXPECT_FALSE(book.select(skip_none).has_value());
        clock.advance_ms(1);
        EXPECT_TRUE(book.select(skip_none).has_value());
        EXPECT_TRUE(book.sample(10, skip_none).empty());
    }
    for (int i = 0; i < 50; ++i) book.failed(address, false);  // our own line
    EXPECT_EQ(book.size(), 1u);
    book.failed(address, true);
    EXPECT_EQ(book.size(), 0u);
    // One that has answered stays for a week, however often it fails.
    const PublicKey key = KeyPair::generate().public_key();
    book.succeeded(address, key);
    EXPECT_EQ(book.tried_count(), 1u);
    EXPECT_EQ(book.find(address)->node_key, key);
    for (int i = 0; i < 100; ++i) book.forget(address);
    EXPECT_EQ(book.size(), 1u);
    clock.advance_ms(kTriedKeptMs + 1);
    book.failed(address, true);
    EXPECT_EQ(book.size(), 0u);
    book.check_invariants();
}

// What one who commands whole networks can reach: computed from the limits, not measured.
TEST(AddressBook, AnAttackerFillsNoMoreThanHisShareAndDisplacesNothing) {
    const unsigned seed = std::random_device{}();
    std::printf("seed %u\n", seed);
    std::mt19937 random(seed);
    constexpr std::uint32_t kAttackerGroups = 10;
    constexpr std::uint32_t kAttackerAddresses = 100'000;
    constexpr std::size_t kShare = kAttackerGroups * kNewBucketsPerSource * kBucketAddresses;
    for (const bool from_own_groups_only : {true, false}) {
        ManualClock clock;
        AddressBook book(clock);
        std::set<PeerAddress> honest;
        for (std::uint32_t i = 0; i < 3000; ++i) {
            const PeerAddress teller = public_address(1000 + i % 60, i);
            const PeerAddress address = public_address(2000 + random() % 800, random());
            if (book.add(address, &teller)) honest.insert(address);
            if (i % 6 == 0) book.succeeded(address, PublicKey{});
        }
        const std::size_t tried_before = book.tried_count();
        for (std::uint32_t i = 0; i < kAttackerAddresses; ++i) {
            const PeerAddress teller = public_address(random() % kAttackerGroups, random());
            const std::uint32_t group =
                from_own_groups_only ? random() % kAttackerGroups : 5000 + random() % 5000;
            book.add(public_address(group, random()), &teller);
        }
        book.check_invariants();
        EXPECT_EQ(book.tried_count(), tried_before);
        std::size_t lost = 0;
        for (const PeerAddress &address : honest) lost += book.find(address) == nullptr;
        EXPECT_EQ(lost, 0u);
        const std::size_t his = book.size() - honest.size();
        EXPECT_LE(his, kShare);
        EXPECT_GT(his, kShare / 10) << "the attack was none";
        std::printf("of %zu places for new addresses he has %zu, at most %zu\n",
                    std::size_t{kNewBuckets} * kBucketAddresses, his, kShare);
        // Who comes later still finds room.
        std::size_t taken = 0;
        constexpr std::uint32_t kLate = 1000;
        for (std::uint32_t i = 0; i < kLate; ++i) {
            const PeerAddress teller = public_address(12000 + i % 100, i);
            taken += book.add(public_address(13000 + i, 1), &teller);
        }
        EXPECT_GT(taken, kLate / 2);
    }
}

// Even one who answers at every address of ten networks.
TEST(AddressBook, AnAttackerWhoAnswersDisplacesNothingOfTried) {
    ManualClock clock;
    AddressBook book(clock);
    std::set<PeerAddress> honest;
    for (std::uint32_t i = 0; i < 400; ++i) {
        const PeerAddress address = public_address(100 + i, i);
        book.succeeded(address, PublicKey{});
        if (book.find(address)->tried) honest.insert(address);
    }
    ASSERT_GT(honest.size(), 300u);
    clock.advance_ms(kHourMs);
    constexpr std::uint32_t kGroups = 10;
    for (std::uint32_t i = 0; i < 20'000; ++i)
        book.succeeded(public_address(i % kGroups, i / kGroups), PublicKey{});
    book.check_invariants();
    for (const PeerAddress &address : honest) {
        ASSERT_NE(book.find(address), nullptr);
        EXPECT_TRUE(book.find(address)->tried);
    }
    EXPECT_LE(book.tried_count() - honest.size(),
              std::size_t{kGroups} * kTriedBucketsPerGroup * kBucketAddresses);
}

TEST(AddressBook, RandomOperationsKeepTheInvariantsAndTheFile) {
    const unsigned seed = std::random_device{}();
    std::printf("seed %u\n", seed);
    std::mt19937 random(seed);
    ManualClock clock;
    auto book = std::make_unique<AddressBook>(clock);
    const auto any = [&] { return public_address(random() % 3, random() % 700); };
    for (int step = 0; step < 60'000; ++step) {
        const PeerAddress address = any();
        const PeerAddress teller = any();
        switch (random() % 9) {
            case 0:
            case 1:
            case 2: book->add(address, random() % 20 == 0 ? nullptr : &teller); break;
            case 3: book->attempted(address); break;
            case 4: book->failed(address, random() % 4 != 0); break;
            case 5: book->succeeded(address, PublicKey{}); break;
            case 6: book->forget(address); break;
            case 7: clock.advance_ms(random() % (12 * kHourMs)); break;
            case 8: {
                const auto chosen =
                    book->select([&](const AddressEntry &entry) { return entry.tried; });
                if (chosen) {
                    EXPECT_FALSE(book->find(*chosen)->tried);
                }
                break;
            }
        }
        if (step % 5000 != 0) continue;
        book->check_invariants();
        EXPECT_LE(book->sample(250, [](const AddressEntry &) { return true; }).size(), 250u);
        const Bytes file = book->format();
        EXPECT_LE(file.size(), kMaxAddressBookBytes);
        auto again = AddressBook::parse(clock, file);
        ASSERT_TRUE(again.ok()) << again.error().message;
        (*again)->check_invariants();
        EXPECT_EQ((*again)->format(), file);
        book = std::move(*again);
    }
}

TEST(AddressBook, AFullBookFitsItsFile) {
    const ManualClock clock;
    AddressBook book(clock);
    std::mt19937 random(1);
    PublicKey key{};
    key.fill(7);
    for (std::uint32_t i = 0; i < 120'000; ++i) {
        const PeerAddress teller = public_address(random() % 14000, random());
        const PeerAddress address = public_address(random() % 14000, random());
        if (i < 20'000)
            book.succeeded(address, key);
        else
            book.add(address, &teller);
    }
    EXPECT_GT(book.size(), 9000u);
    EXPECT_LT(book.format().size(), kMaxAddressBookBytes / 2);
}

TEST(AddressBookFile, NoiseIsRefusedAndNeverMoreThanThat) {
    const unsigned seed = std::random_device{}();
    std::printf("seed %u\n", seed);
    std::mt19937 random(seed);
    const ManualClock clock;
    AddressBook book(clock);
    for (std::uint32_t i = 0; i < 40; ++i) book.add(public_address(i, 1), nullptr);
    const Bytes file = book.format();
    for (int round = 0; round < 3000; ++round) {
        Bytes altered = file;
        if (round % 3 == 0) altered.resize(random() % file.size());
        if (round % 3 == 1) altered[random() % file.size()] ^= static_cast<char>(1 << random() % 8);
        if (round % 3 == 2) {
            // The digest is right and the rest is not.
            altered[32 + random() % (file.size() - 32)] = static_cast<char>(random());
            const Bytes rest = altered.substr(32);
            altered = to_bytes(tagged_hash("ompi-chain/address-book", rest)) + rest;
        }
        const auto parsed = AddressBook::parse(clock, altered);
        if (!parsed.ok()) {
            EXPECT_EQ(parsed.error().code, ErrorCode::kCorrupt);
        } else {
            EXPECT_EQ(round % 3, 2);
            (*parsed)->check_invariants();
        }
    }
}

TEST(AddressBookFile, ADamagedFileIsSetAsideAndTheNodeStarts) {
    char folder[] = "/tmp/ompi-book-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    const std::string path = std::string(folder) + "/peers";
    const ManualClock clock;
    EXPECT_EQ(open_address_book(clock, path)->size(), 0u);
    AddressBook book(clock);
    book.add(public_address(1, 1), nullptr);
    write_address_book(path, book.format());
    EXPECT_EQ(open_address_book(clock, path)->size(), 1u);
    ASSERT_TRUE(write_file_atomic(path, book.format().substr(0, 50), 0600).ok());
    EXPECT_EQ(open_address_book(clock, path)->size(), 0u);
    EXPECT_FALSE(path_exists(path));
    EXPECT_TRUE(path_exists(path + ".damaged"));
    write_address_book(std::string(folder) + "/no/such/folder", "x");  // a warning, no more
    ASSERT_TRUE(write_file_atomic(path, Bytes(kMaxAddressBookBytes + 1, 'x'), 0600).ok());
    EXPECT_EQ(open_address_book(clock, path)->size(), 0u);
    EXPECT_TRUE(remove_tree(folder).ok());
}

TEST(Discouraged, AHostForADayAndNeverTooMany) {
    ManualClock clock;
    Discouraged discouraged(clock, false);
    discouraged.add(at("8.8.8.8:1"));
    discouraged.add(at("[2001:470:1:2::1]:1"));
    discouraged.add(at("127.0.0.1:1"));
    EXPECT_TRUE(discouraged.contains(at("8.8.8.8:999")));
    EXPECT_FALSE(discouraged.contains(at("8.8.8.9:1")));
    EXPECT_TRUE(discouraged.contains(at("[2001:470:1:2:ffff::1]:1"))) << "the same /64";
    EXPECT_FALSE(discouraged.contains(at("[2001:470:1:3::1]:1")));
    EXPECT_FALSE(discouraged.contains(at("127.0.0.1:1")));
    clock.advance_ms(kDiscourageMs - 1);
    discouraged.add(at("9.9.9.9:1"));
    EXPECT_TRUE(discouraged.contains(at("8.8.8.8:1")));
    clock.advance_ms(1);
    EXPECT_FALSE(discouraged.contains(at("8.8.8.8:1")));
    EXPECT_TRUE(discouraged.contains(at("9.9.9.9:1")));
    for (std::uint32_t i = 0; i < kDiscouragedMax; ++i) discouraged.add(public_address(i, 1));
    EXPECT_EQ(discouraged.size(), kDiscouragedMax);
    EXPECT_FALSE(discouraged.contains(at("9.9.9.9:1"))) << "the oldest made room";
    EXPECT_TRUE(discouraged.contains(public_address(0, 1)));
    Discouraged strict(clock, true);
    strict.add(at("127.0.0.1:1"));
    EXPECT_TRUE(strict.contains(at("127.0.0.1:2")));
}

TEST(Eviction, TheYoungestOfTheLargestGroupGoes) {
    const std::vector<InboundPlace> flood = {{"a", 5}, {"b", 9}, {"a", 7}, {"c", 8}, {"a", 6}};
    EXPECT_EQ(choose_to_evict(flood, "d"), 2);
    EXPECT_EQ(choose_to_evict(flood, "b"), 2);
    EXPECT_EQ(choose_to_evict(flood, "a"), -1) << "more of the largest group";
    EXPECT_EQ(choose_to_evict({{"a", 1}, {"b", 2}}, "c"), -1) << "everybody is alone";
    EXPECT_EQ(choose_to_evict({{"a", 1}, {"a", 2, true}}, "c"), 0);
    EXPECT_EQ(choose_to_evict({{"a", 1, true}, {"a", 2, true}}, "c"), -1);
    EXPECT_EQ(choose_to_evict({{"a", 1}, {"a", 2}, {"b", 8}, {"b", 3}}, "c"), 2);
    EXPECT_EQ(choose_to_evict({}, "c"), -1);
    EXPECT_EQ(choose_to_evict({{"a", 1}, {"a", 2}}, "b"), 1);
}

}  // namespace
}  // namespace chain::p2p
