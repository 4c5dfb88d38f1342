// SPDX-License-Identifier: BSD-3-Clause
#include "chain/stage/s3.h"

#include <algorithm>
#include <ctime>
#include <map>

#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace chain::stage {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view kService = "s3";
constexpr std::string_view kRequestEnd = "aws4_request";

bool is_unreserved(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

// RFC 3986, section 2.1, with capital digits.
std::string percent_encoded(std::string_view text, bool keep_slashes) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        if (is_unreserved(c) || (c == '/' && keep_slashes)) {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += '%';
        out += kDigits[byte >> 4];
        out += kDigits[byte & 15];
    }
    return out;
}

Bytes hmac_sha256(std::string_view key, std::string_view text) {
    Bytes out(EVP_MAX_MD_SIZE, '\0');
    unsigned size = 0;
    const unsigned char *const done =
        HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
             reinterpret_cast<const unsigned char *>(text.data()), text.size(),
             reinterpret_cast<unsigned char *>(out.data()), &size);
    CHAIN_CHECK(done != nullptr);
    out.resize(size);
    return out;
}

std::string sha256_hex(std::string_view text) {
    Sha256 hash;
    hash.update(text);
    return to_hex(hash.finish());
}

// "20130524T000000Z"
std::string time_text(std::uint64_t now_ms) {
    const auto seconds = static_cast<std::time_t>(now_ms / 1'000);
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    char text[32];
    const std::size_t size = std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &utc);
    return {text, size};
}

struct Place {
    std::string scheme;  // with "://"
    std::string host;    // and port
    std::string path;    // encoded
};

// A bucket is a part of Amazon's host names, as far as their certificates go (no dots); elsewhere
// it is a part of the path, which every store understands.
Place place_of(const S3Access &access, const S3Object &object) {
    const std::string key = percent_encoded(object.key, true);
    if (!access.endpoint.empty()) {
        const std::size_t at = access.endpoint.find("://") + 3;
        return {access.endpoint.substr(0, at), access.endpoint.substr(at),
                "/" + object.bucket + "/" + key};
    }
    const std::string host = "s3." + access.region + ".amazonaws.com";
    if (object.bucket.find('.') == std::string::npos)
        return {"https://", object.bucket + "." + host, "/" + key};
    return {"https://", host, "/" + object.bucket + "/" + key};
}

bool is_plain(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f;
    });
}

}  // namespace

Result<S3Object> parse_s3_url(std::string_view text) {
    const auto wrong = [&](std::string_view why) {
        return make_error(ErrorCode::kInvalidInput, "\"", text.substr(0, 200), "\": ", why,
                          "; it is s3://BUCKET/KEY");
    };
    if (!is_s3_url(text)) return wrong("this is no object of a store");
    text.remove_prefix(5);
    const std::size_t slash = text.find('/');
    S3Object object;
    object.bucket = text.substr(0, slash);
    if (slash != std::string_view::npos) object.key = text.substr(slash + 1);
    const bool is_name =
        object.bucket.size() >= 3 && object.bucket.size() <= 63 &&
        std::all_of(object.bucket.begin(), object.bucket.end(), [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
        });
    if (!is_name) return wrong("a bucket has 3 to 63 small letters, digits, dashes and dots");
    if (object.key.size() > kS3KeyBytesMax || object.key.find('\0') != std::string::npos)
        return wrong("the key is too long");
    return object;
}

Status check_s3_access(const S3Access &access) {
    if (access.access_key_id.empty() || access.secret_access_key.empty())
        return make_error(ErrorCode::kNotFound,
                          "there are no keys for s3://: set AWS_ACCESS_KEY_ID and "
                          "AWS_SECRET_ACCESS_KEY, or fill ~/.aws/credentials");
    for (const std::string *part : {&access.endpoint, &access.region, &access.access_key_id,
                                    &access.secret_access_key, &access.session_token})
        if (!is_plain(*part) || part->size() > 4'096)
            return make_error(ErrorCode::kInvalidInput,
                              "the keys, region or endpoint of s3:// hold blanks or odd letters");
    if (access.region.empty())
        return make_error(ErrorCode::kInvalidInput, "the region of s3:// is not known: AWS_REGION");
    const std::string_view endpoint = access.endpoint;
    const bool is_web = endpoint.starts_with("https://") || endpoint.starts_with("http://");
    const std::string_view host = is_web ? endpoint.substr(endpoint.find("://") + 3) : "";
    if (!endpoint.empty() && (host.empty() || host.find_first_of("/?#@") != std::string_view::npos))
        return make_error(ErrorCode::kInvalidInput, "AWS_ENDPOINT_URL \"", endpoint,
                          "\": it is https://HOST or https://HOST:PORT");
    return ok_status();
}

std::string presign_for(const S3Access &access, std::string_view method, const std::string &host,
                        const std::string &path, std::uint64_t now_ms, std::uint32_t valid_s) {
    const std::string time = time_text(now_ms);
    const std::string date = time.substr(0, 8);
    const std::string scope =
        date + "/" + access.region + "/" + std::string(kService) + "/" + std::string(kRequestEnd);
    std::map<std::string, std::string> query = {
        {"X-Amz-Algorithm", std::string(kAlgorithm)},
        {"X-Amz-Credential", access.access_key_id + "/" + scope},
        {"X-Amz-Date", time},
        {"X-Amz-Expires", std::to_string(valid_s)},
        {"X-Amz-SignedHeaders", "host"},
    };
    if (!access.session_token.empty()) query["X-Amz-Security-Token"] = access.session_token;
    std::string query_text;
    for (const auto &[name, value] : query)
        query_text += (query_text.empty() ? "" : "&") + name + "=" + percent_encoded(value, false);
    const std::string request = std::string(method) + "\n" + path + "\n" + query_text +
                                "\nhost:" + host + "\n\nhost\nUNSIGNED-PAYLOAD";
    const std::string to_sign =
        std::string(kAlgorithm) + "\n" + time + "\n" + scope + "\n" + sha256_hex(request);
    Bytes key = "AWS4" + access.secret_access_key;
    for (const std::string_view part :
         {std::string_view(date), std::string_view(access.region), kService, kRequestEnd})
        key = hmac_sha256(key, part);
    return query_text + "&X-Amz-Signature=" + to_hex(hmac_sha256(key, to_sign));
}

std::string presign(const S3Access &access, std::string_view method, const S3Object &object,
                    std::uint64_t now_ms, std::uint32_t valid_s) {
    const Place place = place_of(access, object);
    return place.scheme + place.host + place.path + "?" +
           presign_for(access, method, place.host, place.path, now_ms, valid_s);
}

std::string_view without_query(std::string_view url) {
    return url.substr(0, url.find('?'));
}

}  // namespace chain::stage
