// SPDX-License-Identifier: BSD-3-Clause
//
// AddressBook: addresses of peers, made so that a stranger cannot fill it with his own (an eclipse
// of this node begins with that). Two tables of buckets of fixed size: "tried" for addresses at
// which a peer has answered us, "new" for those that we were told of. A hash keyed with a secret of
// this node chooses the bucket: in "tried" by the address's network group, in "new" also by the
// group of who told us. So what one group of networks can fill is a small, known part of each
// table, and nobody outside knows which. What stands in a full bucket stays, unless it has stopped
// answering or is stale: being told of addresses never costs one that is good.
//
// Belongs to one thread. Holds at most kBucketAddresses x (kTriedBuckets + kNewBuckets) addresses.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "chain/base/clock.h"
#include "chain/identity/keys.h"
#include "chain/p2p/peer_address.h"

namespace chain::p2p {

// What the book knows of one address. Times are Unix times; 0: never.
struct AddressEntry {
    PeerAddress address;
    Bytes source_group;  // network group of who told us
    bool tried = false;
    std::uint64_t heard_at_ms = 0;
    std::uint64_t attempted_at_ms = 0;
    std::uint64_t succeeded_at_ms = 0;
    std::uint32_t failure_count = 0;    // since the last success
    std::optional<PublicKey> node_key;  // of who answered last
};

class AddressBook {
public:
    explicit AddressBook(const Clock &clock);
    AddressBook(const Clock &clock, const Bytes32 &secret);

    // `told_by` null: the operator, or this machine's own eyes. True if the address is now in the
    // book and was not before. Refused: addresses that are nothing to us where the teller is
    // (may_be_told), and those whose bucket is full of better ones.
    bool add(const PeerAddress &address, const PeerAddress *told_by);

    // A dial begins. It ends with one of the two others.
    void attempted(const PeerAddress &address);
    // Nobody answered. `counts` false: the fault may be our own line. Too many failures, and the
    // address is forgotten.
    void failed(const PeerAddress &address, bool counts);
    // The daemon with `node_key` answered. An address that the book does not have is added.
    void succeeded(const PeerAddress &address, const PublicKey &node_key);
    // Somebody answered who is no peer. Addresses at which a peer has answered before stay.
    void forget(const PeerAddress &address);

    // One to dial: from each table as often, from every bucket as often, within it rather those
    // that did not fail. None that `skip` wants skipped, or whose pause is not over.
    using Predicate = std::function<bool(const AddressEntry &)>;
    std::optional<PeerAddress> select(const Predicate &skip) const;
    // At most `count` random ones that `fits`, and did not fail lately: to be told to others.
    std::vector<PeerAddress> sample(std::size_t count, const Predicate &fits) const;

    const AddressEntry *find(const PeerAddress &address) const;
    std::size_t size() const { return entries_.size(); }
    std::size_t tried_count() const { return tried_count_; }
    // True since the last change until it is asked.
    bool take_changed() { return std::exchange(changed_, false); }

    // The book as a file: a digest of all that follows, then a wire::AddressBookFile.
    Bytes format() const;
    // Errors: kCorrupt, kTooLarge.
    static Result<std::unique_ptr<AddressBook>> parse(const Clock &clock, std::string_view file);

    // Panics unless buckets, entries and limits agree: for tests.
    void check_invariants() const;

private:
    using Bucket = std::vector<PeerAddress>;

    Bucket &bucket_of(const AddressEntry &entry, bool tried);
    std::uint32_t keyed_hash(char purpose, std::initializer_list<std::string_view> parts) const;
    bool gives_way(const AddressEntry &entry) const;
    bool place(AddressEntry entry, bool tried);
    void remove(const PeerAddress &address);
    std::uint64_t retry_at_ms(const AddressEntry &entry) const;

    const Clock &clock_;
    const Bytes32 secret_;
    std::map<PeerAddress, AddressEntry> entries_;
    std::vector<Bucket> tried_;
    std::vector<Bucket> new_;
    std::size_t tried_count_ = 0;
    bool changed_ = false;
};

// The book in the file at `path`. A file that cannot be used is set aside (its name with
// ".damaged"), with a line in the log: the node starts with an empty book, and finds peers by its
// seeds.
std::unique_ptr<AddressBook> open_address_book(const Clock &clock, const std::string &path);
// Blocks for an fsync. A failure is a warning in the log. Any thread.
void write_address_book(const std::string &path, const Bytes &file);

}  // namespace chain::p2p
