// SPDX-License-Identifier: BSD-3-Clause
#include "chain/stage/s3.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "chain/stage/web.h"
#include "tests/chain/stage/support.h"

namespace chain::stage {
namespace {

// 24 May 2013, 00:00:00 UTC.
constexpr std::uint64_t kVectorMs = 1'369'353'600'000;

S3Access vector_access() {
    return {"https://examplebucket.s3.amazonaws.com", "us-east-1", "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
}

std::string signature_of(const std::string &url) {
    const std::size_t at = url.find("X-Amz-Signature=");
    return at == std::string::npos ? "" : url.substr(at + 16);
}

// The example of the S3 API reference ("Authenticating Requests: Using Query Parameters"), whose
// bucket is in the host name.
TEST(S3, SignsAsTheReferenceDoes) {
    S3Access access = vector_access();
    access.endpoint.clear();
    const std::string url =
        presign(access, "GET", {"examplebucket", "test.txt"}, kVectorMs, 86'400);
    EXPECT_EQ(without_query(url), "https://examplebucket.s3.us-east-1.amazonaws.com/test.txt");
    // The reference's host has no region: the same text, signed for that host.
    EXPECT_EQ(signature_of(presign_for(access, "GET", "examplebucket.s3.amazonaws.com", "/test.txt",
                                       kVectorMs, 86'400)),
              "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

TEST(S3, PutsEverythingIntoTheSignature) {
    const S3Access access = vector_access();
    const S3Object object{"bucket", "a b/ü+.txt"};
    const std::string url = presign(access, "GET", object, kVectorMs, 60);
    EXPECT_NE(url.find("/bucket/a%20b/%C3%BC%2B.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
                       "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F"
                       "aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=60"
                       "&X-Amz-SignedHeaders=host&X-Amz-Signature="),
              std::string::npos)
        << url;
    const std::string signature = signature_of(url);
    EXPECT_EQ(signature.size(), 64u);
    const auto differs = [&](const std::string &other) {
        EXPECT_NE(signature_of(other), signature) << other;
    };
    differs(presign(access, "PUT", object, kVectorMs, 60));
    differs(presign(access, "GET", {"bucket", "a b/ü+.txT"}, kVectorMs, 60));
    differs(presign(access, "GET", {"bucket2", "a b/ü+.txt"}, kVectorMs, 60));
    differs(presign(access, "GET", object, kVectorMs + 1'000, 60));
    differs(presign(access, "GET", object, kVectorMs, 61));
    for (std::string S3Access::*part :
         {&S3Access::endpoint, &S3Access::region, &S3Access::access_key_id,
          &S3Access::secret_access_key, &S3Access::session_token}) {
        S3Access other = access;
        other.*part += "x";
        differs(presign(other, "GET", object, kVectorMs, 60));
    }
    EXPECT_EQ(url.find(access.secret_access_key), std::string::npos);
}

TEST(S3, ABucketIsWhereItsCertificateIs) {
    S3Access access = vector_access();
    access.endpoint.clear();
    access.region = "eu-central-1";
    EXPECT_EQ(without_query(presign(access, "GET", {"photos", "a/b"}, kVectorMs, 60)),
              "https://photos.s3.eu-central-1.amazonaws.com/a/b");
    EXPECT_EQ(without_query(presign(access, "GET", {"my.photos", "a"}, kVectorMs, 60)),
              "https://s3.eu-central-1.amazonaws.com/my.photos/a");
    access.endpoint = "http://127.0.0.1:9000";
    EXPECT_EQ(without_query(presign(access, "GET", {"photos", "a"}, kVectorMs, 60)),
              "http://127.0.0.1:9000/photos/a");
}

TEST(S3, ReadsItsAddresses) {
    const auto object = parse_s3_url("s3://my-bucket.x/a/b c");
    ASSERT_TRUE(object.ok());
    EXPECT_EQ(object->bucket, "my-bucket.x");
    EXPECT_EQ(object->key, "a/b c");
    EXPECT_EQ(parse_s3_url("s3://bucket")->key, "");
    for (const char *wrong : {"", "s3:/bucket/a", "https://bucket/a", "s3:///a", "s3://ab/a",
                              "s3://Bucket/a", "s3://buck@et/a", "s3://buc ket/a"})
        EXPECT_FALSE(parse_s3_url(wrong).ok()) << wrong;
    EXPECT_FALSE(parse_s3_url("s3://" + std::string(64, 'b') + "/a").ok());
    EXPECT_FALSE(parse_s3_url("s3://bucket/" + std::string(kS3KeyBytesMax + 1, 'a')).ok());
    EXPECT_FALSE(parse_s3_url(std::string("s3://bucket/a\0b", 15)).ok());
}

TEST(S3, SaysWhatIsMissing) {
    EXPECT_TRUE(check_s3_access(vector_access()).ok());
    const auto refuses = [](std::string S3Access::*part, const std::string &value,
                            std::string_view what) {
        S3Access access = vector_access();
        access.*part = value;
        const Status checked = check_s3_access(access);
        ASSERT_FALSE(checked.ok()) << what;
        EXPECT_NE(checked.error().message.find(what), std::string::npos) << checked.error().message;
    };
    refuses(&S3Access::access_key_id, "", "AWS_ACCESS_KEY_ID");
    refuses(&S3Access::secret_access_key, "", "AWS_SECRET_ACCESS_KEY");
    refuses(&S3Access::region, "", "AWS_REGION");
    refuses(&S3Access::region, "eu west", "odd letters");
    refuses(&S3Access::endpoint, "minio.example", "https://HOST");
    refuses(&S3Access::endpoint, "https://", "https://HOST");
    refuses(&S3Access::endpoint, "https://minio/path", "https://HOST");
    refuses(&S3Access::endpoint, "https://a@b", "https://HOST");
}

TEST(WebRules, AllowWhatTheyName) {
    const auto rules =
        WebRules::parse({"https://*.amazonaws.com", "https://minio.lab", "http://127.0.0.1:9000"});
    ASSERT_TRUE(rules.ok()) << rules.error().message;
    for (const char *url :
         {"https://b.s3.eu-west-1.amazonaws.com/k?X=1", "https://s3.amazonaws.com/b/k",
          "https://minio.lab/b/k", "http://127.0.0.1:9000/b/k"})
        EXPECT_TRUE(rules->check(url).ok()) << url;
    for (const char *url : {"http://b.amazonaws.com/k",
                            "https://amazonaws.com/k",
                            "https://evilamazonaws.com/k",
                            "https://b.amazonaws.com.evil.org/k",
                            "https://evil.org/.amazonaws.com/k",
                            "https://evil.org?.amazonaws.com",
                            "https://evil.org#.amazonaws.com",
                            "https://x@b.amazonaws.com/k",
                            "https://b.amazonaws.com:8443/k",
                            "https://minio.lab:1/b",
                            "https://minio.lab.x/b",
                            "http://minio.lab/b",
                            "http://127.0.0.1:9001/b",
                            "http://127.0.0.1/b",
                            "http://127.0.0.1:9000@evil.org/b",
                            "file:///etc/passwd",
                            "https:/minio.lab/b",
                            "minio.lab/b",
                            "",
                            "https://evil.org\\.amazonaws.com/k",
                            "https://evil.org\n.amazonaws.com",
                            "https://169.254.169.254/latest"})
        EXPECT_FALSE(rules->check(url).ok()) << url;
    const Status refused = rules->check("https://evil.org/a?X-Amz-Signature=secret");
    EXPECT_EQ(refused.error().code, ErrorCode::kRefused);
    EXPECT_NE(refused.error().message.find("https://minio.lab"), std::string::npos);
    EXPECT_EQ(refused.error().message.find("secret"), std::string::npos);
}

TEST(WebRules, KnowWhichHostsTheyName) {
    const auto rules = WebRules::parse({"https://*.amazonaws.com", "http://10.0.0.5:9000"});
    ASSERT_TRUE(rules.ok());
    EXPECT_TRUE(rules->names_host("http://10.0.0.5:9000/b/k"));
    EXPECT_FALSE(rules->names_host("https://b.s3.amazonaws.com/k"));
    EXPECT_FALSE(rules->names_host("https://elsewhere/k"));
}

TEST(Web, KnowsPrivateAddresses) {
    const auto is_private = [](const char *text) {
        sockaddr_storage address{};
        auto &v4 = reinterpret_cast<sockaddr_in &>(address);
        auto &v6 = reinterpret_cast<sockaddr_in6 &>(address);
        if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
            address.ss_family = AF_INET;
        else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
            address.ss_family = AF_INET6;
        return is_private_address(reinterpret_cast<const sockaddr &>(address));
    };
    for (const char *text :
         {"0.0.0.0",     "10.1.2.3",        "100.64.0.1",       "100.127.255.255",
          "127.0.0.1",   "169.254.169.254", "172.16.0.1",       "172.31.255.255",
          "192.168.1.1", "224.0.0.1",       "255.255.255.255",  "::",
          "::1",         "fe80::1",         "fc00::1",          "fdff::1",
          "ff02::1",     "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a00:1"})
        EXPECT_TRUE(is_private(text)) << text;
    for (const char *text : {"8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.0.1", "100.128.0.1",
                             "172.15.0.1", "172.32.0.1", "192.167.0.1", "223.255.255.255",
                             "2001:db8::1", "2a00:1450::1", "::ffff:8.8.8.8"})
        EXPECT_FALSE(is_private(text)) << text;
}

// A name that strangers choose may lead into the owner's network.
TEST(Web, GoesToNoPrivateAddressUnlessItIsNamed) {
    const std::atomic<bool> cancelled = false;
    TestFolder folder;
    write_text(folder / "to", "");
    const FileDescriptor to(open((folder / "to").c_str(), O_WRONLY));
    const Status refused = web_get("http://127.0.0.1:9/k?X-Amz-Signature=secret", {1, ""}, to.get(),
                                   {cancelled, false});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kRefused);
    EXPECT_EQ(refused.error().message.find("secret"), std::string::npos);
    const std::atomic<bool> at_once = true;
    EXPECT_NE(web_get("http://127.0.0.1:9/k", {1, ""}, to.get(), {at_once, true}).error().code,
              ErrorCode::kRefused);
}

TEST(WebRules, AreChecked) {
    EXPECT_TRUE(WebRules::parse({}).ok());
    EXPECT_FALSE(WebRules::parse({})->check("https://b.amazonaws.com/k").ok());
    EXPECT_TRUE(WebRules::usual().check("https://b.s3.amazonaws.com/k").ok());
    EXPECT_TRUE(WebRules::parse(WebRules::usual().texts()).ok());
    for (const char *rule :
         {"", "amazonaws.com", "https://", "http://", "http://*.lab", "https://*", "https://*.",
          "https://a/b", "https://a*b", "ftp://a", "https://a@b", "https://a b"})
        EXPECT_FALSE(WebRules::parse({rule}).ok()) << rule;
    EXPECT_FALSE(WebRules::parse(std::vector<std::string>(65, "https://a")).ok());
}

}  // namespace
}  // namespace chain::stage
