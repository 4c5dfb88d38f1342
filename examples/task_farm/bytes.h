// SPDX-License-Identifier: BSD-3-Clause
// Numbers and blobs, one after the other: what tasks and results are made of. All ranks are of one
// byte order (ranks::Channel sees to it).
#pragma once

#include <cstdint>

#include "examples/task_farm/task_farm.h"

namespace task_farm {

class Writer {
public:
    Writer &number(int64_t value);
    Writer &blob(const void *data, size_t size);
    Bytes take() { return std::move(bytes_); }

private:
    Bytes bytes_;
};

// Of a rank that may be anybody's. std::runtime_error where the bytes end too early, or a number is
// not what it may be.
class Reader {
public:
    explicit Reader(const Bytes &bytes) : bytes_(bytes) {}
    int64_t number();
    int number(int least, int most);
    // How many things follow, each of `bytes_each` or more: never more than there are bytes for.
    size_t count(size_t bytes_each);
    Bytes blob();

private:
    const uint8_t *next(size_t size);
    const Bytes &bytes_;
    size_t at_ = 0;
};

}  // namespace task_farm
