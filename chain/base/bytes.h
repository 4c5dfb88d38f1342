// SPDX-License-Identifier: BSD-3-Clause
//
// Bytes as they travel: std::string (what protobuf, LevelDB and libevent take), and fixed 32-byte
// identifiers. Tagged SHA-256 as in BIP 340, so that no hash of one kind passes for another kind.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "chain/base/result.h"

namespace chain {

using Bytes = std::string;
using Bytes32 = std::array<std::uint8_t, 32>;
using Bytes64 = std::array<std::uint8_t, 64>;

// SHA-256(SHA-256(tag) || SHA-256(tag) || message), BIP 340 "tagged hashes". Thread-safe; what the
// tag makes of it is computed once per thread.
Bytes32 tagged_hash(std::string_view tag, std::string_view message);

// How a file tells that a bad disk has not altered it: the message behind its tagged hash.
Bytes with_digest(std::string_view tag, std::string_view message);
// The message; nothing if it is not the one that the hash is of. It points into `file`.
std::optional<std::string_view> without_digest(std::string_view tag, std::string_view file);

// Plain SHA-256, fed in pieces: for files.
class Sha256 {
public:
    Sha256();
    ~Sha256();
    Sha256(const Sha256 &) = delete;
    Sha256 &operator=(const Sha256 &) = delete;
    void update(std::string_view piece);
    Bytes32 finish();  // once

private:
    void *context_;
};

std::string to_hex(std::string_view bytes);
std::string to_hex(const Bytes32 &bytes);
Result<Bytes> from_hex(std::string_view hex);
// First eight hex digits: for logs and tables.
std::string short_hex(const Bytes32 &bytes);

Bytes to_bytes(const Bytes32 &value);
inline std::string_view view_of(const Bytes32 &value) {
    return {reinterpret_cast<const char *>(value.data()), value.size()};
}
Bytes to_bytes(const Bytes64 &value);
// Errors: kProtocol when the length is not 32 (64); `what` names the field.
Result<Bytes32> to_bytes32(std::string_view bytes, std::string_view what);
Result<Bytes64> to_bytes64(std::string_view bytes, std::string_view what);
Result<Bytes32> bytes32_from_hex(std::string_view hex, std::string_view what);

// From the operating system's generator. Aborts if it has none.
void fill_random(void *buffer, std::size_t size_bytes);
// Overwrites in a way that the compiler keeps: for keys and passwords.
void wipe(void *buffer, std::size_t size_bytes);
void wipe(std::string &text);

void append_u32_le(Bytes &out, std::uint32_t value);
void append_u64_le(Bytes &out, std::uint64_t value);
void append_u64_be(Bytes &out, std::uint64_t value);  // for keys that sort by number
std::uint32_t read_u32_le(std::string_view bytes);    // precondition: at least 4 bytes
std::uint64_t read_u64_be(std::string_view bytes);    // precondition: at least 8 bytes

// For hash tables: made anew in each process, so that nobody can prepare keys that all fall into
// one place.
std::uint64_t hash_seed();
struct Bytes32Hash {
    std::size_t operator()(const Bytes32 &value) const;
};

}  // namespace chain
