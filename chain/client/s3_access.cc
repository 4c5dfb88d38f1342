// SPDX-License-Identifier: BSD-3-Clause
#include "chain/client/s3_access.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include "chain/base/file.h"
#include "chain/base/split.h"
#include "chain/stage/s3.h"

namespace chain::client {
namespace {

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r";
    const std::size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

// NAME = VALUE of one [section] of a file as the tools of the store's maker write it.
Result<std::map<std::string, std::string>> read_section(const std::string &path,
                                                        std::string_view section) {
    std::map<std::string, std::string> values;
    if (!path_exists(path)) return values;
    CHAIN_ASSIGN(const Bytes text, read_file(path, kCredentialsBytesMax));
    bool is_here = false;
    for (const std::string_view whole : split(text, '\n')) {
        const std::string_view line = trimmed(whole);
        if (line.empty() || line.front() == '#' || line.front() == ';') continue;
        if (line.front() == '[') {
            is_here = line.back() == ']' && trimmed(line.substr(1, line.size() - 2)) == section;
            continue;
        }
        const std::size_t equals = line.find('=');
        if (!is_here || equals == std::string_view::npos) continue;
        values[std::string(trimmed(line.substr(0, equals)))] = trimmed(line.substr(equals + 1));
    }
    return values;
}

std::string first_of(const Environment &environment, std::initializer_list<const char *> names) {
    for (const char *name : names)
        if (const auto value = environment(name); value && !value->empty()) return *value;
    return {};
}

}  // namespace

Environment process_environment() {
    return [](const char *name) -> std::optional<std::string> {
        const char *const value = std::getenv(name);
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
    };
}

bool needs_s3_access(const wire::LeaseOpenCall &call) {
    return !call.results_url().empty() ||
           std::any_of(call.stage_in().begin(), call.stage_in().end(),
                       [](const auto &item) { return stage::is_s3_url(item.source_path()); });
}

Result<wire::S3Access> find_s3_access(const Environment &environment) {
    const std::string folder = first_of(environment, {"HOME"}) + "/.aws";
    std::string credentials = first_of(environment, {"AWS_SHARED_CREDENTIALS_FILE"});
    if (credentials.empty()) credentials = folder + "/credentials";
    std::string config = first_of(environment, {"AWS_CONFIG_FILE"});
    if (config.empty()) config = folder + "/config";
    std::string profile = first_of(environment, {"AWS_PROFILE"});
    if (profile.empty()) profile = "default";

    wire::S3Access access;
    access.set_access_key_id(first_of(environment, {"AWS_ACCESS_KEY_ID"}));
    access.set_secret_access_key(first_of(environment, {"AWS_SECRET_ACCESS_KEY"}));
    access.set_session_token(first_of(environment, {"AWS_SESSION_TOKEN"}));
    if (access.access_key_id().empty() || access.secret_access_key().empty()) {
        CHAIN_ASSIGN(auto keys, read_section(credentials, profile));
        access.set_access_key_id(keys["aws_access_key_id"]);
        access.set_secret_access_key(keys["aws_secret_access_key"]);
        access.set_session_token(keys["aws_session_token"]);
    }
    if (access.access_key_id().empty() || access.secret_access_key().empty())
        return make_error(ErrorCode::kNotFound,
                          "there are no keys for s3://: set AWS_ACCESS_KEY_ID and "
                          "AWS_SECRET_ACCESS_KEY, or give profile \"",
                          profile, "\" of ", credentials, " a key");
    access.set_region(first_of(environment, {"AWS_REGION", "AWS_DEFAULT_REGION"}));
    if (access.region().empty()) {
        CHAIN_ASSIGN(auto settings,
                     read_section(config, profile == "default" ? profile : "profile " + profile));
        access.set_region(settings["region"].empty() ? "us-east-1" : settings["region"]);
    }
    access.set_endpoint(first_of(environment, {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}));
    while (access.endpoint().ends_with('/')) access.mutable_endpoint()->pop_back();
    return access;
}

}  // namespace chain::client
