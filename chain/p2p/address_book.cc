// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/address_book.h"

#include <algorithm>

#include "chain/p2p/limits.h"
#include "chain/p2p/random.h"

namespace chain::p2p {
namespace {

constexpr std::string_view kBucketTag = "ompi-chain/address-bucket";
constexpr std::string_view kOperatorGroup = "operator";

Bytes32 new_secret() {
    Bytes32 secret;
    fill_random(secret.data(), secret.size());
    return secret;
}

std::string_view bytes_of(const std::uint32_t &number) {
    return {reinterpret_cast<const char *>(&number), sizeof number};
}

}  // namespace

AddressBook::AddressBook(const Clock &clock) : AddressBook(clock, new_secret()) {}

AddressBook::AddressBook(const Clock &clock, const Bytes32 &secret)
    : clock_(clock), secret_(secret), tried_(kTriedBuckets), new_(kNewBuckets) {}

// ---- placement

std::uint32_t AddressBook::keyed_hash(char purpose,
                                      std::initializer_list<std::string_view> parts) const {
    Bytes bytes = to_bytes(secret_);
    bytes.push_back(purpose);
    for (const std::string_view part : parts) {
        bytes.push_back(static_cast<char>(part.size()));
        bytes += part;
    }
    return read_u32_le(view_of(tagged_hash(kBucketTag, bytes)));
}

// The inner hash names one of the few buckets that a group may use, the outer one where that is.
AddressBook::Bucket &AddressBook::bucket_of(const AddressEntry &entry, bool tried) {
    const Bytes group = network_group(entry.address);
    const Bytes address = to_text(entry.address);
    if (tried) {
        const std::uint32_t which = keyed_hash('t', {address}) % kTriedBucketsPerGroup;
        return tried_[keyed_hash('T', {group, bytes_of(which)}) % kTriedBuckets];
    }
    const std::uint32_t spread = keyed_hash('a', {address}) % kNewBucketsPerGroupOfSource;
    const std::uint32_t which =
        keyed_hash('n', {entry.source_group, group, bytes_of(spread)}) % kNewBucketsPerSource;
    return new_[keyed_hash('N', {entry.source_group, bytes_of(which)}) % kNewBuckets];
}

bool AddressBook::gives_way(const AddressEntry &entry) const {
    const std::uint64_t now_ms = clock_.unix_ms();
    if (entry.succeeded_at_ms > 0)
        return entry.failure_count > 0 && entry.succeeded_at_ms + kTriedKeptMs < now_ms;
    return entry.failure_count > 0 || entry.heard_at_ms + kAddressStaleMs < now_ms;
}

// False, and nothing changed, when the bucket is full of entries that stay.
bool AddressBook::place(AddressEntry entry, bool tried) {
    Bucket &bucket = bucket_of(entry, tried);
    if (bucket.size() >= kBucketAddresses) {
        const auto weakest = std::find_if(bucket.begin(), bucket.end(), [&](const auto &address) {
            return gives_way(entries_.at(address));
        });
        if (weakest == bucket.end()) return false;
        remove(PeerAddress(*weakest));
    }
    entry.tried = tried;
    if (tried) ++tried_count_;
    bucket.push_back(entry.address);
    entries_[entry.address] = std::move(entry);
    changed_ = true;
    return true;
}

void AddressBook::remove(const PeerAddress &address) {
    const auto found = entries_.find(address);
    CHAIN_CHECK(found != entries_.end());
    CHAIN_CHECK(std::erase(bucket_of(found->second, found->second.tried), address) == 1);
    if (found->second.tried) --tried_count_;
    entries_.erase(found);
    changed_ = true;
}

// ---- what happens to addresses

bool AddressBook::add(const PeerAddress &address, const PeerAddress *told_by) {
    if (reach_of(address) == Reach::kNowhere) return false;
    if (told_by != nullptr && !may_be_told(address, *told_by)) return false;
    const std::uint64_t now_ms = clock_.unix_ms();
    if (const auto found = entries_.find(address); found != entries_.end()) {
        found->second.heard_at_ms = now_ms;
        changed_ = true;
        return false;
    }
    AddressEntry entry;
    entry.address = address;
    entry.source_group = told_by != nullptr ? network_group(*told_by) : Bytes(kOperatorGroup);
    entry.heard_at_ms = now_ms;
    return place(std::move(entry), false);
}

void AddressBook::attempted(const PeerAddress &address) {
    const auto found = entries_.find(address);
    if (found == entries_.end()) return;
    found->second.attempted_at_ms = clock_.unix_ms();
    changed_ = true;
}

void AddressBook::failed(const PeerAddress &address, bool counts) {
    const auto found = entries_.find(address);
    if (found == entries_.end() || !counts) return;
    AddressEntry &entry = found->second;
    ++entry.failure_count;
    changed_ = true;
    const bool never_answered = entry.succeeded_at_ms == 0;
    if (never_answered ? entry.failure_count >= kNewFailuresMax
                       : entry.failure_count >= kTriedFailuresMax && gives_way(entry))
        remove(address);
}

void AddressBook::succeeded(const PeerAddress &address, const PublicKey &node_key) {
    if (!entries_.contains(address) && !add(address, nullptr)) return;
    AddressEntry &entry = entries_.at(address);
    entry.succeeded_at_ms = clock_.unix_ms();
    entry.failure_count = 0;
    entry.node_key = node_key;
    changed_ = true;
    if (entry.tried) return;
    // Where "tried" has no room it stays among the new ones, with what is known of it.
    AddressEntry moved = entry;
    remove(address);
    if (!place(moved, true)) CHAIN_CHECK(place(moved, false));
}

void AddressBook::forget(const PeerAddress &address) {
    const auto found = entries_.find(address);
    if (found == entries_.end()) return;
    if (found->second.succeeded_at_ms > 0)
        failed(address, true);
    else
        remove(address);
}

// ---- choices

std::uint64_t AddressBook::retry_at_ms(const AddressEntry &entry) const {
    if (entry.failure_count == 0 && entry.succeeded_at_ms >= entry.attempted_at_ms)
        return entry.attempted_at_ms + kAddressAgainMs;
    return entry.attempted_at_ms +
           (kAddressRetryMs << std::min(entry.failure_count, kAddressRetryDoublings));
}

std::optional<PeerAddress> AddressBook::select(const Predicate &skip) const {
    const std::uint64_t now_ms = clock_.unix_ms();
    const auto may_be_dialled = [&](const PeerAddress &address) {
        const AddressEntry &entry = entries_.at(address);
        // A clock that was put back would make the pause as long as that.
        const bool paused = now_ms < retry_at_ms(entry) && entry.attempted_at_ms <= now_ms;
        return !paused && !skip(entry);
    };
    const auto from_table = [&](const std::vector<Bucket> &table) -> std::optional<PeerAddress> {
        std::vector<const Bucket *> usable;
        for (const Bucket &bucket : table)
            if (std::any_of(bucket.begin(), bucket.end(), may_be_dialled))
                usable.push_back(&bucket);
        if (usable.empty()) return std::nullopt;
        // One ticket each for those that failed, doubled for each failure less.
        std::vector<PeerAddress> tickets;
        for (const PeerAddress &address : *usable[random_below(usable.size())]) {
            if (!may_be_dialled(address)) continue;
            const std::uint32_t failures =
                std::min(entries_.at(address).failure_count, kNewFailuresMax);
            tickets.insert(tickets.end(), std::size_t{1} << (kNewFailuresMax - failures), address);
        }
        return tickets[random_below(tickets.size())];
    };
    const bool tried_first = random_below(2) == 0;
    const auto found = from_table(tried_first ? tried_ : new_);
    return found ? found : from_table(tried_first ? new_ : tried_);
}

std::vector<PeerAddress> AddressBook::sample(std::size_t count, const Predicate &fits) const {
    std::vector<PeerAddress> found;
    for (const auto &[address, entry] : entries_)
        if (entry.failure_count == 0 && !gives_way(entry) && fits(entry)) found.push_back(address);
    keep_random(found, count);
    return found;
}

const AddressEntry *AddressBook::find(const PeerAddress &address) const {
    const auto found = entries_.find(address);
    return found == entries_.end() ? nullptr : &found->second;
}

void AddressBook::check_invariants() const {
    std::size_t placed = 0;
    std::size_t tried = 0;
    for (const std::vector<Bucket> *table : {&tried_, &new_}) {
        for (const Bucket &bucket : *table) {
            CHAIN_CHECK(bucket.size() <= kBucketAddresses);
            placed += bucket.size();
            for (const PeerAddress &address : bucket) {
                const AddressEntry &entry = entries_.at(address);
                CHAIN_CHECK(entry.address == address && entry.tried == (table == &tried_));
                CHAIN_CHECK(!entry.tried || entry.succeeded_at_ms > 0);
                CHAIN_CHECK(reach_of(address) != Reach::kNowhere);
                if (entry.tried) ++tried;
            }
        }
    }
    CHAIN_CHECK(placed == entries_.size() && tried == tried_count_);
}

}  // namespace chain::p2p
