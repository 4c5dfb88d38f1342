// SPDX-License-Identifier: BSD-3-Clause
//
// Keys for S3-compatible stores, from where every other tool has them.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "chain/base/result.h"
#include "chain/wire/control.pb.h"

namespace chain::client {

inline constexpr std::size_t kCredentialsBytesMax = 64u << 10;

// $NAME, or nothing.
using Environment = std::function<std::optional<std::string>(const char *name)>;

// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; else profile AWS_PROFILE ("default")
// of AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials). Region: AWS_REGION, AWS_DEFAULT_REGION, the
// profile's in ~/.aws/config, us-east-1. Endpoint: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL.
// Errors: kNotFound (no keys, and where they are looked for), kPermission, kIo.
Result<wire::S3Access> find_s3_access(const Environment &environment);
Environment process_environment();
// Something of the lease is, or goes, into a store.
bool needs_s3_access(const wire::LeaseOpenCall &call);

}  // namespace chain::client
