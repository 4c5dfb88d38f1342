// SPDX-License-Identifier: BSD-3-Clause
//
// Web: one object from or to a store over HTTP, by libcurl. No redirects; http only where it was
// named; certificates are checked.
//
// Blocks on the network: for a worker. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>

#include "chain/base/file.h"

namespace chain::stage {

inline constexpr unsigned kWebTries = 5;
inline constexpr long kWebSilenceS = 30;  // that long under 1 KiB/s, and a try is given up

// Which stores a daemon talks to in the name of a stranger: "https://HOST", with a '*' for the
// first parts of a name ("https://*.amazonaws.com"), or "http://HOST:PORT", exactly.
class WebRules {
public:
    // Errors: kInvalidInput.
    static Result<WebRules> parse(const std::vector<std::string> &rules);
    // Large stores that many use.
    static WebRules usual();
    // Errors: kRefused, with what is allowed.
    Status check(std::string_view url) const;
    // By a rule without a '*': the owner has this very host in mind, wherever it is.
    bool names_host(std::string_view url) const;
    const std::vector<std::string> &texts() const { return rules_; }
    friend bool operator==(const WebRules &, const WebRules &) = default;

private:
    std::vector<std::string> rules_;
};

struct WebObject {
    std::uint64_t size_bytes = 0;
    std::string etag;  // with its quotes; may be empty
};

// What a request may do. `may_be_private`: go to an address of a private network, of this machine
// or its links: a name that strangers choose may lead there.
struct WebManner {
    const std::atomic<bool> &cancelled;
    bool may_be_private = false;
};

// Errors of all three: kRefused (a private address), kNotFound, kPermission (the store says no),
// kPeerLost (no answer, after kWebTries tries), kCancelled (`cancelled` was set), kConflict (it is
// another object by now), kProtocol, and those of the disk. Messages show no query.
Result<WebObject> web_head(const std::string &url);
// Into `fd` from its beginning, which is empty. What has come is not fetched again.
Status web_get(const std::string &url, const WebObject &object, int fd, const WebManner &manner);
Status web_put(const std::string &url, int fd, std::uint64_t size_bytes, const WebManner &manner);

// Of IPv4 or IPv6: private, loopback, link-local, shared (RFC 6598), unspecified or multicast.
bool is_private_address(const sockaddr &address);

}  // namespace chain::stage
