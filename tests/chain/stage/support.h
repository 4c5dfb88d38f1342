// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "chain/stage/staged_file.h"
#include "tests/chain/provider/support.h"

namespace chain::stage {

using provider::read_text;
using provider::TestFolder;
using provider::write_text;

inline constexpr std::uint64_t kLimit = 64 << 20;

inline StagedFile described(const std::string &path, const std::string &name) {
    auto file = describe_file(path, name, kLimit);
    EXPECT_TRUE(file.ok()) << file.error().message;
    return *file;
}

inline Bytes32 hash_of(const std::string &content) {
    Sha256 hash;
    hash.update(content);
    return hash.finish();
}

inline std::size_t files_below(const std::string &folder) {
    std::size_t count = 0;
    for (const auto &entry : std::filesystem::recursive_directory_iterator(folder))
        count += entry.is_regular_file();
    return count;
}

}  // namespace chain::stage
