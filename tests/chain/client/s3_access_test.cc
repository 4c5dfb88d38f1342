// SPDX-License-Identifier: BSD-3-Clause
#include "chain/client/s3_access.h"

#include <map>

#include "tests/chain/provider/support.h"

namespace chain::client {
namespace {

using Variables = std::map<std::string, std::string>;

Environment environment_of(Variables variables) {
    return [variables = std::move(variables)](const char *name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional(found->second);
    };
}

class S3AccessTest : public ::testing::Test {
protected:
    void SetUp() override {
        provider::write_text(home_ / ".aws/credentials",
                             "# mine\n[default]\naws_access_key_id = FILE\n"
                             "aws_secret_access_key=file secret\n\n[ lab ]\r\n"
                             "aws_access_key_id=LAB\r\naws_secret_access_key = lab=secret\r\n"
                             "aws_session_token = lab-token\r\nnonsense\r\n");
        provider::write_text(home_ / ".aws/config",
                             "[default]\nregion = eu-west-1\n[profile lab]\nregion=lab-1\n");
    }
    Result<wire::S3Access> find(Variables more) {
        more.emplace("HOME", home_.path());
        return find_s3_access(environment_of(std::move(more)));
    }
    provider::TestFolder home_;
};

TEST_F(S3AccessTest, VariablesGoFirst) {
    const auto access = find({{"AWS_ACCESS_KEY_ID", "ENV"},
                              {"AWS_SECRET_ACCESS_KEY", "env-secret"},
                              {"AWS_SESSION_TOKEN", "token"},
                              {"AWS_DEFAULT_REGION", "eu-central-1"},
                              {"AWS_ENDPOINT_URL", "http://minio:9000/"}});
    ASSERT_TRUE(access.ok()) << access.error().message;
    EXPECT_EQ(access->access_key_id(), "ENV");
    EXPECT_EQ(access->secret_access_key(), "env-secret");
    EXPECT_EQ(access->session_token(), "token");
    EXPECT_EQ(access->region(), "eu-central-1");
    EXPECT_EQ(access->endpoint(), "http://minio:9000");
}

TEST_F(S3AccessTest, ThenProfiles) {
    const auto access = find({});
    ASSERT_TRUE(access.ok()) << access.error().message;
    EXPECT_EQ(access->access_key_id(), "FILE");
    EXPECT_EQ(access->secret_access_key(), "file secret");
    EXPECT_EQ(access->session_token(), "");
    EXPECT_EQ(access->region(), "eu-west-1");
    const auto lab = find({{"AWS_PROFILE", "lab"},
                           {"AWS_ENDPOINT_URL_S3", "https://s3.lab"},
                           {"AWS_ENDPOINT_URL", "https://other"}});
    ASSERT_TRUE(lab.ok()) << lab.error().message;
    EXPECT_EQ(lab->access_key_id(), "LAB");
    EXPECT_EQ(lab->secret_access_key(), "lab=secret");
    EXPECT_EQ(lab->session_token(), "lab-token");
    EXPECT_EQ(lab->region(), "lab-1");
    EXPECT_EQ(lab->endpoint(), "https://s3.lab");
}

// Half of a key in the environment and half of another in a file would be a key that never was.
TEST_F(S3AccessTest, KeysAreNotMixed) {
    const auto access = find({{"AWS_ACCESS_KEY_ID", "ENV"}});
    ASSERT_TRUE(access.ok()) << access.error().message;
    EXPECT_EQ(access->access_key_id(), "FILE");
}

TEST_F(S3AccessTest, SaysWhereItLooked) {
    for (const Variables &variables :
         {Variables{{"AWS_PROFILE", "absent"}}, Variables{{"HOME", "/nowhere"}},
          Variables{{"AWS_SHARED_CREDENTIALS_FILE", "/nowhere/keys"}}}) {
        const auto access = find(variables);
        ASSERT_FALSE(access.ok());
        EXPECT_EQ(access.error().code, ErrorCode::kNotFound);
        EXPECT_NE(access.error().message.find("AWS_ACCESS_KEY_ID"), std::string::npos);
    }
    EXPECT_EQ(find({{"AWS_SHARED_CREDENTIALS_FILE", home_.path()}}).error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace chain::client
