// SPDX-License-Identifier: BSD-3-Clause
//
// S3-compatible stores: addresses that hold their own permission, so that a peer can fetch one
// object, or put one there, without ever seeing a key (docs/adr/0017). Signature Version 4 in the
// query: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
//
// Pure; no network.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "chain/base/bytes.h"

namespace chain::stage {

inline constexpr std::size_t kS3KeyBytesMax = 1024;

struct S3Object {
    std::string bucket;
    std::string key;  // empty or ending in '/': all that begins so
};
// "s3://bucket/key". Errors: kInvalidInput.
Result<S3Object> parse_s3_url(std::string_view text);
inline bool is_s3_url(std::string_view text) {
    return text.starts_with("s3://");
}

struct S3Access {
    std::string endpoint;  // "https://minio.example:9000"; empty: Amazon's of that region
    std::string region;
    std::string access_key_id;
    std::string secret_access_key;
    std::string session_token;  // of keys that expire; else empty
};
// Errors: kInvalidInput: what is missing or malformed, and where it would come from.
Status check_s3_access(const S3Access &access);

// An address under which anybody may do `method` (GET, HEAD, PUT) with `object` for `valid_s`
// seconds from `now_ms` (Unix time) on. Precondition: check_s3_access.
std::string presign(const S3Access &access, std::string_view method, const S3Object &object,
                    std::uint64_t now_ms, std::uint32_t valid_s);

// The query of such an address alone, for any `host` and percent-encoded `path`.
std::string presign_for(const S3Access &access, std::string_view method, const std::string &host,
                        const std::string &path, std::uint64_t now_ms, std::uint32_t valid_s);

// What every such address of one object begins with, and messages may show: no signature.
std::string_view without_query(std::string_view url);

}  // namespace chain::stage
