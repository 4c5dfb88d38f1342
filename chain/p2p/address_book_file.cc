// SPDX-License-Identifier: BSD-3-Clause
//
// The address book on disk: {32 bytes digest; wire::AddressBookFile}. The digest finds what a bad
// disk altered; a protobuf message alone would often still parse.
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "chain/base/file.h"
#include "chain/base/log.h"
#include "chain/p2p/address_book.h"
#include "chain/p2p/limits.h"
#include "chain/wire/frame.h"
#include "chain/wire/peer.pb.h"

namespace chain::p2p {
namespace {

constexpr std::string_view kFileTag = "ompi-chain/address-book";
constexpr std::size_t kMaxGroupBytes = 16;

Error damaged(std::string_view why) {
    return make_error(ErrorCode::kCorrupt, "address book: ", why);
}

void write_record(const AddressEntry &entry, wire::AddressRecord &record) {
    write_address(entry.address, *record.mutable_address());
    record.set_source_group(entry.source_group);
    record.set_tried(entry.tried);
    record.set_heard_at_ms(entry.heard_at_ms);
    record.set_attempted_at_ms(entry.attempted_at_ms);
    record.set_succeeded_at_ms(entry.succeeded_at_ms);
    record.set_failure_count(entry.failure_count);
    if (entry.node_key) record.set_node_key(to_bytes(*entry.node_key));
}

Result<AddressEntry> read_record(const wire::AddressRecord &record) {
    AddressEntry entry;
    const auto address = read_address(record.address());
    if (!address.ok() || reach_of(*address) == Reach::kNowhere)
        return damaged("a record without an address");
    entry.address = *address;
    if (record.source_group().size() > kMaxGroupBytes) return damaged("a group that is none");
    entry.source_group = record.source_group();
    entry.tried = record.tried();
    entry.heard_at_ms = record.heard_at_ms();
    entry.attempted_at_ms = record.attempted_at_ms();
    entry.succeeded_at_ms = record.succeeded_at_ms();
    entry.failure_count = record.failure_count();
    if (entry.tried && entry.succeeded_at_ms == 0)
        return damaged("a tried address without success");
    if (record.node_key().empty()) return entry;
    CHAIN_ASSIGN(entry.node_key, to_bytes32(record.node_key(), "node_key"));
    return entry;
}

}  // namespace

Bytes AddressBook::format() const {
    wire::AddressBookFile file;
    file.set_secret(to_bytes(secret_));
    for (const auto &[address, entry] : entries_) write_record(entry, *file.add_records());
    const Bytes message = file.SerializeAsString();
    return with_digest(kFileTag, message);
}

Result<std::unique_ptr<AddressBook>> AddressBook::parse(const Clock &clock, std::string_view file) {
    const auto message = without_digest(kFileTag, file);
    if (!message) return damaged("its digest is another one");
    wire::AddressBookFile parsed;
    const Status strict =
        wire::parse_strict(*message, kMaxAddressBookBytes, "the address book", parsed);
    if (!strict.ok()) return damaged(strict.error().message);
    const auto secret = to_bytes32(parsed.secret(), "secret");
    if (!secret.ok()) return damaged(secret.error().message);
    auto book = std::make_unique<AddressBook>(clock, *secret);
    for (const wire::AddressRecord &record : parsed.records()) {
        auto entry = read_record(record);
        if (!entry.ok()) return damaged(entry.error().message);
        if (book->entries_.contains(entry->address)) return damaged("an address is in it twice");
        // Another version may have other buckets: what does not fit any more is left out.
        const bool tried = entry->tried;
        book->place(std::move(*entry), tried);
    }
    book->changed_ = false;
    return book;
}

std::unique_ptr<AddressBook> open_address_book(const Clock &clock, const std::string &path) {
    const auto file = read_file(path, kMaxAddressBookBytes);
    if (!file.ok() && file.error().code == ErrorCode::kNotFound)
        return std::make_unique<AddressBook>(clock);
    auto book = file.ok() ? AddressBook::parse(clock, *file)
                          : Result<std::unique_ptr<AddressBook>>(file.error());
    if (book.ok()) return std::move(*book);
    const std::string aside = path + ".damaged";
    const bool moved = std::rename(path.c_str(), aside.c_str()) == 0;
    log(LogLevel::kWarning, "p2p", path, " cannot be used: ", book.error().message,
        moved ? "; it is now " + aside : std::string("; it stays, ") + std::strerror(errno),
        ", and addresses of peers are collected anew");
    return std::make_unique<AddressBook>(clock);
}

void write_address_book(const std::string &path, const Bytes &file) {
    const Status written = write_file_atomic(path, file, 0600);
    if (!written.ok())
        log(LogLevel::kWarning, "p2p",
            "addresses of peers are not kept: ", written.error().message);
}

}  // namespace chain::p2p
