// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/bytes.h"

#include <cstring>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/random.h>

namespace chain {
namespace {

EVP_MD_CTX *context_of(void *context) {
    return static_cast<EVP_MD_CTX *>(context);
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

template <class Array>
Result<Array> to_array(std::string_view bytes, std::string_view what) {
    Array value;
    if (bytes.size() != value.size())
        return make_error(ErrorCode::kProtocol, what, " has ", bytes.size(), " bytes instead of ",
                          value.size());
    std::memcpy(value.data(), bytes.data(), value.size());
    return value;
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
    CHAIN_CHECK(context_ != nullptr);
    CHAIN_CHECK(EVP_DigestInit_ex(context_of(context_), EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() {
    EVP_MD_CTX_free(context_of(context_));
}

void Sha256::update(std::string_view piece) {
    CHAIN_CHECK(EVP_DigestUpdate(context_of(context_), piece.data(), piece.size()) == 1);
}

Bytes32 Sha256::finish() {
    Bytes32 digest;
    CHAIN_CHECK(EVP_DigestFinal_ex(context_of(context_), digest.data(), nullptr) == 1);
    return digest;
}

Bytes32 tagged_hash(std::string_view tag, std::string_view message) {
    Sha256 tag_hash;
    tag_hash.update(tag);
    const Bytes prefix = to_bytes(tag_hash.finish());
    Sha256 hash;
    hash.update(prefix);
    hash.update(prefix);
    hash.update(message);
    return hash.finish();
}

std::string to_hex(std::string_view bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string hex;
    hex.reserve(bytes.size() * 2);
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        hex += kDigits[byte >> 4];
        hex += kDigits[byte & 15];
    }
    return hex;
}

std::string to_hex(const Bytes32 &bytes) {
    return to_hex(to_bytes(bytes));
}

std::string short_hex(const Bytes32 &bytes) {
    return to_hex(to_bytes(bytes)).substr(0, 8);
}

Result<Bytes> from_hex(std::string_view hex) {
    if (hex.size() % 2 != 0)
        return make_error(ErrorCode::kInvalidInput, "hexadecimal text has an odd length");
    Bytes bytes;
    bytes.reserve(hex.size() / 2);
    for (std::size_t i = 0; i < hex.size(); i += 2) {
        const int high = hex_digit(hex[i]);
        const int low = hex_digit(hex[i + 1]);
        if (high < 0 || low < 0)
            return make_error(ErrorCode::kInvalidInput, "\"", hex.substr(0, 80),
                              "\" is not hexadecimal");
        bytes += static_cast<char>(high << 4 | low);
    }
    return bytes;
}

Bytes to_bytes(const Bytes32 &value) {
    return Bytes(reinterpret_cast<const char *>(value.data()), value.size());
}

Bytes to_bytes(const Bytes64 &value) {
    return Bytes(reinterpret_cast<const char *>(value.data()), value.size());
}

Result<Bytes32> to_bytes32(std::string_view bytes, std::string_view what) {
    return to_array<Bytes32>(bytes, what);
}

Result<Bytes64> to_bytes64(std::string_view bytes, std::string_view what) {
    return to_array<Bytes64>(bytes, what);
}

Result<Bytes32> bytes32_from_hex(std::string_view hex, std::string_view what) {
    CHAIN_ASSIGN(const Bytes bytes, from_hex(hex));
    return to_bytes32(bytes, what);
}

void fill_random(void *buffer, std::size_t size_bytes) {
    auto *at = static_cast<unsigned char *>(buffer);
    while (size_bytes > 0) {
        const ssize_t got = getrandom(at, size_bytes, 0);
        CHAIN_CHECK(got > 0);
        at += got;
        size_bytes -= static_cast<std::size_t>(got);
    }
}

void wipe(void *buffer, std::size_t size_bytes) {
    OPENSSL_cleanse(buffer, size_bytes);
}

void wipe(std::string &text) {
    wipe(text.data(), text.size());
    text.clear();
}

void append_u32_le(Bytes &out, std::uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift);
}

void append_u64_le(Bytes &out, std::uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) out += static_cast<char>(value >> shift);
}

void append_u64_be(Bytes &out, std::uint64_t value) {
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}

std::uint32_t read_u32_le(std::string_view bytes) {
    CHAIN_CHECK(bytes.size() >= 4);
    std::uint32_t value = 0;
    for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
}

std::uint64_t read_u64_be(std::string_view bytes) {
    CHAIN_CHECK(bytes.size() >= 8);
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
}

std::size_t Bytes32Hash::operator()(const Bytes32 &value) const {
    std::size_t hash;  // identifiers are hashes or keys: any eight bytes are spread enough
    std::memcpy(&hash, value.data(), sizeof hash);
    return hash;
}

}  // namespace chain
