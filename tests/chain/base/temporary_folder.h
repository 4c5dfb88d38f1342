// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "chain/base/file.h"

namespace chain {

// A folder of its own, removed with everything in it.
class TemporaryFolder {
public:
    TemporaryFolder() {
        path_ = testing::TempDir() + "ompi-chain-test.XXXXXX";
        CHAIN_CHECK(mkdtemp(path_.data()) != nullptr);
    }
    ~TemporaryFolder() { static_cast<void>(remove_tree(path_)); }
    TemporaryFolder(const TemporaryFolder &) = delete;
    TemporaryFolder &operator=(const TemporaryFolder &) = delete;
    const std::string &path() const { return path_; }

private:
    std::string path_;
};

}  // namespace chain
