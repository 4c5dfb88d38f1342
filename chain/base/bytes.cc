// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/bytes.h"

#include <cstring>
#include <memory>
#include <vector>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/random.h>

namespace chain {
namespace {

EVP_MD_CTX *context_of(void *context) {
    return static_cast<EVP_MD_CTX *>(context);
}

struct DigestDeleter {
    void operator()(EVP_MD_CTX *context) const { EVP_MD_CTX_free(context); }
};
using Digest = std::unique_ptr<EVP_MD_CTX, DigestDeleter>;

Digest new_digest() {
    // Fetched once: EVP_sha256() is looked up among OpenSSL's providers at each use.
    static const EVP_MD *const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    Digest digest(EVP_MD_CTX_new());
    CHAIN_CHECK(sha256 != nullptr && digest != nullptr &&
                EVP_DigestInit_ex(digest.get(), sha256, nullptr) == 1);
    return digest;
}

void feed(EVP_MD_CTX *digest, const void *bytes, std::size_t size_bytes) {
    CHAIN_CHECK(EVP_DigestUpdate(digest, bytes, size_bytes) == 1);
}

Bytes32 result_of(EVP_MD_CTX *digest) {
    Bytes32 result;
    CHAIN_CHECK(EVP_DigestFinal_ex(digest, result.data(), nullptr) == 1);
    return result;
}

// SHA-256 after the two hashes of the tag, which fill its first block.
Digest begin_tagged(std::string_view tag) {
    const Digest of_tag = new_digest();
    feed(of_tag.get(), tag.data(), tag.size());
    const Bytes32 prefix = result_of(of_tag.get());
    Digest digest = new_digest();
    feed(digest.get(), prefix.data(), prefix.size());
    feed(digest.get(), prefix.data(), prefix.size());
    return digest;
}

// The beginnings for the tags that this thread has used. There are about a dozen tags.
class TaggedBeginnings {
public:
    EVP_MD_CTX *find(std::string_view tag) {
        for (const auto &[known, digest] : known_)
            if (known == tag) return digest.get();
        if (known_.size() == kTagsMax) known_.clear();
        return known_.emplace_back(tag, begin_tagged(tag)).second.get();
    }

private:
    static constexpr std::size_t kTagsMax = 32;
    std::vector<std::pair<std::string, Digest>> known_;
};

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

Sha256::Sha256() : context_(new_digest().release()) {}

Sha256::~Sha256() {
    EVP_MD_CTX_free(context_of(context_));
}

void Sha256::update(std::string_view piece) {
    feed(context_of(context_), piece.data(), piece.size());
}

Bytes32 Sha256::finish() {
    return result_of(context_of(context_));
}

Bytes32 tagged_hash(std::string_view tag, std::string_view message) {
    thread_local TaggedBeginnings beginnings;
    thread_local const Digest digest = new_digest();
    CHAIN_CHECK(EVP_MD_CTX_copy_ex(digest.get(), beginnings.find(tag)) == 1);
    feed(digest.get(), message.data(), message.size());
    return result_of(digest.get());
}

Bytes with_digest(std::string_view tag, std::string_view message) {
    return to_bytes(tagged_hash(tag, message)) + Bytes(message);
}

std::optional<std::string_view> without_digest(std::string_view tag, std::string_view file) {
    if (file.size() < sizeof(Bytes32)) return std::nullopt;
    const std::string_view message = file.substr(sizeof(Bytes32));
    if (view_of(tagged_hash(tag, message)) != file.substr(0, sizeof(Bytes32))) return std::nullopt;
    return message;
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
    // All of it: half of all strings are x coordinates of points, so whoever names a receiver
    // chooses its first bytes.
    const std::uint64_t seed = hash_seed();
    std::uint64_t hash = seed;
    for (std::size_t at = 0; at < value.size(); at += sizeof hash) {
        std::uint64_t word;
        std::memcpy(&word, value.data() + at, sizeof word);
        hash = (hash ^ word) * (seed | 1);
        hash ^= hash >> 32;
    }
    return hash;
}

std::uint64_t hash_seed() {
    static const std::uint64_t seed = [] {
        std::uint64_t random;
        fill_random(&random, sizeof random);
        return random;
    }();
    return seed;
}

}  // namespace chain
