// SPDX-License-Identifier: BSD-3-Clause
//
// What one machine needs to take part in a network, in one file: `ompi-chain network new` writes
// it, `ompi-chaind --join` takes it in.
#pragma once

#include <string>
#include <vector>

#include "chain/base/result.h"

namespace chain::client {

inline constexpr std::size_t kJoinFileBytesMax = 5u << 20;  // the genesis, mostly
inline constexpr std::size_t kJoinSeedsMax = 512;

struct JoinFile {
    std::string genesis;             // the exact text of the genesis file
    std::string wallet;              // a wallet file's text; empty: this machine has its own
    std::string listen_address;      // host:port; empty: listens to nobody
    std::string announce_address;    // host:port for others; empty: found out
    std::vector<std::string> seeds;  // host:port of others
    bool seal = false;
    std::string checkpoint;  // HEIGHT:ID of a block that must be in the history; empty: none
};

std::string format_join_file(const JoinFile &join);
// Errors: kCorrupt, with the field's name; kTooLarge.
Result<JoinFile> parse_join_file(const std::string &path, std::string_view text);

}  // namespace chain::client
